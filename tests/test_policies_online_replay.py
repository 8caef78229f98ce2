from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_episodes import small_episode

from robolearn.errors import InputError
from robolearn.policies.online.replay import Replay, reward_of

REASONS = st.sampled_from(["success", "time", "cut", "lost"])
LIVES = st.lists(st.tuples(st.integers(1, 7), REASONS), min_size=1, max_size=12)


def naive(lives: Any, capacity: int, n_step: int, discount: float) -> list[dict[str, Any]]:
    """Every transition that must be there, worked out one by one: oldest first."""
    kept: list[tuple[int, int, str]] = []
    for number, (steps, reason) in enumerate(lives):
        kept.append((number, steps, reason))
        while sum(length + 1 for _, length, _ in kept) > capacity:
            kept.pop(0)
    found = []
    for number, steps, reason in kept:
        reward = [float(reason == "success" and step == steps - 1) for step in range(steps)]
        for step in range(steps):
            then = min(step + n_step, steps)
            ended = then == steps and reason in ("success", "lost")
            found.append(
                {
                    "now": (number, step),
                    "then": (number, then),
                    "reward": sum(discount**k * reward[step + k] for k in range(then - step)),
                    "bootstrap": 0.0 if ended else discount ** (then - step),
                    "outcome": sum(discount**k * reward[step + k] for k in range(steps - step)),
                    "followed": then < steps,
                }
            )
    return found


@given(LIVES, st.integers(8, 20), st.integers(1, 4))
def test_the_ring_holds_what_it_should_and_never_crosses_a_reset(
    lives: Any, capacity: int, n_step: int
) -> None:
    replay = Replay(capacity, ("q",), n_step=n_step, discount=0.5)
    for number, (steps, reason) in enumerate(lives):
        replay.add(small_episode(number, steps, reason))
    expected = naive(lives, capacity, n_step, 0.5)
    assert len(replay) == len(expected)
    batch = replay.at(np.arange(len(replay)))
    assert [tuple(row) for row in batch.observation["q"].tolist()] == [entry["now"] for entry in expected]
    assert [tuple(row) for row in batch.next_observation["q"].tolist()] == [
        entry["then"] for entry in expected
    ]
    for name in ("reward", "bootstrap", "outcome", "followed"):
        assert getattr(batch, name).tolist() == [entry[name] for entry in expected]
    assert [(row[0] * 4, row[1] * 4) for row in batch.action.tolist()] == [entry["now"] for entry in expected]
    there = np.array([entry["then"] for entry in expected]) / 4 * batch.followed[:, None]
    np.testing.assert_array_equal(batch.next_action[:, :2], there)


def test_time_that_runs_out_ends_nothing_and_success_and_failure_do() -> None:
    for reason, bootstrap in (("time", 0.9), ("cut", 0.9), ("success", 0.0), ("lost", 0.0)):
        replay = Replay(10, ("q",), discount=0.9)
        replay.add(small_episode(0, 3, reason))
        assert replay.at(np.arange(3)).bootstrap.tolist() == pytest.approx([0.9, 0.9, bootstrap])


def test_windows_look_back_and_not_into_the_episode_before() -> None:
    replay = Replay(12, ("q", "front"), {"q": 3}, n_step=2)
    for number in range(4):  # the ring has gone round
        replay.add(small_episode(number, 4))
    batch = replay.at(np.arange(8))
    seen = batch.observation["q"][..., 1].astype(int).tolist()
    assert seen == 2 * [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    then = batch.next_observation["q"][..., 1].astype(int).tolist()
    assert then == 2 * [[0, 1, 2], [1, 2, 3], [2, 3, 4], [2, 3, 4]]
    assert (batch.observation["q"][..., 0] == np.repeat([2, 3], 4)[:, None]).all()
    assert batch.observation["front"].shape == (8, 3, 4, 3)
    assert batch.observation["front"][:, 0, 0, 0].tolist() == [2, 3, 4, 5, 3, 4, 5, 6]


def test_draws_are_even_and_repeatable() -> None:
    replay = Replay(20, ("q",))
    for number in range(3):
        replay.add(small_episode(number, 4))
    one, other = (replay.batch(6000, np.random.default_rng(3)) for _ in range(2))
    assert one.index.tolist() == other.index.tolist()
    counts = np.bincount(one.index, minlength=12)
    assert counts.min() > 400
    assert len(counts) == 12


def test_learned_from_is_what_was_asked_for() -> None:
    replay = Replay(10, ("q",))
    episode = small_episode(2, 3)
    replay.add(episode)
    batch = replay.at(np.arange(3))
    np.testing.assert_array_equal(batch.action, episode.requested.astype(np.float32))
    assert not np.array_equal(batch.action[:, :2], episode.filtered)
    asked = episode.requested.copy()
    asked[1] = np.nan  # whoever asked for no number got what was sent, and the gripper open
    replay.add(replace(episode, requested=asked))
    assert replay.at(np.array([4])).action.tolist() == [[0.5, 0.125, 0.0]]


SCALES = {"near": 1.0, "cost": -3.0, "done": 3.0}


def rewarded(reason: str) -> Any:
    terms = {name: np.zeros(3) for name in SCALES}
    return small_episode(
        0, 3, reason, reward=np.array([1.0, 9.0, -2.0]), reward_terms=terms, config={"reward_scales": SCALES}
    )


def test_shaping_counts_less_than_success() -> None:
    assert reward_of(rewarded("success"), 0.0, 0.9).tolist() == [0.0, 0.0, 1.0]
    shaped = reward_of(rewarded("time"), 0.5, 0.9)
    assert shaped.tolist() == pytest.approx([0.1 * 0.5 / 4, 0.1 * 0.5, 0.0])  # at most all, at least nothing
    forever = float(shaped.max()) / (1 - 0.9)
    assert forever == pytest.approx(0.5)
    assert forever < reward_of(rewarded("success"), 0.5, 0.9)[-1]


def test_logs_without_terms_can_be_learned_from_by_success_alone() -> None:
    with pytest.raises(InputError, match=r"does not tell its reward's terms.*--online.shaping 0"):
        Replay(10, ("q",), shaping=0.5).add(small_episode())
    Replay(10, ("q",)).add(small_episode())


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(InputError, match="an episode of 9 steps is more than a replay of 9 can keep"):
        Replay(9, ("q",)).add(small_episode(0, 9))
    with pytest.raises(InputError, match="lacks the observation 'wrist'"):
        Replay(9, ("wrist",)).add(small_episode())
    for values in ({"capacity": 1}, {"n_step": 0}, {"discount": 1.5}, {"shaping": -1.0}):
        with pytest.raises(InputError):
            Replay(**{"capacity": 9, "observe": ("q",), **values})  # type: ignore[arg-type]


def test_readings_are_those_that_transitions_begin_at() -> None:
    replay = Replay(8, ("q",))
    for number in range(3):
        replay.add(small_episode(number, 3))
    assert replay.readings(["q", "action"])[:, :2].tolist() == [[n, t] for n in (1, 2) for t in range(3)]
