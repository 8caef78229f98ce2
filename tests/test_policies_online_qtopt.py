from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from offline_worlds import learn
from online_worlds import hill, judge, learner, plan
from torch import Tensor

from robolearn.policies.online.qtopt import QTOptConfig, search


def test_the_search_finds_a_known_maximum() -> None:
    """One of five cases each: a hill elsewhere, and another gripper that is better."""
    best = torch.tensor([[0.7, -0.9], [0.0, 0.0], [-0.2, 0.5], [1.0, 1.0], [-0.6, 0.1]])
    closing = torch.tensor([True, False, True, False, True])

    def worth(torque: Tensor) -> Tensor:
        value = -(torque - best).square().sum(-1)
        return torch.stack([value - 0.5 * closing, value - 0.5 * ~closing], -1)

    config = QTOptConfig(samples=64, elites=6, rounds=4)
    torque, closed = search(worth, 5, 2, config, torch.Generator().manual_seed(0))
    assert closed.tolist() == closing.tolist()
    assert float((torque - best).abs().max()) < 0.06
    first, _ = search(worth, 5, 2, replace(config, rounds=1), torch.Generator().manual_seed(0))
    assert float((first - best).abs().max()) > 0.06  # drawing alone does not get there


def test_a_search_never_forgets_the_best_it_has_seen() -> None:
    seen: list[Tensor] = []

    def worth(torque: Tensor) -> Tensor:
        seen.append(torque)
        value = torque[..., 0].abs() * torch.where(torque[..., 0] > 0, 1.0, 0.95)
        return torch.stack([value, value - 1.0], -1)

    torque, closed = search(
        worth, 3, 1, QTOptConfig(samples=8, elites=8, rounds=3), torch.Generator().manual_seed(1)
    )
    every = torch.cat(seen)[..., 0]
    value = torch.where(every > 0, every, -0.95 * every)
    torch.testing.assert_close(torch.where(torque > 0, torque, -0.95 * torque)[:, 0], value.amax(0))
    assert not closed.any()


def test_qtopt_learns_values_by_search_and_its_network_proposes_what_is_found() -> None:
    taught = learner("qtopt", 1, samples=32, elites=4, rounds=3)
    world = hill()
    world.bootstrap, world.reward = (
        0.5,
        0.5 * world.reward,
    )  # for ever: the best is worth as much as the hill's top
    learn(taught, world, 700)
    torque, _, logit = plan(taught, 0)
    assert torque == pytest.approx(0.4, abs=0.1)
    assert logit > 2.0
    assert float(judge(taught, 0, 0.4, True).amin()) == pytest.approx(1.3, abs=0.1)
    explored = taught.explorer().explore({"state": torch.ones(500, 1)}, torch.Generator().manual_seed(0))
    assert float(explored[:, 0].mean()) == pytest.approx(0.4, abs=0.1)
    assert float(explored[:, 0].std()) == pytest.approx(taught.config.noise, rel=0.4)
    assert float((explored[:, 1] > 0).float().mean()) == pytest.approx(1 - taught.config.flips, abs=0.02)
