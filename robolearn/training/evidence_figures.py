"""Which of the figures under evidence/ stand for an experiment, and what a reader should know about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robolearn.training.experiments import EPISODES, Experiment, Trial
from robolearn.training.seeds import FIRST_SEED

Figures = dict[str, Any]

ORIGIN = ("name", "command", "measured", "notes")
"""Titles of the columns that say where a row comes from."""

DISTURBED = 0.1  # cores that other work may use during a training before its row says so


@dataclass(frozen=True)
class Measured:
    """The figures that stand for an experiment.

    Attributes:
        experiment: what they are of.
        seeds: a cell's figures each, by its training seed.
        present: whether they are of the present code.
    """

    experiment: Experiment
    seeds: dict[int, Figures]
    present: bool

    def tried(self, trial: Trial) -> dict[int, Figures]:
        """The trial's figures, by training seed."""
        return {
            seed: entry
            for seed, figures in self.seeds.items()
            for entry in figures["trials"]
            if entry["title"] == trial.title
        }

    @property
    def when(self) -> str:
        """When they were measured, and on which code: a commit, or where the figures of that code lie."""
        days = sorted({figures["measured"] for figures in self.seeds.values()})
        codes = sorted({_code(figures) for figures in self.seeds.values()})
        return f"{' and '.join(dict.fromkeys((days[0], days[-1])))}, {' and '.join(codes)}" if days else ""

    def notes(self, trial: Trial) -> list[str]:
        """What else a reader should know about a trial's figures."""
        notes, every = [], self.seeds.values()
        if not every:
            return []
        if not self.present:
            notes.append("the code has changed since")
        if len(self.seeds) < len(self.experiment.seeds):
            notes.append(f"{len(self.seeds)} of {len(self.experiment.seeds)} seeds")
        if wanted := self.experiment.episodes:
            got = [figures["training"]["episodes"] for figures in every]
            if fewer := sum(episodes < wanted for episodes in got):
                notes.append(f"{fewer} of {len(got)} seeds got fewer episodes than asked, down to {min(got)}")
        asked = (FIRST_SEED, EPISODES)
        other = {(e["seed"], e["episodes"]) for e in self.tried(trial).values()} - {asked}
        notes += [f"tried on {episodes} episodes from {first} on" for first, episodes in sorted(other)]
        foreign = max(figures["cores used by other work"] or 0.0 for figures in every)
        if foreign > DISTURBED:
            notes.append(f"other work used up to {foreign:g} cores")
        if any(figures["training"]["resumed"] for figures in every):
            notes.append("stopped and resumed")
        return notes

    def origin(self, trial: Trial) -> list[str]:
        """Where a row comes from: its name for `--only`, what makes it, when that was, what to know of it."""
        return [
            f"`{self.experiment.name}`",
            _command(self.experiment, trial),
            self.when,
            "; ".join(self.notes(trial)),
        ]

    def is_of_the_code_of(self, other: Measured) -> bool:
        """Whether both are known to be of the same code: the present one, or that of one commit."""
        if self.present and other.present:
            return True
        every = (*self.seeds.values(), *other.seeds.values())
        commits = {figures.get("commit") or "+" for figures in every}  # a plus: changed since that commit
        return len(commits) == 1 and not any(commit.endswith("+") for commit in commits)


def _command(experiment: Experiment, trial: Trial) -> str:
    """The training, and the evaluation where that changes the task."""
    commands = [experiment.command]
    if trial.changes:
        commands.append(" ".join(["robolearn evaluate RUN", *(f"--set {c}" for c in trial.changes)]))
    return ", then ".join(f"`{command}`" for command in commands)


def _code(figures: Figures) -> str:
    return f"commit {figures['commit']}" if figures.get("commit") else f"`evidence/{figures['hash']}`"


def in_short(figures: Figures) -> str:
    """A cell's success rates in a line."""
    return ", ".join(f"{trial['title']}: {trial['success']['rate']:.3f}" for trial in figures["trials"])


def read_figures(results: Path, current: dict[str, str]) -> Callable[[Experiment], Measured]:
    """Read a folder of figures; what comes back gives an experiment's.

    Of figures of several versions of the code the most complete ones stand for an experiment, and the newest
    of those; figures of a training that was asked for in other words never do.

    Args:
        results: the folder.
        current: each experiment's hash for the present code.
    """
    every = [json.loads(file.read_bytes()) for file in sorted(results.glob("*/*.json"))]

    def of(experiment: Experiment) -> Measured:
        versions: dict[str, dict[int, Figures]] = {}
        for figures in every:
            if _is_of(experiment, figures):
                versions.setdefault(figures["hash"], {})[figures["seed"]] = figures
        present = current.get(experiment.name, "")

        def rank(key: str) -> tuple[int, str, bool]:
            newest = max(figures["measured"] for figures in versions[key].values())
            return len(versions[key]), newest, key == present

        best = max(versions, key=rank, default=present)
        return Measured(experiment, dict(sorted(versions.get(best, {}).items())), best == present)

    return of


def _is_of(experiment: Experiment, figures: Figures) -> bool:
    trained = figures["experiment"]
    return (
        trained["name"] == experiment.name
        and figures["seed"] in experiment.seeds
        and (trained["task"], trained["minutes"]) == (experiment.task, experiment.minutes)
        and tuple(trained["words"]) == experiment.words
    )
