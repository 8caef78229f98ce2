from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.model import ArmModel
from robolearn.policies.evaluation.behaviour import Behaviour, BehaviourConfig, fit_behaviour
from robolearn.policies.evaluation.logged import Logged
from robolearn.policies.evaluation.phases import PHASES, heights, middle_height, phases
from robolearn.policies.evaluation.support import strangeness, thresholds, unsupported

ARM = load_arm("panda")
MODEL = ArmModel(ARM)


def data(episodes: int = 60, steps: int = 20, seed: int = 0) -> Logged:
    """Torques are the first two features, disturbed by 0.3; the gripper closes where the third is above 0."""
    rng = np.random.default_rng(seed)
    rows = episodes * (steps + 1)
    features = rng.standard_normal((rows, 4)).astype(np.float32)
    number = np.repeat(np.arange(episodes), steps)
    row = np.arange(len(number)) + number
    torque = features[row, :2] + 0.3 * rng.standard_normal((len(row), 2))
    gripper = np.where(features[row, 2] > 0, 1.0, -1.0)
    return Logged(
        features=features,
        action=np.column_stack([torque, gripper]).astype(np.float32),
        reward=np.zeros(len(row), np.float32),
        bootstrap=np.zeros(len(row), np.float32),
        row=row,
        episode=number,
        first=np.arange(episodes) * (steps + 1),
        mean=np.zeros(3, np.float32),
        scale=np.ones(3, np.float32),
        discount=0.99,
    )


def policy(logged: Logged, off: float = 0.0, flip: bool = False) -> Any:
    gripper = np.where((logged.features[:, 2] > 0) ^ flip, 1.0, -1.0)
    return np.column_stack([logged.features[:, :2] + off, gripper]).astype(np.float32)


@pytest.fixture(scope="module")
def logged() -> Logged:
    return data()


@pytest.fixture(scope="module")
def behaviour(logged: Logged) -> Behaviour:
    return fit_behaviour(logged, BehaviourConfig(updates=500, batch=128, members=4, hidden=32))


def test_it_learns_how_the_logs_were_made(logged: Logged, behaviour: Behaviour) -> None:
    assert np.abs(behaviour.torque - logged.features[:, :2]).mean() < 0.2
    assert behaviour.std == pytest.approx(0.33, abs=0.05)
    clear = np.abs(logged.features[:, 2]) > 0.5
    assert ((behaviour.closing > 0.5) == (logged.features[:, 2] > 0))[clear].mean() > 0.97


def test_held_out_actions_of_the_same_kind_are_supported_as_often_as_was_asked(
    logged: Logged, behaviour: Behaviour
) -> None:
    phase = np.where(logged.features[logged.row, 3] > 0, 0, 3)
    strange = strangeness(behaviour, logged.row, logged.action)
    bounds = thresholds(strange, phase, 0.9)
    for place in (0, 3):
        assert (strange[phase == place] > bounds[place]).mean() == pytest.approx(0.1, abs=0.01)
    assert np.isinf(bounds[[1, 2, 4]]).all()
    # the same behaviour once more, on other episodes, by what was learned and calibrated on these
    again = data(seed=0)
    rng = np.random.default_rng(5)
    fresh = again.features[again.row, :2] + 0.3 * rng.standard_normal((len(again.row), 2))
    action = np.column_stack([fresh, again.action[:, 2]]).astype(np.float32)
    beyond = strangeness(behaviour, again.row, action) > bounds[phase]
    assert beyond.mean() == pytest.approx(0.1, abs=0.03)


def test_the_more_a_policy_differs_the_less_is_supported(logged: Logged, behaviour: Behaviour) -> None:
    phase = np.zeros(len(logged.row), np.int64)
    shares = [
        unsupported(logged, policy(logged, off), behaviour, phase).share for off in (0.0, 0.5, 1.0, 3.0)
    ]
    assert shares[0] < 0.01
    assert shares == sorted(shares)
    assert shares[-1] > 0.99
    flipped = unsupported(logged, policy(logged, flip=True), behaviour, phase).share
    assert flipped is not None
    assert flipped > 0.25


def test_a_phase_with_too_few_actions_is_not_judged(logged: Logged, behaviour: Behaviour) -> None:
    phase = np.zeros(len(logged.row), np.int64)
    phase[:50] = 2
    found = unsupported(logged, policy(logged, 3.0), behaviour, phase)
    assert found.phases["closing"] is None
    assert found.phases["near"] is None
    assert found.phases["approach"] == found.share
    assert found.actions == {**dict.fromkeys(PHASES, 0), "approach": len(phase) - 50, "closing": 50}
    everywhere = np.arange(len(phase)) % 5
    few = unsupported(data(2, 20), policy(data(2, 20)), behaviour_of(data(2, 20)), everywhere[:40])
    assert few.share is None


def behaviour_of(logged: Logged) -> Behaviour:
    return fit_behaviour(logged, BehaviourConfig(updates=5, batch=8, members=2, hidden=4))


@pytest.mark.parametrize("supported", [0.0, 1.0, 2.0])
def test_a_share_that_is_none_is_refused(supported: float) -> None:
    with pytest.raises(InputError, match=f"supported is {supported:g}"):
        thresholds(np.ones(10), np.zeros(10, np.int64), supported)


# phases


def observations(q: list[np.ndarray], width: list[float], rate: list[float] | None = None) -> dict[str, Any]:
    return {"q": np.array(q), "gripper": np.column_stack([width, rate or [0.0] * len(width)])}


def test_phases_are_told_by_height_gripper_and_contact() -> None:
    high = ARM.home.copy()
    low = ARM.home.copy()
    low[1] += 0.5  # the shoulder leans forward
    z = heights(MODEL, observations([high, low], [0.08, 0.08]))
    assert z[1] < z[0] - 0.05
    split = middle_height(z)
    assert z[1] < split < z[0]
    seen = observations([high, low, low, low, low, high, high], [0.08, 0.08, 0.05, 0.03, 0.0, 0.03, 0.0])
    seen["gripper"][2, 1] = -0.1  # on its way
    closed = np.array([False, False, True, True, True, True, True])
    names = [PHASES[i] for i in phases(MODEL, seen, closed, split)]
    assert names == ["approach", "near", "closing", "holding low", "closing", "holding high", "closing"]


def test_without_the_readings_there_are_no_phases() -> None:
    with pytest.raises(InputError, match="there is no 'gripper', only q"):
        phases(MODEL, {"q": np.array([ARM.home])}, np.array([True]), 0.3)
