from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robolearn.errors import InputError
from robolearn.hardware.homing import LAG, NEAR, PEAK, SPEED, Homing
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import JointState

TICK = 5_000_000


@pytest.fixture(scope="module")
def station() -> Station:
    return load_station("sim")


class Joints:
    """Joints that are masses: their inertia is what a torque accelerates."""

    def __init__(self, station: Station, q: np.ndarray) -> None:
        self.names = station.joint_names
        self.q, self.dq, self.inertia = q.copy(), np.zeros(7), np.array([1.0, 1.5, 0.8, 1.0, 0.2, 0.2, 0.15])
        self.time = 0
        self.held = False
        self.fastest = 0.0

    def follow(self, homing: Homing, ticks: int) -> None:
        for _ in range(ticks):
            request = homing.on_state(JointState(self.time, self.names, self.q, self.dq, np.zeros(7)))
            assert request is not None
            for _ in range(5):
                self.dq = np.zeros(7) if self.held else self.dq + 1e-3 * request.torque / self.inertia
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
    stiffness = np.array(station.monitor.hold.stiffness)
    damping = np.array(station.monitor.hold.damping)
    assert (np.abs(request.torque) < stiffness * 1.2 * LAG + damping * SPEED).all()
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
    np.testing.assert_allclose(request.torque, -0.01 * np.array(station.monitor.hold.stiffness), atol=1e-9)


def test_near_is_near_enough_for_policies() -> None:
    assert NEAR <= 0.05


def test_a_posture_out_of_reach_is_refused(station: Station) -> None:
    with pytest.raises(InputError, match="must lie within the arm's limits"):
        Homing(station, [3.0] * 7, None, "me")
    with pytest.raises(InputError, match="it must have 7"):
        Homing(station, [0.0] * 3, None, "me")
