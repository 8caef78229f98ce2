"""The modular controllers fed with the simulator's truth in place of a detector's labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.tasks import make
from robolearn.policies.modular.policy import Hands
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.modular import modular_config

READINGS = ("q", "dq", "gripper", "state")


def blind(task: str, **changes: Any) -> ManipulationEnv:
    """An environment without cameras, which shows the simulator's state."""
    return make(task, {**changes, "observe": READINGS})


def act_on_truth(
    env: ManipulationEnv, seed: int, wrong: NDArray[np.float64] | None = None
) -> tuple[dict[str, Any], Hands]:
    """One episode; `wrong` is added to every label. The last step's info, and the hands as they ended."""
    hands = Hands(modular_config(VisuomotorConfig(), env))
    observation, _ = env.reset(seed=seed)
    while True:
        grip = hands.servo.grips(observation["q"].astype(float)[None])
        label = hands.skill.labels(observation["state"].astype(float)[None], grip)[0]
        hands.see(label if wrong is None else label + wrong, observation)
        observation, _, terminated, truncated, info = env.step(hands.act())
        if terminated or truncated:
            return info, hands
