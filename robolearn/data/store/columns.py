"""Columns on disk: for each shard of rows one .npy file, which `numpy.load` reads at any time.

Row r of a column stands in shard r // per_shard. The header of NumPy's format has room for a growing first
axis, so that its size never changes and the rows begin at a fixed place. A file's header is rewritten after
its rows have been committed: it never promises rows that might be missing.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from robolearn.data.store.layout import ColumnKind
from robolearn.errors import InputError
from robolearn.files import flush_directory, replacing

Array = NDArray[Any]
Rows = NDArray[np.int64]


@functools.lru_cache
def header_of(kind: ColumnKind, rows: int) -> bytes:
    """The bytes that a .npy file of so many rows begins with; as many of them whatever the number."""
    file = io.BytesIO()
    shape = (rows, *kind.shape)
    npy.write_array_header_1_0(file, {"descr": kind.dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def shard_path(folder: Path, shard: int, kind: ColumnKind) -> Path:
    """Where a column's rows of a shard are: `shards/00000/observations.front.npy`."""
    return folder / "shards" / f"{shard:05d}" / f"{kind.name.replace('/', '.')}.npy"


def pieces(first: int, stop: int, per_shard: int) -> Iterator[tuple[int, int, int]]:
    """The rows from `first` to before `stop` by shard: (shard, first row in it, row in it to stop before)."""
    while first < stop:
        shard, begin = divmod(first, per_shard)
        end = min(per_shard, begin + stop - first)
        yield shard, begin, end
        first += end - begin


class ColumnReader:
    """A column's committed rows, memory-mapped.

    Args:
        folder: the store's.
        kind: the column.
        per_shard: rows in a full shard.
    """

    def __init__(self, folder: Path, kind: ColumnKind, per_shard: int) -> None:
        self.kind = kind
        self._folder, self._per_shard = folder, per_shard
        self._offset = len(header_of(kind, 0))
        self._maps: dict[int, Array] = {}

    def take(self, rows: Rows, out: Array | None = None) -> Array:
        """Rows by their numbers: (...,) to (..., *shape), copied, into `out` if there is one.

        Raises:
            InputError: a file that is too short for its rows, or not there.
        """
        flat = rows.reshape(-1)
        if out is None:
            out = np.empty((*rows.shape, *self.kind.shape), self.kind.dtype)
        result = out.reshape(flat.size, *self.kind.shape)  # a view: `out` lies in one piece
        if flat.size:
            shard_of = flat // self._per_shard
            lowest, highest = int(shard_of.min()), int(shard_of.max())
            if lowest == highest:
                self._take_from(lowest, flat - lowest * self._per_shard, result)
            else:
                for shard in np.unique(shard_of).tolist():
                    mine = np.flatnonzero(shard_of == shard)
                    part = np.empty((mine.size, *self.kind.shape), self.kind.dtype)
                    self._take_from(shard, flat[mine] - shard * self._per_shard, part)
                    result[mine] = part
        return out

    def span(self, first: int, stop: int) -> Array:
        """The rows from `first` to before `stop`, copied; raises what `take` raises."""
        result = np.empty((stop - first, *self.kind.shape), self.kind.dtype)
        done = 0
        for shard, begin, end in pieces(first, stop, self._per_shard):
            result[done : done + end - begin] = self._map(shard, end)[begin:end]
            done += end - begin
        return result

    def _take_from(self, shard: int, rows: Rows, out: Array) -> None:
        # "clip" writes into `out` directly; that the rows exist is seen to by `_map`.
        np.take(self._map(shard, int(rows.max()) + 1), rows, axis=0, out=out, mode="clip")

    def _map(self, shard: int, rows: int) -> Array:
        """The shard's file as an array of at least so many rows."""
        known = self._maps.get(shard)
        if known is not None and len(known) >= rows:
            return known
        path = shard_path(self._folder, shard, self.kind)
        try:
            found = (path.stat().st_size - self._offset) // self.kind.row_bytes
            if found < rows:
                raise InputError(f"{path} is damaged: it has {max(found, 0)} rows of {rows}")
            shape = (min(found, self._per_shard), *self.kind.shape)
            mapped = np.memmap(path, self.kind.dtype, "r", self._offset, shape)
        except FileNotFoundError as error:
            raise InputError(f"{path} is missing: the store is damaged") from error
        self._maps[shard] = np.asarray(mapped)  # a plain array: indexing a memmap costs ten times as much
        return self._maps[shard]


class ColumnWriter:
    """Appends rows to the columns of a store; whoever makes one holds the store's lock.

    Args:
        folder: the store's.
        per_shard: rows in a full shard.
        rows: how many are committed; what is behind them is overwritten.
    """

    def __init__(self, folder: Path, per_shard: int, rows: int) -> None:
        self._folder, self._per_shard, self._rows = folder, per_shard, rows
        self._files: dict[tuple[int, ColumnKind], int] = {}
        self._changed: set[Path] = set()  # folders that list more than the disk knows

    def write(self, kind: ColumnKind, array: Array, first: int, stop: int) -> None:
        """Put rows from number `first` on, behind the committed ones; up to `stop`, zeros where they end."""
        done = 0
        for shard, begin, end in pieces(first, stop, self._per_shard):
            offset = len(header_of(kind, 0)) + begin * kind.row_bytes
            data = array[done : done + end - begin].reshape(-1).view(np.uint8).data
            file = self._file(shard, kind)
            while data:
                written = os.pwrite(file, data, offset)
                data, offset = data[written:], offset + written
            done += end - begin

    def bring_to_disk(self, stop: int) -> None:
        """Give every open file its rows up to `stop`, zeros where none were written; wait for the disk."""
        for shard, kind in self._files:
            self._resize(shard, kind, stop)
        with ThreadPoolExecutor(len(self._files)) as pool:  # the disk takes what waits together in one go
            list(pool.map(os.fsync, self._files.values()))
        while self._changed:
            flush_directory(self._changed.pop())

    def settle(self, rows: int) -> None:
        """So many rows are committed: headers and sizes say so, and full shards are let go.

        A disk that refuses changes nothing: files may be longer than they need be, headers say fewer rows.
        """
        self._rows = rows
        for (shard, kind), file in list(self._files.items()):
            in_shard = self._in_shard(shard, rows)
            with contextlib.suppress(OSError):
                self._resize(shard, kind, rows)
                os.pwrite(file, header_of(kind, in_shard), 0)
            if in_shard == self._per_shard:
                os.close(self._files.pop((shard, kind)))

    def mend(self, kinds: Iterable[ColumnKind]) -> None:
        """Settle every file that a writer which was killed may have left with another size or header.

        Raises:
            InputError: a file lacks committed rows.
        """
        last = self._rows // self._per_shard
        for stray in (self._folder / "shards").glob("*/.*"):  # of a file that was being made
            stray.unlink()
        for folder in sorted((self._folder / "shards").iterdir()):
            for kind in kinds:
                path = shard_path(self._folder, int(folder.name), kind)
                if not path.exists():
                    continue
                rows, header = self._in_shard(int(folder.name), self._rows), header_of(kind, 0)
                if path.stat().st_size < len(header) + rows * kind.row_bytes:
                    raise InputError(f"{path} is damaged: it is too short for its {rows} rows")
                self._file(int(folder.name), kind)
        self.settle(self._rows)
        for shard, kind in [key for key in self._files if key[0] != last]:
            os.close(self._files.pop((shard, kind)))

    def close(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    def _in_shard(self, shard: int, rows: int) -> int:
        return min(max(rows - shard * self._per_shard, 0), self._per_shard)

    def _resize(self, shard: int, kind: ColumnKind, rows: int) -> None:
        size = len(header_of(kind, 0)) + self._in_shard(shard, rows) * kind.row_bytes
        os.ftruncate(self._files[shard, kind], size)

    def _file(self, shard: int, kind: ColumnKind) -> int:
        """The shard's open file, made if there is none."""
        if (shard, kind) not in self._files:
            path = shard_path(self._folder, shard, kind)
            if not path.parent.exists():
                path.parent.mkdir()
                self._changed.add(path.parent.parent)
            # With no committed row in the shard, whatever is in the file is of a writer that was killed.
            if self._in_shard(shard, self._rows) == 0 or not path.exists():
                with replacing(path) as empty:
                    empty.write_bytes(header_of(kind, 0))
                self._changed.add(path.parent)
            self._files[shard, kind] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return self._files[shard, kind]
