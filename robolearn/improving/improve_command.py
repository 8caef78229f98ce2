"""What `robolearn improve` does, and what it prints."""

from __future__ import annotations

import argparse
import importlib.util
import json as json_format
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from robolearn.errors import InputError, choose
from robolearn.hardware.realities import load_reality
from robolearn.hardware.station import load_station
from robolearn.improving.course import Course, LoopConfig
from robolearn.improving.gate_config import GateConfig
from robolearn.improving.gate_suite import read_suite, suite_hash
from robolearn.improving.loop import improve
from robolearn.improving.manner import Manner, Tell
from robolearn.improving.page import CONTROL, PAGE, summary
from robolearn.improving.registry import short
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.methods import METHODS
from robolearn.terminal import parse
from robolearn.training.describe import as_options
from robolearn.training.offline.command import PICTURES
from robolearn.training.pool import default_workers
from robolearn.training.progress import Display, say

ABOUT = """\
Improve a policy by what happens when it is deployed: deploy, log, import, learn offline, gate, promote, and
again. The same command goes on after Ctrl-C, a kill or a power cut."""


@dataclass(frozen=True)
class ImproveOptions:
    """What is improved, on what, and for how long.

    Attributes:
        policy: the policy to begin with: a bundle's or a training run's directory, or a shipped name.
        to: the loop's folder; made if it is not there.
        reality: what the simulated arm is: near, middle, far or a file; the training simulator if not given.
        iterations: how often to learn; more may be asked for later.
        episodes: deployed, logged and learned from in each.
        evaluate: held-out episodes on which each promoted policy is tried; 0: none.
        exploration: how much the policy is pushed off its path while it is deployed, 1 being a lot.
        prior: episodes of the training simulator's teacher that are learned from, too.
        prior_store: a store of such episodes in their place.
        station: a simulated one.
        suite: YAML file of a regression suite that every candidate has to pass, too.
        method: of offline learning; docs/offline-rl.md says how to choose.
        steps: gradient steps in an iteration.
        seed: of everything random.
        control: run the control beside the loop instead: the same learning without the logs.
        ros: deploy over ROS, in real time.
        workers: processes that simulate; one a core if not given. The result does not depend on it.
        discard_logs: delete logs once their episodes are in the store.
        json: print the result as JSON.
    """

    policy: str = ""
    to: Path | None = None
    reality: str = ""
    iterations: int = 5
    episodes: int = 100
    evaluate: int = 100
    exploration: float = 0.1
    prior: int = 200
    prior_store: Path | None = None
    station: str = "sim"
    suite: Path | None = None
    method: str = "iql"
    steps: int = 5000
    seed: int = 0
    control: bool = False
    ros: bool = False
    workers: int | None = None
    discard_logs: bool = False
    json: bool = False


def run_improve(words: list[str]) -> int:
    """Improve a policy as the words after `robolearn improve` ask for; returns the exit status."""
    options, offline, own, gate = read_words(words)
    if not options.policy or options.to is None:
        raise InputError("say what is to be improved and where: --policy BUNDLE --to DIR")
    if options.workers is not None and options.workers < 1:
        raise InputError(f"workers is {options.workers}; there must be at least 1")
    if options.ros and importlib.util.find_spec("rclpy") is None:
        raise InputError("rclpy is missing, which --ros needs (docs/deployment.md)")
    start = load_bundle(options.policy)
    config = config_of(options, start, offline, own, gate)
    folder = options.to / CONTROL if options.control else options.to
    command = shlex.join(["robolearn", "improve", *words])
    try:
        with Course(folder, config, options.iterations, command) as course:
            improve(course, start, _manner(options))
    except KeyboardInterrupt:
        print(f"robolearn: interrupted; the same command goes on in {folder}", file=sys.stderr)
        return 130
    except (FloatingPointError, RuntimeError) as error:
        print(f"robolearn: {error}", file=sys.stderr)
        return 1
    _show(folder, options.json)
    return 0


def read_words(words: list[str]) -> tuple[ImproveOptions, OfflineConfig, Any, GateConfig]:
    """What the words after `robolearn improve` ask for; the third is the method's own settings.

    Raises:
        InputError: an unknown method, or a value that cannot be.
        SystemExit: words that do not fit, having printed why; after --help.
    """
    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scan.add_argument("--method", default=ImproveOptions().method)
    method = choose("method", scan.parse_known_args(words)[0].method, METHODS)
    kind = METHODS[method].config_type
    defaults = {
        "improve": as_options(ImproveOptions(method=method)),
        "offline": as_options(OfflineConfig(batch=PICTURES)),
        "own": as_options(kind()),
        "gate": as_options(GateConfig(), ("station",)),
    }
    prefixes = {"improve": "", "offline": "offline", "own": method, "gate": "gate"}
    groups = {name: Annotated[type(defaults[name]), tyro.conf.arg(name=prefixes[name])] for name in prefixes}
    every = make_dataclass("Every", groups.items())
    asked: Any = parse("improve", every, words, default=every(**defaults), description=ABOUT)
    return (
        ImproveOptions(**_values(asked.improve)),
        OfflineConfig(**_values(asked.offline)),
        kind(**_values(asked.own)),
        GateConfig(**_values(asked.gate)),
    )


def config_of(
    options: ImproveOptions, start: Bundle, offline: OfflineConfig, own: Any, gate: GateConfig
) -> LoopConfig:
    """What decides what the loop does.

    Raises:
        InputError: no such station, reality or suite, or a value that cannot be.
    """
    reality = load_reality(options.reality, load_station(options.station).arm) if options.reality else None
    store = options.prior_store
    return LoopConfig(
        start=start.weights_hash,
        task=start.task,
        arm=start.contract.arm,
        station=options.station,
        reality=options.reality,
        reality_sha256=reality.sha256 if reality else "",
        episodes=options.episodes,
        evaluate=options.evaluate,
        exploration=options.exploration,
        prior=0 if store else options.prior,
        prior_store=str(store.resolve()) if store else "",
        seed=options.seed,
        control=options.control,
        ros=options.ros,
        method=options.method,
        steps=options.steps,
        offline=offline,
        own=own,
        gate=gate,
        suite=None if options.suite is None else str(options.suite.resolve()),
        suite_sha256=None if options.suite is None else suite_hash(read_suite(options.suite)),
    )


def _manner(options: ImproveOptions) -> Manner:
    """How the loop is run, with its progress on stderr."""
    workers = 1 if options.ros else options.workers or default_workers()
    return Manner(workers, not options.discard_logs, say, _showing)


@contextmanager
def _showing(phase: str, whole: int) -> Iterator[Tell]:
    with Display(whole, lambda count: f"{count:.0f}") as display:
        yield lambda done, facts: display.update(phase, done, facts)


def _show(folder: Path, json: bool) -> None:
    found = summary(folder)
    if json:
        print(json_format.dumps({**found, "page": str(folder / PAGE)}, indent=2))
        return
    for record in found["iterations"]:
        if (success := record["success"]) is not None:
            low, high = success["interval"]
            after = "at the start" if record["number"] == 0 else f"after {record['number']}"
            print(
                f"success  {success['rate']:.3f}, 95% interval {low:.3f} to {high:.3f}, {after}, "
                f"policy {short(success['policy'])}"
            )
    print(f"limits   {found['violations']} of {found['sent']} torques sent lay beyond one")
    print(f"promoted {folder / 'registry'}")
    print(f"page     {folder / PAGE}")


def _values(options: Any) -> dict[str, Any]:
    return {f.name: getattr(options, f.name) for f in fields(options)}
