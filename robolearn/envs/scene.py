"""One compiled world: the arm, its surroundings, a task's things, and what acts on them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.arm import ArmHandles, add_arm, arm_handles
from robolearn.envs.operational_space import OperationalSpace
from robolearn.envs.rendering import asset_key
from robolearn.envs.surroundings import Surroundings, add_surroundings
from robolearn.envs.torque_path import TorquePath
from robolearn.envs.views import VIDEO, View, add_camera
from robolearn.hardware.arm import ArmProfile

STATE_DELAY = 0.01  # age of the joint state that the limiter acts on: the wire and the driver [s]
MEMORY = 8 * 2**20  # of MuJoCo's arena, contacts and constraints of a clutter included [bytes]


@dataclass(frozen=True)
class Scene:
    """One compiled world of a task and all that belongs to it.

    Attributes:
        model: the compiled model.
        data: its state.
        view: a second state, from which cameras see the world as it was when the shutter opened.
        handles: where the arm is in the model.
        path: takes torques to the arm.
        control: moves the hand, for teachers and for pose actions.
        surroundings: applies an episode's sampled conditions to the model.
        assets: equal for models that a renderer can draw in turn.
    """

    model: mujoco.MjModel
    data: mujoco.MjData
    view: mujoco.MjData
    handles: ArmHandles
    path: TorquePath
    control: OperationalSpace
    surroundings: Surroundings
    assets: bytes


def compile_scene(
    arm: ArmProfile,
    views: Iterable[View],
    build: Callable[[mujoco.MjSpec], None],
    *,
    physics_rate: int,
    filter_rate: int,
    posture: NDArray[np.float64],
) -> Scene:
    """Build and compile a world.

    Args:
        arm: stands at the origin.
        views: the task's cameras; one for videos is added.
        build: adds the task's things, and may change the physics' options but for the time step.
        physics_rate: simulation steps a second [Hz].
        filter_rate: ticks of the torque limiter a second [Hz].
        posture: joint positions that hand control stays near, shape (n,) [rad].
    """
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    option = spec.option
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0
    # a reset inside mj_step would hide a divergence; the torque path looks for it and ends the episode
    option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    if hasattr(mujoco.mjtEnableBit, "mjENBL_MULTICCD"):
        # a face on a face needs more than one contact point; MuJoCo 3 has to be asked, later it is a matter
        # of course
        option.enableflags |= int(mujoco.mjtEnableBit.mjENBL_MULTICCD)
    spec.memory = MEMORY
    add_surroundings(spec)
    hand = add_arm(spec, arm)
    views = list(views)
    for view in [*views, VIDEO]:
        add_camera(hand if view.frame == "hand" else spec.worldbody, view)
    build(spec)
    option.timestep = 1.0 / physics_rate
    model = spec.compile()
    data = mujoco.MjData(model)
    handles = arm_handles(model, arm)
    path = TorquePath(
        model,
        data,
        handles,
        arm,
        physics_rate=physics_rate,
        filter_rate=filter_rate,
        state_delay=STATE_DELAY,
    )
    return Scene(
        model,
        data,
        mujoco.MjData(model),
        handles,
        path,
        OperationalSpace(model, handles, posture),
        Surroundings(model, data, tuple(view.name for view in views)),
        asset_key(model),
    )


class Scenes(OrderedDict[Hashable, Scene]):
    """Compiled worlds by their keys, the one that was taken last at the end."""

    def take(self, key: Hashable, most: int, build: Callable[[], Scene]) -> Scene:
        """The world of a key, built if it is not kept; beyond `most`, the one not taken for longest goes."""
        if key not in self:
            self[key] = build()
        self.move_to_end(key)
        if len(self) > most:
            self.popitem(last=False)
        return self[key]
