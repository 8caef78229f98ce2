"""What a format or a dataset cannot give: told once for each thing, with the number of episodes."""

from __future__ import annotations

from typing import NamedTuple


class Loss(NamedTuple):
    """One thing that did not come through.

    Attributes:
        thing: what, by its name.
        why: what happened to it.
        episodes: in how many episodes.
    """

    thing: str
    why: str
    episodes: int

    def __str__(self) -> str:
        return f"{self.thing}: {self.why} ({self.episodes} episode{'s' if self.episodes != 1 else ''})"


class Losses:
    """Counts losses while episodes go by; the same one is told once an episode."""

    def __init__(self) -> None:
        self._episodes: dict[tuple[str, str], int] = {}

    def add(self, thing: str, why: str) -> None:
        self._episodes[thing, why] = self._episodes.get((thing, why), 0) + 1

    def all(self) -> list[Loss]:
        """Every loss so far, in the order in which they were first met."""
        return [Loss(thing, why, count) for (thing, why), count in self._episodes.items()]
