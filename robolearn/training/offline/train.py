"""A training from logged episodes to a bundle: no simulator has a part in it but to show how it goes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robolearn.errors import InputError
from robolearn.policies.offline.batch import draw
from robolearn.policies.offline.learner import Learner
from robolearn.training.checkpoint import copied
from robolearn.training.interrupts import Interrupts
from robolearn.training.offline.config import OfflineTrainConfig
from robolearn.training.offline.problem import Data, gather, learner_of, pose_offline
from robolearn.training.offline.watching import Watch
from robolearn.training.problem import Problem, device_of
from robolearn.training.progress import Display, say
from robolearn.training.records import Recorder, Snapshots
from robolearn.training.run import Run
from robolearn.training.scribe import Scribe
from robolearn.training.tally import RECENT, Clock, Every, Tally
from robolearn.training.train import Result, choose_best, conclude

TELL, CHECKPOINT = 5.0, 15.0  # how often metrics get a line, and a checkpoint is written [s]


@contextmanager
def fast_products() -> Iterator[None]:
    """In the block torch takes the fastest matrix products that the processor has.

    On AMD's processors these are another library's, of the same float32 numbers, twice as fast; where there
    are units for bfloat16, factors are rounded to that and their products summed in float32.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass
class Course:
    """How far a training has come.

    Attributes:
        learner: whose steps are counted.
        rng: what batches are drawn with.
        clock: wall time used.
        tally: what was tried out.
    """

    learner: Learner
    rng: np.random.Generator
    clock: Clock
    tally: Tally = field(default_factory=Tally)

    def checkpoint(self) -> dict[str, Any]:
        """Everything that `restore` needs, copied."""
        return {
            "seconds": self.clock.seconds,
            "learner": copied(self.learner.state()),
            "tally": self.tally.state(),
            "batches": json.dumps(self.rng.bit_generator.state),
            "torch": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint, to the bit.

        Raises:
            InputError: it is of another network or another version.
        """
        try:
            self.learner.load(state["learner"])
            self.tally.load(state["tally"])
            self.rng.bit_generator.state = json.loads(state["batches"])
            torch.set_rng_state(state["torch"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"the checkpoint is of another robolearn, or damaged: {error}") from error


def train_offline(
    config: OfflineTrainConfig,
    path: Path,
    *,
    resume: bool = False,
    command: str = "",
    started: float | None = None,
) -> Result:
    """Train a policy from logged episodes, and leave a run's directory.

    torch computes with one thread from here on.

    The same configuration and data give the same policy to the bit, whether the run was interrupted and
    resumed or not.

    Args:
        config: what to train.
        path: of the run's directory: a new one, or that of a run when resuming.
        resume: go on from the last checkpoint.
        command: what a person typed, for the card and the report; the first one stays when resuming.
        started: when the clock began, as `time.monotonic` counts; now if None.

    Raises:
        InputError: something in the configuration, the data or the directory cannot be used; nothing has been
            begun.
        FloatingPointError: learning has diverged; the best policy so far is kept before it is raised.
        NotKept: the policy could be written nowhere.
        KeyboardInterrupt: at the second Ctrl-C.
    """
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    device, problem = device_of(config.device), pose_offline(config)
    data = gather(config, problem)
    learner = learner_of(config, problem, data, device)
    with (Run.reopen if resume else Run.create)(path, config, command) as run, Interrupts() as interrupts:
        state = run.load_checkpoint() if resume else None
        used = max(run.last_seconds(), state["seconds"] if state else 0.0)
        clock = Clock(math.inf, time.monotonic() if started is None else started, used)
        course = Course(learner, np.random.default_rng(config.seed), clock)
        if state is not None:
            course.restore(state)
        if learner.steps >= config.steps and (run.bundle / "bundle.json").is_file():
            raise InputError(f"{path} has taken its {config.steps} steps; --steps gives it more")
        try:
            learn(config, problem, data, run, interrupts, course)
        except FloatingPointError as error:
            say(f"{error}; keeping the best policy so far")
            finish(config, problem, data, run, interrupts, course, failed=True)
            raise
        return finish(config, problem, data, run, interrupts, course)


def learn(
    config: OfflineTrainConfig,
    problem: Problem,
    data: Data,
    run: Run,
    interrupts: Interrupts,
    course: Course,
) -> None:
    """Take gradient steps until all are taken or Ctrl-C comes."""
    learner, rng, clock, tally = course.learner, course.rng, course.clock, course.tally
    with Display(config.steps, lambda steps: f"{steps:.0f}") as display:
        scribe = Scribe(display.say)
        snapshots = Snapshots(run.snapshots, scribe, problem.save)
        recorder = Recorder(run, scribe, learner.steps)
        tell, save = Every(TELL), Every(CHECKPOINT)
        watch = Watch(problem, config.seed, config.collectors, snapshots, tally, display.say)
        try:
            with watch, fast_products():
                while learner.steps < config.steps and not interrupts.asked:
                    learner.schedule(learner.steps / config.steps)
                    batch = draw(data.source, config.offline.batch, rng, learner.device)
                    recorder.add(learner.update(batch))

                    # try the policy out, write down how it goes, keep a checkpoint
                    watch.look(learner)
                    display.update("steps", learner.steps, told(clock, tally))
                    if tell.due():
                        recorder.write(learner.steps, metrics(clock, learner, tally))
                    if save.due():
                        run.save_later(scribe, course.checkpoint())
                if interrupts.asked:
                    display.say("interrupted: keeping the best policy so far (Ctrl-C again stops at once)")
                recorder.write(learner.steps, metrics(clock, learner, tally))
                run.save_later(scribe, course.checkpoint())
        finally:  # whatever happened, what was begun is written to its end
            recorder.finish()
            scribe.finish()


def finish(
    config: OfflineTrainConfig,
    problem: Problem,
    data: Data,
    run: Run,
    interrupts: Interrupts,
    course: Course,
    failed: bool = False,
) -> Result:
    """Keep the averaged weights: the final ones, or, if the training ended early, those that did best."""
    learner, early = course.learner, interrupts.asked or failed
    policy = learner.policy()
    training = {
        "method": config.method,
        "data": data.facts,
        "start": config.start or "nothing",
        "gradient steps": learner.steps,
        "batch": config.offline.batch,
        "minutes": round(course.clock.seconds / 60, 2),
        "seed": config.seed,
        "device": str(learner.device),
        "interrupted": "yes" if early else "no",
    }
    if early:
        training["kept"] = choose_best(policy, learner.steps, course.tally)
        say(f"kept: {training['kept']}")
    return conclude(
        run,
        interrupts,
        lambda place, card: problem.save(place, policy, card),
        training,
        0 if early else config.evaluate,
        finished=not early,
    )


def metrics(clock: Clock, learner: Learner, tally: Tally) -> dict[str, Any]:
    """How the training stands: a line of metrics.jsonl but for the losses."""
    return {
        "seconds": round(clock.seconds, 2),
        "steps": learner.steps,
        "success": tally.success,
        "learning_rate": learner.actor_optimiser.param_groups[0]["lr"],
    }


def told(clock: Clock, tally: Tally) -> str:
    """The same in a line, for people."""
    success = f"  success {tally.success:.2f} (last {len(tally.own)} of {RECENT})" if tally.own else ""
    return f"{clock.seconds:.0f} s{success}"
