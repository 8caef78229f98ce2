"""The torque path in simulation: limiter, motors and physics in one compiled loop.

A request goes the way it goes on the arm. At every tick of the filter the limiter (the function that the
safety monitor runs, compiled here) sees the request and the joint state as it was `state_delay` ago; what it
sends is held until the next tick, and MuJoCo steps in between. The loop calls `mj_step` by its address, so
that a tick or a meter costs nanoseconds and not a call through Python.

Gravity. In the model every body of the arm has gravcomp=1, whoever carries its weight in reality:

- An arm that compensates its own weight (Franka): that is the arm's business, the limiter never sees it
  (`gravity` is zero), and the motors apply what was sent.
- An arm that does not: on the arm, gravity is sent on top of the request. So the limiter is given as
  `gravity` what MuJoCo's compensation applied in the latest physics step, and bounds the sum in magnitude and
  rate. The compensation stands for the gravity part of what was sent, and the motors apply the rest, sent -
  gravity.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mujoco
import numba
import numpy as np
from llvmlite import binding
from numpy.typing import NDArray

from robolearn.envs.compiling import compiled
from robolearn.errors import InputError
from robolearn.hardware import limiter
from robolearn.hardware.limiter import CAUSES, LimiterParameters, limit, limiter_parameters

if TYPE_CHECKING:
    from robolearn.envs.arm import ArmHandles
    from robolearn.hardware.arm import ArmProfile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _register_mj_step() -> None:
    """Make MuJoCo's C function known to compiled code under its own name.

    Raises:
        ImportError: the library that MuJoCo's Python bindings use is not found beside them.
    """
    folder = Path(mujoco._functions.__file__).parent
    for pattern in ("libmujoco.so*", "libmujoco*.dylib", "mujoco.dll"):
        for file in folder.glob(pattern):
            library = ctypes.CDLL(str(file))  # it is loaded already: this only finds it
            if library.mj_version() == mujoco.mj_version():
                binding.add_symbol("mj_step", ctypes.cast(library.mj_step, ctypes.c_void_p).value)
                return
    raise ImportError(f"MuJoCo's library {mujoco.mj_version()} is not in {folder}: reinstall mujoco")


_register_mj_step()
mj_step = numba.types.ExternalFunction("mj_step", numba.types.void(numba.types.intp, numba.types.intp))
"""MuJoCo's mj_step for compiled code; takes `model._address` and `data._address`."""


compiled_limit = compiled(limit)
"""`robolearn.hardware.limiter.limit`, compiled: arrays in, the same bits out."""


def as_arrays(parameters: LimiterParameters) -> LimiterParameters:
    """The same parameters, as `compiled_limit` takes them."""
    columns: dict[str, Any] = {
        name: np.array(column, dtype=np.float64)
        for name, column in parameters._asdict().items()
        if not isinstance(column, float)
    }
    return parameters._replace(**columns)


class _Physics(NamedTuple):
    """Views into the model's data, and the addresses of the arm in them."""

    qpos: Floats
    qvel: Floats
    qacc: Floats
    ctrl: Floats
    sensordata: Floats
    gravcomp: Floats
    arm_qpos: Ints
    arm_dof: Ints
    motors: Ints
    gripper: int
    wrist_force: int
    carries_gravity: bool


class _Timing(NamedTuple):
    physics_steps_per_tick: int
    state_delay: int  # physics steps
    dead_time: int  # physics steps
    closing_step: float  # m per physics step


class _State(NamedTuple):
    """Everything that the loop remembers from one call to the next."""

    clock: Ints  # (1,) physics steps since reset
    q: Floats  # (state_delay + 1, n) ring of joint positions
    dq: Floats  # (state_delay + 1, n)
    width_goals: Floats  # (dead_time + 1,) ring
    width: Floats  # (1,) the gripper's set point
    gain: Floats  # (n,)
    request: Floats  # (n,) of the latest tick
    gravity: Floats  # (n,)
    sent: Floats  # (n,)
    filtered: Floats  # (n,)
    next_sent: Floats  # (n,) scratch


class _Meters(NamedTuple):
    ticks: Ints  # (1,)
    altered_ticks: Ints  # (1,)
    altered: Ints  # (causes,)
    rate: Floats  # (1,) sum over ticks and joints of the squared change of filtered torque
    tare: Floats  # (3,)
    force: Floats  # (3,) peak, sum, number of physics steps


def _compile_loop(limiter_source: str) -> Any:
    """The loop of `TorquePath.advance`.

    Numba keeps compiled code until the file of the outermost function changes, and this one has the limiter,
    which is in another file, compiled into it. Numba does look at the variables that a function closes over:
    `limiter_source` is one so that a changed limiter is never run from a stale cache.
    """

    @compiled
    def advance(
        model: int,
        data: int,
        steps: int,
        request: Floats,
        width_goal: float,
        physics: _Physics,
        timing: _Timing,
        state: _State,
        meters: _Meters,
        parameters: LimiterParameters,
    ) -> bool:
        """Run `steps` physics steps; True where the physics diverged and the loop was left early."""
        limiter_source  # noqa: B018 - makes it part of what the machine code is cached under
        n = len(physics.motors)
        depth = timing.state_delay + 1
        goals = timing.dead_time + 1
        for _ in range(steps):
            clock = state.clock[0]
            newest = clock % depth
            for i in range(n):
                state.q[newest, i] = physics.qpos[physics.arm_qpos[i]]
                state.dq[newest, i] = physics.qvel[physics.arm_dof[i]]

            if clock % timing.physics_steps_per_tick == 0:
                oldest = (clock + 1) % depth
                for i in range(n):
                    state.request[i] = request[i]
                    state.gravity[i] = (
                        physics.gravcomp[physics.arm_dof[i]] if physics.carries_gravity else 0.0
                    )
                causes = compiled_limit(
                    state.request,
                    state.gravity,
                    state.sent,
                    state.q[oldest],
                    state.dq[oldest],
                    parameters,
                    state.next_sent,
                )
                for i in range(n):
                    state.sent[i] = state.next_sent[i]
                    filtered = state.sent[i] - state.gravity[i]
                    change = filtered - state.filtered[i]
                    meters.rate[0] += change * change
                    state.filtered[i] = filtered
                    physics.ctrl[physics.motors[i]] = state.gain[i] * filtered
                meters.ticks[0] += 1
                if causes != 0:
                    meters.altered_ticks[0] += 1
                    for bit in range(len(meters.altered)):
                        meters.altered[bit] += (causes >> bit) & 1

            state.width_goals[clock % goals] = width_goal
            goal = state.width_goals[(clock + 1) % goals]
            way = goal - state.width[0]
            if abs(way) <= timing.closing_step:
                state.width[0] = goal
            elif way > 0.0:
                state.width[0] += timing.closing_step
            else:
                state.width[0] -= timing.closing_step
            physics.ctrl[physics.gripper] = state.width[0]

            mj_step(model, data)
            state.clock[0] = clock + 1

            # MuJoCo's own measure of a bad state; the comparison is written so that NaN fails it
            finite = True
            for i in range(len(physics.qpos)):
                finite &= abs(physics.qpos[i]) < 1e10
            for i in range(len(physics.qvel)):
                finite &= abs(physics.qvel[i]) < 1e10
                finite &= abs(physics.qacc[i]) < 1e10
            if not finite:
                return True

            square = 0.0
            for i in range(3):
                component = physics.sensordata[physics.wrist_force + i] - meters.tare[i]
                square += component * component
            force = np.sqrt(square)
            meters.force[0] = max(meters.force[0], force)
            meters.force[1] += force
            meters.force[2] += 1.0
        return False

    return advance


_advance = _compile_loop(hashlib.sha256(inspect.getsource(limiter).encode()).hexdigest())


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
        self._arrays = as_arrays(self.parameters)
        self._physics = _Physics(
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
        self._timing = _Timing(
            physics_steps_per_tick=int(physics_rate // filter_rate),
            state_delay=round(state_delay * physics_rate),
            dead_time=round(arm.gripper.dead_time * physics_rate),
            closing_step=arm.gripper.closing_speed / physics_rate,
        )
        self._state = _State(
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
        self._meters = _Meters(
            ticks=np.zeros(1, dtype=np.int64),
            altered_ticks=np.zeros(1, dtype=np.int64),
            altered=np.zeros(len(CAUSES), dtype=np.int64),
            rate=np.zeros(1),
            tare=np.zeros(3),
            force=np.zeros(3),
        )
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
        self.diverged = bool(
            _advance(
                self.model._address,
                self.data._address,
                int(steps),
                torque,
                goal,
                self._physics,
                self._timing,
                self._state,
                self._meters,
                self._arrays,
            )
        )

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
