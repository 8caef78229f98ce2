"""How the arm is brought to rest, and how it is let go of when nothing is known about it any more.

`Holder` feeds back on a fresh state: dampers until every joint is at rest, then springs that hold it there,
both shaped by the arm's inertia (`robolearn.hardware.impedance`), which is worked out when the dampers begin
and again when the springs do. Dampers alone do not hold an arm whose payload is not the one it was told of:
it creeps at the speed at which damping balances the error. Such an arm never comes to rest either, so the
springs also begin when it has been damped for long enough.

`Release` feeds back on nothing: what is sent on top of the arm's weight fades away.

Both only ask: what they return is a request to `robolearn.hardware.limiter.limit`, as a policy's is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robolearn.hardware.impedance import Impedance
from robolearn.hardware.settings import HoldSettings
from robolearn.hardware.wire import SECOND

DAMPING_TIME = 0.3
"""Longest time for which the arm is damped before the springs begin [s]: ten times what the dampers need at
16 rad/s, and most of what the limiter needs to build up and withdraw the torque that stops a fast arm."""


class Holder:
    """Damps, then holds. Begin it anew whenever the arm is to be stopped.

    Attributes:
        anchor: where each joint is held [rad]; None while the arm is damped.
    """

    def __init__(self, settings: HoldSettings, impedance: Impedance) -> None:
        self._speed, self._impedance = settings.speed, impedance
        self._since = 0
        self._dtau: Sequence[float] = ()
        self._shaped = False
        self.anchor: list[float] | None = None

    def begin(self, now: int, dtau: Sequence[float]) -> None:
        """The arm is to be brought to rest, from now [ns] on; `dtau` is the limiter's in force (n,) [N·m]."""
        self._since, self._dtau, self._shaped, self.anchor = now, dtau, False, None

    def torque(self, now: int, q: Sequence[float], dq: Sequence[float]) -> list[float]:
        """The torque to ask for (n,) [N·m], at positions (n,) [rad] and speeds (n,) [rad/s]."""
        if self.anchor is None:
            if at_rest(dq, self._speed) or now - self._since >= DAMPING_TIME * SECOND:
                self.anchor = list(q)
            if self.anchor is not None or not self._shaped:
                self._impedance.shape(q, self._dtau)
                self._shaped = True
        way = np.subtract(q if self.anchor is None else self.anchor, q)
        return self._impedance.torque(way, -np.asarray(dq)).tolist()


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
