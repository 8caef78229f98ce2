"""Adding episodes to a store: rows first, then one transaction of the manifest that makes them count."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.data.store.columns import ColumnWriter, header_of
from robolearn.data.store.layout import ColumnKind, columns_of, gaps_between, layout_of, refused
from robolearn.data.store.manifest import Manifest
from robolearn.errors import InputError

LOCK = "writer.lock"

Columns = Mapping[ColumnKind, NDArray[Any]]


class Adder:
    """The one that adds to a store; holds its lock until it is closed or the process ends, however it ends.

    Args:
        path: the store's folder.
        manifest: the store's, open for writing.

    Raises:
        InputError: another process adds to the store, or files lack rows that are committed.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path, self._manifest = path, manifest
        self._writer: ColumnWriter | None = None
        self._grouped = False
        self._shape: tuple[int, dict[str, str]] | None = None
        self._kinds: dict[str, ColumnKind] = {}
        self._rows = 0  # those written and not committed yet included
        self._entries: dict[str, dict[str, Any]] = {}  # by content: written and not committed yet
        self._contracts: dict[str, str] = {}  # of these
        self._lock = _locked(path / LOCK)
        try:
            self._return_to_committed()
            self._mend()
        except BaseException:
            self.close()
            raise

    def add(
        self,
        episode: Episode,
        *,
        origin: str,
        policy: str,
        recorded: float | None,
        calibration: str,
        quality: Mapping[str, Any],
    ) -> bool:
        """See `Store.add`."""
        episode.validate()
        columns, layout = columns_of(episode), layout_of(episode)
        self._check(layout, columns)
        digests = {kind.name: digest_of(kind, array) for kind, array in columns.items()}
        content = content_of(episode.contract.hash, episode.task, episode.seed, episode.outcome, digests)
        record = {
            "seed": episode.seed,
            "altered": _altered(episode),
            "operator": int((episode.source == Source.OPERATOR).sum()),
            "monitor": int((episode.source == Source.MONITOR).sum()),
            "calibration": _text("calibration", calibration),
            "quality": checks.json_like("quality", checks.mapping("quality", quality)),
            "versions": episode.versions,
            "config": episode.config,
            "info": episode.info,
            "outcome": asdict(episode.outcome),
            "digests": digests,
        }
        entry = {
            "content": content,
            "first": self._rows,
            "steps": len(episode),
            "task": episode.task,
            "policy": _text("policy", policy),
            "origin": checks.text("origin", origin),
            "recorded": checks.number("recorded", time.time() if recorded is None else recorded),
            "success": int(episode.outcome.success),
            "reason": episode.outcome.reason,
            "contract": episode.contract.hash,
            "record": json.dumps(record),
        }
        if self._manifest.has(content) or content in self._entries:
            return False
        with self._all_or_nothing():
            self._write(layout, columns, self._rows + len(episode) + 1)
            self._entries[content] = entry
            self._contracts[episode.contract.hash] = episode.contract.to_json()
            if not self._grouped:
                self._commit()
        return True

    @contextmanager
    def group(self) -> Iterator[None]:
        """See `Store.group`."""
        if self._grouped:
            raise RuntimeError("a group cannot hold another one")
        self._grouped = True
        try:
            yield
        except BaseException:
            self._return_to_committed()
            raise
        finally:
            self._grouped = False
        with self._all_or_nothing():
            self._commit()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._lock.close()

    def _mend(self) -> None:
        """Put right what a writer that was killed has left."""
        if self._writer is not None:
            self._writer.mend(self._kinds.values())

    def _check(self, layout: Mapping[str, str], columns: Columns) -> None:
        """Refuse what differs from the episodes that are there."""
        if self._shape is not None and (gaps := gaps_between(self._shape[1], layout)):
            lines = "\n".join(f"  {gap}" for gap in gaps)
            raise InputError(f"the episode does not fit the store {str(self._path)!r}:\n{lines}")
        for kind in columns:
            known = self._kinds.get(kind.name, kind)
            if known != kind:
                raise InputError(
                    f"{kind.name} has {kind.dtype} rows of shape {kind.shape}; "
                    f"in the store {str(self._path)!r} it has {known.dtype} rows of shape {known.shape}"
                )

    def _write(self, layout: Mapping[str, str], columns: Columns, stop: int) -> None:
        """Put rows behind those that are there, up to `stop`."""
        if self._shape is None:
            self._shape = (_rows_per_shard(columns, self._manifest.shard_bytes()), dict(layout))
        if self._writer is None:
            self._writer = ColumnWriter(self._path, self._shape[0], 0)
        for kind, array in columns.items():
            self._kinds[kind.name] = kind
            self._writer.write(kind, array, self._rows, stop)
        self._rows = stop

    def _commit(self) -> None:
        if not self._entries:
            return
        assert self._writer is not None
        assert self._shape is not None
        self._writer.bring_to_disk(self._rows)
        with self._manifest.transaction():
            self._manifest.set_shape(*self._shape)
            for kind in self._kinds.values():
                self._manifest.add_kind(kind)
            for content, text in self._contracts.items():
                self._manifest.add_contract(content, text)
            for entry in self._entries.values():
                self._manifest.add_episode(entry)
        self._entries, self._contracts = {}, {}
        self._writer.settle(self._rows)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Whatever happens in the block, Ctrl-C between two lines too: what counts is what was committed."""
        try:
            yield
        except BaseException as error:
            self._return_to_committed()
            if isinstance(error, OSError):
                problem = error.strerror or error
                told = OSError(f"nothing was added to {str(self._path)!r}, which is as before: {problem}")
                told.errno = error.errno
                raise told from error
            raise

    def _return_to_committed(self) -> None:
        """Forget what was not committed."""
        self._entries, self._contracts = {}, {}
        self._shape = self._manifest.shape()
        self._kinds = self._manifest.kinds()
        self._rows = self._manifest.rows()
        if self._writer is not None:
            self._writer.settle(self._rows)
        if self._shape is None and self._writer is not None:
            self._writer.close()
            self._writer = None
        elif self._shape is not None and self._writer is None:
            self._writer = ColumnWriter(self._path, self._shape[0], self._rows)


def digest_of(kind: ColumnKind, array: NDArray[Any]) -> str:
    """SHA-256 of an episode's part of a column, in hex."""
    digest = hashlib.sha256(f"{kind.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def content_of(contract: str, task: str, seed: int, outcome: Outcome, digests: Mapping[str, str]) -> str:
    """SHA-256 of what happened in an episode, in hex."""
    parts = [contract, task, seed, asdict(outcome), dict(digests)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _altered(episode: Episode) -> int:
    """Actions whose torque was not the one asked for when their step ended; 0 where none is asked for."""
    if episode.contract.action.kind != "torque":
        return 0
    return int(refused(episode.requested[:, : episode.filtered.shape[1]], episode.filtered).sum())


def _rows_per_shard(columns: Columns, shard_bytes: int) -> int:
    row = sum(kind.row_bytes for kind in columns)
    headers = sum(len(header_of(kind, 0)) for kind in columns)
    if (rows := (shard_bytes - headers) // row) < 1:
        raise InputError(f"a shard of {shard_bytes} bytes is too small for rows of {row} bytes")
    return rows


def _text(thing: str, value: object) -> str:
    return "" if value == "" else checks.text(thing, value)


def _locked(path: Path) -> IO[bytes]:
    """The lock file, with this process's number in it; the system frees it when the process ends."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip()
        file.close()
        raise InputError(
            f"process {holder} is adding to the store {str(path.parent)!r}: one at a time may"
        ) from error
    file.truncate(0)
    file.write(b"%d\n" % os.getpid())
    file.flush()
    return file
