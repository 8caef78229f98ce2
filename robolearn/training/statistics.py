"""How sure one may be of a success rate, of a mean of several, and of a difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

from robolearn.errors import InputError


def wilson_interval(successes: int, episodes: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval in which the true success rate lies, given the successes among independent episodes.

    Unlike the textbook's plus or minus, it stays between 0 and 1 and keeps its width where all or none
    succeeded (Wilson, JASA 22, 1927).

    Raises:
        InputError: no episode, more successes than episodes, or a confidence outside 0 to 1.
    """
    if episodes < 1 or not 0 <= successes <= episodes:
        raise InputError(f"{successes} successes in {episodes} episodes: there is no such success rate")
    z = _normal_quantile(confidence)
    rate = successes / episodes
    spread = 1 + z * z / episodes
    centre = (rate + z * z / (2 * episodes)) / spread
    half = z / spread * math.sqrt(rate * (1 - rate) / episodes + (z / (2 * episodes)) ** 2)
    # the ends that are exactly 0 and 1 come out with rounding error
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    high = 1.0 if successes == episodes else min(centre + half, 1.0)
    return low, high


def mean_interval(rates: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The interval in which the mean of many rates lies, of which some are known: Student's t, in 0 to 1.

    It takes the rates to be spread like a bell; with a handful, and near 0 or 1, it is a hint. Rates that are
    all the same give an interval of no width: that says nothing.

    Raises:
        InputError: fewer than two rates, or a confidence outside 0 to 1.
    """
    if len(rates) < 2:
        raise InputError(f"{len(rates)} rates: it takes two to see how far they differ")
    _check(confidence)
    half = t_quantile(confidence, len(rates) - 1) * stdev(rates) / math.sqrt(len(rates))
    return max(fmean(rates) - half, 0.0), min(fmean(rates) + half, 1.0)


def difference_interval(lost: int, won: int, pairs: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval in which the difference of two success rates lies, tried in pairs of the same episode.

    Only the pairs that ended differently tell. Half a pair is added to each of the four ways in which two may
    end, without which the interval would be too narrow for few (Agresti and Min, Statistics in Medicine 24,
    2005).

    Args:
        lost: pairs in which only the first succeeded.
        won: pairs in which only the second did, whose rate minus the first one's is the difference.
        pairs: all of them.

    Raises:
        InputError: no pair, more of one kind than there are, or a confidence outside 0 to 1.
    """
    if pairs < 1 or min(lost, won) < 0 or lost + won > pairs:
        raise InputError(f"{lost} lost and {won} won of {pairs} pairs: there is no such comparison")
    z, every = _normal_quantile(confidence), pairs + 2
    difference = (won - lost) / every
    half = z * math.sqrt((won + lost + 1) / every - difference**2) / math.sqrt(every)
    return max(difference - half, -1.0), min(difference + half, 1.0)


def t_quantile(confidence: float, freedom: int) -> float:
    """The distance from 0 within which Student's t of so many degrees of freedom lies with `confidence`."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Probability of t within √freedom tan(angle) of 0 (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    odd = freedom % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total


def _normal_quantile(confidence: float) -> float:
    _check(confidence)
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _check(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence is {confidence}; it must lie between 0 and 1")
