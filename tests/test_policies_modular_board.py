from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rendered_boards import BOARD, Painter, look

from robolearn.camera import Camera
from robolearn.envs.kinematics import DOWN, quaternion_of
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.calibration.projection import Lens, pose
from robolearn.policies.modular.board import BoardPolicy, BoardSight
from robolearn.policies.modular.labels import rotations
from robolearn.policies.modular.policy import ModularConfig

PINHOLE = Lens(640, 480, 610.0, 610.0, 319.5, 239.5, "plumb_bob", (0.0,) * 5)
LOOKING = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])  # straight down, in the base frame
MOUNT = pose(LOOKING, np.array([0.5, 0.0, 0.5]))
TIP = pose(np.eye(3), np.array([0.0, 0.0, 0.08]))
HOLE = pose(np.diag([1.0, -1.0, -1.0]), np.array([-0.06, 0.05, 0.0]))  # beside the board, z out of its face
ARM = load_arm("panda")


def sight(frame: str = "base") -> BoardSight:
    turn, place = quaternion_of(MOUNT[:3, :3]), MOUNT[:3, 3]
    camera = Camera(
        "front", 640, 480, 610.0, 610.0, 319.5, 239.5, frame, tuple(place.tolist()), tuple(turn.tolist())
    )
    return BoardSight(BOARD, camera, HOLE, TIP)


@pytest.mark.parametrize("seed", range(3))
def test_the_hole_is_found_to_a_millimetre_whatever_the_camera_is_fixed_to(seed: int) -> None:
    rng = np.random.default_rng(seed)
    board = look(rng.uniform(0.1, 0.5), rng.uniform(-3, 3), rng.uniform(-3, 3), np.array([0.0, 0.0, 0.5]))
    picture = Painter(PINHOLE).picture(board, seed)
    carrier = pose(rotations(rng.normal(0.0, 0.3, 3)), rng.normal(0.0, 0.2, 3))
    found = sight().hole(picture, carrier)
    assert found is not None
    true = carrier @ MOUNT @ board @ HOLE
    assert np.linalg.norm(found[:3, 3] - true[:3, 3]) < 1e-3
    assert np.linalg.norm(found[:3, :3] - true[:3, :3]) < 0.01


def test_its_label_is_the_way_of_the_tip_to_the_mouth_and_the_turn_that_aligns() -> None:
    hole = pose(rotations(np.array([0.0, 0.0, 0.3])), np.array([0.52, 0.01, 0.045]))
    grip = pose(DOWN, np.array([0.5, 0.0, 0.2]))
    label = sight().label(hole, grip)
    np.testing.assert_allclose(label[:3], [0.02, 0.01, 0.045 - 0.12], atol=1e-12)
    np.testing.assert_allclose(label[3:6], [0.0, 0.0, 0.3], atol=1e-9)
    np.testing.assert_array_equal(label[6:], TIP[:3, 3])


def observed(picture: np.ndarray) -> dict[str, Any]:
    return {"front": picture, "q": ARM.home, "dq": np.zeros(ARM.n)}


def config(**changes: Any) -> ModularConfig:
    facts = {"clearance": 0.001, "chamfer": 0.002, "depth": 0.025, "mass": 0.09}
    made = {"posture": tuple(ARM.home.tolist()), "friction": (0.0,) * ARM.n, "facts": facts, **changes}
    return ModularConfig(**made)


def test_it_stays_until_it_has_seen_the_board_and_then_remembers_it() -> None:
    board = look(0.3, 0.5, 0.2, np.array([0.0, 0.0, 0.5]))
    picture, nothing = Painter(PINHOLE).picture(board, 0), np.full((480, 640), 120, np.uint8)
    policy = BoardPolicy(sight(), config())
    np.testing.assert_array_equal(policy.act(observed(nothing)), [0.0] * ARM.n + [1.0])
    moving = policy.act(observed(picture))
    assert np.abs(moving[:-1]).max() > 0.5
    again = policy.act(observed(nothing))
    np.testing.assert_allclose(again, moving, atol=0.2)
    policy.reset()
    np.testing.assert_array_equal(policy.act(observed(nothing))[:-1], 0.0)


def test_a_board_is_for_insertion() -> None:
    grasping = config(task="grasp", facts={"opening": 0.08, "lift": 0.12})
    with pytest.raises(InputError, match="grasp"):
        BoardPolicy(sight(), grasping)
