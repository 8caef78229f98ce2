from __future__ import annotations

import mujoco
import numpy as np
import pytest
from small_task import BallEnv

from robolearn.envs.kinematics import DOWN, rotation_from_vector, yaw_rotation
from robolearn.envs.operational_space import Gains, OperationalSpace, rotation_error


def settle(
    env: BallEnv, control: OperationalSpace, position: np.ndarray, rotation: np.ndarray, seconds: float
) -> list[float]:
    """Drive the hand with 200 torques a second; its speeds [m/s]."""
    speeds = []
    for _ in range(round(200 * seconds)):
        torque = control.torque(env.data, *env.grip_pose(), position, rotation)
        before = env.grip_pose()[0]
        env.advance(torque, 0.08, 2)
        speeds.append(float(np.linalg.norm(env.grip_pose()[0] - before)) * 200)
    return speeds


@pytest.fixture
def env() -> BallEnv:
    env = BallEnv()
    env.reset(seed=0)
    return env


def test_at_the_goal_and_at_rest_only_the_posture_is_left(env: BallEnv) -> None:
    control = OperationalSpace(env.model, env.handles, env.data.qpos[env.handles.qpos])
    torque = control.torque(env.data, *env.grip_pose(), *env.grip_pose())
    assert np.abs(torque).max() < 1e-9


def test_the_posture_does_not_move_the_hand(env: BallEnv) -> None:
    """What pulls at the posture accelerates the joints, and not the hand."""
    jacobian = env.scene.control.jacobian(env.data, env.grip_pose()[0])
    free = np.linalg.svd(jacobian)[2][-1]  # how the elbow swings
    control = OperationalSpace(env.model, env.handles, env.data.qpos[env.handles.qpos] + 0.5 * free)
    torque = control.torque(env.data, *env.grip_pose(), *env.grip_pose())
    assert np.abs(torque).max() > 0.1
    inertia = np.zeros((env.model.nv, env.model.nv))
    mujoco.mj_fullM(env.model, env.data, inertia)
    inertia = inertia[np.ix_(env.handles.dof, env.handles.dof)]
    joints = np.linalg.solve(inertia, torque)
    assert np.abs(joints).max() > 0.5
    assert np.abs(jacobian @ joints).max() < 1e-2 * np.abs(joints).max()


def test_the_jacobian_is_the_hands_motion_per_joint_motion(env: BallEnv) -> None:
    control = env.scene.control
    position, rotation = env.grip_pose()
    jacobian = control.jacobian(env.data, position)
    data = mujoco.MjData(env.model)
    for joint in range(7):
        data.qpos[:] = env.data.qpos
        data.qpos[env.handles.qpos[joint]] += 1e-6
        mujoco.mj_kinematics(env.model, data)
        moved = data.site_xpos[env.handles.grip] - position
        turned = rotation_error(data.site_xmat[env.handles.grip].reshape(3, 3), rotation)
        assert np.concatenate([moved, turned]) * 1e6 == pytest.approx(jacobian[:, joint], abs=1e-5)


def test_the_inertia_matrix_is_the_models(env: BallEnv) -> None:
    inertia = np.zeros((env.model.nv, env.model.nv))
    mujoco.mj_fullM(env.model, env.data, inertia)
    assert inertia == pytest.approx(inertia.T)
    acceleration, force = np.zeros(env.model.nv), np.zeros(env.model.nv)
    acceleration[env.handles.dof[2]] = 1.0
    mujoco.mj_mulM(env.model, env.data, force, acceleration)
    assert inertia[:, env.handles.dof[2]] == pytest.approx(force)
    assert (np.linalg.eigvalsh(inertia) > 0).all()


def test_the_hand_comes_to_a_pose_without_overshoot(env: BallEnv) -> None:
    position, rotation = np.array([0.42, 0.15, 0.3]), yaw_rotation(-0.6) @ DOWN
    start = env.grip_pose()[0]
    settle(env, env.scene.control, position, rotation, 0.5)
    way = np.linalg.norm(position - start)
    assert 0.02 < np.linalg.norm(env.grip_pose()[0] - position) < 0.6 * way
    speeds = settle(env, env.scene.control, position, rotation, 2.0)
    at, turned = env.grip_pose()
    assert np.linalg.norm(at - position) < 1e-3
    assert np.linalg.norm(rotation_error(rotation, turned)) < 0.02
    assert speeds[-1] < 0.002


@pytest.mark.parametrize("speed", [0.1, 0.3])
def test_it_cruises_at_the_speed_asked_for(env: BallEnv, speed: float) -> None:
    control = OperationalSpace(env.model, env.handles, env.usual_posture, Gains(speed=speed))
    start = env.grip_pose()[0]
    speeds = settle(env, control, start + np.array([-0.1, 0.35, 0.1]), DOWN, 1.2)
    assert max(speeds) == pytest.approx(speed, rel=0.15)


def test_a_load_is_carried(env: BallEnv) -> None:
    """A weight at the hand, told of or not."""
    errors = []
    for load in (np.array([0.0, 0.0, 10.0]), None):
        env.reset(seed=0)
        position, rotation = env.grip_pose()
        env.data.xfrc_applied[env.handles.hand, :3] = [0.0, 0.0, -10.0]
        for _ in range(300):
            torque = env.scene.control.torque(env.data, *env.grip_pose(), position, rotation, load)
            env.advance(torque, 0.08, 2)
        errors.append(np.linalg.norm(env.grip_pose()[0] - position))
        env.data.xfrc_applied[:] = 0.0
    assert errors[0] < 0.006  # it hangs beside the point that is controlled
    assert errors[1] > 0.03


def test_far_targets_and_singular_postures_give_bounded_torques(env: BallEnv) -> None:
    env.data.qpos[env.handles.qpos] = [0.0, 0.0, 0.0, -0.1, 0.0, 0.2, 0.0]  # nearly stretched out
    mujoco.mj_forward(env.model, env.data)
    torque = env.scene.control.torque(
        env.data, *env.grip_pose(), np.array([5.0, 5.0, 5.0]), rotation_from_vector(np.array([3.0, 0.0, 0.0]))
    )
    assert np.isfinite(torque).all()
    assert np.abs(torque).max() < 1000.0
