"""TD3+BC (Fujimoto and Gu, NeurIPS 2021): do what the critics value most, near what was done.

TD3 (Fujimoto et al., ICML 2018) with one more term in the policy's loss, the distance to the data's action.
ReBRAC (Tarasov et al., NeurIPS 2023) is the same with that distance taken off the critics' goal, too
(`critic_penalty`), layer normalisation and deeper critics.

The paper's policy ends in a tanh, which keeps its actions in the box. The network here has none, so that it
can go on from one that learned otherwise: it is judged at the box's edge where it proposes more, and called
back.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robolearn import checks
from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.learner import Learner, adam, frozen
from robolearn.policies.offline.networks import follow, td_loss


@dataclass(frozen=True)
class TD3BCConfig:
    """TD3+BC and ReBRAC.

    Attributes:
        alpha: how much the critics' verdict, scaled to a mean size of 1, counts against the distance to the
            data's action (mean square over its entries, in the box).
        critic_penalty: how much of the distance between the policy's next action and the data's, as above, is
            taken off the goal; 0 is TD3+BC.
        noise: standard deviation of what is added to the torques of the next action, in the box, so that the
            critics are smooth there.
        noise_clip: the largest of it.
        delay: steps of the critics for each step of the policy.
    """

    alpha: float = 2.5
    critic_penalty: float = 0.0
    noise: float = 0.1
    noise_clip: float = 0.25
    delay: int = 2

    def __post_init__(self) -> None:
        for name in ("alpha", "critic_penalty", "noise", "noise_clip"):
            checks.number(name, getattr(self, name), low=0.0)
        checks.whole("delay", self.delay, 1)


class TD3BC(Learner):
    config_type: ClassVar[type[TD3BCConfig]] = TD3BCConfig

    def __init__(
        self, actor: Actor, shared: OfflineConfig, config: TD3BCConfig, device: torch.device
    ) -> None:
        super().__init__(actor, shared, device)
        self.config = config
        features, action = actor.network.features, actor.network.action_mean.numel()
        self.critic = shared.critic(features, action).to(device)
        self.target = copy.deepcopy(self.critic)
        self.critic_optimiser = adam(shared.critic_learning_rate, self.critic)

    def update(self, batch: Batch) -> dict[str, float]:
        config, shared, actor = self.config, self.shared, self.actor
        turn = self.steps % config.delay == 0  # of the policy

        # what is seen; only the policy's loss trains the convolutions
        self.augment(batch)
        with torch.set_grad_enabled(turn):
            features = actor.encode(batch.observation)
        seen, action = features.detach(), actor.inside(batch.action)

        # the critics: one step of the return, and what the averaged policy gets from where it leads
        with torch.no_grad():
            next_seen = self.average.encode(batch.next_observation)
            next_action = self.smoothed(self.average(next_seen).action())
            following = shared.believed(self.target(next_seen, next_action))
            if config.critic_penalty:
                away = (next_action - actor.inside(batch.next_action)).square().mean(-1)
                following -= config.critic_penalty * (batch.followed * away)[:, None]
            goal = batch.reward[:, None] + batch.bootstrap[:, None] * following
        returns = self.critic(seen, action)
        critic_loss = td_loss(returns, goal, batch.weight)
        self.descend(self.critic_optimiser, critic_loss)
        losses = {"critic": float(critic_loss.detach()), **self.told(returns)}

        # the policy: what the critics value most, near what was done
        if turn:
            proposal = actor(features)
            own = proposal.smooth()
            with frozen(self.critic):  # beyond the box they would guess, and say more the farther it is
                verdict = shared.believed(self.critic(seen, own.clamp(-1.0, 1.0))).mean(-1)
            scale = config.alpha / verdict.detach().abs().mean().clamp_min(1e-6)
            away = (own - action).square().mean(-1)
            policy_loss = (batch.weight * (away + proposal.beyond() - scale * verdict)).mean()
            self.descend(self.actor_optimiser, policy_loss)
            losses |= {"policy": float(policy_loss.detach()), "away": float(away.detach().mean())}

            # what follows, at the policy's pace
            follow(self.target.parameters(), self.critic.parameters(), shared.target_rate)
            follow(self.average.parameters(), actor.parameters(), shared.target_rate)
        self.steps += 1
        return losses

    def smoothed(self, action: Tensor) -> Tensor:
        """Actions (B, a) with noise on their torques, in the box."""
        config = self.config
        noise = (config.noise * torch.randn_like(action)).clamp(-config.noise_clip, config.noise_clip)
        noise[:, -1] = 0.0
        return (action + noise).clamp(-1.0, 1.0)
