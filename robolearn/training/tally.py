"""What has happened in a training so far, and how much of its time is used."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from robolearn.data.episode import Episode

RECENT = 20  # whole episodes of the policy alone that tell how well it does: some half a minute of grasping


@dataclass(frozen=True, eq=False)
class Best:
    """A policy that was the best so far.

    Attributes:
        steps: gradient steps after which it stood.
        successes: of the latest `RECENT` whole episodes of the policy alone; it acted in the last of them.
        weights: the averaged ones, as `state_dict` gives them, on the CPU.
    """

    steps: int
    successes: int
    weights: dict[str, Tensor]


@dataclass
class Tally:
    """What has happened so far; a checkpoint holds it.

    Attributes:
        asked: episodes asked for; the number of the next one.
        episodes: that have come.
        frames: observations in them.
        resumed: how often the run was taken up again.
        own: outcomes of the latest whole episodes in which the policy acted alone.
        best: the policy that has done best so far; None before `RECENT` such episodes.
    """

    asked: int = 0
    episodes: int = 0
    frames: int = 0
    resumed: int = 0
    own: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))
    best: Best | None = None

    def add(self, episode: Episode, alone: bool) -> None:
        """Count an episode; `alone` says whether it is a whole one in which only the policy acted."""
        self.episodes += 1
        self.frames += len(episode)
        if alone:
            self.own.append(episode.outcome.success)

    def judge(self, steps: int, weights: dict[str, Tensor]) -> None:
        """Say which policy acted in the latest episode alone: it becomes the best if none has done better."""
        successes = sum(self.own)
        if len(self.own) == RECENT and (self.best is None or successes >= self.best.successes):
            self.best = Best(steps, successes, weights)

    @property
    def success(self) -> float | None:
        """Running success rate of the policy; None before its first episode."""
        return sum(self.own) / len(self.own) if self.own else None

    def state(self) -> dict[str, Any]:
        """What `load` needs: plain data and tensors."""
        return {**vars(self), "own": list(self.own), "best": self.best and dict(vars(self.best))}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave; raises KeyError or TypeError for anything else."""
        own, best = deque(state["own"], self.own.maxlen), state["best"]
        vars(self).update({**state, "own": own, "best": best and Best(**best)})

    def text(self, steps: int) -> str:
        """The tally in a line, for people."""
        success = f"success {self.success:.2f} (last {len(self.own)} alone)" if self.own else ""
        return f"episodes {self.episodes}  steps {steps}  {success}".rstrip()


class Clock:
    """The wall time that a run has used, over all the processes that it took.

    Args:
        budget: what it may use [s].
        started: when this process began, as `time.monotonic` counts.
        used: by the processes before this one [s].
    """

    def __init__(self, budget: float, started: float, used: float = 0.0) -> None:
        self._budget, self._zero = budget, started - used

    @property
    def seconds(self) -> float:
        """Used so far [s]."""
        return time.monotonic() - self._zero

    @property
    def share(self) -> float:
        """Of the budget; learning ends at 1."""
        return self.seconds / self._budget


class Every:
    """Is due at most every `seconds`, for the first time at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, -math.inf

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


def process_start() -> float:
    """When this process was started, as `time.monotonic` counts; where the system does not tell: now."""
    try:
        with open("/proc/self/stat") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])  # field 22, after boot
        since_boot = ticks / os.sysconf("SC_CLK_TCK")
        return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)
    except (OSError, AttributeError, ValueError, IndexError):
        return time.monotonic()
