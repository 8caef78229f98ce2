"""Fitted Q evaluation (Le, Voloshin and Yue, ICML 2019): what a policy would earn, from other policies' logs.

A critic learns to agree with itself one step later, where this policy, not the one that made the logs,
chooses the next action. The estimate is what it says of the first observations.

How sure that is comes from the bootstrap over whole episodes (Hao et al., ICML 2021): every member of an
ensemble sees the episodes as often as a random draw with replacement has them, and has random weights of its
own to begin with. The spread shows what other episodes might have said. It does not show what no episode
says: where the policy acts as nobody did, all members may be wrong alike (see `support`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robolearn import checks
from robolearn.errors import InputError
from robolearn.policies.evaluation.logged import Floats, Indices, Logged, drawn, unseen
from robolearn.policies.offline.learner import adam
from robolearn.policies.offline.networks import Critic, follow

CHUNK = 8192  # rows that are judged at a time


@dataclass(frozen=True)
class FQEConfig:
    """How the critics learn.

    Attributes:
        updates: gradient steps.
        batch: transitions in each.
        members: of the ensemble, each with a draw of episodes of its own.
        hidden: width of the layers.
        layers: how many there are.
        layer_norm: whether they are normalised, which keeps values of actions that nobody tried in bounds.
        learning_rate: at the start; it falls to a tenth along a line.
        target_rate: share of the way that the target critics go after each step.
        low, high: bounds of what can be earned; targets are kept inside.

    Raises:
        InputError: a value that no learning can be done with.
    """

    updates: int = 4000
    batch: int = 256
    members: int = 10
    hidden: int = 128
    layers: int = 2
    layer_norm: bool = True
    learning_rate: float = 1e-3
    target_rate: float = 0.01
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "hidden", "layers"):
            checks.whole(name, getattr(self, name), 1)
        checks.whole("members", self.members, 2)
        checks.number("learning_rate", self.learning_rate, above=0.0)
        checks.share("target_rate", self.target_rate)
        if not checks.number("low", self.low) < checks.number("high", self.high):
            raise InputError(f"low is {self.low:g} and high {self.high:g}; low must be the lower one")


@dataclass(frozen=True, eq=False)
class FittedQ:
    """What K members of an ensemble expect.

    Attributes:
        values: of the policy from the first observations on, one a member, (K,).
        counts: how often each member saw each episode, (K, E).
        q: of the logged actions, (K, N).
        v: of the policy's own actions at every observation, (K, M).
        critic: who says so.
    """

    values: NDArray[np.float64]
    counts: Indices
    q: Floats
    v: Floats
    critic: Critic

    @property
    def value(self) -> float:
        """The estimate: the members' mean."""
        return float(self.values.mean())

    def unseen(self, logged: Logged) -> tuple[Floats, Floats]:
        """What members that never saw an episode expect in it: of its actions (N,), in its rows (M,)."""
        share = unseen(self.counts)
        q = (share[:, logged.episode] * self.q).sum(0)
        return q, (share[:, logged.episode_of_row] * self.v).sum(0)

    def judge(self, logged: Logged, action: Floats) -> Floats:
        """The same of any actions at every observation, (M, a): shape (M,)."""
        device = next(self.critic.parameters()).device
        said = _judge(
            self.critic, *(torch.as_tensor(each, device=device) for each in (logged.features, action))
        )
        return np.asarray((unseen(self.counts)[:, logged.episode_of_row] * said).sum(0))


def fitted_q(
    logged: Logged,
    proposed: Floats,
    config: FQEConfig | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[int, float], None] | None = None,
) -> FittedQ:
    """Fit critics to a policy's actions.

    Args:
        logged: the episodes.
        proposed: the policy's actions at every observation, (M, a), in the episodes' scale.
        config: how.
        seed: of everything random.
        device: where it computes.
        progress: called after each step with its number and the mean of what the critics say.

    Raises:
        InputError: the actions do not belong to these episodes.
        FloatingPointError: the critics diverged.
    """
    config = config or FQEConfig()
    if proposed.shape != (len(logged.features), logged.action.shape[1]):
        raise InputError(
            f"proposed actions have shape {proposed.shape}; these episodes need "
            f"{(len(logged.features), logged.action.shape[1])}"
        )
    rng = np.random.default_rng([seed, 1])
    counts = drawn(logged, config.members, rng)
    tensor: Callable[[Any], Tensor] = lambda array: torch.as_tensor(array, device=device)  # noqa: E731
    features, action, wanted = tensor(logged.features), tensor(logged.action), tensor(proposed)
    reward, bootstrap, row = tensor(logged.reward), tensor(logged.bootstrap), tensor(logged.row)
    weight = tensor(counts[:, logged.episode].astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = Critic(
            features.shape[1] + action.shape[1],
            1,
            config.hidden,
            config.layers,
            members=config.members,
            layer_norm=config.layer_norm,
        ).to(device)
    target = copy.deepcopy(critic).requires_grad_(False)
    optimiser = adam(config.learning_rate, critic)

    for step in range(config.updates):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * (1.0 - 0.9 * step / config.updates)
        index = tensor(rng.integers(len(logged.action), size=config.batch))
        now = row[index]

        # what the critics should say: the reward, and what this policy earns from then on
        with torch.no_grad():
            following = target(features[now + 1], wanted[now + 1])[..., 0]
            goal = (reward[index] + bootstrap[index] * following).clamp(config.low, config.high)

        # agree with that, each member on the episodes that it drew
        said = critic(features[now], action[index])[..., 0]
        loss = 0.5 * (weight[:, index] * (said - goal).square()).mean(1).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        follow(target.parameters(), critic.parameters(), config.target_rate)
        if progress is not None:
            progress(step + 1, float(said.detach().mean()))

    v = _judge(target, features, wanted)
    q = _judge(target, features[row], action)
    if not np.isfinite(v).all():
        raise FloatingPointError("fitted Q evaluation has diverged: try a smaller learning_rate")
    values = (counts * v[:, logged.first]).sum(1) / len(logged)
    return FittedQ(values=values, counts=counts, q=q, v=v, critic=target)


@torch.no_grad()
def _judge(critic: Critic, features: Tensor, action: Tensor) -> Floats:
    """What every member says of actions (R, a), shape (K, R)."""
    parts = [critic(f, a)[..., 0] for f, a in zip(features.split(CHUNK), action.split(CHUNK), strict=True)]
    return torch.cat(parts, 1).cpu().numpy()
