"""Behaviour cloning: do what was done, or only what was done in the episodes that succeeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from robolearn import checks
from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.learner import Learner


@dataclass(frozen=True)
class BCConfig:
    """Behaviour cloning.

    Attributes:
        filtered: whether to learn from successful episodes alone.
    """

    filtered: bool = False

    def __post_init__(self) -> None:
        checks.flag("filtered", self.filtered)


class BC(Learner):
    """Makes the data's actions likely. Which episodes they come from is the source's affair."""

    config_type: ClassVar[type[BCConfig]] = BCConfig
    needs_reward: ClassVar[bool] = False

    def __init__(self, actor: Actor, shared: OfflineConfig, config: BCConfig, device: torch.device) -> None:
        super().__init__(actor, shared, device)
        self.config = config

    def update(self, batch: Batch) -> dict[str, float]:
        self.augment(batch)
        proposal = self.actor(self.actor.encode(batch.observation))
        likely = self.actor.log_prob(proposal, self.actor.inside(batch.action))
        loss = -(batch.weight * likely).mean()
        self.descend(self.actor_optimiser, loss)
        self.finish()
        return {"policy": float(loss.detach())}
