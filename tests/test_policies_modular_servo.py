from __future__ import annotations

import numpy as np
import pytest
from small_task import BallEnv

from robolearn.envs.kinematics import DOWN
from robolearn.envs.operational_space import OperationalSpace
from robolearn.hardware.arm import load_arm
from robolearn.hardware.operational_space import Gains
from robolearn.policies.modular.servo import WOUND, Servo

ARM = load_arm("panda")
GOAL = np.array([0.5, 0.05, 0.2])


@pytest.fixture
def env() -> BallEnv:
    env = BallEnv()
    env.reset(seed=0)
    env.advance(np.array([3.0, -2.0, 1.0, 2.0, 0.3, -0.2, 0.3]), 0.08, 40)  # moving
    return env


def servo(env: BallEnv, friction: float = 0.0) -> Servo:
    made = Servo(ARM, env.usual_posture, np.full(ARM.n, friction), 20.0)
    made.feel(env.data.qpos[env.handles.qpos], env.data.qvel[env.handles.dof])
    return made


def test_readings_and_the_arms_own_model_say_where_the_simulators_hand_is(env: BallEnv) -> None:
    position, rotation = env.grip_pose()
    felt = servo(env)
    np.testing.assert_allclose(felt.position, position, atol=1e-9)
    np.testing.assert_allclose(felt.rotation, rotation, atol=1e-9)
    q = env.data.qpos[env.handles.qpos]
    np.testing.assert_allclose(felt.grips(np.stack([q, q]))[1][:3, 3], position, atol=1e-9)


@pytest.mark.parametrize("held", [np.zeros(3), np.array([0.003, 0.0, 0.08])])
def test_it_commands_what_the_teachers_law_does_with_the_simulators_state(
    env: BallEnv, held: np.ndarray
) -> None:
    position, rotation = env.grip_pose()
    load = np.array([0.0, 0.0, 2.0])
    gains = Gains(speed=0.25)
    control = OperationalSpace(env.model, env.handles, env.usual_posture, gains)
    expected = control.torque(env.data, position + rotation @ held, rotation, GOAL, DOWN, load)
    found = servo(env).torque(GOAL, DOWN, gains, held, load)
    # the models differ in the fingers, which have come closer together: by some grammes' worth
    np.testing.assert_allclose(found, expected, atol=0.03 + 0.01 * np.abs(expected).max())


def test_where_there_is_friction_what_stays_wrong_is_wound_up_within_bounds(env: BallEnv) -> None:
    rubbing, smooth = servo(env, 0.3), servo(env)
    goal, rotation = rubbing.position + np.array([0.01, 0.0, 0.0]), rubbing.rotation
    first = rubbing.torque(goal, rotation, Gains())
    for _ in range(200):
        last = rubbing.torque(goal, rotation, Gains())
    assert np.linalg.norm(rubbing._wound) == pytest.approx(WOUND[0])
    assert np.abs(last - first).max() > 0.5
    np.testing.assert_array_equal(
        smooth.torque(goal, rotation, Gains()), smooth.torque(goal, rotation, Gains())
    )
    rubbing.reset()
    np.testing.assert_array_equal(rubbing.torque(goal, rotation, Gains()), first)


def test_no_torque_is_beyond_the_arms_limits(env: BallEnv) -> None:
    torque = servo(env).torque(GOAL, DOWN, Gains(), load=np.array([0.0, 0.0, 5000.0]))
    assert (np.abs(torque) <= ARM.tau_max).all()


def test_it_answers_an_old_reading_as_it_would_the_arm_of_then(env: BallEnv) -> None:
    """What was asked for moves the arm on by the model; what it only carries does not."""
    late = 0.04
    q, dq = env.data.qpos[env.handles.qpos], env.data.qvel[env.handles.dof]
    ahead = Servo(ARM, env.usual_posture, np.zeros(ARM.n), 20.0, late)
    ahead.feel(q, dq)
    ahead.torque(GOAL, DOWN, Gains())
    gain = ahead._asked
    ahead.feel(q, dq)
    now = Servo(ARM, env.usual_posture, np.zeros(ARM.n), 20.0)
    now.feel(q + late * dq + 0.5 * late**2 * gain, dq + late * gain)
    np.testing.assert_allclose(ahead.torque(GOAL, DOWN, Gains()), now.torque(GOAL, DOWN, Gains()))
    np.testing.assert_allclose(ahead.position, env.grip_pose()[0], atol=1e-9)  # of the picture, not of then

    resting = Servo(ARM, q, np.zeros(ARM.n), 20.0, late)
    resting.feel(q, np.zeros(ARM.n))
    resting.torque(resting.position, resting.rotation, Gains(), load=np.array([0.0, 0.0, -4.0]))
    np.testing.assert_allclose(resting._asked, 0.0, atol=1e-9)
