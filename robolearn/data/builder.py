"""Making an episode step by step, while it happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robolearn.contract import Contract
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.errors import InputError

Array = NDArray[Any]


class EpisodeBuilder:
    """Collects what happens, one step at a time, in arrays that double when they are full.

    Everything is copied, so that the caller may reuse its arrays. A step that is refused leaves no trace.

    Args:
        contract: what the policy sees and commands; n joints, a numbers in an action.
        observation: the first one; the later ones must have the same names, shapes and dtypes.
        stamp: when it was taken [s].
        task, config, seed, info: as in `Episode`.
        capacity: steps that fit before the arrays grow for the first time.
    """

    def __init__(
        self,
        contract: Contract,
        observation: Mapping[str, ArrayLike],
        stamp: float = 0.0,
        *,
        task: str,
        config: Mapping[str, Any],
        seed: int,
        info: Mapping[str, Any],
        capacity: int = 128,
    ) -> None:
        self.contract = contract
        self.task, self.config, self.seed = task, dict(config), seed
        self.info = dict(info)
        """May be added to until `finish`."""
        self.steps = 0
        self._finished = False

        first = {name: np.asarray(value) for name, value in observation.items()}
        self._observations = {
            name: _Column(f"observation {name!r}", value.shape, value.dtype, capacity + 1)
            for name, value in first.items()
        }
        for name, value in first.items():
            self._observations[name].put(0, value)
        n, a = len(contract.joints), contract.action.length
        double = np.dtype(np.float64)
        self._requested = _Column("requested", (a,), double, capacity)
        self._filtered = _Column("filtered", (n,), double, capacity)
        self._sent = _Column("sent", (n,), double, capacity)
        self._expert = _Column("expert", (a,), double, capacity)
        self._has_expert = False
        self._stamps = [float(stamp)]
        self._reward: list[float] = []
        self._reward_terms: dict[str, list[float]] = {}
        self._source: list[int] = []

    def append(
        self,
        *,
        requested: ArrayLike,
        filtered: ArrayLike,
        sent: ArrayLike,
        observation: Mapping[str, ArrayLike],
        stamp: float,
        reward: float,
        reward_terms: Mapping[str, float],
        source: Source | int,
        expert: ArrayLike | None = None,
    ) -> None:
        """Add one step: an action, and the observation that followed it at `stamp`.

        `requested` (a,), `filtered` (n,) and `sent` (n,) as in `Episode`. `expert` (a,) is what the teacher
        would have done instead of `requested`, on the same observation; given at every step or at none.

        Raises:
            InputError: an array, an observation or a reward term that does not fit the steps before.
        """
        if self._finished:
            raise RuntimeError("this episode is finished; make a new EpisodeBuilder")
        step = self.steps
        if observation.keys() != self._observations.keys():
            raise InputError(
                f"step {step} has the observations {sorted(observation)}; "
                f"it must have those of the first one, {sorted(self._observations)}"
            )
        if step == 0:
            self._reward_terms = {name: [] for name in reward_terms}
            self._has_expert = expert is not None
        if reward_terms.keys() != self._reward_terms.keys():
            raise InputError(
                f"step {step} has the reward terms {sorted(reward_terms)}; "
                f"it must have those of the first one, {sorted(self._reward_terms)}"
            )
        if (expert is not None) != self._has_expert:
            told = "an" if self._has_expert else "no"
            raise InputError(f"step {step} must have {told} expert action, as the steps before")

        self._requested.put(step, np.asarray(requested, np.float64))
        self._filtered.put(step, np.asarray(filtered, np.float64))
        self._sent.put(step, np.asarray(sent, np.float64))
        if expert is not None:
            self._expert.put(step, np.asarray(expert, np.float64))
        for name, column in self._observations.items():
            column.put(step + 1, np.asarray(observation[name]))
        scalars = float(stamp), float(reward), int(source), [float(value) for value in reward_terms.values()]

        # Nothing below can fail: a step is there as a whole or not at all.
        self._stamps.append(scalars[0])
        self._reward.append(scalars[1])
        self._source.append(scalars[2])
        for name, value in zip(reward_terms, scalars[3], strict=True):
            self._reward_terms[name].append(value)
        self.steps += 1

    def finish(self, outcome: Outcome) -> Episode:
        """The episode, validated; nothing can be appended afterwards.

        Raises:
            InputError: what `Episode.validate` raises; there is no episode without a step.
        """
        if self._finished:
            raise RuntimeError("this episode is finished already")
        steps = self.steps
        if max(self._source, default=0) > np.iinfo(np.uint8).max or min(self._source, default=0) < 0:
            raise InputError(f"source holds {sorted(set(self._source))}; its values are those of Source")
        episode = Episode(
            contract=self.contract,
            observations={name: column.take(steps + 1) for name, column in self._observations.items()},
            requested=self._requested.take(steps),
            filtered=self._filtered.take(steps),
            sent=self._sent.take(steps),
            stamps=np.array(self._stamps),
            reward=np.array(self._reward),
            reward_terms={name: np.array(values) for name, values in self._reward_terms.items()},
            source=np.array(self._source, np.uint8),
            outcome=outcome,
            task=self.task,
            config=self.config,
            seed=self.seed,
            info=self.info,
            expert=self._expert.take(steps) if self._has_expert else None,
        )
        episode.validate()
        self._finished = True
        return episode


class _Column:
    """Rows of one shape and dtype, in an array that doubles when a row does not fit."""

    __slots__ = ("_dtype", "_name", "_rows", "_shape")

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], capacity: int) -> None:
        self._name, self._shape, self._dtype = name, shape, dtype
        self._rows: Array = np.empty((capacity, *shape), dtype)

    def put(self, index: int, row: Array) -> None:
        if row.shape != self._shape or row.dtype != self._dtype:
            raise InputError(
                f"{self._name} is {row.dtype} of shape {row.shape}; "
                f"it must be {self._dtype} of shape {self._shape}"
            )
        if index == len(self._rows):
            rows = np.empty((2 * index, *self._shape), self._dtype)
            rows[:index] = self._rows
            self._rows = rows
        self._rows[index] = row

    def take(self, length: int) -> Array:
        # A copy: a view would keep the whole array, up to twice as large, for as long as the episode lives.
        return self._rows[:length].copy()
