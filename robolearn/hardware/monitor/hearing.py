"""What the safety monitor is told, and what of it is wrong.

Everything comes in through the `on_...` methods as it arrives; nothing here reads a clock. Two clocks are
told apart: `now` is the steady one, on which silence is measured; stamps belong to the clock that arm,
cameras and policies share, which `on_clock` relates to the steady one (in simulation both are one, and nobody
needs to call it). All times are whole nanoseconds.

Joints go by the station's names and order, in joint states, requests and commands alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.hardware.limiter import LimiterParameters
from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.asking import RequestStream, Senders
from robolearn.hardware.monitor.bounds import tightened, tightest
from robolearn.hardware.monitor.causes import Cause
from robolearn.hardware.monitor.checks import MeasuredBounds, Reading, too_strong
from robolearn.hardware.monitor.decisions import Answer
from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.monitor.streams import CameraStream, StateStream
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, Array, Heartbeat, JointState, TorqueRequest, Wrench

WATCHDOG_AGE = 0.2
"""Silence of the watchdog after which the arm is held [s]."""


class Hearing:
    """Everything that the monitor looks at.

    Args:
        station: what it stands before.
        model: of the arm.
        parameters: the station's limiter parameters.
        watchdog: hold the arm while no watchdog says that it is there.
        allowed_bundles: tells whether a bundle may run autonomously, by its hash and its contract's; None
            allows every one at the simulated arm and none at a real one.

    Attributes:
        station: what it stands before.
        in_force: the tightest limiter parameters of all who are announced, as of the latest `standing`.
    """

    def __init__(
        self,
        station: Station,
        model: ArmModel,
        parameters: LimiterParameters,
        *,
        watchdog: bool,
        allowed_bundles: Callable[[str, str], bool] | None,
    ) -> None:
        self.station = station
        self.in_force = parameters
        if allowed_bundles is None and not station.simulated:
            allowed_bundles = _none
        self._watchdog, self._allowed = watchdog, allowed_bundles
        self._bounds = MeasuredBounds(station, model)
        self._parameters = parameters
        self._contracts: dict[str, LimiterParameters] = {}
        self._control_rates: dict[str, float] = {}
        self.states, self.senders = StateStream(station), Senders(station)
        self.requests = RequestStream(station, self.senders)
        self._cameras = {camera.name: CameraStream(station) for camera in station.cameras}
        self._offset = 0  # of the stamps' clock against the steady one [ns]
        self._seen: set[Cause] = set()
        self._broken: set[Cause] = set()  # by the newest reading
        self._judgement: tuple[Reading, set[Cause]] | None = None
        self._button = self.usurped = False
        self._strangers: tuple[str, ...] = ()
        self._watchdog_at: int | None = None
        self._wrench: tuple[int, bool] | None = None  # when it was measured, by the steady clock; too strong

    @property
    def pushing(self) -> list[float]:
        """What is being sent on top of the arm's weight (n,) [N·m]."""
        raise NotImplementedError

    # --- what it is told ----------------------------------------------------------------------------------

    def on_clock(self, now: int, stamps: int) -> None:
        """The clock of the stamps shows `stamps` when the steady one shows `now`."""
        offset = stamps - now
        jump = offset - self._offset
        # before the first joint state nothing depends on the clock: this is how it is made known
        if self.states.reading is not None and abs(jump) > self.station.monitor.future_tolerance * SECOND:
            self._seen.add(Cause.CLOCK_JUMP)
            self.states.shift(jump)
            self.requests.shift(jump)
            for camera in self._cameras.values():
                camera.shift(jump)
        self._offset = offset

    def on_state(self, now: int, state: JointState) -> None:
        """A joint state has arrived."""
        before = self.states.reading
        self._seen |= self.states.receive(now, now + self._offset, state, self.pushing)
        reading = self.states.reading
        if reading is not None and reading is not before:
            self._broken = self._bounds.broken(reading)
            self._seen |= self._broken

    def on_request(self, now: int, request: TorqueRequest) -> None:
        """A request has arrived; its names are the station's joints, in any order; its sender beats."""
        self._seen |= self.requests.receive(now, now + self._offset, request)

    def on_heartbeat(self, now: int, beat: Heartbeat) -> None:
        """A policy, or whoever else sends requests, is alive."""
        self.senders.receive(now, beat)

    def announce(self, contract: Contract) -> Answer:
        """Make a contract known; heartbeats that carry its hash then bring its bounds into force.

        One whose numbers no arithmetic takes (a width of 400 digits) is refused, too: nothing that is
        announced ends the monitor.
        """
        try:
            parameters = tightened(self.station, self._parameters, contract)
        except (InputError, ArithmeticError, ValueError) as error:
            return Answer(False, str(error))
        self._contracts[contract.hash] = parameters
        self._control_rates[contract.hash] = contract.control_rate
        return Answer(True, f"contract {contract.hash[:12]} fits station {self.station.name}")

    def on_camera(self, now: int, glimpse: Glimpse) -> None:
        """An image has arrived; `glimpse.take(picture)` tells enough of it. Unknown cameras do not matter."""
        reading = self.states.reading
        if glimpse.camera in self._cameras:
            q = [] if reading is None else reading.q
            self._cameras[glimpse.camera].receive(now, now + self._offset, glimpse, q)

    def on_wrench(self, now: int, wrench: Wrench) -> None:
        """The external wrench at the wrist has been measured; without effect where the station has none."""
        bounds = self.station.wrench
        if bounds is not None:
            strong = too_strong(wrench, bounds.force_max, bounds.torque_max)
            self._wrench = (min(now, wrench.stamp - self._offset), strong)
            if strong:
                self._seen.add(Cause.WRENCH)

    def on_publishers(self, now: int, strangers: Sequence[str]) -> None:
        """Who publishes on the controller's topic, monitor and watchdog left out."""
        self._strangers = tuple(strangers)
        if strangers:
            self._seen.add(Cause.STRANGER)

    def on_watchdog(self, now: int, owns: bool, torque: Array | None = None) -> None:
        """The watchdog is there; whether it owns the arm, and then what it sent last (n,) [N·m]."""
        self._watchdog_at, self.usurped = now, owns
        if owns:
            self._seen.add(Cause.WATCHDOG_OWNS)

    def on_button(self, now: int, pressed: bool) -> None:
        """The stop button's position."""
        self._button = pressed
        if pressed:
            self._seen.add(Cause.EMERGENCY_STOP)

    def press_stop(self, now: int, who: str) -> None:
        """Stop now; there is no button that would have to be released."""
        self._seen.add(Cause.EMERGENCY_STOP)

    # --- what is wrong ------------------------------------------------------------------------------------

    @property
    def seen(self) -> set[Cause]:
        """What was wrong with anything that came since `take_seen`."""
        return set(self._seen)

    def take_seen(self) -> set[Cause]:
        """The same, and begin anew."""
        seen, self._seen = self._seen, set()
        return seen

    def standing(self, now: int) -> set[Cause]:
        """Everything that is wrong now."""
        causes = self.states.causes(now)
        if not causes and self.states.reading is not None:
            causes |= self._judged(self.states.reading)
        causes |= self._broken | self._who_asks(now)
        unheard = self._watchdog_at is None or now - self._watchdog_at > WATCHDOG_AGE * SECOND
        if unheard:
            self.usurped = False  # whoever took the arm is gone, too: somebody must publish
        if self._button:
            causes.add(Cause.EMERGENCY_STOP)
        if self._strangers:
            causes.add(Cause.STRANGER)
        if self.usurped:
            causes.add(Cause.WATCHDOG_OWNS)
        if self._watchdog and unheard:
            causes.add(Cause.WATCHDOG_LATE)
        if self.station.wrench is not None:
            if self._wrench is None or now - self._wrench[0] > self.station.wrench.age_max * SECOND:
                causes.add(Cause.WRENCH_LATE)
            elif self._wrench[1]:
                causes.add(Cause.WRENCH)
        return causes

    def _who_asks(self, now: int) -> set[Cause]:
        """What is wrong with whoever is announced, with his requests, and with his cameras."""
        causes = self.senders.causes(now)
        alive = self.senders.alive(now)
        policies = [beat for beat in alive if beat.bundle or beat.contract]
        known = {beat.contract for beat in policies} & self._contracts.keys()
        self.in_force = tightest([self._contracts[each] for each in known] or [self._parameters])
        if any(beat.contract not in self._contracts for beat in policies):
            causes.add(Cause.CONTRACT)
        # whoever announces no bundle is on no list
        if self._allowed is not None and not (
            policies and all(self._allowed(beat.bundle, beat.contract) for beat in policies)
        ):
            causes.add(Cause.BUNDLE)
        # whoever announces no contract, homing for instance, may ask at every tick
        rates = {beat.sender: self._control_rates.get(beat.contract) for beat in alive}
        self.requests.rates = {sender: rate for sender, rate in rates.items() if rate is not None}
        causes |= self.requests.causes(now)
        if policies:  # nobody else looks through the cameras
            for camera in self._cameras.values():
                causes |= camera.causes(now)
        return causes

    def _judged(self, reading: Reading) -> set[Cause]:
        """What is wrong with where the arm is and where it goes, by a good reading; worked out once."""
        if self._judgement is None or self._judgement[0] is not reading:
            causes = self._bounds.places(reading)
            if not self._bounds.stops_in_time(reading):
                causes.add(Cause.STOPPING_DISTANCE)
            self._judgement = reading, causes
        return self._judgement[1]


def _none(bundle: str, contract: str) -> bool:
    """A real arm without a list of what may move it autonomously."""
    return False
