"""The monitor in the place of the simulator's torque path, and under fire."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monitoring import Bench, N

from robolearn.envs.arm import add_arm, arm_handles
from robolearn.envs.torque_path import TorquePath
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.states import Authority, Mode
from robolearn.hardware.settings import Box
from robolearn.hardware.station import load_station
from robolearn.hardware.wire import Heartbeat, JointState, TorqueRequest

PERIOD, DELAY = 5_000_000, 10_000_000


def simulated_path() -> TorquePath:
    arm = load_station("sim").arm
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.0025
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    add_arm(spec, arm)
    model = spec.compile()
    data = mujoco.MjData(model)
    handles = arm_handles(model, arm)
    data.qpos[handles.qpos] = arm.home
    data.qpos[handles.finger_qpos] = 0.5 * arm.gripper.max_width
    mujoco.mj_forward(model, data)
    return TorquePath(model, data, handles, arm, physics_rate=400, filter_rate=200, state_delay=0.01)


def test_one_log_gives_the_same_bits_in_simulation_and_through_the_monitor() -> None:
    station, path = load_station("sim"), simulated_path()
    everywhere = Box((-3.0,) * 3, (3.0,) * 3)
    station = replace(station, workspace=replace(station.workspace, grip=everywhere, links=everywhere))
    monitor = Monitor(station, watchdog=False)
    data, handles, names = path.data, path.handles, station.joint_names
    rng = np.random.default_rng(4)
    course = np.sin(np.linspace(0, 9, 60)[:, None] * rng.uniform(0.5, 1.5, N))
    plan = course * [12, 9, 8, 8, 3, 3, 2] + rng.normal(size=(60, N)) * 0.3

    def state(now: int, q: np.ndarray, dq: np.ndarray) -> JointState:
        return JointState(now - DELAY, names, q, dq, np.empty(0))

    now = 10**9
    history = [(data.qpos[handles.qpos].copy(), data.qvel[handles.dof].copy())] * 3
    for _ in range(2):
        monitor.on_state(now, state(now, *history[0]))
        monitor.on_heartbeat(now, Heartbeat(now, "log"))
        monitor.tick(now)
        now += PERIOD
    assert monitor.set_authority(now - PERIOD, Authority.AUTONOMOUS, "a test").done
    altered = set()
    for i in range(600):
        history = [*history[1:], (data.qpos[handles.qpos].copy(), data.qvel[handles.dof].copy())]
        monitor.on_state(now, state(now, *history[0]))
        monitor.on_heartbeat(now, Heartbeat(now, "log"))
        if i % 10 == 0:
            monitor.on_request(now, TorqueRequest(now - DELAY, names, plan[i // 10], sender="log"))
        path.advance(plan[i // 10], 0.08, 2)
        tick = monitor.tick(now)
        assert tick.mode is Mode.PASSING, (i, tick.causes)
        assert tick.torque.tobytes() == path.sent.tobytes(), i
        altered |= tick.causes
        now += PERIOD
    assert altered >= {"limited_rate", "limited_speed"}


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / "monitor_fuzz.py"
    spec = importlib.util.spec_from_file_location("monitor_fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["sim", "carried"])
def test_an_adversary_gets_no_torque_through_that_is_out_of_bounds(fuzz: ModuleType, kind: str) -> None:
    adversary = fuzz.Adversary(fuzz.stations()[kind], seed=1)
    adversary.run(10_000)
    assert min(adversary.counts[move] for move in ("nothing", "request", "hold", "ramp")) > 20


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-20.0, 20.0)
lists = st.lists(numbers, min_size=N, max_size=N)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(lists, lists, st.booleans()), min_size=1, max_size=6))
def test_no_numbers_make_the_monitor_send_what_it_may_not(
    course: list[tuple[list[float], list[float], bool]],
) -> None:
    b = Bench().live()
    p = limiter_parameters(b.station.arm, 200.0)
    last = np.zeros(N)
    for request, other, spoil_state in course:
        b.now += PERIOD
        b.feed()
        b.monitor.on_request(b.now, b.request(torque=np.array(request)))
        if spoil_state:
            changes = {"velocity": np.array(other), "stamp": b.now + 1}
            b.monitor.on_state(b.now, b.state(**changes))
        sent = b.monitor.tick(b.now).torque
        assert np.isfinite(sent).all()
        assert (np.abs(sent) <= p.tau_max).all()
        assert (np.abs(sent - last) <= np.array(p.dtau) + 1e-12).all()
        if not all(map(math.isfinite, request)):
            assert b.monitor.state.mode is Mode.STOPPED
        last = sent
