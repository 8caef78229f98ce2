"""How long a tick of the safety monitor takes, every check on, with a policy, cameras and a wrench.

    python benchmarks/monitor_tick.py

Prints median and 99th percentile, of the wall clock and of the thread's own time, and their share of the
period. The thread's own time leaves out what other processes do on the same cores.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.states import Authority, Mode
from robolearn.hardware.settings import WrenchSettings
from robolearn.hardware.station import load_station
from robolearn.hardware.wire import SECOND, Heartbeat, JointState, TorqueRequest, Wrench


def measure(ticks: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of each tick and of everything that arrives between two, (ticks, 2) [s]: wall clock, thread."""
    station = replace(load_station("sim"), wrench=WrenchSettings("/wrench", 50.0, 20.0, 0.1))
    # our model then also works out the gravity torque at every tick
    station = replace(
        station,
        arm=replace(station.arm, compensates_gravity=False),
        controller=replace(station.controller, deactivation="none"),
    )
    monitor = Monitor(station)
    period = round(SECOND / station.monitor.rate)
    rng = np.random.default_rng(0)
    home, names, n = np.array(station.home), station.joint_names, station.arm.n
    now, wall, thread = SECOND, np.empty((ticks, 2)), np.empty((ticks, 2))
    for i in range(-3, ticks):
        now += period
        q = home + 0.2 * np.sin(0.002 * i + np.arange(n)) + 1e-7 * rng.normal(size=n)
        dq = 0.08 * np.cos(0.002 * i + np.arange(n)) * (i >= 0)
        times = [(time.perf_counter(), time.thread_time())]
        monitor.on_state(now, JointState(now, names, q, dq, np.zeros(n)))
        monitor.on_wrench(now, Wrench(now, np.zeros(3), np.zeros(3)))
        monitor.on_watchdog(now, False)
        monitor.on_publishers(now, [])
        monitor.on_request(now, TorqueRequest(now, names, rng.normal(size=n), 1.0, "homing"))
        if i % 3 == 0:
            monitor.on_heartbeat(now, Heartbeat(now, "homing"))
            for camera in station.cameras:
                monitor.on_camera(now, Glimpse(now, camera.name, i, 0.5))
        times.append((time.perf_counter(), time.thread_time()))
        tick = monitor.tick(now)
        times.append((time.perf_counter(), time.thread_time()))
        if i == -1:
            answer = monitor.set_authority(now, Authority.ASSISTED, "benchmark")
            assert answer.done, answer
        if i >= 0:
            assert tick.mode is Mode.PASSING, tick
            begin, told, done = np.array(times)
            (wall[i, 0], thread[i, 0]), (wall[i, 1], thread[i, 1]) = done - told, told - begin
    return wall, thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ticks", type=int, default=20_000)
    options = parser.parse_args()
    period = 1.0 / load_station("sim").monitor.rate
    for clock, times in zip(("wall clock", "thread"), measure(options.ticks), strict=True):
        for column, what in enumerate(("tick", "messages")):
            p50, p99 = np.percentile(times[:, column], [50, 99])
            share = f"{100 * p50 / period:.1f} % and {100 * p99 / period:.1f} % of the period"
            print(f"{clock:>10}: {what:8} p50 {1e6 * p50:.0f} us, p99 {1e6 * p99:.0f} us: {share}")


if __name__ == "__main__":
    main()
