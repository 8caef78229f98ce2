"""Minari and robomimic: their files as others write them, their files damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from exchanging import rich_episode
from PIL import Image
from small_episodes import quick_folder, same

from robolearn.data.exchange import Told, open_dataset, write_dataset
from robolearn.errors import InputError

EPISODES = [rich_episode(i, 3 + i) for i in range(2)]
DATA, META = "data/main_data.hdf5", "data/metadata.json"


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.fixture
def ours(folder: Path) -> Path:
    """A Minari dataset of ours and, beside it, a robomimic file."""
    write_dataset("minari", EPISODES, folder / "d-v0")
    write_dataset("robomimic", EPISODES, folder / "d.hdf5")
    return folder


def change(path: Path, edit: Callable[[h5py.File], Any]) -> None:
    with h5py.File(path, "a") as file:
        edit(file)


def strangers_robomimic(path: Path, next_obs: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "actions": rng.uniform(-1, 1, (6, 7)),
        "obs/agentview_image": rng.integers(0, 256, (6, 8, 8, 3), np.uint8),
        "obs/robot0_joint_pos": rng.random((6, 7)),
        "rewards": np.array([0, 0, 0, 0, 1.0, 1.0]),
        "dones": np.array([0, 0, 0, 0, 1, 1]),
        "states": rng.random((6, 30)),
    }
    with h5py.File(path, "w") as file:
        for demo in ("demo_10", "demo_2"):
            group = file.create_group(f"data/{demo}")
            group.attrs["num_samples"] = 6
            for name, array in arrays.items():
                group[name] = array
            for name in ("agentview_image", "robot0_joint_pos") if next_obs else ():
                group[f"next_obs/{name}"] = np.roll(arrays[f"obs/{name}"], -1, 0)
        kwargs = {"control_freq": 20, "robots": ["Panda"]}
        told = {"env_name": "Lift", "type": 1, "env_kwargs": kwargs}
        file["data"].attrs["env_args"] = json.dumps(told)
    return arrays


# --- robomimic


@pytest.mark.parametrize("next_obs", [False, True])
def test_a_strangers_robomimic_file_is_read(folder: Path, next_obs: bool) -> None:
    arrays = strangers_robomimic(folder / "d.hdf5", next_obs)
    dataset = open_dataset("robomimic", folder / "d.hdf5")
    found = list(dataset)
    assert len(dataset) == 2
    assert [episode.seed for episode in found] == [2, 10]  # in the order of their numbers
    for episode in found:
        assert (episode.contract.arm, episode.task) == ("robomimic:Lift", "Lift")
        assert episode.contract.control_rate == 20
        steps = 5 + next_obs
        assert len(episode) == steps
        assert (episode.requested == arrays["actions"][:steps]).all()
        assert (episode.observations["agentview_image"][:6] == arrays["obs/agentview_image"]).all()
        assert episode.observations["robot0_joint_pos"].shape == (steps + 1, 7)
        assert episode.reward.tolist() == arrays["rewards"][:steps].tolist()
        assert episode.outcome.success
    told = {loss.thing for loss in dataset.losses.all()}
    assert ("last action" in told) == (not next_obs)


def test_what_is_no_robomimic_file_is_refused(ours: Path) -> None:
    def refused(message: str, told: Told | None = None) -> None:
        with pytest.raises(InputError, match=message):
            list(open_dataset("robomimic", ours / "d.hdf5", told))

    with pytest.raises(InputError, match="there is no file"):
        open_dataset("robomimic", ours / "nothing.hdf5")
    with pytest.raises(InputError, match=r"ends in \.hdf5; .*grasp' does not"):
        write_dataset("robomimic", EPISODES, ours / "grasp")
    strangers = ours / "strange.hdf5"
    strangers_robomimic(strangers, True)
    shutil.move(strangers, ours / "d.hdf5")
    change(ours / "d.hdf5", lambda file: file["data/demo_10"].pop("actions"))
    refused(r"/data/demo_10 lacks 'actions'; it has dones, next_obs, obs, rewards, states")
    change(ours / "d.hdf5", lambda file: file["data/demo_2"].pop("obs"))
    refused("demo_2 has no group 'obs': let robomimic extract")
    change(ours / "d.hdf5", lambda file: file["data"].attrs.update(env_args="{"))
    refused("env_args of 'data' is no JSON")
    change(ours / "d.hdf5", lambda file: file["data"].create_group("test"))
    refused("has an episode 'test'; robomimic's are demo_0")
    change(ours / "d.hdf5", lambda file: file.pop("data"))
    refused("it has no group 'data'")


def test_a_robomimic_file_of_ours_that_was_changed_is_refused(ours: Path) -> None:
    path = ours / "d.hdf5"
    change(path, lambda file: file["data/demo_1"].pop("filtered"))
    dataset = iter(open_dataset("robomimic", path))
    assert same(next(dataset), EPISODES[0])
    with pytest.raises(InputError, match=r"d\.hdf5, demo_1: /data/demo_1 lacks 'filtered'"):
        next(dataset)
    change(path, lambda file: file["data/demo_0/obs"].pop("q"))
    with pytest.raises(InputError, match=r"demo_0: .*lacks 'q'"):
        list(open_dataset("robomimic", path))


def test_episodes_may_be_taken_out_of_a_robomimic_file(ours: Path) -> None:
    change(ours / "d.hdf5", lambda file: file["data"].pop("demo_0"))
    (episode,) = open_dataset("robomimic", ours / "d.hdf5")
    assert same(episode, EPISODES[1])


# --- Minari


def strangers_minari(path: Path, plain: bool = False) -> None:
    """As Minari writes it; with one array as observation, or with pictures in JPEG."""
    (path / "data").mkdir(parents=True)
    with h5py.File(path / DATA, "w") as file:
        for number in range(2):
            group = file.create_group(f"episode_{number}")
            group.attrs.update({"id": number, "total_steps": 4, "seed": 40 + number})
            group["actions"] = np.full((4, 2), 0.5, np.float32)
            group["rewards"] = np.zeros(4)
            group["terminations"] = np.array([False, False, False, number == 0])
            group["truncations"] = np.array([False, False, False, number == 1])
            readings = np.arange(15.0).reshape(5, 3)
            if plain:
                group["observations"] = readings
                continue
            packed = []
            for shade in range(5):
                file_in_memory = BytesIO()
                Image.fromarray(np.full((32, 40, 3), 40 * shade + number, np.uint8)).save(
                    file_in_memory, "JPEG"
                )
                packed.append(np.frombuffer(file_in_memory.getvalue(), np.uint8))
            kind = h5py.vlen_dtype(np.uint8)
            observations = group.create_group("observations")
            pictures = observations.create_dataset("image", (5,), kind)
            for i, row in enumerate(packed):
                pictures[i] = row
            observations["deep/q"] = readings
            group["infos/success"] = np.array([False, False, False, number == 1])
    metadata = {"dataset_id": "x/reach-v2", "minari_version": "0.5.3", "total_episodes": 2, "total_steps": 8}
    (path / META).write_text(json.dumps(metadata | {"data_format": "hdf5"}))


def test_a_strangers_minari_dataset_is_read(folder: Path) -> None:
    strangers_minari(folder / "d")
    dataset = open_dataset("minari", folder / "d" / "data", Told(rate=10))  # the inner folder, too
    first, second = dataset
    assert (first.task, first.seed, second.seed) == ("x/reach-v2", 40, 41)
    assert first.contract.arm == "minari:x/reach-v2"
    assert len(first) == 4
    assert first.observations["deep_q"].shape == (5, 3)
    shades = second.observations["image"].mean((1, 2, 3))
    np.testing.assert_allclose(shades, 40 * np.arange(5) + 1, atol=1.5)
    assert (first.outcome.success, first.outcome.reason) == (False, "failed")
    assert (second.outcome.success, second.outcome.reason) == (True, "success")
    strangers_minari(folder / "e", plain=True)
    (first, second) = open_dataset("minari", folder / "e", Told(rate=10))
    assert first.observations["proprioception"].shape == (5, 3)
    assert (first.outcome.reason, second.outcome.reason) == ("failed", "cut")


def test_what_is_no_minari_dataset_is_refused(ours: Path) -> None:
    path = ours / "d-v0"

    def told(**changes: Any) -> None:
        metadata = json.loads((path / META).read_text())
        (path / META).write_text(json.dumps(metadata | changes))

    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message):
            list(open_dataset("minari", path))

    with pytest.raises(InputError, match="name ends in its version, as grasp-v0 does"):
        write_dataset("minari", EPISODES, ours / "grasp")
    told(total_episodes=3)
    refused("lacks episode 2 of 3")
    told(total_episodes=-1)
    refused("total_episodes is -1")
    told(total_episodes=2, data_format="arrow")
    refused("is stored as 'arrow'; this reads 'hdf5'")
    told(data_format="hdf5", minari_version="1.0.0")
    refused(r"is of Minari 1\.0\.0; this reads 0\.4 and 0\.5")
    (path / META).write_text("{")
    refused("metadata.json is no JSON")
    (path / META).unlink()
    refused("is no Minari dataset: it has no data/metadata.json")


@pytest.mark.parametrize(("format", "file"), [("minari", f"d-v0/{DATA}"), ("robomimic", "d.hdf5")])
def test_half_a_file_is_refused(ours: Path, format: str, file: str) -> None:
    place = ours / Path(file).parts[0]
    content = (ours / file).read_bytes()
    for part in (0.0, 0.1, 0.5, 0.9, 0.999):
        (ours / file).write_bytes(content[: int(part * len(content))])
        with pytest.raises(InputError, match="is no HDF5 file, or it is damaged"):
            list(open_dataset(format, place))
    (ours / file).write_bytes(content)
    assert len(list(open_dataset(format, place))) == 2


@pytest.mark.parametrize(("format", "file"), [("minari", f"d-v0/{DATA}"), ("robomimic", "d.hdf5")])
def test_damaged_headers_are_refused(ours: Path, format: str, file: str) -> None:
    place = ours / Path(file).parts[0]
    group = "episode_0" if format == "minari" else "data/demo_0"

    def header(text: str) -> None:
        def put(opened: h5py.File) -> None:
            del opened[f"{group}/robolearn"]
            opened.create_dataset(f"{group}/robolearn", data=text, dtype=h5py.string_dtype())

        change(ours / file, put)

    good = json.loads(EPISODES[0].header())
    for text, message in (
        ("{", "header is not JSON"),
        ("[]", "header is .*; it must be a mapping"),
        ("{}", "contract is None"),
        (json.dumps({**good, "arrays": {"sent": 3}}), "sent in the header is 3"),
        (json.dumps({**good, "arrays": {**good["arrays"], "sent": ["<f8", [9, 2]]}}), "its header says"),
        (json.dumps({**good, "version": 9}), "version 9; this reads"),
    ):
        header(text)
        with pytest.raises(InputError, match=f"(episode 0|demo_0): .*{message}"):
            list(open_dataset(format, place))
