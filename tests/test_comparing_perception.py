from __future__ import annotations

import numpy as np
import pytest

from robolearn.comparing import compare_command
from robolearn.comparing.compare import Compared
from robolearn.comparing.perception import split, spread
from robolearn.training.evaluation import Evaluation

UP = np.array([0.0, 0.0, 1.0])


def drawn(
    along: float, across: float, episodes: int = 40, frames: int = 50, seed: int = 0
) -> list[np.ndarray]:
    """Errors with a standard deviation along the z axis and one for each direction across."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0.0, [across, across, along], (frames, 3)) for _ in range(episodes)]


def test_an_error_is_split_into_its_parts() -> None:
    along, across = split(np.array([[3.0, 4.0, 2.0], [0.0, 0.0, -1.0]]), UP)
    np.testing.assert_allclose(along, [4.0, 1.0])
    np.testing.assert_allclose(across, [12.5, 0.0])
    axis = np.array([0.6, 0.0, 0.8])  # any axis will do
    along, across = split(np.array([[0.6, 2.0, 0.8]]), axis)
    np.testing.assert_allclose(along, [1.0])
    np.testing.assert_allclose(across, [2.0])


@pytest.mark.parametrize(("along", "across"), [(0.002, 0.002), (0.008, 0.001), (0.0005, 0.002)])
def test_it_finds_what_was_put_in_and_intervals_hold_it(along: float, across: float) -> None:
    found = spread(drawn(along, across), UP)
    assert found is not None
    assert found.along == pytest.approx(along, rel=0.06)
    assert found.across == pytest.approx(across, rel=0.06)
    assert found.ratio == pytest.approx(along / across, rel=0.08)
    for value, interval in (
        (along, found.along_interval),
        (across, found.across_interval),
        (along / across, found.ratio_interval),
    ):
        assert interval is not None
        assert interval[0] <= value <= interval[1]
        assert interval[1] - interval[0] < 0.25 * value
    assert (found.episodes, found.frames) == (40, 2000)


def test_an_error_without_direction_has_a_ratio_of_one_and_no_bias() -> None:
    found = spread(drawn(0.003, 0.003, episodes=200), UP)
    assert found is not None
    assert found.ratio == pytest.approx(1.0, abs=0.03)
    assert found.bias_along == pytest.approx(0.003 / np.sqrt(50), rel=0.15)  # of means over 50 frames


def test_what_is_the_same_in_every_frame_of_an_episode_is_bias_and_widens_the_interval() -> None:
    rng = np.random.default_rng(1)
    constant = [np.tile(rng.normal(0.0, 0.003, 3), (50, 1)) for _ in range(40)]
    found, noise = spread(constant, UP), spread(drawn(0.003, 0.003), UP)
    assert found is not None
    assert noise is not None
    assert found.bias_along == pytest.approx(found.along)
    assert found.bias_across == pytest.approx(found.across)
    assert found.along_interval is not None
    assert noise.along_interval is not None
    (low, high), (lower, higher) = found.along_interval, noise.along_interval
    assert high - low > 3 * (higher - lower)


def test_a_single_episode_has_no_interval_and_none_no_errors() -> None:
    found = spread([np.array([[0.0, 0.0, 0.001]]), np.zeros((0, 3))], UP)
    assert found is not None
    assert (found.along, found.across) == (0.001, 0.0)
    assert found.along_interval is None
    assert np.isfinite(found.ratio)
    assert spread([np.zeros((0, 3))], UP) is None
    assert spread([], UP) is None


def test_the_same_errors_give_the_same_interval() -> None:
    assert spread(drawn(0.001, 0.002), UP) == spread(drawn(0.001, 0.002), UP)


def test_of_what_is_implied_the_part_across_alone_is_printed() -> None:
    found = spread([np.ones((3, 3)), np.ones((2, 3))], np.array([0.0, 0.0, 1.0]))
    assert found is not None
    entry = Compared(Evaluation({}, [], [], []), "end to end", {"seen": found, "implied": found}, 0.0, None)
    seen, implied = compare_command._errors("a", entry)
    assert all(seen.values())
    empty = {title for title, cell in implied.items() if cell == ""}
    assert empty == {"along", "along/across", "bias along"}
