"""The compiled torque path against the plain limiter and MuJoCo's Python interface, step by step."""

from __future__ import annotations

import dataclasses
import math
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

import robolearn
from robolearn.envs.arm import ArmHandles, add_arm, arm_handles
from robolearn.envs.torque_path import TorquePath
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile, load_arm
from robolearn.hardware.limiter import CAUSES, limit, limiter_parameters

Floats = NDArray[np.float64]

PANDA = load_arm("panda")
CARRIED = dataclasses.replace(PANDA, compensates_gravity=False)
WIDE = PANDA.gripper.max_width


def scene(
    arm: ArmProfile, rate: int, floor: bool = False
) -> tuple[mujoco.MjModel, mujoco.MjData, ArmHandles]:
    spec = mujoco.MjSpec()
    spec.option.timestep = 1.0 / rate
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    add_arm(spec, arm)
    if floor:
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1])
    model = spec.compile()
    data = mujoco.MjData(model)
    handles = arm_handles(model, arm)
    data.qpos[handles.qpos] = arm.home
    data.qpos[handles.finger_qpos] = 0.5 * WIDE
    mujoco.mj_forward(model, data)
    return model, data, handles


def make(
    arm: ArmProfile = PANDA, rate: int = 400, filter_rate: int = 200, delay: float = 0.01, floor: bool = False
) -> TorquePath:
    model, data, handles = scene(arm, rate, floor)
    return TorquePath(
        model, data, handles, arm, physics_rate=rate, filter_rate=filter_rate, state_delay=delay
    )


def requests(count: int, scale: float = 1.0, seed: int = 0) -> Floats:
    """Torques that wander, as a policy's do, and now and then ask for too much."""
    rng = np.random.default_rng(seed)
    torque = np.cumsum(rng.normal(size=(count, 7)), axis=0) * [4, 4, 4, 4, 1, 1, 1] * scale
    torque[rng.random(count) < 0.1] *= 10.0
    return torque


def bits(values: Any) -> bytes:
    return struct.pack(f"{len(values)}d", *values)


@pytest.mark.parametrize(
    ("arm", "rate", "filter_rate", "delay"),
    [(PANDA, 400, 200, 0.01), (PANDA, 1000, 200, 0.01), (PANDA, 400, 400, 0.0), (CARRIED, 1000, 200, 0.013)],
)
def test_what_was_sent_is_what_the_plain_limiter_sends(
    arm: ArmProfile, rate: int, filter_rate: int, delay: float
) -> None:
    path = make(arm, rate, filter_rate, delay)
    data, handles = path.data, path.handles
    p = limiter_parameters(arm, filter_rate)
    every, age = rate // filter_rate, round(delay * rate)
    states: list[tuple[list[float], list[float]]] = []
    previous = path.sent.tolist()
    counts = dict.fromkeys(CAUSES, 0)
    changed = 0
    plan = requests(rate // 20 * 3)
    plan[40] = math.nan
    for step in range(3 * rate):
        request = plan[step // 20]
        states.append((data.qpos[handles.qpos].tolist(), data.qvel[handles.dof].tolist()))
        gravity = [0.0] * 7 if arm.compensates_gravity else data.qfrc_gravcomp[handles.dof].tolist()
        path.advance(request, WIDE, 1)
        if step % every == 0:
            out = [math.nan] * 7
            q, dq = states[max(0, step - age)]
            causes = limit(request.tolist(), gravity, previous, q, dq, p, out)
            assert bits(path.sent) == bits(out), step
            assert bits(path.filtered) == bits([o - g for o, g in zip(out, gravity, strict=True)])
            previous = out
            changed += causes != 0
            for bit, name in enumerate(CAUSES):
                counts[name] += causes >> bit & 1
    assert path.ticks == 3 * filter_rate
    assert path.altered_ticks == changed
    assert dict(zip(CAUSES, path.altered.tolist(), strict=True)) == counts
    assert {name for name, count in counts.items() if count} >= {"nonfinite", "rate", "position", "speed"}


def test_the_way_that_steps_are_grouped_changes_nothing() -> None:
    # 30 physics steps are a control step that is no whole number of the filter's ticks of 4
    whole, pieces = (make(rate=800, floor=True) for _ in range(2))
    for request in requests(60, 0.3):
        whole.advance(request, 0.0, 30)
        for steps in (1, 4, 0, 7, 18):
            pieces.advance(request, 0.0, steps)
    assert whole.steps == pieces.steps == 1800
    assert bits(whole.data.qpos) == bits(pieces.data.qpos)
    assert bits(whole.data.qvel) == bits(pieces.data.qvel)
    assert (whole.peak_force, whole.mean_force, whole.torque_rate_rms) == (
        pieces.peak_force,
        pieces.mean_force,
        pieces.torque_rate_rms,
    )


def test_an_episode_repeats_to_the_bit_after_a_reset() -> None:
    path = make(floor=True)
    start = path.data.qpos.copy()
    ends = []
    for _ in range(2):
        mujoco.mj_resetData(path.model, path.data)
        path.data.qpos[:] = start
        mujoco.mj_forward(path.model, path.data)
        path.reset()
        for request in requests(20, 0.5):
            path.advance(request, 0.02, 20)
        ends.append(
            (bits(path.data.qpos), bits(path.data.qvel), bits(path.sent), path.peak_force, path.ticks)
        )
    assert ends[0] == ends[1]


def test_a_tick_comes_every_so_many_steps_and_its_torque_is_held() -> None:
    path = make(rate=1000)
    sent = []
    for _ in range(20):
        path.advance(np.full(7, 5.0), WIDE, 1)
        sent.append(path.data.ctrl[path.handles.motors[0]])
    assert path.ticks == 4
    assert sent == [1.0] * 5 + [2.0] * 5 + [3.0] * 5 + [4.0] * 5


def test_requests_inside_the_bounds_reach_the_motors_unchanged() -> None:
    path = make()
    request = np.linspace(-0.9, 0.9, 7)
    path.advance(request, WIDE, 4)
    assert bits(path.sent) == bits(path.request) == bits(request)
    assert bits(path.data.ctrl[path.handles.motors]) == bits(request)
    assert path.altered_ticks == 0
    assert not path.altered.any()


def test_motors_make_of_the_torque_what_their_gain_says() -> None:
    path = make()
    path.gain[:] = np.linspace(0.9, 1.1, 7)
    path.advance(np.full(7, 0.5), WIDE, 2)
    np.testing.assert_array_equal(path.data.ctrl[path.handles.motors], 0.5 * np.linspace(0.9, 1.1, 7))
    np.testing.assert_array_equal(path.sent, np.full(7, 0.5))
    path.reset()
    assert path.gain[0] == 0.9


def test_gravity_is_part_of_what_is_sent_to_an_arm_that_does_not_carry_itself() -> None:
    path = make(CARRIED)
    for _ in range(20):
        path.advance(np.zeros(7), WIDE, 20)
    carried = path.data.qfrc_gravcomp[path.handles.dof]
    assert abs(carried).max() > 10.0
    np.testing.assert_allclose(path.sent, carried, atol=1e-9)
    np.testing.assert_array_equal(path.data.ctrl[path.handles.motors], 0.0)
    np.testing.assert_allclose(path.data.qpos[path.handles.qpos], CARRIED.home, atol=1e-6)
    assert path.altered_ticks == 0


def test_gravity_counts_in_the_magnitude_bound_of_an_arm_that_does_not_carry_itself() -> None:
    load = float(make(CARRIED).sent[1])
    ceiling = abs(load) + 4.0
    weak = dataclasses.replace(
        CARRIED, tau_max=np.where(np.arange(7) == 1, ceiling + CARRIED.limiter.tau_margin, CARRIED.tau_max)
    )
    path = make(weak)
    path.advance(np.array([0.0, math.copysign(8.0, load), 0, 0, 0, 0, 0]), WIDE, 20)
    assert path.sent[1] == pytest.approx(math.copysign(ceiling, load))
    assert path.altered[CAUSES.index("magnitude")] > 0


def width_course(path: TorquePath, goals: list[float]) -> list[float]:
    course = []
    for goal in goals:
        path.advance(np.zeros(7), goal, 1)
        course.append(path.gripper_target)
    return course


def test_the_gripper_moves_at_its_speed_after_its_dead_time() -> None:
    path = make(rate=1000)
    dead = round(1000 * PANDA.gripper.dead_time)
    per_step = PANDA.gripper.closing_speed / 1000
    moving = math.ceil(0.02 / per_step - 1e-9)
    course = width_course(path, [WIDE - 0.02] * (dead + moving + 50))
    assert course[:dead] == [pytest.approx(WIDE)] * dead
    np.testing.assert_allclose(
        course[dead : dead + moving - 1], WIDE - per_step * np.arange(1, moving), atol=1e-12
    )
    assert course[dead + moving :] == [WIDE - 0.02] * (len(course) - dead - moving)
    assert path.data.ctrl[path.handles.gripper] == WIDE - 0.02


def test_the_gripper_follows_changes_of_mind_each_after_the_dead_time() -> None:
    path = make(rate=1000)
    dead = round(1000 * PANDA.gripper.dead_time)
    goals = [0.0] * 30 + [WIDE] * (dead + 200)
    course = width_course(path, goals)
    assert course[dead - 1] == pytest.approx(WIDE)
    assert course[dead + 29] == min(course) == pytest.approx(WIDE - 30 * PANDA.gripper.closing_speed / 1000)
    assert course[-1] == WIDE


def test_the_gripper_starts_where_its_fingers_are() -> None:
    path = make()
    path.data.qpos[path.handles.finger_qpos] = 0.01
    path.reset()
    assert path.gripper_target == pytest.approx(0.02)


def test_an_arm_that_was_set_has_no_past_and_its_gripper_goes_on() -> None:
    for arm in (PANDA, CARRIED):
        path = make(arm)
        path.advance(np.full(7, 0.5), 0.0, 60)
        width, ticks = path.gripper_target, path.ticks
        path.data.qpos[path.handles.qpos] += 0.1
        path.data.qvel[path.handles.dof] = 0.2
        path.arm_was_set()
        q, dq = path.delayed_state
        np.testing.assert_array_equal(q, path.data.qpos[path.handles.qpos])
        np.testing.assert_array_equal(dq, 0.2)
        np.testing.assert_array_equal(path.filtered, 0.0)
        assert (path.gripper_target, path.ticks, path.steps) == (width, ticks, 60)
        path.advance(np.zeros(7), 0.0, 4)
        assert path.gripper_target < width


def test_forces_are_measured_over_every_physics_step() -> None:
    path = make(floor=True)
    sensor = path.data.sensordata[path.handles.wrist_force : path.handles.wrist_force + 3]
    path.tare[:] = sensor
    tare = sensor.copy()
    forces = []
    for request in requests(30):
        for _ in range(20):
            path.advance(request, WIDE, 1)
            forces.append(np.linalg.norm(sensor - tare))
    assert max(forces) > 5.0
    assert path.peak_force == pytest.approx(max(forces))
    assert path.mean_force == pytest.approx(np.mean(forces))
    path.reset_meters()
    assert path.peak_force == path.mean_force == 0.0
    np.testing.assert_array_equal(path.tare, tare)


def test_torque_rate_is_that_of_the_filtered_torque() -> None:
    path = make()
    filtered = [path.filtered.copy()]
    for request in requests(25):
        for _ in range(10):
            path.advance(request, WIDE, 2)
            filtered.append(path.filtered.copy())
    rate = np.diff(filtered, axis=0) * 200
    assert path.torque_rate_rms == pytest.approx(math.sqrt(np.mean(rate**2)))
    path.reset_meters()
    assert path.torque_rate_rms == 0.0
    assert path.ticks == path.altered_ticks == 0


def test_a_divergence_ends_the_loop_and_is_not_hidden() -> None:
    path = make()
    path.advance(np.zeros(7), WIDE, 10)
    path.data.qvel[3] = math.nan
    path.advance(np.zeros(7), WIDE, 100)
    assert path.diverged
    assert path.steps == 11
    path.advance(np.zeros(7), WIDE, 100)
    assert path.steps == 11
    mujoco.mj_resetData(path.model, path.data)
    path.reset()
    path.advance(np.zeros(7), WIDE, 100)
    assert not path.diverged
    assert path.steps == 100


def test_requests_that_are_not_numbers_never_reach_the_motors() -> None:
    path = make()
    path.advance(np.full(7, 0.5), WIDE, 20)
    path.advance(np.array([math.nan, 1, math.inf, 1, 1, 1, 1]), WIDE, 20)
    np.testing.assert_array_equal(path.sent, 0.0)
    assert not path.diverged
    assert path.altered[CAUSES.index("nonfinite")] == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"physics_rate": 600}, "timestep"),
        ({"physics_rate": 0}, "physics_rate"),
        ({"filter_rate": 150}, "must divide"),
        ({"filter_rate": 0}, "must divide"),
        ({"filter_rate": 20}, "filter_rate"),
        ({"state_delay": -0.01}, "state_delay"),
        ({"state_delay": math.nan}, "state_delay"),
    ],
)
def test_rates_and_delays_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    model, data, handles = scene(PANDA, 400)
    good: dict[str, Any] = {"physics_rate": 400, "filter_rate": 200, "state_delay": 0.01}
    with pytest.raises(InputError, match=message):
        TorquePath(model, data, handles, PANDA, **(good | change))


def test_a_model_that_resets_itself_is_refused() -> None:
    model, data, handles = scene(PANDA, 400)
    model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    with pytest.raises(InputError, match="AUTORESET"):
        TorquePath(model, data, handles, PANDA, physics_rate=400, filter_rate=200, state_delay=0.01)


def test_a_request_of_the_wrong_shape_and_a_width_that_is_no_number_are_refused() -> None:
    path = make()
    with pytest.raises(InputError, match="shape"):
        path.advance(np.zeros(6), WIDE, 1)
    with pytest.raises(InputError, match="shape"):
        path.advance(np.zeros((7, 1)), WIDE, 1)
    with pytest.raises(InputError, match="width"):
        path.advance(np.zeros(7), math.nan, 1)
    assert path.steps == 0


@pytest.mark.parametrize("name", ["panda", "fr3"])
@pytest.mark.parametrize("speed", [0.0, 1.0])
@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("joint", range(7))
def test_the_arm_pushed_with_full_torque_stays_off_its_limits(
    name: str, joint: int, side: float, speed: float
) -> None:
    arm = load_arm(name)
    path = make(arm)
    data, at, dof = path.data, path.handles.qpos[joint], path.handles.dof[joint]
    path.model.jnt_range[:] = [-100.0, 100.0]  # no stop of MuJoCo's helps
    data.qvel[dof] = side * speed
    path.reset()
    request = np.zeros(7)
    request[joint] = side * arm.tau_max[joint]
    sent = []
    for tick in range(800):
        path.advance(request, WIDE, 2)
        assert arm.q_min[joint] < data.qpos[at] < arm.q_max[joint], tick
        sent.append(path.sent[joint])
    assert not path.diverged
    assert np.abs(np.diff(sent[-200:])).mean() < 0.02


@pytest.mark.slow
def test_a_changed_limiter_is_not_run_from_a_stale_cache(tmp_path: Path) -> None:
    here = Path(robolearn.__file__).parent
    shutil.copytree(here, tmp_path / "robolearn", ignore=shutil.ignore_patterns("__pycache__", "bundles"))
    shutil.copy(__file__, tmp_path / "scene.py")
    code = (
        "import numpy as np; from scene import make; path = make(); "
        "path.advance(np.full(7, 0.5), 0.08, 2); print(path.sent[0])"
    )

    def sent() -> float:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    assert [sent(), sent()] == [0.5, 0.5]
    source = tmp_path / "robolearn" / "hardware" / "limiter.py"
    source.write_text(
        source.read_text().replace("        out[i] = torque\n    return", "        out[i] = 0.25\n    return")
    )
    assert sent() == 0.25
