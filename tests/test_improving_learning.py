"""The loop's learning: from where the policy is, from both stores, and the same bits after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_episodes import CONTRACT, small_episode

from robolearn.data.episode import Episode
from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.improving import learning
from robolearn.improving.learning import LearningConfig, learn
from robolearn.policies.bundle import Bundle
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

BLIND = replace(CONTRACT, cameras=())
QUICK = OfflineConfig(batch=16, hidden=8, layers=1, learning_rate=1e-2, target_rate=0.5)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "CHECKPOINT", 4)


def start(task: str = "grasp") -> Bundle:
    torch.manual_seed(0)
    network = Visuomotor(VisuomotorConfig(hidden=8, layers=1), {}, {"q": 2}, 0, 3).eval()
    return Bundle(network, BLIND, task, {}, weights_hash="s" * 64)


def episode(number: int, success: bool = True) -> Episode:
    whole = small_episode(number, reason="success" if success else "time", contract=BLIND)
    return replace(whole, observations={"q": whole.observations["q"]})


def store(path: Path, *episodes: Episode) -> Path:
    with Store.create(path) as opened:
        for each in episodes:
            opened.add(each, origin="test")
    return path


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return store(tmp_path / "logs", *(episode(number, number % 4 == 0) for number in range(8)))


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    return store(tmp_path / "prior", *(episode(number) for number in range(100, 104)))


def config(**changes: Any) -> LearningConfig:
    return LearningConfig(**{"steps": 10, "warm_up": 2, "shared": QUICK, **changes})


def weights(network: Visuomotor) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())


@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_same_to_the_last_bit_wherever_it_was_killed(
    tmp_path: Path, logs: Path, prior: Path, method: str
) -> None:
    def killed(at: int) -> Any:
        def tell(step: int, losses: dict[str, float]) -> None:
            if step == at:
                raise KeyboardInterrupt

        return tell

    asked = config(method=method)
    whole = learn(start(), logs, prior, asked, tmp_path / "never.pt", seed=3)
    for at in (2, 6, 10):
        with pytest.raises(KeyboardInterrupt):
            learn(start(), logs, prior, asked, tmp_path / "checkpoint.pt", seed=3, tell=killed(at))
        assert (tmp_path / "checkpoint.pt").is_file() == (at > 4)
    torch.rand(7)
    again = learn(start(), logs, prior, asked, tmp_path / "checkpoint.pt", seed=3)
    assert weights(again.network) == weights(whole.network)
    assert again.facts == whole.facts
    assert weights(whole.network) != weights(start().network)
    assert all(np.isfinite(value) for value in whole.facts["losses"].values())
    other = learn(start(), logs, prior, asked, tmp_path / "other.pt", seed=4)
    assert weights(other.network) != weights(whole.network)


def test_it_says_what_it_learned_from(tmp_path: Path, logs: Path, prior: Path) -> None:
    facts = learn(start(), logs, prior, config(), tmp_path / "c.pt", seed=0).facts
    assert facts["logs"] == {"episodes": 8, "successes": 2, "transitions": 40}
    assert facts["prior"] == {"episodes": 4, "successes": 4, "transitions": 20}
    assert (facts["method"], facts["steps"]) == ("iql", 10)
    alone = learn(start(), None, prior, config(), tmp_path / "d.pt", seed=0).facts
    assert "logs" not in alone


def test_while_it_warms_up_the_policy_stays_as_it_is(tmp_path: Path, logs: Path) -> None:
    learned = learn(start(), logs, None, config(warm_up=10), tmp_path / "c.pt", seed=0)
    assert weights(learned.network) == weights(start().network)


def test_it_comes_nearer_to_what_was_done(tmp_path: Path, prior: Path) -> None:
    first, asked = start(), config(method="bc", steps=300, warm_up=0)
    first.network.reading_mean[:] = torch.tensor([101.5, 2.5])  # as normalisation would have it
    first.network.action_mean[0] = 101.5 / 4
    learned = learn(first, None, prior, asked, tmp_path / "c.pt", seed=0).network
    seen = {"q": np.array([102.0, 3.0], np.float32)}
    done = np.array([102 / 4, 3 / 4, 1.0])
    before, after = (np.abs(network.act(seen) - done).max() for network in (first.network, learned))
    assert after < 0.5 * before


def test_batches_have_the_shares_that_are_asked_for(
    tmp_path: Path, logs: Path, prior: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    draw = learning.draw

    def spy(*words: Any) -> Any:
        batch = draw(*words)
        seen.append(batch.observation["q"][:, 0].numpy().copy())
        return batch

    monkeypatch.setattr(learning, "draw", spy)
    shared = replace(QUICK, batch=64)
    asked = config(prior_share=0.25, success_share=0.5, steps=40, shared=shared)
    learn(start(), logs, prior, asked, tmp_path / "c.pt", seed=0)
    numbers = np.concatenate(seen[1:])
    assert (numbers >= 100).mean() == pytest.approx(0.25)
    own = numbers[numbers < 100]
    assert (own % 4 == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_filtered_cloning_learns_from_successes_alone(tmp_path: Path, logs: Path) -> None:
    asked = config(method="bc", own={"filtered": True})
    facts = learn(start(), logs, None, asked, tmp_path / "c.pt", seed=0).facts
    assert facts["logs"] == {"episodes": 2, "successes": 2, "transitions": 10}


def test_what_cannot_be_learned_from_is_told(tmp_path: Path, logs: Path, prior: Path) -> None:
    place = tmp_path / "c.pt"
    failures = store(tmp_path / "failures", episode(1, False), episode(2, False))
    with pytest.raises(InputError, match="neither logs nor prior"):
        learn(start(), None, None, config(), place, seed=0)
    with pytest.raises(InputError, match="no episode succeeded, so that iql has no reward"):
        learn(start(), failures, None, config(), place, seed=0)
    learn(start(), failures, prior, config(), place, seed=0)
    with pytest.raises(InputError, match="holds no successful episode of grasp"):
        learn(start(), failures, None, config(method="bc", own={"filtered": True}), place, seed=0)
    with pytest.raises(InputError, match="holds no episode of peg-insertion"):
        learn(start("peg-insertion"), logs, None, config(), place, seed=0)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, logs: Path, prior: Path) -> None:
    place = tmp_path / "c.pt"

    def stop(step: int, losses: dict[str, float]) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(start(), logs, prior, config(), place, seed=0, tell=stop)
    for changes in ({"seed": 1}, {"logs": None}):
        words = {"logs": logs, "seed": 0, **changes}
        with pytest.raises(InputError, match="checkpoint of another learning"):
            learn(start(), words["logs"], prior, config(), place, seed=words["seed"])
    place.write_bytes(place.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        learn(start(), logs, prior, config(), place, seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "ppo"}, "unknown method 'ppo'"),
        ({"steps": 0}, "steps is 0"),
        ({"prior_share": 1.5}, "prior_share is 1.5"),
        ({"success_share": -1.0}, "success_share"),
        ({"warm_up": -1}, "warm_up is -1"),
        ({"own": {"expectyle": 0.9}}, "unknown parameter of iql 'expectyle'"),
        ({"own": {"expectile": 1.0}}, "expectile is 1.0"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(**changes)
