"""Trying the policy in simulation while it learns from logs: to look at, learning does not depend on it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from robolearn.policies.offline.learner import Learner
from robolearn.training.pool import LocalPool
from robolearn.training.problem import Problem
from robolearn.training.records import Snapshots
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.seeds import FIRST_TRAINING_SEED
from robolearn.training.tally import Every, Tally

PUBLISH = 3.0  # how often the policy is given to those who try it [s]
FIRST = FIRST_TRAINING_SEED // 2  # seeds after a training's first: far from those that data begin with


class Watch:
    """Processes that try the latest policy, if there are any.

    Args:
        problem: whose task and configuration they run.
        seed: of the training.
        collectors: how many processes; 0 tries nothing.
        snapshots: where they find the policy.
        tally: notes what they bring, and who did best.
        say: tells a person something.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        collectors: int,
        snapshots: Snapshots,
        tally: Tally,
        say: Callable[[str], None],
    ) -> None:
        self._problem, self._snapshots, self._tally, self._say = problem, snapshots, tally, say
        self._first = FIRST_TRAINING_SEED * (seed + 1) + FIRST
        self._collectors, self._publish, self._deaths = collectors, Every(PUBLISH), 0
        self._pool = LocalPool(collectors) if collectors else None

    def look(self, learner: Learner) -> None:
        """Hand out the policy, ask for episodes, take in those that have ended."""
        if self._pool is None:
            return
        if self._publish.due():
            self._snapshots.publish(learner.steps, learner.policy())
        while (acting := self._snapshots.latest) is not None and self._pool.pending < 2 * self._collectors:
            seed = self._first + self._tally.asked
            self._pool.submit(EpisodeSpec(self._problem.task, self._problem.changes, seed, acting))
            self._snapshots.taken(acting)
            self._tally.asked += 1
        for spec, episode in self._pool.ready():
            assert spec.policy is not None
            self._tally.add(episode, alone=True)
            shown = self._snapshots[spec.policy]
            self._tally.judge(shown.steps, shown.policy.state_dict())
            self._snapshots.returned(spec.policy)
        for code in self._pool.deaths[self._deaths :]:
            self._say(f"a collector died (exit code {code}): another one does its episodes again")
            self._deaths += 1

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.close()
