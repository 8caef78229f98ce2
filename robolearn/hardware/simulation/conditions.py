"""A reality's numbers in place of what a task's randomisation draws for each episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.randomisation import Randomisation
from robolearn.errors import InputError, choose
from robolearn.hardware.realities import Reality
from robolearn.hardware.simulation.timing import Shutter, WireTiming


@dataclass(frozen=True, kw_only=True)
class Conditions(Randomisation):
    """A randomisation that draws what the task's own would, and gives the reality's numbers.

    So whatever is drawn after it, the place of an object for example, is what the episode's seed makes it.
    """

    reality: Reality

    def sample(self, rng: np.random.Generator, joints: int, cameras: tuple[str, ...]) -> dict[str, Any]:
        drawn, real = super().sample(rng, joints, cameras), self.reality
        same = {name: getattr(real, name) for name in _SAME}
        return {
            **drawn,
            **same,
            "light_shift": np.array(real.light_shift),
            "camera_shift": _rows(real.camera_shift, cameras, (0.0, 0.0, 0.0)),
            "camera_turn": _rows(real.camera_turn, cameras, (0.0, 0.0, 0.0)),
            "focal_scale": _rows(real.focal_scale, cameras, 1.0),
            "torque_gain": np.array(real.torque_gain),
            "joint_friction": np.array(real.joint_friction),
        }


_SAME = (
    "light_intensity",
    "colour_seed",
    "colour_shift",
    "texture",
    "distractors",
    "mass_scale",
    "friction_scale",
)


def impose(reality: Reality, env: ManipulationEnv) -> None:
    """From its next reset on an environment is a reality's.

    Raises:
        InputError: the reality counts other joints, or names cameras that the task does not have.
    """
    for name in ("torque_gain", "joint_friction"):
        if (count := len(getattr(reality, name))) != env.arm.n:
            raise InputError(
                f"{reality.path}: {name} has {count} numbers; arm {env.arm.name!r} has {env.arm.n} joints"
            )
    for cameras in (reality.camera_shift, reality.camera_turn, reality.focal_scale):
        for name in cameras:
            choose(f"camera of the task, named in {reality.path}", name, env.views)
    nominal = {f.name: getattr(env.randomisation, f.name) for f in fields(Randomisation)}
    noise = {name: getattr(reality, name) for name in ("q_noise", "dq_noise", "image_noise")}
    env.randomisation = Conditions(**{**nominal, **noise}, reality=reality)


def furnish(reality: Reality, env: ManipulationEnv) -> None:
    """Put the room's things where they are in every episode.

    An environment draws them after the colours of all surfaces, so that they would move with the number of
    the objects' surfaces.
    """
    rng = np.random.default_rng([reality.colour_seed, 1])
    env.scene.surroundings.furnish(reality.texture, reality.distractors, rng)


def later(reality: Reality, timing: WireTiming, cameras: Mapping[str, Any]) -> WireTiming:
    """The wire's timing with a reality's delays added.

    Args:
        reality: whose.
        timing: without them.
        cameras: the task's, by name.
    """
    shutters = {name: timing.cameras.get(name, Shutter()) for name in cameras}
    extra = reality.camera_delay_extra
    return replace(
        timing,
        state_delay=timing.state_delay + reality.state_delay_extra,
        command_delay=timing.command_delay + reality.command_delay_extra,
        cameras={name: replace(eye, delay=eye.delay + extra) for name, eye in shutters.items()},
    )


def _rows(values: Mapping[str, Any], cameras: tuple[str, ...], otherwise: Any) -> np.ndarray:
    """A row for each camera; one that is not named is where it should be."""
    return np.array([values.get(name, otherwise) for name in cameras])
