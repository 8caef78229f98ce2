"""Untrained policies and the short, coarse task that tests run them on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from robolearn.contract import Contract
from robolearn.envs.tasks import make
from robolearn.policies.bundle import save_bundle
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

TASK = "grasp"
CHANGES: dict[str, Any] = {"image_size": 24, "episode_seconds": 0.4}
CONFIG = VisuomotorConfig(channels=(4, 8), hidden=16)

_contracts: dict[str, Contract] = {}


def small_contract(**changes: Any) -> Contract:
    """What the task offers; the environment is made once for each configuration."""
    key = repr(sorted(changes.items()))
    if key not in _contracts:
        env = make(TASK, {**CHANGES, **changes})
        _contracts[key] = env.contract()
        env.close()
    return _contracts[key]


def small_network(
    contract: Contract | None = None, seed: int = 0, config: VisuomotorConfig = CONFIG
) -> Visuomotor:
    """A network for a contract, with random weights and normalisation."""
    contract = contract or small_contract()
    torch.manual_seed(seed)
    network = Visuomotor(
        config,
        {camera.name: (camera.height, camera.width) for camera in contract.cameras},
        {channel.name: channel.size for channel in contract.proprioception},
        11,
        contract.action.length,
    )
    for name in ("reading", "state", "action"):
        network.get_buffer(f"{name}_mean").normal_()
        network.get_buffer(f"{name}_scale").uniform_(0.5, 2.0)
    return network.eval()


def save_small(
    path: Path, seed: int = 0, card: dict[str, Any] | None = None, config: VisuomotorConfig = CONFIG
) -> Visuomotor:
    """Write a bundle of a small network; returns the network."""
    network = small_network(seed=seed, config=config)
    contract = replace(small_contract(), history=config.history)
    save_bundle(path, network, contract, TASK, CHANGES, card or {})
    return network
