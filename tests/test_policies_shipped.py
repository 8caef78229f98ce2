"""The bundles that come with the package: they load, fit today's environments, and still do their task.

Nor do they give the safety monitor cause to stop them.
"""

from __future__ import annotations

from typing import Any

import pytest

from robolearn.hardware.oneprocess import run_episodes
from robolearn.hardware.recording import topics
from robolearn.hardware.station import load_station
from robolearn.policies.bundle import load_bundle, shipped_bundles
from robolearn.training.evaluation import check_offer, evaluate, task_changes

EPISODES, AT_LEAST = 10, 8
DEPLOYED = 3


def test_two_are_shipped() -> None:
    assert {"grasp", "peg-insertion"} <= set(shipped_bundles())


@pytest.mark.parametrize("name", shipped_bundles())
def test_it_is_small_and_says_how_it_was_made(name: str) -> None:
    bundle = load_bundle(name)
    assert bundle.task == name
    assert sum(parameter.numel() for parameter in bundle.network.parameters()) < 500_000
    assert bundle.card["command"].startswith(f"robolearn train {name}")
    measured = bundle.card["evaluations"]
    assert measured
    assert all(entry["weights"] == bundle.weights_hash for entry in measured)
    assert all(entry["contract"] == bundle.contract.hash for entry in measured)


@pytest.mark.parametrize("name", shipped_bundles())
def test_its_task_offers_what_it_requires(name: str) -> None:
    bundle = load_bundle(name)
    check_offer(bundle.contract, bundle.task, task_changes(bundle, {}))


@pytest.mark.parametrize("name", shipped_bundles())
def test_it_still_does_its_task(name: str) -> None:
    found = evaluate(name, EPISODES, seed=500_000, workers=1)
    assert found.summary["success"]["successes"] >= AT_LEAST


@pytest.mark.parametrize("name", shipped_bundles())
def test_it_is_not_stopped_in_everyday_work(name: str) -> None:
    """Behind the monitor that watches real arms; what happens between episodes is no part of it."""
    statuses: list[Any] = []
    ends: list[str] = []
    acting = False

    def record(topic: str, time: int, entry: Any) -> None:
        nonlocal acting
        if topic == topics.EPISODE:
            acting = entry.kind == "begin"
            ends.extend([entry.body["outcome"]["reason"]] if entry.kind == "end" else [])
        elif topic == topics.MONITOR and acting:
            statuses.append(entry)

    seeds = range(500_000, 500_000 + DEPLOYED)
    outcomes = run_episodes(load_bundle(name), load_station("sim"), seeds, record=record)
    assert len(ends) == DEPLOYED
    assert "stopped" not in ends
    assert len(statuses) == sum(outcome.ticks for outcome in outcomes) > 100
    assert [status.causes for status in statuses if status.mode == "stopped"] == []
