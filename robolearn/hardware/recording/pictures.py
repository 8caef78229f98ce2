"""Pixels to and from the fields of sensor_msgs/Image and CompressedImage.

Compressed pictures follow image_transport's compressed plugin: the file holds BGR, `format` says
"rgb8; png compressed bgr8". Depth in metres is 32FC1; in millimetres, 16UC1 (REP-118).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError, choose

Pixels = NDArray[np.uint8] | NDArray[np.float32]

_LAYOUTS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    # encoding: (number type, channels in the message, which of them are red, green and blue)
    "rgb8": ("u1", 3, (0, 1, 2)),
    "bgr8": ("u1", 3, (2, 1, 0)),
    "rgba8": ("u1", 4, (0, 1, 2)),
    "bgra8": ("u1", 4, (2, 1, 0)),
    "mono8": ("u1", 1, (0, 0, 0)),
    "32FC1": ("f4", 1, ()),
    "16UC1": ("u2", 1, ()),
}
FORMATS = ("png", "jpeg")


def image_fields(pixels: Pixels) -> dict[str, Any]:
    """Fields of a sensor_msgs/Image, without its header, from RGB or from depth (height, width) [m].

    Raises:
        InputError: shape or type are neither.
    """
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3:
        encoding = "rgb8"
    elif pixels.dtype == np.float32 and pixels.ndim == 2:
        encoding = "32FC1"
    else:
        raise InputError(
            f"pixels are {pixels.dtype} {pixels.shape}; they must be uint8 (height, width, 3) or float32 "
            "(height, width)"
        )
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    height, width = pixels.shape[:2]
    return {
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": len(data) // height if height else 0,
        "data": data,
    }


def image_pixels(message: Any) -> Pixels:
    """RGB (height, width, 3) or depth (height, width) [m] from a sensor_msgs/Image.

    Raises:
        InputError: the encoding is unknown or the data has another size than it says.
    """
    encoding = choose("encoding of an image", message.encoding, _LAYOUTS)
    kind, channels, colours = _LAYOUTS[encoding]
    dtype = np.dtype(("<", ">")[bool(message.is_bigendian)] + kind)
    height, width, step, row = (
        message.height,
        message.width,
        message.step,
        message.width * channels * dtype.itemsize,
    )
    data = np.asarray(message.data, np.uint8)
    if step < row or len(data) != height * step:
        raise InputError(
            f"an image of {width}x{height} {encoding} has {len(data)} bytes in rows of {step}; a row must "
            f"have at least {row}, and all together {height} times as many as one"
        )
    rows = np.ascontiguousarray(data.reshape(height, step)[:, :row])
    values = rows.view(dtype).reshape(height, width, channels)
    if encoding == "rgb8":
        return values.copy()
    if encoding == "bgr8":
        return _swapped(values)
    if colours:
        return np.ascontiguousarray(values[:, :, colours])
    depth = values[:, :, 0].astype(np.float32)
    return depth / np.float32(1000) if kind == "u2" else depth


def compressed_fields(pixels: Pixels, format: str, quality: int = 95) -> dict[str, Any]:
    """Fields of a sensor_msgs/CompressedImage, without its header, from RGB (height, width, 3).

    Args:
        pixels: uint8.
        format: "png" keeps every bit; "jpeg" is smaller.
        quality: of jpeg, 1 to 100.

    Raises:
        InputError: the pixels are not RGB, or the format is unknown.
    """
    choose("format of a compressed image", format, FORMATS)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InputError(
            f"pixels to compress are {pixels.dtype} {pixels.shape}; they must be uint8 (height, width, 3), "
            "not empty; depth is sent as it is"
        )
    options = {"png": [cv2.IMWRITE_PNG_COMPRESSION, 1], "jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality]}
    done, data = cv2.imencode(f".{format}", np.ascontiguousarray(pixels[:, :, ::-1]), options[format])
    if not done:
        raise InputError(f"an image of {pixels.shape} cannot be written as {format}")
    return {"format": f"rgb8; {format} compressed bgr8", "data": data.reshape(-1)}


def compressed_pixels(message: Any) -> NDArray[np.uint8]:
    """RGB (height, width, 3) from a sensor_msgs/CompressedImage.

    Raises:
        InputError: the data cannot be decoded.
    """
    data = np.asarray(message.data, np.uint8)
    image: Any = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise InputError(
            f"a compressed image of format {message.format!r}, {len(data)} bytes, cannot be decoded"
        )
    return _swapped(image)


def _swapped(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB from BGR, or the other way round: OpenCV needs a tenth of NumPy's time for it."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8) if pixels.size else pixels.copy()
