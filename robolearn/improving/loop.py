"""The improvement loop: deploy, log, import, learn, gate, promote, and again; whatever kills it, it goes on.

    DIR/loop.json           where it stands (`robolearn.improving.course`)
    DIR/report.html         the same for people (`robolearn.improving.page`)
    DIR/registry/           policies, records of gates, and what is promoted
    DIR/station.yaml        the station, whose monitor lets nothing but promoted policies act autonomously
    DIR/prior/              store of episodes of the training simulator
    DIR/store/              store of all that was logged
    DIR/iterations/000/     logs/ and evaluation/ of the iteration, and learning/, a training run's directory

The learner gets what a log holds: pictures, readings, torques and how an episode ended. The reality that the
arm is taken from is known to the arm alone.
"""

from __future__ import annotations

import getpass
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from robolearn.data.importing.add import LEFT, import_logs
from robolearn.data.importing.plan import Options, plan_log
from robolearn.data.importing.read import Report
from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.hardware.bringup.sessions import Session
from robolearn.hardware.realities import Reality, load_reality
from robolearn.hardware.station import Station, load_station, save_station
from robolearn.improving.candidate import generate_prior, learn_candidate
from robolearn.improving.course import Course, LoopConfig
from robolearn.improving.deploying import deploy, sessions_of
from robolearn.improving.gate import run_gate
from robolearn.improving.gate_page import write_page as write_gate_page
from robolearn.improving.gate_record import GateRecord
from robolearn.improving.gate_suite import read_suite, standards, suite_hash
from robolearn.improving.manner import Manner
from robolearn.improving.page import write_page
from robolearn.improving.registry import Registry, short
from robolearn.improving.runs import Run, summary_of
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.training.seeds import FIRST_SEED, FIRST_TRAINING_SEED, evaluation_seeds

MOST_LOOPS = 1000
"""Seeds of a loop's own: 1 000 000 for each, above those of trainings."""

MOST_ITERATIONS = 1000
"""Seeds of a loop's trainings: so many for each loop."""

Facts = dict[str, Any]


def improve(course: Course, start: Bundle, manner: Manner) -> None:
    """Go through all phases that are left.

    Args:
        course: where the loop stands.
        start: the policy that it begins with.
        manner: how it is run.

    Raises:
        InputError: the policy does not fit the station, or nothing can be learned from what was logged.
        RuntimeError: the monitor does not let the arm begin.
        FloatingPointError: learning has diverged.
        OSError: a file cannot be written.
    """
    torch.set_num_threads(1)  # another number adds up in another order
    loop = _Loop(course, start, manner)
    while (step := course.next) is not None:
        number, phase = step
        if number < course.iterations:
            manner.say(f"iteration {number + 1} of {course.iterations}: {phase}")
        else:
            manner.say("at the end: evaluate")
        begun = time.monotonic()
        facts = loop.phases[phase](number)
        course.note(number, phase, {**facts, "seconds": round(time.monotonic() - begun, 1)})
        write_page(course.folder)


class _Loop:
    """A loop at work. Each phase may be gone through again after a kill, with the same result."""

    def __init__(self, course: Course, start: Bundle, manner: Manner) -> None:
        self.course, self.config, self.manner = course, course.config, manner
        folder = course.folder
        assert start.path is not None
        self.suite = _suite(self.config)
        self.gate_config = replace(self.config.gate, station=self.config.station)
        self.registry = Registry.create(folder / "registry", self.gate_config, self.config.suite_sha256)
        self.registry.add(start.path)
        if not self.registry.history:
            who, why = getpass.getuser(), "the policy that the loop began with"
            self.registry.promote(start.weights_hash, override=who, reason=why)
        self.station = _station(self.config.station, folder)
        self.reality = _reality(self.config, self.station)
        self.phases: dict[str, Callable[[int], Facts]] = {
            "evaluate": self.evaluate,
            "deploy": self.deploy,
            "import": self.take_in,
            "learn": self.learn,
            "gate": self.gate,
            "promote": self.promote,
        }

    # --- places -------------------------------------------------------------------------------------------

    def _place(self, number: int) -> Path:
        return self.course.folder / "iterations" / f"{number:03d}"

    def _logs(self, number: int) -> list[Path]:
        """Logs of an iteration, in the order of their sessions."""
        return sorted(path for path in (self._place(number) / "logs").glob("*") if path.is_dir())

    @property
    def _store(self) -> Path:
        return self.course.folder / "store"

    @property
    def _prior(self) -> Path | None:
        if self.config.prior_store:
            return Path(self.config.prior_store)
        return self.course.folder / "prior" if self.config.prior else None

    def _promoted(self) -> str | None:
        return self.registry.incumbent(self.config.task, self.config.arm)

    def _incumbent(self) -> Bundle:
        name = self._promoted()
        if name is None:
            raise InputError(
                f"nothing is promoted in {self.registry.path} any more: promote a policy, then go on"
            )
        return self.registry.load(name)

    # --- deploying ----------------------------------------------------------------------------------------

    def evaluate(self, number: int) -> Facts:
        """The promoted policy on held-out episodes; one that was evaluated before is not again."""
        policy = self._incumbent()
        for record in self.course.records:
            known = record.get("evaluate")
            if known is not None and known["policy"] == policy.weights_hash:
                return {**known, "again": True}
        seeds = tuple(evaluation_seeds(FIRST_SEED, self.config.evaluate))
        sessions = self._sessions(policy, seeds, self._place(number) / "evaluation", "evaluation", 0.0)
        runs = self._run(sessions, "evaluate", keep=False)
        table = [{"seed": run.seed, "success": run.success} for run in runs]
        return {"policy": policy.weights_hash, **summary_of(runs), "table": table}

    def deploy(self, number: int) -> Facts:
        """The promoted policy, pushed a little, and log."""
        policy, count = self._incumbent(), self.config.episodes
        first = self._first_seed + number * count
        seeds, place = tuple(range(first, first + count)), self._place(number) / "logs"
        sessions = self._sessions(policy, seeds, place, f"{number:03d}", self.config.exploration)
        runs = self._run(sessions, "deploy", keep=True)
        return {"policy": policy.weights_hash, "first_seed": first, **summary_of(runs)}

    @property
    def _first_seed(self) -> int:
        """Of the episodes that are learned from: above those that are held out and those of trainings."""
        return FIRST_TRAINING_SEED * (MOST_LOOPS + self.config.seed)

    def _sessions(
        self, policy: Bundle, seeds: tuple[int, ...], folder: Path, stem: str, exploration: float
    ) -> list[Session]:
        whole = Session(
            policy=str(policy.path),
            station=self.station,
            seeds=seeds,
            directory=folder,
            reality=self.reality,
            exploration=exploration,
        )
        return sessions_of(whole, stem)

    def _run(self, sessions: list[Session], phase: str, keep: bool) -> list[Run]:
        runs: list[Run] = []
        with self.manner.showing(phase, sum(len(session.seeds) for session in sessions)) as show:

            def tell(fresh: list[Run]) -> None:
                runs.extend(fresh)
                show(len(runs), f"success {sum(run.success for run in runs) / len(runs):.3f}")

            workers, ros = self.manner.workers, self.config.ros
            done = deploy(sessions, workers=workers, ros=ros, keep=keep, tell=tell)
        self._say_summary(phase, done)
        return done

    def _say_summary(self, phase: str, runs: list[Run]) -> None:
        found = summary_of(runs)
        low, high = found["interval"]
        self.manner.say(
            f"{phase}: {found['successes']} of {found['episodes']} episodes succeeded, {found['rate']:.3f}, "
            f"95% interval {low:.3f} to {high:.3f}; {found['violations']} torques beyond a limit"
        )

    # --- learning -----------------------------------------------------------------------------------------

    def take_in(self, number: int) -> Facts:
        """The logs into the store."""
        logs, done = self._logs(number), 0
        with self.manner.showing("import", self.config.episodes) as show:

            def tell(state: str, report: Report) -> None:
                nonlocal done
                done += 1
                show(done, "")

            found = import_logs(
                logs, self._store, lambda log: plan_log(log, Options()), self.manner.workers, tell
            )
        left = Counter(report.refused for state, report in found.reports if state == LEFT)
        left.update(f"{name}: {why}" for name, why in found.refused.items())
        if not (self._store / "manifest.sqlite").is_file():
            why = "; ".join(f"{words} ({count} times)" for words, count in left.most_common(3))
            raise InputError(f"nothing can be learned from any episode that was logged: {why}")
        with Store.open(self._store) as store:
            rows = store.episodes()
        in_store = {
            "episodes": len(rows),
            "successes": sum(row.success for row in rows),
            "transitions": sum(row.steps for row in rows),
        }
        self.manner.say(f"import: {len(rows)} episodes in the store; {sum(left.values())} left out now")
        return {"left_out": dict(left), "store": in_store}

    def learn(self, number: int) -> Facts:
        """A candidate that goes on from the promoted policy, on the logs and on the training simulator."""
        policy, config, manner = self._incumbent(), self.config, self.manner
        if not manner.keep_logs:  # their episodes are in the store; what they say of each stays
            for log in self._logs(number):
                shutil.rmtree(log)
        if config.prior and not config.prior_store:
            # where these seeds are, no other episodes of a loop are
            first = self._first_seed + FIRST_TRAINING_SEED // 2
            generate_prior(self.course.folder / "prior", policy, config.prior, first, manner)
        stores = [None if config.control else self._store, self._prior]
        return learn_candidate(
            config,
            policy,
            [store for store in stores if store is not None],
            self._place(number) / "learning",
            seed=config.seed * MOST_ITERATIONS + number,
            command=self.course.command,
        )

    # --- promoting ----------------------------------------------------------------------------------------

    def gate(self, number: int) -> Facts:
        """The candidate against the promoted policy; a record of that which is there already counts."""
        candidate, incumbent = load_bundle(self._place(number) / "learning"), self._incumbent()
        assert candidate.path is not None
        candidate = self.registry.load(self.registry.add(candidate.path))  # what nobody alters meanwhile
        known = self.registry.records(candidate.weights_hash).values()
        record = next((each for each in known if each.incumbent == incumbent.weights_hash), None)
        if record is None:
            record = run_gate(
                candidate,
                incumbent,
                self.gate_config,
                data=self._prior if self.config.control else self._store,
                suite=self.suite,
                workers=self.manner.workers,
                say=lambda line: self.manner.say(f"gate: {line}"),
            )
            self.registry.keep(record)
        write_gate_page(record, self.registry.path / "gates" / f"{record.hash}.html")
        return _facts_of(record)

    def promote(self, number: int) -> Facts:
        """The candidate takes the promoted policy's place, if its gate opened."""
        verdict = self.course.records[number]["gate"]
        candidate, before = verdict["candidate"], verdict["against"]
        if verdict["passed"] and self._promoted() != candidate:
            self.registry.promote(candidate)
        said = "promoted" if verdict["passed"] else "not promoted"
        why = "" if verdict["passed"] else f": {_why(verdict)}; {short(before)} stays"
        self.manner.say(f"promote: {short(candidate)} is {said}{why}")
        return {"promoted": verdict["passed"], "policy": candidate if verdict["passed"] else before}


def _why(verdict: Facts) -> str:
    shut = [check for check in verdict["checks"] if check["shuts"]]
    return "; ".join(f"{check['name']} {check['verdict']}" for check in shut)


def _facts_of(record: GateRecord) -> Facts:
    shown = ("name", "verdict", "required", "reason", "shuts")
    rows = [{key: getattr(check, key) for key in shown} for check in record.checks]
    return {
        "candidate": record.bundle,
        "against": record.incumbent,
        "record": record.hash,
        "passed": record.passed,
        "checks": rows,
    }


def _station(name: str, folder: Path) -> Station:
    """The station, whose monitor asks the loop's registry; written anew, since the folder may have moved."""
    station = load_station(name)
    if not station.simulated:
        raise InputError(f"station {name!r} is no simulated one: the loop deploys at the simulated arm")
    monitor = replace(station.monitor, registry=str((folder / "registry").resolve()))
    save_station(replace(station, monitor=monitor), folder / "station.yaml")
    return load_station(folder / "station.yaml")


def _suite(config: LoopConfig) -> Path | None:
    """The file of the regression suite, if there is one."""
    if config.suite is None:
        return None
    cases = read_suite(Path(config.suite))
    standards(cases, config.task)
    if (found := suite_hash(cases)) != config.suite_sha256:
        raise InputError(
            f"the regression suite {config.suite}, or a policy that it names, has changed: its hash is "
            f"{found}, and the loop was begun with {config.suite_sha256}"
        )
    return Path(config.suite)


def _reality(config: LoopConfig, station: Station) -> Reality | None:
    if not config.reality:
        return None
    reality = load_reality(config.reality, station.arm)
    if reality.sha256 != config.reality_sha256:
        raise InputError(
            f"reality {config.reality!r} has SHA-256 {reality.sha256}; the loop was begun with "
            f"{config.reality_sha256}"
        )
    return reality
