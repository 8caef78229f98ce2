"""Torques that the limiter cannot have let through, and such as it has no reason for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.doctor.finding import Finding, Severity
from robolearn.data.doctor.subject import Subject, worst
from robolearn.data.episode import Source

TORQUES, UNEXPLAINED = "impossible torque", "unexplained torque"

ROUNDING = 1e-6
"""Torques that differ by less are the same [N·m]; so is what exceeds a bound by this share of it."""

OTHER = "the limiter that ran was another than the contract's, or units differ: see which, and import again"


def impossible_torques(subject: Subject) -> Iterator[Finding]:
    """Whether a torque was larger, or changed faster, than the contract's limiter lets through."""
    sent, rate = subject.episode.sent, subject.episode.contract.filter_rate
    largest, dtau = subject.limit("tau_max"), subject.limit("dtau")
    if largest is not None:
        step, joint = worst(np.abs(sent) / largest)
        value, bound = float(abs(sent[step, joint])), float(largest[joint])
        if value > bound * (1.0 + ROUNDING):
            yield subject.finding(
                TORQUES,
                "error",
                f"{value:.4g} N·m were sent to {subject.joint(joint)} at {subject.at(step)}; the contract's "
                f"limit is {bound:g} N·m",
                OTHER,
                channel="sent",
                value=value,
                bound=bound,
                component=joint,
                step=step,
            )
    if dtau is not None and len(sent) > 1:
        # more than the stamps say: actions do not take over punctually
        slack = subject.episode.contract.delay_tolerance
        ticks = np.round((subject.intervals[1:, None] + slack) * rate) + 1.0
        idle = (sent == 0.0).all(1)  # nothing was sent: the monitor let nobody move the arm
        change = np.abs(np.diff(sent, axis=0)) * ~(idle[1:] | idle[:-1])[:, None]
        step, joint = worst(change / (dtau * ticks))
        value, bound = float(change[step, joint]), float(dtau[joint] * ticks[step, 0])
        if value > bound * (1.0 + ROUNDING):
            yield subject.finding(
                TORQUES,
                "error",
                f"the torque sent to {subject.joint(joint)} changes by {value:.4g} N·m in the step from "
                f"{subject.at(step)} on; in {ticks[step, 0]:.0f} ticks the contract's limiter lets it change "
                f"by {bound:g} N·m",
                OTHER,
                channel="sent",
                value=value,
                bound=bound,
                component=joint,
                step=step,
                last=step + 1,
            )


def unexplained_torques(subject: Subject) -> Iterator[Finding]:
    """Whether what was let through differs from what was requested, and nobody says that it was limited."""
    episode = subject.episode
    if episode.contract.action.kind != "torque" or not subject.labelled:
        return
    if episode.info.get("noise"):  # a disturbance was added on the way, which is no part of the request
        return
    asked = episode.requested[:, : episode.filtered.shape[1]]
    off = np.where(np.isfinite(asked), np.abs(asked - episode.filtered), 0.0)
    differs = (off > ROUNDING).any(1) & (episode.source != Source.MONITOR)
    known = _explained(subject)
    if isinstance(known, int):
        many = int(differs.sum()) - known
    else:
        differs &= ~known if known is not None else True
        many = int(differs.sum())
    if many <= 0:
        return
    step, joint = worst(off * differs[:, None])
    severity: Severity = "note" if known is None else "warning"
    if known is None:
        why = "and nothing is recorded of the limiter"
    elif isinstance(known, int):
        why = f"and the limiter altered {known} ticks"
    else:
        why = "and the limiter altered others"
    yield subject.finding(
        UNEXPLAINED,
        severity,
        f"in {int(differs.sum())} of {len(differs)} actions another torque than the requested one went on, "
        f"{why}; they differ most at {subject.at(step)}, by {off[step, joint]:.3g} N·m at "
        f"{subject.joint(joint)}",
        "see what else stood between policy and motors: something did that is not in the log",
        channel="filtered",
        value=float(many),
        bound=0.0,
        component=joint,
        step=step,
    )


def _explained(subject: Subject) -> NDArray[np.bool_] | int | None:
    """Actions that the limiter is known to have altered (T,), or in how many ticks; None if nobody says."""
    altered: Any = subject.episode.info.get("altered")
    outcome = subject.episode.outcome
    if isinstance(altered, list):
        mask = np.zeros(len(subject.episode), bool)
        mask[[step for step in altered if isinstance(step, int) and 0 <= step < len(mask)]] = True
        return mask
    if outcome.altered_ticks is not None:
        return outcome.altered_ticks
    return sum(outcome.interventions.values()) if outcome.interventions else None
