"""How a loop is run and shown; what it comes to does not depend on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

Tell = Callable[[int, str], None]
"""Called with how much of a phase is done, and facts in words."""


def _silent(done: int, facts: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Manner:
    """How a loop is run; what it comes to does not depend on it.

    Attributes:
        workers: processes that simulate or import.
        keep_logs: whether logs stay once their episodes are in the store.
        say: is told what does not happen all the time.
        showing: given a phase and how much there is to do, shows how far it is in the block.
    """

    workers: int = 1
    keep_logs: bool = True
    say: Callable[[str], None] = lambda line: None
    showing: Callable[[str, int], AbstractContextManager[Tell]] = lambda phase, whole: nullcontext(_silent)
