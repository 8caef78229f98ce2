"""Batches from a store against a plain-Python oracle that knows nothing of rows and shards."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robolearn.contract import Action
from robolearn.data.episode import Episode
from robolearn.data.store import Mixture, Query, Store, Transitions
from robolearn.errors import InputError
from tests.small_episodes import other_contract, quick_folder, small_episode

ENDS = ("success", "dropped", "stopped", "time", "cut")


@dataclass
class Oracle:
    """What a transition is, by the definitions."""

    episode: Episode
    step: int
    n_step: int
    discount: float

    def ahead(self) -> int:
        return min(self.n_step, len(self.episode) - self.step)

    def reward(self) -> float:
        total = 0.0
        for k in range(self.ahead()):
            last = self.step + k == len(self.episode) - 1
            total += self.discount**k * float(last and self.episode.outcome.success)
        return total

    def outcome(self) -> float:
        steps = range(self.step, len(self.episode))
        return sum(
            self.discount ** (t - self.step) * (t == steps[-1] and self.episode.outcome.success)
            for t in steps
        )

    def over(self) -> bool:
        return self.step + self.ahead() == len(self.episode)

    def bootstrap(self) -> float:
        ended = self.over() and self.episode.outcome.reason not in ("time", "cut")
        return 0.0 if ended else self.discount ** self.ahead()

    def window(self, name: str, step: int, length: int) -> np.ndarray:
        steps = [max(step - back, 0) for back in range(length - 1, -1, -1)]
        array = self.episode.observations[name]
        return np.stack([array[t] for t in steps]) if length > 1 else array[step]

    def sent(self, step: int) -> np.ndarray:
        return np.append(self.episode.filtered[step], self.episode.requested[step, -1])


stories = st.lists(st.tuples(st.integers(1, 7), st.sampled_from(ENDS)), min_size=1, max_size=6)


def open_with(folder: Any, episodes: list[Episode], shard_bytes: int = 2200) -> Store:
    store = Store.create(folder / "store", shard_bytes=shard_bytes)
    with store.group():
        for episode in episodes:
            store.add(episode, origin="a")
    return store


@pytest.fixture
def store() -> Iterator[Store]:
    kinds = [(3, "success"), (5, "time"), (2, "dropped"), (6, "success"), (1, "dropped")]
    episodes = [small_episode(n, *kind) for n, kind in enumerate(kinds)]
    with quick_folder() as folder, open_with(folder, episodes) as opened:
        yield opened


@settings(max_examples=60)
@given(stories, st.integers(1, 4), st.integers(1, 3), st.sampled_from([0.0, 0.9, 1.0]), st.data())
def test_transitions_are_what_the_oracle_says(
    kinds: list[tuple[int, str]], n_step: int, window: int, discount: float, data: st.DataObject
):
    episodes = [small_episode(n, *kind) for n, kind in enumerate(kinds)]
    chosen = data.draw(st.lists(st.sampled_from(range(len(episodes))), min_size=1, unique=True))
    with quick_folder() as folder, open_with(folder, episodes) as store:
        rows = store.episodes()
        transitions = Transitions(
            store,
            [rows[i] for i in chosen],
            n_step=n_step,
            discount=discount,
            windows={"q": window, "front": 2},
        )
        batch = transitions.at(np.arange(len(transitions)))
    oracles = [
        Oracle(episodes[i], step, n_step, discount) for i in chosen for step in range(len(episodes[i]))
    ]
    assert len(transitions) == len(oracles)
    for i, oracle in enumerate(oracles):
        step, after = oracle.step, oracle.step + oracle.ahead()
        for name, length in (("q", window), ("front", 2)):
            assert np.array_equal(batch.observation[name][i], oracle.window(name, step, length))
            assert np.array_equal(batch.next_observation[name][i], oracle.window(name, after, length))
        assert np.array_equal(batch.action[i], oracle.sent(step))
        assert np.array_equal(batch.requested[i], oracle.episode.requested[step])
        assert batch.altered[i] == (step == 1)
        assert batch.reward[i] == pytest.approx(oracle.reward())
        assert batch.outcome[i] == pytest.approx(oracle.outcome())
        assert batch.bootstrap[i] == pytest.approx(oracle.bootstrap())
        assert batch.followed[i] == (not oracle.over())
        assert np.array_equal(batch.next_action[i], np.zeros(3) if oracle.over() else oracle.sent(after))
    assert (batch.weight == 1.0).all()


@settings(max_examples=40)
@given(stories, st.integers(1, 5), st.integers(0, 2**32))
def test_sequences_are_what_the_oracle_says(kinds: list[tuple[int, str]], length: int, seed: int):
    episodes = [small_episode(n, *kind) for n, kind in enumerate(kinds)]
    with quick_folder() as folder, open_with(folder, episodes) as store:
        batch = Transitions(store, discount=0.9).sequences(7, length, np.random.default_rng(seed))
    places = [(episode, step) for episode in episodes for step in range(len(episode))]
    for i, index in enumerate(batch.index):
        episode, first = places[index]
        for k in range(length):
            step = first + k
            there = step < len(episode)
            assert batch.mask[i, k] == there
            assert np.array_equal(
                batch.observation["q"][i, k], episode.observations["q"][min(step, len(episode))]
            )
            oracle = Oracle(episode, step, 1, 0.9)
            assert np.array_equal(batch.action[i, k], oracle.sent(step) if there else np.zeros(3))
            assert np.array_equal(batch.requested[i, k], episode.requested[step] if there else np.zeros(3))
            assert batch.altered[i, k] == (there and step == 1)
            assert batch.reward[i, k] == pytest.approx(oracle.reward() if there else 0.0)
            assert batch.bootstrap[i, k] == pytest.approx(oracle.bootstrap() if there else 0.0)
        last = min(first + length, len(episode))
        assert np.array_equal(batch.observation["q"][i, length], episode.observations["q"][last])


def equal(one: Any, other: Any) -> bool:
    """Whether two batches are equal."""
    for field in fields(one):
        mine, its = getattr(one, field.name), getattr(other, field.name)
        pairs = [(mine[k], its[k]) for k in mine] if isinstance(mine, dict) else [(mine, its)]
        if not all(np.array_equal(a, b) for a, b in pairs):
            return False
    return True


def test_batches_repeat_with_the_generator(store: Store):
    transitions = Transitions(store, n_step=2)
    mixture = Mixture([(transitions, 0.3), (Transitions(store, n_step=2), 0.7)])
    for source in (transitions, mixture):
        for weighted in (False, True):
            if weighted:
                source.set_weights(np.arange(len(source), dtype=float))
            one, other = (source.batch(64, np.random.default_rng(5)) for _ in range(2))
            assert equal(one, other)
            assert not equal(one, source.batch(64, np.random.default_rng(6)))
            assert equal(*(source.sequences(9, 3, np.random.default_rng(5)) for _ in range(2)))


def test_uniform_batches_are_uniform(store: Store):
    transitions = Transitions(store)
    counts = np.bincount(transitions.batch(17_000, np.random.default_rng(1)).index, minlength=17)
    assert len(counts) == len(transitions) == 17
    assert abs(counts - 1000).max() < 4 * math.sqrt(1000)


def test_weights_decide_and_may_be_updated(store: Store):
    transitions = Transitions(store)
    assert (transitions.weights == 1.0).all()
    weights = np.zeros(17)
    weights[[2, 5]] = 1.0, 3.0
    transitions.set_weights(weights)
    index = transitions.batch(4000, np.random.default_rng(0)).index
    assert set(index) == {2, 5}
    assert abs((index == 5).mean() - 0.75) < 0.03
    transitions.set_weights(np.array([0.0, 1.0]), np.array([5, 16]))
    assert set(transitions.batch(100, np.random.default_rng(0)).index) == {2, 16}
    assert np.flatnonzero(transitions.weights).tolist() == [2, 16]
    with pytest.raises(InputError, match="all weights are 0"):
        transitions.set_weights(np.zeros(2), np.array([2, 16]))
    assert np.flatnonzero(transitions.weights).tolist() == [2, 16]


def test_importance_weights_undo_the_drawing(store: Store):
    transitions = Transitions(store)
    weights = np.linspace(1.0, 4.0, 17)
    transitions.set_weights(weights)
    batch = transitions.batch(50_000, np.random.default_rng(0), correction=1.0)
    assert batch.weight.max() == 1.0
    counted = np.bincount(batch.index, batch.weight)
    assert abs(counted / counted.mean() - 1.0).max() < 0.1
    half = transitions.at(batch.index, correction=0.5)
    assert np.allclose(half.weight**2, batch.weight, rtol=1e-5)
    assert (transitions.at(batch.index).weight == 1.0).all()


def test_outcomes_are_balanced(store: Store):
    transitions = Transitions(store)
    transitions.balance(0.8)
    batch = transitions.batch(20_000, np.random.default_rng(0))
    owner = batch.observation["q"][:, 0]
    succeeded = np.isin(owner, (0, 3))
    assert abs(succeeded.mean() - 0.8) < 0.02
    counts = np.bincount(batch.index[succeeded], minlength=17)
    assert abs(counts[counts > 0] / counts[counts > 0].mean() - 1).max() < 0.15  # evenly among successes
    transitions.balance(1.0)
    assert set(transitions.batch(100, np.random.default_rng(0)).observation["q"][:, 0]) <= {0.0, 3.0}


def test_there_must_be_outcomes_to_balance(store: Store):
    failures = Transitions(store, store.episodes(Query(success=False)))
    with pytest.raises(
        InputError, match=r"share of 0\.5 is to come from successful episodes, and there are none"
    ):
        failures.balance(0.5)
    failures.balance(0.0)
    with pytest.raises(InputError, match=r"share of successes is 1\.5"):
        failures.balance(1.5)


def test_mixtures_give_each_source_its_share(store: Store):
    rows = store.episodes()
    sources = [Transitions(store, rows[:1]), Transitions(store, rows[1:2]), Transitions(store, rows[2:])]
    mixture = Mixture(list(zip(sources, (0.5, 0.25, 0.25), strict=True)))
    assert len(mixture) == 17
    rng = np.random.default_rng(0)
    for size, counts in (
        (8, (4, 2, 2)),
        (256, (128, 64, 64)),
        (9, (5, 2, 2)),
        (1, (1, 0, 0)),
        (0, (0, 0, 0)),
    ):
        batch = mixture.batch(size, rng)
        owner = batch.observation["q"][:, 0]
        got = ((owner == 0).sum(), (owner == 1).sum(), (owner > 1).sum())
        assert got == counts
        bounds = np.searchsorted([3, 8], batch.index, side="right")
        assert np.bincount(bounds, minlength=3).tolist() == list(counts)
    assert mixture.sequences(8, 2, rng).observation["q"].shape == (8, 3, 2)
    mixture.set_weights(np.array([0.0, 0.0, 0.0, 0.0, 5.0]), np.array([1, 2, 3, 4, 16]))
    assert sources[0].weights.tolist() == [1, 0, 0]
    assert sources[1].weights.tolist() == [0, 0, 1, 1, 1]
    assert sources[2].weights.tolist() == [1.0] * 8 + [5.0]
    mixture.set_weights(np.ones(17))
    assert all((source.weights == 1.0).all() for source in sources)


def test_what_does_not_mix(store: Store):
    transitions = Transitions(store)
    with pytest.raises(InputError, match="at least one"):
        Mixture([])
    with pytest.raises(InputError, match=r"add up to 0\.9"):
        Mixture([(transitions, 0.5), (transitions, 0.4)])
    with pytest.raises(InputError, match="share of a source is -1"):
        Mixture([(transitions, -1.0), (transitions, 2.0)])
    with pytest.raises(InputError, match="differ in n_step: 1 and 3"):
        Mixture([(transitions, 0.5), (Transitions(store, n_step=3), 0.5)])
    other = other_contract(control_rate=25)
    with quick_folder() as folder, open_with(folder, [small_episode(contract=other)]) as second:
        elsewhere = Transitions(second)
        with pytest.raises(InputError, match="control rate: requires 20 Hz, offered 25 Hz"):
            Mixture([(transitions, 0.5), (elsewhere, 0.5)])


def test_only_the_observations_wanted(store: Store):
    transitions = Transitions(store, observe=["q"])
    batch = transitions.batch(3, np.random.default_rng(0))
    assert list(batch.observation) == list(batch.next_observation) == ["q"]
    with pytest.raises(InputError, match=r"unknown observation 'state'.*front, q"):
        Transitions(store, observe=["state"])
    with pytest.raises(InputError, match="unknown observation with a window 'front'"):
        Transitions(store, observe=["q"], windows={"front": 2})


def test_a_request_that_is_no_number_never_reaches_a_learner():
    requested = small_episode(0, 4).requested
    requested[0, 0], requested[1, 2], requested[2, 2] = math.nan, math.nan, math.inf
    first = small_episode(1, 2).requested
    first[0, 2] = math.nan
    episodes = [small_episode(0, 4, requested=requested), small_episode(1, 2, requested=first)]
    episodes[0].filtered[0] = 0.0
    with quick_folder() as folder, open_with(folder, episodes) as store:
        batch = Transitions(store).at(np.arange(6))
    assert batch.altered.tolist() == [False, True, False, False, False, True]
    assert batch.action[:, 2].tolist() == [-1, -1, -1, 1, 0, 1]  # the gripper stays where it was sent
    assert batch.requested[0].tolist() == [0, 0, -1]
    assert np.isfinite(batch.action).all()
    assert np.isfinite(batch.requested).all()
    assert batch.next_action[0].tolist() == batch.action[1].tolist()


@pytest.mark.parametrize(
    "weights",
    [
        np.ones(16),
        np.full(17, -1.0),
        np.full(17, math.nan),
        np.full(17, math.inf),
        np.zeros(17),
        np.ones((17, 1)),
    ],
)
def test_weights_that_cannot_be(store: Store, weights: Any):
    with pytest.raises(InputError, match="weights"):
        Transitions(store).set_weights(weights)


def test_nothing_to_draw_from(store: Store):
    with pytest.raises(InputError, match=r"no episode of the store .* was selected"):
        Transitions(store, store.episodes(Query(task="fold")))


def test_an_empty_store(tmp_path: Path):
    with Store.create(tmp_path / "empty") as empty, pytest.raises(InputError, match="no episode"):
        Transitions(empty)


def test_what_was_sent_is_known_of_torques_only():
    contract = other_contract(action=Action("pose", 3, "m, rad", gripper=True))
    episode = small_episode(contract=contract, requested=np.zeros((5, 4)))
    with quick_folder() as folder:
        store = open_with(folder, [episode])
        with pytest.raises(InputError, match="actions are pose, 3 x m, rad, gripper"):
            Transitions(store)


@pytest.mark.parametrize("arguments", [{"n_step": 0}, {"discount": 1.5}, {"windows": {"q": 0}}])
def test_arguments_that_cannot_be(store: Store, arguments: Any):
    with pytest.raises(InputError, match=next(iter(arguments)).rstrip("s")):
        Transitions(store, **arguments)


def test_transitions_stay_as_they_are_while_the_store_grows_and_after_it_closed(store: Store):
    transitions = Transitions(store)
    before = transitions.at(np.arange(17))
    for number in range(5, 20):
        store.add(small_episode(number, 9), origin="a")
    store.close()
    assert len(transitions) == 17
    assert equal(before, transitions.at(np.arange(17)))


def test_batches_are_drawn_in_threads_too(store: Store):
    transitions = Transitions(store)
    expected = [transitions.batch(32, np.random.default_rng(seed)) for seed in range(8)]
    found: dict[int, Any] = {}

    def draw(seed: int) -> None:
        found[seed] = transitions.batch(32, np.random.default_rng(seed))

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(equal(found[seed], expected[seed]) for seed in range(8))
