"""From what a physical camera sees to what a policy is shown: one map, made once, applied to every picture.

Each pixel of the policy's virtual camera is a ray. The map takes it into the physical camera's frame, where
that one is mounted a little differently, and through the lens onto the physical picture: it undistorts,
rotates, crops and resizes in one go. Where the physical picture is the finer one, each pixel is the mean of a
grid of rays, so that nothing finer than a pixel flickers. Pictures of a camera that is the virtual one pass
bit by bit.

A difference in position cannot be undone (things would shift by their distance); contracts bound it.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robolearn.camera import Camera, pixel_map, uncovered
from robolearn.errors import InputError
from robolearn.hardware.lens import distort
from robolearn.hardware.station import StationCamera, offered_camera

Array = NDArray[np.float64]

SAME = 1e-6
"""Pixels that differ by less from where they are looked for are the same."""

FINEST = 16
"""Rays along each side of a pixel, at most: a picture that is still finer is looked at in gaps."""


class ViewMap:
    """Makes a virtual camera's pictures from a physical camera's.

    Args:
        required: the virtual camera.
        camera: the physical one.

    Raises:
        InputError: the encodings or frames differ, or the physical picture does not hold the virtual one.
    """

    def __init__(self, required: Camera, camera: StationCamera) -> None:
        offered = offered_camera(camera)
        thing = f"camera {required.name!r}"
        for name in ("encoding", "frame"):
            if (need := getattr(required, name)) != (given := getattr(offered, name)):
                raise InputError(f"{thing} has {name} {given!r}; the policy requires {need!r}")
        if missing := uncovered(required, offered):
            raise InputError(f"{thing} does not cover the field of view: its image is {missing}")
        self._shape = (camera.height, camera.width)
        self._depth = required.encoding == "depth"
        self._fine = 1 if self._depth else _fineness(required, camera)
        u, v, ratio = _lookup(required, camera, self._fine)
        same = camera.distortion == "none" and self._shape == (required.height, required.width)
        columns, rows = np.meshgrid(np.arange(required.width), np.arange(required.height))
        self.identity = bool(
            same and self._fine == 1 and max(np.abs(u - columns).max(), np.abs(v - rows).max()) < SAME
        )
        """Whether pictures pass unchanged."""
        self._maps = cv2.convertMaps(u.astype(np.float32), v.astype(np.float32), cv2.CV_16SC2)
        self._exact = u.astype(np.float32), v.astype(np.float32)
        self._ratio = ratio.astype(np.float32)

    def __call__(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The virtual camera's picture.

        Args:
            pixels: the physical camera's, uint8 (height, width, 3) RGB or float32 (height, width) depth [m].

        Returns:
            the same kind, in the virtual camera's size.

        Raises:
            InputError: the picture is not of the camera's size or kind.
        """
        kind, ndim = (np.float32, 2) if self._depth else (np.uint8, 3)
        if pixels.shape[:2] != self._shape or pixels.ndim != ndim or pixels.dtype != kind:
            raise InputError(
                f"a picture is {pixels.dtype} of shape {pixels.shape}; this camera's are {np.dtype(kind)} of "
                f"height and width {self._shape}"
            )
        if self.identity:
            return pixels
        if self._depth:
            # depth between two things is of neither: the nearest reading is taken, never a mean
            nearest = cv2.remap(pixels, *self._exact, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            return np.asarray(nearest / self._ratio, np.float32)
        fine = cv2.remap(pixels, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if self._fine == 1:
            return np.asarray(fine)
        height, width = fine.shape[0] // self._fine, fine.shape[1] // self._fine
        return np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA))


def _fineness(required: Camera, camera: StationCamera) -> int:
    """Rays along each side of a virtual pixel so that no physical pixel is passed over."""
    u, v, _ = _lookup(required, camera, 1)
    steps = [np.hypot(np.diff(u, axis=axis), np.diff(v, axis=axis)) for axis in (0, 1)]
    largest = max((float(step.max()) for step in steps if step.size), default=1.0)
    return min(max(ceil(largest - 1e-3), 1), FINEST)


def _lookup(required: Camera, camera: StationCamera, fine: int) -> tuple[Array, Array, Array]:
    """Where in the physical picture each ray of the virtual camera is found.

    Args:
        fine: rays along each side of a pixel.

    Returns:
        column and row [pixels], and depth in the physical camera over depth in the virtual one;
        (fine height, fine width) each.
    """
    offered = offered_camera(camera)
    # the centres of the parts of pixels, in units of pixels: (k + 0.5) / fine - 0.5
    columns = (np.arange(required.width * fine) + 0.5) / fine - 0.5
    rows = (np.arange(required.height * fine) + 0.5) / fine - 0.5
    u, v = np.meshgrid(columns, rows)
    h = pixel_map(required, offered)
    a, b, c = (h[i, 0] * u + h[i, 1] * v + h[i, 2] for i in range(3))
    if not (c > 0.0).all():
        raise InputError(f"camera {required.name!r}: a part of the view lies behind the physical camera")
    u, v = a / c, b / c
    if camera.distortion == "none":
        return u, v, c
    rays = np.stack([(u - offered.cx) / offered.fx, (v - offered.cy) / offered.fy], -1)
    bent = distort(camera.distortion, camera.coefficients, rays)
    return camera.fx * bent[..., 0] + camera.cx, camera.fy * bent[..., 1] + camera.cy, c
