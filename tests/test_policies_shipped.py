"""The bundles that come with the package: they load, fit today's environments, and still do their task."""

from __future__ import annotations

import pytest

from robolearn.policies.bundle import load_bundle, shipped_bundles
from robolearn.training.evaluation import check_offer, evaluate, task_changes

EPISODES = 4


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
    assert found.summary["success"]["successes"] >= EPISODES / 2
