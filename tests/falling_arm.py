"""A bare arm in MuJoCo with a load that nobody told it of, on a wire that takes 10 ms there and back."""

from __future__ import annotations

from collections import deque

import mujoco
import numpy as np

from robolearn.envs.arm import add_arm, arm_handles
from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.wire import JointState

STEP = 1_000_000
"""ns of one physics step."""


class LoadedArm:
    """Steps of 1 ms; states and torques travel 5 ms each.

    Attributes:
        now: [ns].
        speeds: largest speed of any joint in each step so far [rad/s].
    """

    def __init__(self, arm: ArmProfile, names: tuple[str, ...], load: float = 0.5) -> None:
        spec = mujoco.MjSpec()
        spec.option.timestep = STEP * 1e-9
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        hand = add_arm(spec, arm)
        if load:
            body = hand.add_body(name="load", gravcomp=1.0)
            body.mass, body.ipos, body.inertia = load, [0.0, 0.0, 0.12], [1e-4] * 3
            body.explicitinertial = True
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.handles = arm_handles(self.model, arm)
        self.arm, self.names = arm, names
        self.now = 0
        self.wire: deque[tuple[int, np.ndarray]] = deque()
        self.speeds: list[float] = []
        self.place(arm.home)

    def let_go(self) -> None:
        """From now on the load pulls at the joints, and the arm where it does not carry itself."""
        if not self.arm.compensates_gravity:
            self.model.body_gravcomp[:] = 0.0
        self.model.body_gravcomp[self.model.body("load").id] = 0.0

    def place(self, q: np.ndarray) -> None:
        """At rest."""
        self.data.qpos[self.handles.qpos] = q
        self.data.qpos[self.handles.finger_qpos] = 0.5 * self.arm.gripper.max_width
        self.data.ctrl[self.handles.gripper] = self.arm.gripper.max_width
        self.data.qvel[:] = 0.0
        mujoco.mj_forward(self.model, self.data)

    @property
    def q(self) -> np.ndarray:
        return self.data.qpos[self.handles.qpos].copy()

    @property
    def dq(self) -> np.ndarray:
        return self.data.qvel[self.handles.dof].copy()

    def run(self, torque: np.ndarray | None = None) -> JointState:
        """5 ms: a torque is sent, to arrive as long later; returns the state as it was 5 ms ago."""
        if torque is not None:
            self.wire.append((self.now + 5 * STEP, np.array(torque)))
        state = JointState(self.now, self.names, self.q, self.dq, np.empty(0))
        for _ in range(5):
            while self.wire and self.wire[0][0] <= self.now:
                self.data.ctrl[self.handles.motors] = self.wire.popleft()[1]
            mujoco.mj_step(self.model, self.data)
            self.now += STEP
            self.speeds.append(float(np.abs(self.dq).max()))
        return state
