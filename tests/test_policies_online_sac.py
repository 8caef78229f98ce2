"""Soft actor-critic on worlds whose answers are known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from offline_worlds import CPU, World, learn
from online_worlds import FIXED, SCALAR, chain, hill, judge, learner, plan

from robolearn.policies.offline.batch import draw
from robolearn.policies.online.actor import SoftActor
from robolearn.policies.online.learner import Temperature
from robolearn.policies.online.methods import METHODS
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig


def soft_value(alpha: float, closed: float) -> float:
    """alpha log of the integral over all actions of exp(Q / alpha), of the hill."""
    torque = np.linspace(-1.0, 1.0, 200_001)
    hills = [
        np.trapezoid(np.exp((1.0 - (torque - 0.4) ** 2 + more) / alpha), torque) for more in (0.0, closed)
    ]
    return float(alpha * np.log(sum(hills)))


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_the_soft_policy_is_the_exponential_of_the_value(alpha: float) -> None:
    """It is in the policy's family: a normal distribution cut off at the box, and a choice."""
    taught = learner("sac", 1, temperature=alpha, **FIXED)
    learn(taught, hill(), 900)
    torque, std, logit = plan(taught, 0)
    assert torque == pytest.approx(0.4, abs=0.06)
    assert std == pytest.approx(math.sqrt(alpha / 2), rel=0.12)
    assert logit == pytest.approx(0.3 / alpha, rel=0.12)


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_what_a_state_is_worth_softly_is_the_log_of_its_normaliser(alpha: float) -> None:
    """A step before the hill, every action is worth the discount times the hill's soft value."""
    below = hill()
    world = replace(below, states=2, state=np.arange(4000) % 2, next_state=1)
    world.reward = np.where(world.state == 1, below.reward, 0.0)
    world.bootstrap = np.where(world.state == 0, 0.8, 0.0)
    taught = learner("sac", 2, temperature=alpha, **FIXED)
    learn(taught, world, 1200)
    found = [float(judge(taught, 0, t, c).mean()) for t in (-0.5, 0.5) for c in (False, True)]
    assert found == pytest.approx([0.8 * soft_value(alpha, 0.3)] * 4, abs=0.06)


def test_q_is_the_discounted_way_to_the_end() -> None:
    taught = learner("sac", 3, temperature=1e-4, **FIXED)
    learn(taught, chain(), 1000)
    for state, value in enumerate((0.81, 0.9, 1.0)):
        assert float(judge(taught, state, 0.0, False).mean()) == pytest.approx(value, abs=0.05)
        assert float(judge(taught, state, 0.0, True).mean()) == pytest.approx(0.0, abs=0.05)
        assert plan(taught, state)[2] < -2.0


PAYS = ((0.0, 0.5), (0.3, 0.3), (1.0, 0.2))  # what a gamble in a casino pays, and how often


def casino(count: int = 4000) -> World:
    """Two states: whoever sits down (state 0) plays next (state 1), whatever they do."""
    rng = np.random.default_rng(0)
    state = np.arange(count) % 2
    paid = rng.choice([pay for pay, _ in PAYS], count, p=[share for _, share in PAYS])
    return World(
        2,
        state,
        rng.uniform(-1, 1, count),
        rng.choice([-1.0, 1.0], count),
        reward=np.where(state == 1, paid, 0.0),
        bootstrap=np.where(state == 0, 0.9, 0.0),
        next_state=1,
    )


def quantiles_of(pays: tuple[tuple[float, float], ...], count: int) -> list[float]:
    """The quantiles of the levels 1 / 2K, 3 / 2K, ... of what is paid."""
    ends = np.cumsum([share for _, share in pays])
    return [pays[int(np.searchsorted(ends, (k + 0.5) / count))][0] for k in range(count)]


def test_quantile_critics_recover_what_a_casino_pays() -> None:
    shared = replace(SCALAR, quantiles=10, pessimism="truncated", dropped=0.0, critic_learning_rate=5e-3)
    taught = learner("sac", 2, shared, temperature=1e-6, **FIXED)
    learn(taught, casino(), 1500)
    expected = quantiles_of(PAYS, 10)
    for closed in (False, True):
        for member in judge(taught, 1, 0.2, closed):
            assert member.tolist() == pytest.approx(expected, abs=0.08)
        later = judge(taught, 0, 0.2, closed).mean(0).tolist()  # the same gamble, a step away
        assert np.abs(np.subtract(later, [0.9 * pay for pay in expected])).mean() < 0.06
    assert float(judge(taught, 0, 0.2, True).mean()) == pytest.approx(0.9 * 0.29, abs=0.04)


def test_truncation_leaves_luck_out_of_what_follows() -> None:
    shared = replace(SCALAR, quantiles=10, pessimism="truncated", dropped=0.2, critic_learning_rate=5e-3)
    taught = learner("sac", 2, shared, temperature=1e-6, **FIXED)
    learn(taught, casino(), 1200)
    assert float(judge(taught, 1, 0.0, True).mean()) == pytest.approx(0.29, abs=0.05)  # what was paid is paid
    unlucky = 0.3 * 0.3 / 0.8  # the fifth that paid 1 is left out
    assert float(judge(taught, 0, 0.0, True).mean()) == pytest.approx(0.9 * unlucky, abs=0.05)


@pytest.mark.parametrize(("entropy", "rises"), [(-8.0, False), (5.0, True)])
def test_the_temperature_moves_towards_the_entropy_that_is_wanted(entropy: float, rises: bool) -> None:
    temperature = Temperature(0.1)
    temperature.loss(torch.full((4,), -1.0), entropy).backward()
    assert (float(temperature.log.grad) < 0) == rises  # type: ignore[arg-type]
    assert float(temperature()) == pytest.approx(0.1)


def test_the_policy_keeps_the_entropy_that_is_wanted() -> None:
    taught = learner("sac", 1, temperature=0.5, temperature_rate=1e-2, entropy=-0.5, delay=1)
    learn(taught, hill(closed=0.0), 1000)
    torch.manual_seed(1)
    found = taught.actor.plan(torch.ones(4000, 1))
    _, density = found.draw()
    choice = found.choice()
    entropy = -density.mean() - (choice.exp() * choice).sum(1).mean()
    assert float(entropy.detach()) == pytest.approx(-0.5, abs=0.15)


class PointMass(gymnasium.Env[Any, Any]):
    """Push a mass along a line to the middle, against the clock: gymnasium's interface, nothing of robots."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.x = np.array([self.np_random.choice([-1.0, 1.0]) * self.np_random.uniform(0.4, 1.0), 0.0])
        return self.x.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.x[1] = 0.8 * self.x[1] + 0.15 * float(action[0])
        self.x[0] += self.x[1]
        there = abs(self.x[0]) < 0.1
        return self.x.astype(np.float32), float(there), there, False, {}


def test_a_mass_is_pushed_to_the_middle_after_seconds_of_trying() -> None:
    """Sparse reward, no demonstration: from hardly ever there in time to nearly always."""
    torch.manual_seed(0)
    shared = replace(
        SCALAR, batch=64, learning_rate=3e-3, critic_learning_rate=3e-3, discount=0.9, layer_norm=True
    )
    network = Visuomotor(VisuomotorConfig(hidden=32, layers=2), {}, {"x": 2}, 0, 2)
    actor = SoftActor(network, -torch.ones(1), torch.ones(1), 0.5 * torch.ones(1))
    taught: Any = METHODS["sac"](
        actor, shared, METHODS["sac"].config_type(temperature=0.01, temperature_rate=1e-3), None, CPU
    )
    env, rng = PointMass(), np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []

    def arrays(index: Any) -> Any:
        x, action, reward, ended, then = (np.stack(c) for c in zip(*(rows[i] for i in index), strict=True))
        many = World(1, 0, np.zeros(len(index)), -1.0, reward).at(np.arange(len(index)))
        many.observation, many.next_observation = {"x": x}, {"x": then}
        many.action = many.requested = action
        many.bootstrap = (0.9 * (1.0 - ended)).astype(np.float32)
        return many

    def run(episode: int, explore: bool) -> bool:
        x, _ = env.reset(seed=episode)
        generator = torch.Generator().manual_seed(episode)
        for _ in range(12):
            if explore:
                with torch.no_grad():
                    action = taught.actor.explore({"x": torch.from_numpy(x)[None]}, generator)[0].numpy()
            else:
                action = taught.policy().act({"x": x})
            then, reward, ended, _, _ = env.step(action)
            if explore:
                rows.append((x, action, np.float32(reward), np.float32(ended), then))
                if len(rows) > 200:
                    source = type(
                        "Source",
                        (),
                        {"batch": lambda _, size, rng: arrays(rng.integers(len(rows), size=size))},
                    )
                    taught.update(draw(source(), shared.batch, rng, CPU))
            x = then
            if ended:
                return True
        return False

    before = np.mean([run(10_000 + episode, False) for episode in range(30)])
    for episode in range(110):
        run(episode, True)
    after = np.mean([run(20_000 + episode, False) for episode in range(30)])
    assert before < 0.6
    assert after > 0.9
