"""The torque path in simulation: limiter, motors and physics in one compiled loop.

A request goes the way it goes on the arm. At every tick of the filter the limiter (the function that the
safety monitor runs, compiled here) sees the request and the joint state as it was `state_delay` ago; what it
sends is held until the next tick, and MuJoCo steps in between; `robolearn.envs.torque_loop` is that loop.

Gravity. In the model every body of the arm has gravcomp=1, whoever carries its weight in reality:

- An arm that compensates its own weight (Franka): that is the arm's business, the limiter never sees it
  (`gravity` is zero), and the motors apply what was sent.
- An arm that does not: on the arm, gravity is sent on top of the request. So the limiter is given as
  `gravity` what MuJoCo's compensation applied in the latest physics step, and bounds the sum in magnitude and
  rate. The compensation stands for the gravity part of what was sent, and the motors apply the rest, sent -
  gravity.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.torque_loop import Bound, Meters, Physics, State, Timing, advance, as_arrays
from robolearn.errors import InputError
from robolearn.hardware.limiter import CAUSES, limiter_parameters

if TYPE_CHECKING:
    from robolearn.envs.arm import ArmHandles
    from robolearn.hardware.arm import ArmProfile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TorquePath:
    """Takes torque requests to a simulated arm, the way they go to a real one.

    Holds on to `model` and `data`, whose memory the compiled loop reads and writes: after a recompilation of
    the model's specification, make a new one. Not for use from two threads at once.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        handles: ArmHandles,
        arm: ArmProfile,
        *,
        physics_rate: int,
        filter_rate: int,
        state_delay: float,
    ) -> None:
        """
        Args:
            model: with MuJoCo's automatic reset disabled (mjDSBL_AUTORESET), timestep 1 / physics_rate.
            data: its data.
            handles: where the arm is in the model.
            arm: the arm's profile, from which the limiter's parameters come.
            physics_rate: physics steps per second.
            filter_rate: ticks of the limiter per second; divides `physics_rate`.
            state_delay: age of the joint state that the limiter sees [s], rounded to whole physics steps.

        Raises:
            InputError: a rate or delay that cannot be, or a model that does not fit.
        """
        if physics_rate <= 0 or int(physics_rate) != physics_rate:
            raise InputError(
                f"physics_rate is {physics_rate!r}; it must be a positive whole number of steps per second"
            )
        if filter_rate <= 0 or physics_rate % filter_rate:
            raise InputError(
                f"filter_rate {filter_rate!r} must divide the physics rate, {physics_rate} steps per second"
            )
        if not 0.0 <= state_delay <= 1.0:
            raise InputError(f"state_delay is {state_delay!r}; it must be between 0 and 1 s")
        if abs(model.opt.timestep * physics_rate - 1.0) > 1e-9:
            raise InputError(
                f"physics_rate {physics_rate} does not fit the model's timestep of {model.opt.timestep} s"
            )
        if not model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_AUTORESET):
            raise InputError(
                "the model resets itself when it diverges, unseen: set mjDSBL_AUTORESET in its disable flags"
            )
        n = len(handles.motors)
        self.model, self.data = model, data
        self.handles, self.arm = handles, arm
        self.physics_rate, self.filter_rate = int(physics_rate), int(filter_rate)
        self.parameters = limiter_parameters(arm, filter_rate)
        self.diverged = False
        self._physics = Physics(
            qpos=data.qpos,
            qvel=data.qvel,
            qacc=data.qacc,
            ctrl=data.ctrl,
            sensordata=data.sensordata,
            gravcomp=data.qfrc_gravcomp,
            arm_qpos=np.array(handles.qpos, dtype=np.int64),
            arm_dof=np.array(handles.dof, dtype=np.int64),
            motors=np.array(handles.motors, dtype=np.int64),
            gripper=int(handles.gripper),
            wrist_force=int(handles.wrist_force),
            carries_gravity=not arm.compensates_gravity,
        )
        self._timing = Timing(
            physics_steps_per_tick=int(physics_rate // filter_rate),
            state_delay=round(state_delay * physics_rate),
            dead_time=round(arm.gripper.dead_time * physics_rate),
            closing_step=arm.gripper.closing_speed / physics_rate,
        )
        self._state = State(
            clock=np.zeros(1, dtype=np.int64),
            q=np.zeros((self._timing.state_delay + 1, n)),
            dq=np.zeros((self._timing.state_delay + 1, n)),
            width_goals=np.zeros(self._timing.dead_time + 1),
            width=np.zeros(1),
            gain=np.ones(n),
            request=np.zeros(n),
            gravity=np.zeros(n),
            sent=np.zeros(n),
            filtered=np.zeros(n),
            next_sent=np.zeros(n),
        )
        self._meters = Meters(
            ticks=np.zeros(1, dtype=np.int64),
            altered_ticks=np.zeros(1, dtype=np.int64),
            altered=np.zeros(len(CAUSES), dtype=np.int64),
            rate=np.zeros(1),
            tare=np.zeros(3),
            force=np.zeros(3),
        )
        groups = (self._physics, self._timing, self._state, self._meters, as_arrays(self.parameters))
        self._bound = Bound(model, data, groups)
        self.reset()

    def reset(self) -> None:
        """Begin an episode from the positions and speeds that `data` has.

        As `arm_was_set`; the gripper's set point is its present width. Meters are zeroed; `gain` and `tare`
        stay.
        """
        state = self._state
        state.clock[0] = 0
        width = float(self.data.qpos[np.asarray(self.handles.finger_qpos)].sum())
        state.width_goals[:] = width
        state.width[0] = width
        self.diverged = False
        self.arm_was_set()
        self.reset_meters()

    def arm_was_set(self) -> None:
        """Forget the arm's past: somebody has put it where `data` has it, at the speeds that `data` has.

        The delayed state is the present one; the torque sent last is the gravity torque where we carry the
        arm, else zero. What the gripper is doing, and the meters, stay.
        """
        state, physics = self._state, self._physics
        if physics.carries_gravity:
            mujoco.mj_forward(self.model, self.data)
        state.q[:] = physics.qpos[physics.arm_qpos]
        state.dq[:] = physics.qvel[physics.arm_dof]
        state.request[:] = 0.0
        state.gravity[:] = physics.gravcomp[physics.arm_dof] if physics.carries_gravity else 0.0
        state.sent[:] = state.gravity
        state.filtered[:] = 0.0

    def reset_meters(self) -> None:
        """Zero what is counted: ticks, causes, torque rate and forces."""
        self._meters.ticks[0] = 0
        self._meters.altered_ticks[0] = 0
        self._meters.altered[:] = 0
        self._meters.rate[0] = 0.0
        self._meters.force[:] = 0.0

    def advance(self, request: Floats, width_goal: float, steps: int) -> None:
        """Hold a request for some physics steps.

        Args:
            request: torque asked for, gravity excluded. Shape (n,) [N·m]. NaN is the limiter's business.
            width_goal: where the gripper is to go [m].
            steps: physics steps.

        Stops early, with `diverged` set, when the physics is no longer finite.

        Raises:
            InputError: a request of the wrong shape, or a width that is no number.
        """
        torque = np.ascontiguousarray(request, dtype=np.float64)
        if torque.shape != self._state.sent.shape:
            raise InputError(
                f"a torque request has shape {torque.shape}; this arm takes {self._state.sent.shape}"
            )
        goal = float(width_goal)
        if not math.isfinite(goal):
            raise InputError(f"the gripper's width goal is {goal}; it must be a number of metres")
        if self.diverged:
            return
        self.diverged = advance(self._bound.table, int(steps), torque, goal)

    @property
    def gain(self) -> Floats:
        """What the motors make of each N·m they are sent, (n,); write into it to randomise. 1 by default."""
        return self._state.gain

    @property
    def delayed_state(self) -> tuple[Floats, Floats]:
        """Positions [rad] and speeds [rad/s] that the limiter would see now, (n,) each."""
        oldest = (self.steps + 1) % len(self._state.q)
        return self._state.q[oldest].copy(), self._state.dq[oldest].copy()

    @property
    def request(self) -> Floats:
        """Torque asked for at the latest tick, gravity excluded, (n,) [N·m]."""
        return self._state.request

    @property
    def sent(self) -> Floats:
        """Torque sent at the latest tick, gravity included where we carry it, (n,) [N·m]."""
        return self._state.sent

    @property
    def filtered(self) -> Floats:
        """Torque sent at the latest tick, gravity excluded, (n,) [N·m]."""
        return self._state.filtered

    @property
    def gripper_target(self) -> float:
        """Where the gripper's set point is on its way to the goal [m]."""
        return float(self._state.width[0])

    @property
    def steps(self) -> int:
        """Physics steps since the reset."""
        return int(self._state.clock[0])

    @property
    def ticks(self) -> int:
        """Ticks of the limiter since the meters were zeroed."""
        return int(self._meters.ticks[0])

    @property
    def altered_ticks(self) -> int:
        """Ticks in which the limiter altered anything."""
        return int(self._meters.altered_ticks[0])

    @property
    def altered(self) -> Ints:
        """Ticks that each of the limiter's `CAUSES` altered, (causes,)."""
        return self._meters.altered

    @property
    def torque_rate_rms(self) -> float:
        """Root mean square over ticks and joints of the filtered torque's rate of change [N·m/s]."""
        samples = self.ticks * len(self._state.sent)
        return self.filter_rate * math.sqrt(self._meters.rate[0] / samples) if samples else 0.0

    @property
    def tare(self) -> Floats:
        """What the wrist's force sensor reads without contact, (3,) [N]; write into it. 0 by default."""
        return self._meters.tare

    @property
    def peak_force(self) -> float:
        """Largest magnitude of wrist force minus tare since the meters were zeroed [N]."""
        return float(self._meters.force[0])

    @property
    def mean_force(self) -> float:
        """Mean magnitude of wrist force minus tare over the physics steps since then [N]."""
        return float(self._meters.force[1] / self._meters.force[2]) if self._meters.force[2] else 0.0
