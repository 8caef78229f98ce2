"""Ctrl-C as a request: the first ends the work in good order, the second at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """While open, notes Ctrl-C (and SIGTERM, which clusters send before they kill) instead of raising it.

    The second one raises KeyboardInterrupt, and so does the first after `raising` is set. Outside the main
    thread, where signals cannot be caught, it notes nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether there was one."""
        self.raising = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again or self.raising:
            raise KeyboardInterrupt
