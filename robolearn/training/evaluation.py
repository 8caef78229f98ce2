"""Evaluation: a bundle on held-out episodes, and every figure that is said about it.

An episode is determined by its seed, so the same evaluation gives the same numbers on the same machine,
whatever the number of workers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robolearn import checks
from robolearn.contract import Camera, Contract, Offer
from robolearn.data.episode import Episode, software_versions
from robolearn.envs.promising import STATE, with_state
from robolearn.envs.randomisation import CLEAN
from robolearn.envs.starting import STARTS
from robolearn.envs.tasks import make, task_class
from robolearn.errors import InputError
from robolearn.files import replacing
from robolearn.policies.bundle import SHIPPED, Bundle, load_bundle
from robolearn.training.configuration import read_changes
from robolearn.training.pictures import film_sheet, film_strip, write_png
from robolearn.training.pool import LocalPool, Pool, Runner, default_workers, map_episodes
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.seeds import FIRST_SEED, evaluation_seeds
from robolearn.training.statistics import wilson_interval

KEPT = {False: 6, True: 3}
"""How many failures and successes are kept whole, for film strips."""

_CONDITIONS = {*CLEAN.sample(np.random.default_rng(0), 1, ()), *STARTS, "noise", "exploration"}
"""Sampled values that every task has; the others are the task's own and stand in the table."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        summary: the figures, JSON-like (`docs/evaluation.md` explains each).
        table: one entry an episode in the order of their seeds, JSON-like.
        failures: the first few episodes that failed, whole.
        successes: the first few that succeeded, whole.
    """

    summary: dict[str, Any]
    table: list[dict[str, Any]]
    failures: list[Episode]
    successes: list[Episode]

    def to_json(self) -> str:
        return json.dumps({**self.summary, "table": self.table}, indent=2, allow_nan=False)


def evaluate(
    path: str | os.PathLike[str],
    episodes: int = 200,
    seed: int = FIRST_SEED,
    changes: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    pool: Pool | None = None,
    progress: Callable[[Episode], None] | None = None,
    taught: bool = False,
) -> Evaluation:
    """Run a bundle on held-out episodes.

    Args:
        path: a bundle, as `find_bundle` takes it.
        episodes: how many.
        seed: of the first episode; the others follow it.
        changes: fields of the task's configuration that differ from what the bundle was trained under.
        workers: processes that simulate; None: one a core. 1 runs in this process.
        pool: runs the episodes in place of workers; stays open.
        progress: called with every episode, in the order of their seeds.
        taught: whether episodes also hold the simulator's state, and what the teacher would have done; the
            figures are the same.

    Raises:
        InputError: the bundle cannot be used, the changes do not fit the task, the seeds are not held out, or
            the environment does not offer what the policy requires: nothing has been run then.
    """
    seeds = evaluation_seeds(seed, episodes)
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; there must be at least 1")
    bundle = load_bundle(path)
    assert bundle.path is not None
    own = read_changes(bundle.task, changes or {})
    all_changes = task_changes(bundle, own)
    check_offer(bundle.contract, bundle.task, all_changes)

    if taught:
        shown = all_changes.get("observe", task_class(bundle.task).config_type().observe)
        all_changes = {**all_changes, "observe": tuple(dict.fromkeys((*shown, STATE)))}
    specs = [
        EpisodeSpec(bundle.task, all_changes, number, str(bundle.path.resolve()), labels=taught)
        for number in seeds
    ]
    table: list[dict[str, Any]] = []
    kept: dict[bool, list[Episode]] = {False: [], True: []}
    opened = None if pool is not None else open_pool(min(workers or default_workers(), episodes))
    running = pool or opened
    assert running is not None
    try:
        for episode in map_episodes(running, specs, ahead=2 * (workers or default_workers())):
            table.append(_row(episode))
            group = kept[episode.outcome.success]
            if len(group) < KEPT[episode.outcome.success]:
                group.append(episode)
            if progress is not None:
                progress(episode)
    finally:
        if opened is not None:
            opened.close()
    summary = summarise(table, bundle, own, seed)
    return Evaluation(summary, table, failures=kept[False], successes=kept[True])


def task_changes(bundle: Bundle, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle was trained under, changed again: the task's configuration to run it in.

    Raises:
        InputError: a change that does not fit the task.
    """
    merged = read_changes(bundle.task, {**bundle.changes, **changes})
    shown = [channel.name for channel in bundle.contract.proprioception]
    if "observe" in merged and STATE not in shown:  # only training saw it: here it would only cost time
        merged["observe"] = tuple(item for item in merged["observe"] if item != STATE)
    return merged


def check_offer(contract: Contract, task: str, changes: Mapping[str, Any]) -> None:
    """Look whether a task's environment offers what a contract requires.

    Raises:
        InputError: it does not; lists every gap. Pictures are given to the policy as they are, so that they
            must be of the very size and focal length that it was trained on.
    """
    env = make(task, changes)
    try:
        own = env.contract()
        offer = (with_state(own, env.state_size) if STATE in env.config.observe else own).offered()
    finally:
        env.close()
    require_as_trained(contract, offer)


def require_as_trained(contract: Contract, offer: Offer) -> None:
    """Look whether an offer fits a contract, and its pictures as they are.

    Raises:
        InputError: it does not; lists every gap.
    """
    contract.require(offer)
    offered = {camera.name: camera for camera in offer.cameras}
    wrong = [
        f"  camera {camera.name}: requires {_optics(camera)}, offered {_optics(offered[camera.name])}"
        for camera in contract.cameras
        if _optics(camera) != _optics(offered[camera.name])
    ]
    if wrong:
        raise InputError("the pictures are not those that the policy was trained on:\n" + "\n".join(wrong))


def _optics(camera: Camera) -> str:
    return f"{camera.width} x {camera.height} pixels of focal length {camera.fx:.6g} x {camera.fy:.6g}"


def summarise(
    table: list[dict[str, Any]], bundle: Bundle, changes: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """The figures of a table of episodes."""
    successes = sum(row["success"] for row in table)
    ticks = sum(row["ticks"] or 0 for row in table)
    altered: Counter[str] = Counter()
    for row in table:
        altered.update(row["altered"])
    words = "".join(f" --set {key}={_word(value)}" for key, value in changes.items())
    return {
        "task": bundle.task,
        "weights": bundle.weights_hash,
        "contract": bundle.contract.hash,
        "changes": checks.json_like("changes", changes),
        "episodes": len(table),
        "seed": seed,
        "command": f"robolearn evaluate {_called(bundle)} --episodes {len(table)} --seed {seed}{words}",
        "success": {
            "rate": successes / len(table),
            "interval": list(wilson_interval(successes, len(table))),
            "confidence": 0.95,
            "successes": successes,
        },
        "reasons": dict(Counter(row["reason"] for row in table).most_common()),
        "seconds_to_success": _spread(row["seconds"] for row in table if row["success"]),
        "peak_force": _spread(row["peak_force"] for row in table),
        "mean_force": _spread(row["mean_force"] for row in table),
        "torque_rate": _spread(row["torque_rate"] for row in table),
        "drops": sum(row["drops"] or 0 for row in table),
        "jams": sum(row["jams"] or 0 for row in table),
        "limiter": {
            "ticks": ticks,
            "share": sum(row["altered_ticks"] or 0 for row in table) / ticks if ticks else 0.0,
            "altered": {cause: count / ticks if ticks else 0.0 for cause, count in altered.items()},
        },
        "versions": {**software_versions(), "torch": torch.__version__},
    }


def save_evaluation(directory: str | os.PathLike[str], evaluation: Evaluation) -> Path:
    """Write an evaluation into a directory, usually a run's; returns the JSON file.

    `evaluation.json`, or `evaluation-<changes>.json`, has the figures and the table; a folder of the same
    name has the film strips: one PNG an episode that was kept, and `failures.png` with all failures together.
    Where that file has figures of the same policy that these do not include, it stays, and the name of the
    new one ends in its seeds.
    """
    directory, summary = Path(directory), evaluation.summary
    changes = ",".join(f"{key}={_word(value)}" for key, value in summary["changes"].items())
    stem = f"evaluation-{re.sub(r'[^A-Za-z0-9=.,+-]', '_', changes)}" if changes else "evaluation"
    if not _includes(summary, directory / f"{stem}.json"):
        stem += f"-seeds-{summary['seed']}-{summary['seed'] + summary['episodes'] - 1}"
    folder = directory / stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for kind, episodes in (("failure", evaluation.failures), ("success", evaluation.successes)):
        for episode in episodes:
            write_png(folder / f"{kind}-{episode.seed:06d}.png", film_strip(episode))
    if evaluation.failures:
        write_png(folder / "failures.png", film_sheet(evaluation.failures))
    file = directory / f"{stem}.json"
    with replacing(file) as temporary:
        temporary.write_text(evaluation.to_json() + "\n")
    return file


def _includes(summary: Mapping[str, Any], file: Path) -> bool:
    """Whether figures make those in a file superfluous, being of another policy or among the new ones."""
    try:
        old = json.loads(file.read_bytes())
        first, last = old["seed"], old["seed"] + old["episodes"]
        other = old["weights"] != summary["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        return True  # there is none, or what is there is no evaluation
    return bool(other or (summary["seed"] <= first and last <= summary["seed"] + summary["episodes"]))


class _Here:
    """A pool of no processes: the next episode runs when it is asked for."""

    def __init__(self) -> None:
        self._runner, self._specs = Runner(), deque[EpisodeSpec]()
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as in a worker: another number of threads adds up in another order

    def submit(self, spec: EpisodeSpec) -> None:
        self._specs.append(spec)

    def ready(self, timeout: float = 0.0) -> list[tuple[EpisodeSpec, Episode]]:
        if not self._specs:
            return []
        spec = self._specs.popleft()
        return [(spec, self._runner(spec))]

    @property
    def pending(self) -> int:
        return len(self._specs)

    def close(self) -> None:
        self._runner.close()
        torch.set_num_threads(self._threads)


def open_pool(workers: int) -> Pool:
    """A pool of so many processes; of this one alone for 1."""
    return _Here() if workers == 1 else LocalPool(workers)


def _row(episode: Episode) -> dict[str, Any]:
    outcome = episode.outcome
    return {
        "seed": episode.seed,
        "success": outcome.success,
        "reason": outcome.reason,
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "peak_force": outcome.peak_force,
        "mean_force": outcome.mean_force,
        "torque_rate": outcome.jerk,
        "drops": outcome.drops,
        "jams": outcome.jams,
        "ticks": outcome.ticks,
        "altered_ticks": outcome.altered_ticks,
        "altered": dict(outcome.interventions),
        "sampled": {key: value for key, value in episode.info.items() if key not in _CONDITIONS},
    }


def _spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Mean, median and largest of the values that were measured; None if there is none."""
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return None
    return {"mean": float(known.mean()), "median": float(np.median(known)), "max": float(known.max())}


def _called(bundle: Bundle) -> str:
    """What a person would call the bundle: a shipped name, or its path."""
    assert bundle.path is not None
    return bundle.path.name if bundle.path.parent == SHIPPED else os.path.relpath(bundle.path)


def _word(value: Any) -> str:
    """The value as `--set` reads it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        return ",".join(value)
    return json.dumps(checks.json_like("changes", value), separators=(",", ":"))
