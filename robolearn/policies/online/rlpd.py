"""RLPD (Ball et al., ICML 2023): soft actor-critic that learns from prior data and its own at once.

Every batch is half of what others did (stores of logged episodes: a teacher's, a person's, an older
policy's) and half of what it has tried itself, so that a few successes are seen again and again. Gradient
steps are many for each step of the arm, which takes a large ensemble of critics with normalised layers:
what follows is judged by the lowest of a few of them, drawn anew in every step (REDQ: Chen et al., ICLR
2021), and the policy asks all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from robolearn import checks
from robolearn.data.store.batches import TransitionBatch
from robolearn.errors import InputError
from robolearn.policies.offline.batch import Source
from robolearn.policies.online.actor import SoftActor
from robolearn.policies.online.config import OnlineConfig
from robolearn.policies.online.sac import SAC, SACConfig


@dataclass(frozen=True)
class RLPDConfig(SACConfig):
    """RLPD, with what it takes from soft actor-critic.

    Attributes:
        subset: how many critics of the ensemble, drawn at random, judge what follows.
        delay: steps of the critics for each step of the policy.
    """

    delay: int = 4
    subset: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole("subset", self.subset, 1)


class RLPD(SAC):
    config_type: ClassVar[type[SACConfig]] = RLPDConfig
    beginning: ClassVar[OnlineConfig] = OnlineConfig(
        quantiles=1, pessimism="lowest", critics=10, shaping=0.0, ratio=4.0
    )
    needs_data: ClassVar[bool] = True

    def __init__(self, actor: SoftActor, shared: OnlineConfig, config: RLPDConfig, *rest: Any) -> None:
        if config.subset > shared.critics:
            raise InputError(
                f"subset is {config.subset}, but there are {shared.critics} critics: choose from 1 to that"
            )
        super().__init__(actor, shared, config, *rest)

    def believed(self, returns: Tensor) -> Tensor:
        """What a random subset of the critics' returns (E, B, K) is taken for, (B, K)."""
        asked = torch.randperm(len(returns), device=returns.device)[: self.config.subset]
        return self.shared.believed(returns[asked])

    def opinion(self, returns: Tensor) -> Tensor:
        """All critics together: returns (E, B, 2, K) to (B, 2)."""
        return returns.mean((0, -1))


class Halves:
    """Batches that are half of prior data and half new; of an odd number new ones have one more."""

    def __init__(self, prior: Source, new: Source) -> None:
        self._prior, self._new = prior, new

    def batch(self, size: int, rng: np.random.Generator) -> TransitionBatch:
        return together(self._prior.batch(size // 2, rng), self._new.batch(size - size // 2, rng))


def together(one: TransitionBatch, other: TransitionBatch) -> TransitionBatch:
    """One batch of two, the first's transitions first."""
    values: dict[str, Any] = {}
    for field in fields(TransitionBatch):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(ours, dict):
            values[field.name] = {name: np.concatenate([ours[name], theirs[name]]) for name in ours}
        else:
            values[field.name] = np.concatenate([ours, theirs])
    return TransitionBatch(**values)
