"""Making a task easy first: from near the goal backwards, and from wide to narrow.

A success is hardly ever stumbled upon where it takes many right actions on end. So the policy begins where it
takes few: the teacher has led the arm nearly all of the way, or the hole is wide. When it succeeds in most
of such episodes, the next stage begins. The last one is the task itself, and by the task itself the policy
is judged all along.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from robolearn.training.online.config import CollectConfig

RECENT = 20  # episodes of a stage that tell whether the next one begins
ENOUGH = 0.6  # share of them that must have succeeded, though the policy was trying things out


@dataclass(frozen=True)
class Stage:
    """How easy the task is made.

    Attributes:
        lead: share of the longest lead that the teacher gives.
        changes: to the task's configuration.
    """

    lead: float = 0.0
    changes: dict[str, Any] = field(default_factory=dict)


def stages_of(config: CollectConfig) -> tuple[Stage, ...]:
    """The stages that are asked for, the task itself last."""
    widths: list[dict[str, Any]] = [{"clearance": clearance} for clearance in config.clearances] + [{}]
    backwards = [Stage(1.0 - number / config.backwards, widths[0]) for number in range(config.backwards)]
    return (*backwards, *(Stage(0.0, width) for width in widths))


class Curriculum:
    """Where a training stands among its stages; it only ever goes on.

    Args:
        config: how experience is collected.
    """

    def __init__(self, config: CollectConfig) -> None:
        self._stages = stages_of(config)
        self.number = 0
        self.recent: deque[bool] = deque(maxlen=RECENT)
        """Outcomes of the latest episodes of this stage."""

    @property
    def stage(self) -> Stage:
        return self._stages[self.number]

    @property
    def last(self) -> bool:
        """Whether the task is as it is."""
        return self.number == len(self._stages) - 1

    def add(self, stage: int, success: bool) -> bool:
        """Note how an episode of a stage ended; returns whether the next stage begins."""
        if self.last or stage != self.number:
            return False
        self.recent.append(success)
        if len(self.recent) < RECENT or sum(self.recent) < ENOUGH * RECENT:
            return False
        self.number += 1
        self.recent.clear()
        return True

    def state(self) -> dict[str, Any]:
        """Plain data that `load` takes."""
        return {"number": self.number, "recent": list(self.recent)}

    def load(self, state: dict[str, Any]) -> None:
        self.number = int(state["number"])
        self.recent = deque(state["recent"], RECENT)

    def __str__(self) -> str:
        return f"stage {self.number + 1} of {len(self._stages)}"
