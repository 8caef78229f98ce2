"""One episode: an actor in an environment, a teacher looking over its shoulder, and the record of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.data.builder import EpisodeBuilder
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.envs.base import ManipulationEnv
from robolearn.errors import InputError
from robolearn.hardware.limiter import CAUSES

Observation = dict[str, NDArray[Any]]


class Actor(Protocol):
    """What chooses actions. It is shown every observation of an episode once, by `act` or by `observe`."""

    def reset(self) -> None:
        """Forget the past: an episode begins."""

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """The action for the next observation, shape (a,)."""

    def observe(self, observation: Observation) -> None:
        """Take in the next observation: somebody else acts."""


@dataclass(frozen=True)
class EpisodeSpec:
    """Everything that determines an episode, small enough to send anywhere.

    Attributes:
        task: name of the task.
        changes: fields of the task's configuration that differ from its defaults.
        seed: of the environment, and of everything random in the actor.
        policy: file of the policy that acts; None if the teacher acts alone.
        teacher_share: share of the steps, in stretches, that the teacher acts although there is a policy; it
            gets the arm out of where the policy is stuck, and the policy to where it has not been yet.
        noise: standard deviation of the torque that disturbs whoever acts, as a share of `env.noise_torque`.
        exploration: the same of a torque that whoever acts adds by itself: it is part of what is requested.
        labels: whether to record what the teacher would have done.
        scattered: whether to begin somewhere on the way (see `ManipulationEnv.reset`).
        clean: whether to run it under the conditions of the clean tier, whatever `changes` say.
        steps: the episode is cut off after so many, with the reason "cut"; None lets it end by itself.

    Raises:
        InputError: a seed, a noise or an exploration below zero, a share that is none, or no steps.
    """

    task: str
    changes: dict[str, Any]
    seed: int
    policy: str | None = None
    teacher_share: float = 0.0
    noise: float = 0.0
    exploration: float = 0.0
    labels: bool = False
    scattered: bool = False
    clean: bool = False
    steps: int | None = None

    def __post_init__(self) -> None:
        checks.whole("seed", self.seed, 0)
        checks.number("noise", self.noise, low=0.0)
        checks.number("exploration", self.exploration, low=0.0)
        if checks.number("teacher_share", self.teacher_share, low=0.0) > 1.0:
            raise InputError(f"teacher_share is {self.teacher_share}; it must lie between 0 and 1")
        if self.steps is not None:
            checks.whole("steps", self.steps, 1)


STRETCH = 12  # steps that the teacher or the policy acts on average before it is drawn anew who does
NOISE_RENEWAL = 0.25  # probability per step that the disturbance changes; half of the time there is none


def run_episode(env: ManipulationEnv, spec: EpisodeSpec, actor: Actor | None) -> Episode:
    """Run one episode and return its record.

    With noise, a torque that stays for some steps pushes the arm off the actor's path, so that the record
    also shows the way back (DART: Laskey et al., CoRL 2017). The disturbance is no part of `requested`;
    exploration, which comes and goes alike, is.

    Args:
        env: of the spec's task and configuration.
        spec: what to do.
        actor: the spec's policy, loaded; None for the teacher.

    Raises:
        InputError: the teacher or the noise is asked for where actions are not torques.
    """
    noisy = spec.noise or spec.exploration
    if env.config.action != "torque" and (actor is None or spec.teacher_share or spec.labels or noisy):
        kind = env.config.action
        raise InputError(f"the teacher and the noise speak torques, but action is {kind!r}: choose 'torque'")
    rng = np.random.default_rng([spec.seed, 1])
    options = {"scattered": spec.scattered, "clean": spec.clean}
    observation, _ = env.reset(seed=spec.seed, options=options)
    if actor is not None:
        actor.reset()
    taught = actor is None or bool(rng.random() < spec.teacher_share)
    builder = EpisodeBuilder(
        env.contract(),
        observation,
        0.0,
        task=spec.task,
        config=asdict(env.config),
        seed=spec.seed,
        info={**env.sampled, "noise": spec.noise, "exploration": spec.exploration},
        capacity=env.max_steps,
    )
    period = 1.0 / env.config.control_rate
    push = np.zeros(env.action_space.shape or (0,), np.float32)
    whim = np.zeros_like(push)
    path, done = env.scene.path, False
    info: dict[str, Any] = {}
    while not done:
        if spec.noise and rng.random() < NOISE_RENEWAL:
            push[:-1] = _drawn(spec.noise * env.noise_torque, rng)
        if spec.exploration and rng.random() < NOISE_RENEWAL:
            whim[:-1] = _drawn(spec.exploration * env.noise_torque, rng)
        if actor is not None and rng.random() < 1.0 / STRETCH:
            taught = bool(rng.random() < spec.teacher_share)
        expert = env.teacher() if taught or spec.labels else None
        if actor is not None and taught:
            actor.observe(observation)
        action = expert if taught or actor is None else actor.act(observation)
        assert action is not None
        action = action + whim
        observation, reward, terminated, truncated, info = env.step(action + push)
        done = terminated or truncated or builder.steps + 1 == spec.steps
        builder.append(
            requested=action,
            filtered=info["filtered"],
            sent=info["sent"],
            observation=observation,
            stamp=(builder.steps + 1) * period,
            reward=reward,
            reward_terms=info["reward_terms"],
            source=Source.TEACHER if taught else Source.POLICY,
            expert=expert,
        )
    outcome = Outcome(
        success=bool(info["success"]),
        reason=info["reason"] or "cut",
        steps=builder.steps,
        seconds=builder.steps * period,
        peak_force=path.peak_force,
        mean_force=path.mean_force,
        drops=env.drops,
        jams=env.jams,
        interventions={cause: int(count) for cause, count in zip(CAUSES, path.altered, strict=True)},
        altered_ticks=path.altered_ticks,
        ticks=path.ticks,
        jerk=path.torque_rate_rms,
    )
    return builder.finish(outcome)


def _drawn(spread: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Torques of this standard deviation, or, as often, none."""
    return spread * rng.standard_normal(len(spread)) * (rng.random() < 0.5)
