"""Parquet: rows of numbers and pictures as columns, files that are written and read piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from robolearn.errors import InputError

Array = NDArray[Any]

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""A picture as Hugging Face's `datasets` keeps it: the bytes of its file, and that file's name."""

_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_TIFF = [cv2.IMWRITE_TIFF_COMPRESSION, 1]  # none


def from_numbers(rows: Array) -> pa.Array:
    """(T, ...) as T numbers, or as T lists of all numbers of a row."""
    size = int(np.prod(rows.shape[1:]))
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    return flat if size == 1 else pa.FixedSizeListArray.from_arrays(flat, size)


def to_numbers(name: str, column: pa.ChunkedArray) -> Array:
    """A column of numbers or of (nested) lists of as many numbers each, as (T,) or (T, ...).

    Raises:
        InputError: it holds something else, or nothing in some row.
    """
    array = column.combine_chunks()
    shape = [len(array)]
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or _is_fixed(array.type)):
            break
        if array.null_count or len(pc.unique(pc.list_value_length(array))) > 1:
            raise InputError(f"{name} has rows of different lengths")
        inner = array.flatten()
        shape.append(len(inner) // max(len(array), 1))
        array = inner
    numeric = (
        pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)
    )
    if not numeric or array.null_count:
        raise InputError(
            f"{name} is of {column.type}, and lacks {array.null_count} values; it must be numbers"
        )
    return array.to_numpy(zero_copy_only=False).reshape(shape)


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def from_pictures(rows: Array) -> pa.Array:
    """RGB pictures uint8 (T, h, w, 3) as PNG, depth float32 (T, h, w) as TIFF."""
    files = [_packed(row) for row in rows]
    paths = pa.nulls(len(files), pa.string())
    return pa.StructArray.from_arrays([pa.array(files, pa.binary()), paths], fields=list(PICTURE))


def _packed(row: Array) -> bytes:
    if row.ndim == 2:
        return cv2.imencode(".tiff", row, _TIFF)[1].tobytes()
    return cv2.imencode(".png", np.ascontiguousarray(row[:, :, ::-1]), _PNG)[1].tobytes()


def to_pictures(name: str, column: pa.ChunkedArray, depth: bool) -> Array:
    """A column of pictures of one size: uint8 (T, h, w, 3), or depth (T, h, w) as it was stored.

    Raises:
        InputError: a picture that is none, or that is not in the table but in a file elsewhere.
    """
    rows = []
    for entry in column:
        data = entry["bytes"].as_py() if pa.types.is_struct(column.type) else None
        if data is None:
            raise InputError(
                f"{name} holds no pictures but the names of files; LeRobot writes them into the table"
            )
        picture = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if depth else cv2.IMREAD_COLOR
        )
        if picture is None or picture.ndim != (2 if depth else 3):
            raise InputError(f"{name} holds {len(data)} bytes that are no {'depth' if depth else 'picture'}")
        rows.append(picture if depth else picture[:, :, ::-1])
    if len({row.shape for row in rows}) > 1:
        raise InputError(f"{name} has pictures of different sizes")
    return np.stack(rows)


class TableWriter:
    """A parquet file that is written row by row, `group` rows at a time.

    Args:
        path: of the file; its folder is made.
        group: rows that wait in memory.
    """

    def __init__(self, path: Path, group: int) -> None:
        self._path, self._group = path, group
        self._waiting: list[Mapping[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        self._waiting.append(row)
        if len(self._waiting) == self._group:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            schema = self._writer.schema if self._writer is not None else None
            self.write(pa.Table.from_pylist(self._waiting, schema))
            self._waiting = []

    def write(self, table: pa.Table) -> None:
        """Add a table as a group of rows."""
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    @property
    def size(self) -> int:
        """Of the file so far [bytes]."""
        return self._path.stat().st_size if self._writer is not None else 0

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._writer is not None:
            self._writer.close()


def write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """The table of tasks: LeRobot wants the task as pandas' index, which its metadata have to say."""
    entry = {"metadata": None, "pandas_type": "unicode", "numpy_type": "object"}
    columns = [
        {
            "name": "task_index",
            "field_name": "task_index",
            "metadata": None,
            "pandas_type": "int64",
            "numpy_type": "int64",
        },
        {"name": "task", "field_name": "task", **entry},
    ]
    told = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": list(tasks)})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(told)}), path)


class TableReader:
    """The rows of some parquet files, taken from the first to the last, so many at a time."""

    BATCH = 64  # rows: with pictures in them some megabytes

    def __init__(self) -> None:
        self._path: Path | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._left: pa.Table | None = None

    def take(self, path: Path, count: int) -> pa.Table:
        """The next `count` rows of a file; another file than before is begun at its first row.

        Raises:
            InputError: it is not there, is damaged or ends early.
        """
        if path != self._path:
            self._path, self._batches, self._left = path, batches_of(path, self.BATCH), None
        parts = [] if self._left is None else [self._left]
        have = sum(part.num_rows for part in parts)
        while have < count:
            batch = next(self._batches, None)
            if batch is None:
                raise InputError(f"{path} ends early: {count - have} rows are missing")
            parts.append(pa.Table.from_batches([batch]))
            have += batch.num_rows
        table = pa.concat_tables(parts)
        self._left = table.slice(count)
        return table.slice(0, count)


def batches_of(path: Path, size: int) -> Iterator[pa.RecordBatch]:
    """A parquet file's rows, at most `size` at a time.

    Raises:
        InputError: it is not there, or damaged.
    """
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}")
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(size)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is no parquet file, or it is damaged: {error}") from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """A small file, whole, but for columns of statistics; raises what `batches_of` raises."""
    rows: list[dict[str, Any]] = []
    for batch in batches_of(path, 1024):
        wanted = [name for name in batch.schema.names if not name.startswith("stats/")]
        rows += batch.select(wanted).to_pylist()
    return rows
