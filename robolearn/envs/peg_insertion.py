"""Peg insertion: the arm holds a peg and puts it into a hole whose place it has to see.

The peg is held by friction between two flat pads, somewhat shifted and tilted, as picked up in a hurry: along
the hand's x and z axes and about the closing axis, the three ways in which flat pads leave a peg free. The
classic is the trapezoid of Levine et al. (JMLR 17(39), 2016): it fits one way only.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from math import acos, ceil, exp, hypot, pi, radians, sqrt
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.envs.base import ManipulationEnv, TaskConfig
from robolearn.envs.kinematics import quaternion_of, rotation_from_vector, yaw_rotation
from robolearn.envs.operational_space import Gains, OperationalSpace, rotation_error
from robolearn.envs.pegs import (
    BLOCK,
    CHAMFERS,
    CLEARANCES,
    HANDLE,
    SHAPES,
    PegGeometry,
    add_hole,
    add_peg,
    contact_settings,
)
from robolearn.envs.views import View
from robolearn.errors import choose
from robolearn.skills import insertion_aim, tightness
from robolearn.units import Angle, Length

Array = NDArray[np.float64]

FLIP: Array = np.diag([1.0, -1.0, -1.0])
"""From the peg's axes (z up to the handle) to those of its tip and of the hand (z down), shape (3, 3)."""

FRONT = View("front", "base", (0.93, 0.0, 0.36), (0.5, 0.0, 0.05), (0, 0, 1), 0.50)
WRIST = View("wrist", "hand", (0.085, 0.0, 0.03), (0.0, 0.0, 0.185), (0, 0, -1), 0.75)

SETTLE = 0.05  # for the pads to come to rest on the handle [s]
SCATTER_TRIES = 10
# that may be asked for [m]: nearer to the floor the tip would have to rest on it, which no teacher aims at
DEPTHS = (1e-4, PegGeometry.hole_depth - 0.002)
# pressing on the hole this hard [N] for so long [s], and sinking slower than this [m/s], is a jam
JAM_FORCE, JAM_TIME, JAM_SPEED = 15.0, 0.2, 0.003


@dataclass(frozen=True)
class PegInsertionConfig(TaskConfig):
    """Attributes:
    shape: of peg and hole: round, square, hexagon or trapezoid.
    clearance: gap between peg and hole on each side, 0.05 to 5 mm.
    chamfer: depth of the 45 degree chamfer around the mouth, 0 to 6 mm.
    hole_shift: the hole's place is drawn this far from the nominal one along x and along y, 0 to 10 cm.
    hole_turn: and its yaw from the nominal one, 0 to 180deg [rad].
    grasp_shift: the peg's shift in the hand along the hand's x and z, 0 to 10 mm.
    grasp_tilt: the peg's tilt in the hand about the closing axis, 0 to 30deg [rad].
    insertion_depth: of the tip under the mouth that counts as inserted, 0.1 to 30 mm; the floor is at 32 mm.

    A length is a number of metres or a text with a unit, such as "3mm"; an angle is a number of radians or a
    text such as "30deg". The config has metres and radians.
    """

    shape: str = "trapezoid"
    clearance: Length = 0.003
    chamfer: Length = 0.002
    hole_shift: Length = 0.05
    hole_turn: Angle = float(np.radians(30))
    grasp_shift: Length = 0.003
    grasp_tilt: Angle = float(np.radians(5))
    insertion_depth: Length = 0.025
    cameras: tuple[View, ...] = (FRONT, WRIST)
    reward_scales: dict[str, float] = field(
        default_factory=lambda: {"near": 0.3, "upright": 0.2, "depth": 0.5, "inserted": 1.0}
    )

    def __post_init__(self) -> None:
        bounds = {
            "clearance": CLEARANCES,
            "chamfer": CHAMFERS,
            "hole_shift": (0.0, 0.1),
            "grasp_shift": (0.0, 0.01),
            "insertion_depth": DEPTHS,
        }
        for name, (low, high) in bounds.items():
            object.__setattr__(self, name, checks.length(name, getattr(self, name), low, high))
        for name, most in {"hole_turn": pi, "grasp_tilt": radians(30)}.items():
            object.__setattr__(self, name, checks.angle(name, getattr(self, name), 0.0, most))
        choose("peg shape", self.shape, SHAPES)


class PegInsertionEnv(ManipulationEnv):
    """`RoboLearn/PegInsertion-v0`."""

    name: ClassVar[str] = "peg-insertion"
    config_type: ClassVar[type[TaskConfig]] = PegInsertionConfig
    config: PegInsertionConfig
    hold_steps: ClassVar[int] = 5
    starts_closed: ClassVar[bool] = True
    state_size: ClassVar[int] = 14
    start_position: ClassVar[tuple[float, float, float]] = (0.5, 0.0, 0.215)
    nominal_hole: ClassVar[tuple[float, float]] = (0.5, 0.0)

    @cached_property
    def geometry(self) -> PegGeometry:
        """Of peg and hole."""
        config = self.config
        return PegGeometry(config.shape, float(config.clearance), float(config.chamfer))

    @cached_property
    def enough(self) -> float:
        """The depth that counts as inserted [m]."""
        return float(self.config.insertion_depth)

    def natural_physics_rate(self) -> int:
        return contact_settings(self.geometry.clearance).physics_rate

    def build(self, spec: mujoco.MjSpec, key: Hashable) -> None:
        settings = contact_settings(self.geometry.clearance, self.physics_rate)
        settings.apply(spec)
        add_peg(spec, self.geometry, settings=settings)
        add_hole(spec, self.geometry)

    def place(self) -> None:
        model, data, config, rng = self.model, self.data, self.config, self.np_random
        self._hole = hole = model.body("hole").id
        far, askew = float(config.hole_shift), float(config.grasp_shift)
        x, y = rng.uniform(-far, far, 2)
        turn, lean = float(config.hole_turn), float(config.grasp_tilt)
        self.hole_yaw = float(rng.uniform(-turn, turn))
        model.body_pos[hole] = [self.nominal_hole[0] + x, self.nominal_hole[1] + y, BLOCK[2]]
        model.body_quat[hole] = quaternion_of(yaw_rotation(self.hole_yaw))
        self._hole_rotation = yaw_rotation(self.hole_yaw)
        self._aligned = self._hole_rotation @ FLIP
        self._mouth = model.body_pos[hole].copy()

        shift = rng.uniform(-askew, askew, 2)
        tilt = float(rng.uniform(-lean, lean))
        held_at = np.array([shift[0], 0.0, shift[1]])  # the peg in the hand's grip frame
        held_turn = rotation_from_vector(np.array([0.0, tilt, 0.0])) @ FLIP
        if self.scattered:
            self._scatter(held_at, held_turn)
        data.qpos[self.handles.finger_qpos] = HANDLE[1] / 2
        mujoco.mj_kinematics(model, data)
        grip, hand = self.grip_pose()
        start = int(model.joint("peg_joint").qposadr[0])
        data.qpos[start : start + 3] = grip + hand @ held_at
        data.qpos[start + 3 : start + 7] = quaternion_of(hand @ held_turn)
        self.sampled |= {
            "hole_shift": np.array([x, y]),
            "hole_yaw": self.hole_yaw,
            "grasp_shift": shift,
            "grasp_tilt": tilt,
        }
        self._tip, self._peg = model.site("peg_tip").id, model.body("peg").id
        self._insertion = OperationalSpace(model, self.handles, self.usual_posture, Gains(speed=0.25))
        self._stuck = 0
        self._height = np.inf
        # the pads close on the handle before the episode begins; until they hold the peg, something else does
        self.scene.path.reset()
        data.xfrc_applied[self._peg, 2] = 9.81 * model.body_mass[self._peg]
        closing = self.arm.gripper.dead_time + SETTLE
        self.scene.path.advance(np.zeros(self.arm.n), 0.0, round(closing * self.physics_rate))
        data.xfrc_applied[self._peg, 2] = 0.0

    def _scatter(self, held_at: Array, held_turn: Array) -> None:
        """Bring the peg's tip somewhere over the mouth: the higher, the farther off and the more turned."""
        rng = self.np_random
        # the peg waits out of the way until it is put into the hand
        peg = int(self.model.joint("peg_joint").qposadr[0])
        self.data.qpos[peg : peg + 3] = [0.0, 0.6, 0.3]
        for _ in range(SCATTER_TRIES):
            height = float(rng.uniform(0.001, 0.02) if rng.random() < 0.6 else rng.uniform(0.0, 0.08))
            aside = rng.normal(0.0, 0.003 + 0.35 * height, 2)
            turn = rng.normal(0.0, [0.02 + 0.6 * height] * 2 + [0.05 + 4.0 * height])
            tip = self._mouth + self._hole_rotation @ np.array([*aside, height])
            peg_rotation = self._hole_rotation @ rotation_from_vector(turn)
            hand = peg_rotation @ held_turn.T
            grip = tip + peg_rotation @ np.array([0.0, 0.0, self.geometry.grip_to_tip]) - hand @ held_at
            if self.bring_hand(grip, hand, np.zeros(6)):
                return

    def tip_pose(self) -> tuple[Array, Array]:
        """Position (3,) [m] and rotation (3, 3) of the peg's tip, z pointing out of it."""
        return self.data.site_xpos[self._tip].copy(), self.data.site_xmat[self._tip].reshape(3, 3).copy()

    def error(self) -> tuple[Array, Array]:
        """From the tip to the mouth (3,) [m], and the rotation vector (3,) [rad] that aligns them.

        Both in the hole's frame.
        """
        rotation = self.data.site_xmat[self._tip].reshape(3, 3)
        return self._shift(), self._hole_rotation.T @ rotation_error(self._aligned, rotation)

    def _shift(self) -> Array:
        return np.asarray(self._hole_rotation.T @ (self._mouth - self.data.site_xpos[self._tip]))

    @property
    def depth(self) -> float:
        """How deep the tip is in the hole, 0 while it is beside it or above [m]."""
        return self._depth(self._shift())

    def _depth(self, shift: Array) -> float:
        x, y, z = shift.tolist()
        return max(z, 0.0) if max(abs(x), abs(y)) < self.geometry.width / 2 else 0.0

    def dropped(self) -> bool:
        """Whether the peg has left the pads."""
        a, b, c = self.data.xpos[self._peg].tolist()
        x, y, z = self.data.site_xpos[self.handles.grip].tolist()
        return (a - x) * (a - x) + (b - y) * (b - y) + (c - z) * (c - z) > 0.02**2

    def pressure(self) -> float:
        """How hard peg and hole press on one another now, all contacts' normal forces together [N]."""
        force, total = np.zeros(6), 0.0
        for contact, pair in enumerate(self.touching_bodies()):
            if self._peg in pair and self._hole in pair:
                mujoco.mj_contactForce(self.model, self.data, contact, force)
                total += float(force[0])
        return total

    def watch(self) -> None:
        self.drops += self.dropped()  # which ends the episode
        height, before = float(self.data.site_xpos[self._tip, 2]), self._height
        self._height = height
        slow = abs(height - before) * self.config.control_rate < JAM_SPEED
        stuck = slow and self.depth < self.enough and self.pressure() > JAM_FORCE
        self._stuck = self._stuck + 1 if stuck else 0
        self.jams += self._stuck == ceil(JAM_TIME * self.config.control_rate)

    def holds(self) -> bool:
        return self.depth >= self.enough and not self.dropped() and self.fingers_touch(self._peg)

    def failure(self) -> str | None:
        return "dropped" if self.dropped() else None

    def reward_terms(self) -> dict[str, float]:
        shift, turn = self.error()
        askew = sqrt(turn @ turn)
        if self.config.shape == "round":  # it fits at any yaw: only its tilt counts
            askew = acos(min(max(-float(self.data.site_xmat[self._tip, 8]), -1.0), 1.0))
        depth = self._depth(shift)
        return {
            "near": exp(-hypot(shift[0], shift[1]) / 0.02),
            "upright": exp(-askew / 0.2),
            "depth": min(depth / self.enough, 1.0),
            "inserted": float(depth >= self.enough),
        }

    def privileged(self) -> Array:
        """Mouth relative to the tip in the base frame (3) [m], aligning rotation vector in the base frame (3)
        [rad], sine and cosine of the hole's yaw (2), the mouth's place (3) [m], the tip in the hand's grip
        frame (3) [m]; shape (14,)."""
        position, rotation = self.tip_pose()
        grip, hand = self.grip_pose()
        return np.concatenate(
            [
                self._mouth - position,
                rotation_error(self._aligned, rotation),
                [np.sin(self.hole_yaw), np.cos(self.hole_yaw)],
                self._mouth,
                hand.T @ (position - grip),
            ]
        )

    def teacher(self) -> NDArray[np.float32]:
        """Align above the mouth, go down the further the better aligned, stop above the floor."""
        position, rotation = self.tip_pose()
        shift, turn = self.error()
        tight = tightness(self.geometry.clearance, self.geometry.chamfer)
        aside, askew = hypot(shift[0], shift[1]), sqrt(turn @ turn)
        goal = insertion_aim(position, self._mouth, aside, askew, tight, self.enough)
        weight = np.array([0.0, 0.0, 9.81 * self.model.body_mass[self._peg]])
        torque = self._insertion.torque(self.data, position, rotation, goal, self._aligned, weight)
        return self.action_of(self.overcome_friction(torque), 1.0)
