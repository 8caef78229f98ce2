"""Rotations, and the joint positions that bring the hand somewhere."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.arm import ArmHandles
from robolearn.envs.operational_space import rotation_error
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile

Array = NDArray[np.float64]

DOWN: Array = np.diag([1.0, -1.0, -1.0])
"""The hand pointing straight down, its x axis along the base's x, shape (3, 3)."""


def yaw_rotation(angle: float) -> Array:
    """Rotation about z by `angle` [rad], shape (3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_from_vector(vector: Array) -> Array:
    """Rotation matrix (3, 3) of a rotation vector (3,) [rad]."""
    angle = float(np.linalg.norm(vector))
    quaternion, rotation = np.zeros(4), np.zeros(9)
    axis = np.asarray(vector, float) / angle if angle > 0 else np.array([1.0, 0.0, 0.0])
    mujoco.mju_axisAngle2Quat(quaternion, axis, angle)
    mujoco.mju_quat2Mat(rotation, quaternion)
    return rotation.reshape(3, 3)


def quaternion_of(rotation: Array) -> Array:
    """Quaternion wxyz (4,) of a rotation matrix (3, 3)."""
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).ravel())
    return quaternion


def reach(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    handles: ArmHandles,
    arm: ArmProfile,
    position: Array,
    rotation: Array,
    site: int | None = None,
    posture: Array | None = None,
) -> Array:
    """Joint positions that bring a site to a pose, by damped least squares.

    Args:
        model, data, handles, arm: the arm as compiled; `data` serves as scratch.
        position: shape (3,) [m], base frame.
        rotation: shape (3, 3), base frame.
        site: id of the site; None is the grip point.
        posture: where the search begins, shape (n,) [rad]; None is the home posture.

    Returns:
        shape (n,) [rad], inside the joint limits. `data` is left in that posture.

    Raises:
        InputError: the arm cannot reach the pose to within 1 mm and 0.01 rad.
    """
    site = handles.grip if site is None else site
    q = (arm.home if posture is None else posture).copy()
    jacobian = np.zeros((6, model.nv))
    error = np.full(6, np.inf)
    for _ in range(200):
        data.qpos[handles.qpos] = q
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        error[:3] = position - data.site_xpos[site]
        error[3:] = rotation_error(rotation, data.site_xmat[site].reshape(3, 3))
        if np.abs(error).max() < 1e-5:
            break
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
        j = jacobian[:, handles.dof]
        step = j.T @ np.linalg.solve(j @ j.T + 1e-4 * np.eye(6), error)
        q = np.clip(q + np.clip(step, -0.2, 0.2), arm.q_min, arm.q_max)
    if np.linalg.norm(error[:3]) > 1e-3 or np.linalg.norm(error[3:]) > 1e-2:
        raise InputError(
            f"arm {arm.name!r} cannot reach {np.round(position, 3)} m with the hand turned as asked"
        )
    return q
