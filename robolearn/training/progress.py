"""What a person sees of what takes long: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from robolearn.data.episode import Episode

QUIET = 10.0  # seconds between plain lines


class Display:
    """Shows how a training stands, on stderr.

    Args:
        budget: what the training may use: wall time [s], or anything else that is counted.
        told: how people read an amount of it; minutes and seconds if not given.
    """

    def __init__(self, budget: float, told: Callable[[float], str] | None = None) -> None:
        self._budget, self._as_words = budget, told or _clock
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

    def update(self, phase: str, used: float, facts: str) -> None:
        """Show the phase, how much of the budget is used, and some facts."""
        how_far = f"{self._as_words(used)}/{self._as_words(self._budget)}"
        if self._bar is not None:
            self._bar.update(self._task, description=phase, completed=used, rest=f"{how_far}  {facts}")
        elif time.monotonic() - self._told >= QUIET:
            self._told = time.monotonic()
            say(f"{how_far}  {phase}  {facts}")


@contextmanager
def progress_of(episodes: int) -> Iterator[Callable[[Episode], None]]:
    """Shows on stderr how many episodes are done and the success rate so far.

    A bar in a terminal, plain lines elsewhere. Yields what is to be called with every episode.
    """
    done = successes = 0
    console = Console(stderr=True)

    def rate() -> str:
        return f"success {successes / done:.3f}" if done else ""

    if not console.is_terminal:
        step = max(episodes // 10, 1)

        def tell(episode: Episode) -> None:
            nonlocal done, successes
            done, successes = done + 1, successes + episode.outcome.success
            if done % step == 0 or done == episodes:
                say(f"{done}/{episodes} episodes, {rate()}")

        yield tell
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=episodes)

        def advance(episode: Episode) -> None:
            nonlocal done, successes
            done, successes = done + 1, successes + episode.outcome.success
            bar.update(task, advance=1, description=rate())

        yield advance


def say(line: str) -> None:
    """Tell a person something, on stderr."""
    print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
