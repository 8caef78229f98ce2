"""Cameras with lenses, as real ones have them: drawn as a larger pinhole picture, then bent.

MuJoCo draws for pinholes with square pixels and the principal point at the centre. So a camera with any
intrinsics and any distortion is drawn through a pinhole that sees at least as much, in pixels as fine as its
finest, and each of its pixels looks up where the pinhole shows its ray. What a policy is shown of it comes
about by the inverse of that (`robolearn.hardware.viewing`), as at a real arm.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.scene import Scene
from robolearn.envs.views import View
from robolearn.errors import InputError
from robolearn.hardware.lens import undistort
from robolearn.hardware.settings import StationCamera
from robolearn.hardware.station import Station

LARGEST = 4096
"""Pixels along a side of what is drawn, at most: a lens that needs more sees nearly sideways."""


def lenses(station: Station) -> dict[str, StationCamera]:
    """A station's cameras that distort, by name."""
    return {camera.name: camera for camera in station.cameras if camera.distortion != "none"}


class Lens:
    """What a camera makes of the picture of a pinhole at its place.

    Args:
        view: the task's camera, which says where it stands.
        camera: its size, intrinsics and distortion.

    Attributes:
        view: the pinhole to draw, at the same place.

    Raises:
        InputError: the lens bends the image back upon itself, or sees too far to the side to be drawn.
    """

    def __init__(self, view: View, camera: StationCamera) -> None:
        columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        points = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy], -1)
        rays = undistort(camera.distortion, camera.coefficients, points)
        steps = [np.linalg.norm(np.diff(rays, axis=axis), axis=-1).ravel() for axis in (0, 1)]
        finest = float(np.concatenate(steps).min(initial=1.0 / max(camera.fx, camera.fy)))
        finest = max(finest, 1e-9)  # beyond what it can undo, `undistort` answers with one ray for all pixels
        half = np.abs(rays).max(axis=(0, 1)) + 2.0 * finest
        width, height = (2 * math.ceil(side / finest) for side in half.tolist())
        if not max(width, height) <= LARGEST:
            raise InputError(
                f"the lens of camera {camera.name!r} ({camera.distortion}, {camera.width} x {camera.height}, "
                f"coefficients {list(camera.coefficients)}) would have to be drawn in {width} x {height} "
                f"pixels; at most {LARGEST} a side can be: make it narrower or its picture smaller"
            )
        fovy = 2.0 * math.atan(height * finest / 2.0)
        self._widening = math.tan(fovy / 2.0) / math.tan(view.fovy / 2.0)
        self.view = replace(view, fovy=fovy, width=width, height=height)
        self._map = cv2.convertMaps(
            (rays[..., 0] / finest + (width - 1) / 2).astype(np.float32),
            (rays[..., 1] / finest + (height - 1) / 2).astype(np.float32),
            cv2.CV_16SC2,
        )

    def widen(self, scene: Scene) -> None:
        """Let the scene's camera see as the pinhole does, whatever it saw; to be done once after a reset."""
        camera = scene.model.camera(self.view.name).id
        slope = math.tan(math.radians(scene.model.cam_fovy[camera]) / 2.0) * self._widening
        scene.model.cam_fovy[camera] = math.degrees(2.0 * math.atan(slope))

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The camera's picture (height, width, 3) from that of the pinhole."""
        columns, rows = self._map
        return np.asarray(cv2.remap(pixels, columns, rows, cv2.INTER_LINEAR), np.uint8)
