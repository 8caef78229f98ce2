"""What is counted in an episode of a deployment, beside the task's own meters."""

from __future__ import annotations

import math
from collections import Counter

from robolearn.data.episode import Outcome
from robolearn.hardware.episodes import Result
from robolearn.hardware.limiter import CAUSES
from robolearn.hardware.simulation import SimulatedArm
from robolearn.hardware.wire import Array


class Tally:
    """What is counted in an episode beside the task's own meters.

    Args:
        rate: ticks of the monitor a second [Hz].
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.actions = self._ticks = self._altered = 0
        self._causes: Counter[str] = Counter()
        self._before: Array | None = None
        self._square = 0.0
        self._numbers = 0

    def add(self, filtered: Array, causes: frozenset[str]) -> None:
        """A tick of the monitor: the torque that it let through (n,) [N·m], and what was wrong."""
        self._ticks += 1
        limited = [cause for cause in CAUSES if f"limited_{cause}" in causes]
        self._causes.update(limited)
        self._altered += bool(limited)
        if self._before is not None:
            change = filtered - self._before
            self._square += float(change @ change)
            self._numbers += len(change)
        self._before = filtered

    def measured(self, arm: SimulatedArm) -> dict[str, float]:
        """What an end mark carries."""
        meters = arm.meters
        return {
            "peak_force": meters.peak_force,
            "mean_force": meters.mean_force,
            "drops": meters.drops,
            "jams": meters.jams,
        }

    def outcome(self, result: Result, arm: SimulatedArm) -> Outcome:
        """The episode's outcome, as an evaluation in the environment would have it."""
        meters = arm.meters
        rate = self._rate * math.sqrt(self._square / self._numbers) if self._numbers else 0.0
        return Outcome(
            success=result.success,
            reason=result.reason,
            steps=max(self.actions, 1),
            seconds=result.seconds,
            peak_force=meters.peak_force,
            mean_force=meters.mean_force,
            drops=meters.drops,
            jams=meters.jams,
            interventions={cause: self._causes[cause] for cause in CAUSES},
            altered_ticks=self._altered,
            ticks=self._ticks,
            jerk=rate,
        )
