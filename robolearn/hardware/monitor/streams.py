"""What each kind of message says in the course of time: age, order, repetition, silence.

A stream is told of every message as it arrives and asked, at any later moment, what is wrong with it then.
`now` is the steady clock, `clock` what the stamps' clock shows at the same moment, both in ns.
"""

from __future__ import annotations

from math import ceil

from robolearn.hardware.monitor.causes import Cause
from robolearn.hardware.monitor.checks import TORQUE_RATE_FACTOR, Reading, read_state
from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, JointState

JUMP_FACTOR, JUMP_SLACK = 2.0, 0.02
"""A position may change by so many times what the speed limit allows between two stamps, and so many rad."""

PUSH = 0.05
"""Share of a joint's torque limit: a change of the torque sent by more moves a joint, or at least its noise;
it has twice `frozen_time` to show, for it must reach the arm and the reading come back."""

FROZEN_LEAST = 3
"""Fewer identical readings are none of a frozen sensor, however slowly they come."""

TORQUE_RATE_TIME = 0.005
"""Time over which a measured torque's rate is taken [s]; over less, noise decides."""

CAMERA_MOTION, CAMERA_ALIKE = 0.05, 3
"""While a joint turns by so many rad, not so many images repeat the one before to the bit. (A simulated
camera has no noise: two images 17 ms apart may well be the same while only the wrist turns.)"""

BLACK = 0.01
"""Mean brightness below which a camera sees nothing."""


class StateStream:
    """Joint states.

    Attributes:
        reading: the newest one that makes sense, or None.
    """

    def __init__(self, station: Station) -> None:
        arm, settings = station.arm, station.monitor
        self._names = station.joint_names
        self._moving = settings.moving_speed
        self._frozen_after = max(FROZEN_LEAST, ceil(settings.frozen_time * station.state.rate))  # readings
        self._speed = arm.dq_max.tolist()
        self._push = (PUSH * arm.tau_max).tolist()
        self._torque_rate = (TORQUE_RATE_FACTOR * arm.dtau_max).tolist()
        self._age = settings.state_age * SECOND
        self._loss = (settings.hold.deactivate_within - 1.0 / settings.rate) * SECOND
        self._future = settings.future_tolerance * SECOND
        self._backwards = settings.backwards_tolerance * SECOND
        self.reading: Reading | None = None
        self._bad: Cause | None = None  # of the newest message
        self._measured_at = 0  # when the newest reading was taken, by the steady clock
        self._good_at: int | None = None  # the same of the newest that nothing was wrong with
        self._repeats = 1
        self._pushing: list[float] = []  # when the repeated reading first came
        self._pushed = 0  # repeats since the push has changed
        self._slope: Reading | None = None

    def receive(self, now: int, clock: int, state: JointState, pushing: list[float]) -> set[Cause]:
        """A joint state arrived; what is wrong with it.

        Args:
            pushing: what is being sent on top of the arm's weight (n,) [N·m].
        """
        new, last = read_state(state, self._names), self.reading
        if isinstance(new, Cause):
            self._bad = new
            return {new}
        if new.stamp - clock > self._future:
            return {Cause.STATE_FUTURE}
        if last is not None and new.stamp <= last.stamp:
            if new.stamp == last.stamp:
                return {Cause.STATE_DUPLICATE}
            return {Cause.STATE_BACKWARDS} if last.stamp - new.stamp > self._backwards else set()

        self.reading, self._bad = new, None
        self._measured_at = min(now, now - (clock - new.stamp))
        if last is None or new.q != last.q:
            self._repeats, self._pushed, self._pushing = 1, 0, pushing
        else:
            self._repeats += 1
            changes = zip(self._pushing, pushing, self._push, strict=True)
            self._pushed += any(abs(b - a) > push for a, b, push in changes)
        causes = set()
        if last is not None and self._jumped(last, new):
            causes.add(Cause.STATE_JUMP)
        if self._frozen(new):
            self._bad = Cause.STATE_FROZEN
            causes.add(Cause.STATE_FROZEN)
        if self._collided(new):
            causes.add(Cause.TORQUE_RATE)
        fresh = self.begun or now - self._measured_at <= self._age
        if fresh and not causes - {Cause.TORQUE_RATE}:
            self._good_at = self._measured_at
        return causes

    @property
    def begun(self) -> bool:
        """Whether a good state has come that was fresh; before that a driver may just be starting."""
        return self._good_at is not None

    def expect(self, now: int) -> None:
        """From now on somebody depends on the states, whether one has come or not."""
        if self._good_at is None:
            self._good_at = now

    def causes(self, now: int) -> set[Cause]:
        """What is wrong now."""
        causes = set() if self._bad is None else {self._bad}
        if self.reading is None:
            causes.add(Cause.STATE_MISSING)
        elif now - self._measured_at > self._age:
            causes.add(Cause.STATE_LATE)
        if self._good_at is not None and now - self._good_at >= self._loss:
            causes.add(Cause.STATE_LOST)
        return causes

    def shift(self, by: int) -> None:
        """The clock of the stamps has jumped."""
        if self.reading is not None:
            self.reading = self.reading._replace(stamp=self.reading.stamp + by)
        if self._slope is not None:
            self._slope = self._slope._replace(stamp=self._slope.stamp + by)

    def _jumped(self, last: Reading, new: Reading) -> bool:
        time = JUMP_FACTOR * (new.stamp - last.stamp) / SECOND
        return any(
            abs(b - a) > time * speed + JUMP_SLACK
            for a, b, speed in zip(last.q, new.q, self._speed, strict=True)
        )

    def _frozen(self, new: Reading) -> bool:
        enough = self._frozen_after
        moving = any(abs(v) > self._moving for v in new.dq)
        return (self._repeats >= enough and moving) or self._pushed >= 2 * enough

    def _collided(self, new: Reading) -> bool:
        last = self._slope
        if last is None or not new.tau or not last.tau:
            self._slope = new
            return False
        time = (new.stamp - last.stamp) / SECOND
        if time < TORQUE_RATE_TIME:
            return False
        self._slope = new
        return any(
            abs(b - a) > time * rate for a, b, rate in zip(last.tau, new.tau, self._torque_rate, strict=True)
        )


class CameraStream:
    """Images of one camera."""

    def __init__(self, station: Station) -> None:
        self._age = station.monitor.camera_age * SECOND
        self._future = station.monitor.future_tolerance * SECOND
        self._stamp: int | None = None
        self._taken_at = 0  # by the steady clock
        self._digest: int | None = None
        self._q: list[float] = []  # where the arm was when this digest first came
        self._alike = 0  # how often it has come since
        self._black = self._frozen = False

    def receive(self, now: int, clock: int, glimpse: Glimpse, q: list[float]) -> None:
        """An image arrived while the joints were at `q`; one from the future, or no newer one, is dropped."""
        if glimpse.stamp - clock > self._future or (self._stamp is not None and glimpse.stamp <= self._stamp):
            return
        self._stamp, self._taken_at = glimpse.stamp, min(now, now - (clock - glimpse.stamp))
        self._black = not glimpse.brightness >= BLACK  # NaN is black
        if glimpse.digest != self._digest:
            self._digest, self._q, self._alike, self._frozen = glimpse.digest, q, 0, False
        else:
            self._alike += 1
            moved = any(abs(b - a) > CAMERA_MOTION for a, b in zip(self._q, q, strict=False))  # no q at first
            self._frozen = moved and self._alike >= CAMERA_ALIKE

    def causes(self, now: int) -> set[Cause]:
        """What is wrong now."""
        if self._stamp is None or now - self._taken_at > self._age:
            return {Cause.CAMERA_LATE}
        return {
            c
            for c, wrong in ((Cause.CAMERA_BLACK, self._black), (Cause.CAMERA_FROZEN, self._frozen))
            if wrong
        }

    def shift(self, by: int) -> None:
        """The clock of the stamps has jumped."""
        if self._stamp is not None:
            self._stamp += by


class Pace:
    """The monitor's own ticks."""

    def __init__(self, station: Station) -> None:
        self._period = SECOND / station.monitor.rate
        self._tolerated = station.monitor.deadline_misses
        self._last: int | None = None
        self._misses = 0

    def tick(self, now: int, begun: bool) -> set[Cause]:
        """A tick begins; what is wrong with its time. Late ones count once the arm's states have `begun`."""
        last, self._last = self._last, now
        if last is None:
            return set()
        if now < last:
            return {Cause.CLOCK_JUMP}
        if not begun or now - last <= 2.0 * self._period:
            self._misses = 0
            return set()
        self._misses += 1
        return {Cause.DEADLINE}

    def causes(self) -> set[Cause]:
        """What is wrong now."""
        return {Cause.OVERLOAD} if self._misses >= self._tolerated else set()
