"""Stops of a simulated arm in motion, 10 ms of wire around it and half a kilogram too much in its hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from falling_arm import STEP, LoadedArm

from robolearn.hardware.impedance import Impedance
from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.states import Authority, Mode, Motion
from robolearn.hardware.monitor.stopping import Holder, Release
from robolearn.hardware.monitor.watchdog import Watchdog
from robolearn.hardware.settings import Box
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import Heartbeat, TorqueRequest

SWING = np.array([15.0, 15.0, 10.0, 10.0, 3.0, 3.0, 2.0])
"""N·m"""


def station(name: str) -> Station:
    """A shipped one with room around it; "carried" is an arm whose weight we carry, and which would fall."""
    base = load_station("sim" if name == "carried" else name)
    everywhere = Box((-3.0,) * 3, (3.0,) * 3)
    base = replace(base, workspace=replace(base.workspace, grip=everywhere, links=everywhere), wrench=None)
    base = replace(base, simulated=True)  # nobody announces a bundle here
    if name == "carried":
        arm = replace(base.arm, compensates_gravity=False)
        base = replace(base, arm=arm, controller=replace(base.controller, deactivation="none"))
    return base


class Swinging:
    """An arm that a policy swings for 0.6 s from a random posture; then a test takes it over."""

    def __init__(self, name: str, seed: int) -> None:
        self.station = station(name)
        arm = self.station.arm
        rng = np.random.default_rng(seed)
        self.plant = LoadedArm(arm, self.station.joint_names)
        self.plant.place(arm.home + rng.uniform(-0.3, 0.3, arm.n))
        self.monitor = Monitor(self.station, watchdog=False)
        self.swing = rng.uniform(-1.0, 1.0, arm.n) * SWING
        self.torque: np.ndarray | None = None
        self.hears = {"state", "request"}
        for i in range(120):
            self.tick(np.sin(0.03 * max(i - 5, 0)) * self.swing)
            if i == 2:
                answer = self.monitor.set_authority(self.plant.now, Authority.AUTONOMOUS, "a test")
                assert answer.done, answer
                self.plant.let_go()
        assert self.monitor.state.mode is Mode.PASSING
        self.speed, self.stopped_at = float(np.abs(self.plant.dq).max()), len(self.plant.speeds)
        assert self.speed > 0.4

    def tick(self, request: np.ndarray | None = None) -> Motion:
        """5 ms with the monitor."""
        plant, monitor = self.plant, self.monitor
        state = plant.run(self.torque)
        if "state" in self.hears:
            monitor.on_state(plant.now, state)
        monitor.on_heartbeat(plant.now, Heartbeat(plant.now, "a test"))
        if request is not None:
            asked = TorqueRequest(plant.now, plant.names, request, sender="a test")
            monitor.on_request(plant.now, asked)
        tick = monitor.tick(plant.now)
        self.torque = tick.torque if tick.publish else None
        return tick.motion

    @property
    def peak(self) -> float:
        return max(self.plant.speeds[self.stopped_at :])


@pytest.mark.parametrize("name", ["sim", "fr3", "carried"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_arm_comes_to_rest_and_is_held_with_a_load_that_nobody_knows(name: str, seed: int) -> None:
    arm = Swinging(name, seed)
    if seed == 0:
        arm.monitor.press_stop(arm.plant.now, "a test")
    for _ in range(100):
        move = arm.tick()
    assert move is Motion.HOLD
    anchor = np.array(arm.monitor.output.holder.anchor)
    for _ in range(300):
        assert arm.tick() is Motion.HOLD
    assert np.abs(arm.plant.q - anchor).max() < 0.05
    assert np.abs(arm.plant.dq).max() < 0.01
    # requests keep swinging it for some ticks after the last one came, until they are too old
    assert arm.peak < arm.speed + (0.1 if seed == 0 else 0.4)
    at_rest = arm.plant.q
    for _ in range(40):
        arm.tick()
    assert np.abs(arm.plant.q - at_rest).max() < 0.002


def test_without_a_state_what_was_sent_fades_and_nothing_pushes() -> None:
    arm = Swinging("sim", 2)
    arm.hears = set()
    sent = []
    for _ in range(25):
        assert arm.tick() is not Motion.HOLD
        sent.append(arm.torque)
    assert arm.monitor.state.deactivated
    assert np.abs(sent[17]).max() == 0.0, "within 90 ms"
    magnitude = np.abs(sent[8:])
    assert (np.diff(magnitude, axis=0) <= 1e-12).all()
    assert arm.peak < arm.speed + 0.5


def test_without_a_state_an_arm_whose_weight_we_carry_keeps_its_last_weight() -> None:
    arm = Swinging("carried", 2)
    arm.hears = set()
    for _ in range(60):
        arm.tick()
    assert not arm.monitor.state.deactivated
    np.testing.assert_array_equal(arm.torque, arm.monitor.output.gravity)
    assert np.abs(arm.torque).max() > 5.0


def test_the_watchdog_takes_over_from_a_dead_monitor_in_time() -> None:
    arm = Swinging("sim", 3)
    watchdog, plant = Watchdog(arm.station), arm.plant
    died_at, took_at = plant.now, None
    watchdog.on_monitor(plant.now, live=True)
    watchdog.on_command(plant.now, arm.torque)
    torque, sends = arm.torque, False
    for _ in range(300):
        state = plant.run(torque if sends else None)
        watchdog.on_state(plant.now, state)
        watch = watchdog.tick(plant.now)
        if watch.publish:
            if took_at is None:
                took_at = plant.now
                assert (np.abs(watch.torque - torque) <= 1.0 + 1e-12).all()
            torque, sends = watch.torque, True
    assert took_at is not None
    assert took_at - died_at <= 50 * STEP
    assert np.abs(plant.dq).max() < 0.01
    assert np.abs(plant.q - np.array(watchdog.output.holder.anchor)).max() < 0.05
    assert arm.peak < arm.speed + 0.4


def test_the_springs_begin_at_rest_or_when_damping_has_had_its_time() -> None:
    where = load_station("sim")
    model, hold, dtau = ArmModel(where.arm), where.monitor.hold, [1.0] * 7
    home = list(where.home)
    fast, slow, still = [0.5] * 7, [0.01] * 7, [0.0] * 7

    def holder() -> Holder:
        return Holder(hold, Impedance(model, hold.frequency, 200.0))

    def shaped(way: float, speed: float) -> list[float]:
        impedance = Impedance(model, hold.frequency, 200.0)
        impedance.shape(home, dtau)
        return impedance.torque(np.full(7, way), np.full(7, speed)).tolist()

    damped = holder()
    damped.begin(0, dtau)
    assert damped.torque(0, home, fast) == shaped(0.0, -0.5)
    assert damped.anchor is None
    # still damped by the inertia with which that began
    elsewhere = [x + 0.4 for x in home]
    assert damped.torque(5_000_000, elsewhere, fast) == shaped(0.0, -0.5)
    assert damped.torque(10_000_000, home, slow) == shaped(0.0, -0.01)
    assert damped.anchor == home
    assert damped.torque(15_000_000, [x - 0.1 for x in home], still) == pytest.approx(shaped(0.1, 0.0))
    assert damped.anchor == home

    creeping = holder()
    creeping.begin(0, dtau)
    creeping.torque(299_000_000, elsewhere, fast)
    assert creeping.anchor is None
    # the inertia is now that where the springs hold
    assert creeping.torque(300_000_000, home, fast) == shaped(0.0, -0.5)
    assert creeping.anchor == home
    creeping.begin(400_000_000, dtau)
    assert creeping.anchor is None


def test_what_is_sent_beside_the_weight_fades() -> None:
    release = Release(load_station("sim").monitor.hold)
    release.begin(0, [3.0, -1.0], [1.0, 0.0])
    assert release.torque(0) == [2.0, -1.0]
    assert release.torque(25_000_000) == [1.0, -0.5]
    assert release.torque(50_000_000) == [0.0, -0.0]
    assert release.torque(10**12) == [0.0, -0.0]
