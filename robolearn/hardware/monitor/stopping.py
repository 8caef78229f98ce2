"""How the arm is brought to rest, and how it is let go of when nothing is known about it any more.

`Holder` feeds back on a fresh state: dampers until every joint is at rest, then springs that hold it there.
Dampers alone do not hold an arm whose payload is not the one it was told of: it creeps at the speed at which
damping balances the error. Such an arm never comes to rest either, so the springs also begin when it has been
damped for long enough.

`Release` feeds back on nothing: what is sent on top of the arm's weight fades away.

Both only ask: what they return is a request to `robolearn.hardware.limiter.limit`, as a policy's is.
"""

from __future__ import annotations

from collections.abc import Sequence

from robolearn.hardware.settings import HoldSettings
from robolearn.hardware.wire import SECOND

DAMPING_TIME = 0.3
"""Longest time for which the arm is damped before the springs begin [s]: several times the slowest joint's
time constant, inertia / damping."""


class Holder:
    """Damps, then holds. Begin it anew whenever the arm is to be stopped.

    Attributes:
        anchor: where each joint is held [rad]; None while the arm is damped.
    """

    def __init__(self, settings: HoldSettings) -> None:
        self._settings = settings
        self._since = 0
        self.anchor: list[float] | None = None

    def begin(self, now: int) -> None:
        """The arm is to be brought to rest, from now [ns] on."""
        self._since, self.anchor = now, None

    def torque(self, now: int, q: Sequence[float], dq: Sequence[float]) -> list[float]:
        """The torque to ask for (n,) [N·m], at positions (n,) [rad] and speeds (n,) [rad/s]."""
        s = self._settings
        if self.anchor is None and (at_rest(dq, s.speed) or now - self._since >= DAMPING_TIME * SECOND):
            self.anchor = list(q)
        if self.anchor is None:
            return [-d * v for d, v in zip(s.damping, dq, strict=True)]
        return [
            k * (a - x) - d * v
            for k, d, a, x, v in zip(s.stiffness, s.damping, self.anchor, q, dq, strict=True)
        ]


class Release:
    """Leads the torque to what carries the arm's weight, in `ramp_time`."""

    def __init__(self, settings: HoldSettings) -> None:
        self._time = settings.ramp_time * SECOND
        self._since = 0
        self._excess: list[float] = []

    def begin(self, now: int, sent: Sequence[float], gravity: Sequence[float]) -> None:
        """The state was lost now [ns]; `sent` was sent and `gravity` carried the arm, (n,) [N·m] each."""
        self._since, self._excess = now, [a - b for a, b in zip(sent, gravity, strict=True)]

    def torque(self, now: int) -> list[float]:
        """The torque to ask for, on top of gravity (n,) [N·m]."""
        share = max(0.0, 1.0 - (now - self._since) / self._time)
        return [share * torque for torque in self._excess]


def at_rest(dq: Sequence[float], speed: float) -> bool:
    """Whether no joint moves at `speed` [rad/s] or faster."""
    return all(abs(v) < speed for v in dq)
