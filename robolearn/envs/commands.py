"""What an action means: joint torques, joint or hand displacements, all of which end in the torque path.

A torque command is handed to the torque path as it is. The two others are feedback laws that turn the present
state into a torque at every tick of the limiter; they exist to be compared with.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.kinematics import rotation_from_vector
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile

if TYPE_CHECKING:
    from robolearn.envs.base import ManipulationEnv

Array = NDArray[np.float64]

COMMANDS = ("torque", "impedance", "pose")
JOINT_STEP = 0.2  # largest joint displacement of an impedance action [rad]
HAND_STEP = np.array([0.05] * 3 + [0.3] * 3)  # largest hand displacement of a pose action [m, rad]


class Command(Protocol):
    """Drives the arm for a number of physics steps."""

    def run(self, steps: int) -> None: ...


def command_size(kind: str, arm: ArmProfile) -> int:
    """Length of an action of a kind, the gripper's entry included."""
    return (len(HAND_STEP) if kind == "pose" else arm.n) + 1


def command_space(kind: str, arm: ArmProfile) -> gymnasium.Space[Any]:
    """The actions of a kind; the last entry is the gripper, from -1 to 1, and closes it above 0."""
    high = {
        "torque": arm.tau_max,
        "impedance": np.full(arm.n, JOINT_STEP),
        "pose": HAND_STEP,
    }[kind]
    high = np.append(high, 1.0).astype(np.float32)
    return gymnasium.spaces.Box(-high, high, dtype=np.float32)


def make_command(kind: str, action: NDArray[Any], env: ManipulationEnv) -> Command:
    """Check an action and turn it into a command.

    Displacements beyond the action space are cut to it; torques are the limiter's business.

    Raises:
        InputError: the action has a wrong shape or an entry that is not a finite number.
    """
    try:
        action = np.array(action, np.float64)  # a copy: it waits for its delay while the caller reuses his
    except (TypeError, ValueError) as error:
        raise InputError(f"a {kind} action is an array of numbers, not {action!r}") from error
    size = command_size(kind, env.arm)
    if action.shape != (size,):
        raise InputError(
            f"a {kind} action has shape ({size},): "
            f"{'x y z and a rotation vector' if kind == 'pose' else 'one entry a joint'} and the gripper; "
            f"got {action.shape}"
        )
    if not all(map(isfinite, action.tolist())):
        bad = [f"{i}: {action[i]}" for i in np.flatnonzero(~np.isfinite(action))]
        raise InputError(f"a {kind} action must be finite; entries {', '.join(bad)}")
    width = 0.0 if action[-1] > 0 else env.arm.gripper.max_width
    if kind == "torque":
        return _Torque(env, action[:-1], width)
    if kind == "impedance":
        return _Impedance(env, np.clip(action[:-1], -JOINT_STEP, JOINT_STEP), width)
    return _Pose(env, np.clip(action[:-1], -HAND_STEP, HAND_STEP), width)


class _Torque:
    def __init__(self, env: ManipulationEnv, torque: Array, width: float) -> None:
        self._path, self._torque, self._width = env.scene.path, torque, width

    def run(self, steps: int) -> None:
        self._path.advance(self._torque, self._width, steps)


class _Feedback:
    """A displacement of where the arm is when the command reaches it, after its delay."""

    def __init__(self, env: ManipulationEnv, displacement: Array, width: float) -> None:
        self._env, self._displacement, self._width = env, displacement, width
        self._every = env.physics_rate // env.config.filter_rate
        self._begun = False

    def begin(self) -> None:
        raise NotImplementedError

    def torque(self) -> Array:
        raise NotImplementedError

    def run(self, steps: int) -> None:
        if not self._begun:
            self.begin()
            self._begun = True
        while steps > 0 and not self._env.scene.path.diverged:
            chunk = min(steps, self._every)
            self._env.advance(self.torque(), self._width, chunk)
            steps -= chunk


class _Impedance(_Feedback):
    """A spring and a damper a joint, towards a displaced posture: tau = K (q_d - q) - D dq."""

    def begin(self) -> None:
        arm = self._env.arm
        self._goal = self._env.data.qpos[self._env.handles.qpos] + self._displacement
        self._stiffness = arm.tau_max
        # critically damped for what a joint of this strength typically carries: strength / 60 [kg m²]
        self._damping = 2 * np.sqrt(self._stiffness * arm.tau_max / 60)

    def torque(self) -> Array:
        data, handles = self._env.data, self._env.handles
        return np.asarray(
            self._stiffness * (self._goal - data.qpos[handles.qpos]) - self._damping * data.qvel[handles.dof]
        )


class _Pose(_Feedback):
    """Operational-space control towards a displaced hand pose, displacement in the base frame."""

    def begin(self) -> None:
        position, rotation = self._env.grip_pose()
        self._position = position + self._displacement[:3]
        self._rotation = rotation_from_vector(self._displacement[3:]) @ rotation

    def torque(self) -> Array:
        env = self._env
        return env.scene.control.torque(env.data, *env.grip_pose(), self._position, self._rotation)
