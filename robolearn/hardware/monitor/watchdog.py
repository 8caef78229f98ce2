"""The watchdog's core: silent while the monitor lives, owner of the arm from the moment that it does not.

A controller keeps its last torque for ever, so somebody must go on publishing when the monitor's process is
gone. The watchdog hears what the monitor hears of the arm, and what the monitor sends; when the monitor's
heartbeat is late, it continues from the last torque: it holds the arm by a fresh state, and without one lets
go of it. It keeps the arm until a person resets.
"""

from __future__ import annotations

import numpy as np

from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.causes import Cause
from robolearn.hardware.monitor.decisions import Answer, Watch
from robolearn.hardware.monitor.output import Output
from robolearn.hardware.monitor.stopping import at_rest
from robolearn.hardware.monitor.streams import StateStream
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, Array, JointState


class Watchdog:
    """Takes the arm when the monitor falls silent while it was sending.

    Attributes:
        owns: whether the arm is the watchdog's.
        output: what it sends then.
    """

    def __init__(self, station: Station) -> None:
        """Raises InputError if the arm's profile has no links to make a model of."""
        self._station = station
        self.output = Output(station, ArmModel(station.arm))
        self._states = StateStream(station)
        self._speed = station.monitor.hold.speed
        self.owns = False
        self._heard_at: int | None = None
        self._live = False
        self._resting = self._deactivated = self._inactive = self._ending = False
        self._offset = 0
        self._patience = 2 * SECOND / station.monitor.rate
        self._ticked_at: int | None = None
        self._waited = False

    def on_clock(self, now: int, stamps: int) -> None:
        """As `Monitor.on_clock`."""
        self._states.shift(stamps - now - self._offset)
        self._offset = stamps - now

    def on_state(self, now: int, state: JointState) -> None:
        """A joint state has arrived."""
        self._states.receive(now, now + self._offset, state, self.output.zeros)

    def on_monitor(self, now: int, live: bool) -> None:
        """The monitor's heartbeat; `live` says that it sends torques: its authority is above shadow."""
        self._heard_at, self._live = now, live

    def on_command(self, now: int, torque: Array) -> None:
        """What the monitor sent to the controller (n,) [N·m]."""
        if not self.owns and torque.shape == (len(self.output.zeros),):
            self.output.follow(torque.tolist())

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

    def hears(self, now: int) -> bool:
        """Whether the monitor's heartbeat is there: a watchdog that does not hear it cannot miss it."""
        return self._heard_at is not None and not self._is_late(now)

    def reset(self, now: int, who: str) -> Answer:
        """A person's wish to give the arm back to the monitor; refused while that is silent."""
        if not self.owns:
            return Answer(False, "the watchdog does not own the arm")
        if self._is_late(now):
            return Answer(False, "the monitor is still silent: start it first")
        self.owns = self._resting = self._deactivated = False
        self.output.nothing()
        return Answer(True, f"given back to the monitor by {who}")

    def tick(self, now: int) -> Watch:
        """Decide what the arm receives; called `station.monitor.rate` times a second."""
        output, trouble, reading = self.output, self._states.causes(now), self._states.reading
        if not trouble and reading is not None:
            output.weigh(reading)
        delayed = self._ticked_at is not None and now - self._ticked_at > self._patience
        self._ticked_at = now
        missed = self._live and not self.owns and self._is_late(now)
        # one that was itself late has not heard what came meanwhile: once, it listens before it acts
        self._waited = missed and delayed and not self._waited
        if missed and not self._waited:
            self.owns = True
            self._states.expect(now)
        if not self.owns:
            return Watch(False, np.array(output.sent), False, False)

        if self._station.may_deactivate:
            self._deactivated |= Cause.STATE_LOST in trouble or (self._ending and self._resting)
        if trouble or reading is None or self._deactivated:
            output.ramp(now, output.parameters)
            self._resting = False
        else:
            output.hold(now, reading, output.parameters)
            self._resting = output.holder.anchor is not None and at_rest(reading.dq, self._speed)
        return Watch(True, np.array(output.sent), True, self._deactivated)

    def _is_late(self, now: int) -> bool:
        timeout = self._station.monitor.watchdog_timeout * SECOND
        return self._heard_at is not None and now - self._heard_at > timeout
