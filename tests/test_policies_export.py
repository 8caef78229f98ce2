from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_policies import CONFIG, save_small, small_network

from robolearn import cli
from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.policies import export
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.policies.export import export_onnx, random_observations, run_onnx

onnx = pytest.importorskip("onnx", reason="the extra robolearn[onnx] is not installed")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("export") / "policy"
    save_small(path)
    return load_bundle(path)


@pytest.fixture(scope="module")
def exported(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "deep" / "policy.onnx"
    assert export_onnx(bundle, path) < 1e-4
    assert [file.name for file in path.parent.iterdir()] == ["policy.onnx"]
    return path


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_onnxruntime_acts_as_the_network_does(bundle: Bundle, exported: Path, batch: int) -> None:
    observations = random_observations(bundle.network, batch, seed=batch)
    expected = [
        bundle.network.act({name: values[i] for name, values in observations.items()}) for i in range(batch)
    ]
    actions = run_onnx(exported, observations)
    assert actions.shape == (batch, bundle.contract.action.length)
    assert np.abs(actions - np.stack(expected)).max() < 1e-4
    assert set(np.unique(actions[:, -1])) <= {-1.0, 1.0}


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_policy_that_looks_back_takes_windows(tmp_path: Path, recurrent: bool) -> None:
    save_small(tmp_path / "b", config=replace(CONFIG, history=3, recurrent=recurrent))
    back = load_bundle(tmp_path / "b")
    export_onnx(back, tmp_path / "policy.onnx")
    episode = random_observations(small_network(), 5)  # by chance one after another
    names = [*back.network.cameras, *back.network.channels]
    for step in range(5):
        action = back.network.act({name: episode[name][step] for name in names})
        past = [max(step - lag, 0) for lag in (2, 1, 0)]
        inputs = {name: episode[name][past if name in back.network.windows else step][None] for name in names}
        assert np.abs(run_onnx(tmp_path / "policy.onnx", inputs) - action).max() < 1e-4


def test_it_closes_and_opens_the_gripper(bundle: Bundle, tmp_path: Path) -> None:
    shut = load_bundle(bundle.path or "")
    observations = random_observations(shut.network, 2)
    for bias, gripper in ((100.0, 1.0), (-100.0, -1.0)):
        with torch.no_grad():
            shut.network.control[-1].bias[-1] = bias
        export_onnx(shut, tmp_path / "policy.onnx")
        assert run_onnx(tmp_path / "policy.onnx", observations)[:, -1].tolist() == [gripper, gripper]


def test_the_file_says_what_it_is(bundle: Bundle, exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["task"] == bundle.task
    assert Contract.from_json(facts["contract"]) == bundle.contract
    assert facts["contract_hash"] == bundle.contract.hash
    assert facts["weights_hash"] == bundle.weights_hash
    names = [*(c.name for c in bundle.contract.cameras), *(c.name for c in bundle.contract.proprioception)]
    assert [entry.name for entry in model.graph.input] == names
    assert [entry.name for entry in model.graph.output] == ["action"]


def test_random_observations_are_such_as_the_network_was_trained_on(bundle: Bundle) -> None:
    observations = random_observations(bundle.network, 4000)
    readings = np.concatenate([observations[name] for name in bundle.network.channels], 1)
    assert readings.mean(0) == pytest.approx(bundle.network.get_buffer("reading_mean").numpy(), abs=0.2)
    assert readings.std(0) == pytest.approx(bundle.network.get_buffer("reading_scale").numpy(), rel=0.1)
    assert observations["front"].dtype == np.uint8


# --- what is refused ------------------------------------------------------------------------------------


def test_a_file_that_computes_something_else_is_not_left_behind(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.onnx").write_text("the one before")
    right = export.run_onnx
    monkeypatch.setattr(export, "run_onnx", lambda path, observations: right(path, observations) + 0.5)
    with pytest.raises(RuntimeError, match=r"differ from the network's by 0\.5 N·m"):
        export_onnx(bundle, tmp_path / "policy.onnx")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        ("policy.onnx", "the one before")
    ]


def test_another_kind_of_file(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.onnx; .*policy\.pt"):
        export_onnx(bundle, tmp_path / "policy.pt")


def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.onnx, "export", None)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="nothing can be written to"):
        export_onnx(bundle, tmp_path / "file" / "policy.onnx")


def test_missing_packages_are_named(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def missing(name: str, *more: Any) -> Any:
        return None if name.startswith("onnx") and name != "onnx" else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(InputError, match=r"needs onnxscript, onnxruntime: pip install 'robolearn\[onnx\]'"):
        export_onnx(bundle, tmp_path / "policy.onnx")


def test_an_old_torch(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.4.1+cu121")
    with pytest.raises(InputError, match=r"needs torch 2\.6 or newer; this is torch 2\.4\.1"):
        export_onnx(bundle, tmp_path / "policy.onnx")


def test_the_command(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(bundle.path), "--onnx", str(tmp_path / "p.onnx")]) == 0
    assert "p.onnx: onnxruntime's actions differ from the network's by at most" in capsys.readouterr().out
    assert cli.main(["export", str(bundle.path), "--onnx", str(tmp_path / "p.onnx"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bundle"], found["onnx"]) == (str(bundle.path), str(tmp_path / "p.onnx"))
    assert 0.0 <= found["largest_difference"] < 1e-3
    assert cli.main(["export", str(tmp_path), "--onnx", str(tmp_path / "q.onnx")]) == 2
    assert "holds no bundle" in capsys.readouterr().err
    assert json.loads((Path(bundle.path or "") / "bundle.json").read_text())["version"] == 2
