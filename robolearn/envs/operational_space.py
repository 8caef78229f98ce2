"""Operational-space control of the simulated hand by joint torques; the law is `hand_torque`'s."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.arm import ArmHandles
from robolearn.hardware.operational_space import Gains, hand_torque, rotation_error

__all__ = ["Gains", "OperationalSpace", "rotation_error"]

Array = NDArray[np.float64]


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
        jacobian = self.jacobian(data, position)
        mujoco.mj_fullM(self._model, data, self._inertia)
        return hand_torque(
            self.gains,
            jacobian,
            self._inertia[self._arm],
            data.qpos[self._qpos],
            data.qvel[self._dof],
            self._posture,
            goal_position - position,
            rotation_error(goal_rotation, rotation),
            load,
        )
