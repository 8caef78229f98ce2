"""The policies that a fine-tuning has been through, how each did, and which is believed to be the best."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robolearn.errors import InputError
from robolearn.policies.offline.learner import Learner
from robolearn.training.checkpoint import copied
from robolearn.training.statistics import wilson_interval
from robolearn.training.tally import Clock


@dataclass
class Version:
    """A policy on the way.

    Attributes:
        number: 0 is the one that it all began with, 1 the one after the first round, and so on.
        weights: as `state_dict` gives them.
        episodes, successes: of its round; none before it has acted.
        given_up: whether it had clearly unlearned, so that learning went on from another.
    """

    number: int
    weights: dict[str, Tensor]
    episodes: int = 0
    successes: int = 0
    given_up: bool = False

    @property
    def at_least(self) -> float:
        """The lower end of its success rate's interval; 0 for one that has not acted."""
        return self.interval[0] if self.episodes else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """In which its success rate lies; for one that has acted."""
        return wilson_interval(self.successes, self.episodes)

    def clearly_worse(self, other: Version) -> bool:
        """Whether the interval of its success rate ends below where another's begins."""
        return self.interval[1] < other.at_least

    def __str__(self) -> str:
        name = "the bundle's policy" if self.number == 0 else f"the policy after round {self.number}"
        return f"{name} ({self.successes} of {self.episodes})"


@dataclass
class Course:
    """How far a fine-tuning has come.

    Attributes:
        learner: on its way.
        rng: what batches are drawn with.
        clock: wall time used.
        versions: the policies, in their order.
        episodes: run so far.
        kept: the one that the duel has left; None before it.
        verdict: what the duel said.
        contest: its figures, and the regression suite's, JSON-like; None where there was none.
    """

    learner: Learner
    rng: np.random.Generator
    clock: Clock
    versions: list[Version] = field(default_factory=list)
    episodes: int = 0
    kept: Version | None = None
    verdict: str = ""
    contest: dict[str, Any] | None = None

    @property
    def best(self) -> Version:
        """The version that is most surely good; of equal ones the first."""
        return max(self.versions, key=lambda version: version.at_least)

    @property
    def acted(self) -> Version | None:
        """The latest version that has acted."""
        return next((version for version in reversed(self.versions) if version.episodes), None)

    def summary(self) -> dict[str, Any]:
        """What a page shows of it, JSON-like."""
        rounds = []
        for version in self.versions:
            if version.episodes:
                rate, interval = version.successes / version.episodes, version.interval
                about = {"policy": version.number, "given_up": version.given_up}
                count = {"episodes": version.episodes, "successes": version.successes}
                rounds.append({**about, **count, "rate": rate, "interval": list(interval)})
        kept = 0 if self.kept is None else self.kept.number
        told = {"spent": self.episodes, "kept": kept, "verdict": self.verdict, "contest": self.contest}
        return {**told, "rounds": rounds}

    def checkpoint(self) -> dict[str, Any]:
        """Everything that `restore` needs, copied."""
        return {
            "seconds": self.clock.seconds,
            "learner": copied(self.learner.state()),
            "versions": [copied(vars(version)) for version in self.versions],
            "episodes": self.episodes,
            "batches": json.dumps(self.rng.bit_generator.state),
            "torch": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint, to the bit; raises InputError for one of another robolearn."""
        try:
            self.learner.load(state["learner"])
            self.versions = [Version(**version) for version in state["versions"]]
            self.episodes = state["episodes"]
            self.rng.bit_generator.state = json.loads(state["batches"])
            torch.set_rng_state(state["torch"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"the checkpoint is of another robolearn, or damaged: {error}") from error
