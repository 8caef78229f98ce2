"""The arm's own model, from its profile alone: where its links are, what they weigh, whether they touch.

Everything is numpy and works on batches: joint positions of shape (..., n) give frames of shape
(..., n + 1, 4, 4), poses of base and links in the base frame, and what follows is computed from the frames,
so that one pass of forward kinematics serves all. The base stands upright. The model knows the links, the
hand and the fingers, open, and nothing of what stands around the arm.

References: Siciliano et al., Robotics: Modelling, Planning and Control, Springer 2009, chapters 2, 3 and 7;
C. Ericson, Real-Time Collision Detection, Morgan Kaufmann 2005, section 5.1.9 (distance of two segments).
"""

from __future__ import annotations

from math import hypot
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robolearn.camera import rotation_matrix
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile, HandBodies, Inertia, Quaternion, Shape, Vector3

Array = NDArray[np.float64]

GRAVITY = 9.81
"""m/s², downwards."""

_TINY = 1e-12
"""m²; the axis of a capsule whose squared length is below it counts as a point."""


class Payload(NamedTuple):
    """What the hand carries: mass [kg] and centre of mass in the hand's frame (3,) [m]."""

    mass: float
    com: Vector3


class _Part(NamedTuple):
    """A rigid part of the arm: its link, its pose in the link's frame (4, 4), and what is in its own."""

    link: int
    pose: Array
    shapes: tuple[Shape, ...]
    inertia: Inertia


class ArmModel:
    """Kinematics, gravity and distances of an arm whose profile holds its links.

    Attributes:
        arm: the profile.
        capsule_links: link to which each capsule belongs, (c,); the hand's count to the last link.
        radius: of the capsules, (c,) [m]. A capsule holds its shape, a box or cylinder with some room.
        pairs: capsules whose distance counts, (2, p): of links that are not neighbours, except those that
            touch at home, where the arm does not: for them the capsules are too coarse.
    """

    def __init__(self, arm: ArmProfile, payload: Payload | None = None) -> None:
        """Raises InputError for an arm that is a MuJoCo file: its shape and masses are not in the profile."""
        hand = arm.gripper.bodies
        if not arm.links or hand is None:
            raise InputError(
                f"the profile of arm {arm.name!r} has no links and hand, its shape is in a MuJoCo file; the "
                "model needs the sections `links` and `gripper: hand, finger, pad`"
            )
        self.arm = arm
        self._fixed = np.array([pose(link.pos, link.quat) for link in arm.links])
        self._hand = pose(*arm.flange) @ pose(arm.gripper.pos, arm.gripper.quat)
        self._grip = self._hand @ pose(arm.gripper.tcp)
        parts = [_Part(i, np.eye(4), link.shapes, link.inertia) for i, link in enumerate(arm.links)]
        parts += _hand_parts(hand, arm.gripper.max_width, arm.n, self._hand)
        if payload is not None:
            parts.append(_Part(arm.n, self._hand, (), Inertia(payload.mass, payload.com, (0.0,) * 6)))

        self._pseudo = np.zeros((arm.n + 1, 4, 4))  # of each link with what is fixed to it, in its frame
        for part in parts:
            self._pseudo[part.link] += part.pose @ _pseudo_inertia(part.inertia) @ part.pose.T
        self._mass, self._moment = self._pseudo[:, 3, 3], self._pseudo[:, :3, 3]
        self._carried = np.cumsum(self._mass[::-1])[::-1]  # by each joint

        self._ends, self.radius, self.capsule_links = _capsules(parts)
        links = self.capsule_links
        first, second = np.nonzero(links[:, None] + 1 < links[None, :])
        at_home = self.capsules(self.frames(arm.home))
        apart = self._gaps(at_home, np.array([first, second])) > 0.0
        self.pairs = np.array([first[apart], second[apart]])

    def frames(self, q: Array) -> Array:
        """Poses of base and links (..., n + 1, 4, 4) at the joint positions (..., n) [rad]."""
        c, s = np.cos(q)[..., None], np.sin(q)[..., None]
        steps = np.empty((*q.shape, 4, 4))
        fixed = self._fixed[1:]
        steps[...] = fixed
        steps[..., 0] = c * fixed[:, :, 0] + s * fixed[:, :, 1]
        steps[..., 1] = c * fixed[:, :, 1] - s * fixed[:, :, 0]
        frames = np.empty((*q.shape[:-1], len(self._fixed), 4, 4))
        frames[..., 0, :, :] = self._fixed[0]
        for i in range(len(fixed)):
            np.matmul(frames[..., i, :, :], steps[..., i, :, :], out=frames[..., i + 1, :, :])
        return frames

    def hand(self, frames: Array) -> Array:
        """Pose of the hand (..., 4, 4)."""
        return frames[..., -1, :, :] @ self._hand

    def grip(self, frames: Array) -> Array:
        """Pose of the point between the pads, turned as the hand is (..., 4, 4)."""
        return frames[..., -1, :, :] @ self._grip

    def jacobian(self, frames: Array) -> Array:
        """Of the grip point, (..., 6, n): its velocity [m/s], then the hand's angular velocity [rad/s]."""
        axes, origins = frames[..., 1:, :3, 2], frames[..., 1:, :3, 3]
        point = self.grip(frames)[..., None, :3, 3]
        rows = np.concatenate([np.cross(axes, point - origins), axes], axis=-1)
        return np.swapaxes(rows, -1, -2)

    def gravity(self, frames: Array) -> Array:
        """Torques (..., n) [N·m] that carry the arm's weight, hand and payload included, at rest."""
        moments = (frames[..., :3, :3] @ self._moment[:, :, None])[..., 0]
        moments += self._mass[:, None] * frames[..., :3, 3]
        beyond = np.cumsum(moments[..., ::-1, :], axis=-2)[..., ::-1, :]
        lever = beyond[..., 1:, :2] - self._carried[1:, None] * frames[..., 1:, :2, 3]
        axes = frames[..., 1:, :2, 2]
        return GRAVITY * (axes[..., 0] * lever[..., 1] - axes[..., 1] * lever[..., 0])

    def inertia(self, frames: Array) -> Array:
        """The joint-space inertia matrix (..., n, n) [kg·m²]: links, hand, payload, and the drives' armature.

        Its kinetic energy is dq·M·dq / 2. What lies beyond a joint turns about it as one composite body (R.
        Featherstone, Rigid Body Dynamics Algorithms, Springer 2008, section 6.2). Turning at 1 rad/s, joint i
        moves points x by twist_i [x, 1]; so M_ij is the trace of twist_i J twist_jᵀ with J the pseudo-inertia
        of what lies beyond both.
        """
        links = frames[..., 1:, :, :]
        pseudo = links @ self._pseudo[1:] @ np.swapaxes(links, -1, -2)
        beyond = np.cumsum(pseudo[..., ::-1, :, :], axis=-3)[..., ::-1, :, :]
        x_to_y = links[..., :3, 1, None] * links[..., None, :3, 0]
        twist = np.empty((*links.shape[:-2], 3, 4))
        turn = twist[..., :3] = x_to_y - np.swapaxes(x_to_y, -1, -2)
        twist[..., 3] = -(turn @ links[..., :3, 3, None])[..., 0]
        flat = (*links.shape[:-2], 12)
        momentum = (twist @ beyond).reshape(flat)
        upper = np.triu(twist.reshape(flat) @ np.swapaxes(momentum, -1, -2))
        return np.asarray(upper + np.swapaxes(np.triu(upper, 1), -1, -2) + np.diag(self.arm.armature))

    def capsules(self, frames: Array) -> Array:
        """Ends of the capsules' axes (..., c, 2, 3) [m]."""
        ends = frames[..., self.capsule_links, :3, :] @ self._ends
        return np.swapaxes(ends, -1, -2)

    def self_distance(self, capsules: Array) -> Array:
        """Least distance (...) [m] between parts that are not neighbours; negative where capsules overlap.

        Args:
            capsules: from `capsules`.
        """
        return self._gaps(capsules, self.pairs).min(axis=-1)

    def extent(self, capsules: Array) -> tuple[Array, Array]:
        """Lowest and highest coordinates (..., 3) [m] of all that moves.

        Args:
            capsules: from `capsules`.
        """
        moving = self.capsule_links > 0
        ends, radius = capsules[..., moving, :, :], self.radius[moving][:, None]
        low, high = ends.min(axis=-2) - radius, ends.max(axis=-2) + radius
        return low.min(axis=-2), high.max(axis=-2)

    def _gaps(self, capsules: Array, pairs: NDArray[np.intp]) -> Array:
        one, two = capsules[..., pairs[0], :, :], capsules[..., pairs[1], :, :]
        axes = segment_distance(one[..., 0, :], one[..., 1, :], two[..., 0, :], two[..., 1, :])
        return axes - (self.radius[pairs[0]] + self.radius[pairs[1]])


def segment_distance(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Distance (...) between the segments from a to b and from c to d, each (..., 3); points are segments."""
    along, other, between = b - a, d - c, a - c
    square, other_square = _dot(along, along), _dot(other, other)
    mixed, start, other_start = _dot(along, other), _dot(along, between), _dot(other, between)
    safe, other_safe = np.maximum(square, _TINY), np.maximum(other_square, _TINY)
    # The nearest points of the lines; the clamped parameter of one then gives that of the other, twice.
    # Parallel lines may begin anywhere.
    area = np.maximum(square * other_square - mixed * mixed, _TINY * safe * other_safe)
    s = np.clip((mixed * other_start - start * other_square) / area, 0.0, 1.0)
    t = np.clip((mixed * s + other_start) / other_safe, 0.0, 1.0)
    s = np.clip((mixed * t - start) / safe, 0.0, 1.0)
    gap = between + s[..., None] * along - t[..., None] * other
    return np.sqrt(_dot(gap, gap))


def pose(pos: Vector3, quat: Quaternion = (1.0, 0.0, 0.0, 0.0)) -> Array:
    """The homogeneous matrix (4, 4) of a position [m] and a unit quaternion wxyz."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation_matrix(quat), pos
    return matrix


def _dot(a: Array, b: Array) -> Array:
    return np.einsum("...i,...i->...", a, b)


def _hand_parts(bodies: HandBodies, width: float, link: int, hand: Array) -> list[_Part]:
    """Hand and fingers; the fingers stand open, `width` apart [m], as far out as they come."""
    parts = [_Part(link, hand, bodies.hand_shapes, bodies.hand)]
    x, y, z = bodies.finger_base
    pad = Shape("box", bodies.pad.size, bodies.pad.pos, (1.0, 0.0, 0.0, 0.0), bodies.pad.rgba)
    for side, quat in ((0.5, (1.0, 0.0, 0.0, 0.0)), (-0.5, (0.0, 0.0, 0.0, 1.0))):
        where = hand @ pose((x, y + side * width, z), quat)
        parts.append(_Part(link, where, (*bodies.finger_shapes, pad), bodies.finger))
    return parts


def _pseudo_inertia(inertia: Inertia) -> Array:
    """The integral of [x, 1] [x, 1]ᵀ over a body's mass (4, 4): second moment, first moment and mass.

    P. M. Wensing, S. Kim, J.-J. E. Slotine, Linear Matrix Inequalities for Physically Consistent Inertial
    Parameter Identification, IEEE Robotics and Automation Letters 3(1), 2018.
    """
    xx, yy, zz, xy, xz, yz = inertia.tensor
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    centre = np.array([*inertia.com, 1.0])
    pseudo = inertia.mass * np.outer(centre, centre)
    pseudo[:3, :3] += 0.5 * float(np.trace(tensor)) * np.eye(3) - tensor
    return np.asarray(pseudo)


def _capsules(parts: list[_Part]) -> tuple[Array, Array, NDArray[np.intp]]:
    """Capsules that hold the parts' shapes: ends in their links' frames (c, 4, 2), radius (c,), link (c,)."""
    ends, radii, links = [], [], []
    for part in parts:
        for shape in part.shapes:
            axis, half, radius = _capsule(shape)
            tips = np.zeros((4, 2))
            tips[axis] = -half, half
            tips[3] = 1.0
            ends.append(part.pose @ pose(shape.pos, shape.quat) @ tips)
            radii.append(radius)
            links.append(part.link)
    return np.array(ends), np.array(radii), np.array(links, dtype=np.intp)


def _capsule(shape: Shape) -> tuple[int, float, float]:
    """Axis (0 to 2), half length [m] and radius [m] of a capsule that holds a shape, in the shape's frame."""
    size = shape.size
    if shape.kind == "sphere":
        return 2, 0.0, size[0]
    if shape.kind in ("capsule", "cylinder"):
        return 2, size[1], size[0]
    longest = int(np.argmax(size))
    others = [s for i, s in enumerate(size) if i != longest]
    if shape.kind == "ellipsoid":
        return longest, size[longest] - max(others), max(others)
    return longest, size[longest], hypot(*others)
