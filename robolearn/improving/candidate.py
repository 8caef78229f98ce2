"""The loop's learning: prior episodes of the training simulator, and a candidate from them and the logs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from robolearn.data.episode import Episode
from robolearn.data.store.store import Store
from robolearn.improving.course import LoopConfig
from robolearn.improving.manner import Manner
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.training.evaluation import task_changes
from robolearn.training.generating import generate, missing, recipe
from robolearn.training.offline.config import OfflineTrainConfig
from robolearn.training.offline.train import train_offline
from robolearn.training.pool import LocalPool
from robolearn.training.report import read_metrics

PRIOR_KIND = "noisy-expert"
"""Of the episodes of the training simulator: its teacher, disturbed."""


def generate_prior(place: Path, policy: Bundle, episodes: int, first: int, manner: Manner) -> None:
    """Fill a store with episodes of the training simulator as it is by itself; those that are there stay.

    Args:
        place: the store.
        policy: whose task, cameras and readings they have; it does not act.
        episodes: how many there are to be.
        first: seed of the first.
        manner: how that is run and shown.
    """
    nominal = task_changes(policy, {"randomisation": "clean"})
    plan, done = recipe(policy.task, PRIOR_KIND, first, nominal), 0
    with Store.open_or_create(place) as store:
        if not (lacking := missing(store, plan, episodes)):
            return
        with (
            manner.showing("prior episodes", len(lacking)) as show,
            LocalPool(manner.workers) as pool,
        ):

            def tell(episode: Episode) -> None:
                nonlocal done
                done += 1
                show(done, "")

            generate(store, plan, lacking, pool, 2 * manner.workers, tell)


def learn_candidate(
    config: LoopConfig, policy: Bundle, stores: Sequence[Path], run: Path, *, seed: int, command: str
) -> dict[str, Any]:
    """Let a policy learn from stores; the candidate is the run's bundle.

    Args:
        config: method, steps and settings.
        policy: to go on from.
        stores: each gives an equal share of every batch.
        run: the training run's directory; one that was begun is gone on with, to the same bits.
        seed: of the batches.
        command: what a person typed.

    Returns:
        What the loop notes of it.

    Raises:
        InputError: the stores hold nothing that this policy can learn from.
        FloatingPointError: learning has diverged.
        KeyboardInterrupt: it was interrupted.
    """
    assert policy.path is not None
    asked = OfflineTrainConfig(
        config.task,
        {},
        config.method,
        tuple(str(store.resolve()) for store in stores),
        config.offline,
        config.own,
        policy.network.config,
        start=str(policy.path.resolve()),
        steps=config.steps,
        seed=seed,
        device="cpu",  # on a GPU sums come out in another order each time
    )
    candidate = _train(asked, run, command)
    return {
        "from": policy.weights_hash,
        "candidate": candidate.weights_hash,
        "method": config.method,
        "steps": config.steps,
        "data": [
            {key: entry[key] for key in ("episodes", "successes", "steps")}
            for entry in candidate.card["training"]["data"]
        ],
        "losses": read_metrics(run / "metrics.jsonl")[-1]["losses"],
    }


def _train(config: OfflineTrainConfig, path: Path, command: str) -> Bundle:
    """Train, or go on with the training that is there, or take what it came to."""
    if (path / "bundle" / "bundle.json").is_file():
        there = load_bundle(path)
        if there.card["training"]["gradient steps"] == config.steps:
            return there
    begun = (path / "config.json").is_file()
    if not begun:  # killed before it could say what it is
        shutil.rmtree(path, ignore_errors=True)
    # A training sets how exactly matrices are multiplied; a policy acts as in any other process.
    precision = torch.get_float32_matmul_precision()
    try:
        result = train_offline(config, path, resume=begun, command=command)
    finally:
        torch.set_float32_matmul_precision(precision)
    if result.interrupted:
        raise KeyboardInterrupt
    return load_bundle(path)
