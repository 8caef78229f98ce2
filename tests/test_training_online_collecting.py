"""What is collected, by whom, and where."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
import reaching
import torch
from small_policies import CHANGES, TASK, small_network

from robolearn.errors import InputError
from robolearn.policies.online.actor import SoftActor
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.online.collectors import Collectors, Here
from robolearn.training.online.config import CollectConfig
from robolearn.training.online.curriculum import RECENT, Curriculum, Stage, stages_of
from robolearn.training.online.hindsight import check_hindsight, in_hindsight
from robolearn.training.online.playing import Led, Play, Player, Policy, Trying, Wanderer, unpacked
from robolearn.training.rollout import EpisodeSpec

BLIND: dict[str, Any] = {**CHANGES, "observe": ("q", "dq", "tau", "gripper")}
REACH = np.array([20.0] * 4 + [1.0] * 3)


def play(seed: int = 1_000_000, **values: Any) -> Play:
    return Play(EpisodeSpec(TASK, BLIND, seed), REACH, **values)


def packed(history: int = 1) -> bytes:
    from robolearn.envs.tasks import make

    env = make(TASK, BLIND)
    network = small_network(env.contract(history), config=VisuomotorConfig(hidden=8, history=history))
    env.close()
    reach = torch.from_numpy(REACH).float()
    return Policy(SoftActor(network, -reach, reach, 0.5 * reach), network).packed()


# --- who acts -------------------------------------------------------------------------------------------


def test_a_wanderer_does_not_let_go_of_what_an_episode_begins_with() -> None:
    wanderer = Wanderer(REACH, 3, holding=True)
    wanderer.reset()
    assert {float(wanderer.act({})[-1]) for _ in range(200)} == {1.0}


def test_a_wanderer_goes_everywhere_in_the_box_and_stays_for_some_steps() -> None:
    wanderer = Wanderer(REACH, 3)
    wanderer.reset()
    actions = np.stack([wanderer.act({}) for _ in range(4000)])
    assert np.abs(actions[:, :-1]).max(0) == pytest.approx(REACH, rel=0.02)
    changes = (np.diff(actions[:, 0]) != 0).mean()
    assert changes == pytest.approx(0.25, abs=0.03)
    assert set(actions[:, -1].tolist()) == {-1.0, 1.0}
    assert 0.3 < (actions[:, -1] > 0).mean() < 0.7
    again = Wanderer(REACH, 3)
    again.reset()
    assert np.array_equal(np.stack([again.act({}) for _ in range(50)]), actions[:50])


def test_who_explores_sees_what_the_network_sees() -> None:
    """With hardly any spread, exploring is what the network does, its past included."""
    policy = unpacked(packed(history=3))
    explorer: Any = policy.explorer
    explorer.log_std.data.fill_(-20.0)
    trying = Trying(explorer, 0)
    rng = np.random.default_rng(0)
    sizes = policy.network.channels
    seen = [
        {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()} for _ in range(6)
    ]
    policy.network.reset()
    trying.reset()
    for observation in seen:
        with torch.no_grad():
            tried = trying.act(observation)
        acted = np.clip(policy.network.act(observation)[:-1], -REACH, REACH)
        assert np.abs((tried[:-1] - acted) / REACH).max() < 0.05


def test_the_teacher_leads_and_is_not_recorded() -> None:
    player = Player()
    plain = player(play())
    led = player(play(lead=3))
    env = player._env_of(play().spec)
    env.reset(seed=1_000_000)
    for _ in range(3):
        observation, *_ = env.step(env.teacher())
    np.testing.assert_array_equal(led.observations["q"][0], observation["q"])
    assert len(plain) == 8
    assert len(led) == 5  # of the same time
    far = Led(env, 50)  # the episode would be over: half as far, and so on
    far.reset(seed=1_000_000)
    assert not env._finished
    player.close()


# --- where ----------------------------------------------------------------------------------------------


def test_plays_give_the_same_episodes_here_and_elsewhere() -> None:
    policy = packed()
    plays = [
        play(),
        play(1_000_001, policy=policy, steps=1),
        play(1_000_002, policy=policy, steps=1, alone=True),
    ]
    found: dict[str, dict[int, Any]] = {}
    for name, stage in (("here", Here()), ("elsewhere", Collectors(1))):
        for each in plays:
            stage.submit(each)
        assert stage.pending == 3
        found[name] = {}
        while stage.pending:
            found[name] |= {each.spec.seed: episode for each, episode in stage.ready(1.0)}
        stage.close()
    for seed, episode in found["here"].items():
        assert np.array_equal(episode.requested, found["elsewhere"][seed].requested)
        assert np.array_equal(episode.observations["q"], found["elsewhere"][seed].observations["q"])
    asked = found["here"][1_000_002]
    network = unpacked(policy).network
    first = network.act({name: values[0] for name, values in asked.observations.items()})
    np.testing.assert_allclose(asked.requested[0], first, rtol=1e-6)


@pytest.mark.slow
def test_a_collector_that_dies_is_replaced_and_what_cannot_be_played_is_said() -> None:
    stage = Collectors(1)
    try:
        for seed in range(4):
            stage.submit(play(1_000_000 + seed))
        os.kill(stage._collectors[0].process.pid or 0, signal.SIGKILL)
        seeds, deadline = [], time.monotonic() + 300
        while len(seeds) < 4 and time.monotonic() < deadline:
            seeds += [each.spec.seed for each, _ in stage.ready(1.0)]
        assert sorted(seeds) == [1_000_000 + seed for seed in range(4)]
        assert stage.deaths == [-signal.SIGKILL]
        stage.submit(Play(EpisodeSpec("grsp", {}, 1_000_000), REACH))
        with pytest.raises(InputError, match="did you mean 'grasp'"):
            stage.ready(300.0)
    finally:
        stage.close()


# --- from easy to hard ----------------------------------------------------------------------------------


def test_stages_lead_from_the_goal_backwards_and_from_wide_to_narrow() -> None:
    assert stages_of(CollectConfig()) == (Stage(),)
    backwards = stages_of(CollectConfig(backwards=4))
    assert [stage.lead for stage in backwards] == [1.0, 0.75, 0.5, 0.25, 0.0]
    both = stages_of(CollectConfig(backwards=1, clearances=("4mm", "2mm")))
    assert both == (
        Stage(1.0, {"clearance": "4mm"}),
        Stage(0.0, {"clearance": "4mm"}),
        Stage(0.0, {"clearance": "2mm"}),
        Stage(),
    )


def test_the_next_stage_begins_when_most_of_this_one_succeed() -> None:
    curriculum = Curriculum(CollectConfig(backwards=1))
    assert not any(curriculum.add(0, success) for success in [False] * RECENT + [True] * 11)
    assert not curriculum.add(1, True)  # of another stage: asked for before
    assert curriculum.add(0, True)
    assert curriculum.last
    assert str(curriculum) == "stage 2 of 2"
    assert not any(curriculum.add(1, True) for _ in range(50))
    again = Curriculum(CollectConfig(backwards=1))
    again.load(curriculum.state())
    assert again.last


# --- in hindsight ---------------------------------------------------------------------------------------


def test_in_hindsight_an_episode_came_to_its_goal() -> None:
    player = Player()
    spec = EpisodeSpec(reaching.TASK, {"observe": ("q", "state"), "episode_seconds": 0.5}, 1_000_000)
    episode = player(Play(spec, REACH))
    player.close()
    assert not episode.outcome.success
    again = in_hindsight(reaching.TASK, episode, 6)
    assert len(again) == 6
    assert len(Counter(len(each) for each in again)) > 2
    for each in again:
        each.validate()
        assert each.outcome.success
        assert reaching.ways(each)[-1] == 0.0
        assert np.array_equal(each.requested, episode.requested[: len(each)])
    same = in_hindsight(reaching.TASK, episode, 6)
    assert [len(each) for each in same] == [len(each) for each in again]


def test_hindsight_is_refused_where_it_makes_no_sense() -> None:
    check_hindsight("grasp", 0)
    check_hindsight(reaching.TASK, 4)
    for task in ("grasp", "peg-insertion"):
        with pytest.raises(InputError, match=f"{task} has no goal that could have been elsewhere"):
            check_hindsight(task, 4)
