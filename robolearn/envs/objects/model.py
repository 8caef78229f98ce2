"""What an object is: convex primitives, a mass, a friction and a colour. Rests and grasps follow from these.

The object frame has its origin at the centre of mass. `rests` and `grasps` are computed from the geometry
when first asked for and kept, so that making a library is cheap and an object costs its planning only where
it is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from robolearn.errors import InputError, choose

Array = NDArray[np.float64]
Triple = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Colour = tuple[float, float, float, float]

IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)

_SIZES = {"box": 3, "cylinder": 2, "capsule": 2, "ellipsoid": 3}


@dataclass(frozen=True)
class Part:
    """One convex primitive of an object.

    Attributes:
        kind: "box", "cylinder", "capsule" or "ellipsoid".
        size: MuJoCo's sizes [m]: half sides, (radius, half length along z) or semi-axes.
        pos: Centre in the object frame [m].
        quat: Orientation in the object frame, wxyz.
    """

    kind: str
    size: tuple[float, ...]
    pos: Triple = (0.0, 0.0, 0.0)
    quat: Quaternion = IDENTITY

    def __post_init__(self) -> None:
        count = _SIZES[choose("part kind", self.kind, _SIZES)]
        if len(self.size) != count or not all(math.isfinite(s) and s > 0 for s in self.size):
            raise InputError(
                f"size of a {self.kind} is {self.size}: it needs {count} positive lengths in metres"
            )

    @cached_property
    def rotation(self) -> Array:
        """Rotation matrix from the part's axes to the object's. Shape (3, 3)."""
        return rotation_matrix(self.quat)

    @property
    def volume(self) -> float:
        """Volume [m3]."""
        s = self.size
        if self.kind == "box":
            return 8 * s[0] * s[1] * s[2]
        if self.kind == "ellipsoid":
            return 4 / 3 * math.pi * s[0] * s[1] * s[2]
        ball = 4 / 3 * math.pi * s[0] ** 3 if self.kind == "capsule" else 0.0
        return 2 * math.pi * s[0] ** 2 * s[1] + ball

    def support(self, direction: ArrayLike) -> float:
        """Largest coordinate of the part along a unit direction of the object frame [m]."""
        d = np.asarray(direction, dtype=float)
        local = self.rotation.T @ d
        s = self.size
        if self.kind == "box":
            reach = float(np.abs(local) @ np.array(s))
        elif self.kind == "ellipsoid":
            reach = float(np.linalg.norm(local * np.array(s)))
        elif self.kind == "cylinder":
            reach = s[0] * math.hypot(local[0], local[1]) + s[1] * abs(local[2])
        else:
            reach = s[0] + s[1] * abs(local[2])
        return float(np.dot(d, self.pos)) + reach

    def vertices(self) -> Array:
        """Corners of a box in the object frame [m]. Shape (8, 3)."""
        signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return np.asarray(signs * np.array(self.size) @ self.rotation.T + np.array(self.pos))


class Rest(NamedTuple):
    """A stable orientation on a horizontal table.

    Attributes:
        quat: Rotation from the object frame to the world, wxyz, before any yaw about the world's vertical.
        height: Height of the object frame's origin above the table [m].
    """

    quat: Quaternion
    height: float


class Grasp(NamedTuple):
    """A parallel-jaw grasp in the object frame.

    Attributes:
        position: Midway between the finger pads [m].
        approach: Unit vector along which the open hand comes.
        closing: Unit vector along which the fingers close. The opposite one is the same grasp.
        width: Distance of the pads when they touch [m].
        free_yaw: Any closing direction perpendicular to `approach` will do; `closing` is one of them.
    """

    position: Triple
    approach: Triple
    closing: Triple
    width: float
    free_yaw: bool = False


@dataclass(frozen=True)
class ObjectModel:
    """A rigid object of uniform density.

    Attributes:
        name: Unique in its library, such as "mug-3".
        family: Such as "mug".
        parts: Convex primitives that do not overlap, with the centre of mass at the origin.
        mass: [kg]
        friction: Sliding friction coefficient.
        rgba: Colour, each channel from 0 to 1.
        revolution: The object is a body of revolution about its z axis.
    """

    name: str
    family: str
    parts: tuple[Part, ...]
    mass: float
    friction: float
    rgba: Colour
    revolution: bool = False

    @property
    def volume(self) -> float:
        """Volume [m3]."""
        return sum(part.volume for part in self.parts)

    def support(self, direction: ArrayLike) -> float:
        """Largest coordinate of the object along a unit direction of its frame [m]."""
        return float(max(part.support(direction) for part in self.parts))

    @cached_property
    def rests(self) -> tuple[Rest, ...]:
        """All orientations in which the object stands safely on a table, the lowest first."""
        from robolearn.envs.objects.rests import stable_rests

        return stable_rests(self)

    @cached_property
    def grasps(self) -> tuple[Grasp, ...]:
        """Top-down grasps of all rests: at least one a rest."""
        from robolearn.envs.objects.grasps import plan_grasps

        return tuple(grasp for rest in self.rests for grasp in plan_grasps(self, rest))


def centred(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The same parts with their common centre of mass at the origin."""
    weights = np.array([part.volume for part in parts])
    centre = weights @ np.array([part.pos for part in parts]) / weights.sum()
    return tuple(Part(p.kind, p.size, triple(np.array(p.pos) - centre), p.quat) for p in parts)


def triple(vector: ArrayLike) -> Triple:
    """Three plain floats."""
    x, y, z = (float(v) + 0.0 for v in np.asarray(vector))
    return x, y, z


def rotation_matrix(quat: ArrayLike) -> Array:
    """Rotation matrix of a wxyz quaternion. Shape (3, 3)."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, np.asarray(quat, dtype=float))
    return matrix.reshape(3, 3)


def frame_with(z: Array, x: Array) -> Array:
    """Rotation matrix whose columns are x (made perpendicular to z), z cross x, and z. Shape (3, 3)."""
    z = z / np.linalg.norm(z)
    x = x - (x @ z) * z
    x = x / np.linalg.norm(x)
    return np.column_stack([x, np.cross(z, x), z])
