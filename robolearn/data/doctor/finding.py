"""What a check says when something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From the worst on. An error is wrong data: whoever learns from it learns something false. A warning is
what may well be wrong, or will make learning hard. A note is good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        check: name of the check.
        severity: how bad it is.
        found: what was found, with its value and the bound, in a sentence without an end.
        remedy: what to do about it.
        value, bound: the same as numbers, where there are any.
        episode: number of the episode in the store; None for what concerns many.
        channel: the camera, the channel or whatever else it was found in.
        component: which number of the channel, from 0 up.
        step: the observation or action at which it begins.
        last: the one before which it ends.
    """

    check: str
    severity: Severity
    found: str
    remedy: str
    value: float | None = None
    bound: float | None = None
    episode: int | None = None
    channel: str = ""
    component: int | None = None
    step: int | None = None
    last: int | None = None
