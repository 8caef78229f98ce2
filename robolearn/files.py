"""Writing files so that a reader never finds half of one, whatever happens to the writer."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
