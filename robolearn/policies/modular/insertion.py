"""Insertion on estimates: the teacher's phases, then a compliant search, then down without a sideways pull.

The teacher knows where the hole is and when the tip is in it. Here both are estimates, good to some
millimetres. So when the peg stands on something before it is deep, the tip slides along a spiral about where
the hole was seen, pressing gently, until it sinks; once it is in, the walls know better than the eyes:
nothing pulls it sideways any more, and where it should be deep enough by the estimate it creeps on.
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
from robolearn.policies.modular.labels import insertion_labels, rotations
from robolearn.policies.modular.search import spiral, spiral_direction, spiral_length, swing
from robolearn.policies.modular.servo import Servo
from robolearn.skills import BEYOND, STRIDE, UPRIGHT, insertion_aim, tightness

Array = NDArray[np.float64]

GAINS = Gains(speed=0.25)  # the teacher's
TOUCHING = Gains(stiffness=64.0, speed=0.25)  # where something rubs, a softer hand would lag behind its aim
MEMORY = 0.9  # of the goal, from frame to frame
NEAREST, SHARE = 0.001, 0.15  # what matters of an error: so much, and so much of the distance [m]
TURN_NEAREST, TURN_SHARE = 0.01, 1.5  # the same for rotations [rad, rad/m]

DRIVEN = 0.006  # an aim so far below the tip means to go down [m]
STEP = 0.001  # a tip that has not come deeper by so much [m]
STOPPED = 0.2  # for so long [s] is stopped by something
RIM = 0.015  # over where the mouth is believed to be, at most: higher there is nothing to stop it [m],
PATIENCE = 0.8  # and so long it may be there without being aligned better before it presses anyway [s]
BETTER = 0.1  # of what the chamfer and the fit forgive
ENTERED = 0.0015  # below the chamfer the tip is in the hole [m]
DOUBT = 0.0025  # more than that, where the rim has not been felt [m]

TURNS_APART = 1.4  # of the spiral, over how far beside it the chamfer still leads in
SLIDING = 0.02  # along the spiral [m/s]
FARTHEST = 0.008  # from where the search began; then it begins anew [m]
PRESSURE = 4.0  # on the rim, and down in the hole [N]
FRICTION = 0.3  # of the peg on the rim, as the usual plastic has it
YAW_SWING, YAW_PERIOD = 0.06, 1.0  # [rad], [s]
CREEPING = 0.02  # how fast the aim goes on where the peg has come to rest in the hole [m/s]
ROCKING, ROCK_PERIOD = 0.04, 0.5  # of a peg that has got stuck in the hole [rad], [s]


class Insertion:
    """Says by which torques to go on, from what is seen and felt.

    Args:
        servo: drives the hand; it has felt the arm before `see` is called.
        rate: control steps a second [Hz].
        facts: from the drawings: "clearance" and "chamfer" of the hole and the "depth" asked for [m], and
            the "mass" of the peg [kg].

    Raises:
        InputError: another fact, or one that is missing.
    """

    size: ClassVar[int] = 9
    needs: ClassVar[tuple[str, ...]] = ("q", "dq")
    labels = staticmethod(insertion_labels)

    def __init__(self, servo: Servo, rate: float, facts: Mapping[str, float]) -> None:
        facts = checks.exact_keys("facts of insertion", facts, ("clearance", "chamfer", "depth", "mass"))
        self._servo, self._period, self._enough = servo, 1.0 / rate, facts["depth"]
        self._chamfer, self._weight = facts["chamfer"], np.array([0.0, 0.0, 9.81 * facts["mass"]])
        self._tight = tightness(facts["clearance"], facts["chamfer"])
        self._pitch = TURNS_APART * self._tight
        self._goal = Goal(MEMORY)
        self.reset()

    def reset(self) -> None:
        """An episode begins."""
        self._goal.reset()
        self._lowest = np.inf  # height of the tip when it last came deeper by a step [m]
        self._since = 0.0  # how long ago that was, or the tip was last not sent down [s]
        self._near = 0.0  # how long the tip has been near the mouth without being aligned better [s]
        self._misfit = self._best = np.inf  # now, and the least so far, over what is forgiven
        self.pressing = False
        self._rim: float | None = None  # where it was stopped first [m]
        self._slid = 0.0  # along the spiral [m]
        self._crept = 0.0  # how much deeper than the estimate asks it is sent by now [m]
        self.inside = False

    @property
    def goal(self) -> Sighting | None:
        """Where the hand has to go, by all frames so far."""
        return self._goal.latest

    @property
    def away(self) -> Array:
        """The mouth relative to the tip, as it is believed to be (3,) [m], base axes."""
        goal, servo = self._goal.latest, self._servo
        assert goal is not None
        return goal.position - servo.position + (goal.rotation - servo.rotation) @ goal.extra

    @staticmethod
    def tolerance(label: Tensor) -> Tensor:
        """What matters of an error in each number of labels (B, 9), of their shape."""
        distance = label[:, :3].norm(dim=1, keepdim=True)
        place = (NEAREST + SHARE * distance).expand(-1, 3)
        turn = (TURN_NEAREST + TURN_SHARE * distance).expand(-1, 3)
        return torch.cat([place, turn, torch.full_like(place, NEAREST)], 1)

    def see(self, label: Array, readings: Mapping[str, NDArray[Any]]) -> None:
        """Take in what is seen now, (9,), and make up one's mind."""
        hand, held = self._servo.rotation, label[6:9]
        if not self.inside:
            turned = rotations(label[3:6]) @ hand
            place = self._servo.position + label[:3] + hand @ held - turned @ held
            distance = sqrt(label[:3] @ label[:3])
            self._goal.add(Sighting(place, turned, held), NEAREST + SHARE * distance)
        goal = self._goal.latest
        assert goal is not None
        self._held = goal.extra
        tip = self._servo.position + hand @ goal.extra
        mouth = goal.position + goal.rotation @ goal.extra
        self._gains, self._load = GAINS, self._weight
        if self.inside:
            self._in_the_hole(tip, float(mouth[2]) if self._rim is None else self._rim, goal.rotation)
        elif self.pressing:
            self._along_the_rim(tip, mouth, goal.rotation)
        else:
            twist = rotation_error(goal.rotation, hand)
            aside, askew = float(np.hypot(*(tip - mouth)[:2])), sqrt(twist @ twist)
            self._misfit = max(aside / self._tight, askew / UPRIGHT)
            self._aim = insertion_aim(tip, mouth, aside, askew, self._tight, self._enough)
            self._turned = goal.rotation
        self._feel(tip, mouth)

    def act(self) -> NDArray[np.float32]:
        """The action, (n + 1,)."""
        torque = self._servo.torque(self._aim, self._turned, self._gains, self._held, self._load)
        return np.append(torque, 1.0).astype(np.float32)

    def _along_the_rim(self, tip: Array, mouth: Array, rotation: Array) -> None:
        """On along the spiral, unless the tip sinks where it is."""
        if self._since > 0.0:
            self._slid += SLIDING * self._period
            if self._slid > spiral_length(FARTHEST, self._pitch):
                self._slid = 0.0
        self._aim = mouth + np.append(spiral(self._slid, self._pitch), 0.0)
        self._press(tip, 1.0)
        along = np.append(spiral_direction(self._slid, self._pitch), 0.0)
        self._load = self._load + FRICTION * PRESSURE * along
        yaw = swing(self._slid / SLIDING, YAW_PERIOD, YAW_SWING)
        self._turned = rotations(np.array([0.0, 0.0, yaw])) @ rotation

    def _in_the_hole(self, tip: Array, top: float, rotation: Array) -> None:
        """Down where it is, as deep as asked below the mouth's height [m], then on; rocked if it sticks."""
        stopped = self._since >= STOPPED
        self._crept += CREEPING * self._period if stopped else 0.0
        left = float(np.clip(tip[2] - (top - self._enough - BEYOND - self._crept), 0.0, STRIDE))
        self._aim = tip - np.array([0.0, 0.0, left])
        self._turned = rotation
        if stopped and left > DRIVEN:
            self._press(tip, left / STRIDE)
            angles = [self._since + lead * ROCK_PERIOD for lead in (0.0, 0.25)]
            rock = np.array([*(swing(angle, ROCK_PERIOD, ROCKING) for angle in angles), 0.0])
            self._turned = rotations(rock) @ rotation

    def _press(self, tip: Array, share: float) -> None:
        """Down by a force in place of an aim below. Where the arm is asked to move down, what holds the tip
        up also pushes it aside, as its inertia has it; where it is asked for a force, it gives that."""
        self._aim[2] = tip[2]
        self._gains = TOUCHING
        self._load = self._weight - np.array([0.0, 0.0, share * PRESSURE])

    def _feel(self, tip: Array, mouth: Array) -> None:
        """Whether something has stopped the peg, and whether it is in."""
        height, over = float(tip[2]), float(tip[2] - mouth[2])
        sent_down = self.pressing or self.inside or self._aim[2] < height - DRIVEN
        if height < self._lowest - STEP or not sent_down:
            self._lowest, self._since = height, 0.0
        else:
            self._since += self._period
        if self._misfit < self._best - BETTER:
            self._best, self._near = self._misfit, 0.0
        self._near += self._period if over < RIM else 0.0
        stopped = self._since >= STOPPED and over < RIM
        if stopped and self._rim is None and not self.inside:
            self._rim = height
        self.pressing = self.pressing or stopped or self._near > PATIENCE
        top, room = (float(mouth[2]), DOUBT) if self._rim is None else (self._rim, 0.0)
        self.inside = self.inside or height < top - self._chamfer - ENTERED - room
