"""The monitor's states: when a request passes, when the arm is held, when it is stopped, and who allows it.

`transition` is the whole of it: pure, without memory or clock, over a handful of facts with two to four
values each. The tests run it over every state and every combination of facts, and prove from the outcome that

- STOPPED ends by a reset only, with no danger left, and ends in SHADOW;
- a request is sent only with a good state, a good request and a living policy;
- nothing is fed back on a state that is late, bad or lost;
- authority rises only when a person asks;
- in SHADOW nothing is sent.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple


class Mode(Enum):
    """What the monitor does with requests."""

    PASSING = "passing"
    """They go through the limiter to the arm."""
    HOLDING = "holding"
    """The arm is brought to rest and held until requests are good again."""
    STOPPED = "stopped"
    """The same motion, until a person resets."""


class Authority(IntEnum):
    """How much a policy may do; a person raises it."""

    SHADOW = 0
    """Requests are judged and logged; nothing is sent."""
    ASSISTED = 1
    """Scaled torque, lowered speed limit."""
    AUTONOMOUS = 2
    """Everything inside the bounds."""

    @property
    def label(self) -> str:
        """As it stands in messages: "shadow", "assisted", "autonomous"."""
        return self.name.lower()


class StateHealth(Enum):
    """What the joint state is worth."""

    GOOD = "good"
    LATE = "late"
    """Too old to act on, or none has come yet."""
    BAD = "bad"
    """It says what cannot be: a sensor or its driver is broken."""
    LOST = "lost"
    """Late or bad for so long that the arm must do without the monitor."""


class RequestHealth(Enum):
    """What the request is worth."""

    GOOD = "good"
    REFUSED = "refused"
    """Late, malformed, or it leads where the arm may not be."""
    INSANE = "insane"
    """No number: whoever sent it has lost its mind."""


class Facts(NamedTuple):
    """Everything that a transition depends on."""

    state: StateHealth
    request: RequestHealth
    policy_alive: bool
    """Somebody sends heartbeats, and nobody who did has fallen silent."""
    breach: bool
    """The measured arm breaks a bound, or the monitor cannot keep up."""
    emergency: bool
    """The stop is pressed."""
    stranger: bool
    """Somebody else publishes to the arm's controller."""
    usurped: bool
    """The watchdog has taken the arm."""
    at_rest: bool
    """Every joint is slower than the speed at rest."""
    may_deactivate: bool
    """The arm stays up without torques."""
    bundle_allowed: bool
    """The announced bundle may run autonomously."""
    reset: bool
    """A person asks for a reset now."""
    asked: Authority | None
    """The authority that a person asks for now."""

    @property
    def danger(self) -> bool:
        """Whether there is a reason to stop, whatever the authority."""
        return (
            self.state in (StateHealth.BAD, StateHealth.LOST)
            or self.request is RequestHealth.INSANE
            or self.breach
            or self.emergency
            or self.stranger
            or self.usurped
        )


class State(NamedTuple):
    """The state of the monitor."""

    mode: Mode = Mode.HOLDING
    authority: Authority = Authority.SHADOW
    leaving: bool = False
    """A person has asked for shadow; it begins as soon as the arm is at rest."""
    deactivated: bool = False
    """The controller has been asked to go to zero effort."""


class Motion(Enum):
    """What is sent to the arm."""

    NOTHING = "nothing"
    REQUEST = "request"
    """The limited request."""
    HOLD = "hold"
    """Damping, then an impedance: feeds back on the state."""
    RAMP = "ramp"
    """Towards the torque that last carried the arm's weight (zero where it carries itself): feeds back on
    nothing."""


def transition(s: State, f: Facts) -> State:
    """The state after one tick, or after a person's call, under these facts."""
    live = s.authority > Authority.SHADOW
    danger = f.danger or (live and not f.policy_alive)
    good = f.state is StateHealth.GOOD

    if s.mode is Mode.STOPPED:
        quiet = f.at_rest or s.deactivated or not live
        if f.reset and not danger and good and quiet:
            return State(Mode.HOLDING, Authority.SHADOW, False, live and f.may_deactivate)
        mode = Mode.STOPPED
    elif danger:
        mode = Mode.STOPPED
    elif (
        good
        and f.request is RequestHealth.GOOD
        and f.policy_alive
        and not s.leaving
        and f.asked is not Authority.SHADOW
    ):
        mode = Mode.PASSING
    else:
        mode = Mode.HOLDING

    if mode is Mode.STOPPED:
        lowered = s.authority if f.asked in (None, Authority.SHADOW) else min(s.authority, f.asked)
        lost = live and f.state is StateHealth.LOST and f.may_deactivate
        return State(mode, lowered, False, s.deactivated or lost)

    authority, leaving = s.authority, s.leaving
    if f.asked is Authority.SHADOW:
        leaving = live
    elif f.asked is not None:
        leaving = False
        if f.asked <= authority or _may_rise(s, f):
            authority = f.asked
    if authority is Authority.AUTONOMOUS and not f.bundle_allowed:
        authority = Authority.ASSISTED
    if leaving and good and f.at_rest:
        return State(mode, Authority.SHADOW, False, f.may_deactivate)
    if not live and authority > Authority.SHADOW:
        return State(Mode.HOLDING, authority, False, False)  # begins by holding; the next tick may pass
    return State(mode, authority, leaving, s.deactivated)


def _may_rise(s: State, f: Facts) -> bool:
    steady = s.authority > Authority.SHADOW or f.at_rest
    allowed = f.asked is not Authority.AUTONOMOUS or f.bundle_allowed
    return f.state is StateHealth.GOOD and f.policy_alive and steady and allowed


def motion(s: State, f: Facts) -> Motion:
    """What is sent in the state that `transition` gave under the same facts."""
    if s.authority is Authority.SHADOW or f.usurped:
        return Motion.NOTHING
    if s.deactivated or f.state is not StateHealth.GOOD:
        return Motion.RAMP
    return Motion.REQUEST if s.mode is Mode.PASSING else Motion.HOLD
