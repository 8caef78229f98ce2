"""Lenses that distort: from where a pinhole camera would see a point to where the real one does, and back.

Points are (x, y) on the plane z = 1 of the optical frame; a pixel is (fx x + cx, fy y + cy). The models are
those of sensor_msgs/CameraInfo, with OpenCV's formulas and order of coefficients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError, choose

Array = NDArray[np.float64]

LENSES = {"none": 0, "plumb_bob": 5, "equidistant": 4}
"""Models and how many coefficients they have: k1 k2 p1 p2 k3, and the fisheye's k1 k2 k3 k4."""

_STEPS = 100
_WIDEST = 1.5  # rad from the optical axis; nothing farther off is on the plane z = 1, or as good as nothing


def distort(model: str, coefficients: tuple[float, ...], points: Array) -> Array:
    """Where the lens shows points (..., 2) of the pinhole camera.

    Raises:
        InputError: there is no such model.
    """
    choose("distortion model", model, LENSES)
    if model == "none":
        return points.copy()
    square = (points * points).sum(axis=-1, keepdims=True)
    if model == "plumb_bob":
        return points * _radial(coefficients, square) + _tangential(coefficients, points)
    radius = np.sqrt(square)
    bent = _bent(coefficients, np.arctan(radius))
    return points * np.divide(bent, radius, out=np.ones_like(radius), where=radius > 1e-12)


def undistort(model: str, coefficients: tuple[float, ...], points: Array) -> Array:
    """Where the pinhole camera shows points (..., 2) of the lens: the inverse of `distort`.

    A fisheye's points that are more than 86 degrees off the axis are taken to be there.

    Raises:
        InputError: there is no such model, or the coefficients bend the image back upon itself before the
            points are reached, as no lens does.
    """
    choose("distortion model", model, LENSES)
    if model == "none":
        return points.copy()
    if model == "equidistant":
        return _straightened(coefficients, points)
    return _unbrowned(coefficients, points)


def _radial(coefficients: tuple[float, ...], square: Array) -> Array:
    k1, k2, _, _, k3 = coefficients
    return 1.0 + square * (k1 + square * (k2 + square * k3))


def _tangential(coefficients: tuple[float, ...], points: Array) -> Array:
    _, _, p1, p2, _ = coefficients
    x, y = points[..., 0], points[..., 1]
    square = x * x + y * y
    return np.stack(
        (2.0 * p1 * x * y + p2 * (square + 2.0 * x * x), p1 * (square + 2.0 * y * y) + 2.0 * p2 * x * y),
        axis=-1,
    )


def _unbrowned(coefficients: tuple[float, ...], points: Array) -> Array:
    straight = points.copy()
    with np.errstate(all="ignore"):  # what does not converge is told below
        for _ in range(_STEPS):
            square = (straight * straight).sum(axis=-1, keepdims=True)
            straight = (points - _tangential(coefficients, straight)) / _radial(coefficients, square)
        off = np.abs(distort("plumb_bob", coefficients, straight) - points)
    if not (off < 1e-9).all():
        raise _folded("plumb_bob", coefficients)
    return straight


def _bent(coefficients: tuple[float, ...], angle: Array) -> Array:
    """Distance from the centre at which a fisheye shows what is `angle` [rad] off the axis."""
    k1, k2, k3, k4 = coefficients
    square = angle * angle
    return angle * (1.0 + square * (k1 + square * (k2 + square * (k3 + square * k4))))


def _straightened(coefficients: tuple[float, ...], points: Array) -> Array:
    angles = np.linspace(0.0, _WIDEST, 15_001)
    bent = _bent(coefficients, angles)
    falling = np.flatnonzero(np.diff(bent) <= 0.0)
    end = int(falling[0]) + 1 if falling.size else len(angles)
    radius = np.linalg.norm(points, axis=-1, keepdims=True)
    if falling.size and radius.max(initial=0.0) > bent[end - 1]:
        raise _folded("equidistant", coefficients)
    angle = np.interp(radius, bent[:end], angles[:end])
    k1, k2, k3, k4 = coefficients
    for _ in range(3):  # from 0.1 mrad off, Newton's method needs no more
        square = angle * angle
        slope = 1.0 + square * (3 * k1 + square * (5 * k2 + square * (7 * k3 + square * 9 * k4)))
        angle = np.clip(angle - (_bent(coefficients, angle) - radius) / slope, 0.0, _WIDEST)
    return points * np.divide(np.tan(angle), radius, out=np.ones_like(radius), where=radius > 1e-12)


def _folded(model: str, coefficients: tuple[float, ...]) -> InputError:
    return InputError(
        f"coefficients of the distortion {model!r} are {list(coefficients)}, which bends the image back upon "
        "itself; they must be those of a lens over the whole image: calibrate with views up to the edges"
    )
