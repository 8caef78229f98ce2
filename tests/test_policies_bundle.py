from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_policies import CHANGES, CONFIG, TASK, save_small, small_contract, small_network

from robolearn.errors import InputError
from robolearn.policies import bundle as bundles
from robolearn.policies.bundle import (
    content_hash,
    find_bundle,
    load_actor,
    load_bundle,
    save_bundle,
    write_card,
)
from robolearn.policies.export import random_observations

FILES = {"weights.safetensors", "bundle.json", "contract.json", "card.json", "README.md"}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_small(tmp_path / "policy")
    return tmp_path / "policy"


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def edit_head(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change bundle.json and seal it again."""
    edit(bundle / "bundle.json", change)
    card = json.loads((bundle / "card.json").read_text())
    edit(bundle / "bundle.json", lambda head: head.update(content_sha256=content_hash(head, card)))


def refused(path: Path | str, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_bundle(path)
    for word in words:
        assert word in str(caught.value)


# --- what comes back ------------------------------------------------------------------------------------


def test_what_was_saved_acts_as_before(tmp_path: Path) -> None:
    network = save_small(tmp_path / "b", card={"command": "robolearn train grasp", "minutes": 4.0})
    loaded = load_bundle(tmp_path / "b")
    batch = random_observations(network, 3)
    for i in range(3):
        observation = {name: values[i] for name, values in batch.items()}
        np.testing.assert_array_equal(loaded.network.act(observation), network.act(observation))
        np.testing.assert_array_equal(load_actor(tmp_path / "b").act(observation), network.act(observation))
    assert loaded.contract == small_contract()
    assert (loaded.task, loaded.changes) == (TASK, CHANGES)
    assert loaded.card == {"command": "robolearn train grasp", "minutes": 4.0}
    assert not loaded.network.training
    assert {file.name for file in (tmp_path / "b").iterdir()} == FILES


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_policy_that_looks_back_comes_back_as_one(tmp_path: Path, recurrent: bool) -> None:
    config = replace(CONFIG, history=3, recurrent=recurrent)
    network = save_small(tmp_path / "b", config=config)
    loaded = load_bundle(tmp_path / "b")
    assert (loaded.contract.history, loaded.network.config) == (3, config)
    batch = random_observations(small_network(), 4)
    for i in range(4):
        observation = {name: values[i] for name, values in batch.items()}
        np.testing.assert_array_equal(loaded.network.act(observation), network.act(observation))
    with pytest.raises(InputError, match="history: 3 against 1"):
        save_bundle(tmp_path / "c", network, small_contract(), TASK, CHANGES, {})


def test_the_hash_is_that_of_the_weights(saved: Path) -> None:
    digest = hashlib.sha256((saved / "weights.safetensors").read_bytes()).hexdigest()
    assert load_bundle(saved).weights_hash == digest


def test_loading_leaves_the_random_numbers_of_the_caller_alone(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_bundle(saved)
    assert torch.equal(torch.rand(2), expected)


def test_changes_may_hold_cameras_and_come_back_as_json(tmp_path: Path) -> None:
    from robolearn.envs.grasp import GraspConfig

    cameras = tuple(replace(view, width=24, height=24) for view in GraspConfig().cameras)
    changes = {"cameras": cameras, "observe": ("front", "q")}
    save_bundle(tmp_path / "b", small_network(), small_contract(), TASK, changes, {})
    loaded = load_bundle(tmp_path / "b").changes
    assert loaded["observe"] == ["front", "q"]
    assert loaded["cameras"][0]["name"] == cameras[0].name
    assert loaded["cameras"][1]["position"] == list(cameras[1].position)


def test_the_card_is_replaced_alone(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = (saved / "weights.safetensors").read_bytes()
    summary = {
        "episodes": 200,
        "success": {"rate": 0.965, "interval": [0.93, 0.983]},
        "changes": {},
        "command": "robolearn evaluate grasp",
    }
    write_card(saved, {"evaluations": [summary]})
    assert load_bundle(saved).card["evaluations"][0]["success"]["rate"] == 0.965
    text = (saved / "README.md").read_text()
    assert "| 200 | 0.965 | 0.930 to 0.983 |  |  |  | as trained | `robolearn evaluate grasp` |" in text
    assert (saved / "weights.safetensors").read_bytes() == weights
    assert {file.name for file in saved.iterdir()} == FILES

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_card(saved, {})
    assert load_bundle(saved).card["evaluations"] == [summary]


# --- where it is looked for -----------------------------------------------------------------------------


def test_a_run_stands_for_the_bundle_in_it(tmp_path: Path) -> None:
    save_small(tmp_path / "run" / "bundle")
    assert find_bundle(tmp_path / "run") == tmp_path / "run" / "bundle"
    assert load_bundle(tmp_path / "run").path == tmp_path / "run" / "bundle"


def test_a_shipped_name_goes_before_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_small(tmp_path / "package" / "lift", card={"of": "the package"})
    save_small(tmp_path / "here" / "lift", card={"of": "the person"})
    monkeypatch.setattr(bundles, "SHIPPED", tmp_path / "package")
    monkeypatch.chdir(tmp_path / "here")
    assert load_bundle("lift").card == {"of": "the package"}
    assert load_bundle("./lift").card == {"of": "the person"}


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_small(tmp_path / "package" / "lift")
    monkeypatch.setattr(bundles, "SHIPPED", tmp_path / "package")
    refused(tmp_path / "nowhere", "there is no bundle", "nowhere", "shipped bundle (lift)")
    (tmp_path / "run").mkdir()
    refused(tmp_path / "run", "holds no bundle", "shipped bundle (lift)")


# --- writing --------------------------------------------------------------------------------------------


def test_saving_replaces_the_bundle_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    save_small(tmp_path / "b", seed=0)
    second = save_small(tmp_path / "b", seed=1)
    weights = load_bundle(tmp_path / "b").network.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in second.state_dict().items())
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]


def test_a_full_disk_leaves_the_bundle_before(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    flush, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_small(saved, seed=1)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["policy"]


def test_a_save_killed_between_its_two_renames_loses_nothing(saved: Path) -> None:
    saved.rename(saved.parent / ".policy.previous")
    assert load_bundle(saved).task == TASK
    save_small(saved, seed=1)
    assert load_bundle(saved).path == saved
    assert [entry.name for entry in saved.parent.iterdir()] == ["policy"]


def test_what_is_no_bundle_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    (tmp_path / "file").write_text("precious, too")
    for name in ("thesis", "file"):
        with pytest.raises(InputError, match="is no bundle"):
            save_small(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "precious"
    assert (tmp_path / "file").read_text() == "precious, too"


def test_a_network_that_does_not_fit_the_contract_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not fit the contract: cameras: .*\(24, 24\).*\(20, 20\)"):
        save_bundle(tmp_path / "b", small_network(), small_contract(image_size=20), TASK, CHANGES, {})
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("card", [{"rate": float("nan")}, {"rate": object()}])
def test_a_card_that_is_no_json_is_not_saved(tmp_path: Path, card: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="JSON"):
        save_bundle(tmp_path / "b", small_network(), small_contract(), TASK, CHANGES, card)
    assert list(tmp_path.iterdir()) == []


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILES - {"README.md", "bundle.json"}))
def test_a_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    refused(saved, str(saved), f"the file {name} is missing")


def test_damaged_weights(saved: Path) -> None:
    file = saved / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    refused(saved, "weights.safetensors is damaged or of another policy")
    file.write_bytes(content[: len(content) // 2])
    refused(saved, "weights.safetensors is damaged or of another policy")


def test_weights_of_another_policy(saved: Path, tmp_path: Path) -> None:
    save_small(tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other" / "weights.safetensors", saved)
    refused(saved, "of another policy")


def test_another_contract(saved: Path) -> None:
    edit(saved / "contract.json", lambda contract: contract.update(control_rate=25))
    refused(saved, "contract.json has hash", "bundle.json was written for")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda head: head.update(version=3), "'robolearn-bundle' version 3; this robolearn reads"),
        (lambda head: head.update(format="zip"), "'zip' version 2; this robolearn reads"),
        (lambda head: head.pop("task"), "lacks 'task'"),
        (lambda head: head.update(extra=1), "unknown key 'extra'"),
        (lambda head: head["network"].update(kind="visumotor"), "did you mean 'visuomotor'?"),
        (lambda head: head["network"]["config"].update(width=3), "unknown key 'width'"),
        (lambda head: head["network"]["config"].update(hidden="wide"), "network cannot be built"),
        (lambda head: head["network"]["config"].update(hidden=-1), "network cannot be built"),
        (lambda head: head["network"]["config"].update(hidden=17), "pose.0.weight of shape"),
        (lambda head: head["network"]["cameras"].update(front=[24]), "network cannot be built"),
        (lambda head: head["network"]["cameras"].update(front=[32, 32]), "fit the contract: cameras"),
        (lambda head: head["network"]["cameras"].update(left=[24, 24]), "fit the contract: cameras"),
        (lambda head: head["network"]["channels"].update(q=6), "fit the contract: channels"),
        (lambda head: head["network"].update(action=7), "fit the contract: numbers in an action"),
    ],
)  # fmt: skip
def test_a_head_that_says_something_else(saved: Path, change: Any, word: str) -> None:
    edit_head(saved, change)
    refused(saved, str(saved), word)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bundle.json", lambda head: head.update(task="peg-insertion")),
        ("bundle.json", lambda head: head["changes"].update(image_size=25)),
        ("bundle.json", lambda head: head["network"]["config"].update(recurrent=0)),
        ("card.json", lambda card: card.update(success=1.0)),
    ],
)
def test_a_head_or_a_card_that_was_changed_by_hand(saved: Path, name: str, change: Any) -> None:
    edit(saved / name, lambda content: None)  # the layout may change
    load_bundle(saved)
    edit(saved / name, change)
    refused(saved, str(saved), "bundle.json or card.json is damaged or of another bundle", "SHA-256")


def test_the_card_of_another_bundle(saved: Path, tmp_path: Path) -> None:
    save_small(tmp_path / "other", card={"success": 0.99})
    shutil.copy(tmp_path / "other" / "card.json", saved)
    refused(saved, "bundle.json or card.json is damaged or of another bundle")


def test_weights_that_are_not_finite_or_not_all_there(saved: Path) -> None:
    state = safetensors.torch.load((saved / "weights.safetensors").read_bytes())
    state["pose.0.bias"][3] = float("nan")
    del state["control.0.bias"]
    content = safetensors.torch.save(state)
    (saved / "weights.safetensors").write_bytes(content)
    edit_head(saved, lambda head: head.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    refused(saved, "lacks control.0.bias", "holds NaN or infinity in pose.0.bias")


def test_files_that_are_no_json(saved: Path) -> None:
    (saved / "bundle.json").write_text("{")
    refused(saved, "bundle.json is not JSON")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(FILES)), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_harmless(saved: Path, name: str, place: float, bit: int) -> None:
    expected = load_bundle(saved)
    file = saved / name
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[int(place * len(content))] ^= 1 << bit
    try:
        file.write_bytes(flipped)
        loaded = load_bundle(saved)
    except InputError:
        return
    finally:
        file.write_bytes(content)
    assert name not in ("weights.safetensors", "contract.json")  # nothing in these can change unseen
    assert (loaded.task, loaded.changes, loaded.card) == (expected.task, expected.changes, expected.card)
    assert loaded.network.config == expected.network.config
    weights = loaded.network.state_dict()
    assert all(torch.equal(weights[key], tensor) for key, tensor in expected.network.state_dict().items())
