"""Where the arm is when an episode begins: about its usual posture, or on its way, as scattered starts do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.kinematics import reach
from robolearn.errors import InputError

if TYPE_CHECKING:
    from robolearn.envs.base import ManipulationEnv

Array = NDArray[np.float64]

TOUCH = 1e-3  # a hand may not be set deeper than this into anything [m]
SPREAD = 0.03  # a start differs so much at most from the usual posture [rad]
POSTURE_SPREAD = 0.1  # standard deviation of the posture that it is set in, around the usual one [rad]

STARTS = ("start_posture", "scattered_posture", "scattered_velocity")
"""What an episode's `sampled` has of the joints, (n,) [rad] and [rad/s]; the last two of scattered starts."""


def draw_start(env: ManipulationEnv) -> Array:
    """Joint positions about the usual ones, shape (n,) [rad]."""
    posture = env.usual_posture + env.np_random.uniform(-SPREAD, SPREAD, env.arm.n)
    env.sampled["start_posture"] = posture
    return np.asarray(posture)


def set_hand(env: ManipulationEnv, position: Array, rotation: Array, twist: Array) -> bool:
    """As `ManipulationEnv.bring_hand`; the episode's `sampled` has the start that it led to."""
    model, data, handles = env.model, env.data, env.handles
    before = data.qpos.copy(), data.qvel.copy()
    posture = env.usual_posture + env.np_random.normal(0.0, POSTURE_SPREAD, env.arm.n)
    try:
        data.qpos[handles.qpos] = reach(model, data, handles, env.arm, position, rotation, posture=posture)
    except InputError:
        data.qpos[:] = before[0]
        mujoco.mj_forward(model, data)
        return False
    mujoco.mj_comPos(model, data)
    jacobian = env.scene.control.jacobian(data, position)
    data.qvel[handles.dof] = np.linalg.pinv(jacobian) @ twist
    mujoco.mj_forward(model, data)
    if data.ncon and float(data.contact.dist.min()) < -TOUCH:
        data.qpos[:], data.qvel[:] = before
        mujoco.mj_forward(model, data)
        return False
    env.sampled["scattered_posture"] = data.qpos[handles.qpos]  # copies: taken by a list of places
    env.sampled["scattered_velocity"] = data.qvel[handles.dof]
    env.scene.path.arm_was_set()
    return True
