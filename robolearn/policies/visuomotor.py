"""The visuomotor network: camera pixels and joint readings in, joint torques out.

Convolutions, a spatial softmax that turns each feature map into the image point it is about, and fully connected layers over
those points and the joint readings (Levine et al., JMLR 17(39), 2016). A second output predicts the privileged state; the control
layers see that prediction, so that perception and control are one network trained on both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]


@dataclass(frozen=True)
class VisuomotorConfig:
    """Attributes:
    channels: feature maps after each convolution; the last ones become keypoints.
    kernel: of the first convolution [pixels].
    stride: of the first convolution [pixels].
    hidden: width of the fully connected layers.
    layers: number of fully connected layers before the action.
    dropout: probability with which a joint reading is hidden in training, against copying the last torque.
    """

    channels: tuple[int, ...] = (32, 32, 32)
    kernel: int = 6
    stride: int = 4
    hidden: int = 256
    layers: int = 2


SHARPNESS = 10.0  # of the softmax: at 1 the maps begin nearly flat, every point in the middle, and learning starts slowly


class SpatialSoftmax(nn.Module):
    """Expected image coordinates, from -1 to 1, of each feature map: (B, C, H, W) to (B, 2 C)."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.register_buffer("x", torch.linspace(-1, 1, width), persistent=False)
        self.register_buffer("y", torch.linspace(-1, 1, height), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        batch, channels, height, width = maps.shape
        weight = (SHARPNESS * maps.float()).flatten(2).softmax(-1).view(batch, channels, height, width)
        return torch.cat([(weight.sum(2) * self.x).sum(-1), (weight.sum(3) * self.y).sum(-1)], 1)


class Encoder(nn.Module):
    """One camera's convolutions and spatial softmax: uint8 (B, H, W, 3) to (B, 2 channels[-1])."""

    def __init__(self, height: int, width: int, config: VisuomotorConfig) -> None:
        super().__init__()
        sizes = (3, *config.channels)
        layers: list[nn.Module] = [nn.Conv2d(3, sizes[1], config.kernel, config.stride, config.kernel // 2 - config.stride // 2)]
        for before, after in zip(sizes[1:], sizes[2:], strict=False):
            layers += [nn.ReLU(), nn.Conv2d(before, after, 3, 1, 1)]
        self.convolutions = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.no_grad():
            shape = self.convolutions(torch.zeros(1, 3, height, width)).shape
        self.points = SpatialSoftmax(shape[2], shape[3])
        self.features = 2 * sizes[-1]

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1.0
        return self.points(self.convolutions(pixels))


class Visuomotor(nn.Module):
    """The network, with its normalisation inside.

    Args:
        config: its size.
        cameras: name to (height, width).
        channels: joint readings: name to size.
        state: size k of the privileged state that it predicts.
        action: size a of an action, the gripper's last.
    """

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
        features = sum(int(encoder.features) for encoder in self.encoders.values())  # type: ignore[arg-type]
        self.pose = nn.Sequential(
            nn.Linear(features + readings, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, state),
        )
        width = features + readings + state
        layers: list[nn.Module] = []
        for _ in range(config.layers):
            layers += [nn.Linear(width, config.hidden), nn.ReLU()]
            width = config.hidden
        self.control = nn.Sequential(*layers, nn.Linear(width, action))
        for name, size in (("reading", readings), ("state", state), ("action", action)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def forward(self, observation: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Normalised action (B, a), its last entry a logit of closing the gripper, and normalised state (B, k)."""
        points = [encoder(observation[name]) for name, encoder in self.encoders.items()]
        readings = torch.cat([observation[name].float() for name in self.channels], 1)
        readings = (readings - self.reading_mean) / self.reading_scale
        features = torch.cat([*points, readings], 1)
        pose = self.pose(features)
        return self.control(torch.cat([features, pose], 1)), pose

    @torch.no_grad()
    def act(self, observation: dict[str, Array]) -> NDArray[np.float32]:
        """The action for one observation, shape (a,): torques [N·m] and the gripper, open (-1) or closed (+1)."""
        device = self.action_mean.device
        batch = {
            name: torch.as_tensor(np.ascontiguousarray(observation[name])).unsqueeze(0).to(device)
            for name in (*self.cameras, *self.channels)
        }
        normalised, _ = self(batch)
        action = (normalised[0] * self.action_scale + self.action_mean).cpu().numpy()
        action[-1] = 1.0 if float(normalised[0, -1]) > 0 else -1.0
        return np.asarray(action, np.float32)

    def reset(self) -> None:
        """This network remembers nothing between steps."""
