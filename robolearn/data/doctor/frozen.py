"""Sensors that say the same again and again while the arm moves.

A sensor that works repeats itself to the last bit only at rest. In clean simulated data the longest stretch
of identical pictures under way is one step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Array, Subject, runs

PICTURES, STALE, READINGS = "frozen picture", "stale pictures", "frozen reading"

LONG = 0.4
"""Identical readings for so long are frozen [s], if the arm moves meanwhile by"""
FAR = 0.15
"""as much, all joints together [rad], or"""
JOINT = 0.1
"""one joint by as much [rad], or its torque by"""
TORQUE = 2.0
"""as much [N·m]."""

MOVING, REPEATED = 0.01, 0.25
"""In steps in which the arm moves by more than the one [rad], the other share may repeat a picture."""

FEWEST = 10
"""Moving steps below which nothing is said about their share."""

REPAIR = "find out where it stopped (driver, cable, clock), and leave these episodes out until they are cut"


def frozen_pictures(subject: Subject) -> Iterator[Finding]:
    """Whether a camera's picture stands still while the arm moves, or comes more seldom than observations."""
    if subject.motion is None:
        return
    for name, change in subject.change.items():
        found = _longest(change == 0.0, subject.motion, FAR, subject)
        if found is not None:
            begin, end, way = found
            yield subject.finding(
                PICTURES,
                "error",
                f"camera {name} shows the same picture for {_seconds(subject, begin, end)} from "
                f"{subject.at(begin)} on, while the arm moves by {way:.2f} rad",
                f"{REPAIR}; a camera that sees nothing of the arm may be right",
                channel=name,
                value=way,
                bound=FAR,
                step=begin,
                last=end,
            )
            continue
        moving = subject.motion > MOVING
        share = float((change[moving] == 0.0).mean()) if moving.sum() >= FEWEST else 0.0
        if share > REPEATED:
            yield subject.finding(
                STALE,
                "warning",
                f"camera {name} repeats its picture in {100 * share:.0f} % of the steps in which the arm "
                "moves: it is slower than the control rate",
                "let the camera run at the control rate or above",
                channel=name,
                value=share,
                bound=REPEATED,
                step=int(np.flatnonzero(moving & (change == 0.0))[0]),
            )


def frozen_readings(subject: Subject) -> Iterator[Finding]:
    """Whether a joint's reading stands still while another sensor, or the torque, says that it must not."""
    for channel in subject.episode.contract.proprioception:
        reading = subject.episode.observations[channel.name]
        if channel.per_joint:
            way, least, unit = _expected(subject, channel.name)
            if way is None:
                continue
            for joint in range(channel.size):
                same = np.diff(reading[:, joint]) == 0.0
                found = _longest(same, way[:, joint], least, subject)
                if found is not None:
                    begin, end, far = found
                    what = "torque" if unit == "N·m" else "joint"
                    yield subject.finding(
                        READINGS,
                        "error",
                        f"{channel.name} of {subject.joint(joint)} stays the same for "
                        f"{_seconds(subject, begin, end)} from {subject.at(begin)} on, while the {what} "
                        f"changes by {far:.2f} {unit}",
                        REPAIR,
                        channel=channel.name,
                        value=far,
                        bound=least,
                        component=joint,
                        step=begin,
                        last=end,
                    )
        elif channel.unit.startswith("N") and subject.motion is not None:  # forces feel every motion
            found = _longest((np.diff(reading, axis=0) == 0.0).all(1), subject.motion, FAR, subject)
            if found is not None:
                begin, end, far = found
                yield subject.finding(
                    READINGS,
                    "error",
                    f"{channel.name} stays the same for {_seconds(subject, begin, end)} from "
                    f"{subject.at(begin)} on, while the arm moves by {far:.2f} rad",
                    REPAIR,
                    channel=channel.name,
                    value=far,
                    bound=FAR,
                    component=0,
                    step=begin,
                    last=end,
                )


def frozen_gripper(subject: Subject) -> Iterator[Finding]:
    """Whether the gripper's reading never changes although it was told both to open and to close."""
    contract = subject.episode.contract
    named = [channel.name for channel in contract.proprioception if channel.name == "gripper"]
    if not (named and contract.action.gripper):
        return
    told = subject.episode.requested[:, -1]
    needed = max(2, round(LONG / subject.period))
    reading = subject.episode.observations["gripper"]
    if min((told > 0.0).sum(), (told < 0.0).sum()) >= needed and (reading == reading[0]).all():
        yield subject.finding(
            READINGS,
            "warning",
            "gripper never changes, although it was told both to open and to close",
            "see whether the gripper's state is published, and whether its joints are named rightly",
            channel="gripper",
            component=0,
        )


def _expected(subject: Subject, channel: str) -> tuple[Array | None, float, str]:
    """What tells that a joint's reading must change: how much in each step (T, n), and what is enough."""
    if channel == "q":
        return (None if subject.turned is None else np.abs(subject.turned)), JOINT, "rad"
    if channel == "tau":
        change = np.abs(np.diff(subject.episode.filtered, axis=0, prepend=subject.episode.filtered[:1]))
        return change, TORQUE, "N·m"
    if channel == "dq" and subject.q is None:  # only the speed itself tells of motion: it may well be even
        return None, JOINT, "rad"
    return subject.moved, JOINT, "rad"


def _longest(
    same: NDArray[np.bool_], way: Array, least: float, subject: Subject
) -> tuple[int, int, float] | None:
    """The longest way (T,) during one stretch of sameness (T,), with its begin and end, if it is enough."""
    found = [(float(np.nansum(way[a:b])), a, b) for a, b in runs(same)]
    stamps = subject.episode.stamps
    found = [(far, a, b) for far, a, b in found if stamps[b] - stamps[a] >= LONG - 1e-9 and far >= least]
    if not found:
        return None
    far, begin, end = max(found)
    return begin, end, far


def _seconds(subject: Subject, begin: int, end: int) -> str:
    return f"{subject.episode.stamps[end] - subject.episode.stamps[begin]:.2f} s"
