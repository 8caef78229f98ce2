from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_task import BallEnv

from robolearn.envs.commands import COMMANDS, HAND_STEP, JOINT_STEP, command_size
from robolearn.envs.kinematics import DOWN, yaw_rotation
from robolearn.envs.operational_space import rotation_error
from robolearn.envs.randomisation import CLEAN
from robolearn.hardware.arm import load_arm


@pytest.mark.parametrize("kind", COMMANDS)
def test_action_spaces(kind: str) -> None:
    env = BallEnv(action=kind)
    space = env.action_space
    assert space.shape == (command_size(kind, env.arm),)
    expected = {"torque": env.arm.tau_max, "impedance": np.full(7, JOINT_STEP), "pose": HAND_STEP}[kind]
    assert space.high[:-1] == pytest.approx(expected)
    assert (space.low == -space.high).all()
    assert space.high[-1] == 1.0


def test_sizes_follow_the_arm() -> None:
    arm = load_arm("fr3")
    assert [command_size(kind, arm) for kind in COMMANDS] == [8, 8, 7]


def test_torques_reach_the_motors() -> None:
    env = BallEnv()
    env.reset(seed=0)
    torque = np.array([1.0, -0.8, 0.6, -0.5, 0.4, -0.3, 0.2])
    for _ in range(2):
        *_, info = env.step(np.append(torque, -1.0))
    assert info["requested"] == pytest.approx(torque)
    assert info["sent"] == pytest.approx(torque)
    assert env.data.qfrc_actuator[env.handles.dof] == pytest.approx(torque)


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_gripper_closes_above_zero(kind: str) -> None:
    env = BallEnv(action=kind)
    still = np.zeros(command_size(kind, env.arm) - 1)
    env.reset(seed=0)
    for close, low, high in ((-1.0, 0.079, 0.081), (0.01, -0.001, 0.001), (0.0, 0.079, 0.081)):
        for _ in range(25):
            if env._finished:
                env._finished = False
            env.step(np.append(still, close))
        assert low < env.width < high


def test_the_gripper_takes_its_dead_time_and_its_speed() -> None:
    env = BallEnv(control_rate=100)
    env.randomisation = replace(CLEAN, action_delay=(0.0, 0.0))
    env.reset(seed=0)
    widths = []
    for _ in range(60):
        env.step(np.r_[np.zeros(7), 1.0])
        widths.append(env.width)
    gripper = env.arm.gripper
    begun = next(i for i, width in enumerate(widths) if width < gripper.max_width - 1e-3)
    assert begun * 0.01 == pytest.approx(gripper.dead_time, abs=0.03)
    speed = (widths[begun + 5] - widths[begun + 25]) / 0.2
    assert speed == pytest.approx(gripper.closing_speed, rel=0.1)


def test_impedance_goes_to_the_displaced_posture() -> None:
    env = BallEnv(action="impedance", episode_seconds=6.0)
    env.reset(seed=1)
    goal = env.data.qpos[env.handles.qpos] + [0.5, -0.2, 0.3, 0.4, -0.3, 0.5, 0.6]
    for _ in range(60):
        displacement = np.clip(goal - env.data.qpos[env.handles.qpos], -JOINT_STEP, JOINT_STEP)
        *_, info = env.step(np.append(displacement, -1.0))
        assert (np.abs(info["sent"]) <= env.arm.tau_max).all()
    assert np.abs(env.data.qpos[env.handles.qpos] - goal).max() < 0.01
    assert np.abs(env.data.qvel[env.handles.dof]).max() < 0.02


@pytest.mark.parametrize("arm", ["panda", "fr3"])
def test_a_servo_of_pose_actions_reaches_a_pose(arm: str) -> None:
    env = BallEnv(action="pose", arm=arm, episode_seconds=6.0)
    env.reset(seed=1)
    position, rotation = np.array([0.45, -0.12, 0.35]), yaw_rotation(0.7) @ DOWN
    for _ in range(80):
        at, turned = env.grip_pose()
        twist = np.concatenate([position - at, rotation_error(rotation, turned)])
        *_, info = env.step(np.append(np.clip(twist, -HAND_STEP, HAND_STEP), -1.0))
        assert (np.abs(info["sent"]) <= env.arm.tau_max).all()
    at, turned = env.grip_pose()
    assert np.linalg.norm(at - position) < 0.002
    assert np.linalg.norm(rotation_error(rotation, turned)) < 0.01


@pytest.mark.parametrize("kind", ["impedance", "pose"])
def test_displacements_are_cut_to_the_action_space(kind: str) -> None:
    env, other = BallEnv(action=kind), BallEnv(action=kind)
    high = env.action_space.high.astype(float)
    for each, action in ((env, high), (other, 10 * high)):
        each.reset(seed=0)
        for _ in range(3):
            each.step(action)
    assert np.array_equal(env.data.qpos, other.data.qpos)


@pytest.mark.parametrize("kind", ["impedance", "pose"])
def test_a_displacement_is_from_where_the_arm_is_when_the_command_arrives(kind: str) -> None:
    env = BallEnv(action=kind)
    env.randomisation = replace(CLEAN, action_delay=(0.04, 0.04))
    env.reset(seed=0)
    env.data.qvel[env.handles.dof] = 0.3  # it moves while the command is on its way
    seen = []
    several = env.scene.path.advance

    def watch(torque: np.ndarray, width: float, steps: int) -> None:
        if kind == "impedance":  # with the spring at rest there is only the damper
            damping = 2 * np.sqrt(env.arm.tau_max * env.arm.tau_max / 60)
            braking = -damping * env.data.qvel[env.handles.dof]
        else:
            braking = env.scene.control.torque(env.data, *env.grip_pose(), *env.grip_pose())
        seen.append((env.scene.path.steps, np.array(torque), braking))
        several(torque, width, steps)

    env.scene.path.advance = watch  # type: ignore[method-assign]
    env.step(np.zeros(command_size(kind, env.arm)))
    before = [torque for step, torque, _ in seen if step < 16]
    assert len(before) > 0
    assert all((torque == 0).all() for torque in before)
    torque, braking = next((torque, braking) for step, torque, braking in seen if step == 16)
    assert np.abs(torque).min() > 1e-3
    assert torque == pytest.approx(braking, rel=1e-9)


@pytest.mark.parametrize("kind", ["impedance", "pose"])
def test_feedback_is_renewed_at_every_tick_of_the_limiter(kind: str) -> None:
    env = BallEnv(action=kind)
    env.reset(seed=0)
    seen: list[int] = []
    several = env.scene.path.advance

    def watch(torque: np.ndarray, width: float, steps: int) -> None:
        seen.append(steps)
        several(torque, width, steps)

    env.scene.path.advance = watch  # type: ignore[method-assign]
    for _ in range(2):
        env.step(np.full(command_size(kind, env.arm), 0.05))
    assert sum(seen) == 40
    assert max(seen[1:]) == 2
