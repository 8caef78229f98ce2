from __future__ import annotations

import numpy as np
import pytest

from robolearn.policies.modular.search import spiral, spiral_direction, spiral_length, swing

PITCH = 0.003


@pytest.mark.parametrize("pitch", [0.001, 0.003])
def test_no_place_within_reach_is_farther_from_the_spiral_than_half_a_turn(pitch: float) -> None:
    radius = 0.008
    ways = np.arange(0.0, spiral_length(radius + pitch, pitch), 1e-4)
    path = np.array([spiral(way, pitch) for way in ways])
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-radius, radius, 61)]), -1).reshape(-1, 2)
    places = grid[np.linalg.norm(grid, axis=1) <= radius]
    nearest = np.linalg.norm(places[:, None] - path[None], axis=2).min(1)
    assert nearest.max() <= 0.5 * pitch + 1e-4


def test_the_spiral_begins_in_the_middle_and_has_come_as_far_as_its_length_says() -> None:
    np.testing.assert_array_equal(spiral(0.0, PITCH), [0.0, 0.0])
    for radius in (0.003, 0.008):
        way = spiral_length(radius, PITCH)
        assert np.linalg.norm(spiral(way, PITCH)) == pytest.approx(radius)


def test_beyond_the_first_turn_the_point_moves_as_fast_as_the_way_grows() -> None:
    ways = np.linspace(spiral_length(PITCH, PITCH), spiral_length(0.01, PITCH), 50)
    step = 1e-5
    moved = [np.linalg.norm(spiral(way + step, PITCH) - spiral(way, PITCH)) / step for way in ways]
    np.testing.assert_allclose(moved, 1.0, atol=0.03)


def test_the_direction_is_that_of_the_motion() -> None:
    for way in (1e-4, 0.002, 0.02):
        step = spiral(way + 1e-9, PITCH) - spiral(way, PITCH)
        np.testing.assert_allclose(spiral_direction(way, PITCH), step / np.linalg.norm(step), atol=1e-4)


def test_a_swing_goes_to_both_sides_and_comes_back() -> None:
    angles = [swing(t, 2.0, 0.06) for t in (0.0, 0.5, 1.0, 1.5, 2.0)]
    np.testing.assert_allclose(angles, [0.0, 0.06, 0.0, -0.06, 0.0], atol=1e-12)
