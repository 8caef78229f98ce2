"""The torque that goes to the arm, tick by tick: always through the limiter, and on from the one before.

Monitor and watchdog have one each; each works out its own, from what it hears itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robolearn.hardware.impedance import Impedance
from robolearn.hardware.limiter import LimiterParameters, limit, limiter_parameters
from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.checks import Reading
from robolearn.hardware.monitor.states import Motion
from robolearn.hardware.monitor.stopping import Holder, Release
from robolearn.hardware.station import Station


class Output:
    """What is sent to an arm.

    Attributes:
        parameters: the station's limiter parameters.
        zeros: (n,).
        sent: the latest torque, gravity included where we supply it, (n,) [N·m].
        gravity: what carries the arm, as far as we supply it, (n,) [N·m].
        filtered: what was sent on top of that (n,) [N·m]; bit for bit what was asked for where the limiter
            altered nothing.
        motion: what the latest torque was for.
        holder: leads the arm to rest.
    """

    def __init__(self, station: Station, model: ArmModel) -> None:
        arm, settings = station.arm, station.monitor
        self.parameters = limiter_parameters(arm, settings.rate)
        self.zeros = [0.0] * arm.n
        self.sent = self.gravity = self.filtered = self.zeros
        self.motion = Motion.NOTHING
        impedance = Impedance(model, settings.hold.frequency, settings.rate)
        self.holder, self._release = Holder(settings.hold, impedance), Release(settings.hold)
        self._model = None if arm.compensates_gravity else model
        low, high = self.parameters.q_lo, self.parameters.q_hi
        self._middle = [0.5 * (a + b) for a, b in zip(low, high, strict=True)]

    def weigh(self, reading: Reading) -> None:
        """Work out what carries the arm where it is now."""
        if self._model is not None:
            self.gravity = self._model.gravity(self._model.frames(np.array(reading.q))).tolist()

    def follow(self, sent: list[float]) -> None:
        """Go on from a torque that was sent, gravity included (n,) [N·m]."""
        self.sent = sent
        self.filtered = [a - b for a, b in zip(sent, self.gravity, strict=True)]

    def nothing(self) -> None:
        """Nothing is sent."""
        self.motion = Motion.NOTHING

    def request(self, torque: Sequence[float], reading: Reading, parameters: LimiterParameters) -> int:
        """What somebody asks for, gravity excluded (n,) [N·m]; returns what the limiter met."""
        self.motion = Motion.REQUEST
        return self.limit(torque, reading.q, reading.dq, parameters)

    def hold(self, now: int, reading: Reading, parameters: LimiterParameters) -> int:
        """Damp the arm, then hold it; returns what the limiter met."""
        if self.motion is not Motion.HOLD:
            self.holder.begin(now, parameters.dtau)
        self.motion = Motion.HOLD
        torque = self.holder.torque(now, reading.q, reading.dq)
        return self.limit(torque, reading.q, reading.dq, parameters)

    def ramp(self, now: int, parameters: LimiterParameters) -> int:
        """Lead the torque to what carries the arm, feeding back on nothing; returns what the limiter met."""
        if self.motion is not Motion.RAMP:
            self._release.begin(now, self.sent, self.gravity)
        self.motion = Motion.RAMP
        return self.limit(self._release.torque(now), self._middle, self.zeros, parameters)

    def limit(
        self, torque: Sequence[float], q: Sequence[float], dq: Sequence[float], parameters: LimiterParameters
    ) -> int:
        """The next torque from a request, gravity excluded (n,) [N·m]; returns what the limiter met."""
        out = self.zeros.copy()
        met = limit(torque, self.gravity, self.sent, q, dq, parameters, out)
        if met:
            self.follow(out)
        else:
            self.sent, self.filtered = out, list(torque)
        return met
