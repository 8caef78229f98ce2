"""What every method does alike: the policy and its average, gradient steps, and a state to go on from."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.augmentation import shifted
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.networks import cvar, follow
from robolearn.policies.visuomotor import Visuomotor

CLIP = 10.0  # norm of a gradient

WORST = 0.1
"""Share of the cases that the metric `cvar` is about."""


class Learner:
    """A method at work. A subclass says in `update` what one gradient step is.

    Args:
        actor: trained in place; moved to the device.
        shared: what all methods share.
        device: where it computes.
    """

    config_type: ClassVar[type[Any]]
    needs_reward: ClassVar[bool] = True
    """Whether there is nothing to be learned where no episode succeeded."""

    def __init__(self, actor: Actor, shared: OfflineConfig, device: torch.device) -> None:
        self.shared, self.device = shared, device
        self.actor = actor.to(device)
        self.average = copy.deepcopy(self.actor).requires_grad_(False)
        self.actor_optimiser = torch.optim.AdamW(
            self.actor.parameters(), lr=shared.learning_rate, weight_decay=1e-4, fused=True
        )
        self.steps = 0
        self.resting = False
        """Whether the policy, its convolutions included, is held where it is."""

    def update(self, batch: Batch) -> dict[str, float]:
        """One gradient step.

        Args:
            batch: transitions on the learner's device; its pictures are replaced.

        Returns:
            losses and other figures by name.

        Raises:
            FloatingPointError: a gradient is not finite; the weights are as they were before.
        """
        raise NotImplementedError

    def schedule(self, progress: float) -> None:
        """Set the policy's learning rate for the training's progress, from 0 to 1; the policy learns."""
        self.resting = False
        rate = self.shared.learning_rate * (
            0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
        )
        for group in self.actor_optimiser.param_groups:
            group["lr"] = rate

    def rest(self) -> None:
        """Hold the policy where it is until the next `schedule`; what judges goes on learning."""
        self.resting = True
        for group in self.actor_optimiser.param_groups:
            group["lr"] = 0.0

    def become(self, weights: dict[str, Tensor]) -> None:
        """Go on from a policy's weights; what judges stays."""
        for actor in (self.actor, self.average):
            actor.network.load_state_dict(weights)

    def policy(self) -> Visuomotor:
        """The averaged weights as they are now: a copy, on the CPU."""
        return copy.deepcopy(self.average.network).cpu().eval().requires_grad_(True)

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs, not copied."""
        return {"steps": self.steps, **{name: part.state_dict() for name, part in self._parts()}}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state; raises KeyError, ValueError or RuntimeError for one of another learner."""
        for name, part in self._parts():
            part.load_state_dict(state[name])
        self.steps = int(state["steps"])

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """Everything that learns, by the names of the attributes that hold it."""
        for name, value in vars(self).items():
            if isinstance(value, nn.Module | torch.optim.Optimizer):
                yield name, value

    # --- parts of an update -------------------------------------------------------------------------------

    def augment(self, batch: Batch) -> None:
        """Shift the pictures of a batch at random."""
        if self.shared.shift:
            for observation in (batch.observation, batch.next_observation):
                for name in self.actor.network.cameras:
                    observation[name] = shifted(observation[name], self.shared.shift)

    def descend(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        """Take a gradient step, but never along what is not finite."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        norm = float(nn.utils.clip_grad_norm_(parameters, CLIP))
        if not math.isfinite(norm):
            raise FloatingPointError(
                f"learning has diverged at step {self.steps} (loss {float(loss.detach()):g}, gradient "
                f"{norm:g}): try smaller learning rates"
            )
        optimiser.step()

    def told(self, returns: Tensor) -> dict[str, float]:
        """What critics (E, B, K) expect of the data's actions, for people.

        "return": in the mean; with quantiles "cvar", too: in the worst tenth of the cases, which says how
        much of the risk is in chance and not in the choice of actions.
        """
        returns = returns.detach()
        told = {"return": float(returns.mean())}
        if returns.shape[-1] > 1:
            told["cvar"] = float(cvar(returns, WORST).mean())
        return told

    def finish(self) -> None:
        """After the last gradient step of an update: the average follows."""
        follow(self.average.parameters(), self.actor.parameters(), self.shared.target_rate)
        self.steps += 1


def adam(rate: float, *modules: nn.Module) -> torch.optim.Optimizer:
    """An optimiser of everything that judges."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return torch.optim.Adam(parameters, lr=rate, fused=True)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradients pass through a module in the block, but not into it."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
