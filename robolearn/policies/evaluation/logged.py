"""Logged episodes as every estimate takes them: what was seen, what was done, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from robolearn.data.store.manifest import EpisodeRow
from robolearn.data.store.sampling import Transitions
from robolearn.data.store.store import Store
from robolearn.errors import InputError, choose
from robolearn.policies.visuomotor import Visuomotor

Array = NDArray[Any]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

SMALLEST = 1e-3
"""Spread below which a number counts as constant: features have no unit, torques are in N·m."""


@dataclass(frozen=True, eq=False)
class Logged:
    """E episodes: N actions at M = N + E observations, episode by episode.

    Features and torques are centred and scaled by their spread in these data; a gripper's entry is -1 or 1.

    Attributes:
        features: what the eyes see of every observation, (M, f).
        action: that was sent, (N, a).
        reward: that it brought, (N,).
        bootstrap: what the value of the next observation counts, (N,): the discount, or 0 where the episode
            ended there. Out of time is an end, too, as it is where success is counted; cut off is none.
        row: of the observation at which it was sent, (N,); the next row is what followed.
        episode: (N,), from 0 to E - 1.
        first: row of each episode's first observation, (E,).
        mean, scale: of the torques, (a,) [N·m]; 0 and 1 for the gripper.
        discount: of rewards, a step.
    """

    features: Floats
    action: Floats
    reward: Floats
    bootstrap: Floats
    row: Indices
    episode: Indices
    first: Indices
    mean: Floats
    scale: Floats
    discount: float

    def __len__(self) -> int:
        return len(self.first)

    @property
    def episode_of_row(self) -> Indices:
        """Of every observation, (M,)."""
        return np.repeat(np.arange(len(self)), np.diff([*self.first, len(self.features)]))

    def scaled(self, action: Array) -> Floats:
        """Actions (..., a) [N·m] in these data's scale."""
        return np.asarray((action - self.mean) / self.scale, np.float32)


def drawn(logged: Logged, members: int, rng: np.random.Generator) -> Indices:
    """How often each member of an ensemble has each episode, drawn with replacement: (K, E)."""
    return rng.multinomial(len(logged), np.full(len(logged), 1.0 / len(logged)), size=members)


def unseen(counts: Indices) -> Floats:
    """Each member's say about each episode, (K, E): those that never saw it share it.

    Of an episode that every member saw, all share it: with 10 members that is one in 100, with 5 one in 10.
    """
    never = (counts == 0).astype(np.float32)
    never[:, never.sum(0) == 0] = 1.0
    return np.asarray(never / never.sum(0), np.float32)


def read_logged(
    store: Store,
    episodes: Sequence[EpisodeRow],
    eyes: Sequence[Visuomotor],
    policies: Mapping[str, Visuomotor],
    *,
    readings: Sequence[str] = (),
    discount: float = 0.99,
) -> tuple[Logged, dict[str, Floats]]:
    """Read episodes of a store, and what some policies would have done at every observation.

    Args:
        store: the store.
        episodes: which of them.
        eyes: networks whose image points, readings and predicted states, side by side, are features.
        policies: by name.
        readings: observations that are features as they are: the privileged "state" of a simulated episode.
        discount: of rewards, a step.

    Returns:
        the episodes, and each policy's actions (M, a) in their scale.

    Raises:
        InputError: there are no episodes, or they lack what a network looks at.
    """
    transitions = Transitions(store, episodes, discount=discount, observe=())
    steps = np.array([row.steps for row in episodes], np.int64)
    batch = transitions.at(np.arange(len(transitions)))
    networks = {id(network): network for network in (*eyes, *policies.values())}
    seen: dict[int, list[Floats]] = {key: [] for key in networks}
    done: dict[int, list[Floats]] = {key: [] for key in networks}
    read: list[Floats] = []
    for row in episodes:
        observations = store.load(row).observations
        for key, network in networks.items():
            features, action = look(network, observations)
            seen[key].append(features)
            done[key].append(action)
        read.append(_read(observations, readings, row.steps + 1))

    features = np.concatenate([*(np.concatenate(seen[id(eye)]) for eye in eyes), np.concatenate(read)], 1)
    features = (features - features.mean(0)) / np.maximum(features.std(0), SMALLEST)
    mean, scale = batch.action.mean(0), np.maximum(batch.action.std(0), SMALLEST)
    mean[-1], scale[-1] = 0.0, 1.0
    number = np.repeat(np.arange(len(steps)), steps)
    logged = Logged(
        features=features,
        action=(batch.action - mean) / scale,
        reward=batch.reward,
        bootstrap=np.where(_out_of_time(episodes, steps), np.float32(0.0), batch.bootstrap),
        row=np.arange(len(number)) + number,
        episode=number,
        first=np.cumsum(steps + 1) - (steps + 1),
        mean=mean,
        scale=scale,
        discount=discount,
    )
    proposed = {name: np.concatenate(done[id(network)]) for name, network in policies.items()}
    return logged, {name: logged.scaled(action) for name, action in proposed.items()}


def _read(observations: Mapping[str, Array], readings: Sequence[str], rows: int) -> Floats:
    """Some observations of an episode side by side, (rows, r)."""
    parts = [observations[choose("observation", name, observations)] for name in readings]
    return np.concatenate([np.zeros((rows, 0)), *parts], 1).astype(np.float32)


def _out_of_time(episodes: Sequence[EpisodeRow], steps: Indices) -> NDArray[np.bool_]:
    """Whether an action was the last for which there was time, (N,)."""
    last = np.zeros(int(steps.sum()), bool)
    last[np.cumsum(steps) - 1] = [row.reason == "time" for row in episodes]
    return last


@torch.no_grad()
def look(network: Visuomotor, observations: Mapping[str, Array]) -> tuple[Floats, Floats]:
    """What a network makes of an episode's observations.

    Args:
        network: in evaluation mode.
        observations: by name, (T + 1, ...).

    Returns:
        image points, readings and the predicted state, (T + 1, f), and the actions that it would choose,
        (T + 1, a): torques [N·m] and the gripper, open (-1) or closed (+1).

    Raises:
        InputError: the observations lack a picture or reading of the size that the network takes.
    """
    needed = {**network.cameras, **{name: (size,) for name, size in network.channels.items()}}
    for name, size in needed.items():
        if name not in observations:
            there = ", ".join(observations)
            raise InputError(f"the episodes have no {name!r}, which the policy looks at, only {there}")
        if (found := observations[name].shape[1 : 1 + len(size)]) != tuple(size):
            raise InputError(f"{name!r} has size {found} in the episodes; the policy looks at {tuple(size)}")
    count = len(next(iter(observations.values())))
    batch = {}
    for name in needed:
        array = np.ascontiguousarray(observations[name])
        if length := network.windows.get(name):
            array = array[np.maximum(np.arange(count)[:, None] - np.arange(length - 1, -1, -1), 0)]
        batch[name] = torch.from_numpy(array).to(network.action_mean.device)
    features = network.encode(batch)
    output, state = network.decide(features)
    action = output * network.action_scale + network.action_mean
    action[:, -1] = torch.where(output[:, -1] > 0, 1.0, -1.0)
    return torch.cat([features, state], 1).cpu().numpy(), action.cpu().numpy()
