"""What all methods share: sizes of the critics, rates, and how far the critics are trusted."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.policies.offline.networks import Critic, Ensemble, below_mean, lowest, truncated

PESSIMISM = ("lowest", "deviations", "truncated")


@dataclass(frozen=True)
class OfflineConfig:
    """How a policy learns from logged episodes, whatever the method.

    Attributes:
        batch: transitions in a gradient step.
        learning_rate: of the policy at the start; it falls to a twentieth along a cosine.
        critic_learning_rate: of everything that judges; it stays.
        discount: of rewards, a control step.
        n_step: how many steps a transition goes ahead.
        hidden: width of the critics' layers.
        layers: how many the critics have.
        critics: members of the ensemble.
        quantiles: of the return, that each critic gives; with 1 it gives the expected return alone.
        pessimism: what is believed where the critics differ: the lowest of them, their mean less some
            standard deviations, or truncated, all their quantiles together but for the highest.
        deviations: how many standard deviations, for pessimism by deviations.
        dropped: share of the quantiles that is dropped, for truncated pessimism.
        layer_norm: whether the critics' layers are normalised.
        target_rate: share of the way that target critics and the averaged policy, which acts in the end, go
            after each step.
        shift: largest random shift of the pictures [pixels] (DrQ: Yarats et al., ICLR 2021).

    Raises:
        InputError: a value that no learning can be done with.
    """

    batch: int = 256
    learning_rate: float = 1e-3
    critic_learning_rate: float = 3e-4
    discount: float = 0.99
    n_step: int = 1
    hidden: int = 256
    layers: int = 2
    critics: int = 2
    quantiles: int = 1
    pessimism: str = "lowest"
    deviations: float = 1.0
    dropped: float = 0.1
    layer_norm: bool = False
    target_rate: float = 0.005
    shift: int = 4

    def __post_init__(self) -> None:
        for name in ("batch", "n_step", "hidden", "layers", "critics", "quantiles"):
            checks.whole(name, getattr(self, name), 1)
        for name in ("learning_rate", "critic_learning_rate", "target_rate"):
            checks.number(name, getattr(self, name), above=0.0)
        for name in ("discount", "target_rate", "dropped"):
            checks.share(name, getattr(self, name))
        checks.number("deviations", self.deviations, low=0.0)
        checks.whole("shift", self.shift, 0)
        checks.flag("layer_norm", self.layer_norm)
        choose("pessimism", self.pessimism, PESSIMISM)
        if self.dropped == 1.0:
            raise InputError("dropped is 1, which leaves no quantile: choose from 0 to below 1")
        if self.pessimism == "truncated" and self.quantiles == 1:
            raise InputError("truncated pessimism drops quantiles, and there is 1: choose more quantiles")

    def critic(self, features: int, action: int) -> Critic:
        """A new ensemble that judges actions."""
        sizes = (features + action, self.quantiles, self.hidden, self.layers)
        return Critic(*sizes, members=self.critics, layer_norm=self.layer_norm)

    def value(self, features: int) -> Ensemble:
        """A new network that judges observations."""
        return Ensemble(features, self.quantiles, self.hidden, self.layers, layer_norm=self.layer_norm)

    def believed(self, returns: Tensor) -> Tensor:
        """What the critics' returns (E, B, K) are taken for, (B, K)."""
        if self.pessimism == "lowest":
            return lowest(returns)
        if self.pessimism == "deviations":
            return below_mean(returns, self.deviations)
        return truncated(returns, self.dropped)
