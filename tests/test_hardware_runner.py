from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robolearn.camera import Camera
from robolearn.contract import Channel, Contract
from robolearn.errors import InputError
from robolearn.hardware.inference import OnnxActor
from robolearn.hardware.runner import PolicyRunner
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import GRIPPER, JointState, Picture, TorqueRequest
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.policies.export import export_onnx
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

MS = 1_000_000
PERIOD = 50 * MS


def offered(station: Station) -> Contract:
    """A contract that the station just satisfies."""
    offer = station.offer()
    return Contract(
        arm=offer.arm,
        joints=offer.joints,
        proprioception=offer.proprioception,
        cameras=offer.cameras,
        action=offer.actions[0],
        control_rate=20.0,
        filter_rate=offer.filter_rate[0],
        limiter=offer.limiter,
        delays=offer.delays,
    )


class Recall:
    """An actor that remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        self.seen.append(observation)
        return np.arange(8, dtype=np.float32)


@pytest.fixture(scope="module")
def station() -> Station:
    return load_station("sim")


def make(station: Station, contract: Contract | None = None) -> tuple[PolicyRunner, Recall]:
    contract = contract or offered(station)
    actor = Recall()
    bundle = Bundle(network=None, contract=contract, task="t", changes={}, weights_hash="b")  # type: ignore[arg-type]
    return PolicyRunner(bundle, station, actor), actor


def joints(station: Station, time: int, names: tuple[str, ...] | None = None) -> JointState:
    """A state in which joint i stands at i + t and moves at 10 i + t, t in ms; the gripper is joint 7."""
    names = names or (*station.joint_names, GRIPPER)
    numbers = np.array([[*station.joint_names, GRIPPER].index(name) for name in names], float)
    t = time / MS
    return JointState(time, names, numbers + t, 10 * numbers + t, np.zeros(len(names)))


def picture(camera: str, time: int) -> Picture:
    return Picture(time, camera, np.full((64, 64, 3), time // MS % 251, np.uint8))


def play(runner: PolicyRunner, station: Station, until: int, *, start: int = 0, **late: int) -> list[Any]:
    """All that a healthy station sends from `start` on, to the ms; requests as they come.

    `late`: extra delay [ns] of a camera.
    """
    requests = []
    for now in range(start, until + 1, MS):
        if now % (5 * MS) == 0:
            runner.on_state(now, joints(station, now - 5 * MS))
            torque = np.full(7, now / MS)
            runner.on_filtered(now, TorqueRequest(now, station.joint_names, torque))
        for camera in ("front", "wrist"):
            taken = now - 10 * MS - late.get(camera, 0)
            if taken >= 0 and taken % PERIOD == 0:
                runner.on_picture(now, picture(camera, taken))
        if runner.due(now) and (observation := runner.prepare(now)) is not None:
            requests.append((now, runner.request(observation, runner.infer(observation), now + 3 * MS)))
    return requests


def test_an_observation_shows_one_moment_as_training_does(station: Station) -> None:
    runner, actor = make(station)
    runner.begin(0)
    assert actor.resets == 0, "it may be at work, on another thread"
    runner.forget()
    assert actor.resets == 1
    requests = play(runner, station, 300 * MS)
    assert [now for now, _ in requests] == [60 * MS + k * PERIOD for k in range(5)]
    assert [request.stamp for _, request in requests] == [50 * MS + k * PERIOD for k in range(5)]
    for k, seen in enumerate(actor.seen):
        moment = 50 + 50 * k
        assert (seen["front"] == moment).all()
        assert (seen["wrist"] == moment).all()
        np.testing.assert_array_equal(seen["q"], np.arange(7, dtype=np.float32) + moment)
        np.testing.assert_array_equal(seen["dq"], 10 * np.arange(7, dtype=np.float32) + moment)
        np.testing.assert_array_equal(seen["gripper"], np.float32([7 + moment, 70 + moment]))
        # the wire takes 5 ms: what the limiter let through 5 ms ago is about to take effect
        np.testing.assert_array_equal(seen["tau"], np.full(7, moment - 10, np.float32))
        assert all(
            value.dtype == np.float32 for name, value in seen.items() if name not in ("front", "wrist")
        )
    assert runner.missing == ()
    assert not runner.reports


def test_a_request_has_the_wires_names_and_the_oldest_stamp(station: Station) -> None:
    runner, _ = make(station)
    runner.begin(0)
    _, request = play(runner, station, 100 * MS)[0]
    assert request.names == station.joint_names
    np.testing.assert_array_equal(request.torque, np.arange(7.0))
    assert request.gripper == 7.0
    assert runner.inference.summary() == pytest.approx({"median": 3e-3, "p99": 3e-3, "max": 3e-3})
    assert runner.age.summary()["max"] == pytest.approx(13e-3)
    beat = runner.heartbeat(5)
    assert (beat.bundle, beat.contract) == ("b", runner.contract.hash)


def test_permuted_and_separate_messages_say_the_same(station: Station) -> None:
    runner, actor = make(station)
    runner.begin(0)
    for now in range(0, 61 * MS, 5 * MS):
        runner.on_state(now, joints(station, now, station.joint_names[::-1]))
        runner.on_state(now, joints(station, now, ("other", GRIPPER)[1:]))
        runner.on_filtered(now, TorqueRequest(now, station.joint_names[::-1], np.arange(7.0)))
    for camera in ("front", "wrist"):
        runner.on_picture(60 * MS, picture(camera, 50 * MS))
    assert runner.due(60 * MS)
    observation = runner.prepare(60 * MS)
    assert observation is not None
    np.testing.assert_array_equal(observation.values["q"], np.arange(7, dtype=np.float32) + 50)
    np.testing.assert_array_equal(observation.values["tau"], np.arange(7, dtype=np.float32)[::-1])
    assert not actor.seen


def test_readings_are_those_of_when_the_pictures_were_taken(station: Station) -> None:
    """Cameras out of step with one another: readings are interpolated to the middle of them."""
    runner, _ = make(station)
    runner.begin(0)
    for now in range(0, 76 * MS, 5 * MS):
        runner.on_state(now, joints(station, now))
        runner.on_filtered(now, TorqueRequest(now, station.joint_names, np.zeros(7)))
    runner.on_picture(65 * MS, picture("front", 50 * MS))
    runner.on_picture(65 * MS, picture("wrist", 57 * MS))
    assert runner.due(65 * MS)
    observation = runner.prepare(65 * MS)
    assert observation is not None
    np.testing.assert_allclose(observation.values["q"], np.arange(7) + 53.5, rtol=1e-6)
    assert observation.stamp == 50 * MS


def test_a_late_camera_is_waited_for_and_a_lost_one_reported(station: Station) -> None:
    runner, actor = make(station)
    runner.begin(0)
    late = play(runner, station, 300 * MS, front=8 * MS)
    assert late[-1][0] - late[-2][0] == PERIOD
    assert late[-1][1].stamp % PERIOD == 0
    assert (late[-1][0] - late[-1][1].stamp) == 18 * MS

    count = len(actor.seen)
    play(runner, station, 600 * MS, start=301 * MS, front=10_000 * MS)
    assert runner.missing == ("camera front",)
    assert runner.reports["camera front missing"] >= 4
    assert len(actor.seen) == count
    play(runner, station, 800 * MS, start=601 * MS)
    assert runner.missing == ()
    assert len(actor.seen) > count


@pytest.mark.parametrize("first", [0, 1, 2])
def test_cameras_of_30_hz_serve_a_policy_of_20(station: Station, first: int) -> None:
    """Out of step and a little unpunctual: the nearest picture is at most 20 ms off, and none is missed."""
    slow = replace(station, cameras=tuple(replace(camera, rate=30.0) for camera in station.cameras))
    runner, actor = make(slow)
    taken = [round((k + first) * 1000 / 30 + 0.8) * MS for k in range(40)]
    runner.begin(taken[0])
    stamps = []
    for now in range(0, 1000 * MS, MS):
        if now % (5 * MS) == 0:
            runner.on_state(now, joints(station, now - 5 * MS))
            runner.on_filtered(now, TorqueRequest(now, station.joint_names, np.zeros(7)))
        if now - 10 * MS in taken:
            for camera in ("front", "wrist"):
                runner.on_picture(now, picture(camera, now - 10 * MS))
        if runner.due(now) and (observation := runner.prepare(now)) is not None:
            stamps.append(observation.stamp)
    assert not runner.reports
    assert len(stamps) >= 17
    assert np.abs(np.diff(stamps) - PERIOD).max() <= 20 * MS
    assert not actor.seen


@pytest.mark.parametrize("rate", [15.0, 30.0])
def test_cameras_that_are_out_of_step_with_one_another_serve(station: Station, rate: float) -> None:
    """The second looks halfway between two pictures of the first: an episode begins all the same, though a
    moment is missed now and then."""
    slow = replace(station, cameras=tuple(replace(camera, rate=rate) for camera in station.cameras))
    contract = replace(offered(slow), control_rate=12.5)
    runner, _ = make(slow, contract)
    runner.begin(0)
    period, stamps = round(1000 / rate), []
    for now in range(0, 1000 * MS, MS):
        if now % (5 * MS) == 0:
            runner.on_state(now, joints(station, now - 5 * MS))
            runner.on_filtered(now, TorqueRequest(now, station.joint_names, np.zeros(7)))
        for camera, phase in (("front", 0), ("wrist", period // 2)):
            taken = now - 10 * MS
            if taken >= 0 and (taken // MS - phase) % period == 0:
                runner.on_picture(now, picture(camera, taken))
        if runner.due(now) and (observation := runner.prepare(now)) is not None:
            stamps.append(observation.stamp)
    assert len(stamps) >= 7
    assert stamps[0] < 100 * MS
    assert set(runner.reports) <= {"camera front missing", "camera wrist missing"}


def test_what_cannot_be_used_is_reported(station: Station) -> None:
    runner, _ = make(station)
    good = joints(station, 10 * MS)
    runner.on_state(0, good)
    runner.on_state(0, good)
    runner.on_state(0, replace(good, stamp=20 * MS, velocity=np.zeros(0)))
    runner.on_state(0, replace(good, stamp=20 * MS, position=np.full(8, np.nan)))
    runner.on_state(0, replace(good, stamp=20 * MS, names=tuple("abcdefgh")))
    runner.on_picture(0, picture("front", 5 * MS))
    runner.on_picture(0, picture("front", 5 * MS))
    runner.on_filtered(0, TorqueRequest(0, ("a",), np.zeros(1)))
    assert dict(runner.reports) == {
        "joint state that is no newer than the one before": 2,
        "joint state without positions or velocities": 1,
        "joint state that is not finite": 2,
        "joint state without the policy's joints": 1,
        "picture of front that is no newer than the one before": 1,
        "filtered torque without the policy's joints": 1,
    }


def test_nothing_begins_before_everything_is_there(station: Station) -> None:
    runner, _ = make(station)
    with pytest.raises(RuntimeError, match="no observation is due"):
        runner.prepare(0)
    runner.begin(0)
    assert not runner.due(0)
    for camera in ("front", "wrist"):
        runner.on_picture(60 * MS, picture(camera, 50 * MS))
    assert not runner.due(60 * MS)
    assert runner.next_due() is None


def test_who_is_held_up_skips_the_moments_that_passed(station: Station) -> None:
    runner, actor = make(station)
    runner.begin(0)
    play(runner, station, 100 * MS)
    count = len(actor.seen)
    for now in range(101 * MS, 330 * MS, MS):
        if now % (5 * MS) == 0:
            runner.on_state(now, joints(station, now - 5 * MS))
            runner.on_filtered(now, TorqueRequest(now, station.joint_names, np.zeros(7)))
        if (now - 10 * MS) % PERIOD == 0:
            for camera in ("front", "wrist"):
                runner.on_picture(now, picture(camera, now - 10 * MS))
    observation = runner.prepare(330 * MS)
    assert observation is not None
    assert observation.stamp == 300 * MS
    assert runner.reports["moments skipped"] == 4
    assert len(actor.seen) == count


def test_every_gap_is_told_at_configure(station: Station) -> None:
    contract = offered(station)
    wide = Camera.from_fovy("front", 64, 64, 1.2, "base", contract.cameras[0].position, (1, 0, 0, 0))
    bad = replace(contract, arm="fr3", cameras=(wide,), filter_rate=500.0)
    with pytest.raises(InputError) as caught:
        make(station, bad)
    for thing in ("arm", "camera front rotation", "camera front field of view", "filter_rate"):
        assert thing in str(caught.value)


def test_a_channel_that_nobody_sends_is_refused(station: Station) -> None:
    contract = offered(station)
    wanted = replace(contract, proprioception=(*contract.proprioception, Channel("wrench", "N, N·m", 6)))
    with pytest.raises(InputError, match="channel wrench"):
        make(station, wanted)


def test_an_onnx_file_acts_as_its_network(tmp_path: Path) -> None:
    from small_policies import save_small

    config = VisuomotorConfig(channels=(4, 8), hidden=16, history=3, recurrent=True)
    save_small(tmp_path / "bundle", config=config)
    bundle = load_bundle(tmp_path / "bundle")
    export_onnx(bundle, tmp_path / "policy.onnx")
    contract, weights = bundle.contract.hash, bundle.weights_hash
    actor = OnnxActor(tmp_path / "policy.onnx", contract, weights)
    network: Visuomotor = bundle.network
    rng = np.random.default_rng(0)
    for _ in range(2):
        network.reset()
        actor.reset()
        for _ in range(5):
            observation: dict[str, Any] = {
                name: rng.integers(0, 256, (*size, 3), np.uint8) for name, size in network.cameras.items()
            }
            for name, size in network.channels.items():
                observation[name] = rng.standard_normal(size).astype(np.float32)
            np.testing.assert_allclose(actor.act(observation), network.act(observation), atol=1e-3)
    for others in (("another", weights), (contract, "another")):
        with pytest.raises(InputError, match=r"hash is .* another: export it again"):
            OnnxActor(tmp_path / "policy.onnx", *others)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot be run"):
        OnnxActor(tmp_path / "bad.onnx", contract, weights)
