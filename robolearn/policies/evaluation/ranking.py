"""How well estimates rank policies whose success is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError


@dataclass(frozen=True)
class Ranking:
    """What became of some estimates.

    Attributes:
        spearman: correlation of the ranks, from -1 to 1 (Spearman, 1904); ties share their mean rank.
        regret: how much better the best policy is than the one with the highest estimate (regret@1).
        error: mean absolute difference between estimate and truth.
        slope: of the truth over the estimate, by least squares; 1 where differences come out at their size.
        covered: share of the truths that lie in their estimates' intervals; None without intervals.
    """

    spearman: float
    regret: float
    error: float
    slope: float
    covered: float | None


def ranking(
    estimates: Sequence[float],
    truths: Sequence[float],
    success: Sequence[float],
    intervals: Sequence[tuple[float, float]] | None = None,
) -> Ranking:
    """Compare estimates with what is known.

    Args:
        estimates: one a policy.
        truths: of the same quantity.
        success: rates of success: what policies are ranked by and what a wrong choice costs.
        intervals: of the estimates.

    Raises:
        InputError: fewer than two policies, or lists of different lengths.
    """
    lengths = {len(estimates), len(truths), len(success), len(estimates if intervals is None else intervals)}
    if len(lengths) > 1 or min(lengths) < 2:
        raise InputError(f"there are {sorted(lengths)} entries; there must be as many of all, from 2 up")
    estimated, true, rate = (np.asarray(values, np.float64) for values in (estimates, truths, success))
    spread = estimated - estimated.mean()
    inside = None
    if intervals is not None:
        bounds = np.asarray(intervals, np.float64)
        inside = float(((bounds[:, 0] <= true) & (true <= bounds[:, 1])).mean())
    return Ranking(
        spearman=spearman(estimated, rate),
        regret=float(rate.max() - rate[int(np.argmax(estimated))]),
        error=float(np.abs(estimated - true).mean()),
        slope=float(spread @ true / (spread @ spread)) if spread.any() else 0.0,
        covered=inside,
    )


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Correlation of two lists' ranks; 0 where one of them is all the same."""
    first, second = _ranks(a), _ranks(b)
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norm if norm else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[place], np.float64)
