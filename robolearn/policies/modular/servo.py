"""The teachers' control law on the arm's own model: joint readings in, joint torques out.

The teachers ask the simulator where the hand is and how the arm's inertia feels there; here that is computed
from the measured joint positions and the arm's profile. Where joints have friction, the teachers add what
this episode's joints have; here a guess is added, and the error that is left is integrated.

What is observed is old, and what is commanded comes late. Over the delay that is to be expected the arm is
moved on by its own model, under the torque that was asked for last: what it presses or carries with moves
nothing.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.model import ArmModel
from robolearn.hardware.operational_space import Gains, clip_norm, hand_torque, rotation_error

Array = NDArray[np.float64]

WINDING = 1.5  # of the errors into what the servo adds to them [1/s]
WOUND = (0.02, 0.3)  # at most, in place [m] and rotation [rad]
CLOSE = (0.03, 0.3)  # errors below this are wound up; larger ones are on their way [m], [rad]
SLOW, FAINT = 0.02, 0.1  # where the guessed friction begins to act [rad/s], [N·m]


class Servo:
    """Drives the hand by torques.

    Args:
        arm: whose model is used; its profile must hold its links.
        posture: joint positions to stay near (n,) [rad].
        friction: guess at the joints' Coulomb friction (n,) [N·m]; where all of it is 0, nothing is
            integrated either.
        rate: control steps a second [Hz].
        delay: from a reading to the torque that answers it, less than a control step [s].

    Attributes:
        position, rotation: of the hand's grip point, (3,) [m] and (3, 3), base frame, as last felt.

    Raises:
        InputError: the arm is a MuJoCo file.
    """

    def __init__(
        self, arm: ArmProfile, posture: Array, friction: Array, rate: float, delay: float = 0.0
    ) -> None:
        self._arm, self._model, self._posture = arm, ArmModel(arm), posture
        self._friction, self._step, self._delay = friction, 1.0 / rate, delay
        self.reset()

    def reset(self) -> None:
        """Forget what was wound up, and asked for."""
        self._asked: Array = np.zeros(self._arm.n)  # acceleration that was asked for last [rad/s²]
        self._wound, self._wound_turn = np.zeros(3), np.zeros(3)

    def feel(self, q: Array, dq: Array) -> None:
        """Take in where the arm is: joint positions (n,) [rad] and velocities (n,) [rad/s]."""
        q, dq = np.asarray(q, float), np.asarray(dq, float)
        grip = self.grips(q)
        self.position, self.rotation = grip[:3, 3].copy(), grip[:3, :3].copy()
        late, gain = self._delay, self._asked
        self._q, self._dq = q + late * dq + 0.5 * late**2 * gain, dq + late * gain
        self._asked = np.zeros_like(q)  # unless a torque is asked for now

    def grips(self, q: Array) -> Array:
        """Poses (..., 4, 4) of the grip point at joint positions (..., n) [rad], base frame."""
        return self._model.grip(self._model.frames(q))

    def torque(
        self,
        goal: Array,
        rotation: Array,
        gains: Gains,
        held: Array | None = None,
        load: Array | None = None,
    ) -> Array:
        """Torques towards a goal, gravity of the arm excluded, within the arm's limits, (n,) [N·m].

        Args:
            goal: where the frame should be (3,) [m], base frame.
            rotation: how the hand should be turned (3, 3).
            gains: closed-loop behaviour.
            held: the frame's origin in the hand's grip frame (3,) [m]; the grip point if None.
            load: force that the hand has to exert besides (3,) [N].
        """
        frames = self._model.frames(self._q)
        inertia, grip = self._model.inertia(frames), self._model.grip(frames)
        arm = np.zeros(3) if held is None else grip[:3, :3] @ held
        jacobian = self._model.jacobian(frames)
        jacobian[:3] += np.cross(np.eye(3), arm).T @ jacobian[3:]  # the turning of the hand moves it, too
        error, twist = goal - grip[:3, 3] - arm, rotation_error(rotation, grip[:3, :3])
        if self._friction.any():
            self._wind(error, twist)
        wanted = hand_torque(
            gains,
            jacobian,
            inertia,
            self._q,
            self._dq,
            self._posture,
            error + self._wound,
            twist + self._wound_turn,
            load,
        )
        moving = wanted if load is None else wanted - jacobian[:3].T @ load
        self._asked = np.asarray(np.linalg.solve(inertia, moving))
        # along the motion, and from rest along the torque
        torque = wanted + self._friction * np.tanh(self._dq / SLOW + wanted / FAINT)
        return np.asarray(np.clip(torque, -self._arm.tau_max, self._arm.tau_max))

    def _wind(self, error: Array, twist: Array) -> None:
        near = sqrt(error @ error) < CLOSE[0] and sqrt(twist @ twist) < CLOSE[1]
        if not near:
            self._wound, self._wound_turn = 0.8 * self._wound, 0.8 * self._wound_turn
            return
        self._wound = clip_norm(self._wound + WINDING * self._step * error, WOUND[0])
        self._wound_turn = clip_norm(self._wound_turn + WINDING * self._step * twist, WOUND[1])
