"""Looking for damage: the rows of a store against their checksums, the manifest's entries, the headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from robolearn.data.store.adding import content_of, digest_of
from robolearn.data.store.layout import ColumnKind
from robolearn.data.store.store import Store
from robolearn.errors import InputError


def verify(store: Store) -> Iterator[list[str]]:
    """Check a store, in steps that take a moment each.

    Yields:
        what is wrong, in a sentence each: first with the manifest and the files, then with each episode in
        the order of adding. Empty lists where all is well.

    Raises:
        InputError: the manifest cannot be read at all.
    """
    columns = store.columns()
    kinds = [column.kind for column in columns.values()]
    yield [
        *store.manifest.damages(),
        *(p for path in shard_files(store) for p in _file_problems(path, kinds)),
    ]
    expected = 0
    for row in store.episodes():
        record, problems = store.manifest.record(row.number), []
        try:
            found = store.contract(row).hash
        except InputError as error:
            found = str(error)
        if found != row.contract:
            problems.append(f"its contract should be {row.contract}: {found}")
        if row.first != expected:
            problems.append(f"it begins at row {row.first}; the one before ends at {expected}")
        if content_of(row.contract, row.task, row.seed, row.outcome, record["digests"]) != row.content:
            problems.append("its entry does not belong to its content")
        for name, digest in record["digests"].items():
            column = columns[name]
            try:
                array = column.span(row.first, row.first + row.rows_of(name))
            except InputError as error:
                problems.append(str(error))
                continue
            if digest_of(column.kind, array) != digest:
                problems.append(f"{name} is not as it was written")
        expected = row.stop
        yield [f"episode {row.number}: {problem}" for problem in problems]


def shard_files(store: Store) -> list[Path]:
    """All files with rows."""
    return sorted((store.path / "shards").glob("*/[!.]*.npy"))


def _file_problems(path: Path, kinds: list[ColumnKind]) -> list[str]:
    """Whether NumPy reads a file as what it should be; more rows than are committed do not matter."""
    kind = next((kind for kind in kinds if kind.name.replace("/", ".") == path.stem), None)
    if kind is None:
        return []  # left by a writer that was killed before its first commit
    try:
        with path.open("rb") as file:
            npy.read_magic(file)
            shape, fortran, dtype = npy.read_array_header_1_0(file)
            start = file.tell()
        if (shape[1:], fortran, dtype) != (kind.shape, False, np.dtype(kind.dtype)):
            return [f"{path}: its header says {dtype} rows of shape {shape[1:]}"]
        if (path.stat().st_size - start) // kind.row_bytes < shape[0]:
            return [f"{path}: its header says {shape[0]} rows, and it is too short for them"]
    except Exception as error:  # a damaged header raises whatever its bytes lead to
        return [f"{path}: it is no .npy file: {error}"]
    return []
