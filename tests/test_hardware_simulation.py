from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_task import BallEnv

from robolearn.errors import InputError
from robolearn.hardware.arm import ARMS
from robolearn.hardware.faults import AMOUNTS, FAULTS, Fault
from robolearn.hardware.model import ArmModel
from robolearn.hardware.simulation import Message, Shutter, SimulatedArm, WireTiming
from robolearn.hardware.wire import GRIPPER, SECOND, JointState, Picture, Wrench

MS = 1_000_000
TASK = "small_task:BallEnv"
SIDE = np.array([5.0, 0, 0, 0, 0, 0, 0])
TIMING = WireTiming(
    state_delay=0.005,
    command_delay=0.005,
    cameras={"front": Shutter(20.0, 0.03), "wrist": Shutter(50.0, 0.01)},
)


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatedArm]:
    arm = SimulatedArm(TASK, timing=TIMING)
    yield arm
    arm.close()


@pytest.fixture
def arm(shared: SimulatedArm) -> SimulatedArm:
    """The arm at the beginning of an episode, at rest, its clock wherever it is."""
    now = -(-time_of(shared) // (100 * MS)) * 100 * MS
    shared.faults.clear()
    shared.set_active(False, now)
    shared.advance(now + 50 * MS)
    shared.set_active(True, now + 50 * MS)
    shared.advance(now + 100 * MS)
    shared.reset_episode(0, time_of(shared))
    return shared


def time_of(arm: SimulatedArm) -> int:
    return arm._time(arm._count)


def go(arm: SimulatedArm, time: int) -> list[Message]:
    """Let a time pass [ns]."""
    return arm.advance(time_of(arm) + time)


def joints(messages: list[Message]) -> list[JointState]:
    return [message for message in messages if isinstance(message, JointState)]


def pictures(messages: list[Message], camera: str) -> list[Picture]:
    return [m for m in messages if isinstance(m, Picture) and m.camera == camera]


def q(arm: SimulatedArm) -> np.ndarray:
    return arm.env.data.qpos[arm.env.handles.qpos].copy()


def test_states_and_pictures_come_at_their_rates_with_their_delays(arm: SimulatedArm) -> None:
    start = time_of(arm)
    came: dict[str, list[tuple[int, int]]] = {}
    for now in range(start + MS, start + SECOND + MS, MS):
        for message in arm.advance(now):
            key = message.camera if isinstance(message, Picture) else "state"
            came.setdefault(key, []).append((now, message.stamp))
    for key, rate, delay in (("state", 200, 5), ("front", 20, 30), ("wrist", 50, 10)):
        arrivals, stamps = np.array(came[key]).T
        assert abs(len(stamps) - rate) <= 1, key
        np.testing.assert_array_equal(np.diff(stamps), SECOND // rate)
        # the time is looked at every ms
        assert ((arrivals - stamps >= delay * MS) & (arrivals - stamps < (delay + 1) * MS)).all()


def test_pictures_show_the_moment_of_their_stamp(arm: SimulatedArm) -> None:
    """What is drawn when a picture arrives is the world as it was when the shutter opened."""
    arm.command(SIDE, time_of(arm))
    go(arm, 203 * MS)
    sizes = arm.env.views["wrist"]
    expected: dict[int, Any] = {}
    seen: list[Picture] = []
    for _ in range(40):
        messages = go(arm, 5 * MS // 2)
        expected[time_of(arm)] = arm.env.picture("wrist", sizes.width, sizes.height, "fast")
        seen += [picture for picture in pictures(messages, "wrist") if picture.stamp in expected]
    assert len(seen) >= 3
    for picture in seen:
        np.testing.assert_array_equal(picture.pixels, expected[picture.stamp])


def test_the_last_command_is_kept_for_ever_and_takes_effect_after_the_wires_delay(arm: SimulatedArm) -> None:
    now = time_of(arm)
    arm.command(SIDE, now)
    states = joints(go(arm, 100 * MS))
    moving = [state.stamp for state in states if state.effort[0] != 0.0]
    assert moving[0] == now + 10 * MS  # it is made from 5 ms on; the state of that very moment is from before
    start = q(arm)
    late = joints(go(arm, 1000 * MS))
    assert all(state.effort[0] == 5.0 for state in late)
    assert abs(q(arm)[0] - start[0]) > 0.3


def test_nothing_is_limited(arm: SimulatedArm) -> None:
    torque = 3.0 * arm.env.arm.tau_max
    arm.command(torque, time_of(arm))
    go(arm, 30 * MS)
    np.testing.assert_allclose(arm.env.data.actuator_force[arm.env.handles.motors], torque)


def test_a_command_of_the_wrong_length_is_an_error_and_the_old_torque_stays(arm: SimulatedArm) -> None:
    arm.command(SIDE, time_of(arm))
    go(arm, 20 * MS)
    errors = arm.controller_errors
    arm.command(np.zeros(6), time_of(arm))
    arm.command(np.zeros(0), time_of(arm))
    assert joints(go(arm, 50 * MS))[-1].effort[0] == 5.0
    assert arm.controller_errors == errors + 2


def test_a_torque_that_is_no_number_wrecks_the_arm_until_the_reset(arm: SimulatedArm) -> None:
    arm.begin_episode()
    arm.command(np.full(7, np.nan), time_of(arm))
    states = joints(go(arm, 50 * MS))
    assert np.isnan(states[-1].position).all()
    assert arm.verdict is not None
    assert (arm.verdict.success, arm.verdict.reason) == (False, "diverged")
    arm.command(np.zeros(7), time_of(arm))
    go(arm, 20 * MS)
    arm.reset_episode(1, time_of(arm))
    assert np.isfinite(joints(go(arm, 50 * MS))[-1].position).all()


def test_deactivation_makes_effort_zero_and_forgets(arm: SimulatedArm) -> None:
    arm.command(SIDE, time_of(arm))
    go(arm, 50 * MS)
    now = time_of(arm)
    arm.set_active(False, now)
    states = joints(go(arm, 60 * MS))
    assert all(state.effort[0] == 0.0 for state in states if state.stamp > now + 10 * MS)
    assert not arm.active
    arm.command(SIDE, time_of(arm))
    go(arm, 20 * MS)
    arm.set_active(True, time_of(arm))
    states = joints(go(arm, 100 * MS))
    assert arm.active
    assert all(state.effort[0] == 0.0 for state in states)
    arm.command(SIDE, time_of(arm))
    assert joints(go(arm, 50 * MS))[-1].effort[0] == 5.0


def test_an_arm_that_carries_itself_floats(arm: SimulatedArm) -> None:
    start = q(arm)
    go(arm, 500 * MS)
    np.testing.assert_allclose(q(arm), start, atol=1e-3)


def test_an_arm_that_does_not_is_carried_by_what_is_sent(tmp_path: Path) -> None:
    text = (ARMS / "panda.yaml").read_text()
    assert "compensates_gravity: true" in text
    (tmp_path / "heavy.yaml").write_text(
        text.replace("compensates_gravity: true", "compensates_gravity: false")
    )
    heavy = SimulatedArm(TASK, {"arm": str(tmp_path / "heavy.yaml")}, TIMING)
    start = q(heavy)
    model = ArmModel(heavy.env.arm)
    for now in range(0, 500 * MS, 5 * MS):
        heavy.command(model.gravity(model.frames(q(heavy))), now)
        heavy.advance(now + 5 * MS)
    np.testing.assert_allclose(q(heavy), start, atol=0.05)  # it fell for 5 ms before the first torque came
    heavy.set_active(False, 500 * MS)
    heavy.advance(800 * MS)
    assert np.abs(q(heavy) - start).max() > 0.2


def test_an_unknown_payload_weighs(arm: SimulatedArm) -> None:
    loaded = SimulatedArm(TASK, timing=TIMING, payload_error=0.5)
    before = loaded.env.grip_pose()[0][2]
    loaded.advance(300 * MS)
    fallen = loaded.env.data.site_xpos[loaded.env.handles.grip][2] - before
    assert fallen < -0.02
    nominal = BallEnv()
    nominal.reset(seed=0)
    hand = nominal.handles.hand
    weight = loaded.env.model.body_mass[hand] - nominal.model.body_mass[hand]
    assert weight == pytest.approx(0.5)
    assert loaded.env.model.body_gravcomp[hand] * loaded.env.model.body_mass[hand] == pytest.approx(
        nominal.model.body_mass[hand]
    )
    loaded.reset_episode(1, 300 * MS)
    assert loaded.env.model.body_mass[hand] == pytest.approx(nominal.model.body_mass[hand] + 0.5)


def test_the_gripper_waits_and_then_moves_at_its_speed(arm: SimulatedArm) -> None:
    go(arm, 1500 * MS)
    assert arm.env.width == pytest.approx(0.08, abs=1e-3)
    now = time_of(arm)
    arm.command_gripper(1.0, now)
    widths = {state.stamp: state.position[-1] for state in joints(go(arm, 1200 * MS))}
    assert all(width > 0.079 for stamp, width in widths.items() if stamp < now + 100 * MS)
    assert widths[now + 505 * MS] == pytest.approx(0.04, abs=6e-3)
    assert arm.env.width < 1e-3
    state = joints(go(arm, 10 * MS))[-1]
    assert state.names[-1] == GRIPPER


def test_the_tasks_predicate_decides(arm: SimulatedArm) -> None:
    env = arm.env
    assert isinstance(env, BallEnv)
    arm.begin_episode()
    env.data.joint("ball").qpos[:3] = env.grip_pose()[0]
    env.model.body_gravcomp[env.model.body("ball").id] = 1.0
    for _ in range(3):
        assert arm.verdict is None
        env.data.joint("ball").qpos[:3] = env.grip_pose()[0]
        env.data.joint("ball").qvel[:] = 0.0
        go(arm, 50 * MS)
    assert arm.verdict is not None
    assert arm.verdict.success
    arm.reset_episode(1, time_of(arm))
    assert env.model.body_gravcomp[env.model.body("ball").id] == 0.0
    arm.begin_episode()
    env.data.joint("ball").qpos[:3] = [1.0, 0.0, 0.5]
    go(arm, 100 * MS)
    assert arm.verdict is not None
    assert (arm.verdict.success, arm.verdict.reason) == (False, "lost")


def test_episodes_are_those_of_the_environment(arm: SimulatedArm) -> None:
    env = BallEnv()
    for seed in (3, 4):
        env.reset(seed=seed)
        arm.reset_episode(seed, time_of(arm))
        np.testing.assert_array_equal(arm.env.data.qpos, env.data.qpos)


def test_the_same_calls_give_the_same_bits() -> None:
    def play() -> list[Any]:
        arm = SimulatedArm(TASK, {"randomisation": "rich"}, TIMING, seed=3)
        arm.inject(Fault("state dropped", 0.3))
        arm.command(SIDE, 0)
        return [
            (m.stamp, *(a.tobytes() for a in vars(m).values() if isinstance(a, np.ndarray)))
            for m in arm.advance(200 * MS)
        ]

    assert play() == play()


def test_next_arrival_is_when_something_arrives(arm: SimulatedArm) -> None:
    for _ in range(30):
        arrival = arm.next_arrival()
        assert arm.advance(arrival - 1) == []
        assert arm.advance(arrival)


def test_skipped_time_leaves_the_arm_where_it_was(arm: SimulatedArm) -> None:
    arm.command(SIDE, time_of(arm))
    go(arm, 52 * MS)
    before, at = q(arm), time_of(arm)
    arm.skip(at - MS)  # it is past
    assert time_of(arm) == at
    arm.skip(at + SECOND + 100)
    assert time_of(arm) == at + SECOND + 100
    np.testing.assert_array_equal(q(arm), before)
    came = joints(go(arm, 100 * MS))
    stamps = [state.stamp for state in came if state.stamp > at + SECOND]
    assert len(stamps) in (18, 19, 20)
    np.testing.assert_array_equal(np.diff(stamps), 5 * MS)
    assert not [state for state in came if at < state.stamp <= at + SECOND]


def test_warming_up_leaves_nothing_behind(arm: SimulatedArm) -> None:
    fresh = SimulatedArm(TASK, timing=TIMING)
    fresh.warm_up()
    np.testing.assert_array_equal(q(fresh), q(arm))
    fresh.skip(5 * SECOND)
    messages = fresh.advance(6 * SECOND)
    assert {type(message) for message in messages} == {JointState, Picture}
    assert min(message.stamp for message in messages) >= 5 * SECOND
    fresh.close()


def test_a_wrench_is_sent_where_it_is_measured() -> None:
    arm = SimulatedArm(TASK, timing=WireTiming(wrench=True))
    wrenches = [message for message in arm.advance(50 * MS) if isinstance(message, Wrench)]
    assert len(wrenches) >= 8
    assert np.linalg.norm(wrenches[-1].force) > 1.0  # the hand's weight


def test_faults_of_the_state(arm: SimulatedArm) -> None:
    def under(kind: str, amount: float = 0.0) -> list[tuple[int, JointState]]:
        arm.faults.clear()
        arm.inject(Fault(kind, amount))
        go(arm, 50 * MS)
        came = []
        for _ in range(100):
            messages = go(arm, 5 * MS // 2)
            came += [(time_of(arm), state) for state in joints(messages)]
        return came

    arm.command(SIDE, time_of(arm))
    readings = [state.position.tolist() for _, state in under("state frozen")]
    assert all(reading == readings[0] for reading in readings)
    assert all(now - state.stamp == 55 * MS for now, state in under("state late", 0.05))
    stamps = [state.stamp for _, state in under("state backwards", 0.1)]
    assert (np.diff(stamps) < 0).sum() > 10
    assert all(state.stamp > now for now, state in under("state future", 0.1))
    stamps = [state.stamp for _, state in under("state duplicated")]
    assert len(stamps) == 2 * len(set(stamps))
    assert 10 < len(under("state dropped", 0.5)) < 40
    assert len(under("state dropped", 1.0)) == 0
    assert all(np.isnan(state.position[0]) for _, state in under("state nan"))
    assert all(state.velocity.size == 0 for _, state in under("state without velocity"))
    assert all(state.names[0] == GRIPPER for _, state in under("state permuted"))
    assert all(state.stamp - now == 995 * MS for now, state in under("clock jump", 1.0))


def test_faults_of_a_camera(arm: SimulatedArm) -> None:
    arm.command(SIDE, time_of(arm))
    arm.inject(Fault("camera lost", camera="front"))
    messages = go(arm, 200 * MS)
    assert pictures(messages, "front") == []
    assert pictures(messages, "wrist")
    arm.faults.clear()
    arm.inject(Fault("camera black"))
    go(arm, 100 * MS)
    assert all(not picture.pixels.any() for picture in pictures(go(arm, 100 * MS), "wrist"))
    arm.faults.clear()
    arm.inject(Fault("camera frozen", camera="wrist"))
    go(arm, 50 * MS)
    frozen = pictures(go(arm, 200 * MS), "wrist")
    assert len({picture.pixels.tobytes() for picture in frozen}) == 1
    assert len({picture.stamp for picture in frozen}) == len(frozen)
    arm.faults.clear()
    arm.inject(Fault("camera late", 0.1, "wrist"))
    go(arm, 150 * MS)
    arrivals = []
    for _ in range(40):
        arrivals += [time_of(arm) - p.stamp for p in pictures(go(arm, 5 * MS // 2), "wrist")]
    assert set(arrivals) <= {110 * MS - 5 * MS // 2, 110 * MS}


def test_a_stranger_commands_the_arm(arm: SimulatedArm) -> None:
    arm.inject(Fault("stranger", 2.0))
    for _ in range(5):
        arm.command(SIDE, time_of(arm))
        state = joints(go(arm, 20 * MS))[-1]
    assert (state.effort[:7] == 2.0).all()


def test_the_page_names_every_fault() -> None:
    page = (Path(__file__).parents[1] / "docs" / "simulated-arm.md").read_text(encoding="utf-8")
    rows = "\n".join(f"| `{kind}` | {meaning} |" for kind, meaning in FAULTS.items())
    assert rows in page


def test_what_cannot_be_is_refused(arm: SimulatedArm) -> None:
    with pytest.raises(InputError, match="unknown fault 'sate frozen' \\(did you mean 'state frozen'"):
        Fault("sate frozen")
    for kind in FAULTS:
        if kind in AMOUNTS:
            with pytest.raises(InputError, match="needs an amount"):
                Fault(kind)
        else:
            Fault(kind)
    with pytest.raises(InputError, match="unknown camera 'side'"):
        arm.inject(Fault("camera lost", camera="side"))
    with pytest.raises(InputError, match="unknown camera 'side'"):
        SimulatedArm(TASK, timing=WireTiming(cameras={"side": Shutter()}))
    with pytest.raises(InputError, match="joint_names"):
        SimulatedArm(TASK, joint_names=("one",))
