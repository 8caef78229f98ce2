"""An untrained modular policy for tests, and the coarse tasks that it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from robolearn.policies.guided import GuidedConfig
from robolearn.policies.modular.policy import Modular
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.problem import Problem, pose
from robolearn.training.run import ModularTrainConfig

NETWORK = VisuomotorConfig(channels=(4, 8), hidden=16)
CHANGES: dict[str, Any] = {"image_size": 24, "episode_seconds": 0.4}


def small_problem(task: str = "peg-insertion", **changes: Any) -> Problem:
    """What a modular policy is to learn."""
    torch.manual_seed(0)
    config = ModularTrainConfig(task, {**CHANGES, **changes}, GuidedConfig(batch=16), NETWORK, minutes=1.0)
    return pose(config)


def save_small_modular(path: Path, task: str = "peg-insertion", **changes: Any) -> Modular:
    """Write a bundle of an untrained modular policy; returns its network."""
    problem = small_problem(task, **changes)
    problem.save(path, problem.network.eval())
    assert isinstance(problem.network, Modular)
    return problem.network
