"""A task with little in it, for tests of what all share: a ball on the table and a flag moved by hand."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.base import ManipulationEnv, TaskConfig
from robolearn.envs.kinematics import DOWN
from robolearn.envs.views import View

BALL_RADIUS = 0.02
FLAG_RADIUS = 0.01
FLAG_COLOUR = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class BallConfig(TaskConfig):
    cameras: tuple[View, ...] = (
        View("front", "base", (1.0, 0.1, 0.5), (0.45, 0.0, 0.1), (0, 0, 1), 0.7, 96, 64),
        View("wrist", "hand", (0.07, 0.0, 0.0), (0.0, 0.0, 0.25), (0, 0, -1), 1.1, 64, 64),
    )
    observe: tuple[str, ...] = ("q", "dq", "tau", "gripper")
    episode_seconds: float = 1.0
    reward_scales: dict[str, float] = field(default_factory=lambda: {"near": 1.0, "height": 0.5})


class BallEnv(ManipulationEnv):
    """Hold the hand within 5 cm of a ball; the episode fails when the ball rolls 30 cm away."""

    name: ClassVar[str] = "ball"
    config_type: ClassVar[type[TaskConfig]] = BallConfig
    hold_steps: ClassVar[int] = 3
    state_size: ClassVar[int] = 3

    def build(self, spec: mujoco.MjSpec, key: Hashable) -> None:
        ball = spec.worldbody.add_body(name="ball")
        ball.add_freejoint(name="ball")
        ball.add_geom(
            name="ball",
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[BALL_RADIUS, 0, 0],
            mass=0.05,
            rgba=[0.1, 0.1, 0.9, 1],
            condim=6,
            friction=[1.0, 0.01, 0.001],
        )
        flag = spec.worldbody.add_body(name="flag", mocap=True)
        flag.add_geom(
            name="flag",
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[FLAG_RADIUS, 0, 0],
            rgba=FLAG_COLOUR,
            contype=0,
            conaffinity=0,
        )

    def place(self) -> None:
        x, y = self.np_random.uniform((0.4, -0.1), (0.6, 0.1))
        self.data.joint("ball").qpos[:] = [x, y, BALL_RADIUS, 1, 0, 0, 0]
        self.data.mocap_pos[0] = [0.0, 0.6, 0.3]

    def away(self) -> NDArray[np.float64]:
        grip, _ = self.grip_pose()
        return np.asarray(self.data.body("ball").xpos - grip)

    def holds(self) -> bool:
        return bool(np.linalg.norm(self.away()) < 0.05)

    def failure(self) -> str | None:
        return "lost" if np.linalg.norm(self.data.body("ball").xpos[:2] - [0.5, 0.0]) > 0.3 else None

    def reward_terms(self) -> dict[str, float]:
        return {
            "near": float(np.exp(-np.linalg.norm(self.away()) / 0.1)),
            "height": float(np.clip(self.data.body("ball").xpos[2], 0, 1)),
        }

    def privileged(self) -> NDArray[np.float64]:
        return self.away()

    def teacher(self) -> NDArray[np.float32]:
        grip, rotation = self.grip_pose()
        goal = grip + self.away() + [0.0, 0.0, 0.04]
        torque = self.scene.control.torque(self.data, grip, rotation, goal, DOWN)
        return self.action_of(self.overcome_friction(torque), -1.0)
