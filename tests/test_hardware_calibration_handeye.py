"""A camera's pose from boards of known truth, on the arm and beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rendered_boards import BOARD, PINHOLE, Painter, look

from robolearn.errors import InputError
from robolearn.hardware.calibration.board import Corners, find_corners
from robolearn.hardware.calibration.handeye import calibrate_hand_eye, closed_form
from robolearn.hardware.calibration.least_squares import minimise
from robolearn.hardware.calibration.projection import Lens, inverse, pose, rotation_of, rotation_vector

CAMERA = pose(rotation_of([2.0, -1.2, 0.4]), [0.9, 0.3, 0.6])
PLATE = pose(rotation_of([0.2, 0.1, 1.5]), [-0.1, 0.05, 0.12])


def postures(count, frame, seed=3, turn=None):
    """Poses of the hand, and of the board seen from the camera, (4, 4) each; `turn` holds the board's
    turns."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        distance = rng.uniform(0.36, 0.6)
        middle = np.array([rng.uniform(-0.2, 0.2), rng.uniform(-0.15, 0.15), 1.0]) * distance
        tilt, azimuth, spin = rng.uniform(0.1, 0.7), rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6)
        at = look(tilt, azimuth, spin, middle) if turn is None else look(*turn(rng), middle)
        arm = CAMERA @ at @ inverse(PLATE)
        yield (arm if frame == "base" else inverse(arm)), at


def synthetic(count, frame, lens=PINHOLE, noise=0.05, **rest):
    views, hands = [], []
    for i, (hand, at) in enumerate(postures(count, frame, **rest)):
        pixels, _, _ = lens.project(BOARD.points, rotation_vector(at[:3, :3]), at[:3, 3])
        pixels = pixels + np.random.default_rng(i).normal(0.0, noise, pixels.shape)
        views.append(Corners(f"{i}.png", BOARD.points, pixels, (lens.width, lens.height)))
        hands.append(hand)
    return views, hands


def off(found, truth=CAMERA):
    """Errors of a pose: [m], [rad]."""
    return (
        float(np.linalg.norm(found[:3, 3] - truth[:3, 3])),
        float(np.linalg.norm(rotation_vector(found[:3, :3] @ truth[:3, :3].T))),
    )


@pytest.mark.parametrize("frame", ["base", "hand"])
def test_the_pose_is_found_from_pictures(frame):
    painter = Painter(PINHOLE)
    hands, views = [], []
    for i, (hand, at) in enumerate(postures(14, frame)):
        view = find_corners(BOARD, painter.picture(at, seed=i), f"{i}.png")
        assert view is not None
        hands.append(hand)
        views.append(view)
    found = calibrate_hand_eye(views, hands, PINHOLE, frame)
    metres, angle = off(found.pose)
    assert metres < 2e-4
    assert angle < np.radians(0.02)
    assert found.error < found.held_out < 0.15
    assert not found.rejected
    assert off(found.board, PLATE)[0] < 2e-4


@pytest.mark.parametrize("frame", ["base", "hand"])
def test_a_lens_off_by_half_a_percent_still_gives_the_pose(frame):
    views, hands = synthetic(15, frame)
    lens = replace(PINHOLE, fx=PINHOLE.fx * 1.001, fy=PINHOLE.fy * 1.001)
    metres, angle = off(calibrate_hand_eye(views, hands, lens, frame).pose)
    assert metres < 1e-3
    assert angle < np.radians(0.1)


def test_a_fisheye_gives_the_pose_too():
    lens = Lens(640, 480, 330.0, 328.0, 316.2, 243.9, "equidistant", (0.03, -0.012, 0.004, -0.001))
    views, hands = synthetic(12, "hand", lens)
    metres, angle = off(calibrate_hand_eye(views, hands, lens, "hand").pose)
    assert metres < 5e-4
    assert angle < np.radians(0.05)


def test_the_deviations_hold_what_an_arm_is_off_by():
    """Of many calibrations with an arm that is off by 0.5 mm and 1 mrad, errors are as large as announced."""
    errors, promised, pixels = [], [], []
    for trial in range(8):
        rng = np.random.default_rng(trial)
        views, hands = synthetic(12, "base", seed=10 + trial)
        hands = [h @ pose(rotation_of(rng.normal(0, 1e-3, 3)), rng.normal(0, 5e-4, 3)) for h in hands]
        found = calibrate_hand_eye(views, hands, PINHOLE, "base")
        errors.append(found.pose[:3, 3] - CAMERA[:3, 3])
        promised.append(found.position_deviation)
        pixels.append(found.held_out)
    ratio = np.sqrt(np.mean(np.square(errors)) / np.mean(np.square(promised)))
    assert 0.4 < ratio < 1.6
    assert 0.3 < np.mean(pixels) < 3.0  # far more than the corners' 0.05 pixels: it is the arm


@pytest.mark.parametrize("frame", ["base", "hand"])
def test_a_view_with_the_joints_of_another_is_rejected_and_named(frame):
    views, hands = synthetic(14, frame)
    hands[3] = hands[4]
    found = calibrate_hand_eye(views, hands, PINHOLE, frame)
    assert list(found.rejected) == ["3.png"]
    assert off(found.pose)[0] < 5e-4


def test_a_camera_stated_on_the_wrong_side_is_refused():
    views, hands = synthetic(14, "base")
    with pytest.raises(InputError, match="disagree"):
        calibrate_hand_eye(views, hands, PINHOLE, "hand")


def test_a_board_of_another_size_than_stated_is_refused():
    views, hands = synthetic(14, "base")
    views = [replace(view, points=view.points * 1.2) for view in views]
    with pytest.raises(InputError, match="disagree"):
        calibrate_hand_eye(views, hands, PINHOLE, "base")


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda rng: (0.3, 0.5, 0.0), "spread by 0.0 degrees about one axis and 0.0 about the next"),
        (
            lambda rng: (0.0, 0.0, rng.uniform(-1, 1)),
            r"spread by \d\d.\d degrees about one axis and 0.0 about",
        ),
        (lambda rng: (rng.uniform(-0.7, 0.7), 0.5, 0.0), "and 0.0 about the next; both must be 8 or more"),
    ],
    ids=["no turn", "about the line of sight", "about one axis across"],
)
def test_a_hand_that_does_not_turn_about_two_axes_is_refused(turn, words):
    views, hands = synthetic(14, "base", turn=turn)
    with pytest.raises(InputError, match=words):
        calibrate_hand_eye(views, hands, PINHOLE, "base")


def test_what_does_not_belong_together_is_refused():
    views, hands = synthetic(10, "base")
    with pytest.raises(InputError, match="there are 7 views of the board; it takes 8"):
        calibrate_hand_eye(views[:7], hands[:7], PINHOLE, "base")
    with pytest.raises(InputError, match="10 views and 9 poses of the hand"):
        calibrate_hand_eye(views, hands[:9], PINHOLE, "base")
    with pytest.raises(InputError, match="640 x 480 pixels; the intrinsics are those of 320 x 240"):
        calibrate_hand_eye(views, hands, replace(PINHOLE, width=320, height=240), "base")
    with pytest.raises(InputError, match="unknown frame of the camera 'wrist'"):
        calibrate_hand_eye(views, hands, PINHOLE, "wrist")


def test_the_closed_form_is_exact_without_noise():
    pairs = list(postures(8, "base"))
    camera, board = closed_form([hand for hand, _ in pairs], [at for _, at in pairs])
    assert camera == pytest.approx(CAMERA, abs=1e-9)
    assert board == pytest.approx(PLATE, abs=1e-9)


def test_the_solver_finds_the_bottom_of_a_bent_valley():
    """Rosenbrock's, from where one usually starts."""

    def residuals(x):
        return (
            np.array([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]]),
            np.array([[-20.0 * x[0], 10.0], [-1.0, 0.0]]),
        )

    assert minimise(residuals, np.array([-1.2, 1.0])) == pytest.approx([1.0, 1.0], abs=1e-6)
