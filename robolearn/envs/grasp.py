"""Grasping: pick one of many objects off the table and hold it still in the air."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cache
from math import atan2, exp, hypot, inf, sqrt, tanh
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.envs.base import ManipulationEnv, TaskConfig
from robolearn.envs.kinematics import DOWN, rotation_from_vector, yaw_rotation
from robolearn.envs.objects import ObjectModel, add_object, grasps_for, library, resting_pose
from robolearn.envs.operational_space import rotation_error
from robolearn.envs.views import View
from robolearn.errors import choose
from robolearn.skills import grasp_phase

Array = NDArray[np.float64]

FRONT = View("front", "base", (0.92, 0.0, 0.58), (0.5, 0.0, 0.03), (0, 0, 1), 0.50)
WRIST = View("wrist", "hand", (0.09, 0.0, 0.045), (0.01, 0.0, 0.15), (0, 0, -1), 1.15)
AREA = ((0.4, 0.6), (-0.15, 0.15))  # of the table, where objects lie, along x and y [m]
LIFT = 0.12  # [m]
STILL = 0.05  # an object slower than this is held still [m/s]
CARRIED = 0.02  # so high over its rest an object between both fingers is carried [m]
DOWN_AGAIN = 0.01  # and with its underside so low over the table it is down again [m]
OBJECT_SETS = ("train", "held-out")
MOST_OBJECTS = 8
PALM = (0.024, 0.102, 0.041)  # half sizes along the hand's x and y, and its height above the grip point [m]
FINGERS = (0.010, 0.052)  # half sizes of the space that the open fingers take [m]
PILE = 0.07  # height at which an object without room of its own is dropped onto the others [m]
SETTLE = 0.5  # for it to come to rest [s]
SCATTER_TRIES = 10
MOMENTUM = 0.3  # how much a rotation under way counts against a shorter one the other way [rad per rad/s]
LEAN = 0.3  # and how much a hand that is turned already, off the usual yaw [rad],
LEANING = 0.05  # from about this much on [rad],
FARTHEST_YAW = 1.75  # as long as that leads no farther away from the usual yaw than this [rad]


@cache
def objects_of(split: str) -> tuple[ObjectModel, ...]:
    """The objects of a set, planned once a process."""
    return library(split)


@dataclass(frozen=True)
class GraspConfig(TaskConfig):
    """Attributes:
    objects: "train" or "held-out", the set that objects are drawn from.
    count: how many objects lie on the table, 1 to 8; any one of them will do.
    """

    objects: str = "train"
    count: int = 1
    cameras: tuple[View, ...] = (FRONT, WRIST)
    reward_scales: dict[str, float] = field(
        default_factory=lambda: {"reach": 0.2, "grip": 0.3, "lift": 0.5, "lifted": 1.0}
    )

    def __post_init__(self) -> None:
        choose("set of objects", self.objects, OBJECT_SETS)
        checks.whole("count", self.count, 1, MOST_OBJECTS)


class GraspEnv(ManipulationEnv):
    """`RoboLearn/Grasp-v0`."""

    name: ClassVar[str] = "grasp"
    config_type: ClassVar[type[TaskConfig]] = GraspConfig
    config: GraspConfig
    hold_steps: ClassVar[int] = 10
    state_size: ClassVar[int] = 11
    start_position: ClassVar[tuple[float, float, float]] = (0.48, 0.0, 0.24)

    @property
    def _library(self) -> tuple[ObjectModel, ...]:
        return objects_of(self.config.objects)

    def scene_key(self) -> Hashable:
        drawn = self.np_random.choice(len(self._library), self.config.count, replace=False)
        return tuple(int(i) for i in drawn)

    def scenes_kept(self) -> int:
        return super().scenes_kept() if self.config.count == 1 else 4  # a clutter hardly ever comes again

    def build(self, spec: mujoco.MjSpec, key: Hashable) -> None:
        assert isinstance(key, tuple)
        for slot, index in enumerate(key):
            add_object(spec, self._library[index], f"object{slot}")

    def place(self) -> None:
        model, data, rng = self.model, self.data, self.np_random
        key = next(k for k, scene in self._scenes.items() if scene is self.scene)
        assert isinstance(key, tuple)
        self._objects = [self._library[index] for index in key]
        self._bodies = [model.body(f"object{slot}").id for slot in range(self.config.count)]
        self._rest_height = [0.0] * self.config.count
        self._carried: set[int] = set()
        placed: list[tuple[Array, float]] = []
        positions, yaws, rests = [], [], []
        piled = 0
        for slot, thing in enumerate(self._objects):
            rests.append(int(rng.integers(len(thing.rests))))
            radius = float(np.linalg.norm([thing.support(axis) for axis in np.eye(3)]))
            for _ in range(200):
                xy = np.array([rng.uniform(*AREA[0]), rng.uniform(*AREA[1])])
                # in a clutter objects may touch, but none starts inside another; after many tries the crowd
                # is accepted on a pile
                if self._free(xy, radius, placed):
                    break
            free = self._free(xy, radius, placed)
            piled += not free
            placed.append((xy, radius))
            yaws.append(float(rng.uniform(-np.pi, np.pi)))
            position, quaternion = resting_pose(thing.rests[rests[-1]], xy, yaws[-1])
            self._rest_height[slot] = float(position[2])
            position[2] += 2e-4 if free else PILE * piled
            positions.append(position)
            start = int(model.joint(model.body_jntadr[self._bodies[slot]]).qposadr[0])
            data.qpos[start : start + 3] = position
            data.qpos[start + 3 : start + 7] = quaternion
        if piled:  # what lies on others comes to rest before the episode begins, the arm standing still above
            steps = round(SETTLE * self.physics_rate)
            self.scene.path.advance(np.zeros(self.arm.n), self.arm.gripper.max_width, steps)
            self._rest_height = data.xpos[self._bodies, 2].tolist()
        self.sampled |= {
            "objects": [thing.name for thing in self._objects],
            "positions": np.array(positions),
            "yaws": np.array(yaws),
            "rests": rests,
        }
        if self.scattered:
            self._scatter()

    def _scatter(self) -> None:
        """Bring the open hand over an object: the higher, the farther to the side and the more turned."""
        rng = self.np_random
        for _ in range(SCATTER_TRIES):
            mujoco.mj_forward(self.model, self.data)
            _, point, goal, _ = self._target()
            height = float(rng.uniform(-0.003, 0.03) if rng.random() < 0.5 else rng.uniform(0.0, 0.2))
            aside = np.append(rng.normal(0.0, 0.008 + 0.25 * max(height, 0.0), 2), -height)
            # now and then turned anyhow: a hand that is always aligned when it is low teaches nothing about
            # how an object lies, seen from close by
            spread = 1.0 if rng.random() < 0.3 else min(1.0, 0.1 + 10.0 * max(height, 0.0))
            yaw = float(rng.uniform(-1.0, 1.0) * spread * np.pi / 2)
            tilt = np.append(rng.normal(0.0, 0.03, 2), 0.0)
            drift = -0.3 * rng.uniform(0.0, 5.0) * aside + rng.normal(0.0, 0.02, 3)
            twist = np.concatenate([goal @ drift, rng.normal(0.0, 0.15, 3)])
            if self.bring_hand(
                point + goal @ aside, goal @ yaw_rotation(yaw) @ rotation_from_vector(tilt), twist
            ):
                return

    @staticmethod
    def _free(xy: Array, radius: float, placed: list[tuple[Array, float]]) -> bool:
        return all(bool(np.linalg.norm(xy - other) > radius + reach) for other, reach in placed)

    # --- judging ------------------------------------------------------------------------------------------

    def _heights(self) -> list[float]:
        """How far each object is above where it rested [m]."""
        heights: list[float] = self.once("heights", self._look_for_heights)
        return heights

    def _look_for_heights(self) -> list[float]:
        z = self.data.xpos[:, 2].item
        return [z(body) - rest for body, rest in zip(self._bodies, self._rest_height, strict=True)]

    def watch(self) -> None:
        for slot, height in enumerate(self._heights()):
            if height > CARRIED and self.gripped(slot):
                self._carried.add(slot)
            elif slot in self._carried and self._underside(slot) < DOWN_AGAIN:
                self._carried.remove(slot)
                self.drops += not self.gripped(slot)  # else it is put down

    def _underside(self, slot: int) -> float:
        """Height of an object's lowest point above the table, whatever face it has come to lie on [m]."""
        z, up = self.data.xpos[self._bodies[slot], 2], self.data.xmat[self._bodies[slot], 6:]
        return float(z) - self._objects[slot].support(-up)

    def holds(self) -> bool:
        heights = enumerate(self._heights())  # any of them: something may lie on what is held
        return any(height >= LIFT and self._still(slot) and self.gripped(slot) for slot, height in heights)

    def _still(self, slot: int) -> bool:
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(
            self.model, self.data, mujoco.mjtObj.mjOBJ_BODY.value, self._bodies[slot], velocity, 0
        )
        return bool(np.linalg.norm(velocity[3:]) < STILL)

    def failure(self) -> str | None:
        for body in self._bodies:
            x, y, z = self.data.xpos[body].tolist()
            if z > -0.05 and abs(x - 0.5) < 0.4 and abs(y) < 0.5:
                return None
        return "lost"

    def gripped(self, slot: int) -> bool:
        """Whether both fingers touch an object."""
        return self.fingers_touch(self._bodies[slot])

    def reward_terms(self) -> dict[str, float]:
        """Of the object nearest to the fingers; of those that both fingers touch, if there are any."""
        x, y, z = self.data.site_xpos[self.handles.grip].tolist()
        distances = []
        for body in self._bodies:
            a, b, c = self.data.xpos[body].tolist()
            distances.append(sqrt((a - x) * (a - x) + (b - y) * (b - y) + (c - z) * (c - z)))
        gripped = [slot for slot in range(len(distances)) if self.gripped(slot)]
        slot = min(gripped or range(len(distances)), key=distances.__getitem__)
        height = self._heights()[slot]
        return {
            "reach": exp(-distances[slot] / 0.1),
            "grip": float(slot in gripped),
            "lift": min(max(height / LIFT, 0.0), 1.0),
            "lifted": float(height >= LIFT),
        }

    # --- the teacher --------------------------------------------------------------------------------------

    def _target(self) -> tuple[int, Array, Array, float]:
        """The grasp nearest to the hand.

        Returns:
            object, grip point (3,) [m], hand rotation (3, 3), object width there [m].
        """
        grip, hand = self.grip_pose()
        yaw = atan2(hand[1, 0], hand[0, 0])
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(
            self.model, self.data, mujoco.mjtObj.mjOBJ_BODY.value, self.handles.hand, velocity, 0
        )
        best: tuple[int, Array, Array, float] | None = None
        least = inf
        for slot, (thing, body) in enumerate(zip(self._objects, self._bodies, strict=True)):
            position = self.data.xpos[body]
            rotation = self.data.xmat[body].reshape(3, 3)
            for grasp in grasps_for(thing, rotation):
                point = position + rotation @ grasp.position
                approach = rotation @ grasp.approach
                closing = hand[:, 1] if grasp.free_yaw else rotation @ grasp.closing
                crowding = self._crowding(slot, point, _hand_rotation(approach, closing))
                for sign in (1.0, -1.0):
                    goal = _hand_rotation(approach, sign * closing)
                    twist = rotation_error(goal, hand)
                    turn = sqrt(twist @ twist)
                    # Between two equal ways round the hand must not dither, nor a policy that sees them as
                    # equal average them and stand still: what turns goes on, and what is turned already, as
                    # the joints tell better than pictures, turns farther the same way.
                    favour = 0.0
                    if turn > 1e-6:
                        favour = MOMENTUM * float(velocity[:3] @ twist) / turn
                        if abs(yaw + twist[2]) < FARTHEST_YAW:
                            favour += LEAN * tanh(yaw / LEANING) * float(twist[2]) / turn
                    way = hypot(point[0] - grip[0], point[1] - grip[1])
                    cost = 3.0 * way + turn - favour + crowding
                    if cost < least:
                        least, best = cost, (slot, point, goal, grasp.width)
        if best is None:  # every object stands askew: go for the nearest one's middle as it is
            slot = int(np.argmin(np.linalg.norm(self.data.xpos[self._bodies] - grip, axis=1)))
            point = self.data.xpos[self._bodies[slot]].copy()
            return slot, point, DOWN, 0.03
        return best

    def _crowding(self, slot: int, point: Array, goal: Array) -> float:
        """What stands in the way of a grasp: 1 for each other object under the palm, 0.5 under a finger."""
        crowd = 0.0
        for other, body in enumerate(self._bodies):
            away = point - self.data.xpos[body]
            distance = hypot(away[0], away[1])
            if other == slot or distance > 0.2:
                continue
            thing, rotation = self._objects[other], self.data.xmat[body].reshape(3, 3)
            towards = np.array([away[0], away[1], 0.0]) / max(distance, 1e-6)
            gap = distance - thing.support(towards @ rotation)
            over = thing.support(rotation[2]) - float(away[2])  # how far it reaches above the grip point
            x, y = np.abs(towards @ goal[:, :2]).tolist()
            if over > PALM[2] - 0.005 and gap < x * PALM[0] + y * PALM[1]:
                crowd += 1.0
            elif over > -0.01 and gap < x * FINGERS[0] + y * FINGERS[1]:
                crowd += 0.5
        return crowd

    def privileged(self) -> Array:
        """Of the grasp that the teacher would take: grip point relative to the hand (3) [m], grip point (3)
        [m], rotation vector to it (3) [rad], width (1) [m], whether both fingers touch the object (1)."""
        slot, point, goal, width = self._target()
        grip, hand = self.grip_pose()
        return np.concatenate(
            [point - grip, point, rotation_error(goal, hand), [width, float(self.gripped(slot))]]
        )

    def teacher(self) -> NDArray[np.float32]:
        """Over the object, down along its grasp, close, lift; the phase is read off the state."""
        grip, hand = self.grip_pose()
        slot, point, goal, width = self._target()
        turn = float(np.linalg.norm(rotation_error(goal, hand)))
        # in the axes of the hand as it should be: along the pads, closing, approach
        away = goal.T @ (point - grip)
        opening = self.arm.gripper.max_width
        closing = self.width < opening - 0.004
        at_object, back = grasp_phase(away, turn, width, opening, closing)
        settled = abs(float(self.data.qvel[self.handles.finger_dof].sum())) < 0.02
        if self.gripped(slot) and settled and closing:
            height = self._rest_height[slot] + LIFT + 0.04 - self.data.xpos[self._bodies[slot]][2]
            aim = grip + np.array([0.0, 0.0, height])
            weight = np.array([0.0, 0.0, 9.81 * self.model.body_mass[self._bodies[slot]]])
            torque = self.scene.control.torque(self.data, grip, hand, aim, _upright(hand), weight)
            return self.action_of(self.overcome_friction(torque), 1.0)
        aim = point - back * goal[:, 2]
        torque = self.scene.control.torque(self.data, grip, hand, aim, goal)
        return self.action_of(self.overcome_friction(torque), 1.0 if at_object else -1.0)


def _hand_rotation(approach: Array, closing: Array) -> Array:
    """The hand's axes for an approach direction (z) and a closing direction (y), shape (3, 3)."""
    y = closing - (closing @ approach) * approach
    a, b, c = (y / sqrt(y @ y)).tolist()
    p, q, r = approach.tolist()
    return np.array([[b * r - c * q, a, p], [c * p - a * r, b, q], [a * q - b * p, c, r]])


def _upright(hand: Array) -> Array:
    """The hand's yaw, pointing straight down."""
    return _hand_rotation(np.array([0.0, 0.0, -1.0]), hand[:, 1])
