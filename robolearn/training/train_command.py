"""What `robolearn train` does, and what it prints."""

from __future__ import annotations

import argparse
import json as json_format
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from robolearn.envs.tasks import TASKS, task_class
from robolearn.errors import InputError
from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.terminal import parse
from robolearn.training.asking import run_and_show, short
from robolearn.training.describe import as_options, summary_of
from robolearn.training.offline.command import is_offline, run_train_offline
from robolearn.training.online.command import is_online, run_train_online
from robolearn.training.run import ModularTrainConfig, TrainConfig, kind_of, read_config
from robolearn.training.tally import process_start
from robolearn.training.train import Result, train

MINUTES = {"grasp": 4.0, "peg-insertion": 4.0}
"""What a task takes to be learned well on two cores [min]; a task that is not listed is given 20."""

KINDS: dict[str, type[TrainConfig]] = {kind.KIND: kind for kind in (TrainConfig, ModularTrainConfig)}
"""What learns from a teacher's episodes, by the method's name."""

HIDDEN = ("cameras", "reward_scales", "action")
"""Fields of a task's configuration that are too long for words, or that the teacher leaves no choice of."""


@dataclass(frozen=True)
class RunOptions:
    """How long, how often and where.

    Attributes:
        method: guided (by a teacher); modular (the same episodes teach a detector, which a controller stands
            behind); one that learns from logged episodes: bc, td3bc, awac, iql, cql; or one that learns by
            trial and error: sac, rlpd, qtopt. The latter have other options: see
            `robolearn train TASK --method iql --help`.
        minutes: wall time from the start of the process until learning ends, everything included [min].
        seed: of the network, of the episodes and of the batches.
        run: directory to make for the run; runs/TASK-TIME if not given.
        resume: directory of a run to go on with. It keeps its configuration; minutes, device, collectors and
            evaluate may be given anew.
        device: auto (a GPU where torch sees one), cpu or cuda.
        collectors: processes that simulate.
        evaluate: held-out episodes to try the policy on at the end.
        json: print the result as JSON.
    """

    method: str = "guided"
    minutes: float = 20.0
    seed: int = 0
    run: Path | None = None
    resume: Path | None = None
    device: str = "auto"
    collectors: int = 1
    evaluate: int = 0
    json: bool = False


def run_train(words: list[str]) -> int:
    """Train a policy as the words after `robolearn train` ask for; returns the exit status."""
    started = process_start()
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return 0 if words else 2
    if is_online(words):
        return run_train_online(words)
    if is_offline(words):
        return run_train_offline(words)
    config, options = read_words(words)
    return run_and_show(train, config, options, words, short(config.task), started)


def read_words(words: list[str]) -> tuple[TrainConfig, RunOptions]:
    """What the words after `robolearn train` ask for.

    Raises:
        InputError: no task or an unknown one, or a resumed run that is asked to be another.
        SystemExit: words that do not fit, having printed why; after --help.
    """
    task = "" if words[0].startswith("-") else words[0]
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scan.add_argument("--resume", type=Path)
    scan.add_argument("--method", default="")
    given, _ = scan.parse_known_args(words)
    resume, method = given.resume, given.method
    own_kind = KINDS.get(kind_of(resume) if resume is not None else method, TrainConfig)
    saved = read_config(resume, own_kind) if resume is not None else None
    if saved is not None and method not in ("", own_kind.KIND):
        raise InputError(f"the run {resume} is {own_kind.KIND}, not {method}")
    if saved is not None and task not in ("", saved.task):
        raise InputError(f"the run {resume} trains {saved.task}, not {task}")
    task = saved.task if saved is not None else task
    if not task:
        raise InputError(f"what is to be trained? choose one of {', '.join(TASKS)}, before the options")
    kind = task_class(task).config_type
    if saved is None:
        saved = own_kind(task, {}, GuidedConfig(), VisuomotorConfig(), MINUTES.get(task, 20.0))
    own = {name: getattr(saved, name) for name in ("minutes", "seed", "device", "collectors", "evaluate")}
    defaults = {
        "run": as_options(RunOptions(method=own_kind.KIND, **own)),
        "task": as_options(kind(**saved.changes), HIDDEN),
        "learning": as_options(saved.learning),
        "network": as_options(saved.network),
    }
    prefixes = {"run": "", "task": "", "learning": "learning", "network": "network"}
    groups = {name: Annotated[type(defaults[name]), tyro.conf.arg(name=prefixes[name])] for name in prefixes}
    words = words[1:] if words[0] == task else words
    about = f"Train a policy for {task} from camera pixels and joint readings, with a teacher."
    every = make_dataclass("Every", groups.items())
    asked: Any = parse(f"train {task}", every, words, default=every(**defaults), description=about)

    config = own_kind(
        task,
        {f.name: getattr(asked.task, f.name) for f in fields(kind)},
        GuidedConfig(**_values(asked.learning)),
        VisuomotorConfig(**_values(asked.network)),
        asked.run.minutes,
        asked.run.seed,
        asked.run.device,
        asked.run.collectors,
        asked.run.evaluate,
    )
    if resume is not None and asked.run.run is not None:
        raise InputError(f"--run {asked.run.run} makes a new run, --resume {resume} goes on: choose one")
    return config, RunOptions(**_values(asked.run))


def _usage() -> str:
    width = max(map(len, TASKS)) + 2
    tasks = "\n".join(f"  {name:<{width}}{summary_of(name)}" for name in TASKS)
    return f"""\
usage: robolearn train TASK [options]
       robolearn train --resume RUN [options]

Train a policy with a teacher that knows the simulator's state, or, with --method, from logged episodes or by
trial and error; leaves a run's directory with the policy's bundle and a report. Ctrl-C keeps the best policy
so far, and --resume goes on.

tasks:
{tasks}

`robolearn train TASK --help` explains the options."""


def show_result(result: Result, path: Path, json: bool, again: str = "train") -> None:
    """Print what a training has left in a run's directory; `again` is the command that goes on with it."""
    evaluation = result.evaluation.summary if result.evaluation else None
    if json:
        found = {"bundle": result.bundle, "report": result.report, "interrupted": result.interrupted}
        print(json_format.dumps({"run": path, **found, "evaluation": evaluation}, indent=2, default=str))
        return
    if evaluation is not None:
        success = evaluation["success"]
        interval = "95% interval {:.3f} to {:.3f}".format(*success["interval"])
        print(f"success  {success['rate']:.3f}, {interval}, on {evaluation['episodes']} held-out episodes")
    if result.bundle is not None:
        print(f"bundle   {result.bundle}")
    if result.report is not None:
        print(f"report   {result.report}")
    if result.interrupted:
        print(f"go on    robolearn {again} --resume {path}")
    elif evaluation is None and result.bundle is not None:
        print(f"next     robolearn evaluate {path}")


def _values(options: Any) -> dict[str, Any]:
    return {f.name: getattr(options, f.name) for f in fields(options)}
