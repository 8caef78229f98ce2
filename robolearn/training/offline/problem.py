"""What is to be learned from logged episodes: a network, transitions, and how large everything is."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robolearn.contract import Contract
from robolearn.data.store.manifest import EpisodeRow, hash_of
from robolearn.data.store.sampling import Mixture, Transitions
from robolearn.data.store.store import Store
from robolearn.envs.config import CHANNELS
from robolearn.envs.promising import STATE, with_state
from robolearn.envs.tasks import make
from robolearn.errors import InputError, choose
from robolearn.policies.bundle import load_bundle
from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.learner import Learner
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig
from robolearn.training.evaluation import check_offer, require_as_trained, task_changes
from robolearn.training.offline.config import OfflineTrainConfig
from robolearn.training.problem import Problem
from robolearn.training.progress import say

MEASURED = 200_000  # transitions, evenly spread over all, that tell how large everything is
CHUNK = 8192


@dataclass(frozen=True)
class Data:
    """Logged transitions to learn from.

    Attributes:
        source: gives batches.
        blind: the same without pictures, a store each.
        facts: what the card says about them, JSON-like, a store each.
    """

    source: Mixture
    blind: list[Transitions]
    facts: list[dict[str, Any]]


def pose_offline(config: OfflineTrainConfig) -> Problem:
    """The problem that a configuration poses, with a new network or that of the bundle to start from.

    Raises:
        InputError: the task refuses its configuration, is not commanded by torques, observes what the network
            cannot take, or the bundle to start from is of another task or needs what this one does not offer.
    """
    if config.start is not None:
        bundle = load_bundle(config.start)
        if bundle.task != config.task:
            raise InputError(f"the bundle {config.start} acts in {bundle.task}, not in {config.task}")
        changes = task_changes(bundle, config.changes)
        check_offer(bundle.contract, bundle.task, changes)
        return Problem(config.task, changes, changes, bundle.contract, bundle.network)
    return pose_new(config.task, config.changes, config.network)


def pose_new(task: str, changes: dict[str, Any], size: VisuomotorConfig) -> Problem:
    """A task as a policy sees it that has no teacher, and a new network of a size.

    Raises:
        InputError: the task refuses its configuration, is not commanded by torques, or observes what the
            network cannot take.
    """
    env = make(task, changes)
    try:
        if env.config.action != "torque":
            raise InputError(f"action is {env.config.action!r}; what is learned are torques: choose 'torque'")
        observe = env.config.observe
        for item in observe:
            choose("observation of a policy", item, [*env.views, *CHANNELS])
        space: Any = env.observation_space
        shapes = {item: space[item].shape for item in observe}
        cameras = {item: (shape[0], shape[1]) for item, shape in shapes.items() if item in env.views}
        channels = {item: shape[0] for item, shape in shapes.items() if item not in env.views}
        if not channels:
            raise InputError(f"observe names no readings: add at least one of {', '.join(CHANNELS)}")
        contract = env.contract(size.history)
        if STATE in channels:
            contract = with_state(contract, env.state_size)
        network = Visuomotor(size, cameras, channels, 0, contract.action.length)
        return Problem(task, changes, changes, contract, network)
    finally:
        env.close()


def gather(config: OfflineTrainConfig, problem: Problem) -> Data:
    """The logged transitions that a configuration asks for.

    Raises:
        InputError: a store that is none, has no episode of the task or none to learn from, or whose logs lack
            what the policy needs; the message lists every gap.
    """
    parts, blind, facts = [], [], []
    for path in config.data:
        with Store.open(path) as store:
            rows = wanted(config, store)
            check_logs(store, rows, problem.contract)
            parts.append(transitions(config, problem.network, store, rows))
            blind.append(Transitions(store, rows, observe=tuple(problem.network.channels)))
        successes = sum(row.success for row in rows)
        facts.append(
            {
                "store": path,
                "episodes": len(rows),
                "successes": successes,
                "steps": sum(row.steps for row in rows),
                "hash": hash_of(rows),
            }
        )
    if METHODS[config.method].needs_reward and not any(entry["successes"] for entry in facts):
        raise InputError(
            f"no episode of {', '.join(config.data)} succeeded: {config.method} has nothing to learn from. "
            "Add some that did, of a person or of a teacher, or imitate what there is by --method bc"
        )
    return Data(Mixture([(part, 1.0 / len(parts)) for part in parts]), blind, facts)


def wanted(config: OfflineTrainConfig, store: Store) -> list[EpisodeRow]:
    """The episodes of a store that are learned from.

    Those in which nobody commanded torques are left out, and that is told: their zeros are no actions.

    Raises:
        InputError: there are none.
    """
    everything = store.episodes()
    rows = [row for row in everything if row.task == config.task]
    if not rows:
        there = Counter(row.task for row in everything)
        held = ", ".join(f"{count} of {task}" for task, count in there.items()) or "no episodes at all"
        raise InputError(f"the store {str(store.path)!r} has no episodes of {config.task}; it holds {held}")
    if unlabelled := sum(not row.labelled for row in rows):
        told = f"nobody commanded torques in {unlabelled} of {len(rows)} episodes of {str(store.path)!r}"
        rows = [row for row in rows if row.labelled]
        if not rows:
            raise InputError(f"{told}: there is nothing to learn from what was done")
        say(f"{told}: they are left out")
    if getattr(config.own, "filtered", False):
        rows = [row for row in rows if row.success]
        if not rows:
            raise InputError(
                f"no episode of {config.task} in {str(store.path)!r} succeeded: there is nothing to imitate"
            )
    return rows


def check_logs(store: Store, rows: list[EpisodeRow], contract: Contract) -> None:
    """Look whether logs hold what a policy of this contract is shown and commands.

    Raises:
        InputError: they do not; lists every gap. Or nobody commanded torques in some.
    """
    if unlabelled := sum(not row.labelled for row in rows):
        raise InputError(
            f"nobody commanded torques in {unlabelled} of {len(rows)} episodes of {str(store.path)!r}: there "
            "is nothing to learn from what was done"
        )
    state = store.columns().get(f"observations/{STATE}")
    for row in {row.contract: row for row in rows}.values():
        found = store.contract(row)
        offer = (found if state is None else with_state(found, state.kind.shape[0])).offered()
        try:
            require_as_trained(contract, offer)
        except InputError as error:
            where = f"the logs in {str(store.path)!r} lack what the policy needs"
            raise InputError(f"{where}: {error}") from error


def transitions(
    config: OfflineTrainConfig, network: Visuomotor, store: Store, rows: list[EpisodeRow]
) -> Transitions:
    """The transitions of episodes of a store as a network takes them."""
    return Transitions(
        store,
        rows,
        n_step=config.offline.n_step,
        discount=config.offline.discount,
        windows=network.windows,
        observe=[*network.cameras, *network.channels],
    )


def learner_of(config: OfflineTrainConfig, problem: Problem, data: Data, device: torch.device) -> Learner:
    """A learner that has seen how large everything is: a new network is given its normalisation."""
    readings, actions = measured(data.blind)
    network, torques = problem.network, actions[:, :-1]
    if config.start is None:
        network.reading_mean.copy_(readings.mean(0))
        network.reading_scale.copy_(readings.std(0, correction=0).clamp_min(1e-3))
        network.action_mean[:-1] = torques.mean(0)
        network.action_scale[:-1] = torques.std(0, correction=0).clamp_min(1e-3)
    actor = Actor(network, torques.amin(0), torques.amax(0), torques.std(0, correction=0))
    method: Any = METHODS[config.method]
    learner: Learner = method(actor, config.offline, config.own, device)
    return learner


def measured(parts: list[Transitions]) -> tuple[Tensor, Tensor]:
    """Readings side by side (M, r) and actions sent (M, a) of transitions evenly spread over all."""
    readings: list[NDArray[Any]] = []
    actions: list[NDArray[Any]] = []
    for part in parts:
        index = np.unique(np.linspace(0, len(part) - 1, min(len(part), MEASURED)).astype(np.int64))
        for chunk in np.array_split(index, math.ceil(len(index) / CHUNK)):
            batch = part.at(chunk)
            readings.append(np.concatenate([batch.observation[name] for name in part.observe], 1))
            actions.append(batch.action)
    return torch.from_numpy(np.concatenate(readings)), torch.from_numpy(np.concatenate(actions))
