"""What a modular policy is told of its task before it learns: what an engineer reads off the drawings.

Nothing of an episode is among it, and nothing that is drawn anew with each: the nominal arm, the posture that
the task begins in, the sizes of peg and hole, the middle of the range that the joints' friction lies in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from robolearn.data.episode import Episode
from robolearn.envs.base import ManipulationEnv
from robolearn.envs.grasp import LIFT
from robolearn.errors import choose
from robolearn.policies.modular.policy import SKILLS, Modular, ModularConfig
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
        delay=sum(env.contract().delays[name] for name in ("observation", "action")),
        facts=FACTS[task](env),
    )


def detector(
    network: VisuomotorConfig,
    env: ManipulationEnv,
    cameras: dict[str, tuple[int, int]],
    channels: dict[str, int],
    action: int,
) -> Modular:
    """An untrained modular policy for an environment.

    Args:
        network: size of its network.
        env: of the task.
        cameras: name to (height, width).
        channels: joint readings: name to size.
        action: size of an action.

    Raises:
        InputError: there is no controller for the task, or it lacks a camera or a reading.
    """
    config = modular_config(network, env)
    return Modular(config, cameras, channels, SKILLS[config.task].size, action)


def relabelled(network: Modular) -> Callable[[Episode], Episode]:
    """What puts the detector's labels in the place of the simulator's state, for every frame of an episode.

    The episodes are such as the guided learner collects: first the disturbed teacher's, then those in which
    the modular policy itself acts, with the teacher in between. A detector's views depend on who acts as much
    as a policy's do: one that has only seen the teacher's straight approaches meets views of its own making
    when the hand has gone astray by its errors, and those it has never learned (DAgger: Ross et al., AISTATS
    2011). So it gets the same remedy, and the comparison stays one of equal episodes.
    """
    skill, servo = network.hands.skill, network.hands.servo

    def relabel(episode: Episode) -> Episode:
        seen = episode.observations
        labels = skill.labels(seen["state"].astype(float), servo.grips(seen["q"].astype(float)))
        return replace(episode, observations={**seen, "state": labels.astype(np.float32)})

    return relabel
