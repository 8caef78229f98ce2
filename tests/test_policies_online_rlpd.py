from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from offline_worlds import CPU, World, learn
from online_worlds import FIXED, SCALAR, chain, judge, learner, plan

from robolearn.errors import InputError
from robolearn.policies.offline.batch import draw
from robolearn.policies.online.rlpd import Halves


class Known:
    """A source whose every reward is the same."""

    def __init__(self, reward: float) -> None:
        self._world = World(1, 0, np.zeros(10), -1.0, np.full(10, reward))

    def batch(self, size: int, rng: np.random.Generator) -> Any:
        from robolearn.data.store.batches import TransitionBatch

        arrays = vars(self._world.batch(size, rng))
        return TransitionBatch(**arrays, index=np.zeros(size, np.int64))


@pytest.mark.parametrize("size", [1, 8, 9])
def test_batches_are_half_of_prior_data_and_half_new(size: int) -> None:
    batch = Halves(Known(0.0), Known(1.0)).batch(size, np.random.default_rng(0))
    assert batch.reward.tolist() == [0.0] * (size // 2) + [1.0] * (size - size // 2)
    assert batch.observation["state"].shape == (size, 1)
    assert len(draw(Halves(Known(0.0), Known(1.0)), size, np.random.default_rng(0), CPU)) == size


def test_rlpd_believes_the_lowest_of_a_few_and_asks_all() -> None:
    shared = replace(SCALAR, critics=6, layer_norm=True)
    taught = learner("rlpd", 1, shared, subset=2)
    returns = torch.arange(6.0)[:, None, None].expand(6, 3, 1)
    torch.manual_seed(0)
    seen = {tuple(taught.believed(returns)[:, 0].tolist()) for _ in range(300)}
    assert seen == {(low,) * 3 for low in (0.0, 1.0, 2.0, 3.0, 4.0)}  # of two different ones, never 5
    spread = torch.arange(12.0).view(6, 1, 2, 1)
    assert taught.opinion(spread).tolist() == [[5.0, 6.0]]
    with pytest.raises(InputError, match="subset is 7, but there are 6 critics"):
        learner("rlpd", 1, shared, subset=7)


def test_rlpd_finds_the_way_to_the_end_from_prior_data() -> None:
    shared = replace(SCALAR, critics=4, layer_norm=True)
    taught = learner("rlpd", 3, shared, temperature=1e-4, **FIXED)
    learn(taught, chain(), 800)
    for state, value in enumerate((0.81, 0.9, 1.0)):
        assert float(judge(taught, state, 0.0, False).mean()) == pytest.approx(value, abs=0.07)
        assert plan(taught, state)[2] < -1.0
