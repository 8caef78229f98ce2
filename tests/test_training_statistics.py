from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.errors import InputError
from robolearn.training.statistics import wilson_interval


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
