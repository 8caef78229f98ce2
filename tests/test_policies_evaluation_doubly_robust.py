from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from logged_mdps import Mdp, chain, gamble, logged, proposed, states_of

from robolearn.errors import InputError
from robolearn.policies.evaluation.behaviour import LEAST_ERROR, Behaviour, BehaviourConfig, fit_behaviour
from robolearn.policies.evaluation.doubly_robust import (
    Trajectories,
    doubly_robust,
    estimate,
    expectations,
    trajectories,
)
from robolearn.policies.evaluation.fqe import FittedQ
from robolearn.policies.evaluation.logged import Logged
from robolearn.policies.offline.networks import Critic

POLICY = np.array([0.3, 0.8, 0.0])
BEHAVIOUR = np.array([0.6, 0.5, 0.0])


def every_episode(mdp: Mdp) -> list[tuple[float, list[int], list[int]]]:
    """Every episode of two steps at most under the behaviour, with its probability."""
    found = []
    end = len(mdp.reward) - 1
    for first, middle, second, last in itertools.product((0, 1), range(end + 1), (0, 1), range(end + 1)):
        p = (BEHAVIOUR[0] if first else 1 - BEHAVIOUR[0]) * mdp.move[0, first, middle]
        if middle == end:
            if second == 0 and last == 0:
                found.append((p, [0, end], [first]))
            continue
        p *= (BEHAVIOUR[middle] if second else 1 - BEHAVIOUR[middle]) * mdp.move[middle, second, last]
        found.append((p, [0, middle, last], [first, second]))
    return [entry for entry in found if entry[0] > 0]


def as_trajectories(mdp: Mdp, episodes: list[tuple[list[int], list[int]]], q: np.ndarray) -> Trajectories:
    """With exact ratios, and whatever is expected: `q` (S, 2)."""
    length = max(len(actions) for _, actions in episodes)
    arrays = np.zeros((4, len(episodes), length))
    chance = np.stack([1 - POLICY, POLICY], 1)
    for i, (states, actions) in enumerate(episodes):
        for t, (state, action) in enumerate(zip(states, actions, strict=False)):
            mine = POLICY[state] if action else 1 - POLICY[state]
            theirs = BEHAVIOUR[state] if action else 1 - BEHAVIOUR[state]
            arrays[:, i, t] = (
                mdp.reward[state, action],
                np.log(mine / theirs),
                q[state, action],
                chance[state] @ q[state],
            )
    return Trajectories(*arrays, discount=mdp.discount)


@pytest.mark.parametrize("seed", range(4))
def test_with_right_ratios_it_is_right_on_average_whatever_is_expected(seed: int) -> None:
    mdp = gamble(0.7)
    wrong = np.random.default_rng(seed).normal(size=(3, 2))
    wrong[2] = 0.0
    total = 0.0
    episodes = every_episode(mdp)
    assert sum(p for p, _, _ in episodes) == pytest.approx(1.0)
    for p, states, actions in episodes:
        total += p * estimate(as_trajectories(mdp, [(states, actions)], wrong), weighted=False)[0]
    assert total == pytest.approx(mdp.value(POLICY)[0], abs=1e-12)


def test_with_right_expectations_it_is_right_on_average_whatever_the_ratios() -> None:
    mdp = gamble(0.7)
    q = mdp.q(POLICY)
    total = 0.0
    for p, states, actions in every_episode(mdp):
        one = as_trajectories(mdp, [(states, actions)], q)
        spoilt = Trajectories(one.reward, one.log_ratio + 0.4, one.q, one.v, one.discount)
        # wrong ratios weigh errors whose mean is 0
        total += p * estimate(spoilt, weighted=False)[0]
    assert total == pytest.approx(mdp.value(POLICY)[0], abs=1e-12)


def test_without_chance_and_with_right_expectations_every_episode_says_the_same() -> None:
    mdp = chain(3)
    policy = np.array([1.0, 1.0, 1.0, 0.0])
    q, v = mdp.q(policy), mdp.value(policy)
    rng = np.random.default_rng(0)
    for _ in range(5):
        states, actions = mdp.episode(np.full(4, 0.6), rng, 30)
        reward = np.array([[mdp.reward[s, a] for s, a in zip(states, actions, strict=False)]])
        ratio = np.array([[1.0 if a else 0.0 for a in actions]]) / 0.6
        with np.errstate(divide="ignore"):
            log_ratio = np.maximum(np.log(ratio), -50.0)
        expected = np.array([[q[s, a] for s, a in zip(states, actions, strict=False)]])
        one = Trajectories(reward, log_ratio, expected, np.array([v[states[:-1]]]), mdp.discount)
        assert estimate(one, weighted=False)[0] == pytest.approx(v[0], abs=1e-9)


def test_without_expectations_it_is_importance_sampling() -> None:
    mdp = gamble(0.7)
    rng = np.random.default_rng(1)
    episodes = [mdp.episode(BEHAVIOUR, rng, 2) for _ in range(4000)]
    nothing = as_trajectories(mdp, episodes, np.zeros((3, 2)))
    ratio = np.exp(np.cumsum(nothing.log_ratio, 1))
    plain = (0.9 ** np.arange(2) * ratio * nothing.reward).sum(1).mean()
    assert estimate(nothing, weighted=False)[0] == pytest.approx(plain)
    exact = mdp.value(POLICY)[0]
    assert estimate(nothing, weighted=False)[0] == pytest.approx(exact, abs=0.03)
    assert estimate(nothing)[0] == pytest.approx(exact, abs=0.03)
    found = doubly_robust(nothing)
    assert found.low < exact < found.high
    assert found.high - found.low < 0.1
    assert 0 < found.effective < 4000


def test_ratios_of_one_episode_leave_one_effective() -> None:
    log_ratio = np.array([[9.0], [-9], [-9], [-9], [-9]])
    one = Trajectories(np.ones((5, 1)), log_ratio, *np.zeros((2, 5, 1)), discount=0.9)
    assert doubly_robust(one).effective == pytest.approx(1.0, abs=1e-3)
    alike = Trajectories(np.ones((5, 1)), *np.zeros((3, 5, 1)), discount=0.9)
    assert doubly_robust(alike).effective == pytest.approx(5.0)


def test_the_weighted_estimate_stands_ratios_that_are_beyond_all_numbers() -> None:
    rng = np.random.default_rng(0)
    wild = Trajectories(
        *rng.uniform(size=(1, 30, 400)), rng.normal(0, 30, (30, 400)), *np.zeros((2, 30, 400)), 0.9
    )
    found = doubly_robust(wild)
    assert np.isfinite([found.value, found.low, found.high, found.effective]).all()
    assert found.effective < 3


def test_from_logs_it_comes_near_the_value_by_learned_densities_and_no_model() -> None:
    """The policy closes where the logs close in half of the cases: the correction alone has to find it."""
    mdp = gamble(0.8)
    data = logged(mdp, np.full(3, 0.5), 800)
    closes = np.array([True, True, True])
    behaviour = fit_behaviour(data, BehaviourConfig(updates=400, batch=64, members=3, hidden=16))
    states = states_of(data)
    assert behaviour.closing[states < 2] == pytest.approx(0.5, abs=0.08)
    nothing_q, nothing_v = np.zeros(len(data.action)), np.zeros(len(data.features))
    made = trajectories(data, proposed(data, closes), behaviour, nothing_q, nothing_v, steepest=10.0)
    assert made.reward.shape == (800, 2)
    exact = (1 - LEAST_ERROR) * 0.8 * 0.9 * (1 - LEAST_ERROR) + 0.4 * LEAST_ERROR
    assert doubly_robust(made).value == pytest.approx(exact, abs=0.08)


class Steep(Critic):
    """Says that an action is worth so many times the square of its torque, and the gripper nothing."""

    def __init__(self, slope: float) -> None:
        super().__init__(3, 1, 1, 0, members=2)
        self.slope = slope

    def forward(self, features: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self.slope * action[:, :1].square().expand(2, -1, -1)


@pytest.mark.parametrize("slope", [-1.0, 0.0, 5.0])
def test_with_right_ratios_of_torques_a_wrong_critic_is_mended(slope: float) -> None:
    """The value that is weighed against the critic's error is that of the policy that the ratios are of."""
    rng, count = np.random.default_rng(0), 20_000
    torque = 0.5 * rng.standard_normal(count)
    rows = 2 * count
    data = Logged(
        features=np.zeros((rows, 1), np.float32),
        action=np.column_stack([torque, np.ones(count)]).astype(np.float32),
        reward=(-(torque**2)).astype(np.float32),
        bootstrap=np.zeros(count, np.float32),
        row=np.arange(0, rows, 2),
        episode=np.arange(count),
        first=np.arange(0, rows, 2),
        mean=np.zeros(2, np.float32),
        scale=np.ones(2, np.float32),
        discount=1.0,
    )
    alike = np.zeros((rows, 1), np.float32)
    behaviour = Behaviour(alike, alike[:, 0] + 1 - LEAST_ERROR, alike, np.array([0.5], np.float32))
    policy = np.tile(np.array([0.25, 1.0], np.float32), (rows, 1))
    fitted = FittedQ(
        values=np.zeros(2),
        counts=np.ones((2, count), np.int64),
        q=slope * np.tile(data.action[:, 0] ** 2, (2, 1)),
        v=np.full((2, rows), slope * 0.25**2, np.float32),
        critic=Steep(slope),
    )
    q, v = expectations(data, policy, behaviour, fitted)
    assert v.mean() == pytest.approx(slope * (0.25**2 + 0.5**2), abs=0.03 * abs(slope))
    found = estimate(trajectories(data, policy, behaviour, q, v, steepest=20.0), weighted=False)[0]
    assert found == pytest.approx(-(0.25**2 + 0.5**2), abs=0.03 * (1.0 + abs(slope)))
    again = expectations(data, policy, behaviour, fitted)
    assert np.array_equal(again[1], v)


def test_beyond_an_end_that_was_none_the_model_speaks() -> None:
    data = logged(chain(5), np.ones(6), 2, limit=2)
    behaviour = fit_behaviour(data, BehaviourConfig(updates=5, batch=4, members=2, hidden=4))
    v = np.full(len(data.features), 0.25)
    made = trajectories(data, proposed(data, np.ones(6, bool)), behaviour, np.zeros(len(data.action)), v)
    assert made.reward == pytest.approx(np.array([[0.0, 0.9 * 0.25]] * 2))


def test_a_bound_that_is_none_is_refused() -> None:
    data = logged(chain(2), np.ones(3), 2)
    behaviour = fit_behaviour(data, BehaviourConfig(updates=2, batch=4, members=2, hidden=4))
    with pytest.raises(InputError, match="steepest is 0"):
        trajectories(data, proposed(data, np.ones(3, bool)), behaviour, *np.zeros((2, 0)), steepest=0.0)
