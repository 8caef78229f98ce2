"""Exploration on the arm: a policy that is pushed off its path now and then, so that its logs show more.

The push is part of what is asked for: it passes the safety monitor as all else does, and stands in the log as
the request. So what is learned from that log learns from what was really commanded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.hardware.arm import ArmProfile

if TYPE_CHECKING:
    from robolearn.hardware.runner import Actor

RENEWAL = 0.25
"""Probability per action that the push changes; half of the time there is none."""


class Exploring:
    """An actor that is pushed: a torque stays for some actions, then another one comes, or none.

    Args:
        actor: who is pushed.
        spread: standard deviation of the push, (n,) [N·m].
        seed: of the pushes; they are not begun anew with an episode.
    """

    def __init__(self, actor: Actor, spread: NDArray[np.float64], seed: int) -> None:
        self._actor, self._spread = actor, spread
        self._rng = np.random.default_rng([seed, 2])
        self._push = np.zeros(len(spread))

    def reset(self) -> None:
        """An episode begins, without a push."""
        self._actor.reset()
        self._push[:] = 0.0

    def act(self, observation: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The actor's action and the push, (a,); the gripper's target is the actor's."""
        action = np.array(self._actor.act(observation), np.float32)
        if self._rng.random() < RENEWAL:
            size = self._spread * self._rng.standard_normal(len(self._spread))
            self._push = size * (self._rng.random() < 0.5)
        action[: len(self._push)] += self._push
        return action


def explore(actor: Actor, arm: ArmProfile, exploration: float, seed: int) -> Actor:
    """The actor, pushed by `exploration` times what is noticeable; itself where that is 0.

    Raises:
        InputError: exploration below 0.
    """
    if checks.number("exploration", exploration, low=0.0) == 0.0:
        return actor
    return Exploring(actor, exploration * arm.noticeable_torque, seed)
