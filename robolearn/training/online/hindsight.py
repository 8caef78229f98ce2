"""Hindsight (Andrychowicz et al., NeurIPS 2017): what missed its goal has come to some other place.

An episode is learned from again as if the place that it came to had been its goal. That makes sense only
where the goal is told to the policy and nothing else in the world stands or falls with it: a place to
reach, a pose to hold. It makes none for grasping, which has no goal but to hold whatever lies there, and
none for peg insertion, where the hole is a body: had it been elsewhere, the peg would have touched
something else on its way. So a task says itself what an episode is in hindsight, by a class method:

    @classmethod
    def in_hindsight(cls, episode: Episode, step: int) -> Episode: ...

gives the first `step` steps of an episode as if what they came to had been the goal: a success.
"""

from __future__ import annotations

import numpy as np

from robolearn.data.episode import Episode
from robolearn.envs.tasks import task_class
from robolearn.errors import InputError


def check_hindsight(task: str, times: int) -> None:
    """Raises InputError where hindsight is asked for and the task has no goal that could lie elsewhere."""
    if times and not hasattr(task_class(task), "in_hindsight"):
        raise InputError(
            f"hindsight is {times}, but {task} has no goal that could have been elsewhere: what it would "
            "have been is said by a class method in_hindsight of the task, and it has none"
        )


def in_hindsight(task: str, episode: Episode, times: int) -> list[Episode]:
    """An episode again, so many times, cut off at random steps as if those had come to the goal.

    The same episode gives the same ones.
    """
    if not times:
        return []
    say = task_class(task).in_hindsight  # type: ignore[attr-defined]
    rng = np.random.default_rng([episode.seed, 5])
    return [say(episode, int(step)) for step in rng.integers(1, len(episode) + 1, times)]
