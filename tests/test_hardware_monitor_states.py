"""The real transition function over all of its inputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

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

SHADOW, ASSISTED, AUTONOMOUS = Authority
STATES = [State(*values) for values in itertools.product(Mode, Authority, (False, True), (False, True))]
TRUTH = (False, True)
ASKED = (None, *Authority)


def facts() -> Iterator[Facts]:
    yield from itertools.starmap(Facts, itertools.product(StateHealth, RequestHealth, *[TRUTH] * 9, ASKED))


def test_every_transition_from_every_state_under_all_facts() -> None:
    """One pass over everything: 36 states by 24576 facts."""
    passing = held = seen = 0
    for f in facts():
        good_state, good_request = f.state is StateHealth.GOOD, f.request is RequestHealth.GOOD
        for s in STATES:
            after = transition(s, f)
            move = motion(after, f)
            seen += 1
            live = s.authority is not SHADOW

            # a stop latches, and ends only by a reset, without danger, in shadow
            if s.mode is Mode.STOPPED and after.mode is not Mode.STOPPED:
                assert f.reset
                assert not f.danger
                assert good_state
                assert after.authority is SHADOW
                assert move is Motion.NOTHING
                assert f.policy_alive or not live
                assert f.at_rest or s.deactivated or not live
            # danger stops at once, whatever the state
            if f.danger or (live and not f.policy_alive):
                assert after.mode is Mode.STOPPED
            # nothing but good input is passed, and nothing feeds back on a state that is not good
            if after.mode is Mode.PASSING:
                assert good_state
                assert good_request
                assert f.policy_alive
            if move is Motion.REQUEST:
                passing += 1
                assert after.mode is Mode.PASSING
                assert not any((f.breach, f.emergency, f.stranger, f.usurped, s.leaving))
            if move is Motion.HOLD:
                held += 1
                assert good_state
            # authority rises only when a person asks, as far as he asks, by a good state and never in a stop
            if after.authority > s.authority:
                assert f.asked is not None
                assert after.authority <= f.asked
                assert good_state
                assert not f.danger
                assert f.policy_alive
                assert s.mode is not Mode.STOPPED
                assert live or f.at_rest
            if after.authority is AUTONOMOUS and after.mode is not Mode.STOPPED:
                assert f.bundle_allowed
            # in shadow, and while the watchdog owns the arm, nothing is sent; otherwise something always is
            assert (move is Motion.NOTHING) == (after.authority is SHADOW or f.usurped)
            # an arm that would fall is never let go, and none is while torques are sent and known to arrive
            if after.deactivated and not s.deactivated:
                assert f.may_deactivate
                assert after.authority is SHADOW or (
                    f.state is StateHealth.LOST and after.mode is Mode.STOPPED
                )
            if after.deactivated and after.authority is not SHADOW:
                assert move in (Motion.RAMP, Motion.NOTHING)
            # shadow begins at rest, or where the controller is inactive already
            if live and after.authority is SHADOW:
                assert (good_state and f.at_rest) or s.deactivated
    assert seen == 36 * 4 * 3 * 2**9 * 4
    assert passing
    assert held


def test_everything_starts_in_shadow_and_each_state_is_reached() -> None:
    reached, pending = set(), {State()}
    everything = list(facts())
    assert motion(State(), everything[0]) is Motion.NOTHING
    while pending:
        s = pending.pop()
        reached.add(s)
        pending |= {transition(s, f) for f in everything} - reached
    assert {(s.mode, s.authority) for s in reached} == set(itertools.product(Mode, Authority))
    assert not any(s.leaving and (s.mode is not Mode.HOLDING or s.authority is SHADOW) for s in reached)


GOOD = Facts(
    StateHealth.GOOD, RequestHealth.GOOD, True, False, False, False, False, True, True, True, False, None
)


def test_the_way_up_and_the_way_down() -> None:
    s = transition(State(), GOOD)
    assert s == State(Mode.PASSING, SHADOW)
    s = transition(s, GOOD._replace(asked=AUTONOMOUS))
    assert s == State(Mode.HOLDING, AUTONOMOUS)
    s = transition(s, GOOD._replace(at_rest=False))
    assert s == State(Mode.PASSING, AUTONOMOUS)
    s = transition(s, GOOD._replace(asked=SHADOW, at_rest=False))
    assert s == State(Mode.HOLDING, AUTONOMOUS, leaving=True)
    s = transition(s, GOOD._replace(at_rest=False))
    assert s == State(Mode.HOLDING, AUTONOMOUS, leaving=True)
    assert transition(s, GOOD._replace(asked=ASSISTED)) == State(Mode.HOLDING, ASSISTED)
    assert transition(s, GOOD) == State(Mode.HOLDING, SHADOW, deactivated=True)


def test_a_late_request_holds_and_ends_by_itself() -> None:
    s = State(Mode.PASSING, AUTONOMOUS)
    refused = GOOD._replace(request=RequestHealth.REFUSED)
    assert motion(transition(s, refused), refused) is Motion.HOLD
    assert motion(transition(transition(s, refused), GOOD), GOOD) is Motion.REQUEST


def test_a_bundle_that_is_not_allowed_is_assisted_at_most() -> None:
    forbidden = GOOD._replace(bundle_allowed=False)
    assert transition(State(Mode.PASSING, AUTONOMOUS), forbidden).authority is ASSISTED
    assert transition(State(), forbidden._replace(asked=AUTONOMOUS)).authority is SHADOW
    assert transition(State(), forbidden._replace(asked=ASSISTED)).authority is ASSISTED


def test_the_loss_of_the_state_deactivates_only_where_the_arm_stays_up() -> None:
    lost = GOOD._replace(state=StateHealth.LOST)
    s = State(Mode.PASSING, AUTONOMOUS)
    assert transition(s, lost) == State(Mode.STOPPED, AUTONOMOUS, deactivated=True)
    carried = lost._replace(may_deactivate=False)
    assert transition(s, carried) == State(Mode.STOPPED, AUTONOMOUS)
    assert motion(transition(s, carried), carried) is Motion.RAMP
