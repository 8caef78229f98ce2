"""What the task says of an episode at the simulated arm: its predicate's verdict, and what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco

from robolearn.envs.base import ManipulationEnv


@dataclass(frozen=True)
class Verdict:
    """What the task's predicate says of an episode.

    Attributes:
        success: whether the goal held for as long as the task asks.
        reason: "success", the task's own failure ("dropped"), or "diverged".
    """

    success: bool
    reason: str


@dataclass
class Meters:
    """What the simulated arm measures of an episode.

    Attributes:
        peak_force, mean_force: of what the hand meets, tared when the episode began [N].
        drops, jams: as the task counts them.
    """

    peak_force: float = 0.0
    mean_force: float = 0.0
    drops: int = 0
    jams: int = 0


class Judge:
    """Watches an episode with the eyes of its task.

    Attributes:
        verdict: what became of the episode; None while it goes on, and before it began.
    """

    def __init__(self, env: ManipulationEnv) -> None:
        self._env = env
        self._period = env.physics_rate // env.config.control_rate
        self.reset()

    def reset(self) -> None:
        """Another episode is to come."""
        self.verdict: Verdict | None = None
        self._watching = False

    def begin(self, broken: bool) -> None:
        """From now on the predicate judges, and the meters count; `broken` as in `after_step`."""
        self._tare = self._wrist_force()
        self._peak_force = self._force_sum = 0.0
        self._force_count = 0
        self._env.drops = self._env.jams = 0
        self._held, self._judge_in = 0, self._period
        self.verdict = Verdict(False, "diverged") if broken else None
        self._watching = True

    @property
    def meters(self) -> Meters:
        """What was measured since the beginning, up to the verdict."""
        if not self._watching:
            return Meters()
        mean = self._force_sum / self._force_count if self._force_count else 0.0
        return Meters(self._peak_force, mean, self._env.drops, self._env.jams)

    def after_step(self, broken: bool) -> None:
        """A step of the physics was made; the predicate is looked at once in each of the task's periods.

        Args:
            broken: whether the simulated world flew apart.
        """
        if not self._watching or self.verdict is not None:
            return
        if broken:
            self.verdict = Verdict(False, "diverged")
            return
        force = math.dist(self._wrist_force(), self._tare)
        self._peak_force = max(self._peak_force, force)
        self._force_sum += force
        self._force_count += 1
        self._judge_in -= 1
        if self._judge_in > 0:
            return
        self._judge_in = self._period
        self._look()

    def _look(self) -> None:
        env = self._env
        mujoco.mj_kinematics(env.model, env.data)  # a step leaves the frames where it began
        mujoco.mj_comPos(env.model, env.data)
        env.watch()
        self._held = self._held + 1 if env.holds() else 0
        if self._held >= env.hold_steps:
            self.verdict = Verdict(True, "success")
        elif (reason := env.failure()) is not None:
            self.verdict = Verdict(False, reason)

    def _wrist_force(self) -> list[float]:
        first = self._env.handles.wrist_force
        force: list[float] = self._env.data.sensordata[first : first + 3].tolist()
        return force
