from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.errors import InputError
from robolearn.training.statistics import difference_interval, mean_interval, t_quantile, wilson_interval


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # R. G. Newcombe, Statistics in Medicine 17, 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(successes: int, episodes: int, low: float, high: float) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_it_holds_the_rate_and_mirrors(episodes: int, share: float, confidence: float) -> None:
    successes = round(share * episodes)
    low, high = wilson_interval(successes, episodes, confidence)
    assert 0.0 <= low <= successes / episodes <= high <= 1.0
    assert low < high
    mirrored = wilson_interval(episodes - successes, episodes, confidence)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-12)


@given(st.integers(0, 50), st.integers(1, 50))
def test_ten_times_the_episodes_tell_more(successes: int, failures: int) -> None:
    episodes = successes + failures
    low, high = wilson_interval(successes, episodes)
    closer, nearer = wilson_interval(10 * successes, 10 * episodes)
    assert nearer - closer < high - low


@pytest.mark.parametrize("counts", [(0, 0), (-1, 3), (4, 3)])
def test_impossible_counts(counts: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{counts[0]} successes in {counts[1]} episodes"):
        wilson_interval(*counts)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, float("nan")])
def test_impossible_confidence(confidence: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        wilson_interval(1, 2, confidence)


# --- a mean of several rates ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("confidence", "freedom", "quantile"),
    [  # of any printed table
        (0.95, 1, 12.706),
        (0.95, 2, 4.303),
        (0.95, 4, 2.776),
        (0.90, 5, 2.015),
        (0.99, 10, 3.169),
        (0.95, 120, 1.980),
    ],
)
def test_students_distribution(confidence: float, freedom: int, quantile: float) -> None:
    assert t_quantile(confidence, freedom) == pytest.approx(quantile, abs=5e-4)


def test_the_mean_of_trainings() -> None:
    low, high = mean_interval([0.90, 0.92, 0.94])
    assert (low, high) == pytest.approx(
        (0.92 - 4.3027 * 0.02 / 3**0.5, 0.92 + 4.3027 * 0.02 / 3**0.5), abs=1e-5
    )
    assert mean_interval([0.9, 1.0]) == (pytest.approx(0.3147, abs=1e-4), 1.0)
    assert mean_interval([0.75, 0.75, 0.75]) == (0.75, 0.75)


@pytest.mark.parametrize("rates", [[], [0.5]])
def test_one_training_says_nothing_about_others(rates: list[float]) -> None:
    with pytest.raises(InputError, match=f"{len(rates)} rates"):
        mean_interval(rates)


# --- a difference in pairs ------------------------------------------------------------------------------


def test_a_published_difference() -> None:
    """A. Agresti, Categorical Data Analysis, 2002, section 10.1: 1600 people asked twice."""
    assert difference_interval(150, 86, 1600) == pytest.approx((-0.06, -0.02), abs=2e-3)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
def test_it_holds_no_difference_if_as_many_are_won_as_lost(lost: int, won: int, same: int) -> None:
    pairs = lost + won + same + 1
    low, high = difference_interval(lost, won, pairs)
    assert -1.0 <= low < high <= 1.0
    assert (-high, -low) == pytest.approx(difference_interval(won, lost, pairs))
    low, high = difference_interval(lost, lost, 2 * lost + same + 1)
    assert low < 0.0 < high


@pytest.mark.parametrize("counts", [(0, 0, 0), (-1, 0, 3), (2, 2, 3)])
def test_impossible_pairs(counts: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="there is no such comparison"):
        difference_interval(*counts)
