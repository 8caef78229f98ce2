"""Worlds with so few states that their answers can be worked out by hand, for tests of offline learning."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.batch import Batch, draw
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.learner import Learner
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

CPU = torch.device("cpu")
QUICK = OfflineConfig(batch=128, learning_rate=1e-2, critic_learning_rate=1e-2, hidden=32, target_rate=0.05)


@dataclass
class World:
    """Logged transitions among a few states: one torque, in the box from -1 to 1, and the gripper.

    Attributes:
        states: how many there are; an observation says which by a 1 in its place.
        state, next_state: whole numbers, (N,).
        torque, gripper: of the action, (N,).
        reward, bootstrap: as in `Batch`, (N,).
        more: any other array of `Batch`.
    """

    states: int
    state: Any
    torque: Any
    gripper: Any
    reward: Any
    bootstrap: Any = 0.0
    next_state: Any = 0
    more: dict[str, NDArray[Any]] = field(default_factory=dict)

    def batch(self, size: int, rng: np.random.Generator) -> SimpleNamespace:
        return self.at(rng.integers(len(self.reward), size=size))

    def at(self, index: NDArray[np.int64]) -> SimpleNamespace:
        count = len(self.reward)

        def column(values: Any) -> NDArray[np.float32]:
            return np.broadcast_to(np.asarray(values, np.float32), (count,))[index]

        def seen(states: Any) -> dict[str, NDArray[np.float32]]:
            return {"state": np.eye(self.states, dtype=np.float32)[column(states).astype(int)]}

        action = np.stack([column(self.torque), column(self.gripper)], 1)
        known = {
            "observation": seen(self.state),
            "action": action,
            "requested": action,
            "altered": np.zeros(len(index), bool),
            "reward": column(self.reward),
            "bootstrap": column(self.bootstrap),
            "next_observation": seen(self.next_state),
            "next_action": np.zeros_like(action),
            "followed": np.zeros(len(index), bool),
            "outcome": column(self.reward),
            "weight": np.ones(len(index), np.float32),
        }
        return SimpleNamespace(**(known | {name: array[index] for name, array in self.more.items()}))


def actor(states: int, seed: int = 0, std: float = 0.3) -> Actor:
    """One that sees which state it is in."""
    torch.manual_seed(seed)
    network = Visuomotor(VisuomotorConfig(hidden=32, layers=1), {}, {"state": states}, 0, 2)
    return Actor(network, -torch.ones(1), torch.ones(1), std * torch.ones(1))


def learner(method: str, states: int, shared: OfflineConfig = QUICK, **config: Any) -> Any:
    kind = METHODS[method]
    return kind(actor(states), shared, kind.config_type(**config), CPU)


def learn(taught: Learner, world: World, steps: int, seed: int = 0) -> None:
    """Take gradient steps, the last half at falling rates."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    optimisers = [value for value in vars(taught).values() if isinstance(value, torch.optim.Optimizer)]
    rates = [optimiser.param_groups[0]["lr"] for optimiser in optimisers]
    for step in range(steps):
        for optimiser, rate in zip(optimisers, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * min(1.0, 2.02 - 2.0 * step / steps)
        taught.update(draw(world, taught.shared.batch, rng, CPU))


def ask(world: World, *rows: int) -> Batch:
    """The batch of some rows."""
    return draw(
        SimpleNamespace(batch=lambda size, rng: world.at(np.array(rows))), 0, np.random.default_rng(), CPU
    )


@torch.no_grad()
def judge(taught: Any, state: int, torque: float, gripper: float) -> torch.Tensor:
    """What the critics say of an action in a state: (E, K)."""
    features = torch.eye(taught.actor.network.features)[state : state + 1]
    returns: torch.Tensor = taught.critic(features, torch.tensor([[float(torque), gripper]]))
    return returns[:, 0]


@torch.no_grad()
def propose(taught: Learner, state: int) -> tuple[float, float]:
    """The policy's torque in the box and its logit of closing."""
    features = torch.eye(taught.actor.network.features)[state : state + 1]
    proposal = taught.actor(features)
    return float(proposal.torque), float(proposal.logit)
