"""What a method learns from in one step: transitions as tensors, whoever kept them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass
class Batch:
    """Transitions, B of them.

    Attributes:
        observation: pictures uint8 (B, h, w, 3) and readings (B, size) by name, with a time axis after the
            batch's where the network looks back (`Visuomotor.windows`).
        action: that was carried out: torques let through by the limiter [N·m] and the gripper, open (-1) or
            closed (+1), shape (B, a).
        requested: that was asked for, (B, a); what was carried out, where nothing was asked for.
        altered: whether something was asked for and the limiter or the monitor let something else through,
            bool (B,).
        reward: of this step and of those up to the next observation, discounted, (B,).
        bootstrap: how much the next observation's value counts, (B,): the discount to the power of the steps
            between, or 0 where the episode ended there by success or failure, not for want of time.
        next_observation: as `observation`.
        next_action: the action that followed there, (B, a); holds 0 where none did.
        followed: whether one did, bool (B,).
        outcome: the discounted reward from this step to the episode's end, (B,): what the actions of the data
            came to.
        weight: of each transition in every loss, (B,).
    """

    observation: dict[str, Tensor]
    action: Tensor
    requested: Tensor
    altered: Tensor
    reward: Tensor
    bootstrap: Tensor
    next_observation: dict[str, Tensor]
    next_action: Tensor
    followed: Tensor
    outcome: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.reward)


class Source(Protocol):
    """Gives random transitions; `robolearn.data.store.sampling` has some."""

    def batch(self, size: int, rng: np.random.Generator) -> Any:
        """An object with the arrays of `Batch` as attributes."""


def draw(source: Source, size: int, rng: np.random.Generator, device: torch.device) -> Batch:
    """A random batch on a device: pictures as they are, bools as bools, every other number as float32."""
    arrays = source.batch(size, rng)
    return Batch(**{f.name: _tensors(getattr(arrays, f.name), device) for f in fields(Batch)})


def _tensors(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {name: _tensors(entry, device) for name, entry in value.items()}
    tensor = torch.from_numpy(value).to(device)
    return tensor if tensor.dtype in (torch.uint8, torch.bool) else tensor.float()
