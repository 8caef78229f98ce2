"""The ticks of an episode: the torque that was let through at each, from which request, and in what state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robolearn.data.importing.recipe import Recipe
from robolearn.data.importing.replay import Played
from robolearn.hardware.limiter import CAUSES
from robolearn.hardware.wire import SECOND, Array

SAME = 1e-9
"""Torques that differ by less, in N·m for each N·m, differ by rounding: gravity was added and taken off."""

_SLACK = 2_000_000  # a monitor's state is told right after the torque of the same tick [ns]


@dataclass(frozen=True, eq=False)
class Ticks:
    """The torques that were let through, one row a tick of whoever let them.

    Attributes:
        now: when (m,) [ns].
        torque: (m, n) [N·m].
        asked: number of the request that each came from, or -1, (m,).
        passing: whether requests were passed on, (m,).
        live: whether anything was sent, (m,).
        altered: whether it is another torque than the request's, (m,).
    """

    now: NDArray[np.int64]
    torque: Array
    asked: NDArray[np.int64]
    passing: NDArray[np.bool_]
    live: NDArray[np.bool_]
    altered: NDArray[np.bool_]

    def between(self, begin: int, end: int) -> Ticks:
        """Those after `begin`, up to `end` [ns]."""
        here = (self.now > begin) & (self.now <= end)
        return Ticks(**{name: getattr(self, name)[here] for name in self.__dataclass_fields__})

    @property
    def jerk(self) -> float:
        """Root mean square of how fast the torque changes from tick to tick [N·m/s]."""
        if len(self.now) < 2 or self.now[0] == self.now[-1]:
            return 0.0
        # their usual period: when a recorder heard of each tick says less of when it was
        period = float(self.now[-1] - self.now[0]) / (len(self.now) - 1) / SECOND
        changes = np.diff(self.torque, axis=0) / period
        return float(np.sqrt(np.mean(changes * changes)))


def ticks_of(played: Played, recipe: Recipe) -> Ticks:
    """What was let through, with the monitor's state at each tick."""
    n, filtered = len(recipe.contract.joints), played.filtered
    now = np.array([tick.now for tick in filtered], np.int64)
    torque = np.array([tick.torque for tick in filtered]).reshape(-1, n)
    passing, live = np.ones(len(now), bool), np.ones(len(now), bool)
    if played.states:
        told = np.array([state[0] for state in played.states])
        last = np.maximum(np.searchsorted(told, now + _SLACK, "right") - 1, 0)
        passing = np.array([state[1] for state in played.states])[last]
        live = np.array([state[2] for state in played.states])[last]
    asked = np.full(len(now), -1)
    altered = np.zeros(len(now), bool)
    by_stamp: dict[int, int] = {}
    waiting = iter(enumerate(played.asked))
    coming = next(waiting, None)
    newest = -1
    for i, tick in enumerate(filtered):
        while coming is not None and coming[1].now <= tick.now + (_SLACK if recipe.ours else 0):
            newest = by_stamp[coming[1].stamp] = coming[0]
            coming = next(waiting, None)
        # our monitor says by the stamp which request it was; a stranger's torque is that of the latest
        number = by_stamp.get(tick.stamp, -1) if recipe.ours else newest
        if number < 0 or not passing[i]:
            continue
        asked[i], want = number, played.asked[number].torque
        scale = SAME * max(1.0, float(np.abs(tick.torque).max()))
        altered[i] = not (np.abs(tick.torque - want) <= scale).all()
        if not altered[i]:
            torque[i] = want  # what passes the limiter passes bit by bit
    return Ticks(now, torque, asked, passing, live, altered & live)


def interventions(played: Played, ticks: Ticks) -> dict[str, int]:
    """Ticks in which the limiter altered the request, by cause; empty where the log does not tell of each."""
    if not ticks.now.size:
        return {}
    told = [causes for now, *_, causes in played.states if ticks.now[0] <= now <= ticks.now[-1] + _SLACK]
    if len(told) < 0.9 * len(ticks.now):
        return {}
    counted = Counter(cause for causes in told for cause in causes)
    return {cause: counted[f"limited_{cause}"] for cause in CAUSES}
