"""Critics: ensembles of values, each a number or the quantiles of a distribution of returns.

The members of an ensemble are computed together, by one batched matrix product a layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Layer(nn.Module):
    """A fully connected layer of every member of an ensemble: (E, B, inputs) to (E, B, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)  # as torch's own layers begin
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class LayerNorm(nn.Module):
    """Layer normalisation of every member of an ensemble (Ba et al., 2016): (E, B, size)."""

    def __init__(self, members: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, 1, size))
        self.bias = nn.Parameter(torch.zeros(members, 1, size))

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


class Ensemble(nn.Module):
    """Networks of one shape that see the same: (B, inputs) to (E, B, outputs).

    Args:
        inputs, outputs: of each member.
        hidden: width of its layers.
        layers: how many lie between.
        members: E.
        layer_norm: whether what each of them gives is normalised, which keeps values of actions that nobody
            tried from growing without bound (Ball et al., ICML 2023).
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: int, layers: int, members: int = 1, layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.members = members
        parts: list[nn.Module] = []
        for _ in range(layers):
            parts.append(Layer(members, inputs, hidden))
            if layer_norm:
                parts.append(LayerNorm(members, hidden))
            parts.append(nn.ReLU(inplace=True))
            inputs = hidden
        self.network = nn.Sequential(*parts, Layer(members, inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.network(x.expand(self.members, -1, -1))
        return result


class Critic(Ensemble):
    """Returns to be expected of actions: features (B, f) and actions in the box (B, a) to (E, B, K).

    With K = 1 each member gives the expected return; with more, quantiles of the return, of the levels
    1 / 2K, 3 / 2K, ... (Dabney et al., AAAI 2018). Their mean is the expected return in either case.
    """

    def forward(self, features: Tensor, action: Tensor) -> Tensor:  # type: ignore[override]
        """Returns (E, B, K) of actions (B, a), or of other ones for each member (E, B, a)."""
        return super().forward(torch.cat([features.expand(*action.shape[:-1], -1), action], -1))

    def many(self, features: Tensor, actions: Tensor) -> Tensor:
        """Expected returns of S actions for each observation: (B, f) and (S, B, a) to (E, S, B).

        One batch of actions after the other: what fits into the cache is done three times as fast.
        """
        return torch.stack([self(features, action).mean(-1) for action in actions], 1)


def lowest(returns: Tensor) -> Tensor:
    """The least that any member expects, quantile by quantile: (E, B, K) to (B, K)."""
    return returns.amin(0)


def below_mean(returns: Tensor, deviations: float) -> Tensor:
    """The members' mean less so many standard deviations between them: (E, B, K) to (B, K)."""
    return returns.mean(0) - deviations * returns.std(0, correction=0)


def truncated(returns: Tensor, dropped: float) -> Tensor:
    """All members' quantiles together but for the highest (TQC: Kuznetsov et al., ICML 2020).

    Args:
        returns: (E, B, K).
        dropped: share of them that is left out, below 1.

    Returns:
        K quantiles of the distribution that is left, in increasing order, (B, K).
    """
    pooled, _ = returns.transpose(0, 1).flatten(1).sort(-1)
    kept = max(1, round((1.0 - dropped) * pooled.shape[1]))
    return torch.quantile(pooled[:, :kept], levels(returns), dim=1).T


def levels(returns: Tensor) -> Tensor:
    """Levels of the quantiles (..., K): 1 / 2K, 3 / 2K, ..., (K,)."""
    count = returns.shape[-1]
    return (torch.arange(count, device=returns.device) + 0.5) / count


def cvar(quantiles: Tensor, share: float) -> Tensor:
    """Expected return in the worst share of the cases: quantiles (..., K) to (...)."""
    count = quantiles.shape[-1]
    counted = (share * count - torch.arange(count, device=quantiles.device)).clamp(0.0, 1.0)
    worst, _ = quantiles.sort(-1)
    return (worst * counted).sum(-1) / (share * count)


def td_loss(returns: Tensor, goal: Tensor, weight: Tensor) -> Tensor:
    """How far critics are from what they should say, summed over members, averaged over the batch.

    Half the squared error of an expected return; of quantiles the loss of quantile regression. That one is
    not rounded off near zero as usual (Huber): returns here lie between 0 and 1, where the rounded loss would
    give expectiles.

    Args:
        returns: what they say, (E, B, K).
        goal: returns that are equally likely, (B, K').
        weight: of each transition, (B,).
    """
    count = returns.shape[-1]
    if count == 1:
        return 0.5 * (weight * (returns[..., 0] - goal.mean(-1)).square()).mean(1).sum()
    # level x short where they say too little, (1 - level) x over where they say too much: the same as
    # level x short everywhere and over where there is any, which takes one table of all against all
    over = functional.relu(returns[..., None] - goal[:, None, :]).mean(-1)  # (E, B, K) from (E, B, K, K')
    short = goal.mean(-1)[:, None] - returns
    return (weight * (levels(returns) * short + over).sum(-1)).mean(1).sum()


@torch.no_grad()
def follow(targets: Iterable[Tensor], sources: Iterable[Tensor], rate: float) -> None:
    """Move each target a share of the way to its source."""
    torch._foreach_lerp_(list(targets), list(sources), rate)
