"""How sure one may be of a success rate."""

from __future__ import annotations

import math
from statistics import NormalDist

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
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence is {confidence}; it must lie between 0 and 1")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / episodes
    spread = 1 + z * z / episodes
    centre = (rate + z * z / (2 * episodes)) / spread
    half = z / spread * math.sqrt(rate * (1 - rate) / episodes + (z / (2 * episodes)) ** 2)
    # the ends that are exactly 0 and 1 come out with rounding error
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    high = 1.0 if successes == episodes else min(centre + half, 1.0)
    return low, high
