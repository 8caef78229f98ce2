"""Everything that can go wrong in a deployment of real processes: how it is done, and what must follow.

test_hardware_faults_processes.py asserts what follows, benchmarks/faults.py prints how long it took.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rehearsing import Case, Rehearsal

from robolearn.hardware.wire import SECOND, JointState, TorqueRequest


def each(change: Callable[[TorqueRequest], TorqueRequest]) -> Callable[[Rehearsal], int]:
    return lambda r: r.spoil(lambda request: [change(request)])


def third(value: float) -> Callable[[Rehearsal], int]:
    """The third joint's torque is another."""
    return each(lambda r: replace(r, torque=np.where(np.arange(7) == 2, value, r.torque)))


def bursts() -> Callable[[Rehearsal], int]:
    """Four requests wait, and come at once."""
    waiting: list[TorqueRequest] = []

    def spoil(request: TorqueRequest) -> list[TorqueRequest]:
        waiting.append(request)
        burst = waiting.copy() if len(waiting) >= 4 else []
        if burst:
            waiting.clear()
        return burst

    return lambda r: r.spoil(spoil)


def slow(times: int) -> Callable[[Rehearsal], int]:
    """The policy takes so many of its periods for each answer."""
    waiting: list[TorqueRequest] = []

    def spoil(request: TorqueRequest) -> list[TorqueRequest]:
        waiting.append(request)
        if len(waiting) <= times:
            return []
        oldest = waiting[0]
        waiting[:] = [request]
        return [oldest]

    return lambda r: r.spoil(spoil)


def jumps(a: JointState, b: JointState) -> bool:
    return b.stamp - a.stamp > SECOND // 20


def fr3(request: TorqueRequest) -> TorqueRequest:
    return replace(request, names=tuple(f"fr3_joint{i + 1}" for i in range(7)))


BAD, STALE, DEATH = 0.010, 0.120, 0.050
"""Longest times until the arm is safe [s]: after a bad value two ticks, after the last good reading, after
the monitor's death."""

PERIOD = 0.05
"""Of the policy [s]."""

CASES: dict[str, Case] = {
    # what the policy asks for
    "request: NaN": Case("stopped", "request_nonfinite", BAD, third(np.nan)),
    "request: infinity": Case("stopped", "request_nonfinite", BAD, third(np.inf)),
    "request: wrong length": Case(
        "holding", "request_size", BAD, each(lambda r: replace(r, torque=r.torque[:6]))
    ),
    "request: permuted joints": Case(
        "passing", "", 0.0, each(lambda r: replace(r, names=r.names[::-1], torque=r.torque[::-1]))
    ),
    "request: another arm's joints": Case("holding", "request_names", BAD, each(fr3)),
    "request: beyond every limit": Case(
        "bounded", "", 0.0, each(lambda r: replace(r, torque=100.0 * r.torque))
    ),
    "request: ten times the rate": Case(
        "holding", "request_flood", 0.25, lambda r: r.spoil(lambda request: [request] * 10)
    ),
    "request: late, in bursts": Case("holding", "request_late", STALE, bursts()),
    "request: five times too slow": Case("holding", "request_late", STALE, slow(5)),
    "request: of somebody who does not beat": Case(
        "holding", "request_sender", BAD, each(lambda r: replace(r, sender="nobody"))
    ),
    "two policies": Case("stopped", "two_policies", PERIOD + BAD, Rehearsal.another_policy),
    "the policy falls silent": Case("holding", "request_late", STALE, Rehearsal.stay_silent),
    # what the arm says
    "state: NaN": Case(
        "stopped", "state_nonfinite", BAD,
        lambda r: r.state_fault(lambda s: bool(np.isnan(s.position[0])), "state nan"), blind=True,
    ),
    "state: no velocity": Case(
        "stopped", "state_no_velocity", BAD,
        lambda r: r.state_fault(lambda s: not len(s.velocity), "state without velocity"), blind=True,
    ),
    "state: frozen": Case(
        "stopped", "state_frozen", STALE,
        lambda r: r.stale(lambda a, b: np.array_equal(a.position, b.position), "state frozen"),
        blind=True,
    ),
    "state: 50 ms late": Case(
        "holding", "state_late", STALE, lambda r: r.fault("state late", 0.05), blind=True
    ),
    "state: lost": Case(
        "stopped", "state_lost", STALE,
        lambda r: r.stale(lambda a, b: False, "state dropped", 1.0), blind=True,
    ),
    "state: from the future": Case(
        "holding", "state_late", STALE,
        lambda r: r.stale(jumps, "state future", 0.1), blind=True,
    ),
    "state: clock jumps": Case(
        "holding", "state_late", STALE,
        lambda r: r.stale(jumps, "clock jump", 0.9), blind=True,
    ),
    "state: backwards": Case("passing", "", 0.0, lambda r: r.fault("state backwards", 0.02)),
    "state: twice": Case("passing", "", 0.0, lambda r: r.fault("state duplicated")),
    "state: one in ten dropped": Case("passing", "", 0.0, lambda r: r.fault("state dropped", 0.1)),
    "state: permuted joints": Case("passing", "", 0.0, lambda r: r.fault("state permuted")),
    # what the cameras see; the policy that is played does not look, so that the monitor's own check shows
    "camera: black": Case(
        "holding", "camera_black", STALE, lambda r: r.fault("camera black", camera="front")
    ),
    "camera: lost": Case(
        "holding", "camera_late", 0.3, lambda r: r.fault("camera lost", camera="wrist")
    ),
    "camera: 0.3 s late": Case(
        "holding", "camera_late", 0.3, lambda r: r.fault("camera late", 0.3, "front")
    ),
    "camera: frozen": Case(
        "holding", "camera_frozen", 1.0, lambda r: r.fault("camera frozen", camera="wrist")
    ),
    # people, strangers, processes
    "stop pressed": Case("stopped", "emergency_stop", BAD, Rehearsal.press),
    "a stranger publishes to the controller": Case("stopped", "stranger", 1.0, Rehearsal.intrude),
    "monitor killed": Case("watchdog", "", DEATH, lambda r: r.kill("monitor")),
    "monitor frozen": Case("watchdog", "", DEATH, lambda r: r.kill("monitor", signal.SIGSTOP)),
    "watchdog killed": Case("holding", "watchdog_late", 0.25, lambda r: r.kill("watchdog")),
    "arm's driver vanishes": Case(
        "stopped", "state_lost", STALE, lambda r: r.kill("simulated_arm", signal.SIGSTOP), blind=True
    ),
}  # fmt: skip
"""Everything that a rehearsal with a played policy can let go wrong."""
