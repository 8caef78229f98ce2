"""How whoever made the logs acted: the density of their actions, learned from the logs.

Torques are Gaussian around what a network predicts from the features, with a spread for each joint that is
the same everywhere; the gripper is a coin with the network's probability of closing. An ensemble learns it,
each member from a draw of episodes with replacement. What is said of an episode comes from the members that
never saw it, so that nobody judges what he learned by heart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from robolearn import checks
from robolearn.policies.evaluation.logged import Floats, Indices, Logged, drawn, unseen
from robolearn.policies.offline.learner import adam
from robolearn.policies.offline.networks import Ensemble

CHUNK = 8192  # rows that are predicted at a time
LEAST_ERROR = 0.005
"""Probability of the other choice of the gripper that is always left."""


LEAST_SPREAD = 1e-3
"""Standard deviation that is always left to a torque, in the data's scale."""


@dataclass(frozen=True)
class BehaviourConfig:
    """How the network learns.

    Attributes:
        updates: gradient steps.
        batch: actions in each.
        members: of the ensemble.
        hidden: width of the layers.
        layers: how many there are.
        learning_rate: at the start; it falls to a tenth along a line.

    Raises:
        InputError: a value that no learning can be done with.
    """

    updates: int = 2000
    batch: int = 256
    members: int = 5
    hidden: int = 128
    layers: int = 2
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "hidden", "layers"):
            checks.whole(name, getattr(self, name), 1)
        checks.whole("members", self.members, 2)
        checks.number("learning_rate", self.learning_rate, above=0.0)


@dataclass(frozen=True, eq=False)
class Behaviour:
    """What was learned.

    Attributes:
        torque: expected at every observation, (M, n), in the data's scale, by members that never saw it.
        closing: probability that the gripper is closed, (M,), by the same.
        apart: standard deviation of the members' predictions there, (M, n).
        std: of the torques around what is expected, (n,).
    """

    torque: Floats
    closing: Floats
    apart: Floats
    std: Floats

    def log_density(self, row: Indices, action: Floats) -> Floats:
        """Logarithm of the density of actions (R, a) at the observations `row` (R,)."""
        closing = np.clip(self.closing[row], LEAST_ERROR, 1.0 - LEAST_ERROR)
        return self._gaussian(action, self.torque[row]) + _coin(action, closing)

    def log_density_of(self, policy: Floats, action: Floats) -> Floats:
        """The same of a policy that chooses `policy` (R, a) and is disturbed as these data are."""
        closing = np.where(policy[:, -1] > 0, 1.0 - LEAST_ERROR, LEAST_ERROR)
        return self._gaussian(action, policy[:, :-1]) + _coin(action, closing)

    def disturbed(self, policy: Floats, rng: np.random.Generator) -> Floats:
        """Actions (R, a) of that policy, drawn at random."""
        noise = self.std * rng.standard_normal(policy[:, :-1].shape)
        slips = np.where(rng.random(len(policy)) < LEAST_ERROR, -1.0, 1.0)
        return np.column_stack([policy[:, :-1] + noise, slips * policy[:, -1]]).astype(np.float32)

    def _gaussian(self, action: Floats, centre: Floats) -> Floats:
        away = (action[:, :-1] - centre) / self.std
        constant = float(np.log(self.std).sum()) + 0.5 * len(self.std) * math.log(2.0 * math.pi)
        return np.asarray(-0.5 * (away**2).sum(1) - constant, np.float32)


def fit_behaviour(logged: Logged, config: BehaviourConfig | None = None, *, seed: int = 0) -> Behaviour:
    """Learn how the logged actions were chosen.

    Args:
        logged: the episodes.
        config: how.
        seed: of everything random.
    """
    config = config or BehaviourConfig()
    rng = np.random.default_rng([seed, 2])
    counts = drawn(logged, config.members, rng)
    features, action = torch.from_numpy(logged.features), torch.from_numpy(logged.action)
    row, weight = torch.from_numpy(logged.row), torch.from_numpy(counts[:, logged.episode]).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = (features.shape[1], action.shape[1], config.hidden, config.layers)
        network = Ensemble(*sizes, members=config.members, layer_norm=True)
    optimiser = adam(config.learning_rate, network)
    for step in range(config.updates):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * (1.0 - 0.9 * step / config.updates)
        index = torch.from_numpy(rng.integers(len(action), size=config.batch))
        said, done = network(features[row[index]]), action[index]
        torque = (said[..., :-1] - done[:, :-1]).square().mean(-1)
        closed = (done[:, -1] > 0).float().expand(config.members, -1)
        gripper = functional.binary_cross_entropy_with_logits(said[..., -1], closed, reduction="none")
        loss = (weight[:, index] * (torque + gripper)).mean(1).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    said = _predict(network, features)
    share = torch.from_numpy(unseen(counts)[:, logged.episode_of_row])
    expected = (share[..., None] * said[..., :-1]).sum(0).numpy()
    rest = logged.action[:, :-1] - expected[logged.row]
    return Behaviour(
        torque=expected,
        closing=(share * torch.sigmoid(said[..., -1])).sum(0).numpy(),
        apart=said[..., :-1].std(0).numpy(),
        std=np.asarray(np.sqrt((rest**2).mean(0)) + LEAST_SPREAD, np.float32),
    )


def _coin(action: Floats, closing: Floats) -> Floats:
    return np.where(action[:, -1] > 0, np.log(closing), np.log1p(-closing))


@torch.no_grad()
def _predict(network: Ensemble, features: Tensor) -> Tensor:
    return torch.cat([network(part) for part in features.split(CHUNK)], 1)
