"""Pictures of a ChArUco board with known truth: lens, pose, noise and blur."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from robolearn.hardware.calibration.board import Board
from robolearn.hardware.calibration.projection import Lens, pose, rotation_of

Array = NDArray[np.float64]

BOARD = Board(columns=7, rows=5, square=0.037, marker=0.028)
SIZE = (640, 480)
PINHOLE = Lens(*SIZE, 610.0, 606.0, 327.3, 233.8, "plumb_bob", (-0.21, 0.09, 0.0011, -0.0007, -0.02))
FISHEYE = Lens(*SIZE, 330.0, 328.0, 316.2, 243.9, "equidistant", (0.03, -0.012, 0.004, -0.001))
OVERSAMPLING = 2
TEXTURE = 100
"""Pixels a square."""


class Painter:
    """Draws a board as a lens sees it."""

    def __init__(self, lens: Lens, board: Board = BOARD) -> None:
        self.lens, self.board = lens, board
        s = OVERSAMPLING
        u, v = np.meshgrid(np.arange(s * lens.width), np.arange(s * lens.height))
        # The centres of the small pixels that make up a pixel, in pixels.
        fine = (np.stack([u, v], axis=-1).reshape(-1, 2) + 0.5) / s - 0.5
        arguments = (fine.reshape(-1, 1, 2), lens.matrix, np.array(lens.coefficients))
        undistort = cv2.fisheye.undistortPoints if lens.model == "equidistant" else cv2.undistortPoints
        flat = undistort(*arguments).reshape(-1, 2)
        self.rays = np.column_stack([flat, np.ones(len(flat))]).astype(np.float32)
        self.texture = cv2.copyMakeBorder(
            board.picture(TEXTURE), TEXTURE, TEXTURE, TEXTURE, TEXTURE, cv2.BORDER_CONSTANT, value=255
        )

    def picture(
        self, board_pose: Array, seed: int, blur: float = 0.6, noise: float = 3.0
    ) -> NDArray[np.uint8]:
        """The board at `board_pose` (4, 4) in the optical frame, over grey; uint8 (height, width)."""
        to_plane = np.linalg.inv(board_pose[:3, [0, 1, 3]]).astype(np.float32)
        x, y, depth = (self.rays @ to_plane.T).T
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = TEXTURE / self.board.side
            column, row = (x / depth * scale + TEXTURE - 0.5), (y / depth * scale + TEXTURE - 0.5)
        column[depth <= 0] = -1e6
        s = OVERSAMPLING
        shape = (s * self.lens.height, s * self.lens.width)
        fine = cv2.remap(
            self.texture,
            column.reshape(shape),
            row.reshape(shape),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=120,
        )
        image = cv2.resize(fine, self.lens_size(), interpolation=cv2.INTER_AREA).astype(np.float32)
        image = cv2.GaussianBlur(0.75 * image + 20, (0, 0), blur)
        image += np.random.default_rng(seed).normal(0.0, noise, image.shape)
        return np.clip(image, 0, 255).astype(np.uint8)

    def lens_size(self) -> tuple[int, int]:
        return self.lens.width, self.lens.height


def look(tilt: float, azimuth: float, spin: float, centre: Array, board: Board = BOARD) -> Array:
    """Pose (4, 4) of a board, facing the camera, tilted by `tilt` [rad] about an axis across the view at
    `azimuth`, turned by `spin` in its plane, its middle at `centre` (3,) [m] of the optical frame."""
    axis = tilt * np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    rotation = rotation_of(axis) @ rotation_of(np.array([0.0, 0.0, spin]))
    middle = np.array([*board.size, 0.0]) / 2
    return pose(rotation, np.asarray(centre) - rotation @ middle)
