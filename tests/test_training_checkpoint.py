from __future__ import annotations

import copy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from robolearn.errors import InputError
from robolearn.policies.guided import GuidedConfig, Learner, Replay, fit_normalisation
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.checkpoint import checkpoint, restore
from robolearn.training.pool import Runner
from robolearn.training.problem import Problem, pose
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.run import Run, TrainConfig
from robolearn.training.tally import RECENT, Clock, Tally

LEARNING = GuidedConfig(batch=8)
CPU = torch.device("cpu")


def problem(channels: tuple[int, ...] = (4, 4)) -> Problem:
    network = VisuomotorConfig(channels=channels, kernel=4, hidden=16)
    return pose(TrainConfig("peg-insertion", {"image_size": 16}, LEARNING, network, minutes=1.0))


def replay_of(problem: Problem) -> Replay:
    replay = Replay(200)
    replay.add(Runner()(EpisodeSpec(problem.task, problem.collected, 1_000_000, labels=True)))
    return replay


def test_learning_goes_on_from_a_checkpoint_as_if_nothing_had_happened(tmp_path: Path) -> None:
    torch.manual_seed(0)
    posed = problem()
    replay, rng = replay_of(posed), np.random.default_rng(3)
    fit_normalisation(posed.network, replay)
    learner, tally = Learner(posed.network, LEARNING, CPU), Tally(asked=9, episodes=7, frames=80, resumed=1)
    tally.own.extend([True] * RECENT)
    tally.judge(4, learner.policy().state_dict())
    tally.own.append(False)
    for _ in range(5):
        learner.update(replay.sample(8, rng, CPU), 0.1)
    run = Run.create(tmp_path / "run", TrainConfig("grasp", {}, LEARNING, VisuomotorConfig(), 1.0))
    state = checkpoint(Clock(60.0, time.monotonic() - 20.0), learner, rng, tally)
    run.save_checkpoint(copy.deepcopy(state))

    def go_on(learner: Learner, rng: np.random.Generator) -> tuple[list[float], list[torch.Tensor]]:
        losses = [learner.update(replay.sample(8, rng, CPU), 0.5)["torque"] for _ in range(4)]
        return losses, [value.clone() for value in learner.average.state_dict().values()]

    expected = go_on(learner, rng)

    loaded = run.load_checkpoint()
    assert loaded is not None
    torch.manual_seed(99)
    fresh, other_rng, other_tally = problem(), np.random.default_rng(99), Tally()
    restored = restore(loaded, fresh.network, LEARNING, CPU, other_rng, other_tally)
    assert restored.steps == 5
    assert replace(other_tally, best=None) == replace(tally, best=None)
    assert other_tally.best is not None
    assert (other_tally.best.steps, other_tally.best.successes) == (4, RECENT)
    restored.policy().load_state_dict(other_tally.best.weights)
    assert 20.0 <= loaded["seconds"] < 25.0
    found = go_on(restored, other_rng)
    assert found[0] == expected[0]
    assert all(torch.equal(a, b) for a, b in zip(found[1], expected[1], strict=True))
    # what was saved did not change while learning went on
    assert torch.equal(loaded["network"]["action_mean"], state["network"]["action_mean"])


def test_a_checkpoint_of_another_network_is_refused() -> None:
    posed = problem()
    learner = Learner(posed.network, LEARNING, CPU)
    state = checkpoint(Clock(60.0, 0.0), learner, np.random.default_rng(0), Tally())
    other = problem(channels=(4, 8))
    with pytest.raises(InputError, match="another robolearn, or damaged"):
        restore(state, other.network, LEARNING, CPU, np.random.default_rng(0), Tally())
    state.pop("optimiser")
    with pytest.raises(InputError, match="another robolearn, or damaged"):
        restore(state, problem().network, LEARNING, CPU, np.random.default_rng(0), Tally())


def test_a_damaged_checkpoint_is_named_and_a_missing_one_is_none(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", TrainConfig("grasp", {}, LEARNING, VisuomotorConfig(), 1.0))
    assert run.load_checkpoint() is None
    run.checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged"):
        run.load_checkpoint()
