"""The visuomotor network: camera pixels and joint readings in, joint torques out.

Convolutions, a spatial softmax that turns each feature map into the image point it is about, and fully
connected layers over those points and the joint readings (Levine et al., JMLR 17(39), 2016). A second output
predicts the privileged state; the control layers see that prediction, so that perception and control are one
network trained on both.

The network can look back over the last observations: at their joint readings side by side, or through a gated
recurrent unit (Cho et al., EMNLP 2014) over their readings and image points.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robolearn import checks
from robolearn.errors import InputError

Array = NDArray[Any]

SHARPNESS = 10.0
"""Of the softmax: at 1 the maps begin nearly flat, every point in the middle, and learning starts slowly."""


@dataclass(frozen=True)
class VisuomotorConfig:
    """Size of the network.

    Attributes:
        channels: feature maps after each convolution; each of the last ones becomes an image point.
        kernel: of the first convolution [pixels].
        stride: of the first convolution [pixels].
        hidden: width of the fully connected layers.
        layers: number of fully connected layers before the action.
        history: number of last observations that the policy looks at, the present one included.
        recurrent: whether a recurrent unit runs over the pictures and readings of the last `history`
            observations, which costs `history` times the convolutions in training; otherwise only the
            readings reach back.

    Raises:
        InputError: a size that no network has, or a recurrent network with nothing to look back on.
    """

    channels: tuple[int, ...] = (32, 32, 32)
    kernel: int = 6
    stride: int = 4
    hidden: int = 256
    layers: int = 2
    history: int = 1
    recurrent: bool = False

    def __post_init__(self) -> None:
        for i, maps in enumerate(checks.items("channels", self.channels)):
            checks.whole(f"channels[{i}]", maps, 1)
        if not self.channels:
            raise InputError("channels is empty; there must be at least one convolution")
        for name in ("kernel", "stride", "hidden", "history"):
            checks.whole(name, getattr(self, name), 1)
        checks.whole("layers", self.layers, 0)
        if checks.flag("recurrent", self.recurrent) and self.history == 1:
            raise InputError("a recurrent network with history 1 has no past: choose a history from 2 up")


class SpatialSoftmax(nn.Module):
    """Expected image coordinates, from -1 to 1, of each feature map: (B, C, H, W) to (B, 2 C), x before y."""

    x: Tensor
    y: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.register_buffer("x", torch.linspace(-1, 1, width), persistent=False)
        self.register_buffer("y", torch.linspace(-1, 1, height), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        batch, channels, height, width = maps.shape
        weight = (SHARPNESS * maps.float()).flatten(2).softmax(-1).view(batch, channels, height, width)
        return torch.cat([(weight.sum(2) * self.x).sum(-1), (weight.sum(3) * self.y).sum(-1)], 1)


class Encoder(nn.Module):
    """One camera's convolutions and spatial softmax: uint8 (B, H, W, 3) to points (B, 2 channels[-1])."""

    def __init__(self, height: int, width: int, config: VisuomotorConfig) -> None:
        super().__init__()
        padding = config.kernel // 2 - config.stride // 2
        layers: list[nn.Module] = [nn.Conv2d(3, config.channels[0], config.kernel, config.stride, padding)]
        for before, after in itertools.pairwise(config.channels):
            layers += [nn.ReLU(), nn.Conv2d(before, after, 3, 1, 1)]
        self.convolutions = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.no_grad():
            shape = self.convolutions(torch.zeros(1, 3, height, width)).shape
        self.points = SpatialSoftmax(shape[2], shape[3])

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1.0
        points: Tensor = self.points(self.convolutions(pixels))
        return points


class Visuomotor(nn.Module):
    """The network, with its normalisation inside.

    It acts on one observation at a time and remembers what it needs of those before (`observe`, `act`,
    `reset`); it is trained on windows of them (`forward`). At an episode's beginning a window is filled up
    with the first observation.

    Args:
        config: its size.
        cameras: name to (height, width).
        channels: joint readings: name to size.
        state: size k of the privileged state that it predicts; 0 where nobody knows one.
        action: size a of an action, the gripper's last.
    """

    reading_mean: Tensor
    reading_scale: Tensor
    state_mean: Tensor
    state_scale: Tensor
    action_mean: Tensor
    action_scale: Tensor

    def __init__(
        self,
        config: VisuomotorConfig,
        cameras: dict[str, tuple[int, int]],
        channels: dict[str, int],
        state: int,
        action: int,
    ) -> None:
        super().__init__()
        self.config, self.cameras, self.channels = config, dict(cameras), dict(channels)
        self.encoders = nn.ModuleDict({name: Encoder(*size, config) for name, size in cameras.items()})
        readings = sum(channels.values())
        points = 2 * config.channels[-1] * len(cameras)
        if config.recurrent:
            memory = config.hidden // 2
            self.recurrence = nn.GRU(points + readings, memory, batch_first=True)
            features = points + readings + memory
        else:
            features = points + config.history * readings
        self.features = features
        """Numbers in what `encode` gives."""
        self.pose: nn.Sequential | None = None
        if state:
            self.pose = nn.Sequential(
                nn.Linear(features, config.hidden),
                nn.ReLU(),
                nn.Linear(config.hidden, config.hidden),
                nn.ReLU(),
                nn.Linear(config.hidden, state),
            )
        width = features + state
        layers: list[nn.Module] = []
        for _ in range(config.layers):
            layers += [nn.Linear(width, config.hidden), nn.ReLU()]
            width = config.hidden
        self.control = nn.Sequential(*layers, nn.Linear(width, action))
        for name, size in (("reading", readings), ("state", state), ("action", action)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self._seen: deque[Tensor] = deque(maxlen=config.history)  # what is kept of each observation, (1, m)

    @property
    def windows(self) -> dict[str, int]:
        """Parts of an observation that `forward` takes with a time axis, and how long it is."""
        names = [*self.channels, *(self.cameras if self.config.recurrent else ())]
        return dict.fromkeys(names, self.config.history) if self.config.history > 1 else {}

    def forward(self, observation: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Actions and states for a batch, both normalised.

        Args:
            observation: pictures uint8 (B, H, W, 3) and readings (B, size) by name; what stands in `windows`
                has a time axis of that length after the batch's, oldest first.

        Returns:
            actions (B, a), the last entry a logit of closing the gripper, and privileged states (B, k).
        """
        return self.decide(self.encode(observation))

    def encode(self, observation: dict[str, Tensor]) -> Tensor:
        """What the layers after the convolutions are told of a batch of observations: (B, features).

        Args:
            observation: as `forward` takes it.
        """
        if not self.config.recurrent:
            return torch.cat([*self._points(observation), self._readings(observation).flatten(1)], 1)
        pictures = {name: observation[name].flatten(0, 1) for name in self.cameras}
        points = [entry.unflatten(0, (-1, self.config.history)) for entry in self._points(pictures)]
        return self._recall(torch.cat([*points, self._readings(observation)], 2))

    def decide(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` returns, from what `encode` gave."""
        if self.pose is None:
            return self.control(features), features.new_zeros(len(features), 0)
        pose = self.pose(features)
        return self.control(torch.cat([features, pose], 1)), pose

    @torch.no_grad()
    def act(self, observation: dict[str, Array]) -> NDArray[np.float32]:
        """The action for the next observation of an episode, and that observation into memory.

        Args:
            observation: pictures uint8 (H, W, 3) and readings (size,) by name; anything else is ignored.

        Returns:
            torques [N·m] and the gripper, open (-1) or closed (+1), shape (a,).
        """
        normalised, _ = self.decide(self.take_in(observation))
        action = (normalised[0] * self.action_scale + self.action_mean).cpu().numpy()
        action[-1] = 1.0 if float(normalised[0, -1]) > 0 else -1.0
        return np.asarray(action, np.float32)

    def take_in(self, observation: dict[str, Array]) -> Tensor:
        """The next observation of an episode into memory, and features (1, f) of the latest ones."""
        batch = self._batch(observation)
        self._remember(batch)
        window = torch.stack(tuple(self._seen), 1)
        if self.config.recurrent:
            return self._recall(window)
        return torch.cat([*self._points(batch), window.flatten(1)], 1)

    @torch.no_grad()
    def observe(self, observation: dict[str, Array]) -> None:
        """Take in the next observation of an episode where somebody else acts."""
        if self.config.history > 1:
            self._remember(self._batch(observation))

    def reset(self) -> None:
        """Forget what was seen: an episode begins."""
        self._seen.clear()

    def _batch(self, observation: dict[str, Array]) -> dict[str, Tensor]:
        """An observation as a batch of one."""
        device = self.action_mean.device
        return {
            name: torch.as_tensor(np.ascontiguousarray(observation[name])).unsqueeze(0).to(device)
            for name in (*self.cameras, *self.channels)
        }

    def _remember(self, batch: dict[str, Tensor]) -> None:
        kept = self._readings(batch)
        if self.config.recurrent:
            kept = torch.cat([*self._points(batch), kept], 1)
        self._seen.extend([kept] * (1 if self._seen else self.config.history))

    def _points(self, observation: dict[str, Tensor]) -> list[Tensor]:
        """Image points of every camera, (B, 2 channels[-1]) each."""
        return [encoder(observation[name]) for name, encoder in self.encoders.items()]

    def _readings(self, observation: dict[str, Tensor]) -> Tensor:
        """All readings side by side, normalised: (B, r), or (B, history, r) of windows."""
        readings = torch.cat([observation[name].float() for name in self.channels], -1)
        return (readings - self.reading_mean) / self.reading_scale

    def _recall(self, window: Tensor) -> Tensor:
        """The latest of a window of points and readings (B, history, m), and the memory of the whole."""
        memory, _ = self.recurrence(window)
        return torch.cat([window[:, -1], memory[:, -1]], 1)
