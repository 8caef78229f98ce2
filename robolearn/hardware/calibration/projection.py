"""How a physical camera sees: a pinhole behind a lens that distorts, by the models that ROS has names for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.hardware.calibration.least_squares import minimise
from robolearn.hardware.lens import LENSES
from robolearn.hardware.station import StationCamera

Array = NDArray[np.float64]

MAX_SLOPE = 5.0
"""Rays further than 79 degrees off the axis are too flat to begin with when a pose is sought; they count
later."""


@dataclass(frozen=True)
class Lens:
    """A camera's intrinsics.

    Attributes:
        width, height: of its images [pixels].
        fx, fy, cx, cy: focal lengths and principal point [pixels].
        model: of the distortion, a key of LENSES.
        coefficients: of the distortion, in OpenCV's order [-].
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        choose("model of distortion", self.model, LENSES)
        checks.vector(f"coefficients of {self.model}", self.coefficients, LENSES[self.model])

    @property
    def matrix(self) -> Array:
        """Intrinsic matrix K (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def _distortion(self) -> Array:
        return np.array(self.coefficients or (0.0,) * 5)

    def project(self, points: Array, rotation: Array, translation: Array) -> tuple[Array, Array, Array]:
        """Where points are seen.

        Args:
            points: (m, 3) [m].
            rotation: rotation vector (3,) [rad] and
            translation: translation (3,) [m] that take the points to the camera's optical frame.

        Returns:
            Pixels (m, 2), and their derivatives by rotation vector and translation (2 m, 6), and by fx, fy,
            cx, cy and the coefficients (2 m, 4 + k).
        """
        arguments: tuple[Any, ...] = (rotation, translation, self.matrix, self._distortion)
        if self.model == "equidistant":
            pixels, slopes = cv2.fisheye.projectPoints(points.reshape(-1, 1, 3), *arguments)
            pose, lens = slopes[:, 8:14], slopes[:, :8]
        else:
            pixels, slopes = cv2.projectPoints(points, *arguments)
            pose, lens = slopes[:, :6], slopes[:, 6 : 10 + len(self.coefficients)]
        return np.asarray(pixels, np.float64).reshape(-1, 2), np.asarray(pose), np.asarray(lens)

    def rays(self, pixels: Array) -> Array:
        """Where the rays of pixels (m, 2) meet the plane one metre before the camera: x and y (m, 2) [m]; not
        finite, or far out, for those that a fisheye sees beside or behind it."""
        arguments: tuple[Any, ...] = (pixels.reshape(-1, 1, 2), self.matrix, self._distortion)
        undistort = cv2.fisheye.undistortPoints if self.model == "equidistant" else cv2.undistortPoints
        return np.asarray(undistort(*arguments), np.float64).reshape(-1, 2)

    def pose_of(self, points: Array, pixels: Array) -> Array:
        """Pose (4, 4) in the optical frame of a flat thing whose points (m, 3), z = 0, are seen at (m, 2).

        Raises:
            InputError: no pose explains the pixels.
        """
        rays = self.rays(pixels)
        ahead = np.linalg.norm(rays, axis=1) < MAX_SLOPE
        flags, found = cv2.SOLVEPNP_IPPE, False
        if ahead.sum() >= 4:
            found, turn, shift = cv2.solvePnP(points[ahead], rays[ahead], np.eye(3), None, flags=flags)
        if not found or not np.isfinite([turn, shift]).all():
            raise InputError("no pose of the board explains where its corners are seen")

        def residuals(x: Array) -> tuple[Array, Array]:
            seen, slopes, _ = self.project(points, x[:3], x[3:])
            return (seen - pixels).ravel(), slopes

        x = minimise(residuals, np.concatenate([turn.ravel(), shift.ravel()]))
        return pose(rotation_of(x[:3]), x[3:])


def lens_of(camera: StationCamera) -> Lens:
    """The lens of a station's camera."""
    numbers = (camera.fx, camera.fy, camera.cx, camera.cy)
    return Lens(camera.width, camera.height, *numbers, camera.distortion, camera.coefficients)


def pose(rotation: Array, translation: Array) -> Array:
    """Matrix (4, 4) of a rotation (3, 3) and a translation (3,)."""
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = rotation, np.ravel(translation)
    return result


def inverse(transform: Array) -> Array:
    """Of a rigid transform (4, 4)."""
    turned = transform[:3, :3].T
    return pose(turned, -turned @ transform[:3, 3])


def rotation_vector(rotation: Array) -> Array:
    """(3,) [rad] of a rotation (3, 3)."""
    return np.asarray(cv2.Rodrigues(rotation)[0], np.float64).ravel()


def rotation_of(vector: Array) -> Array:
    """Rotation (3, 3) of a rotation vector (3,) [rad]."""
    return np.asarray(cv2.Rodrigues(np.asarray(vector, np.float64))[0], np.float64)


def quaternion_of(rotation: Array) -> tuple[float, float, float, float]:
    """Quaternion (w, x, y, z), w >= 0, of a rotation (3, 3)."""
    vector = rotation_vector(rotation)
    half = 0.5 * float(np.linalg.norm(vector))
    x, y, z = (float(v) for v in 0.5 * vector * np.sinc(half / np.pi))
    return float(np.cos(half)), x, y, z
