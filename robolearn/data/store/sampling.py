"""Random batches of transitions from a store: uniform, prioritised, by outcome, in mixtures, as sequences.

Everything random comes from the generator that the caller gives, so that a run can be repeated. Nothing that
is drawn together ever crosses an episode's boundary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.data.store.batches import Array, Floats, Indices, SequenceBatch, TransitionBatch
from robolearn.data.store.layout import gaps_between, refused
from robolearn.data.store.manifest import EpisodeRow
from robolearn.data.store.store import Store
from robolearn.data.store.sumtree import SumTree
from robolearn.errors import InputError, choose


class Transitions:
    """The transitions of some episodes of a store, N in all; episode by episode in the order given.

    It keeps no connection to the manifest: it may be used after the store was closed, in other threads and in
    forked processes, and episodes that are added later do not change it.

    Args:
        store: the store.
        episodes: which; None takes all there are now.
        n_step: how many steps a transition goes ahead, fewer at an episode's end.
        discount: of rewards, a step.
        windows: observations of which the last w are wanted, by name, as in `Visuomotor.windows`; at an
            episode's beginning filled up with the first one. A window of 1 adds no axis.
        observe: names of the observations wanted; None takes all.

    Raises:
        InputError: no episodes, an unknown name, or actions that are no torques.
    """

    def __init__(
        self,
        store: Store,
        episodes: Sequence[EpisodeRow] | None = None,
        *,
        n_step: int = 1,
        discount: float = 0.99,
        windows: Mapping[str, int] | None = None,
        observe: Sequence[str] | None = None,
    ) -> None:
        self.episodes = tuple(store.episodes() if episodes is None else episodes)
        if not self.episodes:
            raise InputError(
                f"no episode of the store {str(store.path)!r} was selected: nothing can be drawn"
            )
        self.layout = store.layout
        if not self.layout["action"].startswith("torque"):
            raise InputError(
                f"the store's actions are {self.layout['action']}; only torques can be learned from"
            )
        self.n_step = checks.whole("n_step", n_step, 1)
        self.discount = checks.share("discount", discount)
        columns = store.columns()
        there = [name.partition("/")[2] for name in columns if name.startswith("observations/")]
        names = there if observe is None else [choose("observation", name, there) for name in observe]
        self.observe = tuple(names)
        self._observations = {name: columns[f"observations/{name}"] for name in names}
        self.windows = {
            choose("observation with a window", name, names): checks.whole(f"window of {name}", length, 1)
            for name, length in (windows or {}).items()
        }
        self._requested, self._filtered = columns["requested"], columns["filtered"]
        self._first = np.array([row.first for row in self.episodes], np.int64)
        self._steps = np.array([row.steps for row in self.episodes], np.int64)
        self._behind = np.cumsum(self._steps)  # the index behind the last transition of each episode
        self._success = np.array([row.success for row in self.episodes])
        self._terminated = np.array([row.outcome.terminated for row in self.episodes])
        self._tree: SumTree | None = None

    def __len__(self) -> int:
        return int(self._behind[-1])

    # --- weights ------------------------------------------------------------------------------------------

    @property
    def weights(self) -> NDArray[np.float64]:
        """What transitions are drawn in proportion to, (N,)."""
        return np.ones(len(self)) if self._tree is None else self._tree[np.arange(len(self))]

    def set_weights(self, weights: Array, index: Indices | None = None) -> None:
        """Draw transitions in proportion to these weights.

        Args:
            weights: of all transitions, (N,), or of those in `index`, (B,).
            index: transitions, as batches name them.

        Raises:
            InputError: weights that are negative or no numbers, or of which none is above 0.
        """
        weights = np.asarray(weights, np.float64)
        expected = (len(self) if index is None else len(index),)
        if weights.shape != expected or not (np.isfinite(weights) & (weights >= 0.0)).all():
            raise InputError(
                f"weights of shape {weights.shape} are given; they must be {expected}, finite, from 0 up"
            )
        if index is None:
            tree, index, before = SumTree(weights), np.arange(0), weights[:0]
        else:
            tree = self._tree or SumTree(np.ones(len(self)))
            before = tree[index]
            tree.update(index, weights)
        if tree.total <= 0.0:
            tree.update(index, before)
            raise InputError("all weights are 0: nothing can be drawn")
        self._tree = tree

    def balance(self, success: float) -> None:
        """Draw this share of all transitions from successful episodes, and the rest from the others.

        Raises:
            InputError: no share, or there are no episodes of one of the two kinds.
        """
        share = checks.share("share of successes", success)
        counts = [int(self._steps[self._success == kind].sum()) for kind in (False, True)]
        for count, wanted, kind in zip(counts, (1.0 - share, share), ("failed", "successful"), strict=True):
            if wanted > 0.0 and count == 0:
                raise InputError(f"a share of {wanted:g} is to come from {kind} episodes, and there are none")
        per_step = [(1.0 - share) / max(counts[0], 1), share / max(counts[1], 1)]
        self.set_weights(np.repeat(np.where(self._success, per_step[1], per_step[0]), self._steps))

    # --- batches ------------------------------------------------------------------------------------------

    def batch(self, size: int, rng: np.random.Generator, correction: float = 0.0) -> TransitionBatch:
        """Draw transitions, with replacement.

        Args:
            size: how many, B.
            rng: everything random comes from it.
            correction: exponent of the importance weights (N p)^-correction, scaled so that the largest is 1;
                0 leaves drawing by weights uncorrected, 1 undoes it.
        """
        return self.at(self.draw(size, rng), correction)

    def draw(self, size: int, rng: np.random.Generator) -> Indices:
        """Indices of transitions, with replacement, by their weights, (size,)."""
        checks.whole("size of a batch", size, 0)
        return rng.integers(len(self), size=size) if self._tree is None else self._tree.draw(size, rng)

    def at(self, index: Indices, correction: float = 0.0) -> TransitionBatch:
        """The transitions of these indices (B,)."""
        return self.fill(self.room(len(index)), self.room(len(index)), index, correction)

    def room(self, size: int) -> dict[str, Array]:
        """Arrays for so many observations."""
        result = {}
        for name, column in self._observations.items():
            window = (length,) if (length := self.windows.get(name, 1)) > 1 else ()
            result[name] = np.empty((size, *window, *column.kind.shape), column.kind.dtype)
        return result

    def fill(
        self, now: dict[str, Array], then: dict[str, Array], index: Indices, correction: float
    ) -> TransitionBatch:
        """What `at` gives, its observations and the following ones in arrays that the caller gives."""
        episode, step = self._locate(index)
        row, left = self._first[episode] + step, self._steps[episode] - step
        ahead = np.minimum(left, self.n_step)
        ends = left <= self.n_step
        outcome = np.where(self._success[episode], self.discount ** (left - 1.0), 0.0)
        bootstrap = np.where(ends & self._terminated[episode], 0.0, self.discount**ahead)
        action, requested, altered = self._actions(row, episode)
        next_action, _, _ = self._actions(row + ahead, episode)
        self._observe(row, self._first[episode], now)
        self._observe(row + ahead, self._first[episode], then)
        return TransitionBatch(
            observation=now,
            action=action,
            requested=requested,
            altered=altered,
            reward=np.where(ends, outcome, 0.0).astype(np.float32),
            bootstrap=bootstrap.astype(np.float32),
            next_observation=then,
            next_action=next_action,
            followed=ahead < left,
            outcome=outcome.astype(np.float32),
            weight=self._importance(index, correction),
            index=index,
        )

    def sequences(self, size: int, length: int, rng: np.random.Generator) -> SequenceBatch:
        """Draw runs of `length` single steps that begin at transitions drawn as in `batch`."""
        index = self.draw(size, rng)
        episode, step = self._locate(index)
        first, left = (self._first[episode] + step)[:, None], (self._steps[episode] - step)[:, None]
        offset = np.arange(checks.whole("length", length, 1) + 1)
        rows = first + np.minimum(offset, left)
        mask = offset[:-1] < left
        last = offset[:-1] == left - 1
        action, requested, altered = self._actions(rows[:, :-1].reshape(-1), np.repeat(episode, length))
        actions = [entry.reshape(size, length, -1) * mask[:, :, None] for entry in (action, requested)]
        ended = last & self._terminated[episode][:, None]
        return SequenceBatch(
            observation={name: column.take(rows) for name, column in self._observations.items()},
            action=actions[0],
            requested=actions[1],
            altered=altered.reshape(size, length) & mask,
            reward=(last & self._success[episode][:, None]).astype(np.float32),
            bootstrap=np.where(mask & ~ended, self.discount, 0.0).astype(np.float32),
            mask=mask,
            weight=np.ones(size, np.float32),
            index=index,
        )

    # --- inside -------------------------------------------------------------------------------------------

    def _locate(self, index: Indices) -> tuple[Indices, Indices]:
        """Episodes of transitions, and the steps in them."""
        episode = np.searchsorted(self._behind, index, side="right")
        return episode, index - self._behind[episode] + self._steps[episode]

    def _observe(self, rows: Indices, first: Indices, room: dict[str, Array]) -> None:
        """Put observations of rows (B,) of episodes that begin at `first` (B,) into arrays."""
        for name, column in self._observations.items():
            wanted = rows
            if (length := self.windows.get(name, 1)) > 1:
                wanted = np.maximum(rows[:, None] - np.arange(length - 1, -1, -1), first[:, None])
            column.take(wanted, room[name])

    def _actions(self, rows: Indices, episode: Indices) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """What was sent (M, a), what was asked for (M, a) and whether they differ (M,), of rows (M,)."""
        requested, filtered = self._requested.take(rows), self._filtered.take(rows)
        n = filtered.shape[1]
        altered = refused(requested[:, :n], filtered)
        sent = np.concatenate([filtered, requested[:, n:]], 1)
        for i in np.flatnonzero(~np.isfinite(sent).all(1)):  # only the gripper's target may be no number
            sent[i, n:] = self._gripper_before(int(rows[i]), int(self._first[episode[i]]), n)
        requested = np.where(np.isfinite(requested), requested, sent)
        return sent.astype(np.float32), requested.astype(np.float32), altered

    def _gripper_before(self, row: int, first: int, n: int) -> float:
        """The gripper's last target that was a number: it stays where it was sent; 0 if there was none."""
        targets = self._requested.span(first, row)[:, n]
        numbers = targets[np.isfinite(targets)]
        return float(numbers[-1]) if numbers.size else 0.0

    def _importance(self, index: Indices, correction: float) -> Floats:
        if self._tree is None or correction == 0.0 or not index.size:
            return np.ones(index.size, np.float32)
        weight = self._tree[index] ** -correction
        return (weight / weight.max()).astype(np.float32)


Batch = TypeVar("Batch", TransitionBatch, SequenceBatch)


class Mixture:
    """Batches with fixed shares of several sources, such as half prior half new (Ball et al., ICML 2023).

    A batch has the first source's transitions first. Indices run through all sources, so that `set_weights`
    finds them.

    Args:
        parts: sources and their shares, which add up to 1.

    Raises:
        InputError: no parts, shares that do not add up, or sources of stores with different layouts, or with
            different observations, steps or discounts.
    """

    def __init__(self, parts: Sequence[tuple[Transitions, float]]) -> None:
        if not parts:
            raise InputError("a mixture needs at least one source")
        self.sources = tuple(source for source, _ in parts)
        self.shares = np.array([checks.share("share of a source", share) for _, share in parts])
        if abs(self.shares.sum() - 1.0) > 1e-9:
            raise InputError(
                f"the shares of a mixture add up to {self.shares.sum():g}; they must add up to 1"
            )
        first = self.sources[0]
        for other in self.sources[1:]:
            if gaps := gaps_between(first.layout, other.layout):
                raise InputError("the stores do not fit together:\n" + "\n".join(f"  {gap}" for gap in gaps))
            for name in ("n_step", "discount", "windows", "observe"):
                if getattr(first, name) != getattr(other, name):
                    raise InputError(
                        f"the sources differ in {name}: {getattr(first, name)} and {getattr(other, name)}"
                    )
        self._behind = np.cumsum([len(source) for source in self.sources])

    def __len__(self) -> int:
        return int(self._behind[-1])

    def batch(self, size: int, rng: np.random.Generator, correction: float = 0.0) -> TransitionBatch:
        """Draw from each source its share of `size` transitions; see `Transitions.batch`."""
        now, then = self.sources[0].room(size), self.sources[0].room(size)
        batches, start = [], 0
        for source, count in self._counts(size):
            part = slice(start, start := start + count)
            rooms = [{name: array[part] for name, array in room.items()} for room in (now, then)]
            batches.append(source.fill(rooms[0], rooms[1], source.draw(count, rng), correction))
        return self._join(batches, observation=now, next_observation=then)

    def sequences(self, size: int, length: int, rng: np.random.Generator) -> SequenceBatch:
        """The same for `Transitions.sequences`."""
        return self._join([s.sequences(count, length, rng) for s, count in self._counts(size)])

    def set_weights(self, weights: Array, index: Indices | None = None) -> None:
        """See `Transitions.set_weights`; weights count against those of the same source."""
        index = np.arange(len(self)) if index is None else index
        owner = np.searchsorted(self._behind, index, side="right")
        for number, source in enumerate(self.sources):
            mine = owner == number
            if mine.any():
                source.set_weights(
                    np.asarray(weights)[mine], index[mine] - self._behind[number] + len(source)
                )

    def _counts(self, size: int) -> list[tuple[Transitions, int]]:
        """How many each source gives: the share rounded down, and one more where most was rounded off."""
        exact = self.shares * size
        counts = np.floor(exact + 1e-9).astype(int)
        short = size - int(counts.sum())
        counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
        return list(zip(self.sources, counts.tolist(), strict=True))

    def _join(self, batches: list[Batch], **values: Any) -> Batch:
        """One batch of several; `values` are fields that are joined already."""
        for field in fields(batches[0]):
            if field.name in values:
                continue
            entries = [getattr(batch, field.name) for batch in batches]
            if field.name == "index":
                starts = self._behind - [len(source) for source in self.sources]
                entries = [index + start for index, start in zip(entries, starts, strict=True)]
            if isinstance(entries[0], dict):
                values[field.name] = {
                    name: np.concatenate([entry[name] for entry in entries]) for name in entries[0]
                }
            else:
                values[field.name] = np.concatenate(entries)
        return type(batches[0])(**values)
