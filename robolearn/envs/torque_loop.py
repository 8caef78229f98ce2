"""What `TorquePath.advance` runs as machine code: limiter, motors, gripper, physics and meters.

The loop calls `mj_step` by its address, so that a tick or a meter costs nanoseconds and not a call through
Python.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numba
import numpy as np
from llvmlite import binding
from numba.extending import intrinsic
from numpy.typing import NDArray

from robolearn.envs.compiling import compiled
from robolearn.hardware import limiter
from robolearn.hardware.limiter import LimiterParameters, limit

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


class Physics(NamedTuple):
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


class Timing(NamedTuple):
    """How long things take."""

    physics_steps_per_tick: int
    state_delay: int  # physics steps
    dead_time: int  # physics steps
    closing_step: float  # m per physics step


class State(NamedTuple):
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


class Meters(NamedTuple):
    """What is counted from one zeroing to the next."""

    ticks: Ints  # (1,)
    altered_ticks: Ints  # (1,)
    altered: Ints  # (causes,)
    rate: Floats  # (1,) sum over ticks and joints of the squared change of filtered torque
    tare: Floats  # (3,)
    force: Floats  # (3,) peak, sum, number of physics steps


FIELDS = sum(len(group._fields) for group in (Physics, Timing, State, Meters, LimiterParameters))


class Bound:
    """All that the loop works on, in the form in which it takes it.

    Numba takes every array apart anew at every call: thirty of them would cost as much as several physics
    steps. So the loop is given one table of their addresses, made once: a row (address, rows, columns) for
    every field, and (value, 0, 0) for a whole number.

    Args:
        model, data: MuJoCo's.
        groups: `Physics`, `Timing`, `State`, `Meters` and `LimiterParameters`, in this order, arrays with C
            layout. They are held here, since the addresses are good as long as they live.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        groups: tuple[Physics, Timing, State, Meters, LimiterParameters],
    ) -> None:
        self._held: list[Any] = [model, data]
        rows: list[tuple[int, int, int]] = [(model._address, 0, 0), (data._address, 0, 0)]
        for field in (field for group in groups for field in group):
            rows.append(self._row(field))
        self.table: Ints = np.array(rows, dtype=np.int64)

    def _row(self, field: Any) -> tuple[int, int, int]:
        if isinstance(field, int):
            return field, 0, 0
        array = np.array([field]) if isinstance(field, float) else field
        assert array.flags.c_contiguous
        assert array.dtype in (np.float64, np.int64)
        self._held.append(array)
        rows, columns = array.shape if array.ndim == 2 else (len(array), 1)
        return array.ctypes.data, rows, columns


def _pointer(kind: Any) -> Any:
    """For compiled code: an address as a pointer to numbers of a kind."""

    @intrinsic
    def pointer(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return numba.types.CPointer(kind)(address), generate

    return pointer


_float_pointer, _int_pointer = _pointer(numba.types.float64), _pointer(numba.types.int64)


@compiled
def _floats(row: Ints) -> Floats:
    return numba.carray(_float_pointer(row[0]), (row[1],))


@compiled
def _grid(row: Ints) -> Floats:
    return numba.carray(_float_pointer(row[0]), (row[1], row[2]))


@compiled
def _ints(row: Ints) -> Ints:
    return numba.carray(_int_pointer(row[0]), (row[1],))


def _compile_loop(limiter_source: str) -> Any:
    """The loop: it takes the table of a `Bound`, and the rest as `TorquePath.advance` does.

    Numba keeps compiled code until the file of the outermost function changes, and this one has the limiter,
    which is in another file, compiled into it. Numba does look at the variables that a function closes over:
    `limiter_source` is one so that a changed limiter is never run from a stale cache.
    """

    @compiled
    def advance(table: Ints, steps: int, request: Floats, width_goal: float) -> bool:
        """Run `steps` physics steps; True where the physics diverged and the loop was left early."""
        limiter_source  # noqa: B018 - makes it part of what the machine code is cached under
        t = table  # the rows of `Bound`, one field after another
        physics = Physics(
            _floats(t[2]),
            _floats(t[3]),
            _floats(t[4]),
            _floats(t[5]),
            _floats(t[6]),
            _floats(t[7]),
            _ints(t[8]),
            _ints(t[9]),
            _ints(t[10]),
            t[11, 0],
            t[12, 0],
            t[13, 0] != 0,
        )
        timing = Timing(t[14, 0], t[15, 0], t[16, 0], _floats(t[17])[0])
        state = State(
            _ints(t[18]),
            _grid(t[19]),
            _grid(t[20]),
            _floats(t[21]),
            _floats(t[22]),
            _floats(t[23]),
            _floats(t[24]),
            _floats(t[25]),
            _floats(t[26]),
            _floats(t[27]),
            _floats(t[28]),
        )
        meters = Meters(
            _ints(t[29]), _ints(t[30]), _ints(t[31]), _floats(t[32]), _floats(t[33]), _floats(t[34])
        )
        parameters = LimiterParameters(
            _floats(t[35]),
            _floats(t[36]),
            _floats(t[37]),
            _floats(t[38]),
            _floats(t[39]),
            _floats(t[40]),
            _floats(t[41]),
            _floats(t[42]),
            _floats(t[43])[0],
            _floats(t[44])[0],
        )
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

            mj_step(t[0, 0], t[1, 0])
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


assert FIELDS == 43, "the loop unpacks 43 fields, in their order"
advance = _compile_loop(hashlib.sha256(inspect.getsource(limiter).encode()).hexdigest())
