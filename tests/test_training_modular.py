from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_modular import CHANGES, NETWORK, small_problem

from robolearn.data.episode import Episode
from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.policies.guided import GuidedConfig, Learner, Replay, fit_normalisation
from robolearn.policies.modular.learning import detection
from robolearn.policies.modular.policy import Modular
from robolearn.training import train as training
from robolearn.training.problem import pose
from robolearn.training.rollout import EpisodeSpec, run_episode
from robolearn.training.run import ModularTrainConfig, TrainConfig, kind_of, read_config
from robolearn.training.train import train
from robolearn.training.train_command import read_words

CPU = torch.device("cpu")


def collected(task: str, seed: int = 1_000_000) -> Episode:
    problem = small_problem(task)
    env = make(task, problem.collected)
    episode = run_episode(env, EpisodeSpec(task, problem.collected, seed, labels=True), None)
    env.close()
    return episode


def test_the_controller_is_told_what_stands_in_the_drawings() -> None:
    problem = small_problem(clearance="1mm", randomisation="rich")
    config = problem.network.config
    assert (config.task, config.arm, config.rate) == ("peg-insertion", "panda", 20.0)  # type: ignore[attr-defined]
    facts: dict[str, float] = config.facts  # type: ignore[attr-defined]
    assert facts == pytest.approx(
        {"clearance": 0.001, "chamfer": 0.002, "depth": 0.025, "mass": facts["mass"]}
    )
    assert 0.05 < facts["mass"] < 0.2
    assert config.friction == (0.5,) * 4 + (0.15,) * 3  # type: ignore[attr-defined]
    assert small_problem().network.config.friction == (0.0,) * 7  # type: ignore[attr-defined]


def test_a_task_without_a_controller_is_refused() -> None:
    config = ModularTrainConfig("small_task:BallEnv", {}, GuidedConfig(), NETWORK, minutes=1.0)
    with pytest.raises(InputError, match="peg-insertion"):
        pose(replace(config, changes={"observe": ("front", "q", "dq")}))


@pytest.mark.parametrize("task", ["peg-insertion", "grasp"])
def test_an_episode_gets_labels_in_place_of_the_state_and_stays_what_it_was(task: str) -> None:
    problem, episode = small_problem(task), collected(task)
    made = problem.prepare(episode)
    network = problem.network
    assert isinstance(network, Modular)
    assert made.observations["state"].shape == (len(episode) + 1, network.hands.skill.size)
    assert episode.observations["state"].shape[1] == (14 if task == "peg-insertion" else 11)
    np.testing.assert_array_equal(made.observations["front"], episode.observations["front"])
    np.testing.assert_allclose(made.observations["state"][:, :3], episode.observations["state"][:, :3])


@pytest.mark.parametrize("task", ["peg-insertion", "grasp"])
def test_the_detector_learns_a_few_frames_by_heart(task: str) -> None:
    problem = small_problem(task)
    replay = Replay(100)
    replay.add(problem.prepare(collected(task)))
    network = problem.network
    fit_normalisation(network, replay)
    config = GuidedConfig(batch=16, recolour=0.0, learning_rate=5e-3)
    learner = Learner(network, config, CPU, problem.objective)
    rng = np.random.default_rng(0)
    losses = [learner.update(replay.sample(16, rng, CPU), 0.0)["label"] for _ in range(80)]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_an_error_near_the_hole_weighs_as_much_as_a_large_one_from_afar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = small_problem().network

    def loss(distance: float, error: float) -> float:
        label = torch.zeros(1, 9)
        label[:, 2] = -distance
        wrong = label.clone()
        wrong[:, 0] += error
        monkeypatch.setattr(network, "predict", lambda batch: wrong)
        return float(detection(network, {"state": label}, GuidedConfig())[0])

    assert loss(0.0, 0.001) == pytest.approx(loss(0.1, 0.016), rel=1e-4)
    assert loss(0.0, 0.001) == pytest.approx(0.5 / 9)
    assert loss(0.0, 0.0) == 0.0


def test_the_method_is_a_word_and_stays_when_resuming(tmp_path: Path) -> None:
    config, options = read_words(["peg-insertion", "--method", "modular", "--clearance", "2mm"])
    assert (type(config), options.method) == (ModularTrainConfig, "modular")
    assert type(read_words(["grasp"])[0]) is TrainConfig
    from robolearn.training.run import Run

    with Run.create(tmp_path / "run", config):
        pass
    assert kind_of(tmp_path / "run") == "modular"
    assert read_config(tmp_path / "run", ModularTrainConfig) == config
    again, _ = read_words(["--resume", str(tmp_path / "run"), "--minutes", "9"])
    assert (type(again), again.minutes) == (ModularTrainConfig, 9.0)
    with pytest.raises(InputError, match="is modular, not guided"):
        read_words(["--resume", str(tmp_path / "run"), "--method", "guided"])


def test_a_training_ends_in_a_bundle_and_collects_no_more_than_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from robolearn.policies.bundle import load_bundle
    from robolearn.training.tally import Clock

    for name in ("PUBLISH", "TELL", "CHECKPOINT"):
        monkeypatch.setattr(training, name, 0.2)
    steps: list[int] = []
    original: Any = Learner.update

    def update(self: Learner, *given: Any) -> dict[str, float]:
        steps.append(self.steps)
        found: dict[str, float] = original(self, *given)
        return found

    monkeypatch.setattr(Learner, "update", update)
    over = property(lambda clock: 1.0 if len(steps) > 30 or clock.seconds > 120 else 0.5)
    monkeypatch.setattr(Clock, "share", over)
    learning = GuidedConfig(demonstrations=3, batch=16, scattered=1, episodes=4)
    changes = {**CHANGES, "image_size": 16}
    result = train(
        ModularTrainConfig("peg-insertion", changes, learning, NETWORK, minutes=1.0), tmp_path / "run"
    )
    assert result.bundle is not None
    bundle = load_bundle(result.bundle)
    assert isinstance(bundle.network, Modular)
    assert bundle.card["training"]["episodes"] <= 4
    assert bundle.card["training"]["gradient steps"] > 30
