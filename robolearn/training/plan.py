"""What collectors are asked for: first demonstrations, then episodes that the policy acts in."""

from __future__ import annotations

import numpy as np

from robolearn.training.problem import Problem
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.run import TrainConfig
from robolearn.training.seeds import FIRST_TRAINING_SEED

FIRST = 100  # demonstrations that the normalisation is taken from; learning begins then
AHEAD = 14  # episodes asked of a collector: enough that it never waits, few enough that its policy is fresh


def first_seed(config: TrainConfig) -> int:
    """Seed of the training's episode 0; the others follow it, none of them held out."""
    return FIRST_TRAINING_SEED * (config.seed + 1)


def episode_wanted(
    config: TrainConfig, problem: Problem, number: int, acting: str | None, progress: float
) -> EpisodeSpec:
    """What a collector is asked for as episode `number` of a training, with the policy `acting` if any.

    Whole episodes are mixed with short ones from scattered starts. A policy is left alone in a share of the
    whole ones; otherwise the teacher acts in between. At first many are under clean conditions, but for those
    that a policy is left alone in, by which it is judged.
    """
    learning, seed = config.learning, first_seed(config) + number
    rng = np.random.default_rng([seed, 2])
    short = number % (learning.scattered + 1) != 0
    alone = not short and rng.random() < learning.free_share
    clean = not alone and progress < rng.random() * learning.clean_start
    return EpisodeSpec(
        config.task,
        problem.collected,
        seed,
        acting,
        teacher_share=0.0 if acting is None or alone else learning.teacher_share,
        noise=learning.noise if acting is None else learning.policy_noise,
        labels=True,
        scattered=short,
        clean=clean,
        steps=learning.scattered_steps if short else None,
    )


def alone_in(spec: EpisodeSpec) -> str | None:
    """The policy that an episode leaves to itself, if it is a whole one; None otherwise."""
    return None if spec.teacher_share or spec.scattered else spec.policy
