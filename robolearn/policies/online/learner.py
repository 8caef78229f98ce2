"""What every online method does alike: what its critics see, and what they say of either gripper."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from robolearn.policies.offline.learner import Learner, adam
from robolearn.policies.offline.networks import Critic
from robolearn.policies.online.actor import SoftActor
from robolearn.policies.online.config import OnlineConfig

STATE = "state"  # name of the channel with what only a simulator knows


class Explorer(Protocol):
    """What collects: it tries actions out."""

    @property
    def network(self) -> Any:
        """Says what an observation consists of: a `Visuomotor`."""

    def explore(self, observation: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """Actions for B observations, as `Visuomotor.forward` takes them, (B, n + 1) [N·m]."""


class Privileged(nn.Module):
    """What critics see that know the simulator's state: readings and state side by side, normalised.

    Args:
        actor: whose readings they are.
        mean: of the simulator's state, (k,).
        scale: of it, (k,).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, actor: SoftActor, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        network = actor.network
        self.names = [*network.channels, STATE]
        self.windows = network.windows
        self.register_buffer("mean", torch.cat([network.reading_mean, mean]))
        self.register_buffer("scale", torch.cat([network.reading_scale, scale]))
        self.features = len(self.mean)

    def forward(self, observation: dict[str, Tensor]) -> Tensor:
        """Features (B, f) of observations; of those with a time axis, the present."""
        present = [
            observation[name][:, -1] if name in self.windows else observation[name] for name in self.names
        ]
        return (torch.cat([entry.float() for entry in present], 1) - self.mean) / self.scale


class OnlineLearner(Learner):
    """A method at work. A subclass says in `update` what one gradient step is.

    With pictures, the convolutions are trained by the critics' loss, as in DrQ (Yarats et al., ICLR 2021);
    where the critics see the simulator's state in their place, by the policy's own.

    Args:
        actor: trained in place; moved to the device.
        shared: what all methods share.
        config: the method's own settings.
        privileged: what the critics see, if that is not what the policy sees.
        device: where it computes.
    """

    beginning: ClassVar[OnlineConfig] = OnlineConfig()
    """What the method shares with the others, unless told otherwise."""
    needs_data: ClassVar[bool] = False
    """Whether it learns from what others did, too."""

    actor: SoftActor
    average: SoftActor
    shared: OnlineConfig

    def __init__(
        self,
        actor: SoftActor,
        shared: OnlineConfig,
        config: Any,
        privileged: Privileged | None,
        device: torch.device,
    ) -> None:
        super().__init__(actor, shared, device)
        self.config = config
        self.privileged = privileged.to(device) if privileged is not None else None
        self.joints = len(actor.reach)
        features = actor.network.features if privileged is None else privileged.features
        self.critic = shared.critic(features, self.joints).to(device)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        seeing = [] if privileged is not None else [*actor.network.encoders.values(), actor.network.pose]
        self.critic_optimiser = adam(
            shared.critic_learning_rate, self.critic, *(part for part in seeing if part is not None)
        )

    def explorer(self) -> Explorer:
        """What collects with the policy as it is now: a copy, on the CPU."""
        raise NotImplementedError

    # --- parts of an update -------------------------------------------------------------------------------

    def witness(self, observation: dict[str, Tensor], features: Tensor | None) -> Tensor:
        """What the critics are told of observations of which the policy's layers are told `features`."""
        if self.privileged is not None:
            return self.privileged(observation)
        assert features is not None
        return features

    def judge(self, critic: Critic, seen: Tensor, torque: Tensor) -> Tensor:
        """Returns of torques (B, n) with the gripper open and with it closed: (E, B, 2, K)."""
        return critic(seen, torque).unflatten(-1, (2, self.shared.quantiles))

    def opinion(self, returns: Tensor) -> Tensor:
        """What the policy is told that returns (E, B, 2, K) are worth: (B, 2)."""
        expected = returns.mean(-1)
        if self.shared.pessimism == "truncated":  # TQC: its doubts are in the goal
            return expected.mean(0)
        if self.shared.pessimism == "lowest":
            return expected.amin(0)
        return expected.mean(0) - self.shared.deviations * expected.std(0, correction=0)

    def state_loss(self, observation: dict[str, Tensor], features: Tensor) -> Tensor:
        """How far the policy's idea of the simulator's state is off; 0 where it has none."""
        network = self.actor.network
        if network.pose is None:
            return features.new_zeros(())
        truth = (observation[STATE] - network.state_mean) / network.state_scale
        return self.shared.state_weight * functional.mse_loss(network.pose(features), truth)


def chosen(returns: Tensor, closed: Tensor) -> Tensor:
    """Returns with the gripper as it was chosen: (E, B, 2, K) and bool (B,) to (E, B, K)."""
    return returns[:, torch.arange(len(closed), device=closed.device), closed.long()]


class Temperature(nn.Module):
    """What a nat of entropy is worth, kept positive by its logarithm."""

    def __init__(self, begin: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(begin)))

    def forward(self) -> Tensor:
        return self.log.detach().exp()

    def loss(self, entropy: Tensor, wanted: float) -> Tensor:
        """Its gradient makes entropy dearer where there is less than wanted, (B,)."""
        return self.log * (entropy.detach() - wanted).mean()
