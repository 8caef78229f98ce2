from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from robolearn.policies.online.actor import Plan, SoftActor
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

LOW, HIGH = torch.tensor([-2.0, -1.0]), torch.tensor([4.0, 1.0])


def actor(state: int = 0, layers: int = 2) -> SoftActor:
    torch.manual_seed(0)
    network = Visuomotor(VisuomotorConfig(hidden=16, layers=layers), {}, {"q": 3}, state, 3)
    return SoftActor(network, LOW, HIGH, 0.5 * (HIGH - LOW) / 2)


def plan(middle: float, std: float, count: int = 1) -> Plan:
    return Plan(torch.full((count, 1), middle), torch.full((count, 1), std), torch.zeros(count))


@pytest.mark.parametrize("middle", [-1.7, -1.0, 0.3, 1.0])
@pytest.mark.parametrize("std", [0.05, 0.4, 2.7])
def test_densities_are_those_of_what_is_drawn(middle: float, std: float) -> None:
    torch.manual_seed(0)
    grid = torch.linspace(-1.0, 1.0, 20_001)[:, None]
    density = plan(middle, std, len(grid)).log_prob(grid).exp()
    assert float(torch.trapezoid(density, grid[:, 0])) == pytest.approx(1.0, abs=2e-3)
    drawn, said = plan(middle, std, 20_000).draw()
    assert float(drawn.abs().max()) <= 1.0
    mean = float(torch.trapezoid(density * grid[:, 0], grid[:, 0]))
    assert float(drawn.mean()) == pytest.approx(mean, abs=0.02)
    inside = drawn[:, 0].abs() < 0.999
    again = plan(middle, std, 20_000).log_prob(drawn)
    torch.testing.assert_close(said[inside], again[inside], atol=2e-3, rtol=1e-3)


def test_no_distribution_is_wider_than_the_even_one() -> None:
    torch.manual_seed(0)
    _, density = plan(0.0, math.e, 20_000).draw()
    assert -float(density.mean()) == pytest.approx(math.log(2.0), abs=0.01)


def test_gradients_pass_through_what_is_drawn() -> None:
    """Moving the middle moves what is drawn: as much as the numbers say."""

    def mean(middle: Tensor, std: Tensor) -> Tensor:
        torch.manual_seed(3)
        many = Plan(middle.expand(4000, 1), std.expand(4000, 1), torch.zeros(4000))
        return many.draw()[0].square().mean()

    middle, std = torch.tensor(0.4, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    mean(middle, std).backward()
    with torch.no_grad():
        step = 1e-2
        by_middle = (mean(middle + step, std) - mean(middle - step, std)) / (2 * step)
        by_std = (mean(middle, std + step) - mean(middle, std - step)) / (2 * step)
    assert float(middle.grad) == pytest.approx(float(by_middle), abs=5e-3)  # type: ignore[arg-type]
    assert float(std.grad) == pytest.approx(float(by_std), abs=5e-3)  # type: ignore[arg-type]


def test_beyond_the_box_counts_as_on_its_faces_and_is_told() -> None:
    far = plan(3.0, 0.2, 5)
    assert far.beyond().tolist() == pytest.approx([4.0] * 5)
    assert plan(-0.9, 0.2).beyond().tolist() == [0.0]
    torch.testing.assert_close(
        far.log_prob(torch.full((5, 1), 0.9)), plan(1.0, 0.2, 5).log_prob(torch.full((5, 1), 0.9))
    )


def test_the_gripper_is_a_choice_of_two() -> None:
    choice = Plan(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor([0.0, 3.0])).choice()
    torch.testing.assert_close(choice.exp().sum(1), torch.ones(2))
    assert float(choice[1, 1].exp()) == pytest.approx(1 / (1 + math.exp(-3.0)))


@pytest.mark.parametrize("state", [0, 4])
@pytest.mark.parametrize("layers", [0, 2])
def test_the_network_alone_is_the_most_likely_policy(state: int, layers: int) -> None:
    tried = actor(state, layers)
    tried.network.action_scale[:-1] = torch.tensor([3.0, 0.5])
    tried.network.action_mean[:-1] = torch.tensor([1.0, -0.2])
    tried.log_std.data.fill_(-20.0)  # as narrow as it goes
    q = torch.randn(200, 3)
    with torch.no_grad():
        explored = tried.explore({"q": q}, torch.Generator().manual_seed(0))
        middle = tried.plan(tried.encode({"q": q})).torque
    acted = np.stack([tried.network.act({"q": row.numpy()}) for row in q])
    inside = (middle.abs() < 0.95).all(1).numpy()
    assert inside.sum() > 50
    reach = ((HIGH - LOW) / 2).numpy()
    assert np.abs((explored[:, :-1].numpy() - acted[:, :-1]) / reach)[inside].max() < 0.04


def test_actions_go_into_the_box_and_out_of_it() -> None:
    action = torch.tensor([[1.0, 0.0, 0.3], [4.0, -1.0, -1.0]])
    inside = actor().inside(action)
    assert inside.tolist() == [[0.0, 0.0, 1.0], [1.0, -1.0, -1.0]]
    assert actor().outside(inside)[:, :2].tolist() == action[:, :2].tolist()
    assert actor().inside(torch.tensor([[40.0, -9.0, 1.0]])).tolist() == [[1.0, -1.0, 1.0]]


def test_a_policy_travels_and_explores_the_same() -> None:
    tried = actor(4)
    again = pickle.loads(pickle.dumps(tried))
    seen = {"q": torch.randn(5, 3)}
    one, other = (a.explore(seen, torch.Generator().manual_seed(7)) for a in (tried, again))
    assert torch.equal(one, other)
    assert set(one[:, -1].tolist()) <= {-1.0, 1.0}
