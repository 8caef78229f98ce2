"""Pairs what was seen with what was done: the actions of an episode, as the environment's record has them.

Action t was chosen on observation t. It governs from the monitor's first tick that passed on its request
until that of the next. `filtered` and `sent` are those of the last tick in this time, as in the environment,
where a request is held for a control period and the limiter may need some ticks to get there. Where requests
come much faster than observations, as from a program that computes an impedance, they are means over this
time.

Not every observation has a request of its own. While an earlier one stands and is passed on, it is that one;
once the monitor holds the arm, nothing was asked (NaN), and `source` says who acted. An episode is cut where
more than one observation in a row is missing, or a torque is: no transition spans what is not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from robolearn.data.episode import Source
from robolearn.data.importing.matching import Seen
from robolearn.data.importing.recipe import Recipe
from robolearn.data.importing.replay import Played
from robolearn.data.importing.ticks import Ticks
from robolearn.hardware.recording.reader import LAST
from robolearn.hardware.wire import SECOND, Array

LONGEST = 2.5
"""Observations farther apart than this many control periods have nothing to do with one another."""

STANDING = SECOND // 4
"""A torque of a stranger's log holds for so long, unless another comes [ns]."""

NEAR = SECOND // 50
"""What was let through and what was sent at a tick are recorded no farther apart [ns]."""


@dataclass(frozen=True, eq=False)
class Part:
    """A run of T steps without a hole; arrays as in `Episode`.

    Attributes:
        seen: the T + 1 observations.
        requested, filtered, sent, source: (T, ...).
        altered: whether the limiter changed anything in a step, at any of its ticks, (T,).
        live: whether anything was sent, (T,).
        last: whether it goes on to the episode's end.
    """

    seen: list[Seen]
    requested: Array
    filtered: Array
    sent: Array
    source: NDArray[np.uint8]
    altered: NDArray[np.bool_]
    live: NDArray[np.bool_]
    last: bool


def parts_of(
    played: Played, recipe: Recipe, ticks: Ticks, begin: int, end: int, counts: Counter[str]
) -> Iterator[Part]:
    """The steps of an episode, cut where something is missing.

    Args:
        played: what happened.
        recipe: how it was read.
        ticks: what was let through.
        begin, end: of the episode, by the clock of the stamps [ns].
        counts: of what was missing, in words; added to.
    """
    steps = _Steps(played, recipe, ticks)
    farthest = LONGEST * SECOND / recipe.contract.control_rate
    seen, begins = played.seen, steps.begins
    start = steps.first_action(begin)
    run: list[_Step] = []
    for k, (now, after) in enumerate(pairwise(seen)):
        if begins[k] < start:
            continue
        over = begins[k] > end
        near = after.moment - now.moment <= farthest
        step = steps.step(k, min(begins[k + 1], end + 1)) if near and not over else None
        if step is not None:
            run.append(step)
            continue
        if run:
            yield _part(seen[k - len(run) : k + 1], run, last=over)
            run = []
            counts["cut where observations are missing"] += not near and not over
            counts["cut where a torque is missing"] += near and not over
        if over:
            return
    if run:
        yield _part(seen[len(seen) - 1 - len(run) :], run, last=True)


def _part(seen: list[Seen], run: list[_Step], last: bool) -> Part:
    return Part(
        seen,
        np.array([step.requested for step in run]),
        np.array([step.filtered for step in run]),
        np.array([step.sent for step in run]),
        np.array([step.source for step in run], np.uint8),
        np.array([step.altered for step in run]),
        np.array([step.live for step in run]),
        last,
    )


@dataclass(frozen=True, eq=False)
class _Step:
    """An action, from when it took over to when the next did; arrays as in `Episode`, one row."""

    requested: Array
    filtered: Array
    sent: Array
    source: Source
    altered: bool
    live: bool


class _Steps:
    """Makes the steps of an episode.

    Attributes:
        begins: when the action on each observation takes over from the one before [ns], increasing.
    """

    def __init__(self, played: Played, recipe: Recipe, ticks: Ticks) -> None:
        self._played, self._recipe, self._ticks = played, recipe, ticks
        self._n = len(recipe.contract.joints)
        self._sent_at = np.array([torque.now for torque in played.sent], np.int64)
        grips = [(t.now, t.gripper) for t in played.asked if np.isfinite(t.gripper)] or played.grips
        self._grip_at = np.array([now for now, _ in grips], np.int64)
        self._grips = [grip for _, grip in grips]
        self.begins = self._begins()

    def _begins(self) -> list[int]:
        contract, ticks, played = self._recipe.contract, self._ticks, self._played
        first: dict[int, int] = {}
        for now, number in zip(ticks.now.tolist(), ticks.asked.tolist(), strict=True):
            first.setdefault(number, now)
        answered = {
            k: first.get(seen.asked, played.asked[seen.asked].now)
            for k, seen in enumerate(played.seen)
            if seen.asked is not None
        }
        # without a request of its own: as late as the others, or as it would be in deployment, where an
        # observation is seen after its delay, and a torque is sent a command's delay before it acts
        usual = contract.delays.get("observation", 0.0) + contract.delays.get("action", 0.0)
        lag = round(SECOND * max(0.0, usual - self._recipe.wiring.command_delay))
        if answered:
            lag = round(np.median([begin - played.seen[k].moment for k, begin in answered.items()]))
        result: list[int] = []
        for k, seen in enumerate(played.seen):
            begin = answered.get(k, seen.moment + lag)
            result.append(max(begin, result[-1] + 1) if result else begin)
        return result

    def first_action(self, begin: int) -> int:
        """When the first action of the episode took over [ns]: until then the arm was held for it."""
        if not self._recipe.labelled:
            return begin
        asked = [i for i, torque in enumerate(self._played.asked) if torque.now > begin]
        if not asked:
            return LAST
        let = self._ticks.now[self._ticks.asked >= asked[0]]
        return int(let[0]) if let.size else self._played.asked[asked[0]].now

    def step(self, k: int, until: int) -> _Step | None:
        """The action on observation k, until then; None where the log does not tell of it."""
        n, ticks = self._n, self._ticks
        if not self._recipe.labelled:
            nothing, unknown = np.zeros(n), np.full(n, np.nan)
            action = self._with_gripper(unknown, None, until)
            return _Step(action, nothing, nothing, Source.OPERATOR, False, False)
        mine, own = self._governed(self.begins[k], until), self._played.seen[k].asked
        if not mine.size:
            return None
        altered, last, asked = bool(ticks.altered[mine].any()), mine[-1], ticks.asked[mine]
        if ticks.passing[last] and own is None and self._streams(asked[-1]):
            mine = mine[[self._streams(number) for number in asked]]
        elif ticks.passing[last] and (asked == own).any():
            mine = mine[asked == own][-1:]
        else:
            mine = mine[-1:]
        numbers = [i for i in ticks.asked[mine].tolist() if i >= 0] if own is None else [own]
        torques = [self._played.asked[i].torque for i in numbers] or [np.full(n, np.nan)]
        live = bool(ticks.live[last])
        sent = self._sent(ticks.now[mine]) if live else np.zeros((1, n))  # in shadow the arm receives nothing
        if sent is None:
            return None
        acted = live and ticks.passing[last] and numbers
        return _Step(
            self._with_gripper(np.mean(torques, axis=0), numbers[-1] if numbers else None, ticks.now[last]),
            ticks.torque[mine].mean(0) if live else np.zeros(n),
            sent.mean(0),
            self._played.asked[numbers[-1]].source if acted else Source.MONITOR,
            altered,
            live,
        )

    def _streams(self, number: int) -> bool:
        """Whether a request is one of many that answer no observation of their own."""
        answers = self._recipe.answers and self._played.asked[number].source is self._recipe.source
        return number >= 0 and not answers

    def _governed(self, begin: int, until: int) -> NDArray[np.int64]:
        """The ticks in [begin, until)."""
        now = self._ticks.now
        first, stop = np.searchsorted(now, [begin, until]).tolist()
        if first == stop and not self._recipe.ours and first > 0 and begin - now[first - 1] <= STANDING:
            first -= 1  # a stranger's torques may come seldom; the last one still holds
        return np.arange(first, stop)

    def _with_gripper(self, torque: Array, number: int | None, time: int) -> Array:
        """An action of a torque, with what its request told the gripper, or what that had been told by a time
        (NaN: nothing)."""
        if not self._recipe.contract.action.gripper:
            return torque
        told = np.nan if number is None else self._played.asked[number].gripper
        place = int(np.searchsorted(self._grip_at, time, "right")) - 1
        if not np.isfinite(told) and place >= 0:
            told = self._grips[place]
        return np.append(torque, told)

    def _sent(self, times: NDArray[np.int64]) -> Array | None:
        """What was sent at ticks (m, n) [N·m]; None where the log does not tell."""
        if not len(self._sent_at):
            return None
        after = np.searchsorted(self._sent_at, times).clip(1, max(len(self._sent_at) - 1, 1))
        before, after = after - 1, after.clip(max=len(self._sent_at) - 1)
        nearer = np.abs(self._sent_at[before] - times) <= np.abs(self._sent_at[after] - times)
        nearest = np.where(nearer, before, after)
        if (np.abs(self._sent_at[nearest] - times) > NEAR).any():
            return None
        return np.array([self._played.sent[i].torque for i in nearest.tolist()])
