"""Conservative Q-learning (Kumar et al., NeurIPS 2020): distrust what was not tried.

An actor-critic whose critics are pushed down where actions look best and up at the data's actions, so that a
policy's value is never overestimated. Cal-QL (Nakamoto et al., NeurIPS 2023) does not push the policy's own
actions below what the data's came to, which spares a fine-tuning the dip at its start (`calibrated`).

What the limiter or the monitor did not let through was asked for and not tried: such requests are among the
actions that are pushed down (`negatives`).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robolearn import checks
from robolearn.policies.offline.actor import Actor, Proposal
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.learner import Learner, adam, frozen
from robolearn.policies.offline.networks import follow, td_loss


@dataclass(frozen=True)
class CQLConfig:
    """Conservative Q-learning and Cal-QL.

    Attributes:
        weight: of the conservative term against the critics' own loss.
        samples: actions that are pushed down for each observation: so many from everywhere in the box, from
            the policy, and from the policy at the next observation.
        calibrated: whether the policy's actions are pushed down no farther than to what the data's actions
            came to (Cal-QL).
        negatives: whether requests that were not let through are pushed down, too.
        entropy: how much a policy that is open to many actions is preferred to a narrow one.
    """

    weight: float = 1.0
    samples: int = 10
    calibrated: bool = False
    negatives: bool = True
    entropy: float = 0.005

    def __post_init__(self) -> None:
        for name in ("weight", "entropy"):
            checks.number(name, getattr(self, name), low=0.0)
        checks.whole("samples", self.samples, 1)
        for name in ("calibrated", "negatives"):
            checks.flag(name, getattr(self, name))


class CQL(Learner):
    config_type: ClassVar[type[CQLConfig]] = CQLConfig

    def __init__(self, actor: Actor, shared: OfflineConfig, config: CQLConfig, device: torch.device) -> None:
        super().__init__(actor, shared, device)
        self.config = config
        network = actor.network
        self.critic = shared.critic(network.features, network.action_mean.numel()).to(device)
        self.target = copy.deepcopy(self.critic)
        seeing = [network.encoders, *([network.recurrence] if network.config.recurrent else [])]
        self.critic_optimiser = adam(shared.critic_learning_rate, self.critic, *seeing)

    def update(self, batch: Batch) -> dict[str, float]:
        config, shared, actor = self.config, self.shared, self.actor

        # what is seen; the critics' loss trains the convolutions, for the policy's has no label to learn
        # from; while the policy rests, none does
        self.augment(batch)
        features = actor.encode(batch.observation)
        seen, action = features.detach(), actor.inside(batch.action)
        looked = seen if self.resting else features

        # one step of the return, and what the policy gets from where it leads
        with torch.no_grad():
            next_seen = actor.encode(batch.next_observation)
            proposal, next_proposal = actor(seen), actor(next_seen)
            following = shared.believed(self.target(next_seen, actor.sample(next_proposal, 1)[0]))
            goal = batch.reward[:, None] + batch.bootstrap[:, None] * following
            tempting, kept, conservative = self.tempting(batch, seen, proposal, next_proposal)

        # the critics: up at the data's actions, down at those that tempt
        both = torch.cat([action.expand_as(tempting), tempting], 1)
        returns, tempted = self.critic(looked.repeat(2, 1), both).chunk(2, 1)
        critic_loss = td_loss(returns, goal, batch.weight)
        pushed = kept * tempted.mean(-1) - returns.mean(-1)
        conservative_loss = (batch.weight * pushed).mean(1).sum()
        self.descend(self.critic_optimiser, critic_loss + config.weight * conservative_loss)

        # the policy: what the critics value most, with some entropy, inside the box
        proposal = actor(seen)
        own = actor.sample(proposal, 1)[0]
        own = torch.cat([own[:, :-1], proposal.smooth()[:, -1:]], 1)
        with frozen(self.critic):
            verdict = shared.believed(self.critic(seen, own)).mean(-1)
        entropy = config.entropy * actor.entropy(proposal)
        policy_loss = (batch.weight * (proposal.beyond() - verdict - entropy)).mean()
        self.descend(self.actor_optimiser, policy_loss)

        # what follows
        follow(self.target.parameters(), self.critic.parameters(), shared.target_rate)
        self.finish()
        return {
            "critic": float(critic_loss.detach()),
            "policy": float(policy_loss.detach()),
            **self.told(returns),
            "gap": float((conservative - returns.detach().mean(-1)).mean()),
        }

    def tempting(
        self, batch: Batch, seen: Tensor, proposal: Proposal, next_proposal: Proposal
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Actions to push the critics down at.

        The conservative term is the logarithm of the sum, over all actions, of the exponentials of their
        values, estimated from samples and their densities. Its gradient is the mean of the gradients of the
        values under the softmax of the same terms. So one action drawn from that softmax, anew in every step,
        gives the right gradient on average, and only that one needs a way back through the critics: most of
        the work of the method is spared.

        Returns:
            one action for each member and observation (E, B, a), whether it is pushed (E, B), and the
            estimate of the term (E, B).
        """
        config, actor = self.config, self.actor
        joints = len(actor.reach)
        anywhere = torch.rand(config.samples, len(batch), joints + 1, device=seen.device) * 2.0 - 1.0
        anywhere[..., -1] = torch.where(anywhere[..., -1] > 0, 1.0, -1.0)
        own, later = actor.sample(proposal, config.samples), actor.sample(next_proposal, config.samples)
        refused = actor.inside(batch.requested)[None]
        actions = torch.cat([anywhere, own, later, refused])

        everywhere = anywhere.new_full((config.samples, len(batch)), -(joints + 1) * math.log(2.0))
        density = [everywhere, actor.log_prob(proposal, own), actor.log_prob(next_proposal, later)]
        values = self.critic.many(seen, actions)
        bound = values.new_full((len(actions), len(batch)), -torch.inf)
        if config.calibrated:
            bound[config.samples : -1] = batch.outcome
        terms = torch.maximum(values, bound) - torch.cat([*density, everywhere[:1]])
        terms[:, -1] = terms[:, -1].where(batch.altered & config.negatives, -torch.inf)

        drawn = torch.distributions.Categorical(logits=terms.transpose(1, 2)).sample()  # (E, B)
        which = torch.arange(len(batch), device=seen.device)
        kept = values.gather(1, drawn[:, None])[:, 0] >= bound[drawn, which]
        many = 3 * config.samples + (batch.altered & config.negatives)
        return actions[drawn, which], kept, terms.logsumexp(1) - many.log()
