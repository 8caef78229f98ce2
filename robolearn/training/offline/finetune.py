"""From logs to a better policy with a little fresh experience (RLPD: Ball et al., ICML 2023).

A bundle's policy acts in rounds of some episodes, and learns in between from batches that are half of the
logs and half of what has just happened. Every episode counts, since an arm's hours are the cost.

Unlearning is guarded against in two places. A policy that does clearly worse than the best one so far is
given up, and learning goes on from the best. At the end the best one has to hold its own against the one that
it all began with (`robolearn.training.offline.guard`), or that one is kept.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robolearn.data.episode import Episode
from robolearn.data.store.sampling import Mixture
from robolearn.data.store.store import Store
from robolearn.envs.config import CHANNELS
from robolearn.files import replacing
from robolearn.improving.gate_suite import Case
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.policies.offline.batch import Source, draw
from robolearn.training.checkpoint import copied
from robolearn.training.evaluation import open_pool
from robolearn.training.interrupts import Interrupts
from robolearn.training.offline.config import OfflineTrainConfig
from robolearn.training.offline.finetune_config import FinetuneConfig
from robolearn.training.offline.guard import better, figures_of, read_regressions, regressed
from robolearn.training.offline.problem import Data, gather, learner_of, pose_offline, transitions
from robolearn.training.offline.train import fast_products
from robolearn.training.offline.versions import Course, Version
from robolearn.training.pool import Pool, map_episodes
from robolearn.training.problem import Problem, device_of
from robolearn.training.progress import Display, say
from robolearn.training.records import Recorder
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.run import Run
from robolearn.training.scribe import Scribe
from robolearn.training.seeds import FIRST_TRAINING_SEED
from robolearn.training.tally import Clock
from robolearn.training.train import Result, conclude

FRESH = FIRST_TRAINING_SEED // 4  # seeds after a training's first: far from those that data begin with
ORIGIN = "fine-tuning"


def finetune(
    config: FinetuneConfig,
    path: Path,
    *,
    resume: bool = False,
    command: str = "",
    started: float | None = None,
) -> Result:
    """Fine-tune a bundle's policy, and leave a run's directory; its `fresh` is a store of what happened.

    torch computes with one thread from here on.

    The same configuration, bundle and data give the same policy to the bit, interrupted or not.

    Args:
        config: what to do.
        path: of the run's directory: a new one, or that of a run when resuming.
        resume: go on after the last round that was completed.
        command: what a person typed, for the card and the report; the first one stays when resuming.
        started: when the clock began, as `time.monotonic` counts; now if None.

    Raises:
        InputError: something in the configuration, the bundle, the data or the directory cannot be used.
        FloatingPointError: learning has diverged; the run goes on after the last round when it is resumed.
        NotKept: the policy could be written nowhere.
        KeyboardInterrupt: at the second Ctrl-C.
    """
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    bundle, device = load_bundle(config.bundle), device_of(config.device)
    asked = OfflineTrainConfig(
        bundle.task,
        {**bundle.changes, **config.changes},
        config.method,
        config.data,
        config.offline,
        config.own,
        bundle.network.config,
        config.bundle,
        config.total,
        config.seed,
    )
    cases = read_regressions(config.suite, bundle.task)
    problem = pose_offline(asked)
    data = gather(asked, problem)
    learner = learner_of(asked, problem, data, device)
    with (Run.reopen if resume else Run.create)(path, config, command) as run, Interrupts() as interrupts:
        state = run.load_checkpoint() if resume else None
        used = max(run.last_seconds(), state["seconds"] if state else 0.0)
        clock = Clock(math.inf, time.monotonic() if started is None else started, used)
        course = Course(learner, np.random.default_rng(config.seed), clock)
        course.versions.append(Version(0, copied(bundle.network.state_dict())))
        if state is not None:
            course.restore(state)
        with closing(open_pool(config.collectors)) as pool, Store.open_or_create(path / "fresh") as fresh:
            stage = Stage(config, asked, problem, data, bundle, run, pool, fresh, cases)
            practise(stage, interrupts, course)
            if not interrupts.asked:
                duel(stage, course)
        return finish(stage, interrupts, course)


@dataclass
class Stage:
    """Where policies act, and what is learned from.

    Attributes:
        config, asked: what to do, and the training that it amounts to.
        problem: the task as the policy sees it; its network is the learner's.
        data: the logs.
        bundle: that it began with; its network takes the weights of whoever is to act.
        run: where everything lies.
        pool: runs episodes.
        fresh: the store of what happens.
        cases: of the regression suite.
    """

    config: FinetuneConfig
    asked: OfflineTrainConfig
    problem: Problem
    data: Data
    bundle: Bundle
    run: Run
    pool: Pool
    fresh: Store
    cases: list[Case]

    def save(self, path: Path, version: Version, card: Any = None) -> None:
        """Write a version as a bundle."""
        self.bundle.network.load_state_dict(version.weights)
        self.problem.save(path, self.bundle.network, card)

    def place(self, version: Version) -> Path:
        """A version as a bundle, made unless it is there."""
        place = self.run.snapshots / f"{version.number:04d}"
        if not place.exists():
            self.save(place, version)
        return place

    def play(self, version: Version, seeds: Sequence[int], exploration: float) -> Iterator[Episode]:
        """Episodes in which a version acts, in the order of their seeds; each is kept."""
        place = self.place(version)
        identity = load_bundle(place).weights_hash
        changes = {**self.problem.changes, "observe": self.observed()}
        specs = [
            EpisodeSpec(self.problem.task, changes, seed, str(place.resolve()), exploration=exploration)
            for seed in seeds
        ]
        for episode in map_episodes(self.pool, specs, 2 * self.config.collectors):
            self.fresh.add(episode, origin=ORIGIN, policy=identity)
            yield episode

    def observed(self) -> tuple[str, ...]:
        """All that the logs hold, so that one batch can be drawn from both."""
        with Store.open(self.config.data[0]) as store:
            names = [name.partition("/")[2] for name in store.columns() if name.startswith("observations/")]
        known = (*(camera.name for camera in self.bundle.contract.cameras), *CHANNELS)
        return tuple(name for name in names if name in known)

    def source(self) -> Source:
        """Half of the logs, half of what has happened here."""
        new = transitions(self.asked, self.problem.network, self.fresh, self.fresh.episodes())
        share = 0.5 / len(self.data.source.sources)
        return Mixture([*((part, share) for part in self.data.source.sources), (new, 0.5)])


def practise(stage: Stage, interrupts: Interrupts, course: Course) -> None:
    """Act and learn in turns until the rounds are over or Ctrl-C comes."""
    config, learner = stage.config, course.learner
    with Display(config.episodes, lambda count: f"{count:.0f}") as display:
        scribe = Scribe(display.say)
        recorder = Recorder(stage.run, scribe, learner.steps)

        def act(version: Version) -> None:
            """A round of episodes; it counts as a whole or not at all."""
            first = FIRST_TRAINING_SEED * (config.seed + 1) + FRESH + config.round * version.number
            outcomes: list[bool] = []
            for episode in stage.play(version, range(first, first + config.round), config.exploration):
                outcomes.append(episode.outcome.success)
                display.update("acting", course.episodes + len(outcomes), told(course))
                if interrupts.asked:
                    return
            version.episodes, version.successes = len(outcomes), sum(outcomes)
            course.episodes += len(outcomes)
            display.say(f"{course.episodes}/{config.episodes} episodes: {version}")

        def study(source: Source, steps: int, *, policy: bool) -> None:
            """Gradient steps, of the critics alone where the policy rests."""
            with fast_products():
                for _ in range(steps):
                    if interrupts.asked:
                        return
                    learner.schedule(learner.steps / config.total)
                    if not policy:
                        learner.rest()
                    batch = draw(source, config.offline.batch, course.rng, learner.device)
                    recorder.add(learner.update(batch))
                    display.update("learning", course.episodes, told(course))

        try:
            while True:
                # the latest policy acts; one that has unlearned is given up
                version = course.versions[-1]
                if not version.episodes:
                    act(version)
                if not version.episodes or len(course.versions) == config.rounds:
                    break
                if version.clearly_worse(best := course.best):
                    display.say(f"that is clearly worse than {best}: learning goes on from there")
                    learner.become(best.weights)
                    version.given_up = True

                # learn from the logs and from what has happened; first of all what actions are worth
                if version.number == 0:
                    study(stage.data.source, config.warm, policy=False)
                study(stage.source(), config.steps, policy=True)
                if interrupts.asked:
                    break
                course.versions.append(Version(version.number + 1, copied(learner.policy().state_dict())))
                recorder.write(learner.steps, metrics(course))
                stage.run.save_later(scribe, course.checkpoint())
            if interrupts.asked:
                display.say(
                    "interrupted: keeping the bundle's policy; --resume goes on (Ctrl-C again stops at once)"
                )
            else:
                recorder.write(learner.steps, metrics(course))
                stage.run.save_later(scribe, course.checkpoint())
        finally:
            recorder.finish()
            scribe.finish()


def duel(stage: Stage, course: Course) -> None:
    """Hold the best policy against the first on new scenes, and to the regression suite."""
    config, first, best = stage.config, course.versions[0], course.best
    course.kept = first
    if best is first:
        course.verdict = f"none did better than {first}: it is kept"
        say(course.verdict)
        return
    begin = FIRST_TRAINING_SEED * (config.seed + 1) + FRESH + config.round * config.rounds
    seeds = range(begin, begin + config.duel)
    old, new = ([e.outcome.success for e in stage.play(each, seeds, 0.0)] for each in (first, best))
    course.episodes += 2 * config.duel
    found = better(new, old, config.margin)
    suite = None
    if found.verdict == "passed" and stage.cases:
        say(f"regression suite: {len(stage.cases)} cases")
        suite = regressed(stage.place(best), stage.cases, config.suite_margin, config.collectors)
    course.contest = {"policy": best.number, "duel": figures_of(found), "suite": figures_of(suite)}
    course.verdict = (
        f"on the same {config.duel} new scenes {best} succeeded {sum(new)} times and the bundle's policy "
        f"{sum(old)} times: at 95 % it is better by at least {found.figures['interval'][0]:+.3f}, "
        f"{-config.margin:+.3f} is allowed"
    )
    if suite is not None:
        course.verdict += f"; regression suite {suite.verdict}: {suite.reason}"
    if found.verdict == "passed" and (suite is None or suite.verdict == "passed"):
        course.kept = best
    course.verdict += f": the {'new' if course.kept is best else 'old'} one is kept"
    say(course.verdict)


def finish(stage: Stage, interrupts: Interrupts, course: Course) -> Result:
    """Keep the policy that the duel has left as a bundle with what is known about it."""
    config, kept = stage.config, course.kept or course.versions[0]
    course.verdict = course.verdict or f"{kept}: without a duel there is no reason to change"
    write_course(stage, course)
    training = {
        "method": f"{config.method}, fine-tuned",
        "start": f"{config.bundle} ({stage.bundle.weights_hash[:16]})",
        "data": stage.data.facts,
        "episodes": course.episodes,
        "gradient steps": course.learner.steps,
        "kept": course.verdict,
        "minutes": round(course.clock.seconds / 60, 2),
        "seed": config.seed,
        "device": str(course.learner.device),
        "interrupted": "yes" if interrupts.asked else "no",
    }
    return conclude(
        stage.run,
        interrupts,
        lambda path, card: stage.save(path, kept, card),
        training,
        0 if interrupts.asked else config.evaluate,
        finished=not interrupts.asked,
    )


def write_course(stage: Stage, course: Course) -> None:
    """Write how it went for the report, beside everything else."""
    from robolearn.training.report import FINETUNING  # not before: it takes its time

    config = stage.config
    told = {"budget": config.episodes, "round": config.round, **course.summary()}
    try:
        with replacing(stage.run.path / FINETUNING) as temporary:
            temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        say(f"{FINETUNING} cannot be written ({error.strerror or error}): the report does without")


def metrics(course: Course) -> dict[str, Any]:
    """How it stands: a line of metrics.jsonl but for the losses."""
    acted = course.acted
    return {
        "seconds": round(course.clock.seconds, 2),
        "steps": course.learner.steps,
        "episodes": course.episodes,
        "success": acted.successes / acted.episodes if acted else None,
        "learning_rate": course.learner.actor_optimiser.param_groups[0]["lr"],
    }


def told(course: Course) -> str:
    """The same in a line, for people."""
    return f"steps {course.learner.steps}" + (f"  latest: {course.acted}" if course.acted else "")
