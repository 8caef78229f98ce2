"""Each thing that can be wrong: by which name the monitor calls it, what it sends then, and how that ends."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from monitoring import PERIOD, Bench, N, station

import robolearn
from robolearn.contract import Contract
from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.causes import Bearing, Cause, table
from robolearn.hardware.monitor.decisions import Tick
from robolearn.hardware.monitor.glimpse import take
from robolearn.hardware.monitor.states import Authority, Mode, Motion
from robolearn.hardware.monitor.streams import StateStream
from robolearn.hardware.settings import Box, Workspace, WrenchSettings
from robolearn.hardware.station import Station
from robolearn.hardware.wire import Heartbeat, JointState, Picture, Wrench

GRASP = Path(robolearn.__file__).parent / "bundles" / "grasp" / "contract.json"
MS = 1_000_000


def bench(**changes: float) -> Bench:
    return Bench(station(**changes)).live()


def contract(**changes: object) -> Contract:
    return dataclasses.replace(Contract.from_json(GRASP.read_bytes()), **changes)  # type: ignore[arg-type]


def bad(values: np.ndarray, value: float, i: int = 2) -> np.ndarray:
    spoilt = values.copy()
    spoilt[i] = value
    return spoilt


def spoil_state(**changes: Callable[[Bench], object]) -> Callable[[Bench], None]:
    def spoil(b: Bench) -> None:
        b.monitor.on_state(b.now, b.state(**{key: make(b) for key, make in changes.items()}))

    return spoil


def spoil_request(**changes: Callable[[Bench], object]) -> Callable[[Bench], None]:
    def spoil(b: Bench) -> None:
        b.monitor.on_request(b.now, b.request(**{key: make(b) for key, make in changes.items()}))

    return spoil


BLIND, STOP = (Mode.STOPPED, Motion.RAMP), (Mode.STOPPED, Motion.HOLD)
HOLD, PASS = (Mode.HOLDING, Motion.HOLD), (Mode.PASSING, Motion.REQUEST)

ONCE = {
    # what arrives after everything good did -> cause, mode at the next tick, what is sent then
    "NaN position": (spoil_state(position=lambda b: bad(b.q, np.nan)), "state_nonfinite", *BLIND),
    "infinite speed": (spoil_state(velocity=lambda b: bad(b.dq, np.inf)), "state_nonfinite", *BLIND),
    "huge position": (spoil_state(position=lambda b: bad(b.q, 1e300)), "state_nonfinite", *BLIND),
    "NaN effort": (spoil_state(effort=lambda b: bad(b.tau, np.nan)), "state_nonfinite", *BLIND),
    "short position": (spoil_state(position=lambda b: b.q[:5]), "state_size", *BLIND),
    "no velocity": (spoil_state(velocity=lambda b: np.empty(0)), "state_no_velocity", *BLIND),
    "a joint missing": (
        spoil_state(names=lambda b: (*b.names[:-1], "elbow")), "state_names", *BLIND
    ),
    "a joint twice": (
        spoil_state(names=lambda b: (*b.names[:-1], b.names[0])), "state_names", *BLIND
    ),
    "a jump": (
        spoil_state(position=lambda b: bad(b.q, b.q[2] + 0.3), stamp=lambda b: b.now + 1),
        "state_jump", *BLIND,
    ),
    "future state": (spoil_state(stamp=lambda b: b.now + 50 * MS), "state_future", *PASS),
    "old state": (spoil_state(stamp=lambda b: b.now - 1), "state_backwards", *PASS),
    "state twice": (spoil_state(), "state_duplicate", *PASS),
    "NaN request": (spoil_request(torque=lambda b: bad(b.q, np.nan)), "request_nonfinite", *STOP),
    "NaN gripper": (spoil_request(gripper=lambda b: np.nan), "request_nonfinite", *STOP),
    "gripper too far": (spoil_request(gripper=lambda b: 1.5), "request_gripper", *HOLD),
    "long request": (spoil_request(torque=lambda b: np.zeros(9)), "request_size", *HOLD),
    "another arm's request": (
        spoil_request(names=lambda b: tuple(f"fr3_joint{i}" for i in range(7))),
        "request_names", *HOLD,
    ),
    "a stranger's request": (
        spoil_request(sender=lambda b: "nobody"), "request_sender", *HOLD
    ),
    "a request without a sender": (
        spoil_request(sender=lambda b: ""), "request_sender", *HOLD
    ),
    "old request": (spoil_request(stamp=lambda b: b.now - 1), "request_backwards", *HOLD),
    "future request": (
        spoil_request(stamp=lambda b: b.now + 50 * MS), "request_future", Mode.HOLDING, Motion.HOLD
    ),
    "stop pressed": (lambda b: b.monitor.press_stop(b.now, "x"), "emergency_stop", *STOP),
    "button": (lambda b: b.monitor.on_button(b.now, True), "emergency_stop", *STOP),
    "a stranger": (lambda b: b.monitor.on_publishers(b.now, ["/x"]), "stranger", *STOP),
    "the watchdog takes over": (
        lambda b: b.monitor.on_watchdog(b.now, True, np.ones(N)),
        "watchdog_owns", Mode.STOPPED, Motion.NOTHING,
    ),
    "the clock jumps": (
        lambda b: b.monitor.on_clock(b.now, b.now + 100 * MS), "clock_jump", *STOP
    ),
    "two policies": (
        lambda b: [b.monitor.on_heartbeat(b.now, Heartbeat(b.now, s, s, "")) for s in "ab"],
        "two_policies", *STOP,
    ),
    "an unknown contract": (
        lambda b: b.monitor.on_heartbeat(b.now, Heartbeat(b.now, "policy", "b", "?")),
        "contract", *HOLD,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ONCE)
def test_one_bad_message_is_answered_at_the_next_tick(what: str) -> None:
    spoil, cause, mode, motion = ONCE[what]
    b = bench()
    b.now += PERIOD
    b.feed()
    spoil(b)
    tick = b.monitor.tick(b.now)
    assert cause in tick.causes
    assert (tick.mode, tick.motion) == (mode, motion)
    assert np.isfinite(tick.torque).all()
    assert b.monitor.status(b.now).counts[cause] == 1
    assert (tick.gripper is None) == (motion is not Motion.REQUEST)


MEASURED = {
    "position": dict(q=lambda b: bad(b.q, b.station.arm.q_max[0] - 0.01, 0)),
    "speed": dict(dq=lambda b: bad(b.dq, 2.2, 0)),
    "torque": dict(tau=lambda b: bad(b.tau, 12.5, 6)),
    "power": dict(dq=lambda b: b.dq + 1.9, tau=lambda b: b.tau + np.array([80.0] * 4 + [0.0] * 3)),
    "workspace": dict(q=lambda b: np.array([0.0, 1.0, 0.0, -0.4, 0.0, 1.6, 0.8])),
    "self_collision": dict(q=lambda b: np.array([0.0, 1.6, 0.0, -3.0, 0.0, 0.6, 0.8])),
}  # fmt: skip


@pytest.mark.parametrize("cause", MEASURED)
def test_what_the_arm_does_stops_it(cause: str) -> None:
    b = bench()
    for name, make in MEASURED[cause].items():
        setattr(b, name, make(b))
    tick = b.step()
    assert cause in tick.causes
    assert tick.mode is Mode.STOPPED


def test_a_collision_shows_in_the_torque() -> None:
    b = bench()
    b.tau = np.full(N, 11.0)
    assert "torque_rate" in b.step(2).causes


@pytest.mark.parametrize("cause", ["stopping_distance", "workspace_ahead", "self_collision_ahead"])
def test_where_the_arm_is_about_to_be_holds_it(cause: str) -> None:
    b = Bench()
    if cause == "stopping_distance":
        q, dq = bad(b.q, b.station.arm.q_max[0] - 0.1, 0), bad(b.dq, 1.9, 0)
        everywhere = Box((-2.0,) * 3, (2.0,) * 3)
        wide = dataclasses.replace(b.station.workspace, grip=everywhere, links=everywhere)
        b = Bench(dataclasses.replace(b.station, workspace=wide))
        b.q = q
    elif cause == "workspace_ahead":
        low = b.station.workspace.grip
        grip = dataclasses.replace(low, high=(low.high[0], 0.01, low.high[2]))
        b = Bench(
            dataclasses.replace(b.station, workspace=dataclasses.replace(b.station.workspace, grip=grip))
        )
        dq = bad(b.dq, 1.5, 0)
    else:
        model = ArmModel(b.station.arm)
        way = np.array([0.0, 1.6, 0.0, -2.9, 0.0, 0.6, 0.8]) - b.q
        course = b.q + np.linspace(0.0, 1.0, 400)[:, None] * way
        close = model.self_distance(model.capsules(model.frames(course))) < 0.024
        everywhere = Box((-2.0,) * 3, (2.0,) * 3)
        b = Bench(dataclasses.replace(b.station, workspace=Workspace(everywhere, everywhere, 0.02)))
        b.q, dq = course[np.argmax(close)], 2.0 * way / np.abs(way).max()
    b.live()
    b.dq = dq
    tick = b.step()
    assert cause in tick.causes
    assert (tick.mode, tick.motion) == HOLD
    b.dq = np.zeros(N)
    assert b.step().mode is Mode.PASSING


def test_permuted_names_are_put_in_order() -> None:
    b = bench()
    b.torque = np.linspace(-0.9, 0.9, N)
    b.silent = {"state", "request"}
    order = np.random.default_rng(1).permutation(N)
    names = tuple(b.names[i] for i in order)
    b.now += PERIOD
    b.monitor.on_state(b.now, b.state(names=(*names, "gripper"), position=np.append(b.q[order], 0.04),
                                      velocity=np.append(b.dq[order], 0.0), effort=np.empty(0)))  # fmt: skip
    b.monitor.on_request(b.now, b.request(names=names, torque=b.torque[order]))
    tick = b.monitor.tick(b.now)
    assert tick.motion is Motion.REQUEST
    np.testing.assert_array_equal(tick.torque, b.torque)


def silence(b: Bench, what: str, until: float) -> dict[str, float]:
    """When each cause came, after the last message of a kind [s]."""
    b.silent = {what}
    start, seen = b.now, {}
    while b.now - start < until * 1e9:
        for cause in b.step().causes:
            seen.setdefault(cause, (b.now - start) * 1e-9)
    return seen


def test_silence_of_each_kind() -> None:
    assert 0.1 < silence(bench(), "request", 0.2)["request_late"] <= 0.106
    state = silence(bench(), "state", 0.2)
    assert 0.03 < state["state_late"] <= 0.036
    assert state["state_lost"] <= 0.1
    assert 0.2 < silence(bench(), "watchdog", 0.3)["watchdog_late"] <= 0.206
    b = bench()
    assert 0.3 < silence(b, "heartbeat", 0.4)["policy_lost"] <= 0.306
    assert b.step().mode is Mode.STOPPED


def test_a_lost_state_is_let_go_of_in_time_and_never_fed_back_on() -> None:
    b = bench()
    b.torque = np.full(N, 3.0)
    b.step(5)
    b.silent, b.dq = {"state"}, np.full(N, 0.5)
    ticks = [b.step() for _ in range(22)]
    moves = [t.motion for t in ticks]
    assert Motion.HOLD not in moves
    assert moves[7:] == [Motion.RAMP] * 15
    assert not ticks[-1].torque.any()
    first = next(i for i, t in enumerate(ticks) if t.deactivate)
    assert (first + 1) * 5 <= 100
    assert ticks[-1].mode is Mode.STOPPED
    b.silent = set()
    assert b.step(20).motion is Motion.RAMP, "deactivated until a person resets"


def test_a_short_gap_in_the_states_ends_by_itself() -> None:
    b = bench()
    b.silent = {"state"}
    assert b.step(8).motion is Motion.RAMP
    b.silent = set()
    assert b.step().motion is Motion.REQUEST


@pytest.mark.parametrize("pushed", [False, True])
def test_a_frozen_sensor(pushed: bool) -> None:
    b = bench()
    b.step(3)
    b.silent = {"state"}
    b.torque = np.full(N, 3.0) if pushed else np.zeros(N)
    dq = np.zeros(N) if pushed else np.full(N, 0.1)
    for _ in range(15 if pushed else 6):
        b.now += PERIOD
        b.feed()
        b.monitor.on_state(b.now, b.state(position=b.q, velocity=dq))
        tick = b.monitor.tick(b.now)
        if tick.mode is Mode.STOPPED:
            break
    assert "state_frozen" in tick.causes
    assert tick.motion is Motion.RAMP


@pytest.mark.parametrize(("rate", "readings"), [(1000.0, 25), (200.0, 5), (50.0, 3)])
def test_a_sensor_is_frozen_after_a_time_however_often_it_is_read(rate: float, readings: int) -> None:
    base = station()
    stream = StateStream(dataclasses.replace(base, state=dataclasses.replace(base.state, rate=rate)))
    period, q, dq = round(1e9 / rate), np.array(base.home), np.full(N, 0.1)
    said = [
        stream.receive(
            k * period, k * period, JointState(k * period, base.joint_names, q, dq, np.empty(0)), [0.0] * N
        )
        for k in range(1, readings + 1)
    ]
    assert said == [set()] * (readings - 1) + [{Cause.STATE_FROZEN}]


def test_identical_readings_of_an_arm_at_rest_are_no_fault() -> None:
    b = bench()
    b.silent = {"state"}
    for _ in range(100):
        b.now += PERIOD
        b.feed()
        b.monitor.on_state(b.now, b.state(position=b.q))
        assert b.monitor.tick(b.now).mode is Mode.PASSING


def test_a_flood_of_requests() -> None:
    b = bench()
    for _ in range(30):
        b.now += PERIOD
        b.feed()
        for _ in range(9):
            b.monitor.on_request(b.now, b.request())
        tick = b.monitor.tick(b.now)
    assert "request_flood" in tick.causes
    assert tick.mode is Mode.HOLDING
    assert b.step(60).mode is Mode.PASSING


def test_two_that_ask_in_turn_stop_the_arm_and_no_reset_while_they_do() -> None:
    b = bench()

    def ask(sender: str) -> Tick:
        b.monitor.on_heartbeat(b.now, Heartbeat(b.now, sender))
        b.monitor.on_request(b.now, b.request(sender=sender))
        return b.step()

    b.silent = {"request"}
    ask("a"), b.step(10)
    assert ask("b").mode is Mode.PASSING, "one after the other is a handover"
    tick = ask("a")
    assert "two_policies" in tick.causes
    assert (tick.mode, tick.motion) == (Mode.STOPPED, Motion.HOLD)
    for _ in range(20):
        ask("a"), b.step(3), ask("b")
        assert not b.monitor.reset(b.now, "x").done
    b.step(60)
    assert b.monitor.reset(b.now, "x").done


def test_a_handover_of_short_turns_is_none_of_two_policies() -> None:
    b = bench()
    b.silent = {"heartbeat"}
    for turn in range(6):
        b.sender = "ab"[turn % 2]
        for _ in range(60):
            for sender in ("a", "b", "homing"):
                b.monitor.on_heartbeat(b.now, Heartbeat(b.now, sender))
            assert b.step().mode is Mode.PASSING


def test_what_comes_before_the_first_fresh_state_counts_for_nothing() -> None:
    """A driver that starts delivers what has waited, and the machine is busy with starting."""
    b = Bench()
    b.silent = {"state"}
    for late in (0, 500, 300, 60, 300, 700):
        b.now += 40 * MS  # every tick is late, too
        b.feed()
        if late:
            b.monitor.on_state(b.now, b.state(stamp=b.now - late * MS))
        tick = b.monitor.tick(b.now)
        assert tick.mode is Mode.HOLDING
        assert tick.causes & {"state_missing", "state_late"}
        assert not tick.causes & {"state_lost", "deadline", "overload"}
    b.silent = set()
    assert b.step(2).mode is Mode.PASSING
    b.silent = {"state"}
    assert "state_lost" in b.step(25).causes, "from then on it counts"


def test_in_shadow_nobody_is_needed_and_nobody_is_latched() -> None:
    b = Bench()
    b.silent = {"request", "heartbeat"}
    b.step(2)
    b.monitor.press_stop(b.now, "x")
    assert "policy_missing" in b.step().causes
    b.silent = set()
    assert b.step().causes == {"emergency_stop"}


@pytest.mark.parametrize("carried", [False, True])
def test_a_tick_says_what_of_the_torque_was_asked_for(carried: bool) -> None:
    where = station()
    if carried:
        arm = dataclasses.replace(where.arm, compensates_gravity=False)
        controller = dataclasses.replace(where.controller, deactivation="none")
        where = dataclasses.replace(where, arm=arm, controller=controller)
    b = Bench(where).live()
    model = ArmModel(where.arm)
    weight = model.gravity(model.frames(b.q)) if carried else np.zeros(N)
    b.torque = np.full(N, 0.1) / 3.0
    tick = b.step(4)
    assert not tick.causes
    np.testing.assert_array_equal(tick.filtered, b.torque)  # to the bit, although the sum is rounded
    np.testing.assert_allclose(tick.gravity, weight, atol=1e-5)
    np.testing.assert_allclose(tick.torque, tick.filtered + tick.gravity, atol=1e-12)
    b.torque = np.full(N, 50.0)
    tick = b.step()
    assert "limited_rate" in tick.causes
    np.testing.assert_array_equal(tick.filtered, tick.torque - tick.gravity)


def test_late_ticks_are_counted_and_several_in_a_row_stop() -> None:
    b = bench()
    b.now += 2 * PERIOD
    assert b.step().causes == {"deadline"}
    assert b.step().mode is Mode.PASSING
    for _ in range(3):
        b.now += 2 * PERIOD
        tick = b.step()
    assert "overload" in tick.causes
    assert tick.mode is Mode.STOPPED


def test_the_wrench() -> None:
    hit = WrenchSettings("/wrench", force_max=50.0, torque_max=20.0, age_max=0.1)
    b = Bench(dataclasses.replace(station(), wrench=hit))
    assert "wrench_late" in b.step().causes
    for force, cause in ((49.0, set()), (51.0, {"wrench"}), (np.nan, {"wrench"})):
        b.step(1)
        b.monitor.on_wrench(b.now, Wrench(b.now, np.array([0.0, force, 0.0]), np.zeros(3)))
        assert b.monitor.tick(b.now).causes & {"wrench", "wrench_late"} == cause


# people


def test_in_shadow_nothing_is_published_and_the_request_is_judged() -> None:
    b = Bench()
    b.torque = np.full(N, 0.7)
    tick = b.step(3)
    assert not tick.publish
    assert tick.gripper is None
    assert tick.mode is Mode.PASSING
    np.testing.assert_array_equal(tick.torque, b.torque)
    b.monitor.press_stop(b.now, "x")
    tick = b.step()
    assert tick.mode is Mode.STOPPED
    assert not tick.publish


def test_authority_rises_by_a_person_at_rest_and_not_in_a_stop() -> None:
    b = Bench()
    assert not b.monitor.set_authority(b.now, Authority.ASSISTED, "x").done
    b.step(2)
    b.dq = np.full(N, 0.1)
    b.step()
    answer = b.monitor.set_authority(b.now, Authority.ASSISTED, "x")
    assert "not at rest" in answer.message
    b.dq = np.zeros(N)
    b.monitor.press_stop(b.now, "x")
    b.step()
    answer = b.monitor.set_authority(b.now, Authority.ASSISTED, "x")
    assert answer == (False, "stopped, reset first: emergency_stop")
    assert b.monitor.reset(b.now, "x").done
    assert b.monitor.set_authority(b.now, Authority.ASSISTED, "x").done


def test_authority_does_not_rise_while_no_watchdog_is_there() -> None:
    b = Bench()
    b.silent = {"watchdog"}
    b.step(3)
    refused = (False, "authority stays shadow: watchdog_late")
    assert b.monitor.set_authority(b.now, Authority.ASSISTED, "x") == refused
    b.silent = set()
    b.step()
    assert b.monitor.set_authority(b.now, Authority.ASSISTED, "x").done
    b.silent = {"watchdog"}
    assert "watchdog_late" in b.step(50).causes
    assert not b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x").done
    assert b.monitor.set_authority(b.now, Authority.SHADOW, "x").done, "down it always may"
    b = Bench(watchdog=False)
    b.silent = {"watchdog"}
    b.live()


def test_shadow_begins_when_the_arm_is_at_rest() -> None:
    b = bench()
    b.dq = np.full(N, 0.3)
    b.step()
    assert b.monitor.set_authority(b.now, Authority.SHADOW, "x").done
    assert b.step(3).motion is Motion.HOLD
    b.dq = np.zeros(N)
    tick = b.step()
    assert (tick.authority, tick.publish, tick.deactivate) == (Authority.SHADOW, False, True)


def undeactivatable() -> Station:
    base = station()
    return dataclasses.replace(base, controller=dataclasses.replace(base.controller, deactivation="none"))


@pytest.mark.parametrize("asked", [0.0, 0.7])
def test_an_arm_that_stays_active_in_shadow_goes_on_from_the_torque_that_holds_it(asked: float) -> None:
    b = Bench(undeactivatable()).live()
    b.silent = {"request"}
    b.step(22)
    for _ in range(40):  # an unknown load: the springs pull by more and more
        b.q = b.q + 0.0005
        held = b.step().torque
    assert np.abs(held).max() > 3.0
    assert b.monitor.set_authority(b.now, Authority.SHADOW, "x").done
    assert not b.step().publish
    b.silent, b.torque = set(), np.full(N, asked)
    assert b.step(5).mode is Mode.PASSING
    b.silent = {"request"}
    b.step(30)
    assert b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x").done
    tick = b.step()
    assert tick.publish
    assert (np.abs(tick.torque - held) <= 1.0 + 1e-12).all()


def test_assistance_scales_torque_and_lowers_the_speed_limit() -> None:
    b = Bench().live(Authority.ASSISTED)
    b.torque = np.full(N, 0.8)
    np.testing.assert_allclose(b.step(3).torque, 0.4)
    assert b.monitor.status(b.now).scale == 0.5
    b.dq = np.full(N, 1.2)
    tick = b.step()
    assert "limited_speed" in tick.causes
    assert (tick.torque < 0.4).all()


@pytest.mark.parametrize(
    ("press", "release"),
    [
        (lambda b: b.monitor.on_button(b.now, True), lambda b: b.monitor.on_button(b.now, False)),
        (lambda b: b.monitor.on_publishers(b.now, ["/x"]), lambda b: b.monitor.on_publishers(b.now, [])),
        (lambda b: b.silent.add("state"), lambda b: b.silent.clear()),
        (lambda b: b.silent.add("heartbeat"), lambda b: b.silent.clear()),
        (lambda b: setattr(b, "torque", np.full(N, np.nan)), lambda b: setattr(b, "torque", np.zeros(N))),
        (lambda b: setattr(b, "dq", np.full(N, 3.0)), lambda b: setattr(b, "dq", np.zeros(N))),
    ],
)
def test_a_reset_waits_until_the_cause_is_gone(
    press: Callable[[Bench], None], release: Callable[[Bench], None]
) -> None:
    b = bench()
    press(b)
    assert b.step(70).mode is Mode.STOPPED
    assert not b.monitor.reset(b.now, "x").done
    assert b.step().mode is Mode.STOPPED
    release(b)
    tick = b.step(2)
    assert tick.mode is Mode.STOPPED, "latched"
    assert tick.causes, "what began the stop is still told"
    answer = b.monitor.reset(b.now, "x")
    assert answer.done, answer
    tick = b.step()
    assert (tick.authority, tick.publish) == (Authority.SHADOW, False)


def test_a_policy_that_ends_in_shadow_is_no_loss() -> None:
    b = Bench()
    b.step(3)
    b.silent = {"heartbeat", "request"}
    tick = b.step(100)
    assert tick.mode is Mode.HOLDING
    assert "policy_lost" not in tick.causes


def test_after_the_watchdog_the_hold_goes_on_from_its_torque() -> None:
    b = bench()
    b.silent = {"watchdog"}
    for _ in range(3):
        b.monitor.on_watchdog(b.now, True, np.full(N, 4.0))
        assert not b.step().publish
    b.monitor.on_watchdog(b.now, False)
    tick = b.step()
    assert tick.motion is Motion.HOLD
    np.testing.assert_allclose(tick.torque, 3.0)


def test_a_watchdog_that_dies_while_it_owns_the_arm_leaves_it_to_the_monitor() -> None:
    b = bench()
    b.silent = {"watchdog"}
    b.torque = np.full(N, 4.0)
    b.step(8)
    torque = b.step().torque + 2.0  # the watchdog has gone on from there
    for _ in range(3):
        b.monitor.on_watchdog(b.now, True, torque)
        assert not b.step().publish
    ticks = [b.step() for _ in range(45)]
    first = next(i for i, tick in enumerate(ticks) if tick.publish)
    assert 0.2e9 <= (first + 1) * PERIOD <= 0.21e9
    assert all(tick.motion is Motion.HOLD for tick in ticks[first:])
    assert {tick.mode for tick in ticks} == {Mode.STOPPED}, "latched"
    assert (np.abs(ticks[first].torque - torque) <= 1.0).all(), "no step"
    assert b.monitor.state.authority is Authority.AUTONOMOUS


# policies


def test_the_announced_contract_is_in_force_where_it_is_tighter() -> None:
    b = Bench()
    tight = contract()
    tight = dataclasses.replace(tight, limiter={**tight.limiter, "dtau": (0.25,) * N})
    b.announce(tight)
    b.live()
    b.torque = np.full(N, 2.0)
    np.testing.assert_allclose(b.step().torque, 0.25)


def test_of_two_contracts_the_tighter_bounds_are_in_force_whoever_beats_last() -> None:
    kind = contract()
    near = tuple(q + 0.01 for q in kind.limiter["q_lo"])  # type: ignore[union-attr]
    slow = dataclasses.replace(kind, limiter={**kind.limiter, "dq_max": (0.5,) * N, "q_lo": near})
    weak = dataclasses.replace(kind, limiter={**kind.limiter, "dtau": (0.25,) * N, "power_max": 3.0})
    for order in ((slow, weak), (weak, slow)):
        b = Bench()
        for each in order:
            b.announce(each)
            b.monitor.on_heartbeat(b.now, Heartbeat(b.now, each.hash, each.hash, each.hash))
        b.monitor.standing(b.now)
        found = b.monitor.in_force
        assert found.dq_max == [0.5] * N
        assert found.q_lo == list(near)
        assert found.dtau == [0.25] * N
        assert found.power_max == 3.0


def test_joints_of_a_contract_go_by_name() -> None:
    tight = contract()
    joints = tuple(reversed(tight.joints))
    limiter = {k: tuple(reversed(v)) if isinstance(v, tuple) else v for k, v in tight.limiter.items()}
    limiter["dtau"] = (0.5, *[1.0] * 6)  # of the last joint
    b = Bench()
    b.announce(dataclasses.replace(tight, joints=joints, limiter=limiter))
    b.live()
    b.torque = np.full(N, 2.0)
    np.testing.assert_allclose(b.step().torque, [1, 1, 1, 1, 1, 1, 0.5])


def test_a_contract_that_asks_for_more_than_the_station_gives_is_refused() -> None:
    loose = contract()
    loose = dataclasses.replace(loose, limiter={**loose.limiter, "power_max": 400.0})
    answer = Bench().monitor.announce(loose)
    assert not answer.done
    assert "power_max" in answer.message


@pytest.mark.parametrize("thing", ["width", "fx", "position"])
def test_a_contract_of_numbers_without_measure_is_refused_and_the_monitor_lives(thing: str) -> None:
    huge: object = {"width": 10**400, "fx": 5e-324, "position": (1e308, -1e308, 1e308)}[thing]
    kind = contract()
    camera = dataclasses.replace(kind.cameras[0], **{thing: huge})
    b = Bench()
    answer = b.monitor.announce(dataclasses.replace(kind, cameras=(camera, *kind.cameras[1:])))
    assert not answer.done
    assert answer.message
    b.live()


def test_a_policy_needs_its_cameras_and_homing_does_not() -> None:
    b = bench()
    b.silent = {"camera"}
    assert b.step(60).mode is Mode.PASSING
    b = Bench()
    b.announce(contract())
    b.live()
    b.silent = {"camera"}
    tick = b.step(60)
    assert "camera_late" in tick.causes
    assert tick.mode is Mode.HOLDING


@pytest.mark.parametrize(("brightness", "cause"), [(0.0, "camera_black"), (0.4, "camera_frozen")])
def test_a_black_and_a_frozen_camera(brightness: float, cause: str) -> None:
    b = Bench()
    b.announce(contract())
    b.live()
    b.silent = {"camera"}
    for i in range(20):
        b.q = b.q + np.array([0.0] * 6 + [0.005])
        b.now += PERIOD
        b.feed()
        b.monitor.on_camera(b.now, b.glimpse("wrist"))
        b.monitor.on_camera(
            b.now, b.glimpse("front", brightness=brightness, digest=i if brightness == 0 else 7)
        )
        tick = b.monitor.tick(b.now)
    assert cause in tick.causes
    assert tick.mode is Mode.HOLDING


def test_two_equal_images_are_no_frozen_camera() -> None:
    b = Bench()
    b.announce(contract())
    b.live()
    b.silent = {"camera"}
    for i in range(60):
        b.q = b.q + np.array([0.0] * 6 + [0.009])
        b.now += PERIOD
        b.feed()
        if i % 8 == 0:  # an image each 40 ms, each of them twice
            b.monitor.on_camera(b.now, b.glimpse("wrist", digest=i))
            b.monitor.on_camera(b.now, b.glimpse("front", digest=i // 16))
        assert "camera_frozen" not in b.monitor.tick(b.now).causes


def test_a_bundle_that_is_not_allowed_gets_no_further_than_assisted() -> None:
    b = Bench(allowed_bundles=lambda bundle, contract: bundle == "promoted")
    b.announce(contract(), bundle="raw")
    b.step(2)
    answer = b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x")
    assert answer == (False, "authority stays shadow: bundle")
    assert b.monitor.set_authority(b.now, Authority.ASSISTED, "x").done
    assert b.step().mode is Mode.PASSING
    b.bundle = "promoted"
    b.step()
    assert b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x").done
    b.bundle = "raw"
    assert b.step().authority is Authority.ASSISTED


def test_who_announces_no_bundle_is_on_no_list_and_moves_the_arm_in_assisted_at_most() -> None:
    b = Bench(allowed_bundles=lambda bundle, contract: True)
    b.step(2)
    answer = b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x")
    assert answer == (False, "authority stays shadow: bundle")
    assert b.monitor.set_authority(b.now, Authority.ASSISTED, "x").done
    assert b.step().mode is Mode.PASSING, "homing remains possible"
    assert not b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x").done


def test_a_policy_that_is_no_longer_announced_is_autonomous_no_longer() -> None:
    b = Bench(allowed_bundles=lambda bundle, contract: bundle == "promoted")
    b.announce(contract(), bundle="promoted")
    b.live()
    b.bundle = b.contract = ""
    assert b.step().authority is Authority.ASSISTED


def test_a_glimpse_tells_a_dead_camera_from_a_living_one() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    first, again = take(Picture(1, "front", pixels)), take(Picture(2, "front", pixels.copy()))
    assert first.digest == again.digest
    assert 0.4 < first.brightness < 0.6
    pixels[40, 3, 1] ^= 1
    assert take(Picture(3, "front", pixels)).digest != first.digest
    assert take(Picture(4, "front", np.zeros((48, 64), np.float32))).brightness == 0.0
    assert take(Picture(5, "front", np.full((48, 64), 0.7, np.float32))).brightness == 1.0


# the whole


def test_two_monitors_that_hear_the_same_say_the_same() -> None:
    one, two = (Bench().live() for _ in range(2))
    for i in range(30):
        for b in (one, two):
            b.torque = 5.0 * np.sin(0.3 * i + np.arange(N))
            b.silent = {"request"} if 10 < i < 14 else set()
        assert one.step().torque.tobytes() == two.step().torque.tobytes()
    assert one.monitor.status(0) == two.monitor.status(0)


def test_every_cause_has_its_own_name_and_a_sentence() -> None:
    assert len({c.label for c in Cause}) == len(Cause)
    for c in Cause:
        assert c.meaning.endswith(".")
        assert c.remedy.endswith(".")
    assert {c.bearing for c in Cause} == set(Bearing)


def test_the_table_in_the_docs_is_the_one_in_the_code() -> None:
    page = Path(robolearn.__file__).parent.parent / "docs" / "safety.md"
    assert table() in page.read_text(encoding="utf-8")


def test_nothing_heavy_is_in_the_trusted_process() -> None:
    heavy = {"torch", "numba", "mujoco", "scipy", "cv2", "safetensors", "gymnasium", "robolearn.envs",
             "robolearn.policies", "robolearn.training", "robolearn.data"}  # fmt: skip
    code = (
        "import sys, robolearn.hardware.monitor.monitor, robolearn.hardware.monitor.watchdog\n"
        "print(*sorted(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert "robolearn.hardware.monitor.monitor" in loaded
    assert not heavy & loaded
