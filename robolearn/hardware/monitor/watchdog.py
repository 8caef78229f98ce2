"""The watchdog's core: silent while the monitor lives, owner of the arm from the moment that it does not.

A controller keeps its last torque for ever, so somebody must go on publishing when the monitor's process is
gone. The watchdog hears what the monitor hears of the arm, and what the monitor sends; when the monitor's
heartbeat is late, it continues from the last torque: it holds the arm by a fresh state, and without one lets
go of it. It keeps the arm until a person resets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robolearn.hardware.limiter import limit, limiter_parameters
from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.causes import Cause
from robolearn.hardware.monitor.monitor import Answer
from robolearn.hardware.monitor.stopping import Holder, Release, at_rest
from robolearn.hardware.monitor.streams import StateStream
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, Array, JointState


class Watch(NamedTuple):
    """What one tick of the watchdog decided.

    Attributes:
        publish: whether `torque` goes to the controller.
        torque: gravity included where we supply it, (n,) [N·m], in the station's joint order.
        owns: whether the arm is the watchdog's.
        deactivate: the controller should be inactive: ask for it when this becomes True.
    """

    publish: bool
    torque: Array
    owns: bool
    deactivate: bool


class Watchdog:
    """Takes the arm when the monitor falls silent while it was sending.

    Attributes:
        owns: whether the arm is the watchdog's.
    """

    def __init__(self, station: Station) -> None:
        """Raises InputError if the arm's profile has no links to make a model of."""
        settings = station.monitor
        self._station = station
        self._model = ArmModel(station.arm)
        self._parameters = limiter_parameters(station.arm, settings.rate)
        self._states = StateStream(station)
        self._holder, self._release = Holder(settings.hold), Release(settings.hold)
        self._zeros = [0.0] * station.arm.n
        self._speed = settings.hold.speed
        low, high = self._parameters.q_lo, self._parameters.q_hi
        self._middle = [0.5 * (a + b) for a, b in zip(low, high, strict=True)]
        self.owns = False
        self._heard_at: int | None = None
        self._live = False
        self._sent = self._gravity = self._zeros
        self._holding = self._releasing = self._resting = False
        self._deactivated = self._inactive = self._ending = False
        self._offset = 0

    def on_clock(self, now: int, stamps: int) -> None:
        """As `Monitor.on_clock`."""
        self._states.shift(stamps - now - self._offset)
        self._offset = stamps - now

    def on_state(self, now: int, state: JointState) -> None:
        """A joint state has arrived."""
        self._states.receive(now, now + self._offset, state, self._zeros)

    def on_monitor(self, now: int, live: bool) -> None:
        """The monitor's heartbeat; `live` says that it sends torques: its authority is above shadow."""
        self._heard_at, self._live = now, live

    def on_command(self, now: int, torque: Array) -> None:
        """What the monitor sent to the controller (n,) [N·m]."""
        if not self.owns and torque.shape == (len(self._zeros),):
            self._sent = torque.tolist()

    def on_inactive(self, now: int, inactive: bool) -> None:
        """Whether the controller is confirmed to be inactive."""
        self._inactive = inactive

    def end(self) -> None:
        """The process is asked to end: deactivate where that is allowed, as soon as the arm is at rest."""
        self._ending = True

    @property
    def may_exit(self) -> bool:
        """Whether the process may end: nobody needs it, or the arm is inactive or, where it may not be, held.

        An arm that may not be deactivated keeps the torque that held it at rest.
        """
        if not self.owns:
            return not self._live
        return self._inactive or (self._resting and not self._station.may_deactivate)

    def reset(self, now: int, who: str) -> Answer:
        """A person's wish to give the arm back to the monitor; refused while that is silent."""
        if not self.owns:
            return Answer(False, "the watchdog does not own the arm")
        if self._is_late(now):
            return Answer(False, "the monitor is still silent: start it first")
        self.owns = self._holding = self._releasing = self._resting = self._deactivated = False
        return Answer(True, f"given back to the monitor by {who}")

    def tick(self, now: int) -> Watch:
        """Decide what the arm receives; called `station.monitor.rate` times a second."""
        trouble = self._states.causes(now)
        reading = self._states.reading
        if not trouble and reading is not None and not self._station.arm.compensates_gravity:
            self._gravity = self._model.gravity(self._model.frames(np.array(reading.q))).tolist()
        if self._live and not self.owns and self._is_late(now):
            self.owns = True
        if not self.owns:
            return Watch(False, np.array(self._sent), False, False)

        if self._station.may_deactivate:
            self._deactivated |= Cause.STATE_LOST in trouble or (self._ending and self._resting)
        if trouble or reading is None or self._deactivated:
            if not self._releasing:
                self._release.begin(now, self._sent, self._gravity)
            self._holding, self._releasing, self._resting = False, True, False
            request, q, dq = self._release.torque(now), self._middle, self._zeros
        else:
            if not self._holding:
                self._holder.begin(now)
            self._holding, self._releasing = True, False
            request, q, dq = self._holder.torque(now, reading.q, reading.dq), reading.q, reading.dq
            self._resting = self._holder.anchor is not None and at_rest(dq, self._speed)
        out = self._zeros.copy()
        limit(request, self._gravity, self._sent, q, dq, self._parameters, out)
        self._sent = out
        return Watch(True, np.array(out), True, self._deactivated)

    def _is_late(self, now: int) -> bool:
        timeout = self._station.monitor.watchdog_timeout * SECOND
        return self._heard_at is not None and now - self._heard_at > timeout
