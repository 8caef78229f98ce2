from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from robolearn.camera import Camera
from robolearn.errors import InputError
from robolearn.hardware.station import StationCamera
from robolearn.hardware.viewing import ViewMap

ROTATION = (1.0, 0.0, 0.0, 0.0)


def physical(**changes: Any) -> StationCamera:
    given: dict[str, Any] = dict(
        name="front",
        topic="/front",
        transport="raw",
        encoding="rgb8",
        width=640,
        height=480,
        fx=500.0,
        fy=505.0,
        cx=318.0,
        cy=241.0,
        distortion="none",
        coefficients=(),
        frame="base",
        position=(0.0, 0.0, 0.0),
        quaternion=ROTATION,
        rate=30.0,
        delay=0.01,
    )
    return StationCamera(**{**given, **changes})


def virtual(size: int = 64, fovy: float = 0.5, **changes: Any) -> Camera:
    camera = Camera.from_fovy("front", size, size, fovy, "base", (0.0, 0.0, 0.0), ROTATION)
    return replace(camera, **changes)


def of(camera: Camera, **changes: Any) -> StationCamera:
    """A physical camera that is a virtual one."""
    pinhole = {name: getattr(camera, name) for name in ("width", "height", "fx", "fy", "cx", "cy")}
    return physical(**pinhole, position=camera.position, quaternion=camera.quaternion, **changes)


def scene(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What stands in the direction (x, y, 1): smooth colours, uint8 (..., 3)."""
    waves = [np.sin(9 * x + 2), np.cos(7 * y), np.sin(5 * x - 8 * y)]
    return np.rint(127.5 + 100 * np.stack(waves, -1)).astype(np.uint8)


def rays(camera: Camera | StationCamera, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    return (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy


def seen(camera: StationCamera) -> np.ndarray:
    """The picture that a physical camera takes of `scene`."""
    x, y = rays(camera, camera.height, camera.width)
    if camera.distortion == "plumb_bob":
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
        pixels = np.stack([x * camera.fx + camera.cx, y * camera.fy + camera.cy], -1).reshape(-1, 1, 2)
        found = cv2.undistortPoints(pixels, matrix, np.array(camera.coefficients)).reshape(*x.shape, 2)
        x, y = found[..., 0], found[..., 1]
    elif camera.distortion == "equidistant":
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
        pixels = np.stack([x * camera.fx + camera.cx, y * camera.fy + camera.cy], -1).reshape(-1, 1, 2)
        found = cv2.fisheye.undistortPoints(pixels, matrix, np.array(camera.coefficients))
        x, y = found.reshape(*x.shape, 2)[..., 0], found.reshape(*x.shape, 2)[..., 1]
    return scene(x, y)


def test_a_camera_that_is_the_virtual_one_passes_bit_by_bit() -> None:
    camera = virtual(
        quaternion=(0.2265127954847529, -0.6698447234110921, -0.6698447234110921, 0.2265127954847529)
    )
    view = ViewMap(camera, of(camera))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert view.identity
    assert np.array_equal(view(pixels), pixels)


@pytest.mark.parametrize(
    ("distortion", "coefficients"),
    [
        ("none", ()),
        ("plumb_bob", (-0.25, 0.08, 0.001, -0.002, 0.0)),
        ("equidistant", (-0.02, 0.004, -0.001, 0.0)),
    ],
)
@pytest.mark.parametrize("turn", [0.0, 0.04])
def test_the_virtual_picture_is_what_the_virtual_camera_would_see(
    distortion: str, coefficients: tuple[float, ...], turn: float
) -> None:
    camera = physical(distortion=distortion, coefficients=coefficients)
    need = virtual(quaternion=(np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2)))
    x, y = rays(need, 64, 64)
    c, s = np.cos(turn), np.sin(turn)
    expected = scene(c * x - s * y, s * x + c * y)
    found = ViewMap(need, camera)(seen(camera))
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 3


def test_what_is_finer_than_a_pixel_becomes_its_mean() -> None:
    """A checkerboard of single pixels, looked at ten times coarser, is grey and not a pattern of its own."""
    camera = physical(width=640, height=640, fx=1250.0, fy=1250.0, cx=319.5, cy=319.5)
    board = np.indices((640, 640)).sum(0) % 2 * 255
    pixels = np.repeat(board[..., None], 3, -1).astype(np.uint8)
    need = replace(virtual(), fx=130.0, fy=130.0)
    found = ViewMap(need, camera)(pixels)
    assert found.min() >= 115
    assert found.max() <= 140


def test_depth_is_never_a_mean_and_counts_along_the_virtual_axis() -> None:
    camera = physical(encoding="depth")
    need = replace(virtual(), encoding="depth")
    steps = np.where(np.arange(640) < 320, 1.0, 2.0).astype(np.float32)
    found = ViewMap(need, camera)(np.tile(steps, (480, 1)))
    assert found.dtype == np.float32
    assert set(np.unique(found).tolist()) == {1.0, 2.0}


def test_refusals_name_what_is_wrong() -> None:
    with pytest.raises(
        InputError, match="does not cover the field of view: its image is 640 x 480, too small by"
    ):
        ViewMap(virtual(fovy=1.2), physical())
    with pytest.raises(InputError, match="frame 'hand'; the policy requires 'base'"):
        ViewMap(virtual(), physical(frame="hand"))
    with pytest.raises(InputError, match="uint8 of height and width"):
        ViewMap(virtual(), physical())(np.zeros((64, 64, 3), np.uint8))
