"""A deployment in one process, at a ball: for tests of what runs together without ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
from small_task import BallEnv

from robolearn.hardware.oneprocess import OneProcess
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.together import Record
from robolearn.policies.bundle import Bundle

TASK = "small_task:BallEnv"
CHANGES: dict[str, Any] = {
    "observe": ("front", "wrist", "q", "dq", "tau", "gripper"),
    "image_size": 32,
    "episode_seconds": 2.0,
}
STATION = load_station("sim")

Log = list[tuple[str, int, Record]]


def ball_bundle(**changes: Any) -> Bundle:
    """A bundle without a network: an actor takes its place."""
    nothing: Any = None
    changes = {**CHANGES, **changes}
    return Bundle(nothing, BallEnv(**changes).contract(), TASK, changes, weights_hash="ball")


class Teacher:
    """Acts as the task's teacher does, on the state as it is; `spoil` may change what it asks for."""

    def __init__(self) -> None:
        self.process: OneProcess
        self.asked = 0

    def reset(self) -> None:
        self.asked = 0

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        self.asked += 1
        action = self.process.arm.env.teacher()
        return self.spoil(np.clip(action, -20, 20).astype(np.float32))

    def spoil(self, action: np.ndarray) -> np.ndarray:
        return action


class Swinger(Teacher):
    """Swings the hand to and fro: the ball is always where the hand is not."""

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        env = self.process.arm.env
        if self.asked == 0:
            self.middle = env.grip_pose()[0].copy()
        side = 1.0 if (self.asked // 10) % 2 == 0 else -1.0
        ball = env.data.joint("ball")
        ball.qpos[:3], ball.qvel[:] = self.middle + np.array([0.0, 0.16 * side, 0.0]), 0.0
        return super().act(observation)


def deploy(
    bundle: Bundle,
    teacher: Teacher | None = None,
    kind: type[OneProcess] = OneProcess,
    station: Station = STATION,
    **options: Any,
) -> tuple[OneProcess, Log]:
    """A deployment and what it records."""
    log: Log = []
    teacher = teacher or Teacher()
    process = teacher.process = kind(
        bundle, station, actor=teacher, record=lambda *entry: log.append(entry), **options
    )
    return process, log


def of(log: Log, topic: str) -> list[tuple[int, Any]]:
    """Times and records of a topic."""
    return [(time, record) for name, time, record in log if name == topic]
