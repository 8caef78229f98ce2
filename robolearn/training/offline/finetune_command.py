"""What `robolearn finetune` does."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from robolearn.errors import InputError, choose
from robolearn.policies.bundle import load_bundle
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.methods import METHODS
from robolearn.terminal import parse
from robolearn.training.configuration import parse_changes
from robolearn.training.describe import as_options
from robolearn.training.offline.command import PICTURES
from robolearn.training.offline.finetune import finetune
from robolearn.training.offline.finetune_config import FinetuneConfig
from robolearn.training.run import read_config
from robolearn.training.tally import process_start
from robolearn.training.train import NotKept
from robolearn.training.train_command import show_result

USAGE = """\
usage: robolearn finetune BUNDLE --data STORE [options]
       robolearn finetune --resume RUN [options]

Improve a bundle's policy with logs and a few new episodes. It leaves no policy that did worse than the
bundle's on the same new scenes. `robolearn finetune BUNDLE --help` explains the options."""


@dataclass(frozen=True)
class FinetuneOptions:
    """How much, and where.

    Attributes:
        method: td3bc, awac, iql or cql.
        data: stores of logged episodes; half of each batch comes from them.
        episodes: that may be spent, all in all.
        round: episodes after which the policy changes.
        duel: episodes of each of the two policies at the end, out of the same budget.
        margin: by how much the policy may be worse in the duel, at 95 %; one that did worse is never kept.
        suite: YAML file of a regression suite that the policy has to pass, too, in simulation; its episodes
            are not in the budget.
        suite_margin: as margin, in each of its cases.
        warm: gradient steps on the logs alone before the first change, in which only the critics learn.
        steps: gradient steps after each round.
        exploration: torque that the policy adds by itself in its rounds, as a share of what disturbs the arm
            noticeably within a control step.
        seed: of the scenes and of the batches.
        changes: the task's parameters to change against what the bundle was trained under, such as
            randomisation=rich.
        run: directory to make for the run; runs/TASK-finetune-TIME if not given.
        resume: directory of a run to go on with; device, collectors and evaluate may be given anew.
        device: auto (a GPU where torch sees one), cpu or cuda.
        collectors: processes that simulate; with 1 it is this one, for acting and learning take turns.
        evaluate: held-out episodes to try the policy on at the end; not in the budget.
        json: print the result as JSON.
    """

    method: str = "iql"
    data: tuple[str, ...] = ()
    episodes: int = 100
    round: int = 10
    duel: int = 25
    margin: float = 0.1
    suite: str | None = None
    suite_margin: float = 0.1
    warm: int = 2000
    steps: int = 500
    exploration: float = 0.25
    seed: int = 0
    changes: tuple[str, ...] = ()
    run: Path | None = None
    resume: Path | None = None
    device: str = "auto"
    collectors: int = 1
    evaluate: int = 0
    json: bool = False


def run_finetune(words: list[str]) -> int:
    """Fine-tune a policy as the words after `robolearn finetune` ask for; returns the exit status."""
    started = process_start()
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    config, options = read_words(words)
    name = f"{load_bundle(config.bundle).task.rpartition(':')[2].lower()}-finetune"
    path = options.resume or options.run or Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    command = shlex.join(["robolearn", "finetune", *words])
    try:
        result = finetune(config, path, resume=options.resume is not None, command=command, started=started)
    except (NotKept, FloatingPointError) as error:
        print(f"robolearn: {error}", file=sys.stderr)
        return 1
    show_result(result, path, options.json, again="finetune")
    return 130 if result.interrupted else 0 if result.report else 1


def read_words(words: list[str]) -> tuple[FinetuneConfig, FinetuneOptions]:
    """What the words after `robolearn finetune` ask for.

    Raises:
        InputError: no bundle, an unknown method, or a resumed run that is to be another.
        SystemExit: words that do not fit, having printed why; after --help.
    """
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scan.add_argument("--resume", type=Path)
    scan.add_argument("--method", default="iql")
    asked, _ = scan.parse_known_args(words)
    given = "" if words[0].startswith("-") else words[0]
    saved = read_config(asked.resume, FinetuneConfig) if asked.resume is not None else None
    if saved is not None and given not in ("", saved.bundle):
        raise InputError(f"the run {asked.resume} fine-tunes {saved.bundle}, not {given}")
    place = saved.bundle if saved is not None else given
    if not place:
        raise InputError("which policy is to be fine-tuned? give a bundle before the options")
    bundle = load_bundle(place)
    method = saved.method if saved is not None else asked.method
    own_kind = METHODS[choose("method", method, METHODS)].config_type
    batch = OfflineConfig().batch if not bundle.contract.cameras else PICTURES
    shown = [f.name for f in fields(FinetuneOptions) if saved is not None and hasattr(saved, f.name)]
    shown = [name for name in shown if name != "changes"]
    options = FinetuneOptions(**{name: getattr(saved, name) for name in shown} | {"method": method})
    defaults = {
        "run": as_options(options),
        "offline": as_options(replace(OfflineConfig(), batch=batch) if saved is None else saved.offline),
        "own": as_options(own_kind() if saved is None else saved.own),
    }
    prefixes = {"run": "", "offline": "offline", "own": method}
    groups = {name: Annotated[type(defaults[name]), tyro.conf.arg(name=prefixes[name])] for name in prefixes}
    every = make_dataclass("Every", groups.items())
    words = words[1:] if given else words
    about = f"Improve the policy of {place} with logs and a few new episodes."
    found: Any = parse(f"finetune {place}", every, words, default=every(**defaults), description=about)
    options = FinetuneOptions(**_values(found.run))
    if asked.resume is not None and options.run is not None:
        raise InputError(f"--run {options.run} makes a new run, --resume {asked.resume} goes on: choose one")
    changes = parse_changes(bundle.task, options.changes)
    kept = [f.name for f in fields(FinetuneConfig) if hasattr(options, f.name) and f.name != "changes"]
    config = FinetuneConfig(
        bundle=place,
        changes=changes if saved is None else saved.changes,
        offline=OfflineConfig(**_values(found.offline)),
        own=own_kind(**_values(found.own)),
        **{name: getattr(options, name) for name in kept},
    )
    return config, options


def _values(options: Any) -> dict[str, Any]:
    return {f.name: getattr(options, f.name) for f in fields(options)}
