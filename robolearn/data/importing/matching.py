"""Finds the observation that each request of a policy came of: it has the stamp of the oldest thing in it.

In a log of the simulated clock the replay makes the very observations that the policy was shown. Over ROS,
recorder and policy hear of things some milliseconds apart, so that now and then the replay lays the grid of
moments through another picture, or misses one that the policy saw. A request tells, and is caught up with.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from robolearn.errors import InputError
from robolearn.hardware.alignment import Alignment, Observation
from robolearn.hardware.wire import SECOND

PATIENCE = SECOND // 10
"""What a request came of is in the log by so long after it, or not at all [ns]."""


@dataclass(eq=False)
class Seen:
    """An observation.

    Attributes:
        moment: which one it shows [ns].
        stamp: of the oldest thing in it [ns].
        values: by name.
        asked: number of the request that came of it; None if there was none.
    """

    moment: int
    stamp: int
    values: dict[str, NDArray[Any]]
    asked: int | None = None


class Matcher:
    """Makes observations as they fall due, and matches requests with them.

    Args:
        alignment: is told of messages by somebody else.
        begin: of the episode [ns].
        counts: of what was wrong, in words; added to.

    Attributes:
        seen: the observations, in order.
    """

    def __init__(self, alignment: Alignment, begin: int, counts: Counter[str]) -> None:
        self.seen: list[Seen] = []
        self._alignment, self._begin, self._counts = alignment, begin, counts
        self._answered = -1  # the last of `seen` that a request came of
        self._waiting: deque[tuple[int, int, int]] = deque()  # number, stamp and arrival of requests

    def look(self, now: int) -> None:
        """Make the observation that is due."""
        observation = self._make(lambda: self._alignment.prepare(now))
        if observation is not None:
            self.seen.append(Seen(self._alignment.moment, observation.stamp, observation.values))

    def look_at(self, moment: int, now: int) -> None:
        """Make an observation of any later moment."""
        observation = self._make(lambda: self._alignment.observe(moment, now))
        if observation is not None:
            self.seen.append(Seen(moment, observation.stamp, observation.values))

    def ask(self, number: int, stamp: int, now: int) -> None:
        """A request has come."""
        self._waiting.append((number, stamp, now))

    def answer(self, now: int) -> None:
        """Match the requests that wait, one after the other, as far as what they came of has come."""
        while self._waiting and self._match(*self._waiting[0], now):
            self._waiting.popleft()

    def _make(self, make: Callable[[], Observation | None]) -> Observation | None:
        try:
            return make()
        except InputError as error:  # a picture of another size, or one that is damaged
            self._counts[f"observation that cannot be made: {error}"] += 1
            return None

    def _match(self, number: int, stamp: int, asked_at: int, now: int) -> bool:
        """Whether the search for what a request came of is over."""
        for i in range(self._answered + 1, len(self.seen)):
            if self.seen[i].stamp == stamp:
                self._answered, self.seen[i].asked = i, number
                return True
        if self._answered >= 0 and stamp <= self.seen[self._answered].stamp:
            self._counts["request on an observation that was answered already"] += 1
        elif not self._catch_up(number, stamp, now):
            if now - asked_at < PATIENCE:
                return False
            self._counts["request whose observation is not in the log"] += 1
        return True

    def _catch_up(self, number: int, stamp: int, now: int) -> bool:
        """Make an observation of this stamp, and put it among the others; if need be, lay the grid anew."""
        period = self._alignment.period
        after = self.seen[self._answered].moment if self._answered >= 0 else self._begin
        due = self._alignment.next_moment
        first = stamp if due is None else due + (stamp - due) // period * period
        on_grid = [] if due is None else [first, first + period]
        pictures = [taken for taken in self._alignment.stamps() if stamp < taken < stamp + period]
        for moment in (*on_grid, stamp, *pictures):
            if moment <= after or self._alignment.oldest(moment) != stamp:
                continue
            observation = self._make(lambda moment=moment: self._alignment.observe(moment, now))  # type: ignore[misc]
            if observation is None:
                return False
            later = [s for s in self.seen[self._answered + 1 :] if abs(s.moment - moment) >= period // 2]
            anew = moment not in on_grid
            if anew:
                self._counts["grid of moments laid anew"] += 1
                later = [s for s in later if s.moment < moment]
            if anew or due is None or moment >= due:
                self._alignment.resume(moment)
            entry = Seen(moment, stamp, observation.values, number)
            self.seen[self._answered + 1 :] = sorted([*later, entry], key=lambda s: s.moment)
            self._answered = self.seen.index(entry)
            return True
        return False
