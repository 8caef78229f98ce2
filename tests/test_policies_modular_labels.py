from __future__ import annotations

import mujoco
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robolearn.policies.modular.labels import (
    grasp_rotation,
    grasping_labels,
    insertion_labels,
    rotations,
)

angles = st.floats(-3.1, 3.1)
DOWN = np.diag([1.0, -1.0, -1.0])
FLIP = np.diag([-1.0, -1.0, 1.0])


def turned(*vector: float) -> np.ndarray:
    return rotations(np.array(vector))


@given(st.tuples(angles, angles, angles))
def test_rotations_are_those_of_mujoco(vector: tuple[float, float, float]) -> None:
    quaternion, expected = np.zeros(4), np.zeros(9)
    angle = float(np.linalg.norm(vector))
    axis = np.array(vector) / angle if angle > 1e-12 else np.array([1.0, 0.0, 0.0])
    mujoco.mju_axisAngle2Quat(quaternion, axis, angle)
    mujoco.mju_quat2Mat(expected, quaternion)
    np.testing.assert_allclose(rotations(np.array([vector]))[0].ravel(), expected, atol=1e-9)


def grasp_state(goal: np.ndarray, hand: np.ndarray, away: np.ndarray, width: float) -> np.ndarray:
    """What `GraspEnv.privileged` says, by its own way of making it."""
    from robolearn.hardware.operational_space import rotation_error

    point = np.array([0.5, 0.1, 0.02])
    return np.concatenate([away, point, rotation_error(goal, hand), [width, 0.0]])


@given(st.floats(-1.5, 1.5), st.floats(-1.4, 1.4), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_from_a_grasps_label_comes_back_the_grasp(
    hand_yaw: float, yaw: float, lean: float, bend: float
) -> None:
    hand = turned(0.0, 0.0, hand_yaw) @ DOWN
    goal = hand @ turned(0.0, 0.0, yaw) @ turned(lean, bend, 0.0)
    grip = np.eye(4)
    grip[:3, :3] = hand
    label = grasping_labels(grasp_state(goal, hand, np.array([0.1, 0.0, -0.2]), 0.04)[None], grip[None])[0]
    np.testing.assert_allclose(label[:3], [0.1, 0.0, -0.2])
    assert label[7] == 0.04
    back = grasp_rotation(label, hand, like=goal)
    np.testing.assert_allclose(back, goal, atol=1e-9)
    np.testing.assert_allclose(back.T @ back, np.eye(3), atol=1e-9)
    assert np.linalg.det(back) > 0.0


@given(st.floats(-1.4, 1.4))
def test_a_grasp_and_the_same_one_half_a_turn_round_have_one_label(yaw: float) -> None:
    hand, grip = DOWN, np.eye(4)
    grip[:3, :3] = hand
    goal = hand @ turned(0.0, 0.0, yaw)
    labels = [
        grasping_labels(grasp_state(way, hand, np.zeros(3), 0.03)[None], grip[None])[0]
        for way in (goal, goal @ FLIP)
    ]
    np.testing.assert_allclose(labels[0], labels[1], atol=1e-7)
    for like in (goal, goal @ FLIP):
        np.testing.assert_allclose(grasp_rotation(labels[0], hand, like), like, atol=1e-7)


def test_labels_of_insertion_are_parts_of_the_state() -> None:
    state = np.arange(28.0).reshape(2, 14)
    labels = insertion_labels(state, np.zeros((2, 4, 4)))
    np.testing.assert_array_equal(labels[0], [0, 1, 2, 3, 4, 5, 11, 12, 13])


def test_a_label_out_of_all_bounds_still_gives_a_rotation() -> None:
    wild = np.array([0.0, 0.0, 0.0, 3.0, -2.0, 0.0, 1e-9, 0.1])
    rotation = grasp_rotation(wild, DOWN, DOWN)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
