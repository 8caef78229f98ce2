from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_modular import save_small_modular, small_problem

from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.policies.bundle import load_bundle, shipped_bundles
from robolearn.policies.export import export_onnx
from robolearn.policies.modular.policy import Modular
from robolearn.policies.visuomotor import Visuomotor


@pytest.mark.parametrize("task", ["peg-insertion", "grasp"])
def test_what_was_saved_acts_as_before_and_begins_anew_after_a_reset(tmp_path: Path, task: str) -> None:
    network = save_small_modular(tmp_path / "b", task)
    loaded = load_bundle(tmp_path / "b")
    assert isinstance(loaded.network, Modular)
    assert loaded.network.config == network.config
    assert loaded.contract.action.kind == "torque"
    env = make(task, loaded.changes)
    first, _ = env.reset(seed=1)
    second = env.step(network.act(first))[0]
    expected = network.act(second)
    env.close()
    loaded.network.act(first)
    np.testing.assert_array_equal(loaded.network.act(second), expected)
    for _ in range(2):  # what was seen before a reset does not matter after it
        loaded.network.reset()
        loaded.network.act(first)
        np.testing.assert_array_equal(loaded.network.act(second), expected)
    loaded.network.reset()
    loaded.network.observe(first)  # somebody else acts: the goal is one of all frames all the same
    goal = loaded.network.hands.skill.goal
    loaded.network.observe(second)
    after = loaded.network.hands.skill.goal
    assert goal is not None
    assert after is not None
    assert not np.array_equal(goal.position, after.position)
    alone = loaded.network.act(first)
    assert alone.shape == (8,)
    assert np.isfinite(alone).all()


def test_bundles_of_end_to_end_policies_are_what_they_were() -> None:
    for name in shipped_bundles():
        assert type(load_bundle(name).network) is Visuomotor


def test_nothing_but_a_controller_acts_so_that_there_is_no_network_to_export(tmp_path: Path) -> None:
    save_small_modular(tmp_path / "b")
    bundle = load_bundle(tmp_path / "b")
    assert not any(name.startswith("control") for name in bundle.network.state_dict())
    with pytest.raises(InputError, match="modular"):
        bundle.network.decide(torch.zeros(1, bundle.network.features))
    with pytest.raises(InputError, match="modular"):
        export_onnx(bundle, tmp_path / "b.onnx")


def test_readings_that_the_controller_needs_have_to_be_observed() -> None:
    with pytest.raises(InputError, match="observe dq, too"):
        small_problem(observe=("front", "q"))
    with pytest.raises(InputError, match="observe gripper, too"):
        small_problem("grasp", observe=("front", "q", "dq"))
    with pytest.raises(InputError, match="camera"):
        small_problem(observe=("q", "dq"))


def test_it_acts_where_there_is_no_simulator(tmp_path: Path) -> None:
    save_small_modular(tmp_path / "b")
    code = (
        "import sys; sys.modules['mujoco'] = None; sys.modules['gymnasium'] = None\n"
        "from robolearn.policies.bundle import load_bundle\n"
        "from robolearn.policies.export import random_observations\n"
        f"network = load_bundle({str(tmp_path / 'b')!r}).network\n"
        "batch = random_observations(network, 1)\n"
        "print(network.act({name: values[0] for name, values in batch.items()}).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(8,)\n"
