"""The formats' own libraries open what we write, and we read what they write.

None of them is a dependency, and each wants other versions than we do: without it its tests are skipped. They
run in an environment of its own, for example:

    python -m venv X && X/bin/pip install lerobot pytest hypothesis
    PYTHONPATH=. X/bin/python -m pytest tests/test_data_exchange_peers.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchanging import contract_with, flat_episode, rich_episode
from small_episodes import same

from robolearn.contract import Action, Channel
from robolearn.data.episode import Source
from robolearn.data.exchange import Told, open_dataset, write_dataset
from robolearn.data.exchange.actions import action_scale, learned_action
from robolearn.errors import InputError

EPISODES = [rich_episode(i, 6 + i, reason) for i, reason in enumerate(("success", "time", "dropped"))]


def front(seed: int, steps: int) -> np.ndarray:
    """Smooth pictures, (steps, 32, 48, 3)."""
    return rich_episode(seed, steps - 1).observations["front"]


# --- LeRobot


@pytest.fixture
def lerobot(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("lerobot", reason="lerobot is not installed")
    pytest.importorskip("pyarrow")
    import lerobot.datasets.lerobot_dataset as module

    return module


def test_lerobot_opens_ours(lerobot: Any, tmp_path: Path) -> None:
    write_dataset("lerobot", EPISODES, tmp_path / "d")
    dataset = lerobot.LeRobotDataset("me/d", root=tmp_path / "d")
    assert dataset.meta._version.base_version == "3.0"
    assert (dataset.num_episodes, len(dataset)) == (3, 6 + 7 + 8)
    assert dataset.fps == 20
    index = 0
    for episode in EPISODES:
        action = learned_action(episode)
        for step in range(len(episode)):
            item = dataset[index]
            index += 1
            assert item["task"] == "grasp"
            picture = item["observation.images.front"].numpy()
            assert picture.shape == (3, 32, 48)
            shown = np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)
            assert (shown == episode.observations["front"][step]).all()
            depth = item["observation.images.far"].numpy()
            scale = 1000.0 if depth.max() > 2.0 else 1.0  # later versions give millimetres
            np.testing.assert_allclose(depth[0] / scale, episode.observations["far"][step], rtol=1e-6)
            state = np.concatenate([episode.observations[name][step] for name in ("q", "gripper")])
            assert (item["observation.state"].numpy() == state).all()
            assert (item["action"].numpy() == action[step]).all()
            last = step == len(episode) - 1
            assert bool(item["next.done"]) == last
            assert bool(item["next.success"]) == (last and episode.outcome.success)
            assert bool(item["next.truncated"]) == (last and episode.outcome.reason == "time")
            assert item["complementary_info.stamps"].item() == np.float32(
                episode.stamps[step]
            )  # torch's doing
            sent = item["complementary_info.sent"].numpy()
            assert (sent == episode.sent[step].astype(np.float32)).all()
            assert item["timestamp"].item() == pytest.approx(step / 20)
    everything = np.concatenate([learned_action(episode) for episode in EPISODES])
    for key, value in (("mean", everything.mean(0)), ("max", everything.max(0)), ("std", everything.std(0))):
        np.testing.assert_allclose(dataset.meta.stats["action"][key], value, rtol=1e-5)
    pixels = np.concatenate([episode.observations["front"][:-1] for episode in EPISODES]) / 255
    shown = dataset.meta.stats["observation.images.front"]
    np.testing.assert_allclose(shown["mean"].ravel(), pixels.mean((0, 1, 2)), rtol=1e-6)
    assert shown["mean"].shape == (3, 1, 1)


def test_lerobot_takes_windows_and_batches_of_ours(lerobot: Any, tmp_path: Path) -> None:
    import torch

    write_dataset("lerobot", EPISODES, tmp_path / "d", video=True)
    windows = {"observation.images.front": [-0.05, 0.0], "action": [0.0, 0.05, 0.1]}
    dataset = lerobot.LeRobotDataset(
        "me/d", tmp_path / "d", delta_timestamps=windows, episodes=[1, 2], video_backend="pyav"
    )
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=4)))
    assert batch["observation.images.front"].shape == (4, 2, 3, 32, 48)
    assert batch["action"].shape == (4, 3, 3)
    expected = EPISODES[1].observations["front"][:4].transpose(0, 3, 1, 2) / 255
    assert float((batch["observation.images.front"][:, 1] - torch.from_numpy(expected)).abs().mean()) < 0.02
    assert (batch["action"][0].numpy() == learned_action(EPISODES[1])[:3]).all()


def test_lerobots_tools_take_ours(lerobot: Any, tmp_path: Path) -> None:
    from lerobot.datasets.dataset_tools import delete_episodes

    episodes = [flat_episode(i, 6 + i) for i in range(3)]  # of depth the tools of 0.4 know nothing
    write_dataset("lerobot", episodes, tmp_path / "d")
    dataset = lerobot.LeRobotDataset("me/d", root=tmp_path / "d")
    delete_episodes(dataset, [0], output_dir=tmp_path / "less", repo_id="me/less")
    found = list(open_dataset("lerobot", tmp_path / "less", Told(contract=episodes[0].contract)))
    assert [len(episode) for episode in found] == [6, 7]  # without headers the last action is left out
    for ours, theirs in zip(episodes[1:], found, strict=True):
        assert (theirs.observations["front"] == ours.observations["front"][:-1]).all()
        assert (theirs.observations["q"] == ours.observations["q"][:-1]).all()
        assert (theirs.filtered == ours.filtered[:-1].astype(np.float32)).all()
        assert theirs.outcome.success == ours.outcome.success


@pytest.mark.parametrize("video", [False, True])
def test_we_read_lerobots(lerobot: Any, tmp_path: Path, video: bool) -> None:
    joints = ["elbow.pos", "shoulder.pos"]
    features = {
        "observation.state": {"dtype": "float32", "shape": (2,), "names": joints},
        "observation.images.front": {
            "dtype": "video" if video else "image",
            "shape": (32, 48, 3),
            "names": ["height", "width", "channels"],
        },
        "action": {"dtype": "float32", "shape": (2,), "names": joints},
        "observation.grid": {"dtype": "float32", "shape": (2, 3), "names": None},
        "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
    }
    dataset = lerobot.LeRobotDataset.create(
        "me/d", 20, features, root=tmp_path / "d", robot_type="so100", use_videos=video
    )
    rng = np.random.default_rng(0)
    pictures = [front(seed, 5 + seed) for seed in range(2)]
    states = [rng.random((5 + seed, 2), np.float32) for seed in range(2)]
    grids = [rng.random((5 + seed, 2, 3), np.float32) for seed in range(2)]
    for number in range(2):
        for step in range(5 + number):
            reward = np.array([float(number == 1 and step == 5)], np.float32)
            frame = {
                "observation.state": states[number][step],
                "observation.images.front": pictures[number][step],
                "action": states[number][step] * 2,
                "observation.grid": grids[number][step],
                "next.reward": reward,
                "task": f"task {number}",
            }
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()

    found = open_dataset("lerobot", tmp_path / "d", Told(source=Source.OPERATOR))
    assert len(found) == 2
    for number, episode in enumerate(found):
        assert episode.contract.arm == "lerobot:so100"
        assert episode.contract.joints == tuple(joints)
        assert episode.contract.control_rate == 20
        assert episode.task == f"task {number}"
        assert len(episode) == 4 + number
        assert (episode.observations["proprioception"] == states[number]).all()
        assert (episode.observations["grid"] == grids[number]).all()
        difference = np.abs(episode.observations["front"].astype(int) - pictures[number])
        assert difference.max() == 0 if not video else difference.mean() < 8
        assert (episode.requested == (2 * states[number][:-1]).astype(np.float64)).all()
        assert episode.outcome.success == bool(number)
        np.testing.assert_allclose(episode.stamps, np.arange(5 + number) / 20, atol=1e-6)

    contract = contract_with(
        cameras=contract_with().cameras[:1],
        proprioception=(Channel("q", "rad", 2, per_joint=True),),
        action=Action("torque", 2, "N·m", gripper=False),
    )
    for number, episode in enumerate(open_dataset("lerobot", tmp_path / "d", Told(contract=contract))):
        assert (episode.observations["q"] == states[number][:, ::-1]).all()  # shoulder before elbow
        assert (episode.filtered == (2 * states[number][:-1, ::-1]).astype(np.float64)).all()


# --- robomimic


@pytest.fixture
def robomimic() -> Any:
    module = pytest.importorskip("robomimic", reason="robomimic is not installed")
    pytest.importorskip("h5py")
    import robomimic.utils.obs_utils as utils

    low = ["q", "gripper", "state"]
    utils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": low, "rgb": ["front"]}})
    return module


def sequences(path: Path, **options: Any) -> Any:
    """robomimic's dataset; later versions want to know more."""
    import inspect

    from robomimic.utils.dataset import SequenceDataset

    keys: dict[str, Any] = {
        "dataset_keys": ("actions", "rewards", "dones"),
        "frame_stack": 1,
        "seq_length": 2,
    }
    if "action_keys" in inspect.signature(SequenceDataset.__init__).parameters:
        keys |= {"action_keys": ("actions",), "action_config": {"actions": {"normalization": None}}}
    return SequenceDataset(
        str(path), obs_keys=("front", "q", "gripper"), hdf5_cache_mode=None, **keys, **options
    )


def test_robomimic_opens_ours(robomimic: Any, tmp_path: Path) -> None:
    write_dataset("robomimic", EPISODES, tmp_path / "d.hdf5")
    dataset = sequences(tmp_path / "d.hdf5")
    assert (dataset.n_demos, len(dataset)) == (3, 6 + 7 + 8)
    index = 0
    for episode in EPISODES:
        action = learned_action(episode) / action_scale(episode.contract)
        assert np.abs(action[:, :2]).max() <= 1.0
        for step in range(len(episode) - 1):
            item = dataset[index + step]
            assert (item["obs"]["q"] == episode.observations["q"][step : step + 2]).all()
            assert (item["next_obs"]["front"] == episode.observations["front"][step + 1 : step + 3]).all()
            np.testing.assert_allclose(item["actions"], action[step : step + 2], rtol=1e-6)
            np.testing.assert_allclose(item["rewards"], episode.reward[step : step + 2], rtol=1e-6)
        index += len(episode)
    from robomimic.utils.file_utils import get_env_metadata_from_dataset

    assert get_env_metadata_from_dataset(str(tmp_path / "d.hdf5"))["env_name"] == "grasp"
    successful = sequences(tmp_path / "d.hdf5", filter_by_attribute="successful")
    assert successful.demos == ["demo_0"]


def test_robomimics_scripts_take_ours(robomimic: Any, tmp_path: Path) -> None:
    # What nobody asked of it is no number; their script wants actions from -1 to 1.
    tame = [rich_episode(i, 6, requested=np.zeros((6, 3))) for i in range(4)]
    write_dataset("robomimic", tame, tmp_path / "d.hdf5")
    for script in ("get_dataset_info", "split_train_val"):
        words = [sys.executable, "-m", f"robomimic.scripts.{script}", "--dataset", str(tmp_path / "d.hdf5")]
        words += ["--ratio", "0.25"] if script == "split_train_val" else []
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if script == "get_dataset_info":
            assert "total transitions: 24" in done.stdout
    assert all(same(*pair) for pair in zip(tame, open_dataset("robomimic", tmp_path / "d.hdf5"), strict=True))


# --- Minari


@pytest.fixture
def minari(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    pytest.importorskip("h5py")
    return pytest.importorskip("minari", reason="minari is not installed")


def test_minari_opens_ours(minari: Any, tmp_path: Path) -> None:
    write_dataset("minari", EPISODES, tmp_path / "grasp-v0")
    assert list(minari.list_local_datasets()) == ["grasp-v0"]
    dataset = minari.load_dataset("grasp-v0")
    assert (dataset.total_episodes, dataset.total_steps) == (3, 6 + 7 + 8)
    for ours, theirs in zip(EPISODES, dataset.iterate_episodes(), strict=True):
        assert theirs.observations.keys() == ours.observations.keys()
        for name, array in ours.observations.items():
            assert (theirs.observations[name] == array).all()
            for row in theirs.observations[name] if name != "touch" else ():
                assert dataset.observation_space[name].contains(row)
        action = learned_action(ours)
        assert (theirs.actions == action).all()
        assert dataset.action_space.contains(theirs.actions[0])
        assert (theirs.rewards == ours.reward).all()
        assert theirs.terminations[-1] == (ours.outcome.reason != "time")
        assert theirs.truncations[-1] == (ours.outcome.reason == "time")
        assert (theirs.infos["sent"] == ours.sent).all()
        assert (theirs.infos["reward_terms"]["reach"] == ours.reward_terms["reach"]).all()
    (metadata,) = dataset.storage.get_episode_metadata([2])
    assert metadata["seed"] == 2
    assert len(dataset.sample_episodes(2)) == 2
    first, second = minari.split_dataset(dataset, [1, 2])
    assert (first.total_episodes, second.total_episodes) == (1, 2)


@pytest.mark.parametrize("jpeg", [True, False])
def test_we_read_minaris(minari: Any, tmp_path: Path, jpeg: bool) -> None:
    import gymnasium as gym
    from minari.data_collector.episode_buffer import EpisodeBuffer

    pictures = [front(seed, 6) for seed in range(2)]
    q = np.random.default_rng(0).random((2, 6, 2), np.float32)
    buffers = [
        EpisodeBuffer(
            seed=10 + i,
            observations={"front": list(pictures[i]), "arm": {"q": list(q[i])}},
            actions=list(q[i, :-1] * 3),
            rewards=[0.0] * 4 + [float(i)],
            terminations=[False] * 4 + [bool(i)],
            truncations=[False] * 4 + [not i],
            infos={},
        )
        for i in range(2)
    ]
    box = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    space = gym.spaces.Dict(
        {"front": gym.spaces.Box(0, 255, (32, 48, 3), np.uint8), "arm": gym.spaces.Dict({"q": box})}
    )
    minari.create_dataset_from_buffers(
        "some/reach-v3",
        buffers,
        observation_space=space,
        action_space=box,
        **({} if jpeg else {"jpeg_encoding": False}),
    )
    with pytest.raises(InputError, match="does not say the rate"):
        list(open_dataset("minari", tmp_path / "some/reach-v3"))
    found = list(open_dataset("minari", tmp_path / "some/reach-v3", Told(rate=10)))
    assert [episode.seed for episode in found] == [10, 11]
    assert [episode.outcome.success for episode in found] == [False, True]
    for i, episode in enumerate(found):
        assert len(episode) == 5
        assert (episode.observations["arm_q"] == q[i]).all()
        assert (episode.requested == (q[i, :-1] * 3).astype(np.float64)).all()
        difference = np.abs(episode.observations["front"].astype(int) - pictures[i])
        assert difference.mean() < 8 if jpeg else difference.max() == 0
        np.testing.assert_allclose(episode.stamps, np.arange(6) / 10)
    assert json.dumps(found[0].contract.to_dict())
