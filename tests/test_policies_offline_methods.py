"""Each method on worlds whose answers are known; its paper says what they are."""

from __future__ import annotations

import copy
import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from offline_worlds import CPU, QUICK, World, actor, ask, judge, learn, learner, propose

from robolearn.errors import InputError
from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.batch import draw
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.offline.networks import cvar
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

RNG = np.random.default_rng(7)
CLOSED = 0.3  # share of the bandit's actions that close the gripper
CRITICS = ("td3bc", "awac", "iql", "cql")


def bandit(reward_open: float = 0.0, reward_closed: float = 1.0, count: int = 2000) -> World:
    """One state, one step; only the gripper matters, and it was closed in a known share of the cases."""
    gripper = np.where(np.arange(count) < CLOSED * count, 1.0, -1.0)
    torque = np.clip(0.2 + 0.1 * np.random.default_rng(0).standard_normal(count), -1, 1)
    return World(1, 0, torque, gripper, np.where(gripper > 0, reward_closed, reward_open))


def chain(gamma: float = 0.9) -> World:
    """Three states in a row; open goes on, closed ends with nothing; the end of the row gives 1.

    Half of the actions were open: the data's own policy reaches the end in an eighth of its episodes.
    """
    state = np.repeat([0, 1, 2], 2)
    gripper = np.tile([-1.0, 1.0], 3)
    going_on = gripper < 0
    last = state == 2
    return World(
        3,
        state,
        np.zeros(6),
        gripper,
        reward=np.where(going_on & last, 1.0, 0.0),
        bootstrap=np.where(going_on & ~last, gamma, 0.0),
        next_state=np.minimum(state + 1, 2),
    )


# --- behaviour cloning ----------------------------------------------------------------------------------


def test_bc_is_the_most_likely_policy() -> None:
    world = bandit()
    taught = learner("bc", 1)
    learn(taught, world, 600)
    torque, logit = propose(taught, 0)
    assert torque == pytest.approx(world.torque.mean(), abs=0.01)
    assert float(taught.actor.std.detach()) == pytest.approx(world.torque.std(), rel=0.1)
    assert logit == pytest.approx(math.log(CLOSED / (1 - CLOSED)), abs=0.1)


def test_weights_count_transitions() -> None:
    world = bandit()
    world.more["weight"] = np.where(world.gripper > 0, 3.0, 1.0).astype(np.float32)
    taught = learner("bc", 1)
    learn(taught, world, 600)
    assert propose(taught, 0)[1] == pytest.approx(math.log(3 * CLOSED / (1 - CLOSED)), abs=0.1)


# --- implicit Q-learning --------------------------------------------------------------------------------


@pytest.mark.parametrize("expectile", [0.5, 0.7, 0.95])
def test_iqls_value_is_the_expectile_of_a_known_distribution(expectile: float) -> None:
    taught = learner("iql", 1, expectile=expectile, temperature=2.0)
    learn(taught, bandit(), 800)
    upper, lower = expectile * CLOSED, (1 - expectile) * (1 - CLOSED)
    with torch.no_grad():
        value = float(taught.value(torch.ones(1, 1)))
    assert value == pytest.approx(upper / (upper + lower), abs=0.03)
    # and the policy is the data's, each action times exp(temperature x its advantage)
    assert propose(taught, 0)[1] == pytest.approx(math.log(CLOSED / (1 - CLOSED)) + 2.0, abs=0.2)


def test_iql_is_hopeful_about_actions_and_not_about_luck() -> None:
    """Closing wins in four of ten cases, opening gives half for sure: no luck makes closing better."""
    world = bandit(reward_open=0.5)
    won = np.random.default_rng(1).random(len(world.gripper)) < 0.4
    world.reward = np.where(world.gripper > 0, won, 0.5).astype(float)
    taught = learner("iql", 1, expectile=0.95, temperature=20.0)
    learn(taught, world, 800)
    with torch.no_grad():
        assert float(taught.value(torch.ones(1, 1))) == pytest.approx(0.5, abs=0.04)
    assert propose(taught, 0)[1] < math.log(CLOSED / (1 - CLOSED)) - 0.5


def test_iql_puts_the_best_parts_of_bad_episodes_together() -> None:
    """Where going on is worth v and half of the actions nothing, the expectile is its level times v."""
    expectile = 0.95
    taught = learner("iql", 3, replace(QUICK, target_rate=0.1), expectile=expectile, temperature=5.0)
    learn(taught, chain(), 1200)
    with torch.no_grad():
        values = taught.value(torch.eye(3))[0, :, 0].tolist()
    assert values == pytest.approx([expectile**3 * 0.81, expectile**2 * 0.9, expectile], abs=0.05)
    assert all(propose(taught, state)[1] < -1.0 for state in range(3))


def test_iqls_quantiles_show_the_risk() -> None:
    world = bandit(reward_open=0.35)
    won = np.random.default_rng(1).random(len(world.gripper)) < 0.4
    world.reward = np.where(world.gripper > 0, won, 0.35).astype(float)
    taught = learner("iql", 1, replace(QUICK, quantiles=10), expectile=0.7)
    learn(taught, world, 1000)
    gamble, sure = judge(taught, 0, 0.2, 1.0), judge(taught, 0, 0.2, -1.0)
    assert gamble.mean(1).tolist() == pytest.approx([0.4, 0.4], abs=0.05)
    assert sure.mean(1).tolist() == pytest.approx([0.35, 0.35], abs=0.05)
    assert cvar(gamble, 0.3).tolist() == pytest.approx([0.0, 0.0], abs=0.1)
    assert cvar(sure, 0.3).tolist() == pytest.approx([0.35, 0.35], abs=0.1)


# --- advantage-weighted actor-critic --------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.5])
def test_awac_weighs_the_datas_actions_by_their_advantage(temperature: float) -> None:
    """Its fixed point is the data's policy, each action times exp(temperature x its value)."""
    taught = learner("awac", 1, temperature=temperature)
    learn(taught, bandit(), 800)
    assert judge(taught, 0, 0.2, 1.0).flatten().tolist() == pytest.approx([1.0, 1.0], abs=0.05)
    torque, logit = propose(taught, 0)
    assert logit == pytest.approx(math.log(CLOSED / (1 - CLOSED)) + temperature, abs=0.25)
    assert torque == pytest.approx(0.2, abs=0.03)


def test_awac_judges_the_policy_and_not_the_data() -> None:
    """With the weights off, it is the data's policy that the critics judge: it goes on with one half."""
    taught = learner("awac", 3, replace(QUICK, target_rate=0.1), temperature=0.0)
    learn(taught, chain(), 1200)
    found = [float(judge(taught, state, 0.0, -1.0).mean()) for state in range(3)]
    assert found == pytest.approx([0.45**2, 0.45, 1.0], abs=0.06)


def test_awac_compares_two_verdicts_of_the_same_critics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that does just what was done has no advantage over it, however fast its critics learn."""
    taught = learner("awac", 1, replace(QUICK, critic_learning_rate=1.0))
    batch = ask(bandit(), *range(64))
    action = taught.actor.inside(batch.action)
    monkeypatch.setattr(taught.actor, "sample", lambda proposal, count: action.expand(count, -1, -1))
    for _ in range(3):
        assert taught.update(batch)["favour"] == 1.0


# --- TD3+BC ---------------------------------------------------------------------------------------------


def hill(count: int = 3000) -> World:
    """One state; the best torque is 0.5, actions were around -0.2."""
    rng = np.random.default_rng(0)
    torque = np.clip(-0.2 + 0.5 * rng.standard_normal(count), -1, 1)
    return World(1, 0, torque, -1.0, 1.0 - (torque - 0.5) ** 2)


def test_td3bc_goes_from_imitation_to_the_best_action() -> None:
    world, found = hill(), {}
    for alpha in (0.0, 2.5, 200.0):
        taught = learner("td3bc", 1, alpha=alpha)
        learn(taught, world, 1000)
        found[alpha] = propose(taught, 0)[0]
    assert found[0.0] == pytest.approx(float(world.torque.mean()), abs=0.03)
    assert found[200.0] == pytest.approx(0.5, abs=0.08)
    assert found[0.0] + 0.1 < found[2.5] < found[200.0] - 0.05


def test_td3bc_stays_in_the_box_however_much_critics_promise_beyond() -> None:
    """The return rises all the way to the box's edge; critics that go on with the line promise more."""
    torque = np.random.default_rng(0).uniform(-1, 1, 2000)
    taught = learner("td3bc", 1, alpha=200.0)
    learn(taught, World(1, 0, torque, -1.0, torque), 400)
    assert propose(taught, 0)[0] == pytest.approx(1.0, abs=0.1)


def test_td3bcs_balance_does_not_depend_on_the_size_of_rewards() -> None:
    """The verdict counts in units of its mean size: critics that say ten times as much change nothing."""
    moved = []
    for factor in (1.0, 10.0):
        taught = learner("td3bc", 1, replace(QUICK, critic_learning_rate=1e-12))
        for name in ("critic", "target"):
            last = getattr(taught, name).network[-1]
            last.weight.data *= factor
            last.bias.data *= factor
        torch.manual_seed(0)
        taught.update(ask(hill(), *range(64)))
        moved.append(taught.actor.network.control[0].weight.detach().clone())
    torch.testing.assert_close(moved[0], moved[1], atol=1e-6, rtol=1e-5)
    assert not torch.equal(moved[0], actor(1).network.control[0].weight)


@pytest.mark.parametrize("critic_penalty", [0.0, 0.5])
def test_td3bc_judges_a_known_policy_and_rebrac_its_distance(critic_penalty: float) -> None:
    """A policy held at the data's mean, judged two steps before the end, has the discount as its value."""
    count = 400
    state = np.arange(count) % 2
    torque = np.where(np.arange(count) % 4 < 2, 0.6, 0.2)  # mean 0.4
    world = World(
        2, state, torque, -1.0, reward=state * 1.0, bootstrap=np.where(state == 0, 0.9, 0.0), next_state=1
    )
    world.more["next_action"] = np.stack([np.full(count, -0.4), np.full(count, -1.0)], 1).astype(np.float32)
    world.more["followed"] = state == 0
    taught = learner("td3bc", 2, alpha=0.0, noise=0.0, critic_penalty=critic_penalty)
    learn(taught, world, 1200)
    torque_there, _ = propose(taught, 1)
    assert torque_there == pytest.approx(0.4, abs=0.03)
    away = (torque_there + 0.4) ** 2 / 2  # the mean over torque and gripper; the gripper's is the data's
    assert float(judge(taught, 0, 0.4, -1.0).mean()) == pytest.approx(
        0.9 * (1.0 - critic_penalty * away), abs=0.05
    )


def test_the_last_action_of_an_episode_that_ran_out_of_time_has_no_successor_to_be_far_from() -> None:
    world = World(1, 0, np.zeros(64), -1.0, reward=np.zeros(64), bootstrap=0.0)
    world.more["next_action"] = np.full((64, 2), 0.9, np.float32)
    losses = []
    for followed in (False, True):
        world.bootstrap = 0.9
        world.more["followed"] = np.full(64, followed)
        taught = learner("td3bc", 1, noise=0.0, critic_penalty=100.0)
        torch.manual_seed(0)
        losses.append(taught.update(ask(world, *range(64)))["critic"])
    assert losses[0] < 1.0 < losses[1]


# --- conservative Q-learning ----------------------------------------------------------------------------


def pushed(weight: float, rewards: tuple[float, float], shares: tuple[float, float]) -> list[float]:
    """The minimum of half the squared error plus weight x (logsumexp Q - Q of the data), by its gradient.

    Over the two choices of the gripper; the torque is spread evenly, so that it adds a constant alone.
    """
    q = np.array(rewards, float)
    for _ in range(20_000):
        soft = np.exp(q - q.max())
        soft /= soft.sum()
        q -= 0.02 * (np.array(shares) * (q - rewards) + weight * (soft - shares))
    return [float(value) for value in q]


@pytest.mark.parametrize("weight", [0.0, 0.2, 0.5])
def test_cqls_critics_are_where_theory_puts_them(weight: float) -> None:
    count = 4000
    gripper = np.where(np.arange(count) < CLOSED * count, 1.0, -1.0)
    torque = np.random.default_rng(0).uniform(-1, 1, count)
    world = World(1, 0, torque, gripper, np.where(gripper > 0, 1.0, 0.4))
    taught = learner("cql", 1, replace(QUICK, critic_learning_rate=5e-3), weight=weight, samples=3)
    learn(taught, world, 800)
    expected = pushed(weight, (0.4, 1.0), (1 - CLOSED, CLOSED))
    for gripper_choice, value in zip((-1.0, 1.0), expected, strict=True):
        found = torch.stack(
            [judge(taught, 0, torque, gripper_choice) for torque in np.linspace(-0.8, 0.8, 9)]
        )
        assert float(found.mean()) == pytest.approx(value, abs=0.12)


def test_cql_never_overestimates_its_policy_where_others_do() -> None:
    """Torques were tried below 0 alone, where the return falls off: beyond, critics can only guess."""
    count = 3000
    torque = np.random.default_rng(0).uniform(-1, 0, count)
    world = World(1, 0, torque, -1.0, 1.0 + torque)  # rises to 1 at the edge of what was tried
    highest = {}
    for weight in (0.0, 1.0):
        taught = learner("cql", 1, weight=weight, samples=2)
        learn(taught, world, 400)
        highest[weight] = max(float(judge(taught, 0, t, -1.0).mean()) for t in np.linspace(0.3, 1.0, 8))
    assert highest[0.0] > 1.05
    assert highest[1.0] < 1.0
    own, _ = propose(taught, 0)
    assert float(judge(taught, 0, own, -1.0).mean()) < 1.0 + min(own, 0.0)


@pytest.mark.parametrize("calibrated", [False, True])
def test_cal_ql_pushes_no_action_of_the_policy_below_what_the_data_came_to(calibrated: bool) -> None:
    taught = learner("cql", 1, calibrated=calibrated)
    for outcome, pushes in ((-50.0, True), (50.0, not calibrated)):
        batch = ask(bandit(), *range(200))
        batch.outcome.fill_(outcome)
        seen = taught.actor.encode(batch.observation)
        with torch.no_grad():
            proposal = taught.actor(seen)
            _, kept, term = taught.tempting(batch, seen, proposal, proposal)
        assert kept.all() == pushes
        assert kept.any() == pushes
        assert (term > 40.0).all() == (not pushes)  # it says what the policy's actions count as


def test_what_the_limiter_refused_is_pushed_down() -> None:
    count = 2000
    torque = np.random.default_rng(0).uniform(-1, 1, count)
    world = World(1, 0, torque, -1.0, np.full(count, 0.5))
    refused = np.stack([np.full(count, 0.8), np.full(count, -1.0)], 1).astype(np.float32)
    world.more |= {"requested": refused, "altered": np.ones(count, bool)}
    values: dict[bool, list[float]] = {}
    for negatives in (False, True):
        taught = learner("cql", 1, negatives=negatives, samples=2)
        learn(taught, world, 400)
        values[negatives] = [float(judge(taught, 0, where, -1.0).mean()) for where in (-0.4, 0.8)]
    assert values[False] == pytest.approx([0.5, 0.5], abs=0.1)
    assert values[True][1] < 0.3 < values[True][0]  # there, and not where it was never refused


# --- what all share -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", CRITICS)
@pytest.mark.parametrize(("quantiles", "pessimism"), [(1, "deviations"), (5, "lowest"), (5, "truncated")])
def test_every_method_takes_every_critic(method: str, quantiles: int, pessimism: str) -> None:
    shared = replace(QUICK, quantiles=quantiles, pessimism=pessimism, layer_norm=True, critics=3)
    taught = learner(method, 3, shared)
    batch = ask(chain(), *range(6))
    for _ in range(4):
        losses = taught.update(batch)
    assert all(math.isfinite(loss) for loss in losses.values())
    assert judge(taught, 0, 0.0, 1.0).shape == (3, quantiles)
    assert ("cvar" in losses) == (quantiles > 1)


@pytest.mark.parametrize("method", CRITICS)
def test_what_the_worst_cases_come_to_is_told_beside_the_mean(method: str) -> None:
    """A return of 0 or 1 at random, in one case of five: the mean is 0.2, of the worst tenth 0."""
    won = (np.arange(2000) % 5 == 0).astype(float)
    taught = learner(method, 1, replace(QUICK, quantiles=10))
    learn(taught, World(1, 0, np.zeros(2000), -1.0, won), 400)
    told = taught.update(ask(World(1, 0, np.zeros(50), -1.0, won[:50]), *range(50)))
    assert told["cvar"] == pytest.approx(0.0, abs=0.1)
    assert told["cvar"] + 0.1 < told["return"]


@pytest.mark.parametrize("method", METHODS)
def test_learning_goes_on_from_a_state_as_if_nothing_had_happened(method: str) -> None:
    world, rng = chain(), np.random.default_rng(0)
    taught = learner(method, 3)
    torch.manual_seed(0)
    for _ in range(3):
        taught.update(draw(world, 32, rng, CPU))
    state, numbers, drawn = copy.deepcopy(taught.state()), torch.get_rng_state(), copy.deepcopy(rng)
    expected = [taught.update(draw(world, 32, rng, CPU)) for _ in range(3)]
    again = learner(method, 3)
    again.load(state)
    torch.set_rng_state(numbers)
    assert [again.update(draw(world, 32, drawn, CPU)) for _ in range(3)] == expected
    assert again.steps == 6
    with pytest.raises(RuntimeError, match="size mismatch"):
        learner(method, 5).load(state)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_that_is_not_finite_is_refused_and_spoils_nothing(method: str) -> None:
    taught = learner(method, 3)
    batch = ask(chain(), *range(6))
    for _ in range(2):
        taught.update(batch)
    before = copy.deepcopy(taught.state())
    broken = ask(chain(), *range(6))
    broken.action[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"diverged at step 2 .*smaller learning rates"):
        taught.update(broken)
    after = taught.state()
    for name, part in before.items():
        if name != "steps" and "optimiser" not in name:
            assert all(torch.equal(part[key], value) for key, value in after[name].items()), name
    assert taught.steps == 2


@pytest.mark.parametrize("method", METHODS)
def test_what_acts_follows_what_learns(method: str) -> None:
    taught = learner(method, 1, replace(QUICK, target_rate=0.5))
    first = taught.policy().control[0].weight.clone()
    taught.update(ask(bandit(), *range(50)))
    now = taught.actor.network.control[0].weight.detach()
    torch.testing.assert_close(taught.policy().control[0].weight.detach(), first + 0.5 * (now - first))
    policy = taught.policy()
    assert not policy.training
    assert all(parameter.requires_grad for parameter in policy.parameters())
    kept = policy.control[0].weight.clone()
    taught.update(ask(bandit(), *range(50)))
    taught.update(ask(bandit(), *range(50)))
    assert torch.equal(policy.control[0].weight, kept)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_policy_that_rests_does_not_move_nor_what_it_sees_with(method: str, recurrent: bool) -> None:
    """Under CQL the critics' loss trains the convolutions and the memory: not while the policy rests."""
    torch.manual_seed(0)
    size = VisuomotorConfig(
        channels=(4,), hidden=8, layers=1, history=2 if recurrent else 1, recurrent=recurrent
    )
    seeing = Visuomotor(size, {"front": (16, 16)}, {"state": 1}, 0, 2)
    kind = METHODS[method]
    taught: Any = kind(
        Actor(seeing, -torch.ones(1), torch.ones(1), torch.ones(1)), QUICK, kind.config_type(), CPU
    )
    rng = np.random.default_rng(0)
    past = (2,) if recurrent else ()
    pictures = rng.integers(256, size=(8, *past, 16, 16, 3), dtype=np.uint8)

    def batch() -> Any:
        asked = ask(bandit(), *range(8))
        for observation in (asked.observation, asked.next_observation):
            observation["front"] = torch.from_numpy(pictures.copy())
            observation["state"] = observation["state"].reshape(8, *(1 for _ in past), 1).expand(8, *past, 1)
        return asked

    def weights() -> list[torch.Tensor]:
        return [
            p.detach().clone() for net in (taught.actor, taught.average) for p in net.network.parameters()
        ]

    before = weights()
    taught.rest()
    for _ in range(3):
        taught.update(batch())
    assert all(torch.equal(*pair) for pair in zip(before, weights(), strict=True))
    taught.schedule(0.0)
    for _ in range(3):
        taught.update(batch())
    moved = [not torch.equal(*pair) for pair in zip(before, weights(), strict=True)]
    assert all(moved)


def test_the_policys_rate_falls_to_a_twentieth_and_the_critics_stays() -> None:
    taught = learner("iql", 1)
    rates = []
    for progress in (0.0, 0.5, 1.0, 1.2):
        taught.schedule(progress)
        rates.append(taught.actor_optimiser.param_groups[0]["lr"] / QUICK.learning_rate)
    assert rates == pytest.approx([1.0, 0.525, 0.05, 0.05])
    assert taught.critic_optimiser.param_groups[0]["lr"] == QUICK.critic_learning_rate


@pytest.mark.parametrize("method", METHODS)
def test_every_value_of_a_method_is_checked(method: str) -> None:
    kind: Any = METHODS[method].config_type
    for field in fields(kind):
        with pytest.raises(InputError, match=f"^{field.name} is"):
            kind(**{field.name: None})


def test_every_shared_value_is_checked() -> None:
    for field in fields(OfflineConfig):
        with pytest.raises((InputError, TypeError)):
            OfflineConfig(**{field.name: None})  # type: ignore[arg-type]
