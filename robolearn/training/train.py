"""A training run from nothing to a bundle: collectors simulate in processes of their own, this one learns."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robolearn.data.episode import software_versions
from robolearn.errors import InputError
from robolearn.policies.guided import Learner, Replay, fit_normalisation
from robolearn.policies.visuomotor import Visuomotor
from robolearn.training.checkpoint import checkpoint, restore
from robolearn.training.interrupts import Interrupts
from robolearn.training.plan import AHEAD, FIRST, alone_in, episode_wanted, first_seed
from robolearn.training.pool import LocalPool, default_workers
from robolearn.training.problem import Problem, device_of, pose
from robolearn.training.progress import Display, progress_of, say
from robolearn.training.records import Recorder, Snapshots
from robolearn.training.run import Run, TrainConfig
from robolearn.training.scribe import Scribe
from robolearn.training.shelf import EpisodeShelf
from robolearn.training.tally import RECENT, Clock, Every, Tally

if TYPE_CHECKING:
    from robolearn.training.evaluation import Evaluation

PUBLISH, TELL, CHECKPOINT = 3.0, 5.0, 15.0  # how often collectors get the policy, metrics a line, ... [s]


@dataclass(frozen=True)
class Result:
    """What a training left.

    Attributes:
        bundle: the policy's directory; None if there was nothing to keep.
        interrupted: whether Ctrl-C ended it.
        evaluation: of the policy, if one was asked for and not interrupted.
        report: the page to look at; None if there is none.
    """

    bundle: Path | None
    interrupted: bool
    evaluation: Evaluation | None = None
    report: Path | None = None


def train(
    config: TrainConfig,
    path: Path,
    *,
    resume: bool = False,
    command: str = "",
    started: float | None = None,
) -> Result:
    """Train a policy with a teacher, and leave a run's directory.

    torch computes with one thread from here on: the other cores are the collectors'.

    Args:
        config: what to train.
        path: of the run's directory: a new one, or that of a run when resuming.
        resume: go on from the last checkpoint, with the episodes collected so far and the clock where it was.
        command: what a person typed, for the card and the report; the first one stays when resuming.
        started: when the clock began, as `time.monotonic` counts; now if None.

    Raises:
        InputError: something in the configuration or the directory cannot be used, or this machine cannot
            draw the pictures; nothing has been begun.
        FloatingPointError: learning has diverged; as after any other exception that comes once learning has
            begun, the best policy so far is kept before it is raised.
        NotKept: the policy could be written nowhere.
        KeyboardInterrupt: at the second Ctrl-C.
    """
    started = time.monotonic() if started is None else started
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    device, problem = device_of(config.device), pose(config)
    opened = (Run.reopen if resume else Run.create)(path, config, command)
    with opened as run, Interrupts() as interrupts:
        state = run.load_checkpoint() if resume else None
        used = max(run.last_seconds(), state["seconds"] if state else 0.0)
        course = Course(Clock(60.0 * config.minutes, started, used))
        if course.clock.share >= 1.0 and (run.bundle / "bundle.json").is_file():
            raise InputError(f"{path} has used its {config.minutes:g} minutes; --minutes gives it more")
        try:
            learn(config, problem, device, run, interrupts, course, state, resume)
        except Exception as error:
            if course.learner is not None:
                say(f"learning has failed ({type(error).__name__}): keeping the best policy so far")
                finish(config, problem, run, interrupts, course, failed=True)
            elif isinstance(error, InputError) and not resume:
                run.discard()
            raise
        return finish(config, problem, run, interrupts, course)


@dataclass
class Course:
    """How far a training has come.

    Attributes:
        clock: of the run.
        tally: what has been collected.
        learner: None until learning begins.
    """

    clock: Clock
    tally: Tally = field(default_factory=Tally)
    learner: Learner | None = None

    @property
    def steps(self) -> int:
        """Gradient steps taken."""
        return self.learner.steps if self.learner else 0


def learn(
    config: TrainConfig,
    problem: Problem,
    device: torch.device,
    run: Run,
    interrupts: Interrupts,
    course: Course,
    state: dict[str, Any] | None,
    resume: bool,
) -> None:
    """Collect and learn until the time is over or Ctrl-C comes; `course` tells how far it came.

    Args:
        config: what to train.
        problem: that it poses.
        device: where to compute.
        run: where to write.
        interrupts: ends it in good order.
        course: of the run so far; moved on.
        state: the checkpoint to go on from, if there is one.
        resume: whether the run was begun before.
    """
    learning, rng = config.learning, np.random.default_rng(config.seed)
    replay = Replay(learning.capacity, problem.network.windows)
    clock, tally = course.clock, course.tally

    with Display(60.0 * config.minutes) as display, LocalPool(config.collectors) as pool:
        # while the collectors start: what torch imports only for its first optimiser takes a second, too
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])

        # where a run that was killed had come to
        if state:
            course.learner = restore(state, problem.network, learning, device, rng, tally, problem.objective)
        scribe = Scribe(display.say)
        shelf = EpisodeShelf(run.episodes, learning.capacity, scribe, display.say)
        snapshots = Snapshots(run.snapshots, scribe, problem.save)
        recorder = Recorder(run, scribe, course.steps)
        held = 0  # episodes in the replay
        for episode in shelf.load():
            replay.add(problem.prepare(episode))
            held += 1
            tally.asked = max(tally.asked, episode.seed - first_seed(config) + 1)
        if resume:
            tally.resumed += 1
            tally.episodes, tally.frames = max(tally.episodes, held), max(tally.frames, replay.size)
            display.say(f"going on at {clock.seconds / 60:.1f} min, with {held} episodes")

        most = learning.episodes or sys.maxsize
        first = min(FIRST, learning.demonstrations, most)
        publish, tell, save = Every(PUBLISH), Every(TELL), Every(CHECKPOINT)
        deaths = 0
        try:
            while clock.share < 1.0 and not interrupts.asked:
                # keep the collectors busy: first with the disturbed teacher, then with the latest policy
                while pool.pending < AHEAD * config.collectors and tally.asked < most:
                    acting = snapshots.latest if held + pool.pending >= learning.demonstrations else None
                    pool.submit(episode_wanted(config, problem, tally.asked, acting, clock.share))
                    snapshots.taken(acting)
                    tally.asked += 1

                # take in what they bring
                for spec, episode in pool.ready(0.5 if held < first else 0.0):
                    replay.add(problem.prepare(episode))
                    shelf.add(episode)
                    alone = alone_in(spec)
                    tally.add(episode, alone is not None)
                    if alone is not None:
                        tally.judge(snapshots[alone].steps, snapshots[alone].policy.state_dict())
                    snapshots.returned(spec.policy)
                    held += 1
                for code in pool.deaths[deaths:]:
                    display.say(f"a collector died (exit code {code}): another one does its episodes again")
                    deaths += 1
                phase = "learning" if held >= learning.demonstrations else "demonstrations"
                display.update(phase, clock.seconds, tally.text(course.steps))
                if held < first:
                    continue

                # the first demonstrations tell how large everything is
                learner = course.learner
                if learner is None:
                    fit_normalisation(problem.network, replay)
                    learner = course.learner = Learner(problem.network, learning, device, problem.objective)

                # a gradient step
                batch = replay.sample(learning.batch, rng, device)
                recorder.add(learner.update(batch, clock.share))

                # write down how it goes, hand the policy to the collectors, keep a checkpoint
                if tell.due():
                    recorder.write(learner.steps, metrics(clock, learner, tally))
                if held + pool.pending >= learning.demonstrations and publish.due():
                    snapshots.publish(learner.steps, learner.policy())
                if save.due():
                    run.save_later(scribe, checkpoint(clock, learner, rng, tally))

            # the time is over, or a person has seen enough
            if interrupts.asked:
                display.say("interrupted: keeping the best policy so far (Ctrl-C again stops at once)")
            if learner := course.learner:
                recorder.write(learner.steps, metrics(clock, learner, tally))
                run.save_later(scribe, checkpoint(clock, learner, rng, tally))
            shelf.flush()
        finally:  # whatever happened, what was begun is written to its end
            pool.close()  # last: on a busy machine it takes seconds to be rid of a process
            recorder.finish()
            scribe.finish()


def finish(
    config: TrainConfig,
    problem: Problem,
    run: Run,
    interrupts: Interrupts,
    course: Course,
    failed: bool = False,
) -> Result:
    """Keep the averaged weights as a bundle, evaluate it, write the report.

    They are the final ones, or, if Ctrl-C or a failure ended the training, those that have done best.
    """
    learner, tally, clock = course.learner, course.tally, course.clock
    if learner is None:
        say(f"learning had not begun after {clock.seconds:.0f} s: there is no policy to keep")
        return Result(None, interrupts.asked)
    early, policy = interrupts.asked or failed, learner.policy()
    kept = {}
    if early:
        kept["kept"] = choose_best(policy, learner.steps, tally)
        say(f"kept: {kept['kept']}")
    training = {
        "minutes": round(clock.seconds / 60, 2),
        "seed": config.seed,
        "gradient steps": learner.steps,
        "episodes": tally.episodes,
        "observations": tally.frames,
        "collectors": config.collectors,
        "cores": default_workers(),
        "device": str(learner.device),
        "resumed": tally.resumed,
        "interrupted": "yes" if early else "no",
        **kept,
    }
    return conclude(
        run,
        interrupts,
        lambda path, card: problem.save(path, policy, card),
        training,
        0 if early else config.evaluate,
        finished=not early,
    )


def conclude(
    run: Run,
    interrupts: Interrupts,
    save: Callable[[Path, Mapping[str, Any]], None],
    training: Mapping[str, Any],
    evaluate_episodes: int,
    finished: bool,
) -> Result:
    """Save a policy as a run's bundle, evaluate it, write the report.

    Args:
        run: where to write.
        interrupts: from here on Ctrl-C ends the evaluation.
        save: writes the policy as a bundle, with a card.
        training: what the card says about how it was made.
        evaluate_episodes: held-out episodes to try it on.
        finished: whether the run is at its end, so that nobody will go on with it.

    Raises:
        NotKept: the policy could be written nowhere.
    """
    # not before: importing pictures and pages would take from the time for learning
    from robolearn.policies.bundle import write_card
    from robolearn.training.evaluation import evaluate, save_evaluation
    from robolearn.training.report import write_report

    run.tidy(finished)  # before the rest: it may be what fills the disk
    versions = {**software_versions(), "torch": torch.__version__}
    card = {"command": run.command, "training": dict(training), "versions": versions}
    bundle = keep(run, lambda path: save(path, card))

    evaluation = report = None
    try:
        if evaluate_episodes:
            interrupts.raising = True
            with progress_of(evaluate_episodes) as progress:
                evaluation = evaluate(bundle, evaluate_episodes, progress=progress)
            save_evaluation(run.path, evaluation)
            write_card(bundle, {**card, "evaluations": [evaluation.summary]})
    except KeyboardInterrupt:
        say("the evaluation was interrupted: the report is written without it")
    except OSError as error:
        say(f"the evaluation cannot be written ({error.strerror or error})")
    try:
        report = write_report(run.path)
    except OSError as error:
        say(f"the report cannot be written ({error.strerror or error})")
    return Result(bundle, interrupts.asked, evaluation, report)


def choose_best(policy: Visuomotor, steps: int, tally: Tally) -> str:
    """Give a policy that has taken `steps` the best weights so far, if any are known; says which it has."""
    if tally.best is None:
        return f"the latest weights, of step {steps}: it takes {RECENT} episodes alone to tell the best"
    policy.load_state_dict(tally.best.weights)
    return (
        f"the weights of step {tally.best.steps}, when the policy alone had succeeded in "
        f"{tally.best.successes} of its last {RECENT} episodes"
    )


class NotKept(OSError):
    """A trained policy could be written nowhere."""


def keep(run: Run, save: Callable[[Path], None]) -> Path:
    """Save the policy in the run, or where temporary files go if that fails; returns where it is.

    Raises:
        NotKept: it could be written nowhere.
    """
    try:
        save(run.bundle)
        return run.bundle
    except OSError as error:
        first = error.strerror or str(error)
    elsewhere = Path(tempfile.gettempdir()) / f"robolearn-{run.path.resolve().name}-{os.getpid()}"
    say(f"the policy cannot be written to {run.bundle} ({first}); trying {elsewhere}")
    try:
        save(elsewhere)
    except OSError as error:
        raise NotKept(
            f"the policy could be written neither to {run.bundle} ({first}) nor to {elsewhere} "
            f"({error.strerror or error}): free some space, then repeat the end of the training from its "
            f"last checkpoint by robolearn train --resume {run.path}"
        ) from error
    say(f"the policy is in {elsewhere}: move it to a safe place")
    return elsewhere


def metrics(clock: Clock, learner: Learner, tally: Tally) -> dict[str, Any]:
    """How the training stands: a line of metrics.jsonl but for the losses."""
    return {
        "seconds": round(clock.seconds, 2),
        "steps": learner.steps,
        "episodes": tally.episodes,
        "frames": tally.frames,
        "success": tally.success,
        "learning_rate": learner.optimiser.param_groups[0]["lr"],
    }
