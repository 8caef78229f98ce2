"""Homing: a joint impedance leads the arm smoothly to where an episode starts, through the monitor.

The path is of minimum jerk (Flash and Hogan, J. Neuroscience 5(7), 1985): q(s) = q0 + (10 s³ - 15 s⁴ + 6 s⁵)
(q1 - q0). Its clock stands still while the arm lags behind, for instance because the monitor holds it, and an
arm that is far off the path gets a new one from where it is: nothing jumps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robolearn import checks
from robolearn.errors import InputError
from robolearn.hardware.impedance import REACH, Impedance
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.model import ArmModel
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, Array, JointState, TorqueRequest, order

SPEED = 0.5
"""Of the fastest joint on its way [rad/s]."""

LAG = 0.1
"""A joint may be so far from where the path has it before the path waits [rad]; twice as far off, a new one
begins."""

NEAR, STILL = 0.05, 0.05
"""So near to the posture [rad] and so slow [rad/s] in every joint, the arm is there."""

PEAK = 1.875
"""Largest slope of the minimum-jerk curve, at its middle."""


class Homing:
    """Leads the arm to a posture and keeps it there, for as long as it is fed with joint states.

    Args:
        station: the arm where it stands; the impedance is its hold's.
        home: the posture (n,) [rad].
        gripper: from open (-1) to closed (+1); None leaves it.
        sender: of its requests.

    Attributes:
        there: whether the arm has come to rest at the posture, and the gripper has had its time.

    Raises:
        InputError: a posture that is none, or outside the arm's limits; an arm whose profile has no links.
    """

    def __init__(self, station: Station, home: Sequence[float], gripper: float | None, sender: str) -> None:
        arm = station.arm
        self._home = np.array(checks.vector("home", home, arm.n))
        if not ((arm.q_min <= self._home) & (self._home <= arm.q_max)).all():
            raise InputError(
                f"home is {home}; it must lie within the arm's limits {arm.q_min} to {arm.q_max}"
            )
        self._names, self._gripper, self._sender = station.joint_names, gripper, sender
        # its torques go through the monitor: on their way they take longer than the monitor's own
        rate, delay = station.monitor.rate, station.hold_delay + station.controller.request_delay
        self._impedance = Impedance(ArmModel(arm), min(station.monitor.hold.frequency, REACH / delay), rate)
        self._dtau = limiter_parameters(arm, rate).dtau
        # a request a tick of the monitor is enough, however fast the states come
        self._period = round(0.9 * SECOND / rate)
        opening = 0.0 if gripper is None else arm.gripper.max_width / arm.gripper.closing_speed
        self._shortest = opening + arm.gripper.dead_time
        self.begin()

    def begin(self) -> None:
        """Start anew from wherever the arm is."""
        self._start: Array | None = None
        self._gone = 0.0  # of the path's time [s]
        self._last: int | None = None
        self.there = False

    def on_state(self, state: JointState) -> TorqueRequest | None:
        """What to ask for, now that a joint state has come; None where nothing new is to be said."""
        places = order(state.names, self._names)
        n = len(state.names)
        if places is None or len(state.position) != n or len(state.velocity) != n:
            return None
        q, dq = np.asarray(state.position)[places], np.asarray(state.velocity)[places]
        if not (np.isfinite(q).all() and np.isfinite(dq).all()):
            return None
        if self._last is not None and state.stamp - self._last < self._period:
            return None
        if self._start is None or np.abs(self._path()[0] - q).max() > 2.0 * LAG:
            self._start, self._gone = q, 0.0
            longest = float(np.abs(self._home - q).max())
            self._duration = max(PEAK * longest / SPEED, self._shortest)
        wanted, speed = self._path()
        if self._last is not None and np.abs(wanted - q).max() < LAG:
            self._gone += (state.stamp - self._last) / SECOND
            wanted, speed = self._path()
        self._last = state.stamp
        at_home = np.abs(self._home - q).max() < NEAR and np.abs(dq).max() < STILL
        self.there = bool(at_home and self._gone >= self._duration)
        self._impedance.shape(q, self._dtau)
        torque = self._impedance.torque(wanted - q, speed - dq)
        return TorqueRequest(state.stamp, self._names, torque, self._gripper, self._sender)

    def _path(self) -> tuple[Array, Array]:
        """Where the arm should be now (n,) [rad], and how fast (n,) [rad/s]."""
        assert self._start is not None
        s = min(self._gone / self._duration, 1.0)
        way = self._home - self._start
        place = s * s * s * (10.0 + s * (6.0 * s - 15.0))
        slope = 30.0 * s * s * (1.0 - s) ** 2 / self._duration
        return self._start + place * way, slope * way
