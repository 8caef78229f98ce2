"""The safety monitor's core: it hears everybody, trusts nobody, and every tick says what the arm receives.

What it is told comes in through the `on_...` methods of `Hearing` as it arrives; `tick` is called at the
station's rate and decides. Nothing here reads a clock or does anything but compute. Times are whole
nanoseconds of the steady clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from robolearn.hardware.limiter import CAUSES as LIMITER_CAUSES
from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.bounds import slowed
from robolearn.hardware.monitor.causes import Bearing, Cause
from robolearn.hardware.monitor.checks import Reading
from robolearn.hardware.monitor.decisions import Answer, Tick
from robolearn.hardware.monitor.facts import STOPPING, facts
from robolearn.hardware.monitor.hearing import Hearing
from robolearn.hardware.monitor.output import Output
from robolearn.hardware.monitor.states import (
    Authority,
    Facts,
    Mode,
    Motion,
    State,
    StateHealth,
    motion,
    transition,
)
from robolearn.hardware.monitor.stopping import at_rest
from robolearn.hardware.monitor.streams import Pace
from robolearn.hardware.station import Station
from robolearn.hardware.wire import Array, MonitorStatus

_LIMITED = tuple(Cause[f"LIMITED_{name.upper()}"] for name in LIMITER_CAUSES)


class Monitor(Hearing):
    """The state machine with everything that it looks at, and what it sends.

    Attributes:
        output: what it sends.
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
                allows every one at the simulated arm and none at a real one.

        Raises:
            InputError: the arm's profile has no links to make a model of.
        """
        model = ArmModel(station.arm)
        self.output = output = Output(station, model)
        super().__init__(
            station, model, output.parameters, watchdog=watchdog, allowed_bundles=allowed_bundles
        )
        self.state = State()
        self.counts: dict[Cause, int] = {}
        self._pace = Pace(station)
        self._now: frozenset[Cause] = frozenset()  # at the latest tick
        self._latched: frozenset[Cause] = frozenset()
        self._left: list[float] | None = None  # sent last, by whomever (n,) [N·m]

    @property
    def pushing(self) -> list[float]:
        """What is being sent on top of the arm's weight (n,) [N·m]: an arm that is pushed should move."""
        return self.output.zeros if self.output.motion is Motion.NOTHING else self.output.filtered

    def on_watchdog(self, now: int, owns: bool, torque: Array | None = None) -> None:
        """The watchdog is there; whether it owns the arm, and then what it sent last (n,) [N·m]."""
        super().on_watchdog(now, owns, torque)
        zeros = self.output.zeros
        if owns and torque is not None and torque.shape == (len(zeros),) and np.isfinite(torque).all():
            self._left = torque.tolist()
            self.output.follow(self._left)

    # --- what people ask ----------------------------------------------------------------------------------

    def reset(self, now: int, who: str) -> Answer:
        """A person's wish to leave a stop; refused while its cause lasts. Ends in shadow."""
        if self.state.mode is not Mode.STOPPED:
            return Answer(False, f"the monitor is {self.state.mode.value}, not stopped")
        self.senders.forget_lost(now)
        causes = self._all(now)
        after = transition(self.state, self._facts(causes, reset=True))
        if after.mode is Mode.STOPPED:
            reasons = _names(c for c in causes if self._stops(c))
            return Answer(False, f"still stopped: {reasons or 'the arm is not at rest yet'}")
        self._become(after, causes)
        return Answer(True, f"reset by {who}; authority is shadow")

    def set_authority(self, now: int, level: Authority, who: str) -> Answer:
        """A person's wish for another authority. Shadow begins as soon as the arm is at rest."""
        causes = self._all(now)
        after = transition(self.state, self._facts(causes, asked=level))
        if after.mode is Mode.STOPPED and after.authority != level:
            self._become(after, causes)
            return Answer(False, f"stopped, reset first: {_names(causes | self._latched)}")
        unguarded = level > self.state.authority and Cause.WATCHDOG_LATE in causes
        if after.authority < level or unguarded:  # a monitor that dies must be missed
            needed = _names(causes) or "the arm is not at rest"
            return Answer(False, f"authority stays {self.state.authority.label}: {needed}")
        if self.state.authority is Authority.SHADOW < after.authority:
            assert self.states.reading is not None  # it does not rise without a good state
            self.output.weigh(self.states.reading)
            self.output.follow(self._resting())
        self._become(after, causes)
        label = after.authority.label
        return Answer(True, f"{'shadow as soon as the arm is at rest' if after.leaving else label}, by {who}")

    # --- what it decides ----------------------------------------------------------------------------------

    def tick(self, now: int) -> Tick:
        """Decide what the arm receives; called `station.monitor.rate` times a second."""
        if self.state.authority is Authority.SHADOW:
            self.senders.forget_lost(now)
        late = self._pace.tick(now, self.states.begun)
        causes = self.take_seen() | late | self.standing(now) | self._pace.causes()
        found = self._facts(causes)
        if found.state is StateHealth.GOOD:
            assert self.states.reading is not None
            self.output.weigh(self.states.reading)
        self._become(transition(self.state, found), causes)
        move = motion(self.state, found)
        limited, gripper = self._send(now, move)
        if move is not Motion.NOTHING:
            self._left = self.output.sent
        causes |= limited

        for cause in sorted(causes - self._now, key=lambda c: c.label):  # the same order in every process
            self.counts[cause] = self.counts.get(cause, 0) + 1
        self._now = frozenset(causes)
        return Tick(
            publish=move is not Motion.NOTHING,
            torque=np.array(self.output.sent),
            gravity=np.array(self.output.gravity),
            filtered=np.array(self.output.filtered),
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

    # --- inside -------------------------------------------------------------------------------------------

    def _all(self, now: int) -> set[Cause]:
        return self.standing(now) | self.seen | self._pace.causes()

    def _facts(self, causes: set[Cause], *, reset: bool = False, asked: Authority | None = None) -> Facts:
        reading = self.states.reading
        return facts(
            causes,
            at_rest=reading is not None and at_rest(reading.dq, self.station.monitor.hold.speed),
            may_deactivate=self.station.may_deactivate,
            reset=reset,
            asked=asked,
        )

    def _become(self, after: State, causes: set[Cause]) -> None:
        if after.mode is not Mode.STOPPED:
            self._latched = frozenset()
        elif self.state.mode is not Mode.STOPPED:
            self._latched = frozenset(c for c in causes if self._stops(c))
        self.state = after

    def _stops(self, cause: Cause) -> bool:
        """In shadow nobody needs a policy."""
        shadow = self.state.authority is Authority.SHADOW
        return cause.bearing in STOPPING and not (shadow and cause.bearing is Bearing.NO_POLICY)

    def _send(self, now: int, move: Motion) -> tuple[set[Cause], float | None]:
        """Work out what is sent in this tick; what the limiter altered, and what the gripper is told."""
        output, reading = self.output, self.states.reading
        if move is Motion.NOTHING:
            limited = self._preview()
            output.nothing()
            return limited, None
        if move is Motion.RAMP:
            return _limited(output.ramp(now, self.in_force)), None
        assert reading is not None
        if move is Motion.HOLD:
            return _limited(output.hold(now, reading, self.in_force)), None
        return self._pass(reading)

    def _pass(self, reading: Reading) -> tuple[set[Cause], float | None]:
        ask = self.requests.ask
        assert ask is not None  # REQUEST_MISSING and every refusal hold
        torque, parameters = ask.torque, self.in_force
        if self.state.authority is Authority.ASSISTED:
            assisted = self.station.monitor.assisted
            torque = [assisted.torque_scale * t for t in torque]
            parameters = slowed(parameters, assisted.speed_scale)
        return _limited(self.output.request(torque, reading, parameters)), ask.gripper

    def _preview(self) -> set[Cause]:
        """In shadow, what would be sent; while the watchdog owns the arm that is the watchdog's."""
        if self.usurped:
            self.output.follow(self.output.sent)
            return set()
        reading = self.states.reading
        if self.state.mode is Mode.PASSING and reading is not None:
            return self._pass(reading)[0]
        self.output.follow(self._resting())
        return set()

    def _resting(self) -> list[float]:
        """The torque from which sending begins (n,) [N·m].

        A controller that is never deactivated keeps what it was sent last, the hold of an unknown load
        included; one that was just activated is given what carries the arm.
        """
        if self._left is None or self.station.may_deactivate:
            return self.output.gravity
        return self._left


def _limited(met: int) -> set[Cause]:
    """Causes of the limiter's bits."""
    return {cause for bit, cause in enumerate(_LIMITED) if met >> bit & 1} if met else set()


def _names(causes: Iterable[Cause]) -> str:
    return ", ".join(sorted(c.label for c in causes))
