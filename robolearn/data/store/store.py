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

import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.contract import Contract
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.data.store.columns import ColumnReader, ColumnWriter, sync_folder
from robolearn.data.store.layout import ColumnKind, columns_of, gaps_between, layout_of
from robolearn.data.store.manifest import EpisodeRow, Manifest, Query
from robolearn.errors import InputError

SHARD_BYTES = 10**9
"""Size of a full shard, all its columns together."""

LOCK = "writer.lock"


class Store:
    """A store, open for reading or for adding; use it as a context manager, or `close` it.

    Any number of processes may read while one adds. What a query returns is a snapshot: its episodes stay as
    they are for ever. Made by `create`, `open` and `open_or_create`.

    Attributes:
        path: the store's folder.
    """

    def __init__(self, path: Path, write: bool) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None
        self._writer: ColumnWriter | None = None
        self._readers: dict[ColumnKind, ColumnReader] = {}
        self._contracts: dict[str, Contract] = {}
        self._manifest = Manifest(path, write)
        if not write:
            return
        try:
            self._lock = _locked(path / LOCK)
            if (shape := self._manifest.shape()) is not None:
                self._writer = ColumnWriter(path, shape[0], self._manifest.rows())
                self._writer.mend(self._manifest.kinds().values())
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
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{str(path)!r} is there already: a store is made where there is nothing")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.absolute().parent / f".{uuid.uuid4().hex}"
        try:
            draft.mkdir()
            Manifest.create(draft, shard_bytes)
            (draft / "shards").mkdir()
            (draft / LOCK).touch()
            sync_folder(draft)
            os.replace(draft, path)
            sync_folder(path.absolute().parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
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
        if self._lock is None:
            raise InputError(
                f"{str(self.path)!r} was opened for reading: open it with write=True to add to it"
            )
        episode.validate()
        columns = columns_of(episode)
        layout = layout_of(episode)
        self._check_layout(layout, columns)
        digests = {kind.name: digest_of(kind, array) for kind, array in columns.items()}
        content = content_of(episode.contract.hash, episode.task, episode.seed, episode.outcome, digests)
        values = {
            "content": content,
            "steps": len(episode),
            "task": episode.task,
            "policy": _text("policy", policy),
            "origin": checks.text("origin", origin),
            "recorded": checks.number("recorded", time.time() if recorded is None else recorded),
            "success": int(episode.outcome.success),
            "reason": episode.outcome.reason,
            "contract": episode.contract.hash,
        }
        n = len(episode.contract.joints)
        record = {
            "seed": episode.seed,
            "altered": int((episode.requested[:, :n] != episode.filtered).any(1).sum())
            if episode.contract.action.kind == "torque"
            else 0,
            "operator": int((episode.source == Source.OPERATOR).sum()),
            "monitor": int((episode.source == Source.MONITOR).sum()),
            "calibration": _text("calibration", calibration),
            "quality": checks.json_like("quality", checks.mapping("quality", quality or {})),
            "versions": episode.versions,
            "config": episode.config,
            "info": episode.info,
            "outcome": asdict(episode.outcome),
            "digests": digests,
        }
        if self._manifest.has(content):
            return False
        self._commit(episode, layout, columns, {**values, "record": json.dumps(record)})
        return True

    def _check_layout(self, layout: Mapping[str, str], columns: Mapping[ColumnKind, Any]) -> None:
        if (shape := self._manifest.shape()) is None:
            return
        gaps = gaps_between(shape[1], layout)
        if gaps:
            lines = "\n".join(f"  {gap}" for gap in gaps)
            raise InputError(f"the episode does not fit the store {str(self.path)!r}:\n{lines}")
        kinds = self._manifest.kinds()
        for kind in columns:
            if kind.name in kinds and kinds[kind.name] != kind:
                known = kinds[kind.name]
                raise InputError(
                    f"{kind.name} has {kind.dtype} rows of shape {kind.shape}; "
                    f"in the store {str(self.path)!r} it has {known.dtype} rows of shape {known.shape}"
                )

    def _commit(
        self,
        episode: Episode,
        layout: Mapping[str, str],
        columns: Mapping[ColumnKind, NDArray[Any]],
        values: dict[str, Any],
    ) -> None:
        known = self._manifest.kinds()
        shape = self._manifest.shape()
        per_shard = self._rows_per_shard(columns) if shape is None else shape[0]
        first = self._manifest.rows()
        if self._writer is None:
            self._writer = ColumnWriter(self.path, per_shard, first)
        try:
            for kind, array in columns.items():
                self._writer.write(kind, array)
            stop = first + len(episode) + 1
            self._writer.bring_to_disk(stop)
            with self._manifest.transaction():
                if shape is None:
                    self._manifest.set_shape(per_shard, layout)
                for kind in columns:
                    if kind.name not in known:
                        self._manifest.add_kind(kind)
                self._manifest.add_contract(episode.contract.hash, episode.contract.to_json())
                self._manifest.add_episode({**values, "first": first})
        except OSError as error:
            problem = error.strerror or error
            raise OSError(
                error.errno, f"the episode was not added to {str(self.path)!r}, which is as before: {problem}"
            ) from error
        finally:  # whatever happened, Ctrl-C between two lines too: what counts is what was committed
            self._writer.settle(self._manifest.rows())
            if self._manifest.shape() is None:
                self._writer.close()
                self._writer = None

    def _rows_per_shard(self, columns: Mapping[ColumnKind, Any]) -> int:
        row = sum(kind.row_bytes for kind in columns)
        size = self._manifest.shard_bytes()
        headers = 256 * len(columns)  # at most, with all that NumPy leaves free in them
        if (rows := (size - headers) // row) < 1:
            raise InputError(f"a shard of {size} bytes is too small for rows of {row} bytes")
        return rows

    # --- reading ------------------------------------------------------------------------------------------

    @property
    def layout(self) -> dict[str, str]:
        """What all its episodes have in common, in words; empty before the first episode."""
        shape = self._manifest.shape()
        return {} if shape is None else shape[1]

    def episodes(self, query: Query | None = None) -> list[EpisodeRow]:
        """The episodes that a query selects (None: all) of those committed now, in the order of adding."""
        return self._manifest.episodes(query or Query())

    def contract(self, row: EpisodeRow) -> Contract:
        """An episode's contract."""
        if row.contract not in self._contracts:
            self._contracts[row.contract] = Contract.from_json(self._manifest.contract(row.contract))
        return self._contracts[row.contract]

    def columns(self) -> dict[str, ColumnReader]:
        """The store's columns by name ("observations/front", "requested"), memory-mapped."""
        shape = self._manifest.shape()
        if shape is None:
            return {}
        for kind in self._manifest.kinds().values():
            if kind not in self._readers:
                self._readers[kind] = ColumnReader(self.path, kind, shape[0])
        return {kind.name: reader for kind, reader in self._readers.items()}

    def load(self, row: EpisodeRow) -> Episode:
        """An episode as it was added, its readings as float32.

        Raises:
            InputError: the store is damaged; `robolearn data verify` says where.
        """
        record = self._manifest.record(row.number)
        columns = self.columns()
        parts: dict[str, Any] = {"observations": {}, "reward_terms": {}, "expert": None}
        for name in record["digests"]:
            more = name == "stamps" or name.startswith("observations/")  # a row more than there are actions
            array = columns[name].span(row.first, row.first + row.steps + more)
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
        if self._writer is not None:
            self._writer.close()
        self._manifest.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def digest_of(kind: ColumnKind, array: NDArray[Any]) -> str:
    """SHA-256 of an episode's part of a column, in hex."""
    digest = hashlib.sha256(f"{kind.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def content_of(contract: str, task: str, seed: int, outcome: Outcome, digests: Mapping[str, str]) -> str:
    """SHA-256 of what happened in an episode, in hex."""
    parts = [contract, task, seed, asdict(outcome), dict(digests)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _text(thing: str, value: object) -> str:
    return "" if value == "" else checks.text(thing, value)


def _locked(path: Path) -> IO[bytes]:
    """The lock file, held until it is closed or the process ends, however it ends."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "unknown"
        file.close()
        raise InputError(
            f"another process (pid {holder}) is adding to the store {str(path.parent)!r}: one at a time may"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n".encode())
    file.flush()
    return file
