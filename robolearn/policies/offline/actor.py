"""The actor: a `Visuomotor` as a distribution over actions.

Inside the methods torques are counted in the box that the data fill: each joint's smallest torque that was
ever sent is -1, its largest +1. Torques are Gaussian around the network's output, with a spread for each
joint that is learned and the same everywhere. The gripper's entry is a Bernoulli choice with the network's
logit: open is -1, closed +1, and its mean, tanh(logit / 2), stands for it where a gradient has to pass.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from robolearn.policies.visuomotor import Visuomotor

LOG_STD = (-5.0, 1.0)  # least and greatest logarithm of a spread


class Proposal(NamedTuple):
    """What the network proposes for B observations: torques (B, n), in units of the box, which they may lie
    outside of, and logits of closing (B,)."""

    torque: Tensor
    logit: Tensor

    def action(self) -> Tensor:
        """The nearest action inside the box, the gripper open or closed, (B, n + 1): what critics can judge.

        What is deployed is the network itself. Nothing but its losses keeps its torques near the box (see
        `beyond`); on the arm the limiter bounds them, at its own limits.
        """
        gripper = torch.where(self.logit > 0, 1.0, -1.0)
        return torch.cat([self.torque.clamp(-1.0, 1.0), gripper[:, None]], 1)

    def smooth(self) -> Tensor:
        """The same with a gradient everywhere: torques as they are, the gripper's mean, (B, n + 1)."""
        return torch.cat([self.torque, torch.tanh(0.5 * self.logit)[:, None]], 1)

    def beyond(self) -> Tensor:
        """How far the torques lie outside the box: the sum of squares, (B,); calls them back as a loss."""
        return (self.torque.abs() - 1.0).clamp_min(0.0).square().sum(-1)


class Actor(nn.Module):
    """A policy that actions can be drawn from.

    Args:
        network: the policy; its last output is the gripper's.
        low: smallest torque of the data, shape (n,) [N·m].
        high: largest torque of the data, shape (n,) [N·m].
        std: spread of the torques to begin with, shape (n,) [N·m].
    """

    middle: Tensor
    reach: Tensor

    def __init__(self, network: Visuomotor, low: Tensor, high: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("middle", (low + high) / 2)
        self.register_buffer("reach", ((high - low) / 2).clamp_min(1e-3))
        self.log_std = nn.Parameter((std / self.reach).clamp_min(1e-3).log())

    def encode(self, observation: dict[str, Tensor]) -> Tensor:
        """What the layers after the convolutions are told, (B, features)."""
        return self.network.encode(observation)

    def forward(self, features: Tensor) -> Proposal:
        output, _ = self.network.decide(features)
        torque = output[:, :-1] * self.network.action_scale[:-1] + self.network.action_mean[:-1]
        return Proposal((torque - self.middle) / self.reach, output[:, -1])

    def inside(self, action: Tensor) -> Tensor:
        """Actions (B, n + 1) [N·m] in the box."""
        gripper = torch.where(action[:, -1:] > 0, 1.0, -1.0)
        return torch.cat([(action[:, :-1] - self.middle) / self.reach, gripper], 1)

    @property
    def std(self) -> Tensor:
        """Spread of the torques in the box, (n,)."""
        return self.log_std.clamp(*LOG_STD).exp()

    def log_prob(self, proposal: Proposal, action: Tensor) -> Tensor:
        """Logarithm of the density of torques in the box times the probability of the gripper's choice.

        Args:
            proposal: for B observations.
            action: (..., B, n + 1).

        Returns:
            shape (..., B).
        """
        std = self.std
        away = (action[..., :-1] - proposal.torque) / std
        density = -0.5 * away.square().sum(-1) - std.log().sum() - 0.5 * len(std) * math.log(2 * math.pi)
        return density + functional.logsigmoid(action[..., -1] * proposal.logit)

    def entropy(self, proposal: Proposal) -> Tensor:
        """Of the distribution, (B,)."""
        std, closing = self.std, torch.sigmoid(proposal.logit)
        torques = std.log().sum() + 0.5 * len(std) * (1.0 + math.log(2 * math.pi))
        choice = functional.binary_cross_entropy_with_logits(proposal.logit, closing, reduction="none")
        return torques + choice

    def sample(self, proposal: Proposal, count: int) -> Tensor:
        """Random actions in the box, (count, B, n + 1); the gradient passes through the torques."""
        torque = proposal.torque + self.std * torch.randn(
            count, *proposal.torque.shape, device=proposal.torque.device
        )
        closing = torch.sigmoid(proposal.logit).expand(count, -1)
        return torch.cat([torque, 2.0 * torch.bernoulli(closing)[..., None] - 1.0], -1)
