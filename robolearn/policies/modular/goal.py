"""Where the hand has to go, from many frames.

Hole and object stand still, so that every frame measures the same thing again: the hand's pose at its goal,
in the base frame. What was seen from near counts more than what was seen from afar, and what is old counts
less than what is new, because a frame's error is mostly that of the frame before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robolearn.hardware.operational_space import rotation_error
from robolearn.policies.modular.labels import rotations

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sighting:
    """What one frame says of the goal, or many together.

    Attributes:
        position: of the grip point at the goal (3,) [m], base frame.
        rotation: of the hand there (3, 3), base frame.
        extra: what else is seen and stands still, such as the place of the tip in the hand (m,).
    """

    position: Array
    rotation: Array
    extra: Array


class Goal:
    """The mean of sightings, each weighted by its precision and fading.

    Args:
        memory: share of its weight that a sighting keeps from one frame to the next, from 0 (only the latest
            counts) to 1 (a plain weighted mean).
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.latest: Sighting | None = None
        self._weight = 0.0

    def add(self, seen: Sighting, spread: float) -> Sighting:
        """Take a frame in.

        Args:
            seen: what it says.
            spread: how far off that may be, above 0 [m]; only its ratio to the other frames' matters.

        Returns:
            what all frames say together.
        """
        weight = 1.0 / spread**2
        self._weight = self._memory * self._weight + weight
        if self.latest is None:
            self.latest = seen
            return seen
        gain = weight / self._weight
        before = self.latest
        # the mean of rotations that are near to one another, by a step along the shortest arc
        turn = rotations(gain * rotation_error(seen.rotation, before.rotation))
        self.latest = Sighting(
            before.position + gain * (seen.position - before.position),
            turn @ before.rotation,
            before.extra + gain * (seen.extra - before.extra),
        )
        return self.latest
