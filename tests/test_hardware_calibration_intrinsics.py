"""Intrinsics from boards of known truth; views that say too little are refused by name."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from rendered_boards import BOARD, FISHEYE, PINHOLE, Painter, look

from robolearn.errors import InputError
from robolearn.hardware.calibration.board import Corners, find_corners
from robolearn.hardware.calibration.intrinsics import calibrate_intrinsics
from robolearn.hardware.calibration.projection import rotation_vector


def poses(count, distance, seed=1, tilts=(0.2, 0.7)):
    """The board in front of the camera, tilted here and there, up to the edges of the image."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        middle = np.array([rng.uniform(-0.35, 0.35), rng.uniform(-0.28, 0.28), 1.0]) * distance
        tilt, azimuth, spin = rng.uniform(*tilts), rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
        yield look(tilt, azimuth, spin, middle * rng.uniform(0.8, 1.3))


def seen(lens, at, name, noise=0.05, seed=0):
    """The corners without a picture: projected, those in the image, with noise [pixels]."""
    pixels, _, _ = lens.project(BOARD.points, rotation_vector(at[:3, :3]), at[:3, 3])
    pixels = pixels + np.random.default_rng(seed).normal(0.0, noise, pixels.shape)
    inside = ((pixels > 3) & (pixels < np.array([lens.width, lens.height]) - 4)).all(axis=1)
    return Corners(name, BOARD.points[inside], pixels[inside], (lens.width, lens.height))


def synthetic(count=20, lens=PINHOLE, distance=0.42, **rest):
    views = [seen(lens, at, f"{i}.png", seed=i) for i, at in enumerate(poses(count, distance, **rest))]
    return [view for view in views if len(view.points) >= 8]


@pytest.mark.parametrize(
    ("lens", "distance"), [(PINHOLE, 0.42), (FISHEYE, 0.22)], ids=lambda v: getattr(v, "model", "")
)
def test_a_lens_is_found_from_pictures(lens, distance):
    painter = Painter(lens)
    pictures = [painter.picture(at, seed=i) for i, at in enumerate(poses(20, distance))]
    views = [find_corners(BOARD, picture, f"{i}.png") for i, picture in enumerate(pictures)]
    found = calibrate_intrinsics([view for view in views if view is not None], lens.model)
    assert (found.lens.fx, found.lens.fy) == pytest.approx((lens.fx, lens.fy), rel=0.003)
    assert (found.lens.cx, found.lens.cy) == pytest.approx((lens.cx, lens.cy), abs=1.5)
    assert found.error < 0.15
    assert not found.rejected
    # All over the image the two lenses are one, but for a shift that is as good as a turn of the camera.
    grid = np.stack(np.meshgrid(np.linspace(20, 620, 13), np.linspace(20, 460, 11)), axis=-1).reshape(-1, 2)
    rays = lens.rays(grid)
    again, _, _ = found.lens.project(np.column_stack([rays, np.ones(len(rays))]), np.zeros(3), np.zeros(3))
    assert np.abs(again - grid - (again - grid).mean(axis=0)).max() < 1.5
    truth, std = np.array([lens.fx, lens.fy, lens.cx, lens.cy]), np.array(found.deviations)
    off = np.abs([found.lens.fx, found.lens.fy, found.lens.cx, found.lens.cy] - truth)
    assert (off < 4 * std + 0.05).all()


def test_the_pinhole_is_that_of_opencv():
    views = synthetic()
    found = calibrate_intrinsics(views)
    points = [view.points.astype(np.float32) for view in views]
    pixels = [view.pixels.astype(np.float32) for view in views]
    error, matrix, coefficients, _, _, deviations, _, _ = cv2.calibrateCameraExtended(
        points, pixels, (640, 480), np.eye(3), np.zeros(5)
    )
    assert found.lens.matrix == pytest.approx(matrix, rel=1e-4, abs=1e-2)
    assert found.lens.coefficients == pytest.approx(coefficients.ravel(), abs=2e-3)
    assert found.error == pytest.approx(error, rel=1e-3)
    assert found.deviations == pytest.approx(deviations.ravel()[:4], rel=1e-2)


def test_a_bad_view_is_rejected_and_named():
    views = synthetic()
    rng = np.random.default_rng(0)
    views[4] = replace(views[4], pixels=views[4].pixels + rng.normal(0.0, 3.0, views[4].pixels.shape))
    found = calibrate_intrinsics(views)
    assert list(found.rejected) == ["4.png"]
    assert found.rejected["4.png"] > 1.0
    assert "4.png" not in found.view_errors
    assert found.lens.fx == pytest.approx(PINHOLE.fx, rel=0.005)


def test_many_bad_views_are_not_rejected_but_refused():
    rng = np.random.default_rng(0)
    views = [
        replace(view, pixels=view.pixels + rng.normal(0.0, 5.0, view.pixels.shape)) if i % 3 == 0 else view
        for i, view in enumerate(synthetic())
    ]
    with pytest.raises(InputError, match=r"views disagree with the others: .*pixels.*the board is flat"):
        calibrate_intrinsics(views)


def test_too_few_views_are_refused():
    with pytest.raises(InputError, match="there are 7 views of the board; it takes 8"):
        calibrate_intrinsics(synthetic()[:7])


def test_views_in_a_part_of_the_image_are_refused():
    views = [
        seen(PINHOLE, look(0.5, azimuth, 0.0, [-0.28, -0.2, 0.9]), str(azimuth))
        for azimuth in np.arange(0, 6, 0.5)
    ]
    with pytest.raises(
        InputError, match=r"cover .* of the image; .* no corner was seen at the .*bottom, right"
    ):
        calibrate_intrinsics(views)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
def test_a_board_that_is_never_tilted_is_refused(noise, model):
    places = [[x, y, z] for x in (-0.1, 0, 0.1) for y in (-0.08, 0.08) for z in (0.4, 0.5)]
    lens = replace(PINHOLE if model == "plumb_bob" else FISHEYE, fx=610.0, fy=606.0)
    views = [
        seen(lens, look(0.0, 0.0, 0.3 * i, place), f"{i}", noise=noise, seed=i)
        for i, place in enumerate(places)
    ]
    with pytest.raises(InputError, match="tilted alike in all views"):
        calibrate_intrinsics(views, model)


def test_images_of_two_sizes_are_refused():
    views = synthetic()
    views[3] = replace(views[3], size=(1280, 720))
    with pytest.raises(InputError, match="different sizes, 640 x 480, 1280 x 720"):
        calibrate_intrinsics(views)


def test_an_unknown_model_is_refused():
    with pytest.raises(InputError, match=r"unknown model of distortion 'fisheye'.*plumb_bob, equidistant"):
        calibrate_intrinsics(synthetic(), "fisheye")
