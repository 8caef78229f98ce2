"""The safety monitor's core: it hears everybody, trusts nobody, and every tick says what the arm receives.

What it is told comes in through the `on_...` methods as it arrives; `tick` is called at the station's rate
and decides. Nothing here reads a clock or does anything but compute. Two clocks are told apart: `now` is the
steady one, on which silence is measured; stamps belong to the clock that arm, cameras and policies share,
which `on_clock` relates to the steady one (in simulation both are one, and nobody needs to call it). All
times are whole nanoseconds.

Joints go by the station's names and order, in joint states, requests and commands alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.hardware.limiter import CAUSES as LIMITER_CAUSES
from robolearn.hardware.limiter import LimiterParameters, limit, limiter_parameters
from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.bounds import slowed, tightened
from robolearn.hardware.monitor.causes import Bearing, Cause
from robolearn.hardware.monitor.checks import MeasuredBounds, Reading, too_strong
from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.monitor.states import (
    Authority,
    Facts,
    Mode,
    Motion,
    RequestHealth,
    State,
    StateHealth,
    motion,
    transition,
)
from robolearn.hardware.monitor.stopping import Holder, Release, at_rest
from robolearn.hardware.monitor.streams import CameraStream, RequestStream, Senders, StateStream
from robolearn.hardware.station import Station
from robolearn.hardware.wire import (
    SECOND,
    Array,
    Heartbeat,
    JointState,
    MonitorStatus,
    TorqueRequest,
    Wrench,
)

WATCHDOG_AGE = 0.2
"""Silence of the watchdog after which the arm is held [s]."""

_LIMITED = tuple(Cause[f"LIMITED_{name.upper()}"] for name in LIMITER_CAUSES)
_STOPPING = {
    Bearing.INSANE,
    Bearing.BAD,
    Bearing.LOST,
    Bearing.BREACH,
    Bearing.EMERGENCY,
    Bearing.STRANGER,
    Bearing.USURPED,
    Bearing.NO_POLICY,
}


class Tick(NamedTuple):
    """What one tick decided.

    Attributes:
        publish: whether `torque` goes to the controller.
        torque: gravity included where we supply it, (n,) [N·m], in the station's joint order. In shadow it is
            what would have been sent.
        gripper: from open (-1) to closed (+1); None leaves it.
        mode, authority, motion: the state, and what is being done.
        causes: names of what is wrong now, and while stopped of what began the stop.
        deactivate: the controller should be inactive: ask for it when this becomes True.
    """

    publish: bool
    torque: Array
    gripper: float | None
    mode: Mode
    authority: Authority
    motion: Motion
    causes: frozenset[str]
    deactivate: bool


class Answer(NamedTuple):
    """The answer to a person's call: whether it was done, and a sentence."""

    done: bool
    message: str


class Monitor:
    """The state machine with everything that it looks at.

    Attributes:
        station: what it stands before.
        state: of the state machine, after the latest tick or call.
        counts: how often each cause began, since the start.
    """

    def __init__(
        self,
        station: Station,
        *,
        watchdog: bool = True,
        allowed_bundles: Callable[[str, str], bool] | None = None,
    ) -> None:
        """
        Args:
            station: the arm where it stands.
            watchdog: hold the arm while no watchdog says that it is there.
            allowed_bundles: tells whether a bundle may run autonomously, by its hash and its contract's; None
                allows every one.

        Raises:
            InputError: the arm's profile has no links to make a model of.
        """
        arm, settings = station.arm, station.monitor
        self.station = station
        self.state = State()
        self.counts: dict[Cause, int] = {}
        self._watchdog, self._allowed = watchdog, allowed_bundles
        self._model = ArmModel(arm)
        self._bounds = MeasuredBounds(station, self._model)
        self._parameters = limiter_parameters(arm, settings.rate)
        self._in_force = self._parameters
        self._contracts: dict[str, LimiterParameters] = {}
        self._control_rates: dict[str, float] = {}
        self._states, self._requests = StateStream(station), RequestStream(station)
        self._cameras = {camera.name: CameraStream(station) for camera in station.cameras}
        self._senders = Senders(station)
        self._holder, self._release = Holder(settings.hold), Release(settings.hold)
        self._period = SECOND / settings.rate

        self._zeros = [0.0] * arm.n
        self._middle = [
            0.5 * (a + b) for a, b in zip(self._parameters.q_lo, self._parameters.q_hi, strict=True)
        ]
        self._sent = self._zeros
        self._gravity = self._zeros
        self._motion = Motion.NOTHING
        self._offset = 0  # of the stamps' clock against the steady one [ns]
        self._seen: set[Cause] = set()  # since the latest tick
        self._broken: set[Cause] = set()  # by the newest reading
        self._judgement: tuple[Reading, set[Cause]] | None = None
        self._now: frozenset[Cause] = frozenset()  # at the latest tick
        self._latched: frozenset[Cause] = frozenset()
        self._ticked_at: int | None = None
        self._misses = 0
        self._button = self._usurped = False
        self._strangers: tuple[str, ...] = ()
        self._watchdog_at: int | None = None
        self._wrench: tuple[int, bool] | None = None  # when it was measured, by the steady clock; too strong

    # what it is told

    def on_clock(self, now: int, stamps: int) -> None:
        """The clock of the stamps shows `stamps` when the steady one shows `now`."""
        offset = stamps - now
        jump = offset - self._offset
        # before the first joint state nothing depends on the clock: this is how it is made known
        if self._states.reading is not None and abs(jump) > self.station.monitor.future_tolerance * SECOND:
            self._seen.add(Cause.CLOCK_JUMP)
            self._states.shift(jump)
            self._requests.shift(jump)
            for camera in self._cameras.values():
                camera.shift(jump)
        self._offset = offset

    def on_state(self, now: int, state: JointState) -> None:
        """A joint state has arrived."""
        before = self._states.reading
        live = self._motion is not Motion.NOTHING
        pushing = [a - b for a, b in zip(self._sent, self._gravity, strict=True)] if live else self._zeros
        self._seen |= self._states.receive(now, now + self._offset, state, pushing)
        reading = self._states.reading
        if reading is not None and reading is not before:
            self._broken = self._bounds.broken(reading)
            self._seen |= self._broken

    def on_request(self, now: int, request: TorqueRequest) -> None:
        """A request has arrived; `request.names` are the station's joints, in any order."""
        self._seen |= self._requests.receive(now, now + self._offset, request)

    def on_heartbeat(self, now: int, beat: Heartbeat) -> None:
        """A policy, or whoever else sends requests, is alive."""
        self._senders.receive(now, beat)

    def announce(self, contract: Contract) -> Answer:
        """Make a contract known; heartbeats that carry its hash then bring its bounds into force."""
        try:
            parameters = tightened(self.station, self._parameters, contract)
        except InputError as error:
            return Answer(False, str(error))
        self._contracts[contract.hash] = parameters
        self._control_rates[contract.hash] = contract.control_rate
        return Answer(True, f"contract {contract.hash[:12]} fits station {self.station.name}")

    def on_camera(self, now: int, glimpse: Glimpse) -> None:
        """An image has arrived; `glimpse.take(picture)` tells enough of it. Unknown cameras do not matter."""
        reading = self._states.reading
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
        self._watchdog_at, self._usurped = now, owns
        if owns:
            self._seen.add(Cause.WATCHDOG_OWNS)
            if torque is not None and torque.shape == (len(self._zeros),) and np.isfinite(torque).all():
                self._sent = torque.tolist()

    def on_button(self, now: int, pressed: bool) -> None:
        """The stop button's position."""
        self._button = pressed
        if pressed:
            self._seen.add(Cause.EMERGENCY_STOP)

    def press_stop(self, now: int, who: str) -> None:
        """Stop now; there is no button that would have to be released."""
        self._seen.add(Cause.EMERGENCY_STOP)

    # what people ask

    def reset(self, now: int, who: str) -> Answer:
        """A person's wish to leave a stop; refused while its cause lasts. Ends in shadow."""
        if self.state.mode is not Mode.STOPPED:
            return Answer(False, f"the monitor is {self.state.mode.value}, not stopped")
        self._senders.forget_lost(now)
        causes = self._standing(now) | self._seen
        after = transition(self.state, self._facts(causes, reset=True))
        if after.mode is Mode.STOPPED:
            reasons = _names(c for c in causes if c.bearing in _STOPPING)
            return Answer(False, f"still stopped: {reasons or 'the arm is not at rest yet'}")
        self._become(after, causes)
        return Answer(True, f"reset by {who}; authority is shadow")

    def set_authority(self, now: int, level: Authority, who: str) -> Answer:
        """A person's wish for another authority. Shadow begins as soon as the arm is at rest."""
        causes = self._standing(now) | self._seen
        facts = self._facts(causes, asked=level)
        after = transition(self.state, facts)
        if after.mode is Mode.STOPPED and after.authority != level:
            self._become(after, causes)
            return Answer(False, f"stopped, reset first: {_names(causes | self._latched)}")
        if after.authority < level:
            needed = _names(causes) or "the arm is not at rest"
            return Answer(False, f"authority stays {self.state.authority.label}: {needed}")
        if self.state.authority is Authority.SHADOW < after.authority:
            self._gravity = self._sent = self._weight()  # what an arm is given that was just activated
        self._become(after, causes)
        label = after.authority.label
        return Answer(True, f"{'shadow as soon as the arm is at rest' if after.leaving else label}, by {who}")

    # what it decides

    def tick(self, now: int) -> Tick:
        """Decide what the arm receives; called `station.monitor.rate` times a second."""
        if self.state.authority is Authority.SHADOW:
            self._senders.forget_lost(now)
        seen, self._seen = self._seen, set()
        causes = seen | self._punctuality(now) | self._standing(now)
        facts = self._facts(causes)
        if facts.state is StateHealth.GOOD:
            self._gravity = self._weight()
        self._become(transition(self.state, facts), causes)
        move = motion(self.state, facts)
        limited, gripper = self._send(now, move)
        causes |= limited

        for cause in causes - self._now:
            self.counts[cause] = self.counts.get(cause, 0) + 1
        self._now = frozenset(causes)
        return Tick(
            publish=move is not Motion.NOTHING,
            torque=np.array(self._sent),
            gripper=gripper,
            mode=self.state.mode,
            authority=self.state.authority,
            motion=move,
            causes=frozenset(c.label for c in self._now | self._latched),
            deactivate=self.state.deactivated,
        )

    def status(self, stamp: int) -> MonitorStatus:
        """How things stand after the latest tick."""
        assisted = self.state.authority is Authority.ASSISTED
        return MonitorStatus(
            stamp=stamp,
            mode=self.state.mode.value,
            authority=self.state.authority.label,
            causes=tuple(sorted(c.label for c in self._now | self._latched)),
            counts={c.label: count for c, count in self.counts.items()},
            scale=self.station.monitor.assisted.torque_scale if assisted else 1.0,
        )

    def _become(self, after: State, causes: set[Cause]) -> None:
        if after.mode is not Mode.STOPPED:
            self._latched = frozenset()
        elif self.state.mode is not Mode.STOPPED:
            self._latched = frozenset(c for c in causes if c.bearing in _STOPPING)
        self.state = after

    def _standing(self, now: int) -> set[Cause]:
        """Everything that is wrong now."""
        causes = self._states.causes(now)
        if not causes and self._states.reading is not None:
            causes |= self._judged(self._states.reading)
        causes |= self._senders.causes(now) | self._broken
        if self._misses >= self.station.monitor.deadline_misses:
            causes.add(Cause.OVERLOAD)
        alive = self._senders.alive(now)
        policies = [beat for beat in alive if beat.bundle or beat.contract]
        self._in_force = self._parameters
        for beat in policies:
            if beat.contract in self._contracts:
                self._in_force = self._contracts[beat.contract]
            else:
                causes.add(Cause.CONTRACT)
        if self._allowed is not None and not all(
            self._allowed(beat.bundle, beat.contract) for beat in policies
        ):
            causes.add(Cause.BUNDLE)
        # Whoever announces no contract, homing for instance, may ask at every tick.
        rates = [self._control_rates.get(beat.contract, self.station.monitor.rate) for beat in alive]
        self._requests.rate = max(rates, default=self.station.monitor.rate)
        causes |= self._requests.causes(now)
        if policies:  # nobody else looks through the cameras
            for camera in self._cameras.values():
                causes |= camera.causes(now)
        if self._button:
            causes.add(Cause.EMERGENCY_STOP)
        if self._strangers:
            causes.add(Cause.STRANGER)
        if self._usurped:
            causes.add(Cause.WATCHDOG_OWNS)
        if self._watchdog and (self._watchdog_at is None or now - self._watchdog_at > WATCHDOG_AGE * SECOND):
            causes.add(Cause.WATCHDOG_LATE)
        if self.station.wrench is not None:
            if self._wrench is None or now - self._wrench[0] > self.station.wrench.age_max * SECOND:
                causes.add(Cause.WRENCH_LATE)
            elif self._wrench[1]:
                causes.add(Cause.WRENCH)
        return causes

    def _judged(self, reading: Reading) -> set[Cause]:
        """What is wrong with where the arm is and where it goes, by a good reading; worked out once."""
        if self._judgement is None or self._judgement[0] is not reading:
            causes = self._bounds.places(reading)
            if not self._bounds.stops_in_time(reading):
                causes.add(Cause.STOPPING_DISTANCE)
            self._judgement = reading, causes
        return self._judgement[1]

    def _punctuality(self, now: int) -> set[Cause]:
        last, self._ticked_at = self._ticked_at, now
        if last is None:
            return set()
        if now < last:
            return {Cause.CLOCK_JUMP}
        if now - last <= 2.0 * self._period:
            self._misses = 0
            return set()
        self._misses += 1
        return {Cause.DEADLINE}

    def _facts(self, causes: set[Cause], *, reset: bool = False, asked: Authority | None = None) -> Facts:
        bearings = {cause.bearing for cause in causes}
        reading = self._states.reading
        state = next((health for bearing, health in _STATE_HEALTH if bearing in bearings), StateHealth.GOOD)
        request = next((h for bearing, h in _REQUEST_HEALTH if bearing in bearings), RequestHealth.GOOD)
        return Facts(
            state=state,
            request=request,
            policy_alive=Bearing.NO_POLICY not in bearings,
            breach=Bearing.BREACH in bearings,
            emergency=Bearing.EMERGENCY in bearings,
            stranger=Bearing.STRANGER in bearings,
            usurped=Bearing.USURPED in bearings,
            at_rest=reading is not None and at_rest(reading.dq, self.station.monitor.hold.speed),
            may_deactivate=self.station.may_deactivate,
            bundle_allowed=Bearing.NO_BUNDLE not in bearings,
            reset=reset,
            asked=asked,
        )

    def _send(self, now: int, move: Motion) -> tuple[set[Cause], float | None]:
        """Work out `_sent` for this tick; what the limiter altered, and what the gripper is told."""
        before, self._motion = self._motion, move
        if move is Motion.NOTHING:
            return self._preview(), None
        reading = self._states.reading
        if move is Motion.RAMP:
            if before is not Motion.RAMP:
                self._release.begin(now, self._sent, self._gravity)
            return self._limit(self._release.torque(now), self._middle, self._zeros, self._in_force), None
        assert reading is not None
        if move is Motion.HOLD:
            if before is not Motion.HOLD:
                self._holder.begin(now)
            torque = self._holder.torque(now, reading.q, reading.dq)
            return self._limit(torque, reading.q, reading.dq, self._in_force), None
        return self._pass(reading)

    def _pass(self, reading: Reading) -> tuple[set[Cause], float | None]:
        ask = self._requests.ask
        assert ask is not None  # REQUEST_MISSING and every refusal hold
        torque, parameters = ask.torque, self._in_force
        if self.state.authority is Authority.ASSISTED:
            assisted = self.station.monitor.assisted
            torque = [assisted.torque_scale * t for t in torque]
            parameters = slowed(parameters, assisted.speed_scale)
        return self._limit(torque, reading.q, reading.dq, parameters), ask.gripper

    def _preview(self) -> set[Cause]:
        """In shadow, what would be sent; while the watchdog owns the arm `_sent` is the watchdog's."""
        if self._usurped:
            return set()
        reading = self._states.reading
        if self.state.mode is Mode.PASSING and reading is not None:
            return self._pass(reading)[0]
        self._sent = self._gravity
        return set()

    def _limit(
        self, torque: list[float], q: list[float], dq: list[float], parameters: LimiterParameters
    ) -> set[Cause]:
        out = self._zeros.copy()
        bits = limit(torque, self._gravity, self._sent, q, dq, parameters, out)
        self._sent = out
        return {cause for bit, cause in enumerate(_LIMITED) if bits >> bit & 1} if bits else set()

    def _weight(self) -> list[float]:
        """What carries the arm as last measured, where we carry it."""
        reading = self._states.reading
        if self.station.arm.compensates_gravity or reading is None:
            return self._zeros
        return self._model.gravity(self._model.frames(np.array(reading.q))).tolist()


_STATE_HEALTH = (
    (Bearing.LOST, StateHealth.LOST),
    (Bearing.BAD, StateHealth.BAD),
    (Bearing.LATE, StateHealth.LATE),
)
_REQUEST_HEALTH = ((Bearing.INSANE, RequestHealth.INSANE), (Bearing.REFUSED, RequestHealth.REFUSED))


def _names(causes: Iterable[Cause]) -> str:
    return ", ".join(sorted(c.label for c in causes))
