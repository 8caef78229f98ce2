from __future__ import annotations

import numpy as np
import pytest

from robolearn.hardware.arm import load_arm
from robolearn.hardware.model import ArmModel
from robolearn.hardware.operational_space import Gains, clip_norm, hand_torque

ARM = load_arm("panda")
MODEL = ArmModel(ARM)
FRAMES = MODEL.frames(ARM.home)
JACOBIAN, INERTIA = MODEL.jacobian(FRAMES), MODEL.inertia(FRAMES)
REST, NOWHERE = np.zeros(ARM.n), np.zeros(3)


def torque(
    error: np.ndarray = NOWHERE,
    twist: np.ndarray = NOWHERE,
    dq: np.ndarray = REST,
    load: np.ndarray | None = None,
    posture: np.ndarray = ARM.home,
) -> np.ndarray:
    return hand_torque(Gains(), JACOBIAN, INERTIA, ARM.home, dq, posture, error, twist, load)


def acceleration(tau: np.ndarray) -> np.ndarray:
    """Of the hand, (6,), by the equation of motion at rest."""
    return JACOBIAN @ np.linalg.solve(INERTIA, tau)


def test_an_error_is_answered_by_stiffness_times_as_much_acceleration_and_by_nothing_else() -> None:
    error, twist = np.array([0.01, -0.02, 0.005]), np.array([0.1, 0.0, -0.05])
    expected = 36.0 * np.concatenate([error, twist])
    np.testing.assert_allclose(acceleration(torque(error, twist)), expected, atol=2e-3)


def test_a_velocity_is_damped_critically() -> None:
    dq = np.array([0.1, -0.05, 0.02, 0.1, 0.03, -0.1, 0.2])
    np.testing.assert_allclose(acceleration(torque(dq=dq)), -12.0 * JACOBIAN @ dq, atol=2e-3)


def test_far_errors_ask_for_no_more_than_the_speed() -> None:
    far = acceleration(torque(np.array([0.0, 10.0, 0.0])))
    np.testing.assert_allclose(far[:3], [0.0, 36.0 * 0.5 * 2 / 6, 0.0], atol=2e-3)


def test_a_load_is_a_force_at_the_hand() -> None:
    load = np.array([1.0, -2.0, 5.0])
    np.testing.assert_allclose(torque(load=load), JACOBIAN[:3].T @ load, atol=1e-9)


def test_what_pulls_at_the_posture_leaves_the_hand_where_it_is() -> None:
    tau = torque(posture=ARM.home + 0.3)
    assert np.abs(tau).max() > 0.05
    np.testing.assert_allclose(acceleration(tau), 0.0, atol=2e-3)


def test_a_clipped_vector_keeps_its_direction() -> None:
    vector = np.array([3.0, 4.0])
    assert clip_norm(vector, 5.0) is vector
    np.testing.assert_allclose(clip_norm(vector, 1.0), [0.6, 0.8])
    assert clip_norm(np.zeros(3), 0.0) == pytest.approx(np.zeros(3))
