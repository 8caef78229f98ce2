"""Grasping on estimates: the teacher's phases, and the gripper's width in place of the simulator's contacts.

Fingers that have come to rest before they met hold something; fingers that met have missed, and the hand
opens and looks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robolearn import checks
from robolearn.hardware.operational_space import Gains, rotation_error
from robolearn.policies.modular.goal import Goal, Sighting
from robolearn.policies.modular.labels import grasp_rotation, grasping_labels
from robolearn.policies.modular.servo import Servo
from robolearn.skills import grasp_phase

Array = NDArray[np.float64]

GAINS = Gains()
MEMORY = 0.8  # of the goal, from frame to frame
NEAREST, SHARE = 0.003, 0.15  # what matters of an error: so much, and so much of the distance [m]
ASKEW_NEAREST, ASKEW_SHARE = 0.05, 1.0  # the same for directions [-, 1/m]

MOVING = 0.004  # a width so much less than the open hand's means that the fingers have set out [m]
RESTING = 0.02  # fingers slower than this have come to rest [m/s]
NOTHING = 0.003  # and this near to one another they hold nothing [m]
SURE = 2  # frames on end that the fingers must rest on something
BEYOND = 0.04  # how much higher than asked the object is lifted [m]


class Grasping:
    """Says by which torques to go on, from what is seen and felt.

    Args:
        servo: drives the hand; it has felt the arm before `see` is called.
        rate: not needed; nothing here is a matter of time.
        facts: "opening" of the hand, and how far to "lift" [m].

    Raises:
        InputError: another fact, or one that is missing.
    """

    size: ClassVar[int] = 8
    needs: ClassVar[tuple[str, ...]] = ("q", "dq", "gripper")
    labels = staticmethod(grasping_labels)

    def __init__(self, servo: Servo, rate: float, facts: Mapping[str, float]) -> None:
        facts = checks.exact_keys("facts of grasping", facts, ("opening", "lift"))
        self._servo, self._open, self._lift = servo, facts["opening"], facts["lift"]
        self._goal = Goal(MEMORY)
        self.reset()

    def reset(self) -> None:
        """An episode begins."""
        self._goal.reset()
        self._closed = False  # what the fingers are told
        self._opening = False  # whether they have missed, and are not open yet
        self._held = 0  # frames on end that they rest on something
        self._from: Array | None = None  # where the hand was when it began to lift (3,) [m]

    @property
    def goal(self) -> Sighting | None:
        """Where the hand has to go, by all frames so far."""
        return self._goal.latest

    @staticmethod
    def tolerance(label: Tensor) -> Tensor:
        """What matters of an error in each number of labels (B, 8), of their shape."""
        distance = label[:, :3].norm(dim=1, keepdim=True)
        place = NEAREST + SHARE * distance
        askew = ASKEW_NEAREST + ASKEW_SHARE * distance
        return torch.cat([place.expand(-1, 3), askew.expand(-1, 2), 2.0 * askew.expand(-1, 2), place], 1)

    def see(self, label: Array, readings: Mapping[str, NDArray[Any]]) -> None:
        """Take in what is seen now, (8,), and make up one's mind."""
        position, hand = self._servo.position, self._servo.rotation
        width, rate = (float(value) for value in readings["gripper"])
        set_out, resting = width < self._open - MOVING, abs(rate) < RESTING
        if self._closed and set_out and resting and width < NOTHING:
            self.reset()  # missed, or lost on the way up
            self._opening = True
        self._opening = self._opening and set_out
        self._held = self._held + 1 if self._closed and set_out and resting else 0
        if self._held >= SURE:
            self._from = position.copy() if self._from is None else self._from
            self._aim = self._from + np.array([0.0, 0.0, self._lift + BEYOND])
            self._turned = _upright(hand)
            return
        self._from = None

        like = hand if self._goal.latest is None else self._goal.latest.rotation
        rotation = grasp_rotation(label, hand, like)
        distance = sqrt(label[:3] @ label[:3])
        seen = Sighting(position + label[:3], rotation, label[7:8])
        goal = self._goal.add(seen, NEAREST + SHARE * distance)
        twist = rotation_error(goal.rotation, hand)
        away = goal.rotation.T @ (goal.position - position)
        there, back = grasp_phase(away, sqrt(twist @ twist), float(goal.extra[0]), self._open, set_out)
        # fingers that have set out go on until they have met something, or one another
        self._closed = not self._opening and (there or (self._closed and set_out))
        self._aim = goal.position - (0.0 if self._closed else back) * goal.rotation[:, 2]
        self._turned = goal.rotation

    def act(self) -> NDArray[np.float32]:
        """The action, (n + 1,)."""
        torque = self._servo.torque(self._aim, self._turned, GAINS)
        return np.append(torque, 1.0 if self._closed else -1.0).astype(np.float32)


def _upright(hand: Array) -> Array:
    """The hand's yaw, pointing straight down."""
    down = np.array([0.0, 0.0, -1.0])
    closing = np.array([hand[0, 1], hand[1, 1], 0.0])
    closing /= np.linalg.norm(closing)
    return np.column_stack([np.cross(closing, down), closing, down])
