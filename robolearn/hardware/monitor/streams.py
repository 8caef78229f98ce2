"""What each kind of message says in the course of time: age, order, repetition, silence.

A stream is told of every message as it arrives and asked, at any later moment, what is wrong with it then.
`now` is the steady clock, `clock` what the stamps' clock shows at the same moment, both in ns.
"""

from __future__ import annotations

from collections import Counter, deque

from robolearn.hardware.monitor.causes import Cause
from robolearn.hardware.monitor.checks import TORQUE_RATE_FACTOR, Ask, Reading, read_request, read_state
from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, Heartbeat, JointState, TorqueRequest

JUMP_FACTOR, JUMP_SLACK = 2.0, 0.02
"""A position may change by so many times what the speed limit allows between two stamps, and so many rad."""

PUSH = 0.05
"""Share of a joint's torque limit: a change of the torque sent by more moves a joint, or at least its noise;
it has twice `frozen_readings` to show, for it must reach the arm and the reading come back."""

TORQUE_RATE_TIME = 0.005
"""Time over which a measured torque's rate is taken [s]; over less, noise decides."""

FLOOD_TIME, FLOOD_FACTOR, FLOOD_SLACK = 0.25, 1.5, 3
"""So many times the announced rate, and so many requests more, may come in so many seconds."""

TURN_TIME = 0.25
"""Senders take turns: one who asks again after so many seconds or less, though another has asked meanwhile,
asks at the same time."""

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
        self._settings = settings
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
        enough = self._settings.frozen_readings
        moving = any(abs(v) > self._settings.moving_speed for v in new.dq)
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


class RequestStream:
    """Requests.

    Args:
        station: whose joints they are about.
        senders: who may ask: those who are alive.

    Attributes:
        ask: the newest, if nothing was wrong with it.
        rates: how many each sender announces [Hz]; others may ask at every tick.
    """

    def __init__(self, station: Station, senders: Senders) -> None:
        settings = station.monitor
        self._senders = senders
        self._names = station.joint_names
        self._age = settings.request_age * SECOND
        self._future = settings.future_tolerance * SECOND
        self._backwards = settings.backwards_tolerance * SECOND
        self._every_tick = settings.rate
        self.rates: dict[str, float] = {}
        self.ask: Ask | None = None
        self._refusal: Cause | None = Cause.REQUEST_MISSING
        self._newest: int | None = None  # stamp
        self._made_at = 0  # when its oldest observation was made, by the steady clock
        self._arrivals: deque[tuple[int, str]] = deque(maxlen=2048)  # when, and whose
        self._asked: dict[str, int] = {}  # when each sender asked last
        self._sender = ""  # of the newest
        self._mixed_at: int | None = None  # when two were found to ask at the same time

    def receive(self, now: int, clock: int, request: TorqueRequest) -> set[Cause]:
        """A request arrived; what is wrong with it."""
        self._arrivals.append((now, request.sender))
        known = self._senders.knows(now, request.sender)
        if known:
            self._take_turn(now, request.sender)
        new = read_request(request, self._names)
        if isinstance(new, Cause):
            self._refusal = new
        elif not known:
            self._refusal = Cause.REQUEST_SENDER
        elif new.stamp - clock > self._future:
            self._refusal = Cause.REQUEST_FUTURE
        elif self._newest is not None and self._newest - new.stamp > self._backwards:
            self._refusal = Cause.REQUEST_BACKWARDS
        else:
            self._refusal, self.ask, self._newest = None, new, new.stamp
            self._made_at = min(now, now - (clock - new.stamp))
            return set()
        self.ask = None
        return {self._refusal}

    def causes(self, now: int) -> set[Cause]:
        """What is wrong now."""
        causes = set() if self._refusal is None else {self._refusal}
        if self.ask is not None and now - self._made_at > self._age:
            causes.add(Cause.REQUEST_LATE)
        if self._floods(now):
            causes.add(Cause.REQUEST_FLOOD)
        if self._mixed_at is not None and now - self._mixed_at <= TURN_TIME * SECOND:
            causes.add(Cause.TWO_POLICIES)
        return causes

    def _floods(self, now: int) -> bool:
        """Whether anybody asks much more often than he announces."""
        while self._arrivals and now - self._arrivals[0][0] > FLOOD_TIME * SECOND:
            self._arrivals.popleft()
        counts = Counter(sender for _, sender in self._arrivals)
        return any(
            count > FLOOD_FACTOR * self.rates.get(sender, self._every_tick) * FLOOD_TIME + FLOOD_SLACK
            for sender, count in counts.items()
        )

    def _take_turn(self, now: int, sender: str) -> None:
        turn = TURN_TIME * SECOND
        self._asked = {name: at for name, at in self._asked.items() if now - at <= turn}
        if sender != self._sender and sender in self._asked:
            self._mixed_at = now
        self._asked[sender], self._sender = now, sender

    def shift(self, by: int) -> None:
        """The clock of the stamps has jumped."""
        if self._newest is not None:
            self._newest += by


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


class Senders:
    """Heartbeats: who sends requests, and whether he still lives."""

    def __init__(self, station: Station) -> None:
        self._timeout = station.monitor.heartbeat_timeout * SECOND
        self._beats: dict[str, tuple[int, Heartbeat]] = {}

    def receive(self, now: int, beat: Heartbeat) -> None:
        """A heartbeat arrived."""
        self._beats[beat.sender] = (now, beat)

    def alive(self, now: int) -> list[Heartbeat]:
        """The latest heartbeat of everybody who is alive."""
        return [beat for at, beat in self._beats.values() if now - at <= self._timeout]

    def knows(self, now: int, sender: str) -> bool:
        """Whether a sender is alive."""
        return sender in self._beats and now - self._beats[sender][0] <= self._timeout

    def forget_lost(self, now: int) -> None:
        """Whoever has fallen silent is no longer expected."""
        self._beats = {b.sender: (at, b) for at, b in self._beats.values() if now - at <= self._timeout}

    def causes(self, now: int) -> set[Cause]:
        """What is wrong now."""
        alive = self.alive(now)
        causes = set()
        if not self._beats:
            causes.add(Cause.POLICY_MISSING)
        elif len(alive) < len(self._beats):
            causes.add(Cause.POLICY_LOST)
        if sum(beat.bundle != "" for beat in alive) > 1:
            causes.add(Cause.TWO_POLICIES)
        return causes


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
