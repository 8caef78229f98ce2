from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_policies import TASK, small_contract, small_network

from robolearn.hardware.station import load_station
from robolearn.improving.battery import failings, rehearse, run_battery
from robolearn.improving.battery_scenarios import FAULTS, PERTURBATIONS, Scenario, reality
from robolearn.policies.bundle import Bundle

CHANGES: dict[str, Any] = {"image_size": 64, "episode_seconds": 1.2}
STATION = load_station("sim")
SCENARIOS = {scenario.name: scenario for scenario in (*FAULTS, *PERTURBATIONS)}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Turns the hand all the time, softly."""
    contract = small_contract(**CHANGES)
    network = small_network(contract)
    network.action_scale.zero_()
    network.action_mean.zero_()
    network.action_mean[6] = 1.0
    return Bundle(network, contract, TASK, CHANGES, weights_hash="0" * 64)


@pytest.mark.parametrize("name", [scenario.name for scenario in FAULTS])
def test_every_fault_is_answered_in_time_and_for_its_reason(bundle: Bundle, name: str) -> None:
    (found,) = rehearse(bundle, STATION, SCENARIOS[name], [0])
    assert failings(found, SCENARIOS[name]) == []
    assert found.moved or not SCENARIOS[name].if_moving
    assert found.answered is not None
    assert not found.success


def test_a_fault_that_nobody_answers_is_found(bundle: Bundle) -> None:
    nothing = Scenario("nothing much", "", answer=("request_nonfinite",), within=0.1)
    (found,) = rehearse(bundle, STATION, nothing, [0])
    assert failings(found, nothing) == ["nothing held the arm for request_nonfinite"]
    assert found.reason == "time"


def test_wild_requests_reach_no_limit_and_the_next_episode_is_as_any_other(bundle: Bundle) -> None:
    first, second = rehearse(bundle, STATION, SCENARIOS["wild requests"], [3, 3])
    assert failings(first, SCENARIOS["wild requests"]) == []
    assert first.speed > 0.2
    # begun from elsewhere, but the same policy in the same place
    assert second.speed == pytest.approx(first.speed, rel=0.3)


def test_a_push_pushes_and_ends(bundle: Bundle) -> None:
    (calm,) = rehearse(bundle, STATION, SCENARIOS["nothing"], [0])
    (pushed,) = rehearse(bundle, STATION, SCENARIOS["push"], [0])
    assert pushed.speed > 1.2 * calm.speed or pushed.force > calm.force + 5.0
    assert failings(pushed, SCENARIOS["push"]) == []


def test_a_battery_goes_through_all_that_concerns_the_policy(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from robolearn.improving import battery

    monkeypatch.setattr(battery, "FAULTS", (SCENARIOS["policy dies"], SCENARIOS["cameras black"]))
    monkeypatch.setattr(battery, "PERTURBATIONS", (SCENARIOS["nothing"],))
    told: list[str] = []
    found = run_battery(bundle, STATION, range(5, 7), progress=lambda r: told.append(r.scenario))
    assert [(r.scenario, r.seed) for r in found] == [
        ("policy dies", 5),
        ("cameras black", 5),
        ("nothing", 5),
        ("nothing", 6),
    ]
    assert told == [r.scenario for r in found]
    contract = small_contract(**{**CHANGES, "observe": ("q", "dq", "tau", "gripper")})
    blind = Bundle(small_network(contract), contract, TASK, CHANGES, weights_hash="1" * 64)
    monkeypatch.setattr(battery, "PERTURBATIONS", ())
    monkeypatch.setattr(battery, "FAULTS", (SCENARIOS["cameras black"],))
    assert run_battery(blind, STATION, [0]) == []


def test_the_same_rehearsal_is_the_same_to_the_last_digit(bundle: Bundle) -> None:
    one, two = (rehearse(bundle, STATION, SCENARIOS["joint states dropped"], [1]) for _ in range(2))
    assert one == two


def test_scenarios_that_need_another_arm_get_one() -> None:
    assert reality(SCENARIOS["nothing"], STATION.arm) is None
    motors = reality(SCENARIOS["motors"], STATION.arm)
    assert motors is not None
    assert np.allclose(motors.torque_gain, [1.04, 0.96, 1.04, 0.96, 1.04, 0.96, 1.04])
    friction = reality(SCENARIOS["joint friction"], STATION.arm)
    assert friction is not None
    assert friction.joint_friction == (0.5, 0.5, 0.5, 0.5, 0.15, 0.15, 0.15)
    assert len({scenario.name for scenario in (*FAULTS, *PERTURBATIONS)}) == len(SCENARIOS)
