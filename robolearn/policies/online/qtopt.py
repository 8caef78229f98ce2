"""Q-learning by search, in the manner of QT-Opt (Kalashnikov et al., CoRL 2018).

There is no policy but the best action that a search finds.

The search is the cross-entropy method: draw actions, keep the best, draw anew around those. It says what
follows in the critics' goal, and it acts while episodes are collected.

A bundle holds a network that sees and acts, without critics and within milliseconds, and that ONNX can
express. So a `Visuomotor` learns beside the critics to propose what the search has found: every search of a
gradient step is an example, none is made for it. It is what is kept in the end; where the critics see the
simulator's state, it is also the only part that does not need it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from robolearn import checks
from robolearn.errors import InputError
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.networks import follow, td_loss
from robolearn.policies.online.config import OnlineConfig
from robolearn.policies.online.learner import Explorer, OnlineLearner, chosen
from robolearn.policies.visuomotor import Visuomotor

ROWS = 256  # that critics judge at once: what fits into a processor's cache is done three times as fast
NARROWEST = 0.02  # a search never looks at less than this around the best [share of the box's half]


@dataclass(frozen=True)
class QTOptConfig:
    """Q-learning by search.

    Attributes:
        samples: torques that are tried in a round of the search.
        elites: the best of them, around which the next round looks.
        rounds: of the search.
        noise: standard deviation of what collecting adds to the best torques, in the box.
        flips: share of the collecting steps in which the gripper does the opposite of the best.
    """

    samples: int = 32
    elites: int = 4
    rounds: int = 2
    noise: float = 0.15
    flips: float = 0.02

    def __post_init__(self) -> None:
        for name in ("samples", "elites", "rounds"):
            checks.whole(name, getattr(self, name), 1)
        checks.number("noise", self.noise, low=0.0)
        checks.share("flips", self.flips)
        if self.elites > self.samples:
            raise InputError(f"elites is {self.elites}, of {self.samples} samples: choose from 1 to that")


def search(
    worth: Callable[[Tensor], Tensor],
    count: int,
    joints: int,
    config: QTOptConfig,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """The best actions that the cross-entropy method finds, for each of B cases.

    Args:
        worth: of torques in the box (S, B, n), with the gripper open and with it closed: (S, B, 2).
        count: of the cases, B.
        joints: n.
        config: how to search.
        generator: of random numbers; torch's own if None.
        device: where to compute.

    Returns:
        torques (B, n) in the box, and whether to close the gripper, bool (B,).
    """
    size = (config.samples, count, joints)
    middle, spread = torch.zeros(count, joints, device=device), torch.ones(count, joints, device=device)
    best_worth = torch.full((count,), -torch.inf, device=device)
    best, closing = middle, torch.zeros(count, dtype=torch.bool, device=device)
    for step in range(config.rounds):
        if step == 0:
            tried = 2.0 * torch.rand(size, generator=generator, device=device) - 1.0
        else:
            tried = middle + spread * torch.randn(size, generator=generator, device=device)
            tried = tried.clamp(-1.0, 1.0)
        value, gripper = worth(tried).max(-1)  # (S, B)
        elite_value, elite = value.topk(config.elites, dim=0)
        kept = tried.gather(0, elite[:, :, None].expand(-1, -1, joints))
        middle, spread = kept.mean(0), kept.std(0, correction=0).clamp_min(NARROWEST)
        better = elite_value[0] > best_worth
        best_worth = torch.where(better, elite_value[0], best_worth)
        best = torch.where(better[:, None], kept[0], best)
        closing = torch.where(better, gripper.gather(0, elite[:1])[0] > 0, closing)
    return best, closing


class Searcher(nn.Module):
    """What collects: the best action that a search finds, disturbed a little."""

    def __init__(self, learner: QTOpt) -> None:
        super().__init__()
        self.actor, self.critic = copy.deepcopy(learner.actor), copy.deepcopy(learner.critic)
        self.privileged = copy.deepcopy(learner.privileged)
        self.shared, self.config = learner.shared, learner.config
        self.cpu().requires_grad_(False)

    @property
    def network(self) -> Visuomotor:
        return self.actor.network

    def explore(self, observation: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        config, actor = self.config, self.actor
        features = actor.encode(observation)
        seen = features if self.privileged is None else self.privileged(observation)
        count, joints = len(seen), len(actor.reach)
        worth = judged(self.critic, seen, self.shared.quantiles)
        torque, closing = search(worth, count, joints, config, generator)
        torque = torque + config.noise * torch.randn(torque.shape, generator=generator)
        closing = closing ^ (torch.rand(count, generator=generator) < config.flips)
        return actor.outside(torch.cat([torque.clamp(-1.0, 1.0), closing.float()[:, None] * 2.0 - 1.0], 1))


def judged(critic: nn.Module, seen: Tensor, quantiles: int) -> Callable[[Tensor], Tensor]:
    """What `search` asks: the least that any critic expects, (S, B, n) to (S, B, 2)."""

    def worth(torque: Tensor) -> Tensor:
        parts = []
        for some in torque.split(max(1, ROWS // len(seen))):  # (s, B, n)
            every = seen.expand(len(some), -1, -1).flatten(0, 1)
            returns = critic(every, some.flatten(0, 1)).unflatten(-1, (2, quantiles))
            parts.append(returns.mean(-1).amin(0).unflatten(0, (len(some), -1)))
        return torch.cat(parts)

    return worth


class QTOpt(OnlineLearner):
    config_type: ClassVar[type[QTOptConfig]] = QTOptConfig
    beginning: ClassVar[OnlineConfig] = OnlineConfig(
        quantiles=1, pessimism="lowest", batch=128, learning_rate=1e-3
    )

    def update(self, batch: Batch) -> dict[str, float]:
        shared, actor = self.shared, self.actor

        # what is seen, and what was done; where the critics see the simulator's state, pictures are for the
        # network that is kept alone to understand
        self.augment(batch)
        own_eyes = self.privileged is not None
        features = None if own_eyes else actor.encode(batch.observation)
        with torch.set_grad_enabled(own_eyes):
            next_features = actor.encode(batch.next_observation)
        seen = self.witness(batch.observation, features)
        action = actor.inside(batch.action)

        # what follows: the best action that the search finds there, and what the critics believe of it
        with torch.no_grad():
            next_seen = self.witness(batch.next_observation, next_features)
            worth = judged(self.target, next_seen, shared.quantiles)
            torque, closing = search(worth, len(batch), self.joints, self.config, device=self.device)
            following = shared.believed(chosen(self.judge(self.target, next_seen, torque), closing))
            goal = batch.reward[:, None] + batch.bootstrap[:, None] * following

        # the critics
        returns = chosen(self.judge(self.critic, seen, action[:, :-1]), action[:, -1] > 0)
        critic_loss = td_loss(returns, goal, batch.weight)
        loss = critic_loss
        if features is not None:
            loss = loss + self.state_loss(batch.observation, features)
        self.descend(self.critic_optimiser, loss)

        # the network that is kept proposes what the search has found
        plan = actor.plan(next_features)
        choice = plan.choice().gather(1, closing.long()[:, None])[:, 0]
        imitation = (plan.torque - torque).square().sum(-1) - choice
        policy_loss = (batch.weight * imitation).mean()
        loss = policy_loss
        if own_eyes:
            loss = loss + self.state_loss(batch.next_observation, next_features)
        self.descend(self.actor_optimiser, loss)

        # what follows
        follow(self.target.parameters(), self.critic.parameters(), shared.target_rate)
        self.finish()
        return {
            "critic": float(critic_loss.detach()),
            "return": float(returns.detach().mean()),
            "policy": float(policy_loss.detach()),
        }

    def explorer(self) -> Explorer:
        return Searcher(self)
