"""What every online method must do, whatever it learns."""

from __future__ import annotations

import copy
import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from offline_worlds import CPU, ask
from online_worlds import SCALAR, chain, judge, learner
from torch import Tensor

from robolearn.errors import InputError
from robolearn.policies.offline.batch import Batch, draw
from robolearn.policies.online.actor import SoftActor
from robolearn.policies.online.config import OnlineConfig
from robolearn.policies.online.learner import STATE, Privileged, chosen
from robolearn.policies.online.methods import METHODS
from robolearn.policies.online.qtopt import QTOptConfig
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

READINGS = {"q": 2}


def pictured(method: str, asymmetric: bool, state_weight: float = 0.1) -> Any:
    torch.manual_seed(0)
    state = 3 if state_weight else 0
    network = Visuomotor(VisuomotorConfig(channels=(4, 4), hidden=8), {"front": (12, 12)}, READINGS, state, 3)
    actor = SoftActor(network, -torch.ones(2), torch.ones(2), torch.ones(2))
    shared = replace(SCALAR, hidden=8, shift=2, asymmetric=asymmetric, state_weight=state_weight)
    privileged = Privileged(actor, torch.zeros(3), torch.ones(3)) if asymmetric else None
    kind = METHODS[method]
    if method == "rlpd":
        shared = replace(shared, critics=3)
    return kind(actor, shared, kind.config_type(), privileged, CPU)


def pictures(seed: int = 0, count: int = 6) -> Batch:
    torch.manual_seed(seed)

    def seen() -> dict[str, Tensor]:
        picture = torch.randint(0, 255, (count, 12, 12, 3), dtype=torch.uint8)
        return {"front": picture, "q": torch.randn(count, 2), STATE: torch.randn(count, 3)}

    action = torch.rand(count, 3) * 2 - 1
    flags = torch.zeros(count, dtype=torch.bool)
    ones = torch.ones(count)
    return Batch(seen(), action, action, flags, ones, 0.9 * ones, seen(), action, flags, ones, ones)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("asymmetric", [False, True])
def test_critics_that_see_the_state_are_blind_and_the_policy_never_sees_it(
    method: str, asymmetric: bool
) -> None:
    taught = pictured(method, asymmetric)
    one, other = pictures(), pictures()
    other.observation["front"] = 255 - other.observation["front"]
    told = []
    for batch in (one, other):
        features = taught.actor.encode(batch.observation)
        seen = taught.witness(batch.observation, features)
        told.append(taught.judge(taught.critic, seen, batch.action[:, :2]))
    assert torch.equal(told[0], told[1]) == asymmetric
    other = pictures()
    other.observation[STATE] += 1.0
    plans = [taught.actor.plan(taught.actor.encode(batch.observation)) for batch in (pictures(), other)]
    assert all(torch.equal(a, b) for a, b in zip(*plans, strict=True))
    bundle = taught.policy()
    assert set(bundle.cameras) | set(bundle.channels) == {"front", "q"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("state_weight", [0.0, 0.1])
def test_somebody_teaches_the_convolutions(method: str, asymmetric: bool, state_weight: float) -> None:
    taught = pictured(method, asymmetric, state_weight)
    convolution = taught.actor.network.encoders["front"].convolutions[0].weight
    before = convolution.detach().clone()
    for seed in range(2):
        losses = taught.update(pictures(seed))
    assert all(math.isfinite(loss) for loss in losses.values())
    assert not torch.equal(before, convolution.detach())


def small(method: str, shared: OnlineConfig = SCALAR, **config: Any) -> Any:
    return learner(method, 3, replace(shared, critics=3), **config)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("quantiles", "pessimism"), [(1, "deviations"), (5, "lowest"), (5, "truncated")])
def test_every_method_takes_every_critic(method: str, quantiles: int, pessimism: str) -> None:
    taught = small(method, replace(SCALAR, quantiles=quantiles, pessimism=pessimism, layer_norm=True))
    for _ in range(4):
        losses = taught.update(ask(chain(), *range(6)))
    assert all(math.isfinite(loss) for loss in losses.values())
    assert judge(taught, 0, 0.0, True).shape == (3, quantiles)


@pytest.mark.parametrize("method", METHODS)
def test_learning_goes_on_from_a_state_as_if_nothing_had_happened(method: str) -> None:
    world, rng = chain(), np.random.default_rng(0)
    taught = small(method)
    torch.manual_seed(0)
    for _ in range(3):
        taught.update(draw(world, 32, rng, CPU))
    state, numbers, drawn = copy.deepcopy(taught.state()), torch.get_rng_state(), copy.deepcopy(rng)
    expected = [taught.update(draw(world, 32, rng, CPU)) for _ in range(3)]
    again = small(method)
    again.load(state)
    torch.set_rng_state(numbers)
    assert [again.update(draw(world, 32, drawn, CPU)) for _ in range(3)] == expected
    assert again.steps == 6


@pytest.mark.parametrize("method", METHODS)
def test_a_step_that_is_not_finite_is_refused_and_spoils_nothing(method: str) -> None:
    taught = small(method)
    for _ in range(2):
        taught.update(ask(chain(), *range(6)))
    before = copy.deepcopy(taught.state())
    broken = ask(chain(), *range(6))
    broken.reward[0] = float("nan")
    with pytest.raises(FloatingPointError, match="diverged at step 2"):
        taught.update(broken)
    after = taught.state()
    for name, part in before.items():
        if name != "steps" and "optimiser" not in name:
            assert all(torch.equal(part[key], value) for key, value in after[name].items()), name


def test_what_a_gripper_did_is_picked() -> None:
    returns = torch.arange(24.0).view(2, 3, 2, 2)
    found = chosen(returns, torch.tensor([True, False, True]))
    assert found[0].tolist() == [[2, 3], [4, 5], [10, 11]]


@pytest.mark.parametrize("method", METHODS)
def test_every_value_of_a_method_is_checked(method: str) -> None:
    kind: Any = METHODS[method].config_type
    for field in fields(kind):
        with pytest.raises(InputError, match=f"^{field.name} is"):
            kind(**{field.name: None})


def test_every_shared_value_is_checked() -> None:
    for field in fields(OnlineConfig):
        with pytest.raises((InputError, TypeError)):
            OnlineConfig(**{field.name: None})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="shaping is 1"):
        OnlineConfig(shaping=1.0)
    with pytest.raises(InputError, match="elites is 9, of 8 samples"):
        QTOptConfig(samples=8, elites=9)


def test_a_rare_success_is_not_left_out_of_what_follows_by_default() -> None:
    returns = torch.zeros(2, 1, 25)
    returns[..., -1] = 1.0
    assert float(OnlineConfig().believed(returns).amax()) > 0.5
