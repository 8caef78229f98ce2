"""A small least-squares solver: Levenberg and Marquardt's, with the derivatives given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_STEPS = 100


def minimise(
    residuals: Callable[[Array], tuple[Array, Array]], start: Array, tolerance: float = 1e-10
) -> Array:
    """The parameters near `start` where the sum of squares is smallest.

    Each step is damped in proportion to the diagonal of JᵀJ, so that the units of the parameters do not
    matter (J. J. Moré: The Levenberg-Marquardt algorithm: implementation and theory, 1978).

    Args:
        residuals: gives residuals (m,) and their derivatives (m, n) at parameters (n,).
        start: parameters (n,).
        tolerance: it ends when a step promises to lower the sum by less than this share of it.
    """
    x = np.array(start, np.float64)
    r, slopes = residuals(x)
    cost, damping = float(r @ r), 1e-4
    for _ in range(MAX_STEPS):
        gradient, hessian = slopes.T @ r, slopes.T @ slopes
        scale = np.maximum(hessian.diagonal(), 1e-12 * hessian.diagonal().max() + 1e-300)
        step = np.linalg.solve(hessian + damping * np.diag(scale), -gradient)
        promised = -float(step @ (2.0 * gradient + hessian @ step))
        if promised <= tolerance * cost:
            break
        new_r, new_slopes = residuals(x + step)
        new_cost = float(new_r @ new_r)
        if new_cost < cost:
            x, r, slopes, cost = x + step, new_r, new_slopes, new_cost
            damping = max(0.1 * damping, 1e-12)
        else:  # NaN counts as worse
            damping *= 10.0
            if damping > 1e12:
                break
    return x
