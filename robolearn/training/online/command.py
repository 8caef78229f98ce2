"""What `robolearn train TASK --method sac|rlpd|qtopt` does."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from robolearn.envs.config import CHANNELS
from robolearn.envs.promising import STATE
from robolearn.envs.tasks import task_class
from robolearn.policies.online.methods import METHODS
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.asking import asked_for, begun, names_of, run_and_show, scanned, short, values_of
from robolearn.training.configuration import read_changes
from robolearn.training.describe import as_options
from robolearn.training.offline.command import HIDDEN, PICTURES
from robolearn.training.online.config import CollectConfig, OnlineTrainConfig
from robolearn.training.online.train import train_online
from robolearn.training.run import kind_of
from robolearn.training.tally import process_start

KEPT_PICTURES = (
    30_000  # observations with pictures that the replay keeps: two cameras of 64 pixels take 0.7 GB
)


@dataclass(frozen=True)
class OnlineOptions:
    """How long, how often and where.

    Attributes:
        method: sac, rlpd or qtopt; docs/online-rl.md says how to choose.
        data: stores of prior data, for rlpd.
        from_state: learn from readings and the simulator's state in place of pictures.
        minutes: wall time from the start of the process until learning ends, everything included [min].
        steps: steps of the arm after which learning ends, if it does not before; 0 for time alone.
        synchronous: collect and learn in turns in one process: slower, and the same to the bit in every run,
            interrupted or not.
        seed: of the network, of the episodes and of the batches.
        run: directory to make for the run; runs/TASK-METHOD-TIME if not given.
        resume: directory of a run to go on with. It keeps its configuration; minutes, steps, device,
            collectors and evaluate may be given anew.
        device: auto (a GPU where torch sees one), cpu or cuda.
        collectors: processes that simulate.
        evaluate: held-out episodes to try the policy on at the end.
        json: print the result as JSON.
    """

    method: str = "sac"
    data: tuple[str, ...] = ()
    from_state: bool = False
    minutes: float = 60.0
    steps: int = 0
    synchronous: bool = False
    seed: int = 0
    run: Path | None = None
    resume: Path | None = None
    device: str = "auto"
    collectors: int = 1
    evaluate: int = 0
    json: bool = False


def is_online(words: list[str]) -> bool:
    """Whether the words after `robolearn train` ask for a method that learns by trial and error.

    Raises:
        InputError: a run to resume that is none.
    """
    asked = _scan(words)
    if asked.resume is not None:
        return kind_of(asked.resume) == OnlineTrainConfig.KIND
    return asked.method in METHODS


def run_train_online(words: list[str]) -> int:
    """Train by trial and error as the words after `robolearn train` ask for; returns the exit status."""
    started = process_start()
    config, options = read_words(words)
    name = f"{short(config.task)}-{config.method}"
    return run_and_show(train_online, config, options, words, name, started)


def read_words(words: list[str]) -> tuple[OnlineTrainConfig, OnlineOptions]:
    """What the words after `robolearn train` ask for.

    Raises:
        InputError: no task or an unknown one, or a resumed run that is to be another.
        SystemExit: words that do not fit, having printed why; after --help.
    """
    scan = _scan(words)
    task, method, saved = begun(words, scan, OnlineTrainConfig)
    kind = task_class(task).config_type
    own_kind: Any = METHODS[method].config_type
    beginning: Any = saved or _beginning(task, scan)
    shown = {name: getattr(beginning, name) for name in names_of(OnlineOptions) if hasattr(beginning, name)}
    defaults = {
        "run": as_options(OnlineOptions(**shown | {"method": method})),
        "task": as_options(kind(**read_changes(task, beginning.changes)), HIDDEN),
        "online": as_options(beginning.online),
        "own": as_options(own_kind() if saved is None else saved.own),
        "collect": as_options(beginning.collect),
        "network": as_options(beginning.network),
    }
    about = f"Train a policy for {task} by trial and error, by {method}."
    asked = asked_for(task, words, defaults, {"run": "", "task": "", "own": method}, about)
    options = OnlineOptions(**values_of(asked.run))
    config = OnlineTrainConfig(
        task,
        {f.name: getattr(asked.task, f.name) for f in fields(kind)},
        method,
        tuple(options.data),
        type(beginning.online)(**values_of(asked.online)),
        own_kind(**values_of(asked.own)),
        CollectConfig(**values_of(asked.collect)),
        VisuomotorConfig(**values_of(asked.network)),
        options.minutes,
        options.steps,
        options.synchronous,
        options.seed,
        options.device,
        options.collectors,
        options.evaluate,
    )
    return config, options


def _beginning(task: str, scan: argparse.Namespace) -> SimpleNamespace:
    """What is trained unless the other options say otherwise."""
    changes: dict[str, Any] = {}
    online, collect = METHODS[scan.method].beginning, CollectConfig()
    if scan.from_state:
        observe = task_class(task).config_type().observe
        changes = {"observe": (*(item for item in observe if item in CHANNELS), STATE)}
    else:
        online = replace(online, batch=PICTURES)
        collect = replace(collect, capacity=KEPT_PICTURES)
    return SimpleNamespace(changes=changes, network=VisuomotorConfig(), online=online, collect=collect)


def _scan(words: list[str]) -> argparse.Namespace:
    """The options that decide which others there are."""
    return scanned(words, "--from-state")
