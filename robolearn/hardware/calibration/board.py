"""The ChArUco board: drawing it to scale, and finding it in an image.

A ChArUco board is a chessboard with an ArUco marker in each white square: its inner corners are as sharp as a
chessboard's, and each has a number, so that a board that is seen in part counts, and never turned by half.
(S. Garrido-Jurado et al.: Automatic generation and detection of highly reliable fiducial markers under
occlusion. Pattern Recognition 47(6), 2014; OpenCV's module aruco.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.files import replacing
from robolearn.units import format_length

Array = NDArray[np.float64]

INCH = 0.0254
MIN_CORNERS = 8
"""A view with fewer corners says too little about where its board is."""


def _dictionary_name(name: str) -> str:
    """OpenCV's DICT_4X4_50 as a person writes it: 4x4_50."""
    return name.removeprefix("DICT_").lower()


DICTIONARIES = {
    _dictionary_name(name): int(getattr(cv2.aruco, name))
    for name in dir(cv2.aruco)
    if name.startswith("DICT_")
}
"""The families of markers that OpenCV knows, by names such as 4x4_50 or apriltag_36h11."""


@dataclass(frozen=True)
class Board:
    """A ChArUco board. Its frame has its origin at the outer corner of the printed board's upper left square,
    x along the upper edge, y down the left edge, and z into the board.

    Attributes:
        columns: squares along x.
        rows: squares along y.
        square: side of a square [m], as measured on the printed board.
        marker: side of a marker [m].
        dictionary: family of the markers, such as 4x4_50.
        legacy: True for a board with an even number of rows whose upper left square is white: those drawn by
            OpenCV before 4.6 and many that are sold.
    """

    columns: int = 7
    rows: int = 5
    square: float | str = "37mm"
    marker: float | str = "28mm"
    dictionary: str = "4x4_50"
    legacy: bool = False

    def __post_init__(self) -> None:
        checked = dict(
            columns=checks.whole("columns of the board", self.columns, 3, 50),
            rows=checks.whole("rows of the board", self.rows, 3, 50),
            square=checks.length("square of the board", self.square, 1e-3, 1.0),
            marker=checks.length("marker of the board", self.marker, 1e-3, 1.0),
            dictionary=choose("dictionary", self.dictionary.lower(), DICTIONARIES),
            legacy=checks.flag("legacy of the board", self.legacy),
        )
        for field, value in checked.items():
            object.__setattr__(self, field, value)
        if not self.side_of_marker < self.side:
            raise InputError(
                f"marker of the board is {format_length(self.side_of_marker)}; it must be smaller than the "
                f"square, {format_length(self.side)}"
            )
        markers = (self.columns * self.rows) // 2
        if markers > len(self._family.bytesList):
            raise InputError(
                f"dictionary {self.dictionary!r} has {len(self._family.bytesList)} markers; a board of "
                f"{self.columns} x {self.rows} squares needs {markers}"
            )

    @property
    def side(self) -> float:
        """Of a square [m]."""
        return float(self.square)

    @property
    def side_of_marker(self) -> float:
        """[m]."""
        return float(self.marker)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the board [m]."""
        return self.columns * self.side, self.rows * self.side

    @cached_property
    def points(self) -> Array:
        """Inner corners in the board's frame (m, 3) [m], in the order of their numbers; z is 0."""
        return np.array(self._charuco.getChessboardCorners(), np.float64).reshape(-1, 3)

    @cached_property
    def _family(self) -> Any:
        return cv2.aruco.getPredefinedDictionary(DICTIONARIES[self.dictionary])

    @cached_property
    def _charuco(self) -> Any:
        squares = (self.columns, self.rows)
        board = cv2.aruco.CharucoBoard(squares, self.side, self.side_of_marker, self._family)
        board.setLegacyPattern(self.legacy)
        return board

    @cached_property
    def _detector(self) -> Any:
        return cv2.aruco.CharucoDetector(self._charuco)

    def picture(self, pixels_per_square: int) -> NDArray[np.uint8]:
        """The board without a margin, uint8 (rows * pixels_per_square, columns * pixels_per_square)."""
        size = (self.columns * pixels_per_square, self.rows * pixels_per_square)
        return np.asarray(self._charuco.generateImage(size, marginSize=0, borderBits=1), np.uint8)


@dataclass(frozen=True, eq=False)
class Corners:
    """The board's corners that were found in one image.

    Attributes:
        name: of the image, as a person finds it again.
        points: where they are on the board (m, 3) [m].
        pixels: where they are in the image (m, 2) [pixels].
        size: width and height of the image [pixels].
    """

    name: str
    points: Array
    pixels: Array
    size: tuple[int, int]


def find_corners(board: Board, image: NDArray[np.uint8], name: str) -> Corners | None:
    """Find the board in an image.

    Args:
        board: the board.
        image: uint8 (height, width) grey or (height, width, 3) RGB.
        name: what to call the view.

    Returns:
        None where fewer than MIN_CORNERS corners are seen, or all of them on one line.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    pixels, numbers, _, _ = board._detector.detectBoard(np.ascontiguousarray(grey))
    if numbers is None or len(numbers) < MIN_CORNERS:
        return None
    points = board.points[np.asarray(numbers).ravel()]
    if np.linalg.matrix_rank(points[:, :2] - points[0, :2], tol=1e-9) < 2:
        return None
    height, width = grey.shape
    return Corners(name, points, np.asarray(pixels, np.float64).reshape(-1, 2), (width, height))


def draw_board(board: Board, path: Path, dpi: int = 300, margin: float = 0.01) -> tuple[float, float]:
    """Write the board to a PDF, PNG or TIFF file that prints at scale ("actual size", not "fit to page").

    Args:
        board: the board.
        path: the file; its suffix says the kind.
        dpi: dots an inch.
        margin: white around the board [m]; the outer markers need some.

    Returns:
        Width and height of the sheet [m].

    Raises:
        InputError: another suffix, or squares that are smaller than the dots allow.
    """
    from PIL import Image

    choose("kind of file", path.suffix.lower(), (".pdf", ".png", ".tif", ".tiff"))
    checks.whole("dpi", dpi, 50, 2400)
    checks.length("margin", margin, 0.0, 0.2)
    dot = INCH / dpi
    # Whole dots a square, then each corner where the exact size puts it: a square of a board may be a dot
    # larger than another, and the board as a whole is true to scale.
    side = round(board.side / dot)
    modules = board._family.markerSize + 2
    if board.side_of_marker / dot < 4 * modules:
        raise InputError(
            f"dpi is {dpi}; a marker of {format_length(board.side_of_marker)} with {modules} fields a side "
            f"needs {int(4 * modules * INCH / board.side_of_marker) + 1} or more"
        )
    width, height = (round(length / dot) for length in board.size)
    picture = Image.fromarray(board.picture(side)).resize((width, height), Image.Resampling.NEAREST)
    border = round(margin / dot)
    sheet = Image.new("L", (width + 2 * border, height + 2 * border), 255)
    sheet.paste(picture, (border, border))
    with replacing(path) as temporary:
        if path.suffix.lower() == ".pdf":
            sheet.save(temporary, resolution=float(dpi))
        else:
            sheet.save(temporary, dpi=(dpi, dpi))
    return sheet.width * dot, sheet.height * dot
