"""Errors of where the hole is believed to be, along the insertion's axis and across it.

The claim to be looked at is that of Levine et al. (JMLR 17(39), 2016): training end to end leaves errors
where they do no harm. A peg that is driven down until it is in forgives an error along the axis, and none
across it. So for each frame near the hole there is an error vector; its part along the axis and its part
across, the latter for each of the two directions across, would be equal for an error that has no direction.
Their ratio says where a system leaves its error; the part across alone says how well it sees what matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 1000
"""Of episodes, with repetition, for an interval."""


@dataclass(frozen=True)
class Spread:
    """How large errors are, as root mean squares, with 95% intervals over episodes.

    Attributes:
        along: of the part along the axis [m].
        across: of the part across it, for each direction [m].
        ratio: along over across; 1 for errors without a direction.
        along_interval, across_interval, ratio_interval: (low, high); None for fewer than two episodes.
        bias_along, bias_across: of an episode's mean error, which no filter over frames takes away [m].
        episodes, frames: how many were looked at.
    """

    along: float
    across: float
    ratio: float
    along_interval: tuple[float, float] | None
    across_interval: tuple[float, float] | None
    ratio_interval: tuple[float, float] | None
    bias_along: float
    bias_across: float
    episodes: int
    frames: int


def split(errors: Array, axis: Array) -> tuple[Array, Array]:
    """Mean squares of errors (T, 3) along an axis (3,) of length 1, and for each direction across it."""
    along = errors @ axis
    whole = np.einsum("ti,ti->t", errors, errors)
    return along**2, 0.5 * np.maximum(whole - along**2, 0.0)


def spread(episodes: Sequence[Array], axis: Array, seed: int = 0) -> Spread | None:
    """How large errors are over episodes.

    Every frame counts alike. The interval draws whole episodes anew (Efron's bootstrap), because the frames
    of one are no independent witnesses.

    Args:
        episodes: errors of each (T, 3) [m]; those without a frame say nothing.
        axis: of the insertion (3,), length 1.
        seed: of the draws.

    Returns:
        None where no frame is left.
    """
    kept = [np.asarray(errors, float) for errors in episodes if len(errors)]
    if not kept:
        return None
    parts = [split(errors, axis) for errors in kept]
    sums = np.array([(along.sum(), across.sum(), len(along)) for along, across in parts])
    means = np.array([errors.mean(0) for errors in kept])
    bias_along, bias_across = split(means, axis)
    along, across = _roots(sums.sum(0))
    ends: list[tuple[float, float] | None] = [None] * 3
    if len(kept) > 1:
        drawn = np.random.default_rng(seed).integers(len(kept), size=(DRAWS, len(kept)))
        totals = sums[drawn].sum(1)
        alongs, acrosses = np.sqrt(totals[:, 0] / totals[:, 2]), np.sqrt(totals[:, 1] / totals[:, 2])
        ends = [_middle(values) for values in (alongs, acrosses, _ratio(alongs, acrosses))]
    return Spread(
        along,
        across,
        float(_ratio(np.array(along), np.array(across))),
        *(ends[0], ends[1], ends[2]),
        float(np.sqrt(bias_along.mean())),
        float(np.sqrt(bias_across.mean())),
        len(kept),
        int(sums[:, 2].sum()),
    )


def _roots(total: Array) -> tuple[float, float]:
    return float(np.sqrt(total[0] / total[2])), float(np.sqrt(total[1] / total[2]))


def _ratio(along: Array, across: Array) -> Array:
    """Along over across; an error that has no part across at all is as far along as a number goes."""
    return np.asarray(along / np.maximum(across, np.finfo(float).tiny))


def _middle(values: Array) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
