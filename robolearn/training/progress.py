"""What a person sees of a running training: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

QUIET = 10.0  # seconds between plain lines


class Display:
    """Shows how a training stands, on stderr.

    Args:
        budget: wall time that the training may use [s].
    """

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._console = Console(stderr=True, highlight=False)
        self._told = -QUIET
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[rest]}"))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("starting", total=self._budget, rest="")

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Tell something that does not happen all the time."""
        if self._bar is not None:
            self._console.print(line, markup=False)
        else:
            say(line)

    def update(self, phase: str, seconds: float, facts: str) -> None:
        """Show the phase, the clock and some facts."""
        if self._bar is not None:
            rest = f"{_clock(seconds)}/{_clock(self._budget)}  {facts}"
            self._bar.update(self._task, description=phase, completed=seconds, rest=rest)
        elif time.monotonic() - self._told >= QUIET:
            self._told = time.monotonic()
            say(f"{_clock(seconds)}/{_clock(self._budget)}  {phase}  {facts}")


def say(line: str) -> None:
    """Tell a person something, on stderr."""
    print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
