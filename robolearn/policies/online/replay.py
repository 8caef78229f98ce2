"""The latest episodes in memory, to draw transitions from; `robolearn.data.store` keeps all on disk.

An episode of T actions takes T + 1 rows of a ring, so that row i and row i + 1 are one transition; the last
row is never the first of one. So what lies on the two sides of a reset is never put together. Time that
runs out cuts an episode off and ends nothing: what would have followed still counts. Success and failure
end it.

The action that is learned from is the one that was *asked for*. The methods that learn from logs learn from
what was sent, whoever asked; here the policy itself asks, the limiter is a part of the arm, and a critic
that knew nothing of requests that were cut down would be asked about just those.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.data.episode import Episode
from robolearn.data.store.batches import Array, Floats, Indices, TransitionBatch
from robolearn.errors import InputError


def reward_of(episode: Episode, shaping: float, discount: float) -> Floats:
    """Rewards of an episode's steps, (T,): 1 at the last of a success.

    Shaping adds the environment's own reward, as a share of the most that it can be in a step, times
    (1 - discount) shaping: whoever gets all of it for ever gets `shaping` in all. So success, which ends the
    episode, is better than to hover where the reward is good, and returns lie between 0 and about 1 with
    shaping as without.

    Raises:
        InputError: the environment's reward is asked for, and the episode does not tell its terms.
    """
    reward = np.zeros(len(episode), np.float32)
    reward[-1] = float(episode.outcome.success)
    if shaping:
        scales = episode.config.get("reward_scales")
        if not episode.reward_terms or not scales:
            raise InputError(
                "an episode does not tell its reward's terms, as logs of an arm never do: "
                "learn from success alone by --online.shaping 0"
            )
        most = sum(max(scale, 0.0) for scale in scales.values())
        share = np.clip(episode.reward / most, 0.0, 1.0).astype(np.float32)
        reward += (1.0 - discount) * shaping * share
    return reward


class Replay:
    """The latest episodes.

    Args:
        capacity: observations to keep; older episodes are forgotten as wholes.
        observe: names of the observations that are wanted.
        windows: observations of which the last w are wanted, by name, as in `Visuomotor.windows`; at an
            episode's beginning filled up with the first one.
        n_step: how many steps a transition goes ahead, fewer at an episode's end.
        discount: of rewards, a step.
        shaping: how much the environment's reward counts beside success, as in `reward_of`.
    """

    def __init__(
        self,
        capacity: int,
        observe: Sequence[str],
        windows: Mapping[str, int] | None = None,
        n_step: int = 1,
        discount: float = 0.99,
        shaping: float = 0.0,
    ) -> None:
        self.capacity = checks.whole("capacity", capacity, 2)
        self.observe, self.windows = tuple(observe), dict(windows or {})
        self.n_step = checks.whole("n_step", n_step, 1)
        self.discount, self.shaping = checks.share("discount", discount), checks.share("shaping", shaping)
        self._columns: dict[str, Array] = {}
        self._left = np.zeros(capacity, np.int64)  # actions from a row to its episode's end
        self._step = np.zeros(capacity, np.int64)  # and since its beginning
        self._ended = np.zeros(capacity, bool)  # by success or failure, not by time
        self._reward = np.zeros(capacity, np.float32)
        self._outcome = np.zeros(capacity, np.float32)
        self._starts = np.zeros(capacity, np.int64)  # rows that a transition begins at, oldest first, a ring
        self._oldest = 0  # where in that ring
        self._count = 0
        self._next = 0  # row to write to
        self._held: deque[int] = deque()  # lengths T of the episodes, oldest first

    def __len__(self) -> int:
        """Transitions."""
        return self._count

    def add(self, episode: Episode) -> None:
        """Keep an episode.

        Raises:
            InputError: it is longer than what can be kept, or lacks what is observed.
        """
        steps = len(episode)
        if steps + 1 > self.capacity:
            raise InputError(f"an episode of {steps} steps is more than a replay of {self.capacity} can keep")
        while self._count + len(self._held) + steps + 1 > self.capacity:
            gone = self._held.popleft()
            self._oldest = (self._oldest + gone) % self.capacity
            self._count -= gone
        rows = (self._next + np.arange(steps + 1)) % self.capacity
        for name in self.observe:
            if name not in episode.observations:
                raise InputError(f"an episode of {episode.task} lacks the observation {name!r}")
            self._write(name, rows, episode.observations[name])
        nothing = np.pad(
            episode.filtered, ((0, 0), (0, episode.requested.shape[1] - episode.filtered.shape[1]))
        )
        asked = np.where(np.isfinite(episode.requested), episode.requested, nothing)  # logs may hold NaN
        self._write("action", rows[:-1], asked.astype(np.float32))
        self._columns["action"][rows[-1]] = 0.0
        reward = reward_of(episode, self.shaping, self.discount)
        self._reward[rows[:-1]] = reward
        outcome = 0.0
        for step in range(steps - 1, -1, -1):
            outcome = float(reward[step]) + self.discount * outcome
            self._outcome[rows[step]] = outcome
        self._left[rows] = np.arange(steps, -1, -1)
        self._step[rows] = np.arange(steps + 1)
        self._ended[rows] = episode.outcome.terminated
        self._starts[(self._oldest + self._count + np.arange(steps)) % self.capacity] = rows[:-1]
        self._next = int(rows[-1] + 1) % self.capacity
        self._count += steps
        self._held.append(steps)

    def batch(self, size: int, rng: np.random.Generator) -> TransitionBatch:
        """Random transitions, with replacement."""
        return self.at(rng.integers(self._count, size=size))

    def at(self, index: Indices) -> TransitionBatch:
        """The transitions of these indices, counted from the oldest, (B,)."""
        row = self._starts[(self._oldest + index) % self.capacity]
        left, ended = self._left[row], self._ended[row]
        ahead = np.minimum(left, self.n_step)
        then = (row + ahead) % self.capacity
        reward = self._reward[row]
        for step in range(1, self.n_step):
            later = self._reward[(row + step) % self.capacity] * self.discount**step
            reward = reward + np.where(step < left, later, 0.0)
        bootstrap = np.where((left <= self.n_step) & ended, 0.0, self.discount**ahead)
        action = self._columns["action"][row]
        return TransitionBatch(
            observation=self._seen(row),
            action=action,
            requested=action,
            altered=np.zeros(len(index), bool),
            reward=reward.astype(np.float32),
            bootstrap=bootstrap.astype(np.float32),
            next_observation=self._seen(then),
            next_action=self._columns["action"][then],
            followed=ahead < left,
            outcome=self._outcome[row],
            weight=np.ones(len(index), np.float32),
            index=index,
        )

    def readings(self, names: Sequence[str]) -> NDArray[np.float32]:
        """All observations of some channels side by side that transitions begin at, (N, r)."""
        rows = self._starts[(self._oldest + np.arange(self._count)) % self.capacity]
        return np.concatenate([self._columns[name][rows] for name in names], 1).astype(np.float32)

    def _write(self, name: str, rows: Indices, values: Array) -> None:
        if name not in self._columns:  # as much as is used of it is taken from the machine
            self._columns[name] = np.empty((self.capacity, *values.shape[1:]), values.dtype)
        self._columns[name][rows] = values

    def _seen(self, rows: Indices) -> dict[str, Any]:
        """Observations of rows (B,), with those before where a window is wanted."""
        result = {}
        for name in self.observe:
            wanted = rows
            if (length := self.windows.get(name, 1)) > 1:
                back = np.minimum(np.arange(length - 1, -1, -1), self._step[rows][:, None])
                wanted = (rows[:, None] - back) % self.capacity
            result[name] = self._columns[name][wanted]
        return result
