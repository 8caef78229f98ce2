"""What a modular policy is told of its task before it learns: what an engineer reads off the drawings.

Nothing of an episode is among it, and nothing that is drawn anew with each: the nominal arm, the posture that
the task begins in, the sizes of peg and hole, the middle of the range that the joints' friction lies in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.grasp import LIFT
from robolearn.errors import choose
from robolearn.policies.modular.policy import SKILLS, ModularConfig
from robolearn.policies.visuomotor import VisuomotorConfig


def _of_peg(env: Any) -> dict[str, float]:
    mass = float(env.model.body_mass[env.model.body("peg").id])
    geometry = env.geometry
    return {"clearance": geometry.clearance, "chamfer": geometry.chamfer, "depth": env.enough, "mass": mass}


def _of_grasp(env: Any) -> dict[str, float]:
    return {"opening": env.arm.gripper.max_width, "lift": LIFT}


FACTS: dict[str, Callable[[ManipulationEnv], dict[str, float]]] = {
    "peg-insertion": _of_peg,
    "grasp": _of_grasp,
}
"""What each skill wants to know, read off an environment of its task."""


def modular_config(network: VisuomotorConfig, env: ManipulationEnv) -> ModularConfig:
    """The network's size, and what the controller of an environment's task knows.

    Raises:
        InputError: there is no controller for the task.
    """
    task = choose("task of a modular policy", env.name, SKILLS)
    ranges = env.randomisation
    upper, wrist = (float(np.mean(r)) for r in (ranges.joint_friction_upper, ranges.joint_friction_wrist))
    return ModularConfig(
        **asdict(network),
        task=task,
        arm=env.config.arm,
        posture=tuple(env.usual_posture.tolist()),
        friction=(upper,) * max(env.arm.n - 3, 0) + (wrist,) * min(env.arm.n, 3),
        rate=float(env.config.control_rate),
        facts=FACTS[task](env),
    )
