"""The limiter: bounds that nothing breaks, requests that pass untouched, walls that stop a joint quietly."""

from __future__ import annotations

import dataclasses
import math
import struct
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from robolearn.envs.torque_loop import as_arrays, compiled_limit
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile, load_arm
from robolearn.hardware.limiter import (
    CAUSES,
    MAGNITUDE,
    NONFINITE,
    POSITION,
    POWER,
    RATE,
    SPEED,
    LimiterParameters,
    limit,
    limiter_parameters,
)

N = 3
P = LimiterParameters(
    tau_max=[86.0, 86.0, 11.5],
    dtau=[1.0, 5.0, 0.3],
    q_lo=[-2.0, -1.0, 0.1],
    q_hi=[2.0, 3.0, 3.5],
    wall_stiffness=[50.0, 120.0, 12.5],
    wall_damping=[15.0, 30.0, 2.5],
    dq_max=[2.0, 2.0, 2.5],
    speed_gain=[12.0, 25.0, 2.5],
    reaction_ticks=5.0,
    power_max=60.0,
)
ZERO = [0.0] * N
REST = [0.0, 1.0, 1.5]

anything = st.lists(st.floats(), min_size=N, max_size=N)
"""NaN, infinities, denormals, negative zeros and numbers of every size."""


def vector(*bounds: tuple[float, float]) -> st.SearchStrategy[list[float]]:
    return st.tuples(*(st.floats(lo, hi) for lo, hi in bounds)).map(list)


plausible_torque = vector((-100, 100), (-100, 100), (-20, 20))
plausible_q = vector((-2.3, 2.3), (-1.3, 3.3), (-0.2, 3.8))
plausible_dq = vector((-3, 3), (-3, 3), (-3, 3))


class Tick(NamedTuple):
    request: list[float]
    gravity: list[float]
    q: list[float]
    dq: list[float]


ticks = st.one_of(
    st.builds(Tick, anything, anything, anything, anything),
    st.builds(Tick, plausible_torque, vector((-30, 30), (-30, 30), (-2, 2)), plausible_q, plausible_dq),
    st.builds(Tick, anything, st.just(ZERO), plausible_q, plausible_dq),
)


def run(tick: Tick, previous: list[float], p: LimiterParameters = P, n: int = N) -> tuple[list[float], int]:
    out = [math.nan] * n
    causes = limit(tick.request, tick.gravity, previous, tick.q, tick.dq, p, out)
    return out, causes


def bits(values: list[float]) -> bytes:
    return struct.pack(f"{len(values)}d", *values)


def all_finite(*vectors: list[float]) -> bool:
    return all(math.isfinite(value) for values in vectors for value in values)


def expected(tick: Tick) -> list[float]:
    """What leaves the limiter if it has no reason to interfere."""
    return [r + g if g != 0.0 else r for r, g in zip(tick.request, tick.gravity, strict=True)]


@given(st.lists(ticks, min_size=1, max_size=20))
def test_no_sequence_of_inputs_breaks_a_hard_bound(sequence: list[Tick]) -> None:
    previous = ZERO
    for tick in sequence:
        out, _ = run(tick, previous)
        for i in range(N):
            assert math.isfinite(out[i])
            assert abs(out[i]) <= P.tau_max[i]
            assert abs(out[i] - previous[i]) <= P.dtau[i]
        previous = out


@given(ticks, anything)
def test_a_previous_torque_that_cannot_be_breaks_no_hard_bound(tick: Tick, previous: list[float]) -> None:
    out, _ = run(tick, previous)
    for i in range(N):
        assert math.isfinite(out[i])
        assert abs(out[i]) <= P.tau_max[i]
        if math.isfinite(previous[i]):
            nearest = min(max(previous[i], -P.tau_max[i]), P.tau_max[i])
            assert abs(out[i] - nearest) <= P.dtau[i]


def permitted(b: float, dtau: float) -> float:
    """The largest t for which b has room, found without the formula that the limiter uses."""
    lo, hi = 0.0, max(b, 0.0)
    for _ in range(60):
        t = 0.5 * (lo + hi)
        withdrawal = t / dtau  # ticks; on average half of t is in force meanwhile
        lo, hi = (t, hi) if t + 0.5 * t * withdrawal / P.reaction_ticks <= b else (lo, t)
    return lo


@st.composite
def harmless(draw: st.DrawFn) -> tuple[Tick, list[float]]:
    """A request inside every bound, and the torque sent before it."""
    q = draw(vector((-1.9, 1.9), (-0.9, 2.9), (0.2, 3.4)))
    dq = draw(vector((-0.1, 0.1), (-0.1, 0.1), (-0.1, 0.1)))
    gravity = draw(st.one_of(st.just(ZERO), vector((-30, 30), (-30, 30), (-2, 2))))
    request, previous = [], []
    for i in range(N):
        up = min(
            permitted(P.wall_stiffness[i] * (P.q_hi[i] - q[i]) - P.wall_damping[i] * dq[i], P.dtau[i]),
            permitted(P.speed_gain[i] * (P.dq_max[i] - dq[i]), P.dtau[i]),
        )
        down = min(
            permitted(P.wall_stiffness[i] * (q[i] - P.q_lo[i]) + P.wall_damping[i] * dq[i], P.dtau[i]),
            permitted(P.speed_gain[i] * (P.dq_max[i] + dq[i]), P.dtau[i]),
        )
        request.append(draw(st.floats(-down, up)) * 0.999)
        previous.append(request[i] + gravity[i] + P.dtau[i] * draw(st.floats(-0.999, 0.999)))
    return Tick(request, gravity, q, dq), previous


@given(harmless())
@example((Tick([-0.0, 5e-324, -5e-324], ZERO, REST, ZERO), ZERO))
def test_a_request_inside_every_bound_passes_with_every_bit(case: tuple[Tick, list[float]]) -> None:
    tick, previous = case
    out, causes = run(tick, previous)
    assert bits(out) == bits(expected(tick))
    assert causes == 0


@given(ticks, st.one_of(anything, plausible_torque))
def test_causes_are_reported_exactly_when_something_was_altered(tick: Tick, previous: list[float]) -> None:
    out, causes = run(tick, previous)
    assert 0 <= causes < 1 << len(CAUSES)
    if all_finite(tick.request, tick.gravity, previous) and all(abs(x) < 1e6 for x in (*tick.q, *tick.dq)):
        assert not causes & NONFINITE
        assert (causes != 0) == (out != expected(tick))
    else:
        assert causes & NONFINITE


@given(ticks, st.one_of(anything, plausible_torque))
def test_compiled_and_plain_agree_to_the_bit(tick: Tick, previous: list[float]) -> None:
    plain, causes = run(tick, previous)
    compiled = np.empty(N)
    arrays = [np.array(v) for v in (tick.request, tick.gravity, previous, tick.q, tick.dq)]
    assert compiled_limit(*arrays, as_arrays(P), compiled) == causes
    assert bits(compiled.tolist()) == bits(plain)


def test_arrays_serve_as_well_as_lists() -> None:
    tick = Tick([3.0, -40.0, 1.0], [1.0, 0.0, 0.5], [1.9, 1.0, 3.4], [0.3, -1.0, 0.2])
    plain, causes = run(tick, ZERO)
    out = np.empty(N)
    arrays = [np.array(v) for v in (tick.request, tick.gravity, ZERO, tick.q, tick.dq)]
    assert limit(*arrays, as_arrays(P), out) == causes  # type: ignore[arg-type]
    assert out.tolist() == plain


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["request", "q", "dq"])
def test_one_bad_number_withdraws_the_whole_request(bad: float, where: str) -> None:
    tick = Tick([0.4, 0.5, 0.1], [0.7, 0.0, 0.0], list(REST), [0.0, 9.0, 0.0])
    getattr(tick, where)[1] = bad
    out, causes = run(tick, ZERO)
    assert out == [0.7, 0.0, 0.0]  # gravity alone; a brake on the 9 rad/s would be feedback on half a state
    assert causes == NONFINITE


@pytest.mark.parametrize("where", ["q", "dq"])
def test_a_state_that_no_joint_can_have_is_treated_as_nan(where: str) -> None:
    tick = Tick([0.4, 0.5, 0.1], ZERO, list(REST), list(ZERO))
    getattr(tick, where)[2] = 1e7
    assert run(tick, ZERO) == (ZERO, NONFINITE)


def test_bad_state_is_reported_even_if_nothing_was_asked_for() -> None:
    assert run(Tick(ZERO, ZERO, [math.nan, 1.0, 1.5], ZERO), ZERO) == (ZERO, NONFINITE)


def test_a_joint_whose_gravity_is_unknown_keeps_its_torque() -> None:
    tick = Tick([0.5, 0.0, 0.0], [math.nan, 20.0, 0.0], REST, ZERO)
    assert run(tick, [33.0, 19.0, 0.0]) == ([33.0, 20.0, 0.0], NONFINITE)


def test_an_unknown_previous_torque_counts_as_gravity() -> None:
    tick = Tick([50.0, 50.0, 0.0], [7.0, math.inf, 0.0], REST, ZERO)
    out, causes = run(tick, [math.nan, -math.inf, 0.0])
    assert out == [8.0, 0.0, 0.0]
    assert causes & NONFINITE
    assert causes & RATE


def test_a_previous_torque_outside_the_box_is_brought_into_it_at_once() -> None:
    out, causes = run(Tick([90.0, 0.0, 0.0], ZERO, REST, ZERO), [500.0, 0.0, 0.0])
    assert out[0] == 85.0 or out[0] == 86.0
    assert causes & ~NONFINITE


SOFT_FREE = P._replace(speed_gain=[1e6] * N, wall_stiffness=[1e6] * N, wall_damping=[0.0] * N, power_max=1e9)


@pytest.mark.parametrize(
    ("p", "tick", "previous", "want", "cause"),
    [
        (P, Tick([5.0, 0.0, 0.0], ZERO, REST, ZERO), ZERO, [1.0, 0.0, 0.0], RATE),
        (P, Tick([-5.0, 0.0, 0.0], ZERO, REST, ZERO), ZERO, [-1.0, 0.0, 0.0], RATE),
        (P, Tick([0.0, 0.0, 0.0], [5.0, 0.0, 0.0], REST, ZERO), ZERO, [1.0, 0.0, 0.0], RATE),
        (SOFT_FREE, Tick([90.0, 0, 0], ZERO, REST, ZERO), [85.5, 0, 0], [86.0, 0, 0], MAGNITUDE),
        (SOFT_FREE, Tick([-40.0, 0, 0], [-60.0, 0, 0], REST, ZERO), [-85.5, 0, 0], [-86.0, 0, 0], MAGNITUDE),
        (P, Tick([0.0] * 3, ZERO, [2.01, 1.0, 1.5], ZERO), ZERO, [-0.5, 0.0, 0.0], POSITION),
        (P, Tick([0.0] * 3, ZERO, [-2.01, 1.0, 1.5], ZERO), ZERO, [0.5, 0.0, 0.0], POSITION),
        (P, Tick([0.0] * 3, ZERO, [1.7, 1.0, 1.5], [1.05, 0, 0]), ZERO, [-0.75, 0.0, 0.0], POSITION),
        (P, Tick([0.0] * 3, ZERO, REST, [2.05, 0, 0]), ZERO, [-0.6, 0.0, 0.0], SPEED),
        (P, Tick([0.0] * 3, ZERO, REST, [-2.05, 0, 0]), ZERO, [0.6, 0.0, 0.0], SPEED),
        # s = 5: of 12 N·m permitted at this speed, what can be withdrawn in time
        (P, Tick([50.0, 0, 0], ZERO, REST, [1.0, 0, 0]), [7.0, 0, 0], [5 * (5.8**0.5 - 1), 0, 0], SPEED),
    ],
)  # fmt: skip
def test_each_bound_by_example(
    p: LimiterParameters, tick: Tick, previous: list[float], want: list[float], cause: int
) -> None:
    out, causes = run(tick, previous, p)
    assert out == pytest.approx(want, abs=1e-12)
    assert causes == cause


def test_power_is_shared_out_and_braking_joints_do_not_count() -> None:
    tick = Tick([30.0, 30.0, -3.0], ZERO, REST, [1.0, 1.5, 1.0])
    out, causes = run(tick, [15.0, 27.0, -3.0], SOFT_FREE._replace(power_max=60.0, dtau=[100.0] * N))
    assert causes == POWER
    assert out == pytest.approx([24.0, 24.0, -3.0])
    assert out[0] * 1.0 + out[1] * 1.5 == pytest.approx(60.0)


@given(st.builds(Tick, plausible_torque, st.just(ZERO), plausible_q, plausible_dq))
def test_power_stays_within_its_bound(tick: Tick) -> None:
    out, _ = run(tick, ZERO, P._replace(dtau=[1e6] * N))
    assert sum(max(t * v, 0.0) for t, v in zip(out, tick.dq, strict=True)) <= P.power_max * (1 + 1e-12)


def test_gravity_is_carried_at_any_speed_and_beyond_any_wall() -> None:
    gravity = [20.0, -30.0, 1.0]
    tick = Tick(ZERO, gravity, [2.0, 3.0, 3.5], [1.0, 1.0, 1.0])
    out, causes = run(tick, gravity, P._replace(dtau=[100.0] * N))
    assert out == pytest.approx([20.0 - 15.0, -30.0 - 30.0, 1.0 - 2.5])  # less the walls' dampers
    assert causes == POSITION


def test_the_monitor_can_import_it_without_the_learning_stack() -> None:
    code = (
        "import sys; import robolearn.hardware.limiter; "
        "print(sorted({'numba', 'mujoco', 'torch', 'gymnasium'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# The parameters that the profiles give.


def test_a_held_torque_reaches_an_arm_that_does_not_interpolate_as_one_step() -> None:
    panda = load_arm("panda")
    assert limiter_parameters(panda, 200.0).dtau == pytest.approx([1.0] * 7)
    assert limiter_parameters(panda, 2000.0).dtau == pytest.approx([0.5] * 7)
    smooth = dataclasses.replace(panda, interpolates=True)
    assert limiter_parameters(smooth, 200.0).dtau == pytest.approx([5.0] * 7)


@pytest.mark.parametrize("rate", [0.0, -200.0, math.nan, math.inf, 20.0])
def test_a_filter_rate_that_cannot_be_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="filter_rate"):
        limiter_parameters(load_arm("panda"), rate)


# One joint under the limiter, simulated: its inertia is that of the arm's joint in some posture. Smallest and
# largest over 3000 random postures of the Panda and FR3 models (drive's inertia included), the other joints
# holding or giving way: kg·m².
INERTIA = [(0.19, 2.8), (0.58, 3.1), (0.14, 1.3), (0.22, 1.1), (0.068, 0.115), (0.075, 0.105), (0.052, 0.075)]


class Push(NamedTuple):
    top_speed: float
    furthest: float
    restlessness: float
    """Mean change of torque per tick over the last second [N·m]."""


def push(
    arm: ArmProfile,
    joint: int,
    inertia: float,
    start: float,
    speed: float,
    delay: int = 10,
    reaction_ticks: float | None = None,
) -> Push:
    """Four seconds of asking for full torque, from `start` [rad] below the upper soft limit; delay in ms."""
    columns = limiter_parameters(arm, 200.0)._asdict().items()
    p = as_arrays(LimiterParameters(**{k: c if isinstance(c, float) else [c[joint]] for k, c in columns}))
    p = p._replace(reaction_ticks=reaction_ticks or p.reaction_ticks)
    q, dq, last_second = p.q_hi[0] - start, speed, []
    states = [(q, dq)] * (delay + 1)
    request, gravity, sent, out = np.array([arm.tau_max[joint]]), np.zeros(1), np.zeros(1), np.zeros(1)
    top_speed, furthest = speed, q
    steps = 4000
    for step in range(steps):
        states = [*states[1:], (q, dq)]
        if step % 5 == 0:
            seen = states[0]
            compiled_limit(request, gravity, sent, np.array([seen[0]]), np.array([seen[1]]), p, out)
            if step >= steps - 1000:
                last_second.append(abs(out[0] - sent[0]))
            sent[0] = out[0]
        dq += 0.001 * sent[0] / inertia  # no friction: the worst case
        q += 0.001 * dq
        top_speed, furthest = max(top_speed, dq), max(furthest, q)
    return Push(top_speed, furthest, float(np.mean(last_second)))


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_a_full_push_stops_before_the_hard_limit_without_chatter(name: str, joint: int) -> None:
    arm = load_arm(name)
    for inertia in INERTIA[joint]:
        for start, speed in ((0.02, 0.0), (0.3, 0.0), (0.3, 1.0), (0.8, 2.0), (1.5, 0.0)):
            result = push(arm, joint, inertia, start, speed)
            assert result.furthest < arm.q_max[joint], (inertia, start, speed)
            assert result.restlessness < 0.01, (inertia, start, speed)


@pytest.mark.parametrize("joint", range(7))
def test_walls_do_not_chatter_with_twice_the_delay_in_ordinary_postures(joint: int) -> None:
    arm = load_arm("panda")
    low, high = INERTIA[joint]
    for start in (0.02, 0.3):
        assert push(arm, joint, max(low, 0.15 * high), start, 0.0, delay=20).restlessness < 0.01


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_a_full_push_from_rest_stays_inside_the_speed_limit(name: str, joint: int) -> None:
    arm = load_arm(name)
    lightest = max(INERTIA[joint][0], 0.3) if joint == 0 else INERTIA[joint][0]
    assert push(arm, joint, lightest, 1e3, 0.0).top_speed < arm.dq_max[joint]


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_the_base_joint_of_a_folded_arm_exceeds_its_speed_limit_by_a_tenth_at_most(name: str) -> None:
    arm = load_arm(name)
    assert push(arm, 0, INERTIA[0][0], 1e3, 0.0).top_speed < 1.1 * arm.dq_max[0]


def test_a_wall_that_ignores_the_rate_limit_lets_a_light_joint_through() -> None:
    arm = load_arm("panda")
    naive = push(arm, 1, INERTIA[1][0], 0.3, 0.0, reaction_ticks=1e9)
    assert naive.furthest > arm.q_max[1] + 0.5
    assert naive.restlessness > 0.5
    aware = push(arm, 1, INERTIA[1][0], 0.3, 0.0)
    assert aware.furthest < arm.q_max[1]
    assert aware.restlessness < 0.01
