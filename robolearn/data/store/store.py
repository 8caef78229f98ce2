"""The training store: every episode that ever happened, in columns on disk.

    STORE/
      manifest.sqlite                        which episodes there are, and all that is told about them
      writer.lock                            held by the one process that adds
      shards/00000/observations.front.npy    a column's rows, one file for each GB of all columns together
      shards/00000/requested.npy

An episode of T actions has T + 1 rows in every column: an observation each; what belongs to an action has
zeros in the last one. So row i and row i + 1 are one transition. Rows are brought to the disk first, then one
transaction of the manifest makes them count: whatever happens, a store holds whole episodes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from robolearn import checks
from robolearn.contract import Contract
from robolearn.data.episode import Episode, Outcome
from robolearn.data.store.adding import LOCK, Adder
from robolearn.data.store.columns import ColumnReader
from robolearn.data.store.layout import ColumnKind
from robolearn.data.store.manifest import EpisodeRow, Manifest, Query
from robolearn.errors import InputError
from robolearn.files import creating

SHARD_BYTES = 10**9
"""Size of a full shard, all its columns together."""


class Store:
    """A store, open for reading or for adding; use it as a context manager, or `close` it.

    Any number of processes may read while one adds. What a query returns is a snapshot: its episodes stay as
    they are for ever. Made by `create`, `open` and `open_or_create`.

    Attributes:
        path: the store's folder.
        manifest: which episodes there are.
    """

    def __init__(self, path: Path, write: bool) -> None:
        self.path = path
        self._readers: dict[ColumnKind, ColumnReader] = {}
        self._contracts: dict[str, Contract] = {}
        self._adder: Adder | None = None
        self.manifest = Manifest(path, write)
        try:
            self._adder = Adder(path, self.manifest) if write else None
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str | os.PathLike[str], shard_bytes: int = SHARD_BYTES) -> Store:
        """Make an empty store where there is nothing yet, or an empty folder, and open it for adding.

        Args:
            path: its folder.
            shard_bytes: size of a full shard, all its columns together.

        Raises:
            InputError: there is something already, or shards would be too small for a row.
            OSError: it cannot be written.
        """
        path = Path(path)
        checks.whole("shard_bytes", shard_bytes, 1)
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()  # as good as nothing
        with creating(path) as draft:
            Manifest.create(draft, shard_bytes)
            (draft / "shards").mkdir()
            (draft / LOCK).touch()
        return cls(path, True)

    @classmethod
    def open(cls, path: str | os.PathLike[str], write: bool = False) -> Store:
        """Open a store.

        Args:
            path: its folder.
            write: whether to add to it; one process at a time may.

        Raises:
            InputError: there is none, it is of another version or damaged, or another process adds to it.
        """
        return cls(Path(path), write)

    @classmethod
    def open_or_create(cls, path: str | os.PathLike[str]) -> Store:
        """Open a store for adding; make it if there is nothing. Raises what `open` and `create` raise."""
        path = Path(path)
        there = path.exists() and (not path.is_dir() or any(path.iterdir()))
        return cls.open(path, write=True) if there else cls.create(path)

    # --- adding -------------------------------------------------------------------------------------------

    def add(
        self,
        episode: Episode,
        *,
        origin: str,
        policy: str = "",
        recorded: float | None = None,
        calibration: str = "",
        quality: Mapping[str, Any] | None = None,
    ) -> bool:
        """Add an episode; when this returns it is on the disk.

        The first one decides the store's layout. An episode is known by its content: its arrays, contract,
        task, seed and outcome. What is told about it (configuration, info, versions, and the arguments here)
        is no part of that.

        Args:
            episode: what happened.
            origin: where it comes from: a log's name, a dataset's, the command that generated it.
            policy: who acted: a bundle's hash, "teacher", or "" where nobody said.
            recorded: when it happened [s, Unix time]; None takes now.
            calibration: hash of the station's calibration, or "".
            quality: counts of what was wrong with its log, JSON-like.

        Returns:
            Whether it was added; False if an episode of the same content is there already.

        Raises:
            InputError: the episode is not valid or of another layout (every gap is named), or the store was
                opened for reading.
            OSError: it cannot be written, because the disk is full for example; the store is as before.
        """
        adder = self._adding()
        return adder.add(
            episode,
            origin=origin,
            policy=policy,
            recorded=recorded,
            calibration=calibration,
            quality=quality or {},
        )

    def group(self) -> AbstractContextManager[None]:
        """For many episodes: those added in the block go to the disk together when it ends, or none of them.

        A trip to the disk takes some milliseconds, or a second where others use it, too.

        Raises:
            InputError: the store was opened for reading.
            OSError: when the block ends, as `add`.
        """
        return self._adding().group()

    def _adding(self) -> Adder:
        if self._adder is None:
            raise InputError(f"{str(self.path)!r} was opened for reading: open it with write=True to add")
        return self._adder

    # --- reading ------------------------------------------------------------------------------------------

    @property
    def layout(self) -> dict[str, str]:
        """What all its episodes have in common, in words; empty before the first episode."""
        shape = self.manifest.shape()
        return {} if shape is None else shape[1]

    def episodes(self, query: Query | None = None) -> list[EpisodeRow]:
        """The episodes that a query selects (None: all) of those committed now, in the order of adding."""
        return self.manifest.episodes(query or Query())

    def contract(self, row: EpisodeRow) -> Contract:
        """An episode's contract."""
        if row.contract not in self._contracts:
            self._contracts[row.contract] = Contract.from_json(self.manifest.contract(row.contract))
        return self._contracts[row.contract]

    def columns(self) -> dict[str, ColumnReader]:
        """The store's columns by name ("observations/front", "requested"), memory-mapped."""
        shape = self.manifest.shape()
        if shape is None:
            return {}
        for kind in self.manifest.kinds().values():
            if kind not in self._readers:
                self._readers[kind] = ColumnReader(self.path, kind, shape[0])
        return {kind.name: reader for kind, reader in self._readers.items()}

    def load(self, row: EpisodeRow) -> Episode:
        """An episode as it was added, its readings as float32.

        Raises:
            InputError: the store is damaged; `robolearn data verify` says where.
        """
        record = self.manifest.record(row.number)
        columns = self.columns()
        parts: dict[str, Any] = {"observations": {}, "reward_terms": {}, "expert": None}
        for name in record["digests"]:
            array = columns[name].span(row.first, row.first + row.rows_of(name))
            group, _, key = name.partition("/")
            if key:
                parts[group][key] = array
            else:
                parts[name] = array
        kept = {name: record[name] for name in ("config", "seed", "info", "versions")}
        outcome = Outcome(**record["outcome"])
        return Episode(contract=self.contract(row), outcome=outcome, task=row.task, **kept, **parts)

    # --- the end ------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of everything; what was read stays usable."""
        if self._adder is not None:
            self._adder.close()
        self.manifest.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
