"""Operational-space control of the hand by joint torques (Khatib, IEEE J-RA 3(1), 1987).

The law turns an error of a frame's pose into a desired acceleration of that frame, weighs it with the arm's
inertia as felt there, and maps the wrench to joint torques; what the six dimensions leave free is used to
stay near a posture. Torques exclude gravity.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, pi, sqrt

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.arm import ArmHandles

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gains:
    """Closed-loop behaviour of the controlled frame.

    Attributes:
        stiffness: squared natural frequency of the translation [1/s²].
        rotation_stiffness: squared natural frequency of the rotation [1/s²].
        damping_ratio: 1 is critically damped.
        speed: translation speed that the error is clipped to ask for [m/s].
        rotation_speed: the same for the rotation [rad/s].
        posture_stiffness: pull towards the posture in the null space [1/s²].
    """

    stiffness: float = 36.0
    rotation_stiffness: float = 36.0
    damping_ratio: float = 1.0
    speed: float = 0.5
    rotation_speed: float = 2.0
    posture_stiffness: float = 10.0


def rotation_error(target: Array, current: Array) -> Array:
    """Rotation vector (3,) [rad], in the world frame, that turns one rotation matrix (3, 3) into another.

    Of the two axes of an exact half turn, one is chosen.
    """
    difference = target @ current.T
    # plain floats: this runs several times a control step, and NumPy takes ten times as long on three numbers
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = difference.tolist()
    x, y, z = 0.5 * (zy - yz), 0.5 * (xz - zx), 0.5 * (yx - xy)
    sine, cosine = sqrt(x * x + y * y + z * z), 0.5 * (xx + yy + zz - 1.0)
    if sine > 1e-9:
        scale = atan2(sine, cosine) / sine
        return np.array([x * scale, y * scale, z * scale])
    if cosine > 0.0:
        return np.array([x, y, z])
    outer = 0.5 * (difference + np.eye(3))  # of a half turn: axis times its own transpose
    column = outer[:, int(np.argmax(np.diag(outer)))]
    return np.asarray(pi * column / np.linalg.norm(column))


def _clip_norm(vector: Array, limit: float) -> Array:
    length = sqrt(vector @ vector)
    return vector if length <= limit else vector * (limit / length)


class OperationalSpace:
    """Joint torques that move a point fixed to the hand.

    Args:
        model: the compiled model.
        handles: where the arm lies in it.
        posture: joint positions to stay near, shape (n,) [rad].
        gains: closed-loop behaviour.
    """

    def __init__(
        self, model: mujoco.MjModel, handles: ArmHandles, posture: Array, gains: Gains | None = None
    ) -> None:
        self.gains = gains or Gains()
        self._model = model
        self._hand = handles.hand
        self._dof = np.asarray(handles.dof)
        self._qpos = np.asarray(handles.qpos)
        self._posture = np.asarray(posture, float)
        self._jacobian = np.zeros((6, model.nv))
        self._inertia = np.zeros((model.nv, model.nv))
        self._arm = np.ix_(self._dof, self._dof)

    def jacobian(self, data: mujoco.MjData, point: Array) -> Array:
        """Velocity of a point of the hand, over the hand's angular velocity, per joint velocity: (6, n)."""
        mujoco.mj_jac(self._model, data, self._jacobian[:3], self._jacobian[3:], point, self._hand)
        return self._jacobian[:, self._dof]

    def torque(
        self,
        data: mujoco.MjData,
        position: Array,
        rotation: Array,
        goal_position: Array,
        goal_rotation: Array,
        load: Array | None = None,
    ) -> Array:
        """Torques that take a frame fixed to the hand to a goal, gravity of the arm excluded.

        Args:
            data: the present state, with kinematics and inertia up to date.
            position: where the frame is, shape (3,) [m], world frame.
            rotation: how it is turned, shape (3, 3).
            goal_position: where it should be, shape (3,) [m].
            goal_rotation: how it should be turned, shape (3, 3).
            load: force that the hand has to exert besides, such as a payload's weight, shape (3,) [N].

        Returns:
            shape (n,) [N·m].
        """
        gains, dof = self.gains, self._dof
        jacobian = self.jacobian(data, position)
        mujoco.mj_fullM(self._model, data, self._inertia)
        inertia = self._inertia[self._arm]
        dq = data.qvel[dof]
        velocity = jacobian @ dq

        omega, omega_r = sqrt(gains.stiffness), sqrt(gains.rotation_stiffness)
        damping = 2 * gains.damping_ratio
        # an error clipped at speed * 2 zeta / omega makes the damped system cruise at that speed (Khatib)
        error = _clip_norm(goal_position - position, gains.speed * damping / omega)
        twist = _clip_norm(rotation_error(goal_rotation, rotation), gains.rotation_speed * damping / omega_r)
        acceleration = np.concatenate(
            [
                gains.stiffness * error - damping * omega * velocity[:3],
                gains.rotation_stiffness * twist - damping * omega_r * velocity[3:],
            ]
        )
        weighted = np.linalg.solve(inertia, jacobian.T)  # M^-1 J^T, shape (n, 6)
        mobility = jacobian @ weighted
        mobility[np.diag_indices(6)] += 1e-5  # keeps the wrench bounded near singular postures
        felt = np.linalg.inv(mobility)
        wrench = felt @ acceleration
        if load is not None:
            wrench[:3] += load
        k = gains.posture_stiffness
        relax = inertia @ (k * (self._posture - data.qpos[self._qpos]) - 2 * sqrt(k) * dq)
        return np.asarray(jacobian.T @ wrench + relax - jacobian.T @ (felt @ (weighted.T @ relax)))
