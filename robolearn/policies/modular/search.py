"""Paths of a search for a hole that is near, but not where it was seen.

The tip slides over the rim along a spiral whose turns lie so close that no place is farther from it than the
chamfer reaches, and the peg's yaw swings to and fro meanwhile (Chhatpar and Branicky, IROS 2001, compare
such paths). Inside, a peg that has got stuck is rocked.
"""

from __future__ import annotations

from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def spiral(way: float, pitch: float) -> Array:
    """The point (2,) [m] of Archimedes' spiral with turns `pitch` [m] apart, after some way [m] along it.

    Beyond the first turn the way is nearly that of a circle a turn, r² pi / pitch, which is what is solved
    here: the point moves at constant speed but for the beginning, where it is slower.
    """
    angle = sqrt(4.0 * pi * way / pitch)
    radius = pitch * angle / (2.0 * pi)
    return np.array([radius * cos(angle), radius * sin(angle)])


def spiral_direction(way: float, pitch: float) -> Array:
    """The unit vector (2,) along the spiral."""
    angle = sqrt(4.0 * pi * way / pitch)
    tangent = np.array([cos(angle) - angle * sin(angle), sin(angle) + angle * cos(angle)])
    return np.asarray(tangent / np.linalg.norm(tangent))


def spiral_length(radius: float, pitch: float) -> float:
    """The way along the spiral [m] until it is `radius` [m] away from where it began."""
    return pi * radius**2 / pitch


def swing(seconds: float, period: float, amplitude: float) -> float:
    """A to and fro of some period [s], beginning at 0."""
    return amplitude * sin(2.0 * pi * seconds / period)
