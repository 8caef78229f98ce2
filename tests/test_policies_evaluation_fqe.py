from __future__ import annotations

import numpy as np
import pytest
from logged_mdps import Mdp, chain, gamble, logged, proposed, states_of

from robolearn.errors import InputError
from robolearn.policies.evaluation.fqe import FittedQ, FQEConfig, fitted_q
from robolearn.policies.evaluation.logged import unseen
from robolearn.policies.offline.networks import Critic

QUICK = FQEConfig(updates=1200, batch=64, members=4, hidden=32, target_rate=0.05, learning_rate=3e-3)


@pytest.mark.parametrize(
    ("mdp", "closes"),
    [
        (chain(4), [True] * 5),
        (gamble(0.7), [True, True, True]),
        (gamble(0.7), [True, False, True]),
        (gamble(0.7), [False, True, True]),
    ],
)
def test_it_finds_the_value_of_a_policy_that_did_not_make_the_logs(mdp: Mdp, closes: list[bool]) -> None:
    data = logged(mdp, np.full(len(mdp.reward), 0.6), 300)
    policy = np.array(closes)
    found = fitted_q(data, proposed(data, policy), QUICK)
    exact = mdp.value(policy.astype(float))
    assert found.value == pytest.approx(exact[0], abs=0.05)
    # and the value of every action, tried or not
    states = states_of(data)
    choice = (data.action[:, 1] > 0).astype(int)
    q = mdp.q(policy.astype(float))[states[data.row], choice]
    assert np.abs(found.q.mean(0) - q).max() < 0.1
    going_on = states < len(exact) - 1
    assert np.abs(found.v.mean(0) - exact[states])[going_on].max() < 0.1


def test_its_spread_covers_what_other_episodes_would_have_said() -> None:
    """Of a bet of chance 0.5 the value is the share that was won, by 20 episodes not better known."""
    mdp = gamble(0.5, discount=1.0)
    closes = np.array([True, True, True])
    few = logged(mdp, np.ones(3), 20, seed=3)
    many = logged(mdp, np.ones(3), 2000, seed=3)
    config = FQEConfig(updates=800, batch=64, members=16, hidden=16, target_rate=0.05, learning_rate=3e-3)
    spread_few = fitted_q(few, proposed(few, closes), config).values.std()
    spread_many = fitted_q(many, proposed(many, closes), config).values.std()
    assert 0.05 < spread_few < 0.2  # a binomial share of 20 has 0.11
    assert spread_many < 0.5 * spread_few


def test_an_episode_that_was_cut_off_goes_on_in_value() -> None:
    """What came after the cut is known from other episodes."""
    mdp = chain(3)
    data = logged(mdp, np.full(4, 0.5), 400, limit=4)
    cut = np.diff(data.episode, append=-1) != 0
    assert (data.bootstrap[cut] > 0).mean() > 0.5
    found = fitted_q(data, proposed(data, np.ones(4, bool)), QUICK)
    assert found.value == pytest.approx(0.81, abs=0.06)


def test_the_same_seed_gives_the_same_numbers_and_leaves_torchs_alone() -> None:
    import torch

    data = logged(chain(2), np.full(3, 0.5), 20)
    config = FQEConfig(updates=20, batch=8, members=2, hidden=8)
    torch.manual_seed(7)
    before = torch.rand(1)
    torch.manual_seed(7)
    one, two = (fitted_q(data, proposed(data, np.ones(3, bool)), config) for _ in range(2))
    assert torch.equal(torch.rand(1), before)
    assert np.array_equal(one.values, two.values)
    assert not np.array_equal(
        fitted_q(data, proposed(data, np.ones(3, bool)), config, seed=1).values, one.values
    )


def test_judges_of_an_episode_never_saw_it() -> None:
    counts = np.array([[0, 1, 2], [1, 0, 3]])
    assert unseen(counts).tolist() == [[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]
    data = logged(chain(2), np.ones(3), 3)
    q = np.arange(2 * len(data.action), dtype=np.float32).reshape(2, -1)
    v = np.zeros((2, len(data.features)), np.float32)
    mean, _ = FittedQ(np.zeros(2), counts, q, v, Critic(1, 1, 1, 0)).unseen(data)
    assert mean.tolist() == [*q[0, :2], *q[1, 2:4], *q[:, 4:6].mean(0)]


def test_values_stay_in_their_bounds_even_where_nobody_acted_so() -> None:
    data = logged(chain(3), np.full(4, 0.5), 50)
    wild = proposed(data, np.ones(4, bool)) * 50.0
    found = fitted_q(data, wild, FQEConfig(updates=300, batch=32, members=2, hidden=16))
    assert np.abs(found.values).max() < 1.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"updates": 0}, "updates is 0"),
        ({"members": 1}, "members is 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"target_rate": 2.0}, "target_rate is 2"),
        ({"low": 1.0}, "low must be the lower one"),
    ],
)
def test_a_value_that_no_learning_can_be_done_with_is_refused(changes: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FQEConfig(**changes)  # type: ignore[arg-type]


def test_actions_of_other_episodes_are_refused() -> None:
    data = logged(chain(2), np.ones(3), 3)
    with pytest.raises(InputError, match=r"have shape \(2, 2\); these episodes need \(9, 2\)"):
        fitted_q(data, np.zeros((2, 2), np.float32))
