"""What `robolearn train TASK --method METHOD` does."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from robolearn.envs.config import CHANNELS
from robolearn.envs.promising import STATE
from robolearn.envs.tasks import task_class
from robolearn.errors import choose
from robolearn.policies.bundle import load_bundle
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.online.methods import METHODS as ONLINE
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.asking import asked_for, begun, names_of, run_and_show, scanned, short, values_of
from robolearn.training.configuration import read_changes
from robolearn.training.describe import as_options
from robolearn.training.offline.config import OfflineTrainConfig
from robolearn.training.offline.train import train_offline
from robolearn.training.run import kind_of
from robolearn.training.tally import process_start

HIDDEN = ("cameras", "reward_scales", "action")
"""Fields of a task's configuration that are too long for words, or that logs leave no choice of."""

PICTURES = 64  # transitions with pictures in a gradient step: what two cores can do


@dataclass(frozen=True)
class OfflineOptions:
    """What to learn from, how long and where.

    Attributes:
        method: bc, td3bc, awac, iql or cql; docs/offline-rl.md says how to choose.
        data: stores of logged episodes; several give equal shares of every batch.
        from_state: learn from readings and the simulator's state in place of pictures.
        start: a bundle whose policy learning starts from.
        steps: gradient steps.
        seed: of the network and of the batches.
        run: directory to make for the run; runs/TASK-METHOD-TIME if not given.
        resume: directory of a run to go on with. It keeps its configuration; steps, device, collectors and
            evaluate may be given anew.
        device: auto (a GPU where torch sees one), cpu or cuda.
        collectors: processes that try the policy out meanwhile, which learning does not depend on.
        evaluate: held-out episodes to try the policy on at the end.
        json: print the result as JSON.
    """

    method: str = "iql"
    data: tuple[str, ...] = ()
    from_state: bool = False
    start: str | None = None
    steps: int = 20_000
    seed: int = 0
    run: Path | None = None
    resume: Path | None = None
    device: str = "auto"
    collectors: int = 0
    evaluate: int = 0
    json: bool = False


def is_offline(words: list[str]) -> bool:
    """Whether the words after `robolearn train` ask for a method that learns from logs.

    Raises:
        InputError: a run to resume that is none.
    """
    asked = _scan(words)
    if asked.resume is not None:
        return kind_of(asked.resume) == OfflineTrainConfig.KIND
    return asked.method not in ("guided", "modular")


def run_train_offline(words: list[str]) -> int:
    """Train a policy from logs as the words after `robolearn train` ask for; returns the exit status."""
    started = process_start()
    config, options = read_words(words)
    name = f"{short(config.task)}-{config.method}"
    return run_and_show(train_offline, config, options, words, name, started)


def read_words(words: list[str]) -> tuple[OfflineTrainConfig, OfflineOptions]:
    """What the words after `robolearn train` ask for.

    Raises:
        InputError: no task or an unknown one, an unknown method, or a resumed run that is to be another.
        SystemExit: words that do not fit, having printed why; after --help.
    """
    scan = _scan(words)
    task, method, saved = begun(words, scan, OfflineTrainConfig)
    kind = task_class(task).config_type
    own_kind = METHODS[choose("method", method, ["guided", "modular", *METHODS, *ONLINE])].config_type
    beginning: Any = saved or _beginning(task, scan)
    shown = {name: getattr(beginning, name) for name in names_of(OfflineOptions) if hasattr(beginning, name)}
    defaults = {
        "run": as_options(OfflineOptions(**shown | {"method": method})),
        "task": as_options(kind(**read_changes(task, beginning.changes)), HIDDEN),
        "offline": as_options(beginning.offline),
        "own": as_options(own_kind() if saved is None else saved.own),
        "network": as_options(beginning.network, () if scan.start is None else names_of(VisuomotorConfig)),
    }
    about = f"Train a policy for {task} from logged episodes by {method}."
    asked = asked_for(task, words, defaults, {"run": "", "task": "", "own": method}, about)
    options = OfflineOptions(**values_of(asked.run))
    config = OfflineTrainConfig(
        task,
        {f.name: getattr(asked.task, f.name) for f in fields(kind)},
        method,
        tuple(options.data),
        OfflineConfig(**values_of(asked.offline)),
        own_kind(**values_of(asked.own)),
        VisuomotorConfig(**values_of(asked.network)),
        options.start,
        options.steps,
        options.seed,
        options.device,
        options.collectors,
        options.evaluate,
    )
    return config, options


def _beginning(task: str, scan: argparse.Namespace) -> SimpleNamespace:
    """What is trained unless the other options say otherwise."""
    changes: dict[str, Any] = {}
    network, offline = VisuomotorConfig(), OfflineConfig()
    if scan.start is not None:
        bundle = load_bundle(scan.start)
        changes, network = bundle.changes, bundle.network.config
    elif scan.from_state:
        observe = task_class(task).config_type().observe
        changes = {"observe": (*(item for item in observe if item in CHANNELS), STATE)}
    if not scan.from_state:
        offline = replace(offline, batch=PICTURES)
    return SimpleNamespace(changes=changes, network=network, offline=offline, start=scan.start)


def _scan(words: list[str]) -> argparse.Namespace:
    """The options that decide which others there are."""
    return scanned(words, "--from-state", start=None)
