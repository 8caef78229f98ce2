from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.policies.modular.goal import Goal, Sighting
from robolearn.policies.modular.labels import rotations


def sighting(position: float, yaw: float = 0.0, extra: float = 0.0) -> Sighting:
    vector = np.array([0.0, 0.0, yaw])
    return Sighting(np.full(3, position), rotations(vector), np.full(2, extra))


def yaw_of(rotation: np.ndarray) -> float:
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def test_the_first_sighting_is_believed_as_it_is() -> None:
    goal, first = Goal(0.9), sighting(1.0, 0.3, 2.0)
    assert goal.latest is None
    assert goal.add(first, 0.5) is first
    assert goal.latest is first


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(1e-3, 1.0)), min_size=1, max_size=12),
    st.floats(0.0, 1.0),
)
def test_it_is_the_mean_weighted_by_precision_and_by_age(
    seen: list[tuple[float, float]], memory: float
) -> None:
    goal = Goal(memory)
    for value, spread in seen:
        latest = goal.add(sighting(value, 0.1 * value, value), spread)
    ages = np.arange(len(seen))[::-1]
    weights = np.array([1.0 / spread**2 for _, spread in seen]) * memory**ages
    expected = np.average([value for value, _ in seen], weights=weights)
    np.testing.assert_allclose(latest.position, expected, atol=1e-9)
    np.testing.assert_allclose(latest.extra, expected, atol=1e-9)
    # rotations about one axis average as numbers do
    assert yaw_of(latest.rotation) == pytest.approx(0.1 * expected, abs=1e-9)


def test_noise_shrinks_with_the_root_of_the_frames_and_a_near_frame_outweighs_far_ones() -> None:
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(300):
        goal = Goal(1.0)
        for _ in range(16):
            latest = goal.add(sighting(float(rng.normal())), 1.0)
        ends.append(latest.position[0])
    assert np.std(ends) == pytest.approx(0.25, rel=0.15)
    goal = Goal(1.0)
    for _ in range(16):
        goal.add(sighting(1.0), 0.1)
    assert goal.add(sighting(0.0), 0.001).position[0] < 0.002


def test_it_follows_what_moves_and_forgets_when_told_to() -> None:
    goal = Goal(0.8)
    for _ in range(50):
        goal.add(sighting(0.0), 1.0)
    for _ in range(20):
        latest = goal.add(sighting(1.0), 1.0)
    assert latest.position[0] > 0.98
    goal.reset()
    assert goal.latest is None
    assert goal.add(sighting(5.0), 1.0).position[0] == 5.0
