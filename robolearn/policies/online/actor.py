"""The actor that tries things out: a `Visuomotor` as a distribution over the actions in a box.

Torques are normal around the network's output, cut off at the box's faces (a truncated normal
distribution), with a spread that depends on what is seen. The usual squashing by tanh would do, too, but
then the most likely action would be the tanh of what the network says; here it is what the network says, so
that the network alone, without anything around it, is the policy that a bundle holds. A distribution inside
the box also has an entropy that means something: it is largest, log 2 a joint, where every torque is
equally likely.

The gripper is a choice between open (-1) and closed (+1), closed with the probability sigmoid(logit).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from robolearn.policies.offline.actor import LOG_STD, Actor
from robolearn.policies.visuomotor import Visuomotor

TAIL = 1e-6  # probability beyond which nothing is drawn: float32 knows no smaller one next to 1


class Plan(NamedTuple):
    """What the policy would do, for B observations.

    Attributes:
        torque: the most likely torques, as the network gives them, (B, n); those beyond the box count as on
            its faces.
        std: spread of the torques in the box, (B, n).
        logit: of closing the gripper, (B,).
    """

    torque: Tensor
    std: Tensor
    logit: Tensor

    def draw(self, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Random torques (B, n), through which gradients pass, and the logarithms of their densities (B,)."""
        middle, std = self.torque.clamp(-1.0, 1.0), self.std
        low, high = torch.special.ndtr((-1.0 - middle) / std), torch.special.ndtr((1.0 - middle) / std)
        share = torch.rand(middle.shape, generator=generator, device=middle.device)
        away = torch.special.ndtri((low + share * (high - low)).clamp(TAIL, 1.0 - TAIL))
        torque = (middle + std * away).clamp(-1.0, 1.0)
        density = -0.5 * away.square() - std.log() - (high - low).log() - 0.5 * math.log(2.0 * math.pi)
        return torque, density.sum(-1)

    def log_prob(self, torque: Tensor) -> Tensor:
        """Logarithms of the densities of torques (B, n) in the box, (B,)."""
        middle, std = self.torque.clamp(-1.0, 1.0), self.std
        inside = torch.special.ndtr((1.0 - middle) / std) - torch.special.ndtr((-1.0 - middle) / std)
        away = (torque - middle) / std
        density = -0.5 * away.square() - std.log() - inside.log() - 0.5 * math.log(2.0 * math.pi)
        return density.sum(-1)

    def choice(self) -> Tensor:
        """Logarithms of the probabilities of an open and a closed gripper, (B, 2)."""
        return torch.stack([functional.logsigmoid(-self.logit), functional.logsigmoid(self.logit)], 1)

    def beyond(self) -> Tensor:
        """How far the most likely torques lie beyond the box, squared, (B,): to be kept at 0."""
        return (self.torque.abs() - 1.0).clamp_min(0.0).square().sum(-1)


class SoftActor(Actor):
    """A policy that tries torques out as widely as what it sees suggests.

    Args:
        network: the policy; its last output is the gripper's.
        low: smallest torque of the box, shape (n,) [N·m].
        high: largest torque of the box, shape (n,) [N·m].
        std: spread of the torques to begin with, shape (n,) [N·m].
    """

    def __init__(self, network: Visuomotor, low: Tensor, high: Tensor, std: Tensor) -> None:
        super().__init__(network, low, high, std)
        last = network.control[-1]
        assert isinstance(last, nn.Linear)
        self.spread = nn.Linear(last.in_features, len(low))
        nn.init.zeros_(self.spread.weight)
        nn.init.zeros_(self.spread.bias)

    def plan(self, features: Tensor) -> Plan:
        """What to do, from what `encode` gave, (B, features)."""
        network = self.network
        hidden = features
        if network.pose is not None:  # what it predicts is for its own loss to bend, not for the policy's
            hidden = torch.cat([features, network.pose(features).detach()], 1)
        *layers, last = network.control
        for layer in layers:
            hidden = layer(hidden)
        output = last(hidden)
        torque = output[:, :-1] * network.action_scale[:-1] + network.action_mean[:-1]
        log_std = (self.log_std + self.spread(hidden)).clamp(*LOG_STD)
        return Plan((torque - self.middle) / self.reach, log_std.exp(), output[:, -1])

    def inside(self, action: Tensor) -> Tensor:
        """Actions (B, n + 1) [N·m] in the box; those beyond it count as on its faces."""
        return super().inside(action).clamp(-1.0, 1.0)

    def outside(self, action: Tensor) -> Tensor:
        """Actions in the box (B, n + 1) as the arm takes them [N·m]."""
        return torch.cat([action[:, :-1] * self.reach + self.middle, action[:, -1:]], 1)

    def explore(self, observation: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """Random actions for B observations, (B, n + 1) [N·m]."""
        plan = self.plan(self.encode(observation))
        torque, _ = plan.draw(generator)
        closing = torch.rand(len(torque), generator=generator) < torch.sigmoid(plan.logit)
        return self.outside(torch.cat([torque, torch.where(closing, 1.0, -1.0)[:, None]], 1))
