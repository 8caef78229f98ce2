"""How long a tick of the safety monitor takes, every check on, with a policy, cameras and a wrench.

    python benchmarks/monitor_tick.py

Prints median and 99th percentile, of the wall clock and of the thread's own time, and their share of the
period: of ticks that pass a request on, and of ticks in which a hold begins, which work out an inertia.
The thread's own time leaves out what other processes do on the same cores.
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


def measure(ticks: int, holds: bool) -> tuple[np.ndarray, np.ndarray]:
    """Times of each tick and of everything that arrives between two, (ticks, 2) [s]: wall clock, thread.

    Args:
        ticks: how many.
        holds: whether in each of them a hold begins; requests are good and refused in turn then.
    """
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
    for i in range(-3, 2 * ticks if holds else ticks):
        now += period
        spoilt = holds and i >= 0 and i % 2 == 1
        q = home + 0.2 * np.sin(0.002 * i + np.arange(n)) + 1e-7 * rng.normal(size=n)
        dq = 0.08 * np.cos(0.002 * i + np.arange(n)) * (i >= 0)
        times = [(time.perf_counter(), time.thread_time())]
        monitor.on_state(now, JointState(now, names, q, dq, np.zeros(n)))
        monitor.on_wrench(now, Wrench(now, np.zeros(3), np.zeros(3)))
        monitor.on_watchdog(now, False)
        monitor.on_publishers(now, [])
        gripper = 2.0 if spoilt else 1.0
        monitor.on_request(now, TorqueRequest(now, names, rng.normal(size=n), gripper, "homing"))
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
            assert tick.mode is (Mode.HOLDING if spoilt else Mode.PASSING), tick
        if i >= 0 and spoilt is holds:
            k = i // 2 if holds else i
            begin, told, done = np.array(times)
            (wall[k, 0], thread[k, 0]), (wall[k, 1], thread[k, 1]) = done - told, told - begin
    return wall, thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ticks", type=int, default=20_000)
    options = parser.parse_args()
    period = 1.0 / load_station("sim").monitor.rate
    for holds, kind in ((False, "passing"), (True, "a hold begins")):
        for clock, times in zip(("wall clock", "thread"), measure(options.ticks, holds), strict=True):
            for column, what in enumerate(("tick", "messages")):
                p50, p99 = np.percentile(times[:, column], [50, 99])
                share = f"{100 * p50 / period:.1f} % and {100 * p99 / period:.1f} % of the period"
                figures = f"p50 {1e6 * p50:.0f} us, p99 {1e6 * p99:.0f} us: {share}"
                print(f"{kind:>13}, {clock:>10}: {what:8} {figures}")


if __name__ == "__main__":
    main()
