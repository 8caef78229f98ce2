"""Single keys of a terminal, without waiting for the end of a line."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """A function that returns the keys pressed since its last call; none where there is no terminal."""
    if not sys.stdin.isatty():
        yield lambda: ""
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed() -> str:
        found = ""
        while select.select([sys.stdin], [], [], 0.0)[0]:
            found += sys.stdin.read(1)
        return found

    try:
        tty.setcbreak(descriptor)  # Ctrl-C stays a signal
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
