from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.exploring import Exploring, explore

PANDA = load_arm("panda")
SPREAD = PANDA.noticeable_torque
ASKED = np.arange(8, dtype=np.float32)


class Constant:
    """Asks for the same always, and counts how often it was told to forget."""

    def __init__(self) -> None:
        self.resets = 0
        self.action = ASKED.copy()

    def reset(self) -> None:
        self.resets += 1

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        return self.action


def pushes(exploring: Exploring, count: int) -> np.ndarray:
    return np.array([exploring.act({})[:7] - ASKED[:7] for _ in range(count)])


def test_pushes_have_the_size_that_is_asked_for_and_stay_for_some_actions() -> None:
    drawn = pushes(Exploring(Constant(), SPREAD, 0), 20_000)
    there = drawn.any(1)
    assert there.mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(drawn[there].std(0), SPREAD, rtol=0.1)
    np.testing.assert_allclose(drawn.mean(0), 0.0, atol=0.1)
    changed = (np.diff(drawn, axis=0) != 0.0).any(1)
    assert changed.mean() == pytest.approx(0.25 * 0.75, abs=0.02)  # from none to none looks like no change


def test_the_gripper_is_the_actors_and_so_is_the_array() -> None:
    actor = Constant()
    exploring = Exploring(actor, SPREAD, 1)
    assert all(exploring.act({})[7] == 7.0 for _ in range(20))
    np.testing.assert_array_equal(actor.action, ASKED)


def test_the_same_seed_pushes_the_same_and_an_episode_begins_without() -> None:
    first, second, other = (Exploring(Constant(), SPREAD, seed) for seed in (3, 3, 4))
    a, b = pushes(first, 50), pushes(second, 50)
    np.testing.assert_array_equal(a, b)
    assert (a != pushes(other, 50)).any()
    assert first._push.any() or pushes(first, 50).any()
    while not first._push.any():
        first.act({})
    first.reset()
    assert not first._push.any()


def test_an_actor_that_is_not_pushed_is_itself() -> None:
    actor = Constant()
    assert explore(actor, PANDA, 0.0, 0) is actor
    pushed = explore(actor, PANDA, 0.5, 0)
    assert isinstance(pushed, Exploring)
    np.testing.assert_allclose(pushed._spread, 0.5 * SPREAD)
    pushed.reset()
    assert actor.resets == 1
    with pytest.raises(InputError, match=r"exploration is -0\.1"):
        explore(actor, PANDA, -0.1, 0)


def test_the_last_joints_are_pushed_less() -> None:
    np.testing.assert_allclose(SPREAD, [4.35, 4.35, 4.35, 4.35, 0.2, 0.2, 0.2])
