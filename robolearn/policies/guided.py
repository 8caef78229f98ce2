"""Learning from a privileged teacher: guided policy learning.

The teacher knows the simulator's state and is a function of it alone, so it can tell what it would have done
at any moment. Some demonstrations with disturbances begin (DART: Laskey et al., CoRL 2017); then the policy
acts, the teacher labels what the policy saw, and the network learns from all of it (DAgger: Ross et al.,
AISTATS 2011), while another process goes on collecting. Levine et al. (JMLR 17(39), 2016) are the ancestors.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robolearn import checks
from robolearn.data.episode import Episode
from robolearn.errors import InputError
from robolearn.policies.visuomotor import Visuomotor


@dataclass(frozen=True)
class GuidedConfig:
    """How a policy learns from its teacher.

    Attributes:
        demonstrations: episodes of the disturbed teacher before the policy acts.
        noise: strength of the disturbance in demonstrations (see `EpisodeSpec.noise`).
        policy_noise: the same while the policy acts.
        teacher_share: share of the steps of later episodes that the teacher still acts (see
            `EpisodeSpec.teacher_share`).
        free_share: share of the later whole episodes in which the policy is left to itself.
        scattered: short episodes from scattered starts for each whole one: few frames from many places
            generalise where many frames from few places are learnt by heart.
        scattered_steps: length of a short episode.
        clean_start: share of the training in which episodes under clean conditions are mixed in, ever fewer:
            where a picture's clutter hides what matters, it is learned sooner without the clutter.
        recolour: share of a batch whose colour channels are swapped, so that a thing is known by its shape
            and not by its hue.
        batch: observations in a gradient step.
        learning_rate: at the start; it falls to a twentieth along a cosine.
        state_weight: of the loss on the predicted privileged state.
        gripper_weight: of the loss on the gripper.
        average: decay of the moving average of weights that acts and is kept, below 1.
        capacity: observations kept; the oldest go first.
        episodes: most episodes that are collected, for curves over their number; 0 for as many as there is
            time for.

    Raises:
        InputError: a value that no learning can be done with.
    """

    demonstrations: int = 120
    noise: float = 0.25
    policy_noise: float = 0.1
    teacher_share: float = 0.4
    free_share: float = 0.3
    scattered: int = 60
    scattered_steps: int = 2
    clean_start: float = 0.4
    recolour: float = 0.5
    batch: int = 64
    learning_rate: float = 2e-3
    state_weight: float = 0.5
    gripper_weight: float = 0.1
    average: float = 0.995
    capacity: int = 60_000
    episodes: int = 0

    def __post_init__(self) -> None:
        for name in ("demonstrations", "scattered_steps", "batch", "capacity"):
            checks.whole(name, getattr(self, name), 1)
        for name in ("scattered", "episodes"):
            checks.whole(name, getattr(self, name), 0)
        for name in ("noise", "policy_noise", "state_weight", "gripper_weight"):
            checks.number(name, getattr(self, name), low=0.0)
        checks.number("learning_rate", self.learning_rate, above=0.0)
        for name in ("teacher_share", "free_share", "clean_start", "recolour", "average"):
            checks.share(name, getattr(self, name))
        if self.average == 1.0:
            raise InputError(
                "average is 1, which never moves from the first weights: choose from 0 to below 1"
            )


class Replay:
    """Observations with the teacher's labels, in arrays that are overwritten in turn.

    Args:
        capacity: observations kept; the oldest go first.
        windows: parts of an observation that a batch gives with those before them, and how many in all (see
            `Visuomotor.windows`).

    Raises:
        InputError: a window longer than the capacity.
    """

    def __init__(self, capacity: int, windows: Mapping[str, int] | None = None) -> None:
        self.capacity, self.windows = capacity, dict(windows or {})
        self.reach = max(self.windows.values(), default=1) - 1
        if self.reach >= capacity:
            raise InputError(f"a capacity of {capacity} holds no window of {self.reach + 1} observations")
        self.size = 0
        self._next = 0
        self._arrays: dict[str, NDArray[Any]] = {}
        self._age = np.zeros(capacity, np.int64)  # steps since the episode of each observation began

    def add(self, episode: Episode) -> None:
        """Take an episode's labelled observations: the last ones, if there are more than the capacity.

        Raises:
            InputError: the episode has no labels.
        """
        if episode.expert is None:
            raise InputError(f"the episode of seed {episode.seed} has no labels of the teacher to learn from")
        steps = len(episode)
        rows = {name: array[:steps] for name, array in episode.observations.items()}
        rows["expert"] = episode.expert.astype(np.float32)
        if not self._arrays:
            self._arrays = {
                name: np.empty((self.capacity, *array.shape[1:]), array.dtype) for name, array in rows.items()
            }
        ages = np.arange(steps)[-self.capacity :]
        where = (self._next + np.arange(len(ages))) % self.capacity
        for name, array in rows.items():
            self._arrays[name][where] = array[-self.capacity :]
        self._age[where] = ages
        self._next = (self._next + len(ages)) % self.capacity
        self.size = min(self.size + len(ages), self.capacity)

    def sample(self, batch: int, rng: np.random.Generator, device: torch.device) -> dict[str, Tensor]:
        """A random batch of every array: (B, ...), or (B, window, ...), oldest first, of those with windows.

        A window that would begin before its episode is filled up with the episode's first observation.
        """
        # once the arrays are full, what came before the oldest observations is overwritten: they only serve
        # as the past of others
        unfit = self.reach if self.size == self.capacity else 0
        index = rng.integers(self.size - unfit, size=batch)
        if unfit:
            index = (self._next + unfit + index) % self.capacity
        rows = dict.fromkeys(self._arrays, index)
        for name, length in self.windows.items():
            back = np.minimum(np.arange(length - 1, -1, -1), self._age[index, None])
            rows[name] = (index[:, None] - back) % self.capacity
        return {name: torch.from_numpy(array[rows[name]]).to(device) for name, array in self._arrays.items()}

    def moments(self, name: str) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of an array over all observations kept, each of an entry's shape."""
        array = self._arrays[name][: self.size]
        return torch.from_numpy(array.mean(0)).float(), torch.from_numpy(array.std(0)).float()


def fit_normalisation(network: Visuomotor, replay: Replay) -> None:
    """Set the network's normalisation from what was collected so far."""
    moments = [replay.moments(name) for name in network.channels]
    network.reading_mean.copy_(torch.cat([mean for mean, _ in moments]))
    network.reading_scale.copy_(torch.cat([scale for _, scale in moments]).clamp_min(1e-3))
    mean, scale = replay.moments("state")
    network.state_mean.copy_(mean)
    network.state_scale.copy_(scale.clamp_min(1e-3))
    mean, scale = replay.moments("expert")
    mean[-1], scale[-1] = 0.0, 1.0  # the gripper is a choice, not a number
    network.action_mean.copy_(mean)
    network.action_scale.copy_(scale.clamp_min(1e-3))


Objective = Callable[[Visuomotor, dict[str, Tensor], GuidedConfig], tuple[Tensor, dict[str, Tensor]]]
"""What is learned: from a network and a batch to the loss, and to its parts by name, unweighted."""


def imitation(
    network: Visuomotor, batch: dict[str, Tensor], config: GuidedConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """How far from the teacher's action and from the true state: losses on torques, gripper and state."""
    action, pose = network(batch)
    goal = (batch["expert"] - network.action_mean) / network.action_scale
    torque_loss = nn.functional.smooth_l1_loss(action[:, :-1], goal[:, :-1], beta=0.3)
    closing = (goal[:, -1] > 0).float()
    gripper_loss = nn.functional.binary_cross_entropy_with_logits(action[:, -1], closing)
    state = (batch["state"] - network.state_mean) / network.state_scale
    state_loss = nn.functional.smooth_l1_loss(pose, state, beta=0.3)
    loss = torque_loss + config.gripper_weight * gripper_loss + config.state_weight * state_loss
    return loss, {"torque": torque_loss, "gripper": gripper_loss, "state": state_loss}


class Learner:
    """Gradient steps on labelled observations, and the averaged weights that act.

    Args:
        network: trained in place; moved to the device.
        config: how it learns.
        device: where it computes.
        objective: what it learns.
    """

    def __init__(
        self,
        network: Visuomotor,
        config: GuidedConfig,
        device: torch.device,
        objective: Objective = imitation,
    ) -> None:
        self.objective = objective
        self.network = network.to(device)
        averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(config.average)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=averaging, use_buffers=True
        )
        self.config, self.device = config, device
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=1e-4)
        self.steps = 0

    def policy(self) -> Visuomotor:
        """The averaged weights as they are now: a copy, on the CPU."""
        policy = copy.deepcopy(self.average.module).cpu()
        assert isinstance(policy, Visuomotor)
        return policy

    def update(self, batch: dict[str, Tensor], progress: float) -> dict[str, float]:
        """One gradient step.

        Args:
            batch: what `Replay.sample` gives; its pictures are changed in place.
            progress: of the training, from 0 to 1; sets the learning rate.

        Returns:
            the objective's parts, unweighted.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the weights are as they were before.
        """
        config, network = self.config, self.network
        rate = config.learning_rate * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * min(progress, 1.0))))
        for group in self.optimiser.param_groups:
            group["lr"] = rate

        # swap colours in a share of the pictures
        swapped = int(config.recolour * config.batch)
        if swapped:
            order = torch.randperm(3, device=self.device)
            for name in network.cameras:
                batch[name][:swapped] = batch[name][:swapped][..., order]

        loss, parts = self.objective(network, batch, config)

        # move the weights, and their average after them; never by what is not finite, which would be the end
        # of both
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if not (math.isfinite(loss.detach()) and math.isfinite(norm)):
            raise FloatingPointError(
                f"learning has diverged at step {self.steps} (loss {float(loss.detach()):g}, gradient "
                f"{float(norm):g}): try a smaller --learning.learning-rate"
            )
        self.optimiser.step()
        self.average.update_parameters(network)
        self.steps += 1
        return {name: float(part.detach()) for name, part in parts.items()}
