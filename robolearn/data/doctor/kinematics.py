"""Motions that no arm makes: jumps, speeds and postures beyond what joints can do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Subject, worst

MOTION, SPEED = "impossible motion", "speed reading"

FLOOR, ACCELERATION = 0.02, 50.0
"""Positions and speeds may disagree over a step of dt seconds by the one [rad] and the other [rad/s²] times
dt². The roughest of 1000 simulated episodes, whose arm knocks against the table, needs a third of that."""

FAST, BEYOND = 2.0, 0.2
"""Joints exceed the limiter's soft speed limit by less than this factor, and its soft position limits by less
than this [rad]: beyond, something else has to break first."""

LOW, HIGH = 0.75, 1.33
"""Positions change by this to that many times what speeds say, where they range over at least"""
RANGE = 0.2
"""as much [rad]: noise at rest adds up to a long way, but never ranges far. Clean data has 0.98 to 1.08."""


def impossible_motion(subject: Subject) -> Iterator[Finding]:
    """Whether positions jump against speeds, or joints are where or as fast as they cannot be."""
    q, dq = subject.q, subject.dq
    if q is not None and subject.turned is not None:
        off = np.abs(np.diff(q, axis=0) - subject.turned)
        allowed = FLOOR + ACCELERATION * subject.intervals[:, None] ** 2
        step, joint = worst(off / allowed)
        if off[step, joint] > allowed[step, 0]:
            yield subject.finding(
                MOTION,
                "error",
                f"q of {subject.joint(joint)} goes by {q[step + 1, joint] - q[step, joint]:+.3f} rad in the "
                f"step from {subject.at(step)} on; by dq it is {subject.turned[step, joint]:+.3f} rad, and "
                f"they may differ by {allowed[step, 0]:.3f}",
                "see whether readings are of one clock and of one joint order, or a message was lost",
                channel="q",
                value=float(off[step, joint]),
                bound=float(allowed[step, 0]),
                component=joint,
                step=step,
                last=step + 1,
            )
    fastest = subject.limit("dq_max")
    if dq is not None and fastest is not None:
        step, joint = worst(np.abs(dq) / fastest)
        value, bound = float(abs(dq[step, joint])), float(FAST * fastest[joint])
        if value > bound:
            yield subject.finding(
                MOTION,
                "error",
                f"{subject.joint(joint)} moves at {value:.2f} rad/s at {subject.at(step)}; the limiter "
                f"brakes from {fastest[joint]:g} rad/s on",
                "see whether dq is in rad/s, and whether the limiter ran",
                channel="dq",
                value=value,
                bound=bound,
                component=joint,
                step=step,
            )
    lowest, highest = subject.limit("q_lo"), subject.limit("q_hi")
    if q is not None and lowest is not None and highest is not None:
        outside = np.maximum(lowest - q, q - highest)
        step, joint = worst(outside)
        if outside[step, joint] > BEYOND:
            yield subject.finding(
                MOTION,
                "error",
                f"{subject.joint(joint)} stands at {q[step, joint]:.3f} rad at {subject.at(step)}; the "
                f"limiter's walls are at {lowest[joint]:g} and {highest[joint]:g} rad",
                "see whether q is in radians and joints are in the contract's order",
                channel="q",
                value=float(outside[step, joint]),
                bound=BEYOND,
                component=joint,
                step=step,
            )


def speed_reading(subject: Subject) -> Iterator[Finding]:
    """Whether dq is the speed of q at all: in other units, of another joint or 0 it is not."""
    q, turned = subject.q, subject.turned
    if q is None or turned is None:
        return
    moved = np.nan_to_num(np.diff(q, axis=0), nan=0.0, posinf=0.0, neginf=0.0)
    turned = np.nan_to_num(turned, nan=0.0, posinf=0.0, neginf=0.0)
    for joint in range(q.shape[1]):
        here, there = moved[:, joint], turned[:, joint]
        known = q[np.isfinite(q[:, joint]), joint]
        if not known.size or np.ptp(known) < RANGE:
            continue
        told = float(there @ there)
        ratio = float(here @ there) / told if told > 0.0 else np.inf
        if not LOW <= ratio <= HIGH:
            yield subject.finding(
                SPEED,
                "error",
                f"q of {subject.joint(joint)} changes by {ratio:.3g} times what dq says, over a range of "
                f"{np.ptp(known):.2f} rad",
                "see whether dq is measured at all, in rad/s, of this joint and at the same moment as q",
                channel="dq",
                value=ratio if np.isfinite(ratio) else None,
                bound=HIGH if ratio > HIGH else LOW,
                component=joint,
            )
