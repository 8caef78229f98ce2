"""Policies on the same held-out episodes: success in pairs, and what each believed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from robolearn.comparing.perception import Spread, spread
from robolearn.comparing.witness import AXIS, TASK, Witness
from robolearn.data.episode import Episode
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.policies.bundle import load_bundle
from robolearn.policies.modular.policy import Modular
from robolearn.training.configuration import read_changes
from robolearn.training.evaluation import Evaluation, evaluate, task_changes
from robolearn.training.seeds import FIRST_SEED
from robolearn.training.statistics import difference_interval


@dataclass(frozen=True)
class Compared:
    """One policy among those compared.

    Attributes:
        evaluation: its figures on the episodes.
        method: "modular" or "end to end".
        perception: how large its errors are near the hole, by kind (see `robolearn.comparing.witness`); empty
            for another task than insertion.
        difference: its success minus the first policy's, on the same episodes; 0 for the first.
        interval: of the difference, 95%; None for the first.
    """

    evaluation: Evaluation
    method: str
    perception: dict[str, Spread]
    difference: float
    interval: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-like: the evaluation's figures and table, and what is added here."""
        return {
            **self.evaluation.summary,
            "table": self.evaluation.table,
            "method": self.method,
            "perception": {kind: asdict(found) for kind, found in self.perception.items()},
            "difference": self.difference,
            "difference_interval": None if self.interval is None else list(self.interval),
        }


def watch(
    policy: str | os.PathLike[str],
    episodes: int = 200,
    seed: int = FIRST_SEED,
    changes: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[Episode], None] | None = None,
) -> tuple[Evaluation, dict[str, Spread]]:
    """Evaluate a policy, and see what it believes meanwhile.

    Args:
        policy: a bundle, as `find_bundle` takes it.
        episodes, seed, changes, workers, progress: as `evaluate` takes them.

    Raises:
        InputError: what `evaluate` raises, or a policy of insertion whose network predicts no hole.
    """
    bundle = load_bundle(policy)
    if bundle.task != TASK:
        return evaluate(policy, episodes, seed, changes, workers=workers, progress=progress), {}
    asked = task_changes(bundle, read_changes(bundle.task, changes or {}))
    witness = Witness(bundle.network, load_arm(asked.get("arm", bundle.contract.arm)))
    errors: dict[str, list[Any]] = {}

    def look(episode: Episode) -> None:
        for kind, found in witness.errors(episode).items():
            errors.setdefault(kind, []).append(found)
        if progress is not None:
            progress(episode)

    evaluation = evaluate(policy, episodes, seed, changes, workers=workers, progress=look, taught=True)
    spreads = {kind: spread(found, AXIS) for kind, found in errors.items()}
    return evaluation, {kind: found for kind, found in spreads.items() if found is not None}


def compare(
    policies: Sequence[str | os.PathLike[str]],
    episodes: int = 200,
    seed: int = FIRST_SEED,
    changes: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[Episode], None] | None = None,
) -> list[Compared]:
    """Try policies of one task on the same episodes, one policy after the other.

    Args:
        policies: bundles, as `find_bundle` takes them.
        episodes, seed, changes, workers, progress: as `evaluate` takes them.

    Raises:
        InputError: no policy, policies of several tasks, or what `watch` raises: nothing has been run then.
    """
    tasks = {load_bundle(policy).task for policy in policies}
    if len(tasks) != 1:
        found = " and ".join(sorted(tasks)) or "nothing"
        raise InputError(f"policies of one task can be compared; these are of {found}")
    compared: list[Compared] = []
    for policy in policies:
        evaluation, perception = watch(policy, episodes, seed, changes, workers=workers, progress=progress)
        difference, interval = 0.0, None
        if compared:
            difference, interval = _difference(compared[0].evaluation, evaluation)
        method = "modular" if isinstance(load_bundle(policy).network, Modular) else "end to end"
        compared.append(Compared(evaluation, method, perception, difference, interval))
    return compared


def _difference(first: Evaluation, other: Evaluation) -> tuple[float, tuple[float, float]]:
    """Of two evaluations on the same episodes: the other's success minus the first's, and its interval."""
    pairs = [(a["success"], b["success"]) for a, b in zip(first.table, other.table, strict=True)]
    lost, won = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    return (won - lost) / len(pairs), difference_interval(lost, won, len(pairs))
