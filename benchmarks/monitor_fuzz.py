"""Attack the safety monitor with adversarial input and look at every torque that it publishes.

    python benchmarks/monitor_fuzz.py --ticks 1000000

Messages are spoilt in every way that their types permit, dropped, delayed, repeated, sent in bursts, and
mixed with people's calls in any order. Whatever happens, what is published must be finite and within the
station's magnitude and rate, and there may be a request or a hold only while a good joint state is fresh.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.monitor.decisions import Tick
from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.states import Authority, Motion
from robolearn.hardware.settings import WrenchSettings
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import SECOND, Heartbeat, JointState, TorqueRequest, Wrench

NASTY = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0, 1e18, 87.0, -1.0)
"""Numbers that a float can be."""


def stations() -> dict[str, Station]:
    """The simulated arm's station, and one whose weight we carry and that may not be let go."""
    sim = load_station("sim")
    sim = replace(sim, wrench=WrenchSettings("/wrench", force_max=50.0, torque_max=20.0, age_max=0.1))
    carried = replace(sim.arm, compensates_gravity=False)
    return {
        "sim": sim,
        "carried": replace(sim, arm=carried, controller=replace(sim.controller, deactivation="none")),
    }


class Adversary:
    """One monitor, one stream of bad luck. Deterministic in the seed.

    Attributes:
        counts: ticks by motion, published ones by cause, and what else happened.
    """

    def __init__(self, station: Station, seed: int) -> None:
        self.station = station
        self.rng = np.random.default_rng(seed)
        listed = None if seed % 4 < 2 else lambda bundle, contract: bundle not in ("", "forbidden")
        self.monitor = Monitor(station, allowed_bundles=listed)
        p = limiter_parameters(station.arm, station.monitor.rate)
        self.tau_max, self.dtau = np.array(p.tau_max), np.array(p.dtau)
        self.now = SECOND
        self.period = round(SECOND / station.monitor.rate)
        self.q = np.array(station.home)
        self.dq = np.zeros(station.arm.n)
        self.good_at = -SECOND
        self.last: np.ndarray | None = None
        self.counts: Counter[str] = Counter()
        self.malice = 0.0  # share of messages that are spoilt, in the present spell
        self.spell = 0

    def run(self, ticks: int) -> None:
        """Raises AssertionError at the first output that may not be."""
        for _ in range(ticks):
            if self.spell == 0:
                self.spell = int(self.rng.integers(20, 400))
                self.malice = float(self.rng.choice([0.0, 0.0, 0.02, 0.3, 0.9]))
            self.spell -= 1
            self._pass_time()
            for send in self.rng.permutation(5):
                (self._state, self._request, self._surroundings, self._heartbeat, self._person)[send]()
            self._look_at(self.monitor.tick(self.now))

    def _look_at(self, tick: Tick) -> None:
        self.counts[tick.motion.value] += 1
        assert tick.torque.shape == self.q.shape
        assert np.isfinite(tick.torque).all(), tick
        assert tick.publish == (tick.motion is not Motion.NOTHING)
        assert not (tick.publish and tick.authority is Authority.SHADOW), tick
        if tick.motion in (Motion.REQUEST, Motion.HOLD):
            assert self.now - self.good_at <= self.station.monitor.state_age * SECOND, tick
        if tick.motion is not Motion.REQUEST:
            assert tick.gripper is None
        if tick.deactivate:
            assert self.station.may_deactivate
        if not tick.publish:
            if self.station.may_deactivate:
                self.last = None  # the others keep what they were sent last
            return
        self.counts.update(tick.causes)
        assert (np.abs(tick.torque) <= self.tau_max).all(), tick
        if self.last is not None:
            # one rounding of the difference that is formed here, of numbers of the size of tau_max
            assert (np.abs(tick.torque - self.last) <= self.dtau + 1e-13).all(), (tick, self.last)
        self.last = tick.torque

    def _bad(self) -> bool:
        return bool(self.rng.random() < self.malice)

    def _pass_time(self) -> None:
        self.now += self.period
        if self._bad() and self.rng.random() < 0.1:
            self.now += int(self.rng.choice([-self.period // 2, self.period, 10 * self.period, SECOND]))
        if self._bad() and self.rng.random() < 0.05:
            self.monitor.on_clock(self.now, self.now + int(self.rng.normal() * 0.02 * SECOND))
        elif self.rng.random() < 0.1:
            self.monitor.on_clock(self.now, self.now)
        arm = self.station.arm
        target = np.zeros(arm.n) if self.rng.random() < 0.5 else self.rng.normal(size=arm.n) * 0.2
        self.dq += 0.1 * (target - self.dq)
        if self.malice == 0.0:
            self.dq *= 0.8
            self.q += 0.05 * (np.array(self.station.home) - self.q)
        self.q += self.dq * self.period / SECOND

    def _array(self, good: np.ndarray) -> np.ndarray:
        """A spoilt copy."""
        values = good + 1e-9 * self.rng.normal(size=good.size)
        kind = self.rng.integers(6)
        if kind < 2:
            values[self.rng.integers(good.size)] = self.rng.choice(NASTY)
        elif kind == 2:
            values = values[: self.rng.integers(good.size)]
        elif kind == 3:
            values = np.concatenate([values, values])
        elif kind == 4:
            values *= 10.0 ** self.rng.integers(-3, 9)
        else:
            values = self.rng.choice(NASTY, size=good.size)
        return values

    def _names(self) -> tuple[str, ...]:
        names = list(self.station.joint_names)
        kind = self.rng.integers(4)
        if kind == 0:
            names[0] = names[1]
        elif kind == 1:
            names = names[:-1]
        elif kind == 2:
            names.append("gripper")
        else:
            names[int(self.rng.integers(len(names)))] = "elbow"
        return tuple(names)

    def _stamp(self) -> int:
        return self.now + int(self.rng.choice([0, -1, 1, SECOND, -SECOND, self.period, -(2**62), 2**62]))

    def _spoil(self, values: dict[str, Any], arrays: tuple[str, ...]) -> None:
        """Spoil one thing of a message; or permute its joints, which is no fault."""
        kind = self.rng.integers(4)
        if kind == 0:
            values["stamp"] = self._stamp()
        elif kind == 1:
            values["names"] = self._names()
        elif kind == 2:
            order = self.rng.permutation(len(values["names"]))
            values["names"] = tuple(values["names"][i] for i in order)
            for key in arrays:
                values[key] = values[key][order]
        else:
            key = str(self.rng.choice(arrays))
            values[key] = self._array(values[key])

    def _state(self) -> None:
        if self._bad() and self.rng.random() < 0.3:
            return
        noisy = self.q + 1e-9 * self.rng.normal(size=self.q.size) * (self.rng.random() > 0.5 * self.malice)
        values: dict[str, Any] = dict(
            stamp=self.now,
            names=self.station.joint_names,
            position=noisy,
            velocity=self.dq,
            effort=0.1 * noisy,
        )
        if self._bad():
            self._spoil(values, ("position", "velocity", "effort"))
        state = JointState(**values)
        finite = all(np.isfinite(v).all() for v in (state.position, state.velocity))
        if finite and abs(state.stamp - self.now) < SECOND // 2:
            self.good_at = self.now
        for _ in range(1 + 3 * (self._bad() and self.rng.random() < 0.1)):
            self.monitor.on_state(self.now, state)

    def _request(self) -> None:
        if self._bad() and self.rng.random() < 0.3:
            return
        torque = self.rng.normal(size=self.q.size) * self.rng.choice([0.1, 1.0, 30.0])
        gripper = None if self.rng.random() < 0.5 else float(self.rng.uniform(-1, 1))
        values: dict[str, Any] = dict(
            stamp=self.now - self.period,
            names=self.station.joint_names,
            torque=torque,
            gripper=gripper,
            sender="homing",
        )
        if self._bad():
            self._spoil(values, ("torque",))
            if self.rng.random() < 0.2:
                values["gripper"] = float(self.rng.choice(NASTY))
            if self.rng.random() < 0.05:
                values["sender"] = str(self.rng.choice(["", "a", "nobody"]))
        for _ in range(1 + 200 * (self._bad() and self.rng.random() < 0.01)):
            self.monitor.on_request(self.now, TorqueRequest(**values))

    def _surroundings(self) -> None:
        monitor, now = self.monitor, self.now
        for camera in self.station.cameras:
            digest = 0 if self._bad() else int(self.rng.integers(2**32))
            brightness = float(self.rng.choice([0.0, math.nan, 0.5])) if self._bad() else 0.5
            stamp = self._stamp() if self._bad() else now
            monitor.on_camera(now, Glimpse(stamp, camera.name, digest, brightness))
        if self._bad() and self.rng.random() < 0.2:
            self.monitor.on_wrench(now, Wrench(now, self._array(np.ones(3)), self._array(np.ones(3))))
        else:
            monitor.on_wrench(now, Wrench(now, np.ones(3), np.ones(3)))
        owns = self._bad() and self.rng.random() < 0.05
        if not (self._bad() and self.rng.random() < 0.5):
            monitor.on_watchdog(now, owns, self._array(self.q) if owns else None)
        if owns:
            self.last = None
        strangers = self._bad() and self.rng.random() < 0.05
        monitor.on_publishers(now, ["/stranger"] if strangers else [])
        monitor.on_button(now, self._bad() and bool(self.rng.random() < 0.05))

    def _heartbeat(self) -> None:
        if self._bad() and self.rng.random() < 0.3:
            return
        sender, bundle, contract = "homing", "", ""
        if self._bad() and self.rng.random() < 0.05:
            sender, bundle = str(self.rng.choice(["a", "b"])), str(self.rng.choice(["forbidden", "x"]))
        self.monitor.on_heartbeat(self.now, Heartbeat(self.now, sender, bundle, contract))

    def _person(self) -> None:
        if self.rng.random() < 0.05:
            self.counts["reset"] += self.monitor.reset(self.now, "adversary").done
        if self.rng.random() < 0.05:
            level = Authority(int(self.rng.integers(3)))
            self.counts["authority"] += self.monitor.set_authority(self.now, level, "adversary").done
        if self._bad() and self.rng.random() < 0.01:
            self.monitor.press_stop(self.now, "adversary")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ticks", type=int, default=1_000_000, help="of all runs together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chunk, done, seed = 20_000, 0, options.seed
    begin = time.perf_counter()
    total: Counter[str] = Counter()
    kinds = list(stations().values())
    while done < options.ticks:
        adversary = Adversary(kinds[seed % len(kinds)], seed)
        adversary.run(min(chunk, options.ticks - done))
        total += adversary.counts
        done, seed = done + chunk, seed + 1
        print(f"\r{done} ticks, {time.perf_counter() - begin:.0f} s", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for name, count in total.most_common():
        print(f"{count:10d}  {name}")
    print(f"{options.ticks} ticks: every torque finite and within magnitude and rate")


if __name__ == "__main__":
    main()
