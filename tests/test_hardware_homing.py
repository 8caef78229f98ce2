from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robolearn.errors import InputError
from robolearn.hardware.homing import LAG, NEAR, PEAK, SPEED, Homing
from robolearn.hardware.model import ArmModel
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import JointState

TICK = 5_000_000


@pytest.fixture(scope="module")
def station() -> Station:
    return load_station("sim")


class Joints:
    """Joints with the arm's inertia and nothing else: no friction, no weight, no centrifugal torques."""

    def __init__(self, station: Station, q: np.ndarray) -> None:
        self.names = station.joint_names
        self.q, self.dq, self.model = q.copy(), np.zeros(7), ArmModel(station.arm)
        self.time = 0
        self.held = False
        self.fastest = 0.0

    @property
    def inertia(self) -> np.ndarray:
        return self.model.inertia(self.model.frames(self.q))

    def follow(self, homing: Homing, ticks: int) -> None:
        for _ in range(ticks):
            request = homing.on_state(JointState(self.time, self.names, self.q, self.dq, np.zeros(7)))
            assert request is not None
            gain = np.linalg.solve(self.inertia, request.torque)
            for _ in range(5):
                self.dq = np.zeros(7) if self.held else self.dq + 1e-3 * gain
                self.q = self.q + 1e-3 * self.dq
            self.fastest = max(self.fastest, float(np.abs(self.dq).max()))
            self.time += TICK


def test_the_arm_gets_there_and_no_faster_than_said(station: Station) -> None:
    start = np.add(station.home, [0.4, -0.3, 0.2, 0.5, -0.4, 0.3, -0.2])
    homing, joints = Homing(station, station.home, -1.0, "me"), Joints(station, start)
    joints.follow(homing, round(PEAK * 0.5 / SPEED * 200) - 20)
    assert not homing.there
    joints.follow(homing, 60)
    assert homing.there
    np.testing.assert_allclose(joints.q, station.home, atol=0.01)
    assert joints.fastest < 1.2 * SPEED
    last = joints.fastest
    joints.follow(homing, 200)
    assert homing.there
    assert joints.fastest == last


def test_a_short_way_takes_as_long_as_the_gripper(station: Station) -> None:
    homing, joints = Homing(station, station.home, -1.0, "me"), Joints(station, np.array(station.home))
    joints.follow(homing, 150)
    assert not homing.there
    joints.follow(homing, 50)
    assert homing.there


def test_the_path_waits_for_an_arm_that_is_held_and_begins_anew_for_one_that_was_moved(
    station: Station,
) -> None:
    start = np.array(station.home) + 0.6
    homing, joints = Homing(station, station.home, None, "me"), Joints(station, start)
    joints.held = True
    joints.follow(homing, 1000)
    request = homing.on_state(JointState(joints.time, joints.names, joints.q, joints.dq, np.zeros(7)))
    assert request is not None
    assert request.gripper is None
    # the pull is that of the lag at which the path waits, and not of the whole way
    w = station.monitor.hold.frequency
    most = np.abs(joints.inertia) @ np.full(7, 1.2 * LAG * w**2 + 2.0 * w * SPEED)
    assert (np.abs(request.torque) < most).all()
    joints.held = False
    joints.q = np.array(station.home) - 0.5
    joints.time += TICK
    joints.fastest = 0.0
    joints.follow(homing, 600)
    assert homing.there
    assert joints.fastest < 1.2 * SPEED


def test_requests_come_at_the_monitors_rate_and_from_usable_states_only(station: Station) -> None:
    homing = Homing(station, station.home, 1.0, "me")
    q = np.array(station.home)
    good = JointState(0, station.joint_names, q, np.zeros(7), np.zeros(7))
    request = homing.on_state(good)
    assert request is not None
    assert (request.stamp, request.gripper) == (0, 1.0)
    assert homing.on_state(replace(good, stamp=1_000_000)) is None
    assert homing.on_state(replace(good, stamp=10_000_000, velocity=np.zeros(0))) is None
    assert homing.on_state(replace(good, stamp=10_000_000, position=q * np.nan)) is None
    assert homing.on_state(replace(good, stamp=10_000_000, names=("a",) * 7)) is None
    permuted = JointState(10_000_000, station.joint_names[::-1], (q + 0.01)[::-1], np.zeros(7), np.zeros(7))
    request = homing.on_state(permuted)
    assert request is not None
    assert request.names == station.joint_names
    model = ArmModel(station.arm)
    pull = model.inertia(model.frames(q + 0.01)) @ np.full(7, -0.01)
    share = request.torque / pull
    np.testing.assert_allclose(share, share[0], rtol=1e-9)
    assert 0.3 * station.monitor.hold.frequency**2 < share[0] < station.monitor.hold.frequency**2


def test_it_is_softer_where_requests_take_longer_than_the_hold(station: Station) -> None:
    q, home = np.array(station.home), list(station.home)
    late = replace(station, controller=replace(station.controller, request_delay=0.05))

    def pull(where: Station) -> float:
        off = JointState(0, where.joint_names, q + 1e-6, np.zeros(7), np.zeros(7))
        request = Homing(where, home, None, "me").on_state(off)
        assert request is not None
        on = JointState(TICK, where.joint_names, q + 1e-6, np.full(7, 1e-6), np.zeros(7))
        homing = Homing(where, home, None, "me")
        homing.on_state(off)
        braked = homing.on_state(on)
        assert braked is not None
        return float(np.abs(braked.torque).max())

    expected = 0.36 / (late.hold_delay + 0.05)
    assert expected < 6.0
    assert pull(late) < 0.6 * pull(station)


def test_near_is_near_enough_for_policies() -> None:
    assert NEAR <= 0.05


def test_a_posture_out_of_reach_is_refused(station: Station) -> None:
    with pytest.raises(InputError, match="must lie within the arm's limits"):
        Homing(station, [3.0] * 7, None, "me")
    with pytest.raises(InputError, match="it must have 7"):
        Homing(station, [0.0] * 3, None, "me")
