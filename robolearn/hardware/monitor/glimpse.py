"""Enough of an image to tell a dead camera from a living one."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from robolearn.hardware.wire import Picture


class Glimpse(NamedTuple):
    """What the monitor is told of an image.

    Attributes:
        stamp: when it was taken [ns].
        camera: its name in the station.
        digest: of all pixels; two images that differ have different ones, in practice.
        brightness: in [0, 1]; for depth, share of pixels that have one.
    """

    stamp: int
    camera: str
    digest: int
    brightness: float


def take(picture: Picture) -> Glimpse:
    """Look at an image, uint8 (height, width, 3) or float32 (height, width) depth [m]."""
    pixels = np.ascontiguousarray(picture.pixels)
    if pixels.dtype == np.uint8:
        brightness = float(pixels[::4, ::4].mean()) / 255.0
    else:
        brightness = float((np.isfinite(pixels) & np.greater(pixels, 0.0)).mean())
    return Glimpse(picture.stamp, picture.camera, zlib.crc32(pixels.data), brightness)
