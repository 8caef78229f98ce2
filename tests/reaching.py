"""A task with a goal that could have been anywhere: the hand is to come near a place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_task import BallEnv

from robolearn.data.episode import Episode

TASK = "reaching:Reach"


class Reach(BallEnv):
    """Hold the hand near the ball; in the state stands the way to it."""

    @classmethod
    def in_hindsight(cls, episode: Episode, step: int) -> Episode:
        observations = {name: values[: step + 1] for name, values in episode.observations.items()}
        away = observations["state"]
        observations["state"] = away - away[-1]  # the goal is where the hand has come to
        outcome = replace(episode.outcome, success=True, reason="success", steps=step)
        cut = {
            name: getattr(episode, name)[:step]
            for name in ("requested", "filtered", "sent", "reward", "source")
        }
        terms = {name: values[:step] for name, values in episode.reward_terms.items()}
        stamps = episode.stamps[: step + 1]
        return replace(
            episode, observations=observations, outcome=outcome, stamps=stamps, reward_terms=terms, **cut
        )


def ways(episode: Episode) -> np.ndarray:
    """The way that is left at each observation, (T + 1,) [m]."""
    return np.linalg.norm(episode.observations["state"], axis=1)
