"""Implicit Q-learning (Kostrikov et al., ICLR 2022): learn how good the best of what was tried is.

No action is ever judged that is not in the data. The value of an observation is an upper expectile of the
critics' verdicts over the data's actions there; the policy imitates the data's actions, the better the more.

With quantiles, each quantile of the value is the expectile of that quantile of the verdicts: where the best
action is chosen, its distribution of returns.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch

from robolearn import checks
from robolearn.errors import InputError
from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.learner import Learner, adam
from robolearn.policies.offline.networks import follow, td_loss


@dataclass(frozen=True)
class IQLConfig:
    """Implicit Q-learning.

    Attributes:
        expectile: of the verdicts over the data's actions that counts as the value: 0.5 is what the data's
            policy achieves, towards 1 what the best of its actions would.
        temperature: how much better actions are preferred: each counts exp(temperature x advantage) times.
        most: the largest such weight.
    """

    expectile: float = 0.8
    temperature: float = 10.0
    most: float = 100.0

    def __post_init__(self) -> None:
        if not 0.0 < checks.share("expectile", self.expectile) < 1.0:
            raise InputError(f"expectile is {self.expectile}; it must lie between 0 and 1")
        checks.number("temperature", self.temperature, low=0.0)
        checks.number("most", self.most, above=0.0)


class IQL(Learner):
    config_type: ClassVar[type[IQLConfig]] = IQLConfig

    def __init__(self, actor: Actor, shared: OfflineConfig, config: IQLConfig, device: torch.device) -> None:
        super().__init__(actor, shared, device)
        self.config = config
        features, action = actor.network.features, actor.network.action_mean.numel()
        self.critic = shared.critic(features, action).to(device)
        self.target = copy.deepcopy(self.critic)
        self.value = shared.value(features).to(device)
        self.critic_optimiser = adam(shared.critic_learning_rate, self.critic, self.value)

    def update(self, batch: Batch) -> dict[str, float]:
        config, shared, actor = self.config, self.shared, self.actor

        # what is seen; only the policy's loss trains the convolutions
        self.augment(batch)
        features = actor.encode(batch.observation)
        seen, action = features.detach(), actor.inside(batch.action)

        # what the data's actions are worth, and what the next observation is
        with torch.no_grad():
            verdict = shared.believed(self.target(seen, action))
            following = self.value(actor.encode(batch.next_observation))[0]
            goal = batch.reward[:, None] + batch.bootstrap[:, None] * following

        # the value: an upper expectile of the verdicts
        gap = verdict - self.value(seen)[0]
        steep = torch.where(gap > 0, config.expectile, 1.0 - config.expectile)
        value_loss = (batch.weight[:, None] * steep * gap.square()).mean()

        # the critics: one step of the return, and the value of where it leads
        returns = self.critic(seen, action)
        critic_loss = td_loss(returns, goal, batch.weight)
        self.descend(self.critic_optimiser, value_loss + critic_loss)

        # the policy: imitate, the better an action the more
        advantage = gap.detach().mean(-1)
        favour = (config.temperature * advantage).exp().clamp_max(config.most)
        policy_loss = -(batch.weight * favour * actor.log_prob(actor(features), action)).mean()
        self.descend(self.actor_optimiser, policy_loss)

        # what follows
        follow(self.target.parameters(), self.critic.parameters(), shared.target_rate)
        self.finish()
        return {
            "value": float(value_loss.detach()),
            "critic": float(critic_loss.detach()),
            "policy": float(policy_loss.detach()),
            **self.told(returns),
            "favour": float(favour.mean()),
        }
