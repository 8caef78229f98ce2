from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_policies import CHANGES, CONFIG, TASK, small_contract, small_network

from robolearn.data.episode import Episode
from robolearn.data.store.store import Store
from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.policies.evaluation.logged import look, read_logged
from robolearn.policies.evaluation.phases import read_phases
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.rollout import EpisodeSpec, run_episode

WITH_STATE: dict[str, Any] = {
    **CHANGES,
    "observe": ("front", "wrist", "q", "dq", "tau", "gripper", "state"),
}


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    """Three of a small policy: called a success, out of time, and cut off."""
    env = make(TASK, WITH_STATE)
    actor = small_network()
    actor.action_scale[:-1] *= 0.1
    found = []
    for seed, (success, reason) in enumerate([(True, "success"), (False, "time"), (False, "cut")]):
        episode = run_episode(env, EpisodeSpec(TASK, WITH_STATE, seed, "small"), actor)
        found.append(replace(episode, outcome=replace(episode.outcome, success=success, reason=reason)))
    env.close()
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, episodes: list[Episode]) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    with Store.create(path) as made:
        for episode in episodes:
            made.add(episode, origin="test")
    return path


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        VisuomotorConfig(channels=(4, 8), hidden=16, history=3),
        VisuomotorConfig(channels=(4, 8), hidden=16, history=3, recurrent=True),
    ],
)
def test_what_a_policy_would_have_done_is_what_it_does(
    config: VisuomotorConfig, episodes: list[Episode]
) -> None:
    network = small_network(config=config)
    torch.manual_seed(1)
    network.control[-1].weight.data.normal_(0, 0.3)  # type: ignore[union-attr]
    features, actions = look(network, episodes[0].observations)
    network.reset()
    for t in range(len(episodes[0]) + 1):
        one = {name: array[t] for name, array in episodes[0].observations.items()}
        assert network.act(one) == pytest.approx(actions[t], abs=1e-4)
    assert features.shape == (len(episodes[0]) + 1, features.shape[1])
    assert features.shape[1] > 11  # the predicted state is among them
    assert np.isfinite(features).all()


def test_episodes_are_read_as_they_were(store: Path, episodes: list[Episode]) -> None:
    network = small_network()
    with Store.open(store) as opened:
        rows = opened.episodes()
        logged, proposed = read_logged(opened, rows, [network], {"it": network}, discount=0.9)
        phase = read_phases(opened, rows)
    steps = [len(episode) for episode in episodes]
    assert len(logged) == 3
    assert len(logged.action) == sum(steps) == len(logged.row) == len(logged.episode) == len(phase)
    assert len(logged.features) == sum(steps) + 3 == len(proposed["it"]) == len(logged.episode_of_row)
    assert logged.first.tolist() == [0, steps[0] + 1, steps[0] + steps[1] + 2]
    assert (np.diff(logged.row)[np.diff(logged.episode) == 1] == 2).all()

    torque = logged.action[:, :-1] * logged.scale[:-1] + logged.mean[:-1]
    sent = np.concatenate([episode.filtered for episode in episodes])
    assert torque == pytest.approx(sent, abs=1e-3)
    assert set(np.unique(logged.action[:, -1])) <= {-1.0, 1.0}
    assert logged.scaled(np.append(sent[5], 1.0)) == pytest.approx(
        np.append(logged.action[5, :-1], 1.0), abs=1e-3
    )

    last = np.flatnonzero(np.diff(logged.episode, append=-1))
    assert logged.reward[last].tolist() == [1.0, 0.0, 0.0]
    assert logged.reward.sum() == 1.0
    # success and time end an episode, a cut does not
    assert logged.bootstrap[last] == pytest.approx([0.0, 0.0, 0.9])
    assert np.delete(logged.bootstrap, last) == pytest.approx(0.9)
    assert logged.features.std(0).max() == pytest.approx(1.0, abs=1e-3)


def test_the_privileged_state_may_be_read_beside(store: Path) -> None:
    network = small_network()
    with Store.open(store) as opened:
        rows = opened.episodes()
        both, _ = read_logged(opened, rows, [network], {}, readings=("q", "state"))
        state, proposed = read_logged(opened, rows, [], {"it": network}, readings=("q", "state"))
        with pytest.raises(InputError, match="unknown observation 'stat'"):
            read_logged(opened, rows, [], {}, readings=("stat",))
    width = state.features.shape[1]
    assert both.features[:, -width:] == pytest.approx(state.features)
    assert both.features.shape[1] > width
    assert proposed["it"].shape == (len(state.features), 8)


def test_what_a_policy_looks_at_must_be_there_in_its_size(store: Path, episodes: list[Episode]) -> None:
    larger = small_network(small_contract(image_size=32))
    with pytest.raises(InputError, match=r"'front' has size \(24, 24\).*looks at \(32, 32\)"):
        look(larger, episodes[0].observations)
    without = {name: array for name, array in episodes[0].observations.items() if name != "dq"}
    with pytest.raises(InputError, match="no 'dq', which the policy looks at, only front, wrist, q"):
        look(small_network(), without)
