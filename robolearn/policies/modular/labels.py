"""What the detector learns to say, from the state that the guided learner's network predicts, too.

Both learn from the same privileged numbers. The guided learner's network predicts them as they are, because
its control layers make of them what they like. Here a controller needs the goal of the hand, relative to
where it is, and without jumps: a thing that looks the same after half a turn has one label for both, by the
sine and cosine of twice its yaw.

Everything works on batches of T frames: states (T, k), poses of the grip point (T, 4, 4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


ASKEW = 0.8
"""Sine of the angle by which a grasp's approach differs from the hand's at most."""


def rotations(vectors: Array) -> Array:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) [rad], by Rodrigues' formula."""
    vectors = np.asarray(vectors, float)
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    # sin(a) / a and (1 - cos a) / a², whole at 0: np.sinc(x) is sin(pi x) / (pi x)
    first, half = np.sinc(angle / np.pi), np.sinc(angle / (2 * np.pi))
    return np.asarray(np.eye(3) + first * cross + 0.5 * half**2 * (cross @ cross))


def insertion_labels(state: Array, grip: Array) -> Array:
    """Of insertion (T, 9): mouth relative to the tip (3) [m] and the rotation vector that aligns the peg (3)
    [rad], in base axes, and the tip in the hand's grip frame (3) [m].

    Args:
        state: `PegInsertionEnv.privileged` (T, 14).
        grip: not needed; all of it stands in the state.
    """
    return np.concatenate([state[:, :6], state[:, 11:14]], 1)


def grasping_labels(state: Array, grip: Array) -> Array:
    """Of grasping (T, 8): grip point at the grasp relative to now (3) [m], base axes; then in the hand's axes
    the approach along x and y (2), cosine and sine of twice the closing direction's yaw (2); and the
    object's width there (1) [m].

    Args:
        state: `GraspEnv.privileged` (T, 11).
        grip: pose of the grip point (T, 4, 4).
    """
    now = grip[:, :3, :3]
    goal = rotations(state[:, 6:9]) @ now
    seen = np.swapaxes(now, 1, 2) @ goal  # the hand as it should be, in the axes of the hand as it is
    double = 2.0 * np.arctan2(-seen[:, 0, 1], seen[:, 1, 1])
    columns = [state[:, :3], seen[:, :2, 2], np.cos(double)[:, None], np.sin(double)[:, None], state[:, 9:10]]
    return np.concatenate(columns, 1)


def grasp_rotation(label: Array, hand: Array, like: Array) -> Array:
    """The hand's rotation (3, 3) at the grasp that a label (8,) tells; of its two ways round the one that is
    nearer to another rotation.

    Args:
        label: as `grasping_labels` has it, perhaps with errors.
        hand: the hand's rotation now (3, 3).
        like: the other rotation (3, 3).
    """
    x, y = label[3:5] * min(1.0, ASKEW / max(np.hypot(*label[3:5]), ASKEW))
    approach = np.array([x, y, np.sqrt(1.0 - x * x - y * y)])
    yaw = 0.5 * np.arctan2(label[6], label[5])
    closing = np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    closing[2] = -(closing @ approach) / approach[2]  # at a right angle to the approach
    closing /= np.linalg.norm(closing)
    goal = hand @ np.column_stack([np.cross(closing, approach), closing, approach])
    # the trace tells the cosine of the angle between two rotations; half a turn about z flips x and y
    return goal if np.sum(goal[:, :2] * like[:, :2]) >= 0.0 else goal * np.array([-1.0, -1.0, 1.0])
