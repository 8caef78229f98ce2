"""The hold's loop: what it does to the arm's modes, how late it may answer, how it yields to the limiter."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robolearn.hardware.arm import load_arm
from robolearn.hardware.impedance import REACH, Impedance
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.model import ArmModel
from robolearn.hardware.station import load_station

W = load_station("sim").monitor.hold.frequency
TICK = 0.005


@pytest.fixture(scope="module")
def stability() -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / "hold_stability.py"
    spec = importlib.util.spec_from_file_location("hold_stability", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


def radius(stability: ModuleType, frequency: float, delay: float) -> float:
    """Of one mode of unit inertia, without friction."""
    one = np.eye(1)
    hold = stability.by_inertia(one, frequency)
    return float(stability.spectral_radius(one, np.zeros(1), *hold, delay, 0.0005))


def test_without_delay_a_mode_is_critically_damped(stability: ModuleType) -> None:
    # the double root parts with the square root of what delay there is
    assert -np.log(radius(stability, 10.0, 0.0005)) / 0.0005 == pytest.approx(10.0, rel=0.1)


def test_a_loop_is_stable_while_2_w_t_is_below_1_295(stability: ModuleType) -> None:
    hold = 0.5 * 0.0005  # a torque that is kept comes half a tick late
    assert radius(stability, 0.5 * 1.25 / (0.03 + hold), 0.03) < 1.0
    assert radius(stability, 0.5 * 1.34 / (0.03 + hold), 0.03) > 1.0


def test_the_margins_at_the_bound_are_those_of_the_text() -> None:
    # L(s) = (2 w s + w²) exp(-s T) / s², in units of 2 w
    y = np.linspace(0.5, 4.0, 400_001)
    gain = np.hypot(y, 0.25) / y**2
    lead = np.arctan2(y, 0.25) - 2.0 * REACH * y  # of its phase, over -180°
    crossover = np.argmin(np.abs(gain - 1.0))
    assert y[crossover] == pytest.approx(1.029, abs=1e-3)
    assert np.degrees(lead[crossover]) == pytest.approx(34.0, abs=0.5)
    assert 1.0 / gain[np.argmin(np.abs(lead))] == pytest.approx(2.0, abs=0.02)
    assert np.arctan2(y, 0.25)[crossover] / y[crossover] == pytest.approx(1.295, abs=1e-3)


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_no_posture_swings_up_to_30_ms(stability: ModuleType, name: str) -> None:
    rows = stability.scan(name, 16, W)
    joint_by_joint, held, smooth, half, loaded = (np.array(row) for row in rows.values())
    assert stability.DELAYS[-1] == 0.03
    assert (held < 1.0).all()
    assert (smooth < 0.99).all()
    assert (smooth[:4] < 0.95).all(), "up to 20 ms it comes to rest about as fast as its spring"
    assert (loaded < 0.99).all()
    assert (half[:3] < 1.0).all()
    # what was there before, and would be found out
    assert (joint_by_joint[2:] > 1.0).all()


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_half_a_kilogram_displaces_no_joint_by_5_hundredths(stability: ModuleType, name: str) -> None:
    way = stability.give_way(name, W, count=1500)
    assert len(way) > 1000
    assert 0.02 < way.max() < 0.05


def test_all_modes_are_one(stability: ModuleType) -> None:
    """No posture is better or worse than another where there is no friction."""
    arm = load_arm("fr3")
    model = ArmModel(arm)
    inertias = model.inertia(model.frames(stability.postures(arm, 6)))
    radii = [stability.spectral_radius(M, np.zeros(7), *stability.by_inertia(M, W), 0.02) for M in inertias]
    assert np.ptp(radii) < 1e-6
    one = np.eye(1)
    alone = stability.spectral_radius(one, np.zeros(1), *stability.by_inertia(one, W), 0.02)
    assert radii[0] == pytest.approx(alone, abs=1e-6)


def shaped(frequency: float = W, dtau: float = 1.0) -> Impedance:
    station = load_station("sim")
    impedance = Impedance(ArmModel(station.arm), frequency, 1.0 / TICK)
    impedance.shape(station.home, [dtau] * 7)
    return impedance


def test_a_small_wish_is_spring_and_damper_of_the_arms_inertia() -> None:
    model = ArmModel(load_arm("panda"))
    inertia = model.inertia(model.frames(model.arm.home))
    way, speed = np.linspace(-1e-7, 1e-7, 7), np.linspace(2e-7, -1e-7, 7)
    expected = inertia @ (W * W * way + 2.0 * W * speed)
    np.testing.assert_allclose(shaped().torque(way, speed), expected, rtol=1e-4, atol=1e-12)
    np.testing.assert_array_equal(shaped().torque(np.zeros(7), np.zeros(7)), np.zeros(7))


speeds = st.lists(st.floats(-3.0, 3.0), min_size=7, max_size=7).map(np.array)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(speeds, st.sampled_from([0.2, 1.0, 5.0]))
def test_the_damper_brakes_along_the_path_and_asks_for_what_can_be_withdrawn(
    speed: np.ndarray, dtau: float
) -> None:
    impedance = shaped(dtau=dtau)
    torque = impedance.torque(np.zeros(7), -speed)
    assert torque @ speed <= 0.0, "it takes energy out of the arm"
    model = ArmModel(load_arm("panda"))
    inertia = model.inertia(model.frames(model.arm.home))
    braking = np.linalg.solve(inertia, torque)
    if np.abs(speed).max() > 1e-6:
        share = braking @ speed / (speed @ speed)
        np.testing.assert_allclose(braking, share * speed, atol=1e-9 * max(1.0, np.abs(share)))
        assert -2.0 * W <= share < 0.0
    # what a joint's torque does before it is withdrawn and while it is, together: no more than was wished
    slack = dtau / TICK / (2.0 * W)
    wish = np.abs(inertia @ (2.0 * W * speed))
    done = np.abs(torque) + torque**2 / (2.0 * slack)
    assert (done <= wish * (1 + 1e-9) + 1e-12).all()
    assert np.isclose(done, wish, rtol=1e-6, atol=1e-12).any()


@pytest.mark.parametrize(("mass", "speed"), [(3.75, 1.8), (0.2, 2.0)])
def test_rate_limited_torques_stop_a_joint_without_throwing_it_back(mass: float, speed: float) -> None:
    """One joint behind the limiter's rate, 10 ms of wire; the same without the yielding swings back hard."""
    dtau = limiter_parameters(load_arm("panda"), 1.0 / TICK).dtau[0]
    slack = dtau / TICK / (2.0 * W)

    def speeds(yielding: bool) -> np.ndarray:
        under_way, past, sent = [0.0, 0.0], [speed, speed], 0.0
        for _ in range(400):
            wish = -2.0 * W * mass * past[-2]
            if yielding:
                wish *= 2.0 / (1.0 + np.sqrt(1.0 + 2.0 * abs(wish) / slack))
            sent += float(np.clip(wish - sent, -dtau, dtau))
            under_way.append(sent)
            past.append(past[-1] + under_way.pop(0) * TICK / mass)
        return np.array(past)

    calm = speeds(yielding=True)
    assert np.abs(calm[-100:]).max() < 1e-3
    assert calm.min() > -0.06 * speed
    assert speeds(yielding=False).min() < -0.15 * speed
