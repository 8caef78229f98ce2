"""The watchdog's core, message by message; tests/test_hardware_monitor_stopping.py has it on an arm."""

from __future__ import annotations

import dataclasses

import numpy as np
from monitoring import PERIOD, N, station

from robolearn.hardware.monitor.decisions import Watch
from robolearn.hardware.monitor.watchdog import Watchdog
from robolearn.hardware.station import Station
from robolearn.hardware.wire import JointState

MS = 1_000_000


class Guard:
    """A watchdog beside a monitor that sends 3 N·m and an arm at rest at home."""

    def __init__(self, where: Station | None = None, live: bool = True) -> None:
        self.station = where or station()
        self.watchdog = Watchdog(self.station)
        self.now, self.live = 1_000 * MS, live
        self.monitor = self.states = True
        self.dq, self.rng = np.zeros(N), np.random.default_rng(0)
        self.step(3)

    def step(self, count: int = 1) -> Watch:
        for _ in range(count):
            self.now += PERIOD
            if self.states:
                q = np.array(self.station.home) + 1e-7 * self.rng.normal(size=N)
                nothing = np.empty(0)
                names = self.station.joint_names
                self.watchdog.on_state(self.now, JointState(self.now, names, q, self.dq, nothing))
            if self.monitor:
                self.watchdog.on_monitor(self.now, self.live)
                self.watchdog.on_command(self.now, np.full(N, 3.0))
            watch = self.watchdog.tick(self.now)
        return watch


def undeactivatable() -> Station:
    base = station()
    return dataclasses.replace(base, controller=dataclasses.replace(base.controller, deactivation="none"))


def test_it_is_silent_while_the_monitor_lives_and_in_shadow_for_ever() -> None:
    assert not Guard().step(100).publish
    g = Guard(live=False)
    g.monitor = False
    assert not g.step(100).publish
    assert g.watchdog.may_exit
    assert not Watchdog(station()).tick(0).publish


def test_it_takes_the_arm_when_the_heartbeat_is_30_ms_late_and_goes_on_from_the_last_torque() -> None:
    g = Guard()
    g.monitor = False
    assert not g.step(6).publish
    watch = g.step()
    assert (watch.publish, watch.owns, watch.deactivate) == (True, True, False)
    np.testing.assert_allclose(watch.torque, 2.0)
    np.testing.assert_allclose(g.step(5).torque, 0.0, atol=1e-3)


def test_one_that_was_late_itself_listens_before_it_takes_the_arm() -> None:
    """Timers run before subscriptions: what came while the watchdog slept is heard after its first tick."""
    g = Guard()
    g.now += 20 * PERIOD
    assert not g.watchdog.tick(g.now).owns
    assert not g.step().owns, "the pulse was only waiting"
    g.now += 20 * PERIOD
    assert not g.watchdog.tick(g.now).owns
    g.monitor = False
    assert g.step().owns, "nothing was waiting"
    g = Guard()
    g.now += 20 * PERIOD
    assert not g.watchdog.tick(g.now).owns
    g.now += 20 * PERIOD
    assert g.watchdog.tick(g.now).owns, "it waits once, however slow it is"


def test_it_hears_a_monitor_only_while_its_heartbeat_comes() -> None:
    assert not Watchdog(station()).hears(0)  # what was never heard is never missed, either
    g = Guard(live=False)
    assert g.watchdog.hears(g.now)
    g.monitor = False
    g.step(20)
    assert not g.watchdog.hears(g.now)
    g.monitor = True
    g.step()
    assert g.watchdog.hears(g.now)


def test_it_keeps_the_arm_until_a_person_gives_it_back_to_a_living_monitor() -> None:
    g = Guard()
    assert not g.watchdog.reset(g.now, "x").done
    g.monitor = False
    g.step(10)
    assert not g.watchdog.reset(g.now, "x").done
    g.monitor = True
    assert g.step(20).owns
    assert g.watchdog.reset(g.now, "x").done
    assert not g.step().publish
    g.monitor = False
    assert g.step(10).owns, "again"


def test_a_command_of_a_monitor_that_is_late_does_not_move_it() -> None:
    g = Guard()
    g.monitor = False
    before = g.step(9).torque
    g.watchdog.on_command(g.now, np.full(N, 50.0))
    assert np.abs(g.step().torque - before).max() <= 1.0


def test_without_a_state_it_lets_go_and_deactivates() -> None:
    g = Guard()
    g.monitor = g.states = False
    watch = g.step(40)
    assert watch.deactivate
    assert not watch.torque.any()
    g.states = True
    assert not g.step(5).torque.any(), "no feedback on an arm whose controller is inactive"
    g = Guard(undeactivatable())
    g.monitor = g.states = False
    assert not g.step(40).deactivate


def test_a_state_that_never_came_is_a_lost_one() -> None:
    g = Guard()
    g.watchdog = Watchdog(g.station)
    g.states = False
    g.step(3)
    g.monitor = False
    assert not g.step(20).deactivate
    assert g.step(14).deactivate


def test_it_ends_when_the_arm_is_inactive_or_held() -> None:
    g = Guard()
    assert not g.watchdog.may_exit, "the monitor may yet die"
    g.watchdog.end()
    g.monitor, g.dq = False, np.full(N, 0.1)
    assert not g.step(20).deactivate
    g.dq = np.zeros(N)
    assert g.step(60).deactivate
    assert not g.watchdog.may_exit
    g.watchdog.on_inactive(g.now, True)
    assert g.watchdog.may_exit

    g = Guard(undeactivatable())
    g.watchdog.end()
    g.monitor, g.dq = False, np.full(N, 0.1)
    g.step(20)
    assert not g.watchdog.may_exit
    g.dq = np.zeros(N)
    assert not g.step(60).deactivate
    assert g.watchdog.may_exit
