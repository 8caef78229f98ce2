"""What the two formats in HDF5 share: files that may be damaged, and arrays that may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError

Array = NDArray[Any]

HEADER = "robolearn"
"""Name of the dataset, in an episode's group, that holds the episode's header: a text, so of any length."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file, open for reading; whatever HDF5 finds wrong with it in the block becomes an InputError."""
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # h5py raises each for damaged files
        raise InputError(f"{path} is no HDF5 file, or it is damaged: {error}") from error


@contextmanager
def created(path: Path) -> Iterator[h5py.File]:
    """A new file, open for writing.

    Raises:
        OSError: it cannot be written, because the disk is full for example.
    """
    file = h5py.File(path, "w", track_order=True)
    try:
        yield file
    except BaseException:
        with suppress(RuntimeError):  # what was the matter with the disk has been told
            file.close()
        raise
    try:
        file.close()
    except RuntimeError as error:  # what HDF5 could not write in the end
        raise OSError(f"{path.name} cannot be written: {error}") from error


def write_header(group: h5py.Group, header: str) -> None:
    """Put an episode's header beside its arrays."""
    group.create_dataset(HEADER, data=header, dtype=h5py.string_dtype())


def read_header(group: h5py.Group) -> str | None:
    """The episode's header; None in a file that somebody else wrote."""
    found = group.get(HEADER)
    return found.asstr()[()] if isinstance(found, h5py.Dataset) and found.shape == () else None


def array(group: h5py.Group, name: str) -> Array:
    """An array in a group, whole.

    Raises:
        InputError: there is none of that name.
    """
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{group.name} lacks {name!r}; it has {', '.join(group) or 'nothing'}")
    return np.asarray(found[()])


def arrays_below(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every dataset in a group and its subgroups, by its path joined with "_"."""
    for name, entry in group.items():
        if isinstance(entry, h5py.Dataset):
            yield name, entry
        else:
            yield from ((f"{name}_{below}", found) for below, found in arrays_below(entry))
