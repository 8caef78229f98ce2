"""The loop's learning: a policy goes on from where it is, on what was logged and on what simulation knows.

A number of gradient steps, not a time, decides when it ends, and everything random is in the checkpoint. So
on one machine the same data give the same weights, to the last bit, however often the learning was killed.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robolearn import checks
from robolearn.data.store.manifest import EpisodeRow, Query
from robolearn.data.store.sampling import Mixture, Transitions
from robolearn.data.store.store import Store
from robolearn.errors import InputError, choose
from robolearn.files import replacing
from robolearn.policies.bundle import Bundle
from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.batch import Source, draw
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.learner import Learner
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.visuomotor import Visuomotor

CHECKPOINT = 250
"""Gradient steps from one checkpoint to the next."""

LOOK = 1024
"""Transitions from which it is seen how widely the data are spread about the policy."""

CPU = torch.device("cpu")
"""On a GPU sums come out in another order each time."""


@dataclass(frozen=True)
class LearningConfig:
    """How a policy learns in an iteration.

    Attributes:
        method: of offline learning, one of `METHODS`.
        steps: gradient steps.
        prior_share: share of each batch that comes from the training simulator; the rest is from the logs.
        success_share: share of the logs' part that comes from episodes that succeeded; None draws every
            logged transition alike.
        warm_up: first steps in which only what judges learns; the policy stays as it is.
        shared: what all methods share.
        own: the method's own parameters, by name; what is left out has its default.

    Raises:
        InputError: an unknown method or parameter, or a value that cannot be.
    """

    method: str = "iql"
    steps: int = 3000
    prior_share: float = 0.5
    success_share: float | None = None
    warm_up: int = 500
    shared: OfflineConfig = field(default_factory=lambda: OfflineConfig(learning_rate=3e-4))
    own: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choose("method", self.method, METHODS)
        checks.whole("steps", self.steps, 1)
        checks.share("prior_share", self.prior_share)
        if self.success_share is not None:
            checks.share("success_share", self.success_share)
        checks.whole("warm_up", self.warm_up, 0)
        self.method_config()

    def method_config(self) -> Any:
        """The method's own configuration."""
        kind = METHODS[self.method].config_type
        for name in self.own:
            choose(f"parameter of {self.method}", name, kind.__dataclass_fields__)
        return kind(**self.own)


@dataclass(frozen=True)
class Learned:
    """What came of it.

    Attributes:
        network: the policy.
        facts: what it was learned from, and how, JSON-like.
    """

    network: Visuomotor
    facts: dict[str, Any]


def learn(
    start: Bundle,
    logs: Path | None,
    prior: Path | None,
    config: LearningConfig,
    checkpoint: Path,
    *,
    seed: int,
    tell: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> Learned:
    """Let a policy learn from stores.

    Args:
        start: the policy that it goes on from; only its task's episodes are used.
        logs: store of what was logged; None leaves it out.
        prior: store of what the training simulator gave; None leaves it out.
        config: how.
        checkpoint: file from which it goes on if it is there.
        seed: of everything random.
        tell: called after every step with its number and losses.

    Raises:
        InputError: there is nothing to learn from, the stores do not fit the policy, or the checkpoint is of
            another learning.
        FloatingPointError: learning has diverged.
        OSError: a checkpoint cannot be written.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sources: dict[str, Transitions] = {}
    boxes = []
    for name, path in (("logs", logs), ("prior", prior)):
        if path is not None:
            with Store.open(path) as store:
                sources[name] = _source(store, start, config, name)
                boxes.append(_box(store, sources[name].episodes))
    source = _mixture(sources, config)
    box = torch.stack([low for low, _ in boxes]).amin(0), torch.stack([high for _, high in boxes]).amax(0)
    learner = _learner(start, source, box, config)
    course = _Course(checkpoint, learner, np.random.default_rng([seed, 4]), _identity(sources, config, seed))
    course.restore()
    while learner.steps < config.steps:
        learner.schedule(learner.steps / config.steps)
        if learner.steps < config.warm_up:
            for group in learner.actor_optimiser.param_groups:
                group["lr"] = 0.0
        figures = learner.update(draw(source, config.shared.batch, course.rng, CPU))
        course.add(figures)
        tell(learner.steps, figures)
        if learner.steps % CHECKPOINT == 0 and learner.steps < config.steps:
            course.save()
    facts = {
        "method": config.method,
        "steps": learner.steps,
        "losses": course.losses,
        **{
            name: {
                "episodes": len(part.episodes),
                "successes": sum(row.success for row in part.episodes),
                "transitions": len(part),
            }
            for name, part in sources.items()
        },
    }
    return Learned(learner.policy(), facts)


def _source(store: Store, start: Bundle, config: LearningConfig, name: str) -> Transitions:
    """The transitions of a store's episodes of the policy's task."""
    filtered = config.method == "bc" and config.method_config().filtered
    episodes = store.episodes(Query(task=start.task, success=True if filtered else None))
    if not episodes:
        wanted = "successful episode" if filtered else "episode"
        raise InputError(f"the store of the {name}, {store.path}, holds no {wanted} of {start.task}")
    transitions = Transitions(
        store,
        episodes,
        n_step=config.shared.n_step,
        discount=config.shared.discount,
        windows=start.network.windows,
        observe=[*start.network.cameras, *start.network.channels],
    )
    kinds = {row.success for row in episodes}
    if name == "logs" and config.success_share is not None and kinds == {False, True}:
        transitions.balance(config.success_share)
    return transitions


def _mixture(sources: Mapping[str, Transitions], config: LearningConfig) -> Source:
    if not sources:
        raise InputError("there is nothing to learn from: neither logs nor prior episodes are given")
    if METHODS[config.method].needs_reward and not any(
        row.success for source in sources.values() for row in source.episodes
    ):
        raise InputError(
            f"no episode succeeded, so that {config.method} has no reward to learn from: add prior episodes"
        )
    if len(sources) == 1:
        return next(iter(sources.values()))
    shares = {"logs": 1.0 - config.prior_share, "prior": config.prior_share}
    return Mixture([(source, shares[name]) for name, source in sources.items()])


def _learner(start: Bundle, source: Source, box: tuple[Tensor, Tensor], config: LearningConfig) -> Learner:
    """The method, its policy being the one to go on from, and spread about it as widely as the data are."""
    network = copy.deepcopy(start.network).train()
    batch = draw(source, LOOK, np.random.default_rng(0), CPU)
    with torch.no_grad():
        normalised, _ = network(batch.observation)
        away = batch.action - (normalised * network.action_scale + network.action_mean)
    std = away[:, :-1].square().mean(0).sqrt()
    kind: Any = METHODS[config.method]
    learner: Learner = kind(Actor(network, *box, std), config.shared, config.method_config(), CPU)
    return learner


def _box(store: Store, episodes: Sequence[EpisodeRow]) -> tuple[Tensor, Tensor]:
    """Smallest and largest torque that was let through, (n,) [N·m] each."""
    torque = store.columns()["filtered"]
    parts = [torque.span(row.first, row.first + row.steps) for row in episodes]
    low, high = np.min([part.min(0) for part in parts], 0), np.max([part.max(0) for part in parts], 0)
    return torch.from_numpy(low).float(), torch.from_numpy(high).float()


def _identity(sources: Mapping[str, Transitions], config: LearningConfig, seed: int) -> str:
    """What a checkpoint belongs to: data, configuration and seed."""
    data = {name: [row.content for row in source.episodes] for name, source in sources.items()}
    plain = json.dumps([data, checks.json_like("learning", config), seed], sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


class _Course:
    """What changes from step to step, and its checkpoint.

    Attributes:
        rng: draws the batches.
    """

    def __init__(self, path: Path, learner: Learner, rng: np.random.Generator, identity: str) -> None:
        self._path, self._learner, self.rng, self._identity = path, learner, rng, identity
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, figures: Mapping[str, float]) -> None:
        """Note what a step told."""
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    @property
    def losses(self) -> dict[str, float]:
        """Means over the steps since the last checkpoint."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}

    def save(self) -> None:
        """Write a checkpoint; raises OSError where the disk refuses, and the one before stays."""
        self._sums.clear()
        self._counts.clear()
        state = {
            "identity": self._identity,
            "learner": self._learner.state(),
            "batches": json.dumps(self.rng.bit_generator.state),
            "torch": torch.get_rng_state(),
        }
        whole = io.BytesIO()  # torch's own writer does not say of a full disk that it is an OSError
        torch.save(state, whole)
        with replacing(self._path) as temporary:
            temporary.write_bytes(whole.getbuffer())

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one.

        Raises:
            InputError: it is damaged, or of another learning.
        """
        if not self._path.is_file():
            return
        try:
            state = torch.load(self._path, map_location="cpu", weights_only=True)
            belongs = state["identity"] == self._identity
            if belongs:
                self._learner.load(state["learner"])
                self.rng.bit_generator.state = json.loads(state["batches"])
                torch.set_rng_state(state["torch"])
        except Exception as error:  # a damaged file raises whatever its bytes lead to
            raise InputError(f"{self._path} is damaged: {str(error).splitlines()[0]}") from error
        if not belongs:
            raise InputError(f"{self._path} is a checkpoint of another learning: delete it to begin anew")
