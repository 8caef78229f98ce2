"""Advantage-weighted actor-critic (Nair et al., 2020): imitate what is better than what the policy would do.

The critics judge the policy's own actions at the next observation; an action of the data counts the more, the
more it is worth than the policy's actions there.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch

from robolearn import checks
from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.learner import Learner, adam
from robolearn.policies.offline.networks import follow, td_loss


@dataclass(frozen=True)
class AWACConfig:
    """Advantage-weighted actor-critic.

    Attributes:
        temperature: how much better actions are preferred: each counts exp(temperature x advantage) times.
        most: the largest such weight.
        samples: of the policy's actions, that tell what it would get.
    """

    temperature: float = 10.0
    most: float = 100.0
    samples: int = 1

    def __post_init__(self) -> None:
        checks.number("temperature", self.temperature, low=0.0)
        checks.number("most", self.most, above=0.0)
        checks.whole("samples", self.samples, 1)


class AWAC(Learner):
    config_type: ClassVar[type[AWACConfig]] = AWACConfig

    def __init__(self, actor: Actor, shared: OfflineConfig, config: AWACConfig, device: torch.device) -> None:
        super().__init__(actor, shared, device)
        self.config = config
        features, action = actor.network.features, actor.network.action_mean.numel()
        self.critic = shared.critic(features, action).to(device)
        self.target = copy.deepcopy(self.critic)
        self.critic_optimiser = adam(shared.critic_learning_rate, self.critic)

    def update(self, batch: Batch) -> dict[str, float]:
        config, shared, actor = self.config, self.shared, self.actor

        # what is seen; only the policy's loss trains the convolutions
        self.augment(batch)
        features = actor.encode(batch.observation)
        seen, action = features.detach(), actor.inside(batch.action)

        # the critics: one step of the return, and what the policy gets from where it leads
        with torch.no_grad():
            next_seen = actor.encode(batch.next_observation)
            next_action = actor.sample(actor(next_seen), 1)[0]
            following = shared.believed(self.target(next_seen, next_action))
            goal = batch.reward[:, None] + batch.bootstrap[:, None] * following
        returns = self.critic(seen, action)
        critic_loss = td_loss(returns, goal, batch.weight)

        # how much better the data's actions are than the policy's, both by the critics before their step
        proposal = actor(features)
        with torch.no_grad():
            verdict = shared.believed(returns).mean(-1)
            own = [
                shared.believed(self.critic(seen, drawn)).mean(-1)
                for drawn in actor.sample(proposal, config.samples)
            ]
            advantage = verdict - torch.stack(own).mean(0)
            favour = (config.temperature * advantage).exp().clamp_max(config.most)
        self.descend(self.critic_optimiser, critic_loss)

        # the policy: imitate, the better an action the more
        policy_loss = -(batch.weight * favour * actor.log_prob(proposal, action)).mean()
        self.descend(self.actor_optimiser, policy_loss)

        # what follows
        follow(self.target.parameters(), self.critic.parameters(), shared.target_rate)
        self.finish()
        return {
            "critic": float(critic_loss.detach()),
            "policy": float(policy_loss.detach()),
            **self.told(returns),
            "favour": float(favour.mean()),
        }
