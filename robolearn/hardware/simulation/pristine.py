"""What makes a task's model a real arm's, and how it is given back to its environment."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.scene import Scene

_ALTERED = ("body_mass", "body_gravcomp", "actuator_ctrllimited", "actuator_forcelimited", "cam_fovy")


class Pristine:
    """A model as its environment left it, before the arm in it was made real."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._values: dict[str, NDArray[Any]] = {name: getattr(scene.model, name).copy() for name in _ALTERED}

    def restore(self) -> None:
        """An environment may use a compiled model again: nothing of ours may be left in it."""
        for name, values in self._values.items():
            getattr(self._scene.model, name)[:] = values


def unlimit(env: ManipulationEnv) -> None:
    """Motors make what they are told, and an arm that does not compensate gravity feels it."""
    model = env.model
    model.actuator_ctrllimited[env.handles.motors] = 0
    model.actuator_forcelimited[env.handles.motors] = 0
    if not env.arm.compensates_gravity:
        model.body_gravcomp[:] = 0.0


def load(env: ManipulationEnv, mass: float) -> None:
    """Put a mass [kg] into the hand that the arm's gravity compensation does not know of."""
    model, hand = env.model, env.handles.hand
    known = float(model.body_mass[hand])
    model.body_mass[hand] = known + mass
    model.body_gravcomp[hand] *= known / (known + mass)
