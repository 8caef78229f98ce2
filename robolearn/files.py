"""Writing files so that a reader never finds half of one, whatever happens to the writer."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robolearn.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of a temporary file beside `path`, which takes its place if the block ends well.

    Whatever was at `path` before stays whole until then. The temporary file ends in the same suffix.

    Raises:
        OSError: the file cannot be written; the temporary one is gone.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def creating(path: Path) -> Iterator[Path]:
    """Gives an empty folder beside `path`, which becomes `path` if the block ends well; else it is gone.

    Raises:
        InputError: there is something at `path` already.
        OSError: nothing can be written there.
    """
    if path.exists():
        raise InputError(f"{str(path)!r} is there already, and it is not overwritten: choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.absolute().parent / f".{uuid.uuid4().hex}"
    try:
        draft.mkdir()
        yield draft
        for folder, _, files in os.walk(draft):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    os.fsync(file.fileno())
            flush_directory(Path(folder))
        os.rename(draft, path)
        flush_directory(draft.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def flush_directory(path: Path) -> None:
    """Wait until the disk has what a directory lists: which names there are, and what they stand for."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(folder: Path) -> None:
    """Look whether a file can be written in a folder, which is made if there is none: before the long work.

    Raises:
        InputError: none can; says why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"nothing can be written to {str(folder)!r}: {error.strerror or error}") from error
