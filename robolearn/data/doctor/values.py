"""Readings that are no numbers, and sensors or motors at the end of their range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Subject, runs
from robolearn.data.episode import Source

FINITE, BLANK, AT_LIMIT = "not a number", "blank picture", "torque at its limit"

DARK, BRIGHT = 2, 253
"""Pixel values from 0 to the one, and from the other to 255, are at the end of their range."""

MOST = 0.6
"""A picture with more than this share of its values there shows nothing."""

SEVERAL, MOSTLY = 0.1, 0.5
"""Shares of an episode's pictures that show nothing: more is a warning, and an error."""

NEAR, LONG = 0.98, 0.25
"""A torque of more than the one share of its limit for longer than the other [s] is saturated."""


def finite(subject: Subject) -> Iterator[Finding]:
    """Whether everything that was observed, and what was asked for, is a number."""
    for name, array in subject.episode.observations.items():
        bad = ~np.isfinite(array.reshape(len(array), -1))
        if bad.any():
            step, component = (int(i) for i in np.argwhere(bad)[0])
            yield subject.finding(
                FINITE,
                "error",
                f"{name} is NaN or infinite in {int(bad.any(1).sum())} of {len(bad)} observations, first at "
                f"{subject.at(step)}",
                "leave the episode out, or import it anew without the messages that are no numbers",
                channel=name,
                value=float(bad.any(1).mean()),
                bound=0.0,
                component=component,
                step=step,
            )
    episode = subject.episode
    asked = episode.requested[:, : episode.contract.action.size]  # a gripper may be told nothing
    unasked = (episode.source == Source.MONITOR) | (not subject.labelled)  # then nothing was requested
    bad = ~np.isfinite(asked).all(1) & ~unasked
    if bad.any():
        yield subject.finding(
            FINITE,
            "warning",
            f"the policy asked for NaN or infinity in {int(bad.sum())} of {len(bad)} actions, first at "
            f"{subject.at(int(bad.argmax()))}",
            "see what the policy was shown there; what was sent instead is learned from",
            channel="requested",
            value=float(bad.mean()),
            bound=0.0,
            component=0,
            step=int(bad.argmax()),
        )


def blank_pictures(subject: Subject) -> Iterator[Finding]:
    """Whether pictures are dark, overexposed or all of one value."""
    for camera in subject.episode.contract.cameras:
        blank = _blank(subject.episode.observations[camera.name])
        share = float(blank.mean())
        if share > SEVERAL:
            first = int(blank.argmax())
            yield subject.finding(
                BLANK,
                "error" if share > MOSTLY else "warning",
                f"camera {camera.name} shows nothing in {100 * share:.0f} % of its pictures, first at "
                f"{subject.at(first)}: more than {100 * MOST:g} % of a picture is black, white or without "
                "depth, or all of it is one value",
                "see to light, exposure and lens cap, or to the depth's range",
                channel=camera.name,
                value=share,
                bound=SEVERAL,
                step=first,
            )


def saturated_torque(subject: Subject) -> Iterator[Finding]:
    """Whether a torque stays at its limit for long."""
    limit = subject.limit("tau_max")
    if limit is None:
        return
    sent, stamps = subject.episode.sent, subject.episode.stamps
    for joint in range(sent.shape[1]):
        stretches = [
            (stamps[b] - stamps[a], a, b) for a, b in runs(np.abs(sent[:, joint]) > NEAR * limit[joint])
        ]
        seconds, begin, end = max(stretches, default=(0.0, 0, 0))
        if seconds > LONG + 1e-9:
            yield subject.finding(
                AT_LIMIT,
                "warning",
                f"the torque of {subject.joint(joint)} is at its limit of {limit[joint]:g} N·m for "
                f"{seconds:.2f} s from {subject.at(begin)} on",
                "ask for less: what a policy wants beyond the limit makes no difference to the arm",
                channel="sent",
                value=float(seconds),
                bound=LONG,
                component=joint,
                step=begin,
                last=end,
            )


def _blank(pictures: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pictures show nothing, (T + 1,)."""
    flat = pictures.reshape(len(pictures), -1)
    if flat.dtype == np.uint8:
        ends = (flat <= DARK).mean(1) > MOST, (flat >= BRIGHT).mean(1) > MOST
        return ends[0] | ends[1] | (flat.max(1) == flat.min(1))
    return (~np.isfinite(flat) | (flat <= 0.0)).mean(1) > MOST  # depth
