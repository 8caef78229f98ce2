"""A file whose end waits in memory while the disk does not take it."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path


class Sink:
    """What mcap's Writer writes to.

    `write` and `tell` never fail, so that the Writer's offsets stay true; `drain` brings to the disk what
    waits, and can be called again after it failed. What is on the disk is always a good file's beginning.
    """

    def __init__(self, path: Path) -> None:
        """A new file.

        Raises:
            OSError: it cannot be made, or is there already.
        """
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self.behind = 0
        """Bytes that wait."""

    def write(self, data: bytes) -> int:
        """Take bytes for the end of the file."""
        if data:
            self._waiting.append(memoryview(data))
            self._size += len(data)
            self.behind += len(data)
        return len(data)

    def tell(self) -> int:
        """Size of the file with what waits."""
        return self._size

    def flush(self) -> None:
        """Nothing: the Writer calls it, and only `drain` touches the disk."""

    def drain(self) -> None:
        """Hand everything to the operating system; from there it survives this process.

        Raises:
            OSError: the disk refuses; what it did not take still waits.
        """
        while self._waiting:
            done = os.write(self._descriptor, self._waiting[0])
            self.behind -= done
            if done == len(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][done:]

    def sync(self) -> None:
        """Bring to the disk what the operating system has; from there it survives a power cut.

        Raises:
            OSError: the disk refuses.
        """
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let the file go, whether something waits or not."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
