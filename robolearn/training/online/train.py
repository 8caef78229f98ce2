"""A training by trial and error to a bundle: collectors try things out, this process learns from them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robolearn.data.episode import Episode
from robolearn.errors import InputError
from robolearn.policies.offline.batch import Source, draw
from robolearn.policies.online.learner import OnlineLearner
from robolearn.policies.online.replay import Replay
from robolearn.policies.online.rlpd import Halves
from robolearn.training.checkpoint import copied
from robolearn.training.interrupts import Interrupts
from robolearn.training.offline.train import fast_products
from robolearn.training.online.collectors import Collectors, Here, Stage
from robolearn.training.online.config import OnlineTrainConfig
from robolearn.training.online.curriculum import Curriculum
from robolearn.training.online.hindsight import in_hindsight
from robolearn.training.online.playing import Play, Policy, unpacked
from robolearn.training.online.problem import Trial, learner_of, pose_online, prior_of, replay_of
from robolearn.training.problem import device_of
from robolearn.training.progress import Display, say
from robolearn.training.records import Recorder
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.run import Run
from robolearn.training.scribe import Scribe
from robolearn.training.seeds import FIRST_TRAINING_SEED
from robolearn.training.shelf import EpisodeShelf
from robolearn.training.tally import Clock, Every, Tally
from robolearn.training.train import Result, choose_best, conclude

PUBLISH, TELL, CHECKPOINT = 3.0, 5.0, 15.0  # how often collectors get the policy, metrics a line, ... [s]
AHEAD = 2  # plays that a collector holds: one to run, and one so that it never waits
FIRST = FIRST_TRAINING_SEED // 8  # seeds after a training's first: far from those that data begin with
SLACK = 4  # whole episodes by which each collector may be ahead of the learner


@dataclass
class Course:
    """How far a training has come.

    Attributes:
        clock: wall time used.
        rng: what batches are drawn with.
        tally: what was tried.
        curriculum: how easy the task is made at the moment.
        learner: None until learning begins.
    """

    clock: Clock
    rng: np.random.Generator
    curriculum: Curriculum
    tally: Tally = field(default_factory=Tally)
    learner: OnlineLearner | None = None

    @property
    def steps(self) -> int:
        """Gradient steps taken."""
        return self.learner.steps if self.learner else 0

    def lead(self, ratio: float, first: int, pending: int = 0) -> float:
        """Steps by which the arm is ahead of learning.

        Args:
            ratio: gradient steps that a step of the arm is worth.
            first: steps before learning begins, which are owed none.
            pending: episodes that are still to come, counted as long as those before.
        """
        tally = self.tally
        coming = pending * tally.frames / max(tally.episodes, 1)
        return tally.frames + coming - first - self.steps / ratio

    def checkpoint(self, files: int) -> dict[str, Any]:
        """Everything that `restore` needs, copied; `files` of episodes belong to it."""
        return {
            "seconds": self.clock.seconds,
            "learner": self.learner and copied(self.learner.state()),
            "tally": self.tally.state(),
            "curriculum": self.curriculum.state(),
            "files": files,
            "batches": json.dumps(self.rng.bit_generator.state),
            "torch": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any], begin: Callable[[], OnlineLearner]) -> None:
        """Go on from a checkpoint; `begin` gives a learner as it was before its first step.

        Raises:
            InputError: it is of another network or another version.
        """
        try:
            if state["learner"] is not None:
                self.learner = begin()
                self.learner.load(state["learner"])
            self.tally.load(state["tally"])
            self.curriculum.load(state["curriculum"])
            self.rng.bit_generator.state = json.loads(state["batches"])
            torch.set_rng_state(state["torch"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"the checkpoint is of another robolearn, or damaged: {error}") from error


@dataclass
class Experience:
    """What is learned from.

    Attributes:
        own: what this training has tried.
        prior: what others did, if the method learns from that.
        facts: what the card says about the latter.
    """

    own: Replay
    prior: Replay | None
    facts: list[dict[str, Any]]

    @property
    def source(self) -> Source:
        return self.own if self.prior is None else Halves(self.prior, self.own)

    @property
    def parts(self) -> list[Replay]:
        """Where there is anything."""
        return [part for part in (self.prior, self.own) if part is not None and len(part)]


def train_online(
    config: OnlineTrainConfig,
    path: Path,
    *,
    resume: bool = False,
    command: str = "",
    started: float | None = None,
) -> Result:
    """Train a policy by trial and error, and leave a run's directory.

    torch computes with one thread from here on: the other cores are the collectors'.

    Args:
        config: what to train.
        path: of the run's directory: a new one, or that of a run when resuming.
        resume: go on from the last checkpoint, with the episodes collected so far; a synchronous run to the
            bit.
        command: what a person typed, for the card and the report; the first one stays when resuming.
        started: when the clock began, as `time.monotonic` counts; now if None.

    Raises:
        InputError: something in the configuration, the data or the directory cannot be used.
        FloatingPointError: learning has diverged; as after any other exception that comes once learning has
            begun, the best policy so far is kept before it is raised.
        NotKept: the policy could be written nowhere.
        KeyboardInterrupt: at the second Ctrl-C.
    """
    started = time.monotonic() if started is None else started
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    device, trial = device_of(config.device), pose_online(config)
    prior, facts = prior_of(config, trial)
    experience = Experience(replay_of(config, trial, config.collect.capacity), prior, facts)
    with (Run.reopen if resume else Run.create)(path, config, command) as run, Interrupts() as interrupts:
        state = run.load_checkpoint() if resume else None
        used = max(run.last_seconds(), state["seconds"] if state else 0.0)
        clock = Clock(60.0 * config.minutes, started, used)
        course = Course(clock, np.random.default_rng(config.seed), Curriculum(config.collect))
        if clock.share >= 1.0 and (run.bundle / "bundle.json").is_file():
            raise InputError(f"{path} has used its {config.minutes:g} minutes; --minutes gives it more")
        try:
            learn(config, trial, experience, device, run, interrupts, course, state, resume)
        except Exception as error:
            if course.learner is not None:
                say(f"learning has failed ({type(error).__name__}): keeping the best policy so far")
                finish(config, trial, experience, run, interrupts, course, failed=True)
            elif isinstance(error, InputError) and not resume:
                run.discard()
            raise
        return finish(config, trial, experience, run, interrupts, course)


def learn(
    config: OnlineTrainConfig,
    trial: Trial,
    experience: Experience,
    device: torch.device,
    run: Run,
    interrupts: Interrupts,
    course: Course,
    state: dict[str, Any] | None,
    resume: bool,
) -> None:
    """Collect and learn until the time is over, the steps are taken or Ctrl-C comes.

    Synchronously, the next episode begins when what is owed for those before is learned, with the latest
    policy.
    """
    collect, ratio = config.collect, config.online.ratio
    clock, tally, curriculum, own = course.clock, course.tally, course.curriculum, experience.own
    stage: Stage = Here() if config.synchronous else Collectors(config.collectors)

    def begin() -> OnlineLearner:
        return learner_of(config, trial, experience.parts, device)

    with Display(60.0 * config.minutes) as display, closing(stage), fast_products():
        # where a run that was killed had come to
        scribe = Scribe(display.say)
        shelf = EpisodeShelf(run.episodes, collect.capacity, scribe, display.say)
        held = 0
        counted = None  # a synchronous run takes up what the checkpoint knows of, and does the rest again
        if config.synchronous:
            counted = state["files"] if state else 0
        for episode in shelf.load(counted):
            remember(config, own, episode)
            held += 1
        if state:
            course.restore(state, begin)
        if resume:
            tally.resumed += 1
            if not config.synchronous:  # episodes that came after the checkpoint count, too
                tally.episodes, tally.frames = max(tally.episodes, held), max(tally.frames, len(own))
                tally.asked = max(tally.asked, held)
            display.say(f"going on at {clock.seconds / 60:.1f} min, with {held} episodes")
        recorder = Recorder(run, scribe, course.steps)
        unsaved: list[Episode] = []  # of a synchronous run: those that no checkpoint knows of yet
        publish, tell, save = Every(PUBLISH), Every(TELL), Every(CHECKPOINT)
        acting: tuple[int, bytes] | None = None  # who collects: the gradient steps it had taken, and itself
        most = SLACK * config.collectors * trial.max_steps
        deaths = 0

        def keep() -> None:
            """Keep a checkpoint, and before it the episodes that belong to it."""
            for episode in unsaved:
                shelf.add(episode)
            shelf.flush()
            unsaved.clear()
            run.save_later(scribe, course.checkpoint(shelf.files))

        try:
            while not interrupts.asked and clock.share < 1.0:
                learner = course.learner
                owed = ratio * course.lead(ratio, collect.first)
                behind = learner is not None and len(own) > 0 and owed >= 1.0
                if config.steps and tally.frames >= config.steps and not behind:
                    break

                # hand the policy to the collectors, and keep them busy as long as learning keeps up
                if learner is not None and (publish.due() if not config.synchronous else not behind):
                    acting = (learner.steps, Policy(learner.explorer(), learner.policy()).packed())
                room = AHEAD * config.collectors - stage.pending
                if config.synchronous:
                    room = 0 if behind else 1
                elif course.lead(ratio, collect.first, stage.pending) > most:
                    room = 0
                for _ in range(room):
                    stage.submit(play_wanted(config, trial, tally.asked, curriculum, acting))
                    tally.asked += 1

                # take in what they bring
                for play, episode in stage.ready(0.0 if behind else 0.2):
                    remember(config, own, episode)
                    note(play, episode, course, display.say)
                    if config.synchronous:
                        unsaved.append(episode)
                    else:
                        shelf.add(episode)
                for code in stage.deaths[deaths:]:
                    display.say(f"a collector died (exit code {code}): another one does its episodes again")
                    deaths += 1
                phase = "learning" if learner is not None else "wandering"
                display.update(phase, clock.seconds, told(course))
                if learner is None:
                    if tally.frames >= collect.first:
                        course.learner = begin()
                    continue

                # a gradient step
                if behind:
                    batch = draw(experience.source, config.online.batch, course.rng, learner.device)
                    recorder.add(learner.update(batch))

                # write down how it goes, keep a checkpoint
                if tell.due():
                    recorder.write(learner.steps, metrics(course))
                if save.due():
                    keep()

            if interrupts.asked:
                display.say("interrupted: keeping the best policy so far (Ctrl-C again stops at once)")
            if course.learner is not None:
                recorder.write(course.steps, metrics(course))
            keep()
        finally:  # whatever happened, what was begun is written to its end
            recorder.finish()
            scribe.finish()


def play_wanted(
    config: OnlineTrainConfig,
    trial: Trial,
    number: int,
    curriculum: Curriculum,
    acting: tuple[int, bytes] | None,
) -> Play:
    """What is collected as episode `number` of a training, by the policy `acting` if there is one.

    One of `watched` is a whole one in which the policy acts as the bundle would. Of the others some begin
    scattered, and the rest as the curriculum's stage has it.
    """
    collect, seed = config.collect, FIRST_TRAINING_SEED * (config.seed + 1) + FIRST + number
    rng = np.random.default_rng([seed, 3])
    alone = acting is not None and number % collect.watched == 0
    scattered = not alone and bool(rng.random() < collect.scattered)
    changes, lead = trial.problem.collected, 0
    if not alone and not scattered:
        changes = {**changes, **curriculum.stage.changes}
        rate = trial.problem.contract.control_rate
        lead = round(curriculum.stage.lead * rng.uniform(0.8, 1.2) * collect.lead * rate)
    spec = EpisodeSpec(
        config.task,
        changes,
        seed,
        exploration=0.0 if alone else collect.exploration,
        scattered=scattered,
        steps=collect.scattered_steps if scattered else None,
    )
    steps, policy = acting if acting is not None else (0, None)
    return Play(spec, trial.reach, policy, steps, alone, lead, curriculum.number)


def remember(config: OnlineTrainConfig, own: Replay, episode: Episode) -> None:
    """Learn from an episode from now on, and from what it is in hindsight."""
    own.add(episode)
    for again in in_hindsight(config.task, episode, config.collect.hindsight):
        own.add(again)


def note(play: Play, episode: Episode, course: Course, say: Callable[[str], None]) -> None:
    """Note how an episode went."""
    course.tally.add(episode, play.alone)
    if play.alone:
        assert play.policy is not None
        course.tally.judge(play.steps, unpacked(play.policy).network.state_dict())
    elif not play.spec.scattered and course.curriculum.add(play.stage, episode.outcome.success):
        say(f"{course.curriculum} begins")


def finish(
    config: OnlineTrainConfig,
    trial: Trial,
    experience: Experience,
    run: Run,
    interrupts: Interrupts,
    course: Course,
    failed: bool = False,
) -> Result:
    """Keep the averaged weights that have done best, or the latest where none are known to be good."""
    learner, early = course.learner, interrupts.asked or failed
    if learner is None:
        say(f"learning had not begun after {course.clock.seconds:.0f} s: there is no policy to keep")
        return Result(None, interrupts.asked)
    policy = learner.policy()
    training = {
        "method": config.method,
        **({"data": experience.facts} if experience.facts else {}),
        "minutes": round(course.clock.seconds / 60, 2),
        "seed": config.seed,
        "gradient steps": learner.steps,
        "episodes": course.tally.episodes,
        "steps of the arm": course.tally.frames,
        "collectors": "synchronous" if config.synchronous else config.collectors,
        "device": str(learner.device),
        "resumed": course.tally.resumed,
        "interrupted": "yes" if early else "no",
        "kept": choose_best(policy, learner.steps, course.tally),
    }
    say(f"kept: {training['kept']}")
    return conclude(
        run,
        interrupts,
        lambda place, card: trial.problem.save(place, policy, card),
        training,
        0 if early else config.evaluate,
        finished=not early,
    )


def metrics(course: Course) -> dict[str, Any]:
    """How the training stands: a line of metrics.jsonl but for the losses."""
    assert course.learner is not None
    return {
        "seconds": round(course.clock.seconds, 2),
        "steps": course.steps,
        "episodes": course.tally.episodes,
        "frames": course.tally.frames,
        "success": course.tally.success,
        "stage": course.curriculum.number,
        "learning_rate": course.learner.actor_optimiser.param_groups[0]["lr"],
    }


def told(course: Course) -> str:
    """The same in a line, for people."""
    stage = "" if course.curriculum.last else f"  {course.curriculum}"
    return f"{course.tally.text(course.steps)}  steps of the arm {course.tally.frames}{stage}"
