from __future__ import annotations

import os
from pathlib import Path

import pytest

from robolearn.data.episode import Episode
from robolearn.errors import InputError
from robolearn.training import shelf as module
from robolearn.training.pool import Runner
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.scribe import Scribe
from robolearn.training.shelf import EpisodeShelf, load_batch, save_batch

OBSERVE = {"observe": ("front", "q", "dq", "state"), "image_size": 8}


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    """Six of different lengths: 2, 3, ... steps."""
    run = Runner()
    return [run(EpisodeSpec("peg-insertion", OBSERVE, 10 + k, labels=True, steps=2 + k)) for k in range(6)]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def scribe(said: list[str]) -> Scribe:
    return Scribe(said.append)


def same(a: Episode, b: Episode) -> bool:
    ours, theirs = a.arrays(), b.arrays()
    return (
        ours.keys() == theirs.keys()
        and all(ours[k].tobytes() == theirs[k].tobytes() and ours[k].dtype == theirs[k].dtype for k in ours)
        and (a.outcome, a.info, a.config, a.contract) == (b.outcome, b.info, b.config, b.contract)
        and (a.seed, a.task, a.versions) == (b.seed, b.task, b.versions)
    )


def test_a_batch_comes_back_to_the_bit(tmp_path: Path, episodes: list[Episode]) -> None:
    save_batch(tmp_path / "new" / "0.npz", episodes)
    found = load_batch(tmp_path / "new" / "0.npz")
    assert len(found) == len(episodes)
    assert all(same(a, b) for a, b in zip(episodes, found, strict=True))
    assert os.listdir(tmp_path / "new") == ["0.npz"]


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_a_damaged_batch_is_named(tmp_path: Path, episodes: list[Episode], keep: int) -> None:
    path = tmp_path / "0.npz"
    save_batch(path, episodes[:2])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"0\.npz is damaged"):
        load_batch(path)


def test_the_shelf_keeps_what_the_replay_holds(
    tmp_path: Path, scribe: Scribe, said: list[str], episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 5)
    shelf = EpisodeShelf(tmp_path, 12, scribe, said.append)
    for episode in episodes:  # files of 2 + 3, 4 + 5, 6 and 7 steps
        shelf.add(episode)
    scribe.finish()
    assert sorted(os.listdir(tmp_path)) == ["000002.npz", "000003.npz"]

    (tmp_path / "000004.npz").write_bytes(b"half a batch")
    later = Scribe(said.append)
    other = EpisodeShelf(tmp_path, 12, later, said.append)
    assert [episode.seed for episode in other.load()] == [14, 15]
    assert len(said) == 1
    assert "000004.npz is damaged" in said[0]
    other.add(episodes[0])
    other.flush()
    other.add(episodes[5])  # makes room
    other.flush()  # nothing is left to write
    later.finish()
    assert sorted(os.listdir(tmp_path)) == ["000003.npz", "000004.npz", "000005.npz", "000006.npz"]
    last = EpisodeShelf(tmp_path, 12, Scribe(print), said.append)
    assert [episode.seed for episode in last.load()] == [15, 10, 15]


def test_an_empty_shelf(tmp_path: Path, scribe: Scribe, said: list[str]) -> None:
    assert list(EpisodeShelf(tmp_path / "none", 10, scribe, said.append).load()) == []


def test_a_slow_disk_costs_episodes_but_no_memory(
    tmp_path: Path, scribe: Scribe, said: list[str], episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scribe, "backlog", property(lambda self: 1000))
    shelf = EpisodeShelf(tmp_path / "episodes", 10**9, scribe, said.append)
    for _ in range(2):
        shelf.add(episodes[0])
        shelf.flush()
    scribe.finish()
    assert said == ["the disk is too slow for the episodes: a resumed run would miss some of them"]
    assert not (tmp_path / "episodes").exists()
