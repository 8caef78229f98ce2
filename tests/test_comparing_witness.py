from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_modular import save_small_modular, small_problem
from small_policies import small_contract, small_network

from robolearn.comparing import witness
from robolearn.comparing.compare import compare
from robolearn.comparing.witness import ASIDE, HIGH, Witness, near
from robolearn.data.episode import Episode
from robolearn.envs.operational_space import OperationalSpace
from robolearn.envs.peg_insertion import PegInsertionEnv
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.policies.guided import Replay, fit_normalisation
from robolearn.policies.modular.policy import Modular
from robolearn.training.evaluation import evaluate
from robolearn.training.rollout import EpisodeSpec, run_episode

ARM = load_arm("panda")
OBSERVE = ("front", "wrist", "q", "dq", "tau", "gripper", "state")


@pytest.fixture(scope="module")
def descents() -> list[Episode]:
    """The teacher's ways down, some steps each, from scattered starts near the hole."""
    env = PegInsertionEnv(observe=OBSERVE, image_size=24)
    found = []
    for seed in range(1_000_000, 1_000_004):
        changes = {"observe": OBSERVE, "image_size": 24}
        spec = EpisodeSpec("peg-insertion", changes, seed, labels=True, scattered=True, steps=12)
        found.append(run_episode(env, spec, None))
    env.close()
    return found


def shown(errors: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(errors)


def test_frames_count_that_are_near_the_mouth_and_above_it() -> None:
    state = np.zeros((4, 14))
    state[:, 2] = [-0.5 * HIGH, -1.1 * HIGH, 0.001, -0.5 * HIGH]
    state[3, 0] = 1.1 * ASIDE
    np.testing.assert_array_equal(near(state), [True, False, False, False])


def test_a_detector_that_says_the_truth_has_no_error_and_one_that_is_off_has_that_error(
    descents: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = small_problem(episode_seconds=1.0)
    network = problem.network
    assert isinstance(network, Modular)
    labels = [problem.prepare(episode).observations["state"] for episode in descents]
    wrong = np.zeros(9)
    wrong[:3] = 0.001, -0.002, 0.004
    for episode, true in zip(descents, labels, strict=True):
        said = iter(true + wrong)
        monkeypatch.setattr(network, "take_in", lambda seen, said=said: torch.from_numpy(next(said))[None])
        network.pose = torch.nn.Identity()  # type: ignore[assignment]
        errors = Witness(network, ARM).errors(episode)
        np.testing.assert_allclose(errors["seen"], np.tile(wrong[:3], (len(errors["seen"]), 1)), atol=1e-5)
        np.testing.assert_allclose(errors["used"], errors["seen"], atol=1e-3)  # the peg moves in the pads
    assert sum(len(true) for true in labels) > 20


def test_the_teacher_implies_no_error_and_one_whose_goal_is_displaced_implies_that(
    descents: list[Episode],
) -> None:
    network = small_problem(episode_seconds=1.0).network
    watching = Witness(network, ARM)
    found = shown([watching.errors(episode)["implied"] for episode in descents])
    assert len(found) > 10
    np.testing.assert_allclose(found, 0.0, atol=1e-9)

    # torques of the teacher's law for a goal that lies elsewhere, by the simulator's own model
    env = PegInsertionEnv(observe=OBSERVE, image_size=24)
    displaced = np.array([0.002, -0.001, 0.005])
    env.reset(seed=5, options={"scattered": True})
    tip, rotation = env.tip_pose()
    control: OperationalSpace = env._insertion
    goal = tip - np.array([0.0, 0.0, 0.01])
    torques = [control.torque(env.data, tip, rotation, g, rotation) for g in (goal, goal + displaced)]
    episode = descents[0]
    action = np.tile(np.append(torques[1], 1.0), (len(episode), 1))
    expert = np.tile(np.append(torques[0], 1.0), (len(episode), 1))
    q = np.tile(env.data.qpos[env.handles.qpos], (len(episode) + 1, 1))
    state = np.tile(env.privileged(), (len(episode) + 1, 1))
    seen = {**episode.observations, "q": q, "state": state}
    made = replace(episode, requested=action, expert=expert, observations=seen)
    implied = watching._implied(made)
    env.close()
    np.testing.assert_allclose(implied[0], displaced, atol=2e-4)


def test_a_network_that_predicts_no_hole_is_refused() -> None:
    with pytest.raises(InputError, match="does not"):
        Witness(small_network(small_contract()), ARM)
    with pytest.raises(InputError, match="does not"):
        Witness(small_problem("grasp").network, ARM)


def test_policies_are_compared_on_the_same_episodes_and_figures_are_the_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "HIGH", 1.0)  # near enough for whoever has learned nothing
    monkeypatch.setattr(witness, "ASIDE", 1.0)
    problem = small_problem()
    replay = Replay(100)
    env = PegInsertionEnv(**problem.collected)
    spec = EpisodeSpec("peg-insertion", problem.collected, 1_000_000, labels=True)
    replay.add(problem.prepare(run_episode(env, spec, None)))
    env.close()
    fit_normalisation(problem.network, replay)
    problem.save(tmp_path / "b", problem.network.eval())
    first, second = compare([tmp_path / "b", tmp_path / "b"], 2, 0, workers=1)
    alone = evaluate(tmp_path / "b", 2, 0, workers=1)
    assert first.evaluation.table == alone.table
    assert first.method == "modular"
    assert first.interval is None
    assert second.difference == 0.0
    assert second.interval is not None
    found: dict[str, Any] = second.to_dict()
    assert found["success"] == alone.summary["success"]
    assert found["perception"].keys() == {"seen", "used", "implied"}
    assert all(spread["frames"] > 0 for spread in found["perception"].values())


def test_policies_of_several_tasks_are_not_compared(tmp_path: Path) -> None:
    save_small_modular(tmp_path / "a")
    save_small_modular(tmp_path / "b", "grasp")
    with pytest.raises(InputError, match="grasp and peg-insertion"):
        compare([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(InputError, match="one task"):
        compare([])
