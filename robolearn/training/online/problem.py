"""What is to be learned by trial and error: a network, a box of torques, and how large everything is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robolearn.data.store.manifest import hash_of
from robolearn.data.store.store import Store
from robolearn.envs.promising import STATE
from robolearn.envs.tasks import make, task_class
from robolearn.errors import InputError
from robolearn.policies.online.actor import SoftActor
from robolearn.policies.online.learner import OnlineLearner, Privileged
from robolearn.policies.online.methods import METHODS
from robolearn.policies.online.replay import Replay
from robolearn.policies.visuomotor import Visuomotor
from robolearn.training.offline.problem import check_logs, pose_new
from robolearn.training.online.config import OnlineTrainConfig
from robolearn.training.problem import Problem

# how large what matters of the simulator's state is, by task, as its `privileged` lists it
SCALES = {
    "grasp": [0.03] * 3 + [0.05] * 3 + [0.3] * 3 + [0.02, 1.0],  # [m, m, rad, m, 1]
    "peg-insertion": [0.03] * 3 + [0.3] * 3 + [1.0] * 2 + [0.05] * 3 + [0.03] * 3,  # [m, rad, 1, m, m]
}
PLACES = {"grasp": slice(3, 6), "peg-insertion": slice(8, 11)}  # in it, in base axes: far from 0
BEGIN = 0.5  # spread of the first policy's torques, as a share of what it may ask for


@dataclass(frozen=True)
class Trial:
    """A problem, and what belongs to solving it by trial and error.

    Attributes:
        problem: the task as the policy sees it; what is collected may show the simulator's state, too.
        reach: largest torque that the policy asks of each joint, shape (n,) [N·m].
        observe: names of the observations that are learned from.
        max_steps: control steps until an episode's time limit.
    """

    problem: Problem
    reach: NDArray[np.float64]
    observe: tuple[str, ...]
    max_steps: int


def pose_online(config: OnlineTrainConfig) -> Trial:
    """The problem that a configuration poses, with a new network.

    Raises:
        InputError: the task refuses its configuration, is not commanded by torques, observes what the network
            cannot take, or critics are to see the state in place of pictures where there are none.
    """
    problem, online = pose_new(config.task, config.changes, config.network), config.online
    network = problem.network
    if online.asymmetric and not network.cameras:
        raise InputError("asymmetric critics see the simulator's state in place of pictures: there are none")
    told = bool(network.cameras) and (online.asymmetric or online.state_weight > 0.0)
    changes = config.changes
    observe = (*network.cameras, *network.channels)
    if told and STATE not in network.channels:
        size = task_class(config.task).state_size if online.state_weight > 0.0 else 0
        action = network.action_mean.numel()
        network = Visuomotor(config.network, network.cameras, network.channels, size, action)
        observe = (*observe, STATE)
        changes = {**changes, "observe": observe}
    blind = make(config.task, changes)
    try:
        reach, max_steps = config.collect.reach * blind.noise_torque, blind.max_steps
    finally:
        blind.close()
    return Trial(replace(problem, collected=changes, network=network), reach, observe, max_steps)


def replay_of(config: OnlineTrainConfig, trial: Trial, capacity: int) -> Replay:
    """An empty replay of what is learned from."""
    online = config.online
    return Replay(
        capacity,
        trial.observe,
        trial.problem.network.windows,
        online.n_step,
        online.discount,
        online.shaping,
    )


def prior_of(config: OnlineTrainConfig, trial: Trial) -> tuple[Replay | None, list[dict[str, Any]]]:
    """The episodes of the stores, in memory, and what the card says about them; None where there are none.

    Raises:
        InputError: a store that is none, has no episode of the task, or whose logs lack what is learned from.
    """
    if not config.data:
        return None, []
    episodes, facts = [], []
    for path in config.data:
        with Store.open(path) as store:
            rows = [row for row in store.episodes() if row.task == config.task]
            if not rows:
                raise InputError(f"the store {path!r} has no episodes of {config.task}")
            check_logs(store, rows, trial.problem.contract)
            episodes += [store.load(row) for row in rows]
        successes, steps = sum(row.success for row in rows), sum(row.steps for row in rows)
        facts.append(
            {
                "store": path,
                "episodes": len(rows),
                "successes": successes,
                "steps": steps,
                "hash": hash_of(rows),
            }
        )
    prior = replay_of(config, trial, sum(len(episode) + 1 for episode in episodes))
    for episode in episodes:
        prior.add(episode)
    return prior, facts


def learner_of(
    config: OnlineTrainConfig, trial: Trial, experience: Sequence[Replay], device: torch.device
) -> OnlineLearner:
    """A learner that has seen, in some experience, how large everything is.

    A learner of no experience is to be filled from a checkpoint. Readings are centred and scaled by what
    they range over, not by how they spread: what hardly ever happens at first, such as that something is
    held, must not be enormous when it does. The simulator's state is scaled as `sizes_of` says.
    """
    network, reach = trial.problem.network, torch.from_numpy(trial.reach).float()
    size = task_class(config.task).state_size
    mean, scale = torch.zeros(size), torch.ones(size)
    if experience:
        sizes = {
            name: sizes_of(config.task, name, [part.readings([name]) for part in experience])
            for name in trial.observe
            if name in network.channels or name == STATE
        }
        network.reading_mean.copy_(torch.cat([sizes[name][0] for name in network.channels]))
        network.reading_scale.copy_(torch.cat([sizes[name][1] for name in network.channels]))
        if STATE in sizes:
            mean, scale = sizes[STATE]
    if network.pose is not None:
        network.state_mean.copy_(mean)
        network.state_scale.copy_(scale)
    for part in experience:
        asked = torch.from_numpy(part.readings(["action"]))[:, :-1].abs().amax(0)
        limit = torch.tensor(trial.problem.contract.limiter["tau_max"], dtype=torch.float32)
        reach = torch.maximum(reach, torch.minimum(asked, limit))
    network.action_scale[:-1] = reach
    actor = SoftActor(network, -reach, reach, BEGIN * reach)
    privileged = Privileged(actor, mean, scale) if config.online.asymmetric else None
    method: Any = METHODS[config.method]
    learner: OnlineLearner = method(actor, config.online, config.own, privileged, device)
    return learner


def sizes_of(task: str, name: str, parts: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Middle and scale of an observation's numbers (N, r) in several parts, (r,) each.

    The simulator's state has a scale that is known: what a wanderer comes upon says nothing of the
    millimetres that matter later. Its middle is 0, where the goal is reached, but for places.
    """
    if name != STATE or task not in SCALES:
        return ranges(parts)
    middle, places = torch.zeros(len(SCALES[task])), PLACES[task]
    middle[places] = torch.from_numpy(np.median(np.concatenate(parts)[:, places], 0)).float()
    return middle, torch.tensor(SCALES[task])


def ranges(parts: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Middle and a quarter of the range of numbers (N, r) in several parts, (r,) each.

    What never changed is left as large as it is.
    """
    lowest = np.min([part.min(0) for part in parts], 0)
    highest = np.max([part.max(0) for part in parts], 0)
    quarter = (highest - lowest) / 4.0
    return torch.from_numpy((lowest + highest) / 2.0), torch.from_numpy(
        np.where(quarter > 1e-6, quarter, 1.0)
    )
