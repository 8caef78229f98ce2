"""An episode of trial and error: what a collector is asked for, and how it is run."""

from __future__ import annotations

import pickle
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robolearn.data.episode import Episode
from robolearn.envs.base import ManipulationEnv
from robolearn.envs.tasks import make
from robolearn.policies.online.learner import Explorer
from robolearn.policies.visuomotor import Visuomotor
from robolearn.training.rollout import EpisodeSpec, Observation, run_episode

ENVIRONMENTS = 3  # that a process keeps: a curriculum goes to and fro between two
RENEWAL = 0.25  # probability a step that a wanderer's torques change
GRIPPER_RENEWAL = 0.05  # and its gripper


@dataclass(frozen=True)
class Policy:
    """What acts while episodes are collected.

    Attributes:
        explorer: tries actions out.
        network: acts as the bundle would.
    """

    explorer: Explorer
    network: Visuomotor

    def packed(self) -> bytes:
        """As it is sent to other processes."""
        return pickle.dumps(self)


def unpacked(policy: bytes) -> Policy:
    """What `Policy.packed` gave."""
    found = pickle.loads(policy)
    assert isinstance(found, Policy)
    return found


@dataclass(frozen=True)
class Play:
    """An episode that is wanted.

    Attributes:
        spec: what determines it, but for who acts.
        reach: largest torques of a wanderer, who acts where there is no policy yet, shape (n,) [N·m].
        policy: who acts, packed.
        steps: gradient steps that the policy had taken; tells policies apart.
        alone: whether it acts as the bundle would; otherwise it explores.
        lead: steps that the teacher has led the arm before the episode begins.
        stage: of the curriculum.
    """

    spec: EpisodeSpec
    reach: NDArray[np.float64]
    policy: bytes | None = field(default=None, repr=False)
    steps: int = 0
    alone: bool = False
    lead: int = 0
    stage: int = 0


class Player:
    """Runs plays one after another in this process."""

    def __init__(self) -> None:
        self._envs: OrderedDict[str, ManipulationEnv] = OrderedDict()
        self._policy: tuple[int, Policy] | None = None

    def __call__(self, play: Play) -> Episode:
        env = self._env_of(play.spec)
        actor: Any
        if play.policy is None:
            actor = Wanderer(play.reach, play.spec.seed, env.starts_closed)
        elif play.alone:
            actor = self._policy_of(play.policy, play.steps).network
        else:
            actor = Trying(self._policy_of(play.policy, play.steps).explorer, play.spec.seed)
        with torch.no_grad():
            return run_episode(cast(ManipulationEnv, Led(env, play.lead)), play.spec, actor)

    def _env_of(self, spec: EpisodeSpec) -> ManipulationEnv:
        key = f"{spec.task} {sorted(spec.changes.items())}"
        if key not in self._envs:
            self._envs[key] = make(spec.task, spec.changes)
            if len(self._envs) > ENVIRONMENTS:
                self._envs.popitem(last=False)[1].close()
        self._envs.move_to_end(key)
        return self._envs[key]

    def _policy_of(self, policy: bytes, steps: int) -> Policy:
        if self._policy is None or self._policy[0] != steps:
            self._policy = (steps, unpacked(policy))
        return self._policy[1]

    def close(self) -> None:
        """Give the environments' renderers back."""
        for env in self._envs.values():
            env.close()
        self._envs.clear()


class Led:
    """An environment in which the teacher has led the arm a part of the way when an episode begins.

    Where the teacher would be through by then, it leads half as far, and so on.
    """

    def __init__(self, env: ManipulationEnv, lead: int) -> None:
        self._env, self._lead = env, lead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """As `ManipulationEnv.reset`."""
        lead = self._lead
        while True:
            observation, info = self._env.reset(seed=seed, options=options)
            for _ in range(lead):
                observation, _, terminated, truncated, _ = self._env.step(self._env.teacher())
                if terminated or truncated:
                    break
            else:
                return observation, info
            lead //= 2


class Trying:
    """An actor that tries actions out, with what it needs to remember of the observations before."""

    def __init__(self, explorer: Explorer, seed: int) -> None:
        self._explorer, self._network = explorer, explorer.network
        self._generator = torch.Generator().manual_seed(seed)
        self._seen: deque[Observation] = deque(maxlen=self._network.config.history)

    def reset(self) -> None:
        self._seen.clear()

    def observe(self, observation: Observation) -> None:
        self._seen.extend([observation] * (1 if self._seen else self._network.config.history))

    def act(self, observation: Observation) -> NDArray[np.float32]:
        self.observe(observation)
        action = self._explorer.explore(self._batch(observation), self._generator)
        return np.asarray(action[0].numpy(), np.float32)

    def _batch(self, observation: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
        """The latest observations as a batch of one."""
        windows = self._network.windows
        return {
            name: torch.from_numpy(
                np.stack([seen[name] for seen in self._seen])[None] if name in windows else value[None]
            )
            for name, value in observation.items()
        }


class Wanderer:
    """An actor that knows nothing: torques from everywhere in the box, each for some steps.

    Args:
        reach: largest torques, shape (n,) [N·m].
        seed: of what it does.
        holding: whether an episode begins with something in the gripper, which then stays closed.
    """

    def __init__(self, reach: NDArray[np.float64], seed: int, holding: bool = False) -> None:
        self._holding = holding
        self._reach, self._rng = reach, np.random.default_rng([seed, 4])
        self._action = np.zeros(len(reach) + 1, np.float32)

    def reset(self) -> None:
        self._action[-1] = 1.0 if self._holding else -1.0

    def observe(self, observation: Observation) -> None:
        """It does not look."""

    def act(self, observation: Observation) -> NDArray[np.float32]:
        if self._rng.random() < RENEWAL:
            self._action[:-1] = self._rng.uniform(-self._reach, self._reach)
        if not self._holding and self._rng.random() < GRIPPER_RENEWAL:
            self._action[-1] = -self._action[-1]
        return self._action.copy()
