"""What is to be learned: the task as a policy sees it, and a network that fits it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from robolearn.contract import Contract
from robolearn.data.episode import Episode
from robolearn.envs.config import CHANNELS
from robolearn.envs.tasks import make
from robolearn.errors import InputError, choose
from robolearn.policies.bundle import save_bundle
from robolearn.policies.guided import Objective, imitation
from robolearn.policies.modular.learning import detection
from robolearn.policies.modular.policy import Modular
from robolearn.policies.visuomotor import Visuomotor
from robolearn.training.modular import detector, relabelled
from robolearn.training.run import ModularTrainConfig, TrainConfig


@dataclass(frozen=True)
class Problem:
    """What is to be learned: the task as the policy sees it, and a network that fits it.

    Attributes:
        changes: fields of the task's configuration that differ from its defaults, in their plain form.
        collected: the same for collecting: the simulator's state is among the observations.
        contract: what the policy sees and commands.
        network: untrained.
        objective: what it learns.
        prepare: what is made of an episode before it is learned from.
    """

    task: str
    changes: dict[str, Any]
    collected: dict[str, Any]
    contract: Contract
    network: Visuomotor
    objective: Objective = imitation
    prepare: Callable[[Episode], Episode] = lambda episode: episode

    def save(self, path: Path, policy: Visuomotor, card: Mapping[str, Any] | None = None) -> None:
        """Write a policy as a bundle; raises what `save_bundle` raises."""
        save_bundle(path, policy, self.contract, self.task, self.changes, card or {})


def pose(config: TrainConfig) -> Problem:
    """The problem that a configuration poses.

    Raises:
        InputError: the task refuses its configuration, observes what the network cannot take, or is not
            commanded by torques, which the teacher needs.
    """
    env = make(config.task, config.changes)
    try:
        asked = env.config
        if asked.action != "torque":
            raise InputError(f"action is {asked.action!r}, but the teacher commands torques: choose 'torque'")
        observe = asked.observe
        if twice := [item for item in dict.fromkeys(observe) if observe.count(item) > 1]:
            raise InputError(f"observe names {', '.join(twice)} more than once")
        readings = [name for name in CHANNELS if name != "state"]
        for item in observe:
            choose("observation of a policy that learns from pictures", item, [*env.views, *readings])
        space: Any = env.observation_space
        shapes = {item: space[item].shape for item in observe}
        cameras = {item: (shape[0], shape[1]) for item, shape in shapes.items() if item in env.views}
        channels = {item: shape[0] for item, shape in shapes.items() if item not in env.views}
        if not channels:
            raise InputError(f"observe names no joint readings: add at least one of {', '.join(readings)}")
        changes = config.changes
        action = (env.action_space.shape or (0,))[0]
        try:
            if isinstance(config, ModularTrainConfig):
                network: Visuomotor = detector(config.network, env, cameras, channels, action)
            else:
                network = Visuomotor(config.network, cameras, channels, env.state_size, action)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InputError(f"no {config.network} fits pictures of {cameras}: {error}") from error
        collected = {**changes, "observe": (*observe, "state")}
        problem = Problem(config.task, changes, collected, env.contract(config.network.history), network)
        if isinstance(network, Modular):
            return replace(problem, objective=detection, prepare=relabelled(network))
        return problem
    finally:
        env.close()


def device_of(name: str) -> torch.device:
    """The device called "auto" (a GPU where torch sees one), "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: this machine has none of that name; names those that it has.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = ["cuda", *(f"cuda:{index}" for index in range(count))] if count else []
    if choose("device", name, ["auto", "cpu", *gpus]) == "auto":
        name = "cuda" if gpus else "cpu"
    return torch.device(name)
