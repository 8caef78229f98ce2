"""Soft actor-critic (Haarnoja et al., ICML 2018 and arXiv:1812.05905): act well, and as widely as that
allows.

With several quantiles a critic it is TQC (Kuznetsov et al., ICML 2020): critics give distributions of
returns, and the highest quantiles of all of them together are left out of what they learn from. With
`--online.quantiles 1 --online.pessimism lowest` it is SAC as it was first described, two critics and the
lower of them.

The policy's gripper is a choice of two, so that nothing of it has to be sampled in the policy's loss: the
critics have an output for each choice, and the expectation over both is exact (Christodoulou,
arXiv:1910.07207).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from robolearn import checks
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.learner import adam, frozen
from robolearn.policies.offline.networks import follow, td_loss
from robolearn.policies.online.actor import SoftActor
from robolearn.policies.online.learner import Explorer, OnlineLearner, Temperature, chosen


@dataclass(frozen=True)
class SACConfig:
    """Soft actor-critic.

    Attributes:
        temperature: what a nat of entropy is worth to begin with; returns lie between 0 and 1.
        temperature_rate: at which it is learned; with 0 it stays.
        entropy: that is aimed at, for each joint, of torques in a box from -1 to 1 [nat]; at most log 2,
            where all torques are equally likely. At -1 they spread by a tenth of the box's half.
        delay: steps of the critics for each step of the policy.
    """

    temperature: float = 2e-4
    temperature_rate: float = 3e-4
    entropy: float = -1.0
    delay: int = 2

    def __post_init__(self) -> None:
        checks.number("temperature", self.temperature, above=0.0)
        checks.number("temperature_rate", self.temperature_rate, low=0.0)
        checks.within("entropy", self.entropy, -10.0, 0.69)
        checks.whole("delay", self.delay, 1)


class SAC(OnlineLearner):
    config_type: ClassVar[type[SACConfig]] = SACConfig

    def __init__(self, actor: SoftActor, shared: Any, config: SACConfig, *rest: Any) -> None:
        super().__init__(actor, shared, config, *rest)
        self.temperature = Temperature(config.temperature).to(self.device)
        self.temperature_optimiser = adam(config.temperature_rate, self.temperature)

    def update(self, batch: Batch) -> dict[str, float]:
        config, shared, actor = self.config, self.shared, self.actor
        turn = self.steps % config.delay == 0  # of the policy
        alpha = self.temperature()

        # what is seen, and what was done
        self.augment(batch)
        blind = self.privileged is not None and not turn  # nobody looks at the pictures of now
        features = None if blind else actor.encode(batch.observation)
        seen = self.witness(batch.observation, features)
        action = actor.inside(batch.action)
        closed = action[:, -1] > 0

        # what follows: what the policy would do there is worth, and how many ways it leaves open
        with torch.no_grad():
            next_features = actor.encode(batch.next_observation)
            next_seen = self.witness(batch.next_observation, next_features)
            plan = actor.plan(next_features)
            torque, density = plan.draw()
            closing = torch.rand_like(plan.logit) < torch.sigmoid(plan.logit)
            log_prob = density + plan.choice().gather(1, closing.long()[:, None])[:, 0]
            following = self.believed(chosen(self.judge(self.target, next_seen, torque), closing))
            following = following - alpha * log_prob[:, None]
            goal = batch.reward[:, None] + batch.bootstrap[:, None] * following

        # the critics
        returns = chosen(self.judge(self.critic, seen, action[:, :-1]), closed)
        critic_loss = td_loss(returns, goal, batch.weight)
        loss = critic_loss
        if self.privileged is None and features is not None:
            loss = loss + self.state_loss(batch.observation, features)
        self.descend(self.critic_optimiser, loss)
        losses = {
            "critic": float(critic_loss.detach()),
            "return": float(returns.detach().mean()),
            "temperature": float(alpha),
        }

        # the policy: what the critics value most, as widely as that allows
        if turn and features is not None:
            plan = actor.plan(features.detach() if self.privileged is None else features)
            torque, density = plan.draw()
            with frozen(self.critic):
                verdict = self.opinion(self.judge(self.critic, seen.detach(), torque))
            choice = plan.choice()
            worth = (choice.exp() * (verdict - alpha * choice)).sum(1) - alpha * density
            policy_loss = (batch.weight * (plan.beyond() - worth)).mean()
            loss = policy_loss
            if self.privileged is not None:
                loss = loss + self.state_loss(batch.observation, features)
            self.descend(self.actor_optimiser, loss)

            # the temperature: entropy is worth more the less of it there is
            entropy = -density - (choice.exp() * choice).sum(1)
            if config.temperature_rate:
                wanted = config.entropy * self.joints
                self.descend(self.temperature_optimiser, self.temperature.loss(entropy, wanted))
            losses |= {
                "policy": float(policy_loss.detach()),
                "entropy": float(entropy.detach().mean()) / self.joints,
            }

        # what follows
        follow(self.target.parameters(), self.critic.parameters(), shared.target_rate)
        self.finish()
        return losses

    def believed(self, returns: Tensor) -> Tensor:
        """What the critics' returns (E, B, K) of what follows are taken for, (B, K)."""
        return self.shared.believed(returns)

    def explorer(self) -> Explorer:
        return copy.deepcopy(self.actor).cpu().requires_grad_(False)
