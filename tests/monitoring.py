"""A monitor with everything around it in order: messages that are good until a test spoils them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from robolearn.contract import Contract
from robolearn.hardware.monitor.decisions import Tick
from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.states import Authority, Mode
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import Heartbeat, JointState, TorqueRequest

PERIOD = 5_000_000
"""ns, of the station's 200 Hz."""

N = 7


def station(**changes: Any) -> Station:
    """The simulated arm's station; keywords of its `monitor` section change that."""
    base = load_station("sim")
    return dataclasses.replace(base, monitor=dataclasses.replace(base.monitor, **changes))


class Bench:
    """Time passes by `step`, in which every good message arrives once, except what is in `silent`.

    Attributes:
        now: of the steady clock and of the stamps [ns].
        q, dq, tau: what the arm measures.
        torque: what is requested.
    """

    def __init__(self, where: Station | None = None, monitor: Any = None, **options: Any) -> None:
        self.station = where or station()
        self.monitor = monitor or Monitor(self.station, **options)
        self.names = self.station.joint_names
        self.now = 1_000_000_000
        self.q = np.array(self.station.home)
        self.dq, self.tau, self.torque = np.zeros(N), np.zeros(N), np.zeros(N)
        self.gripper: float | None = 0.5
        self.silent: set[str] = set()
        self.sender, self.bundle, self.contract = "homing", "", ""
        self.rng = np.random.default_rng(0)
        self.images = 0

    def state(self, **changes: Any) -> JointState:
        noise = 1e-7 * self.rng.normal(size=N)
        values = dict(
            stamp=self.now, names=self.names, position=self.q + noise, velocity=self.dq, effort=self.tau
        )
        return JointState(**(values | changes))  # type: ignore[arg-type]

    def request(self, **changes: Any) -> TorqueRequest:
        values = dict(
            stamp=self.now, names=self.names, torque=self.torque, gripper=self.gripper, sender=self.sender
        )
        return TorqueRequest(**(values | changes))  # type: ignore[arg-type]

    def glimpse(self, camera: str = "front", **changes: Any) -> Glimpse:
        self.images += 1
        return Glimpse(self.now, camera, self.images, 0.4)._replace(**changes)

    def feed(self) -> None:
        """Let every good message arrive that is not silent."""
        now, monitor = self.now, self.monitor
        if "state" not in self.silent:
            monitor.on_state(now, self.state())
        if "camera" not in self.silent:
            for camera in self.station.cameras:
                monitor.on_camera(now, self.glimpse(camera.name))
        if "watchdog" not in self.silent:
            monitor.on_watchdog(now, False)
        if "heartbeat" not in self.silent:
            monitor.on_heartbeat(now, Heartbeat(now, self.sender, self.bundle, self.contract))
        if "request" not in self.silent:
            monitor.on_request(now, self.request())

    def step(self, count: int = 1) -> Tick:
        for _ in range(count):
            self.now += PERIOD
            self.feed()
            tick = self.monitor.tick(self.now)
        return tick

    def live(self, level: Authority = Authority.AUTONOMOUS) -> Bench:
        """With requests passing, at a level of authority."""
        self.step(2)
        answer = self.monitor.set_authority(self.now, level, "a test")
        assert answer.done, answer
        tick = self.step()
        assert (tick.mode, tick.authority, tick.causes) == (Mode.PASSING, level, frozenset()), tick
        return self

    def announce(self, contract: Contract, bundle: str = "b") -> None:
        answer = self.monitor.announce(contract)
        assert answer.done, answer
        self.sender, self.bundle, self.contract = "policy", bundle, contract.hash
