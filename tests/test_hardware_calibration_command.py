"""`robolearn calibrate` on a station whose true cameras are known, and the simulated arm over the picture."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from rendered_boards import BOARD, PINHOLE, SIZE, Painter, look

from robolearn.camera import angle_between, distance_between
from robolearn.cli import main
from robolearn.envs.views import View
from robolearn.hardware.arm import load_arm
from robolearn.hardware.calibration.calibrate_command import STEPS
from robolearn.hardware.calibration.overlay import hand_pose, overlay, simulated_picture
from robolearn.hardware.calibration.projection import (
    Lens,
    inverse,
    pose,
    quaternion_of,
    rotation_of,
    rotation_vector,
)
from robolearn.hardware.model import ArmModel
from robolearn.hardware.station import STATIONS, load_station, offered_camera

STATED = offered_camera(load_station("panda").cameras[0])
SHIFT, TURN = np.array([0.01, -0.015, 0.008]), rotation_of([0.02, -0.03, 0.01])
TRUE = pose(STATED.rotation @ TURN, STATED.position + SHIFT)
ASIDE = View("aside", "base", (1.4, -0.8, 0.8), (0.3, 0.0, 0.4), (0, 0, 1), 0.8).camera()
"""From where much of the arm is seen."""


def inside(lens, at):
    """Whether a board at `at` faces the camera and lies in the image."""
    pixels, _, _ = lens.project(BOARD.points, rotation_vector(at[:3, :3]), at[:3, 3])
    return bool(at[2, 2] > 0.6 and ((pixels > 25) & (pixels < np.array(SIZE) - 25)).all())


def postures(count):
    """Joint positions of a Panda near home, and the pose of a board on its hand seen from the true camera."""
    arm = load_arm("panda")
    model, rng = ArmModel(arm), np.random.default_rng(5)
    start = arm.home.copy()
    start[5] += 0.9  # the hand turns towards the camera
    plate = inverse(model.hand(model.frames(start))) @ TRUE @ look(0.0, 0.0, 0.0, [0.0, 0.0, 0.55])
    while count:
        q = start + rng.uniform(-0.4, 0.4, arm.n)
        at = inverse(TRUE) @ model.hand(model.frames(q)) @ plate
        if inside(PINHOLE, at):
            yield q, at
            count -= 1


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with a station, images of a board held by hand, and of one on the hand with joints.csv."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(STATIONS / "panda.yaml", folder / "mine.yaml")
    painter, rng = Painter(PINHOLE), np.random.default_rng(1)
    (folder / "lens").mkdir()
    for i in range(16):
        middle = np.array([rng.uniform(-0.35, 0.35), rng.uniform(-0.28, 0.28), 1.0]) * rng.uniform(0.34, 0.5)
        at = look(rng.uniform(0.2, 0.7), rng.uniform(0, 6.28), rng.uniform(-0.3, 0.3), middle)
        Image.fromarray(painter.picture(at, seed=i)).save(folder / "lens" / f"{i:02d}.png")
    (folder / "arm").mkdir()
    names = load_arm("panda").joint_names
    lines = [",".join(["image", *names])]
    for i, (q, at) in enumerate(postures(12)):
        Image.fromarray(painter.picture(at, seed=i)).save(folder / "arm" / f"{i:02d}.png")
        lines.append(",".join([f"{i:02d}.png", *(f"{v:.6f}" for v in q)]))
    (folder / "arm" / "joints.csv").write_text("\n".join(lines))
    return folder


def test_a_station_is_calibrated_from_images(lab, capsys):
    station = str(lab / "mine.yaml")
    assert main(["calibrate", "intrinsics", station, "front", str(lab / "lens"), "--dry-run"]) == 0
    assert "nothing: --dry-run" in capsys.readouterr().out
    assert not (lab / "mine.yaml.bak").exists()

    assert main(["calibrate", "intrinsics", station, "front", str(lab / "lens")]) == 0
    printed = capsys.readouterr().out
    assert "fx           61" in printed
    assert "pixels in 16 views" in printed
    front = load_station(station).cameras[0]
    assert (front.fx, front.fy) == pytest.approx((PINHOLE.fx, PINHOLE.fy), rel=0.005)

    picture = lab / "overlay.png"
    words = ["calibrate", "pose", station, "front", str(lab / "arm"), "--overlay", str(picture), "--json"]
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["held_out"] < 0.3
    measured = offered_camera(load_station(station).cameras[0])
    true = pose(measured.rotation, measured.position)
    assert np.linalg.norm(true[:3, 3] - TRUE[:3, 3]) < 1e-3
    assert np.linalg.norm(rotation_vector(true[:3, :3] @ TRUE[:3, :3].T)) < np.radians(0.1)
    assert distance_between(measured, STATED) == pytest.approx(0.0197, abs=1e-3)
    assert angle_between(measured, STATED) == pytest.approx(0.0374, abs=2e-3)
    with Image.open(picture) as image:
        assert image.size == SIZE
    text = (lab / "mine.yaml").read_text()
    assert text.count("# intrinsics measured 20") == text.count("# pose measured 20") == 1
    assert "No camera was measured here" in text  # a comment of the file's


def test_steps_are_explained(capsys):
    assert main(["calibrate"]) == 2
    printed = capsys.readouterr().out
    assert all(f"  {name}" in printed for name in STEPS)
    assert main(["calibrate", "intrinsic"]) == 2
    assert "unknown step 'intrinsic' (did you mean 'intrinsics'?)" in capsys.readouterr().err


def test_a_shipped_station_is_not_written(lab, capsys):
    assert main(["calibrate", "intrinsics", "panda", "front", str(lab / "lens")]) == 2
    assert "comes with the package; copy" in capsys.readouterr().err


def test_the_board_is_drawn(tmp_path, capsys):
    out = tmp_path / "board.png"
    assert main(["calibrate", "board", "--out", str(out), "--square", "20mm", "--marker", "15mm"]) == 0
    assert "160 x 120 mm" in capsys.readouterr().out
    assert out.exists()


def test_the_simulated_arm_is_where_its_model_has_it():
    """What the arm's own model says of the hand, seen through the lens, is where it is drawn."""
    arm = load_arm("panda")
    model = ArmModel(arm)
    hand = model.hand(model.frames(arm.home))
    assert hand_pose(arm, arm.home) == pytest.approx(hand, abs=1e-9)
    lens = Lens(320, 240, 300.0, 304.0, 150.0, 128.0, "plumb_bob", (-0.2, 0.05, 0.001, -0.001, 0.0))
    picture, mask = simulated_picture(arm, arm.home, ASIDE, lens)
    assert picture.shape == (240, 320, 3)
    world = inverse(pose(ASIDE.rotation, ASIDE.position))
    at = world @ hand
    (u, v), *_ = lens.project(np.array([[0.0, 0.0, 0.03]]), rotation_vector(at[:3, :3]), at[:3, 3])[0]
    assert mask[round(v), round(u)]
    # The tips of the open fingers, each at the end of what is drawn of it.
    for side in (-1, 1):
        tip = at @ [0.0, side * (0.5 * arm.gripper.max_width + 0.003), arm.gripper.tcp[2] + 0.006, 1.0]
        (u, v), *_ = lens.project(tip[None, :3], np.zeros(3), np.zeros(3))[0]
        around = mask[round(v) - 3 : round(v) + 4, round(u) - 3 : round(u) + 4]
        assert around.any()
        assert not around.all()


def test_an_overlay_shows_both_and_refuses_another_size():
    arm = load_arm("panda")
    lens = Lens(160, 120, 150.0, 150.0, 79.5, 59.5, "none", ())
    image = np.full((120, 160, 3), 60, np.uint8)
    picture = overlay(image, arm, arm.home, ASIDE, lens)
    same = (picture == 60).all(axis=2)
    assert 0.3 < same.mean() < 0.97
    with pytest.raises(ValueError, match="the image is 160 x 120; camera 'aside' has 320 x 120 pixels"):
        overlay(image, arm, arm.home, ASIDE, Lens(320, 120, 150.0, 150.0, 79.5, 59.5, "none", ()))


def test_quaternions_turn_as_their_rotations():
    for vector in ([0.0, 0.0, 0.0], [0.3, -0.2, 0.9], [3.1, 0.2, 0.0], [1e-9, 0.0, 0.0]):
        rotation = rotation_of(vector)
        w, x, y, z = quaternion_of(rotation)
        assert w * w + x * x + y * y + z * z == pytest.approx(1.0)
        turned = [2 * (w * x + y * z), 1 - 2 * (x * x + y * y)]
        assert turned == pytest.approx([rotation[2, 1], rotation[2, 2]], abs=1e-8)
