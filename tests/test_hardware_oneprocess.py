from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from deploying_alone import STATION, Log, Teacher, ball_bundle, deploy, of

from robolearn.errors import InputError
from robolearn.hardware import oneprocess
from robolearn.hardware.faults import Fault
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.monitor.states import Authority, Mode
from robolearn.hardware.oneprocess import run_episodes
from robolearn.hardware.recording import topics
from robolearn.hardware.station import load_station
from robolearn.hardware.wire import SECOND, EpisodeMark, TorqueRequest
from robolearn.policies.bundle import Bundle


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return ball_bundle()


def digest(log: Log) -> str:
    """Of everything that was recorded, to the last bit."""
    sha = hashlib.sha256()
    for topic, time, record in log:
        sha.update(f"{topic} {time}".encode())
        for field in fields(record):
            value = getattr(record, field.name)
            sha.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return sha.hexdigest()


def test_an_episode_succeeds_and_all_of_it_is_recorded(bundle: Bundle) -> None:
    process, log = deploy(bundle)
    outcomes = [process.run_episode(seed) for seed in (0, 1)]
    assert all(outcome.success for outcome in outcomes)
    assert all(outcome.reason == "success" for outcome in outcomes)
    assert [time for _, time, _ in log] == sorted(time for _, time, _ in log)

    marks = of(log, topics.EPISODE)
    assert [mark.kind for _, mark in marks] == ["begin", "end"] * 2
    for k, outcome in enumerate(outcomes):
        (began, begin), (ended, end) = marks[2 * k : 2 * k + 2]
        assert isinstance(begin, EpisodeMark)
        assert begin.body["seed"] == k
        assert begin.body["bundle"] == "ball"
        assert begin.body["contract"] == bundle.contract.hash
        assert end.body["judged_by"] == "predicate"
        assert end.body["outcome"]["success"]
        assert end.body["outcome"]["peak_force"] == pytest.approx(outcome.peak_force, abs=1.0)
        assert ended - began == round(outcome.seconds * SECOND)
        inside = Counter(name for name, time, _ in log if began < time <= ended)
        seconds = outcome.seconds
        assert inside["/joint_states"] == pytest.approx(200 * seconds, abs=2)
        assert inside[topics.MONITOR] == inside[topics.SENT] == outcome.ticks
        assert outcome.ticks == pytest.approx(200 * seconds, abs=2)
        assert inside["/cameras/front/image_raw"] == pytest.approx(60 * seconds, abs=2)
        # asked as soon as both pictures of a moment after the beginning are there
        assert outcome.steps == inside[topics.REQUESTED]
        assert outcome.steps == pytest.approx(20 * seconds, abs=2)
        assert {status.mode for time, status in of(log, topics.MONITOR) if began < time <= ended} == {
            "passing"
        }
    age = process.runner.age.summary()
    assert age["max"] <= 0.015 + 1e-9
    assert process.arm.controller_errors == 0
    assert not process.runner.reports


def test_what_is_sent_lies_inside_the_limiters_bounds(bundle: Bundle) -> None:
    class Wild(Teacher):
        def spoil(self, action: np.ndarray) -> np.ndarray:
            action[:-1] *= 30.0 * (-1.0) ** self.asked
            return action

    process, log = deploy(bundle, Wild())
    process.run_episode(0)
    bounds = limiter_parameters(STATION.arm, 200.0)
    sent = np.array([record.torque for _, record in of(log, topics.SENT)])
    assert (np.abs(sent) <= bounds.tau_max).all()
    times = np.array([time for time, _ in of(log, topics.SENT)])
    steps = np.abs(np.diff(sent, axis=0))[np.diff(times) == 5_000_000]
    assert (steps <= np.array(bounds.dtau) + 1e-12).all()


def test_two_runs_are_the_same_to_the_last_bit(bundle: Bundle) -> None:
    digests = []
    for _ in range(2):
        process, log = deploy(bundle)
        process.arm.inject(Fault("state dropped", 0.05))
        process.run_episode(2)
        digests.append(digest(log))
    assert len(log) > 500
    assert digests[0] == digests[1]


def test_in_shadow_nothing_is_sent_and_all_is_logged(bundle: Bundle) -> None:
    process, log = deploy(bundle, authority=Authority.SHADOW)
    outcome = process.run_episode(0)
    assert not outcome.success
    assert outcome.reason == "time"
    assert of(log, topics.SENT) == []
    assert outcome.steps > 30
    assert any(record.torque.any() for _, record in of(log, topics.FILTERED))
    q = process.arm.env.data.qpos[process.arm.env.handles.qpos]
    np.testing.assert_allclose(q, process.arm.start_posture, atol=0.04)


def test_a_policy_that_asks_for_no_number_is_stopped_and_the_arm_hears_none(bundle: Bundle) -> None:
    class Insane(Teacher):
        def spoil(self, action: np.ndarray) -> np.ndarray:
            return action if self.asked < 5 else action * np.float32(np.nan)

    process, log = deploy(bundle, Insane())
    outcome = process.run_episode(0)
    assert (outcome.success, outcome.reason) == (False, "stopped")
    (end,) = [mark for _, mark in of(log, topics.EPISODE) if mark.kind == "end"]
    assert end.body["judged_by"] == "monitor"
    asked = next(time for time, r in of(log, topics.REQUESTED) if not np.isfinite(r.torque).all())
    stopped = next(
        time for time, status in of(log, topics.MONITOR) if status.mode == "stopped" and time >= asked
    )
    assert stopped - asked <= 2 * 5_000_000
    process.run_until(process.now + SECOND)
    assert all(np.isfinite(record.torque).all() for _, record in of(log, topics.SENT))
    assert np.abs(process.arm.env.data.qvel[process.arm.env.handles.dof]).max() < 0.05
    # a person resets, and the next episode begins
    process.runner.actor.spoil = lambda action: action  # type: ignore[attr-defined]
    assert process.run_episode(1).success


def test_a_policy_that_is_too_slow_is_held(bundle: Bundle) -> None:
    process, log = deploy(bundle, inference=0.25)
    process.run_episode(0)
    (begun, _), (ended, _) = of(log, topics.EPISODE)
    modes = Counter(s.mode for time, s in of(log, topics.MONITOR) if begun + SECOND // 2 < time < ended)
    assert modes["holding"] > modes["passing"]
    assert "stopped" not in modes
    assert process.monitor.status(0).counts["request_late"] >= 1


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("state dropped", 1.0), "state_lost"),
        (Fault("state nan"), "state_nonfinite"),
        (Fault("state without velocity"), "state_no_velocity"),
        (Fault("state frozen"), "state_frozen"),
        (Fault("stranger", 0.5), "stranger"),
    ],
)
def test_faults_stop_the_arm(bundle: Bundle, fault: Fault, cause: str) -> None:
    class Breaks(Teacher):
        def spoil(self, action: np.ndarray) -> np.ndarray:
            if self.asked == 6:
                self.process.arm.inject(fault)
                self.at = self.process.now
            return action

    teacher = Breaks()
    process, _ = deploy(bundle, teacher)
    outcome = process.run_episode(0)
    assert outcome.reason == "stopped"
    assert process.tick is not None
    assert process.tick.mode is Mode.STOPPED
    assert cause in process.tick.causes
    assert process.now - teacher.at <= 130_000_000


def test_a_lost_camera_holds_the_arm_and_is_reported(bundle: Bundle) -> None:
    class Blind(Teacher):
        def spoil(self, action: np.ndarray) -> np.ndarray:
            if self.asked == 6:
                self.process.arm.inject(Fault("camera lost", camera="wrist"))
            return action

    process, _ = deploy(bundle, Blind())
    assert not process.run_episode(0).success
    assert process.runner.reports["camera wrist missing"] > 5
    assert process.monitor.status(0).counts["camera_late"] >= 1


def test_harmless_faults_harm_nothing(bundle: Bundle) -> None:
    process, _ = deploy(bundle)
    process.arm.inject(Fault("state permuted"))
    process.arm.inject(Fault("state duplicated"))
    assert process.run_episode(0).success


def test_an_arm_that_does_not_come_home_is_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneprocess, "PATIENCE", 2 * SECOND)
    process, _ = deploy(bundle)
    process.arm.inject(Fault("state dropped", 1.0))
    with pytest.raises(RuntimeError, match=r"did not get home.*state_"):
        process.run_episode(0)


def test_only_a_simulated_station_will_do(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="not a simulated one"):
        run_episodes(bundle, load_station("panda"), [0])


def test_requests_carry_the_stamp_of_what_they_came_from(bundle: Bundle) -> None:
    process, log = deploy(bundle)
    process.run_episode(3)
    (begun, _), _ = of(log, topics.EPISODE)
    for time, request in of(log, topics.REQUESTED):
        assert isinstance(request, TorqueRequest)
        assert time - request.stamp == (15 if time > begun else 5) * 1_000_000
