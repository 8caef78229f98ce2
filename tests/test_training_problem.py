from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.policies.bundle import load_bundle
from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.problem import device_of, pose
from robolearn.training.run import TrainConfig

TINY = VisuomotorConfig(channels=(4, 4), kernel=4, hidden=16)


def config(task: str = "peg-insertion", network: VisuomotorConfig = TINY, **changes: Any) -> TrainConfig:
    return TrainConfig(task, {"image_size": 16, **changes}, GuidedConfig(), network, minutes=1.0)


def test_a_problem_is_the_task_as_the_policy_sees_it() -> None:
    problem = pose(config(clearance="1mm", observe=("wrist", "q", "wrench"), shape="trapezoid"))
    # in their plain form, and only what differs from the defaults
    assert problem.changes == {"image_size": 16, "clearance": 0.001, "observe": ("wrist", "q", "wrench")}
    assert problem.collected == {**problem.changes, "observe": ("wrist", "q", "wrench", "state")}
    env = make("peg-insertion", problem.changes)
    assert problem.contract == env.contract()
    assert problem.network.cameras == {"wrist": (16, 16)}
    assert problem.network.channels == {"q": 7, "wrench": 6}
    observation, _ = env.reset(seed=0)
    assert problem.network.act(observation).shape == env.action_space.shape
    env.close()


def test_a_policy_is_saved_with_what_it_was_made_for(tmp_path: Path) -> None:
    problem = pose(config(observe=("q",)))
    problem.save(tmp_path / "bundle", problem.network, {"command": "none"})
    bundle = load_bundle(tmp_path / "bundle")
    weights = problem.network.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in bundle.network.state_dict().items())
    assert (bundle.contract, bundle.changes) == (problem.contract, {"observe": ["q"], "image_size": 16})
    assert (bundle.task, bundle.card) == ("peg-insertion", {"command": "none"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observe": ("front", "q", "front")}, "front more than once"),
        ({"observe": ("front_depth", "q")}, r"front_depth.*choose one of front, wrist, q"),
        ({"observe": ("state", "q")}, "state"),
        ({"observe": ("front",)}, "no joint readings"),
        ({"action": "pose"}, "choose 'torque'"),
        ({"image_size": 0}, "from 8 to 1024"),
        ({"observe": ("frnt", "q")}, "did you mean 'front'"),
        ({"clearance": "1 mn"}, "unit 'mn'"),
        ({"arm": "pandaa"}, "did you mean 'panda'"),
        ({"shape": "star"}, "trapezoid"),
    ],
)
def test_what_cannot_be_learned_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pose(config(**changes))


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'grasp'"):
        pose(config("grsp"))


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match=r"'cuda': choose one of auto, cpu$"):
        device_of("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("auto") == torch.device("cuda")
    assert device_of("cuda:1") == torch.device("cuda:1")
    assert device_of("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="cuda:0, cuda:1"):
        device_of("cuda:2")


def test_the_seed_decides_the_network() -> None:
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        weights.append(next(pose(config(observe=("q",))).network.parameters()).detach().numpy())
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
