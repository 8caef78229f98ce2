"""A sum tree: draw numbers in proportion to weights that change all the time (Schaul et al., ICLR 2016)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class SumTree:
    """Weights at the leaves of a binary tree; every node holds the sum of its two children.

    Each sum is made anew from the children, so that rounding errors do not pile up.

    Args:
        weights: from 0 up, (N,).
    """

    def __init__(self, weights: Array) -> None:
        self._levels = max(int(np.ceil(np.log2(len(weights)))), 0)
        self._leaf = 1 << self._levels
        self._nodes = np.zeros(2 * self._leaf)  # node i has the children 2 i and 2 i + 1; the root is 1
        self._nodes[self._leaf : self._leaf + len(weights)] = weights
        for level in range(self._levels - 1, -1, -1):
            children = self._nodes[2 << level : 4 << level]
            self._nodes[1 << level : 2 << level] = children[0::2] + children[1::2]

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self._nodes[1])

    def __getitem__(self, index: Indices) -> Array:
        return self._nodes[self._leaf + index]

    def update(self, index: Indices, weights: Array) -> None:
        """Set the weights (B,) of the leaves `index` (B,); of one named twice the last counts."""
        node = self._leaf + index
        self._nodes[node] = weights
        for _ in range(self._levels):
            node = node >> 1
            self._nodes[node] = self._nodes[2 * node] + self._nodes[2 * node + 1]

    def draw(self, size: int, rng: np.random.Generator) -> Indices:
        """Leaves in proportion to their weights, (size,); never one of weight 0."""
        left_over = rng.random(size) * self.total
        node = np.ones(size, np.int64)
        for _ in range(self._levels):
            node *= 2
            left = self._nodes[node]
            # Rounding may leave a little too much: an empty branch is never taken, whatever is left over.
            right = (left_over >= left) & (self._nodes[node + 1] > 0.0)
            left_over -= np.where(right, left, 0.0)
            node += right
        return node - self._leaf
