"""Who asks for torques, whether he still lives, and what is wrong with what he asks.

Like `robolearn.hardware.monitor.streams`: told of every message as it arrives, and asked at any later moment.
"""

from __future__ import annotations

from collections import Counter, deque

from robolearn.hardware.monitor.causes import Cause
from robolearn.hardware.monitor.checks import Ask, read_request
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, Heartbeat, TorqueRequest

FLOOD_TIME, FLOOD_FACTOR, FLOOD_SLACK = 0.25, 1.5, 3
"""So many times the announced rate, and so many requests more, may come in so many seconds."""

TURN_TIME = 0.25
"""Senders take turns: one who asks again after so many seconds or less, though another has asked meanwhile,
asks at the same time."""


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
