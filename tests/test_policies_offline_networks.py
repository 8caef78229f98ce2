from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from robolearn.errors import InputError
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.networks import (
    Critic,
    Ensemble,
    LayerNorm,
    below_mean,
    cvar,
    follow,
    lowest,
    td_loss,
    truncated,
)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_members_are_the_networks_that_they_would_be_alone(layer_norm: bool) -> None:
    torch.manual_seed(0)
    ensemble, x = Ensemble(5, 3, 16, 2, members=4, layer_norm=layer_norm), torch.randn(7, 5)
    for part in ensemble.modules():
        if isinstance(part, LayerNorm):
            torch.nn.init.normal_(part.weight)
            torch.nn.init.normal_(part.bias)
    together = ensemble(x)
    assert together.shape == (4, 7, 3)
    for member in range(4):
        alone = x
        for part in ensemble.network:
            if isinstance(part, torch.nn.ReLU):
                alone = torch.relu(alone)
            elif isinstance(part, LayerNorm):
                alone = functional.layer_norm(
                    alone, alone.shape[-1:], part.weight[member, 0], part.bias[member, 0]
                )
            else:
                alone = functional.linear(alone, part.weight[member].T, part.bias[member, 0])
        torch.testing.assert_close(together[member], alone, atol=1e-5, rtol=1e-5)


def test_members_begin_apart_and_as_wide_as_layers_of_torch() -> None:
    torch.manual_seed(0)
    weight = Ensemble(100, 1, 64, 1, members=2).network[0].weight.detach()
    assert not torch.equal(weight[0], weight[1])
    alike = torch.nn.Linear(100, 64).weight.detach()
    assert float(weight.std()) == pytest.approx(float(alike.std()), rel=0.05)


def test_a_critic_judges_many_actions_as_it_judges_each() -> None:
    torch.manual_seed(0)
    critic = Critic(3 + 2, 4, 16, 2, members=3)
    features, actions = torch.randn(6, 3), torch.randn(5, 6, 2)
    many = critic.many(features, actions)
    assert many.shape == (3, 5, 6)
    for number, action in enumerate(actions):
        torch.testing.assert_close(many[:, number], critic(features, action).mean(-1), atol=1e-6, rtol=1e-5)
    own = critic(features, actions[:3])  # other actions for each member
    for member in range(3):
        torch.testing.assert_close(
            own[member], critic(features, actions[member])[member], atol=1e-6, rtol=1e-5
        )


def test_what_is_believed_where_members_differ() -> None:
    returns = torch.tensor(
        [[[0.0, 2.0]], [[1.0, 1.0]], [[2.0, 3.0]]]
    )  # three members, one row, two quantiles
    assert lowest(returns).tolist() == [[0.0, 1.0]]
    spread = np.sqrt(2 / 3)
    assert below_mean(returns, 0.5).tolist()[0] == pytest.approx([1.0 - 0.5 * spread, 2.0 - 0.5 * spread])
    for dropped, left in ((0.0, [0, 1, 1, 2, 2, 3]), (1 / 3, [0, 1, 1, 2]), (0.99, [0])):
        assert truncated(returns, dropped).tolist()[0] == pytest.approx(np.quantile(left, (0.25, 0.75)))
    for pessimism, expected in (
        ("lowest", lowest(returns)),
        ("deviations", below_mean(returns, 1.0)),
        ("truncated", truncated(returns, 0.5)),
    ):
        config = OfflineConfig(pessimism=pessimism, quantiles=2, dropped=0.5)
        assert torch.equal(config.believed(returns), expected)


def test_one_member_is_believed_as_it_is() -> None:
    returns = torch.randn(1, 5, 3)
    assert torch.equal(lowest(returns), returns[0])
    assert torch.equal(below_mean(returns, 2.0), returns[0])


@given(
    st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=20),
    st.floats(0.01, 1.0),
)
@settings(deadline=None)
def test_cvar_is_the_mean_of_the_worst_share(values: list[float], share: float) -> None:
    """Against its definition: the mean of the inverse distribution function over levels below the share."""
    levels = (np.arange(20_000) + 0.5) / 20_000 * share
    worst = np.sort(np.float32(values))[np.minimum((levels * len(values)).astype(int), len(values) - 1)]
    assert float(cvar(torch.tensor(values), share)) == pytest.approx(float(worst.mean()), abs=2e-2)


def test_cvar_of_everything_is_the_mean() -> None:
    values = torch.randn(4, 9)
    torch.testing.assert_close(cvar(values, 1.0), values.mean(-1))
    torch.testing.assert_close(cvar(values, 1 / 9), values.amin(-1))


@pytest.mark.parametrize("kind", ["uniform", "gamble"])
def test_quantiles_recover_a_known_distribution_of_returns(kind: str) -> None:
    torch.manual_seed(0)
    critic = Critic(1 + 1, 8, 16, 1, members=2)
    optimiser = torch.optim.Adam(critic.parameters(), 1e-2)
    nothing = torch.zeros(256, 1)
    for step in range(400):
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * (1.0 - step / 400)
        returned = torch.rand(256, 1) if kind == "uniform" else (torch.rand(256, 1) < 0.3).float()
        loss = td_loss(critic(nothing, nothing), returned, torch.ones(256))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        quantiles = critic(nothing[:1], nothing[:1])[:, 0]
    levels = (np.arange(8) + 0.5) / 8
    expected = levels if kind == "uniform" else (levels > 0.7).astype(float)
    for member in quantiles.numpy():
        np.testing.assert_allclose(member, expected, atol=0.06)


def test_losses_weigh_transitions_and_reach_every_member() -> None:
    returns = torch.zeros(3, 2, 1, requires_grad=True)
    goal = torch.tensor([[1.0], [2.0]])
    loss = td_loss(returns, goal, torch.tensor([1.0, 0.5]))
    assert float(loss.detach()) == pytest.approx(3 * 0.5 * (1.0 + 0.5 * 4.0) / 2)
    (gradient,) = torch.autograd.grad(loss, returns)
    assert gradient[:, 0].flatten().tolist() == pytest.approx([-0.5] * 3)
    assert gradient[:, 1].flatten().tolist() == pytest.approx([-0.5] * 3)


def test_targets_go_a_share_of_the_way() -> None:
    target, source = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = target.weight.detach().clone()
    follow(target.parameters(), source.parameters(), 0.25)
    torch.testing.assert_close(target.weight, before + 0.25 * (source.weight - before))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"critics": 1.5}, "critics is 1.5"),
        ({"quantiles": 0}, "quantiles is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"target_rate": 1.5}, "target_rate is 1.5"),
        ({"discount": -0.1}, "discount is -0.1"),
        ({"deviations": -1.0}, "deviations is -1.0"),
        ({"shift": -1}, "shift is -1"),
        ({"layer_norm": 1}, "layer_norm is 1"),
        ({"pessimism": "low"}, "did you mean 'lowest'"),
        ({"dropped": 1.0, "quantiles": 4}, "dropped is 1"),
        ({"pessimism": "truncated"}, "choose more quantiles"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OfflineConfig(**values)  # type: ignore[arg-type]
