"""The board: its drawing is to scale, its corners are found where they are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from rendered_boards import BOARD, FISHEYE, PINHOLE, Painter, look

from robolearn.errors import InputError
from robolearn.hardware.calibration.board import INCH, Board, draw_board, find_corners
from robolearn.hardware.calibration.projection import rotation_vector


@pytest.mark.parametrize("lens", [PINHOLE, FISHEYE], ids=lambda lens: lens.model)
def test_corners_are_found_where_the_lens_shows_them(lens):
    at = look(0.5, 0.8, 0.3, [0.01, -0.02, 0.5 if lens is PINHOLE else 0.3])
    found = find_corners(BOARD, Painter(lens).picture(at, seed=0), "view")
    assert found is not None
    assert found.size == (640, 480)
    assert len(found.points) == len(BOARD.points) == 6 * 4
    off = found.pixels - lens.project(found.points, rotation_vector(at[:3, :3]), at[:3, 3])[0]
    assert np.abs(off).max() < 0.4
    assert np.abs(off.mean(axis=0)).max() < 0.05  # no half pixel of somebody else's convention


def test_colours_are_taken_as_grey():
    grey = Painter(PINHOLE).picture(look(0.2, 0.0, 0.0, [0, 0, 0.5]), seed=0)
    coloured = find_corners(BOARD, np.dstack([grey] * 3), "view")
    assert coloured is not None
    assert len(coloured.points) == 24


def test_an_image_without_the_board_or_with_a_scrap_of_it_is_none():
    assert find_corners(BOARD, np.full((480, 640), 120, np.uint8), "grey") is None
    scrap = Painter(PINHOLE).picture(look(0.0, 0.0, 0.0, [0.31, 0.24, 0.5]), seed=0)
    assert find_corners(BOARD, scrap, "scrap") is None


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_drawn_board_is_to_scale(tmp_path, suffix):
    width, height = draw_board(BOARD, tmp_path / f"board{suffix}", dpi=300, margin=0.01)
    assert (width, height) == pytest.approx((7 * 0.037 + 0.02, 5 * 0.037 + 0.02), abs=2e-4)
    assert [path.name for path in tmp_path.iterdir()] == [f"board{suffix}"]
    if suffix == ".pdf":
        assert b"/MediaBox [ 0 0 790." in (tmp_path / "board.pdf").read_bytes()  # points: 0.279 m
        return
    with Image.open(tmp_path / "board.png") as image:
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
        pixels = np.asarray(image.convert("L"))
    found = find_corners(BOARD, pixels, "print")
    assert found is not None
    metres = (found.pixels + 0.5) * INCH / 300 - 0.01
    assert np.abs(metres - found.points[:, :2]).max() < 1e-4


def test_old_boards_are_another_pattern():
    new, old = Board(rows=6), Board(rows=6, legacy=True)
    picture = np.pad(old.picture(60), 60, constant_values=255)
    assert find_corners(old, picture, "old") is not None
    assert find_corners(new, picture, "old") is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"columns": 2}, "columns of the board is 2; it must be a whole number from 3"),
        ({"square": "37"}, "square of the board is '37'"),
        ({"marker": "37mm"}, "it must be smaller than the square, 37 mm"),
        ({"dictionary": "4x5"}, "unknown dictionary '4x5'.*apriltag_36h11"),
        ({"columns": 20, "rows": 20}, "has 50 markers; a board of 20 x 20 squares needs 200"),
    ],
)
def test_a_board_that_cannot_be_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        Board(**values)


def test_a_drawing_too_coarse_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"dpi is 50; a marker of 10 mm .* needs 61 or more"):
        draw_board(Board(square="12mm", marker="10mm"), tmp_path / "board.png", dpi=50)
    with pytest.raises(InputError, match=r"unknown kind of file '\.svg'"):
        draw_board(BOARD, tmp_path / "board.svg")
