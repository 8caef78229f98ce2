from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_task import BallEnv

from robolearn.envs.arm import arm_handles
from robolearn.envs.kinematics import DOWN, quaternion_of, reach, rotation_from_vector, yaw_rotation
from robolearn.envs.operational_space import rotation_error
from robolearn.errors import InputError

VECTORS = st.tuples(*[st.floats(-2.0, 2.0, allow_subnormal=False)] * 3).map(np.array)
ANGLES = st.floats(0.0, np.pi)


@pytest.fixture(scope="module")
def env() -> BallEnv:
    return BallEnv()


def test_down() -> None:
    assert np.array_equal(DOWN @ [0, 0, 1], [0, 0, -1])
    assert np.array_equal(DOWN @ [1, 0, 0], [1, 0, 0])
    assert np.linalg.det(DOWN) == 1.0


@given(st.floats(-10, 10))
def test_yaw(angle: float) -> None:
    assert yaw_rotation(angle) == pytest.approx(rotation_from_vector(np.array([0.0, 0.0, angle])), abs=1e-12)


@given(VECTORS)
def test_rotations_of_vectors(vector: np.ndarray) -> None:
    rotation = rotation_from_vector(vector)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert rotation @ vector == pytest.approx(vector, abs=1e-12)
    assert np.trace(rotation) == pytest.approx(1 + 2 * np.cos(np.linalg.norm(vector)))
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quaternion_of(rotation))
    assert matrix.reshape(3, 3) == pytest.approx(rotation, abs=1e-9)


@given(VECTORS, VECTORS, ANGLES)
def test_the_rotation_error_turns_one_into_the_other(
    first: np.ndarray, axis: np.ndarray, angle: float
) -> None:
    length = np.linalg.norm(axis)
    axis = axis / length if length > 1e-3 else np.array([0.0, 0.0, 1.0])
    current = rotation_from_vector(first)
    target = rotation_from_vector(angle * axis) @ current
    error = rotation_error(target, current)
    assert np.linalg.norm(error) == pytest.approx(angle, abs=1e-6)
    assert rotation_from_vector(error) @ current == pytest.approx(target, abs=1e-6)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -2, 3), (-1, -1, -1)])
def test_half_turns_have_an_error_too(axis: tuple[float, ...]) -> None:
    direction = np.array(axis) / np.linalg.norm(axis)
    half = 2 * np.outer(direction, direction) - np.eye(3)
    error = rotation_error(half, np.eye(3))
    assert np.linalg.norm(error) == pytest.approx(np.pi)
    assert abs(error @ direction) == pytest.approx(np.pi)


def test_no_turn_has_no_error() -> None:
    rotation = rotation_from_vector(np.array([0.3, -0.2, 0.9]))
    assert np.linalg.norm(rotation_error(rotation, rotation)) < 1e-9
    assert np.array_equal(rotation_error(np.eye(3), np.eye(3)), np.zeros(3))


@pytest.mark.parametrize("position", [(0.5, 0.0, 0.3), (0.4, -0.25, 0.15), (0.6, 0.2, 0.05)])
@pytest.mark.parametrize("yaw", [-1.0, 0.0, 1.2])
def test_reaching(env: BallEnv, position: tuple[float, ...], yaw: float) -> None:
    data = mujoco.MjData(env.model)
    rotation = yaw_rotation(yaw) @ DOWN
    q = reach(env.model, data, env.handles, env.arm, np.array(position), rotation)
    assert (q >= env.arm.q_min).all()
    assert (q <= env.arm.q_max).all()
    data.qpos[env.handles.qpos] = q
    mujoco.mj_kinematics(env.model, data)
    assert data.site_xpos[env.handles.grip] == pytest.approx(np.array(position), abs=1e-3)
    turned = data.site_xmat[env.handles.grip].reshape(3, 3)
    assert np.linalg.norm(rotation_error(rotation, turned)) < 0.01


def test_reaching_with_another_site(env: BallEnv) -> None:
    data = mujoco.MjData(env.model)
    wrist = env.model.site("wrist").id
    reach(env.model, data, env.handles, env.arm, np.array([0.5, 0.0, 0.4]), DOWN, site=wrist)
    assert data.site_xpos[wrist] == pytest.approx([0.5, 0.0, 0.4], abs=1e-3)


def test_what_cannot_be_reached(env: BallEnv) -> None:
    data = mujoco.MjData(env.model)
    with pytest.raises(InputError, match=r"arm 'panda' cannot reach \[2. 0. 0.\] m"):
        reach(env.model, data, env.handles, env.arm, np.array([2.0, 0.0, 0.0]), DOWN)


def test_handles_are_found_by_name(env: BallEnv) -> None:
    assert np.array_equal(arm_handles(env.model, env.arm).qpos, env.handles.qpos)
