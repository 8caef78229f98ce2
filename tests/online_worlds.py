"""Learners by trial and error on worlds whose answers are known, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from offline_worlds import CPU, World
from torch import Tensor

from robolearn.policies.online.actor import SoftActor
from robolearn.policies.online.config import OnlineConfig
from robolearn.policies.online.methods import METHODS
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

SCALAR = OnlineConfig(
    batch=128,
    learning_rate=1e-2,
    critic_learning_rate=1e-2,
    hidden=32,
    target_rate=0.05,
    quantiles=1,
    pessimism="lowest",
    layer_norm=False,
)
FIXED = {"temperature_rate": 0.0, "delay": 1}


def learner(method: str, states: int, shared: OnlineConfig = SCALAR, **config: Any) -> Any:
    torch.manual_seed(0)
    network = Visuomotor(VisuomotorConfig(hidden=32, layers=1), {}, {"state": states}, 0, 2)
    actor = SoftActor(network, -torch.ones(1), torch.ones(1), 0.5 * torch.ones(1))
    kind = METHODS[method]
    return kind(actor, shared, kind.config_type(**config), None, CPU)


@torch.no_grad()
def judge(taught: Any, state: int, torque: float, closed: bool) -> Tensor:
    """What the critics say of an action in a state: (E, K)."""
    seen = torch.eye(taught.actor.network.features)[state : state + 1]
    returns: Tensor = taught.judge(taught.critic, seen, torch.tensor([[float(torque)]]))
    return returns[:, 0, int(closed)]


@torch.no_grad()
def plan(taught: Any, state: int) -> tuple[float, float, float]:
    """The policy's most likely torque, its spread, and its logit of closing."""
    found = taught.actor.plan(torch.eye(taught.actor.network.features)[state : state + 1])
    return float(found.torque), float(found.std), float(found.logit)


def hill(count: int = 4000, closed: float = 0.3) -> World:
    """One state; the best torque is 0.4, and closing the gripper brings so much more."""
    rng = np.random.default_rng(0)
    torque, gripper = rng.uniform(-1, 1, count), rng.choice([-1.0, 1.0], count)
    return World(1, 0, torque, gripper, 1.0 - (torque - 0.4) ** 2 + closed * (gripper > 0))


def chain(gamma: float = 0.9) -> World:
    """Three states in a row; open goes on, closed ends with nothing; the end of the row gives 1."""
    state = np.repeat([0, 1, 2], 2)
    gripper = np.tile([-1.0, 1.0], 3)
    going_on, last = gripper < 0, state == 2
    torque = np.random.default_rng(0).uniform(-1, 1, (40, 6))
    again = {"state": state, "gripper": gripper, "going_on": going_on, "last": last}
    again = {name: np.tile(values, 40) for name, values in again.items()}
    return World(
        3,
        again["state"],
        torque.flatten(),
        again["gripper"],
        reward=np.where(again["going_on"] & again["last"], 1.0, 0.0),
        bootstrap=np.where(again["going_on"] & ~again["last"], gamma, 0.0),
        next_state=np.minimum(again["state"] + 1, 2),
    )
