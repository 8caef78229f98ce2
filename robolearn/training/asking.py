"""What the ways of `robolearn train` share: words that become a configuration, a run, and an exit status."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from robolearn.envs.tasks import TASKS
from robolearn.errors import InputError
from robolearn.terminal import parse
from robolearn.training.run import read_config
from robolearn.training.train import NotKept, Result


def scanned(words: list[str], *flags: str, **others: Any) -> argparse.Namespace:
    """The options that decide which others there are: --resume, --method and more.

    Args:
        words: after `robolearn train`.
        flags: further options without a value.
        others: further options with one, and their defaults.
    """
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scan.add_argument("--resume", type=Path)
    scan.add_argument("--method", default="guided")
    for flag in flags:
        scan.add_argument(flag, action="store_true")
    for name, default in others.items():
        scan.add_argument(f"--{name}", default=default)
    return scan.parse_known_args(words)[0]


def begun(words: list[str], scan: argparse.Namespace, kind: Any) -> tuple[str, str, Any]:
    """Which task is to be trained by which method, and the configuration of the run that is gone on with.

    Args:
        words: after `robolearn train`.
        scan: of them.
        kind: of the run's configuration.

    Returns:
        task, method, and the saved configuration, None for a new run.

    Raises:
        InputError: no task, or a resumed run that is to be another.
    """
    given = "" if words[0].startswith("-") else words[0]
    saved = read_config(scan.resume, kind) if scan.resume is not None else None
    task, method = (saved.task, saved.method) if saved is not None else (given, scan.method)
    if given not in ("", task):
        raise InputError(f"the run {scan.resume} trains {task}, not {given}")
    if not task:
        raise InputError(f"what is to be trained? choose one of {', '.join(TASKS)}, before the options")
    return task, method, saved


def asked_for(
    task: str, words: list[str], defaults: Mapping[str, Any], prefixes: Mapping[str, str], about: str
) -> Any:
    """The options that words give, in groups as `defaults` has them.

    Args:
        task: that is trained.
        words: after `robolearn train`.
        defaults: the groups, dataclasses by name; `run` has run and resume.
        prefixes: what the options of a group begin with, where it is not the group's name.
        about: for --help.

    Raises:
        InputError: a new directory for a run that is gone on with.
        SystemExit: words that do not fit, having printed why; after --help.
    """
    groups = {
        name: Annotated[type(entry), tyro.conf.arg(name=prefixes.get(name, name))]
        for name, entry in defaults.items()
    }
    words = words[1:] if words[0] == task else words
    every = make_dataclass("Every", groups.items())
    asked: Any = parse(f"train {task}", every, words, default=every(**defaults), description=about)
    run, resume = asked.run.run, asked.run.resume
    if resume is not None and run is not None:
        raise InputError(f"--run {run} makes a new run, --resume {resume} goes on: choose one")
    return asked


def run_and_show(
    train: Callable[..., Result], config: Any, options: Any, words: list[str], name: str, started: float
) -> int:
    """Train, and show what came out; returns the exit status.

    Args:
        train: as `robolearn.training.train.train`.
        config: for it.
        options: where, and how to show it: run, resume and json.
        words: after `robolearn train`.
        name: of a new run's directory, before the time.
        started: when the clock began.
    """
    from robolearn.training.train_command import show_result

    new = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path = options.resume or options.run or new
    command = shlex.join(["robolearn", "train", *words])
    try:
        result = train(config, path, resume=options.resume is not None, command=command, started=started)
    except (NotKept, FloatingPointError) as error:
        print(f"robolearn: {error}", file=sys.stderr)
        return 1
    show_result(result, path, options.json)
    return 130 if result.interrupted else 0 if result.report else 1


def short(task: str) -> str:
    """A task's name without where its class stands, for names of files."""
    return task.rpartition(":")[2].lower()


def names_of(kind: type) -> tuple[str, ...]:
    """Names of a dataclass's fields."""
    return tuple(f.name for f in fields(kind))


def values_of(options: Any) -> dict[str, Any]:
    """Values of a dataclass's fields by name."""
    return {name: getattr(options, name) for name in names_of(type(options))}
