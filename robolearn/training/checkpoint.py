"""The learner's state in a checkpoint: what learning goes on from after a kill, but for the episodes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from robolearn.errors import InputError
from robolearn.policies.guided import GuidedConfig, Learner, Objective, imitation
from robolearn.policies.visuomotor import Visuomotor
from robolearn.training.tally import Clock, Tally


def checkpoint(clock: Clock, learner: Learner, rng: np.random.Generator, tally: Tally) -> dict[str, Any]:
    """Everything that `restore` needs, copied; plain data and tensors, so that loading it runs no code."""
    return {
        "seconds": clock.seconds,
        "steps": learner.steps,
        "network": copied(learner.network.state_dict()),
        "average": copied(learner.average.state_dict()),
        "optimiser": copied(learner.optimiser.state_dict()),
        "tally": tally.state(),
        "batches": json.dumps(rng.bit_generator.state),
        "torch": torch.get_rng_state(),
    }


def restore(
    state: dict[str, Any],
    network: Visuomotor,
    config: GuidedConfig,
    device: torch.device,
    rng: np.random.Generator,
    tally: Tally,
    objective: Objective = imitation,
) -> Learner:
    """The learner of a checkpoint; sets the tally and the random numbers, too.

    Raises:
        InputError: the checkpoint is of another network or another version.
    """
    try:
        network.load_state_dict(state["network"])
        learner = Learner(network, config, device, objective)
        learner.average.load_state_dict(state["average"])
        learner.optimiser.load_state_dict(state["optimiser"])
        learner.steps = state["steps"]
        tally.load(state["tally"])
        rng.bit_generator.state = json.loads(state["batches"])
        torch.set_rng_state(state["torch"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"the checkpoint is of another robolearn, or damaged: {error}") from error
    return learner


def copied(value: Any) -> Any:
    """The same in tensors on the CPU and plain data, which `torch.load(weights_only=True)` takes."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [copied(entry) for entry in value]
    return value
