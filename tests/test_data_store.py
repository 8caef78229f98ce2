"""The store: what is added comes back, once, and everything that does not fit is refused by name."""

from __future__ import annotations

import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robolearn.contract import Action, Camera, Channel
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.data.store import Query, Store
from robolearn.data.store.manifest import NAME
from robolearn.errors import InputError
from tests.small_episodes import other_contract, quick_folder, same, small_episode


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with Store.create(folder / "store") as opened:
        yield opened


def add_group(store: Store, *episodes: Episode) -> None:
    with store.group():
        for episode in episodes:
            store.add(episode, origin="a")


def test_an_episode_comes_back_as_it_was(store: Store):
    episode = small_episode(3, 7, expert=np.ones((7, 3)), reward_terms={"reach": np.arange(7.0)})
    assert store.add(episode, origin="here")
    (row,) = store.episodes()
    assert same(store.load(row), episode)
    with Store.open(store.path) as reader:
        assert same(reader.load(reader.episodes()[0]), episode)


def test_the_row_says_what_is_known(store: Store):
    source = np.array([0, 0, 1, 2, 2, 3], np.uint8)
    store.add(
        small_episode(3, 6, "dropped", source=source),
        origin="logs/monday",
        policy="abc",
        recorded=1.7e9,
        calibration="def",
        quality={"gaps": {"front": 2}, "late": 1},
    )
    (row,) = store.episodes()
    assert (row.number, row.first, row.steps, row.stop, row.seed) == (1, 0, 6, 7, 3)
    assert (row.task, row.policy, row.origin, row.recorded) == ("grasp", "abc", "logs/monday", 1.7e9)
    assert (row.success, row.reason, row.outcome.interventions) == (False, "dropped", {"rate": 3})
    assert (row.altered, row.operator, row.monitor) == (1, 2, 1)
    assert (row.calibration, row.quality) == ("def", {"gaps": {"front": 2}, "late": 1})
    assert row.versions["numpy"] == np.__version__
    assert row.contract == small_episode().contract.hash
    assert store.contract(row) == small_episode().contract


def test_the_same_content_is_added_once(store: Store):
    episode = small_episode()
    assert store.add(episode, origin="a")
    assert not store.add(episode, origin="b", policy="somebody", recorded=3.0)
    told = replace(episode, info={"mass": 0.3}, config={}, versions={"numpy": "9"})
    assert not store.add(told, origin="c")
    assert len(store.episodes()) == 1
    for change in (
        {"seed": 8},
        {"task": "peg-insertion"},
        {"outcome": replace(episode.outcome, drops=1)},
        {"stamps": episode.stamps + 1.0},
        {"requested": np.where(episode.requested == 0.25, np.nan, episode.requested)},
        {"expert": np.zeros((5, 3))},
        {"contract": other_contract(limiter={"tau_max": [80, 12]})},
    ):
        assert store.add(replace(episode, **change), origin="d"), change
    assert len({row.content for row in store.episodes()}) == 8


def test_numbers_are_kept_as_the_store_keeps_them(store: Store):
    episode = small_episode(1)
    wide = {**episode.observations, "q": episode.observations["q"].astype(np.float64)}
    assert store.add(replace(episode, observations=wide), origin="a")
    assert not store.add(episode, origin="b")
    loaded = store.load(store.episodes()[0])
    assert loaded.observations["q"].dtype == np.float32
    narrow = episode.requested.astype(np.float32)
    assert not store.add(replace(episode, requested=narrow), origin="c")


def test_a_request_that_is_no_number_is_kept_and_was_not_refused(store: Store):
    episode = small_episode(1)
    episode.requested[0, 0] = math.nan
    store.add(episode, origin="a")
    (row,) = store.episodes()
    assert row.altered == 1  # the one that the limiter altered
    assert same(store.load(row), episode)


def test_queries(store: Store):
    kinds = [
        ("grasp", "a", "success", 10.0, "one"),
        ("grasp", "a", "time", 20.0, "one"),
        ("grasp", "b", "dropped", 30.0, "two"),
        ("peg", "b", "success", 40.0, "two"),
    ]
    for number, (task, policy, reason, recorded, origin) in enumerate(kinds):
        episode = small_episode(number, reason=reason, task=task)
        store.add(episode, policy=policy, origin=origin, recorded=recorded)

    def numbers(**query: Any) -> list[int]:
        return [row.seed for row in store.episodes(Query(**query))]

    assert numbers() == [0, 1, 2, 3]
    assert numbers(task="grasp") == [0, 1, 2]
    assert numbers(task="grasp", success=False) == [1, 2]
    assert numbers(success=True) == [0, 3]
    assert numbers(reason="dropped") == [2]
    assert numbers(policy="b") == [2, 3]
    assert numbers(origin="one", policy="a") == [0, 1]
    assert numbers(since=20.0, until=40.0) == [1, 2]
    assert numbers(contract=small_episode().contract.hash) == [0, 1, 2, 3]
    assert numbers(task="fold") == []
    assert numbers(task="' OR 1 = 1 --") == []


def test_optional_columns_may_come_and_go(store: Store):
    plain, taught = small_episode(0), small_episode(1, expert=np.full((5, 3), 2.0))
    scored = small_episode(2, reward_terms={"reach": np.arange(5.0)})
    for episode in (plain, taught, plain, scored, small_episode(3)):
        store.add(episode, origin="a")
    for row, episode in zip(store.episodes(), (plain, taught, scored, small_episode(3)), strict=True):
        assert same(store.load(row), episode)


def test_shards_are_files_of_numpy_and_no_larger_than_asked_for(folder: Path):
    episodes = [small_episode(number, 3 + 5 * number) for number in range(4)]
    with Store.create(folder / "store", shard_bytes=2200) as store:
        for episode in episodes:
            store.add(episode, origin="a")
        shards = sorted((store.path / "shards").iterdir())
        assert len(shards) > 2  # the longest episode does not fit into one
        assert all(sum(f.stat().st_size for f in shard.iterdir()) <= 2200 for shard in shards)
        for name, expected in (
            ("observations.q", np.concatenate([e.observations["q"] for e in episodes])),
            ("filtered", np.concatenate([np.append(e.filtered, [[0, 0]], 0) for e in episodes])),
        ):
            files = [np.load(shard / f"{name}.npy") for shard in shards]
            assert len({len(file) for file in files[:-1]}) == 1
            assert np.array_equal(np.concatenate(files), expected)
        for row, episode in zip(store.episodes(), episodes, strict=True):
            assert same(store.load(row), episode)


def test_adding_goes_on_where_another_writer_ended(folder: Path):
    for number in range(5):
        with Store.open_or_create(folder / "store") as store:
            store.add(small_episode(number, 2 + number), origin="a")
    with Store.open(folder / "store") as store:
        rows = store.episodes()
        assert [row.number for row in rows] == [1, 2, 3, 4, 5]
        assert all(same(store.load(row), small_episode(n, 2 + n)) for n, row in enumerate(rows))


def test_a_group_is_there_as_a_whole_or_not_at_all(store: Store):
    with Store.open(store.path) as reader:
        with store.group():
            assert store.add(small_episode(0), origin="a")
            assert not store.add(small_episode(0), origin="a")
            assert store.add(small_episode(1), origin="a")
            assert reader.episodes() == []
        assert len(reader.episodes()) == 2
        with pytest.raises(InputError, match="stamps do not increase"):
            add_group(store, small_episode(2), small_episode(9, stamps=np.zeros(6)))
        assert len(reader.episodes()) == 2
        store.add(small_episode(3, 9), origin="a")
        assert [row.seed for row in reader.episodes()] == [0, 1, 3]
        assert same(reader.load(reader.episodes()[2]), small_episode(3, 9))
    with store.group():
        pass
    with pytest.raises(RuntimeError, match="cannot hold another"), store.group(), store.group():
        pass


def test_readers_see_a_snapshot_and_never_wait(store: Store):
    store.add(small_episode(0), origin="a")
    with Store.open(store.path) as reader:
        before = reader.episodes()
        with store.manifest.transaction():  # the writer is in the middle of a commit
            assert reader.episodes() == before
            assert same(reader.load(before[0]), small_episode(0))
        store.add(small_episode(1), origin="a")
        assert len(before) == 1
        assert len(reader.episodes()) == 2
        assert same(reader.load(reader.episodes()[1]), small_episode(1))


def test_a_store_in_a_folder_that_may_not_be_written_is_read(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.add(small_episode(4), origin="a")
    store.close()
    before = {path: path.stat().st_mtime_ns for path in store.path.iterdir()}
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with Store.open(store.path) as reader:
        assert same(reader.load(reader.episodes()[0]), small_episode(4))
        assert {path: path.stat().st_mtime_ns for path in store.path.iterdir()} == before


def test_only_one_process_adds(store: Store):
    with pytest.raises(InputError, match=r"process \d+ is adding to the store .*one at a time may"):
        Store.open(store.path, write=True)
    program = f"from robolearn.data.store import Store; Store.open({str(store.path)!r}, write=True)"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert other.returncode == 1
    assert "is adding to the store" in other.stderr
    store.close()
    with Store.open(store.path, write=True) as again:
        assert again.add(small_episode(), origin="a")


def test_whoever_reads_cannot_add(store: Store):
    with Store.open(store.path) as reader:
        with pytest.raises(InputError, match="opened for reading: open it with write=True"):
            reader.add(small_episode(), origin="a")
        with pytest.raises(InputError, match="opened for reading"):
            reader.group()


def test_every_gap_of_another_layout_is_named(store: Store):
    store.add(small_episode(), origin="a")
    contract = other_contract(
        arm="three",
        joints=("shoulder", "wrist"),
        proprioception=(Channel("q", "deg", 2, per_joint=True), Channel("dq", "rad/s", 2, per_joint=True)),
        cameras=(Camera.from_fovy("front", 8, 6, 0.8, "base", (1, 0, 1), (1, 0, 0, 0)),),
        action=Action("torque", 2, "N·m", gripper=False),
        control_rate=25,
    )
    episode = small_episode(
        contract=contract,
        requested=np.zeros((5, 2)),
        observations={
            "front": np.zeros((6, 6, 8, 3), np.uint8),
            "q": np.zeros((6, 2), np.float32),
            "dq": np.zeros((6, 2), np.float32),
            "state": np.zeros((6, 4), np.float32),
        },
    )
    with pytest.raises(InputError) as caught:
        store.add(episode, origin="b")
    assert str(caught.value).splitlines()[1:] == [
        "  arm: requires two, offered three",
        "  joints: requires shoulder, elbow, offered shoulder, wrist",
        "  action: requires torque, 2 x N·m, gripper, offered torque, 2 x N·m",
        "  control rate: requires 20 Hz, offered 25 Hz",
        "  camera front: requires 4 x 3 rgb8, offered 8 x 6 rgb8",
        "  channel q: requires 2 x rad, offered 2 x deg",
        "  channel dq: requires none, offered 2 x rad/s",
        "  observation state: requires none, offered float32 of shape (4,)",
    ]
    assert len(store.episodes()) == 1


def test_a_contract_of_the_same_layout_is_kept_beside_the_first(store: Store):
    store.add(small_episode(0), origin="a")
    other = other_contract(limiter={"tau_max": [80, 12]}, history=3)
    store.add(small_episode(1, contract=other), origin="a")
    assert [store.contract(row) for row in store.episodes()] == [small_episode().contract, other]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"observations": {"q": np.zeros((6, 2), np.float32)}}, {}, "lacks the observations front"),
        ({"requested": np.zeros((5, 2))}, {}, "requested is float64 of shape"),
        ({}, {"origin": ""}, "origin is ''"),
        ({}, {"policy": 3}, "policy is 3"),
        ({}, {"recorded": math.inf}, "recorded is inf"),
        ({}, {"quality": {"gaps": {1, 2}}}, "quality.gaps is .* JSON has no set"),
        ({}, {"calibration": "\n"}, "calibration is"),
    ],
)
def test_what_cannot_be_added_leaves_nothing(store: Store, change: Any, arguments: Any, message: str):
    with pytest.raises(InputError, match=message):
        store.add(small_episode(**change), **{"origin": "a", **arguments})
    assert store.episodes() == []
    assert list((store.path / "shards").iterdir()) == []


def test_what_is_no_store(folder: Path):
    with pytest.raises(InputError, match="there is no store"):
        Store.open(folder / "nothing")
    (folder / "pictures").mkdir()
    with pytest.raises(InputError, match=f"is no store: it has no {NAME}"):
        Store.open(folder / "pictures")
    (folder / "pictures" / NAME).write_bytes(b"rubbish" * 1000)
    with pytest.raises(InputError, match="damaged, or no manifest: file is not a database"):
        Store.open(folder / "pictures")
    (folder / "pictures" / NAME).unlink()
    sqlite3.connect(folder / "pictures" / NAME).execute("CREATE TABLE songs (name TEXT)").connection.close()
    with pytest.raises(InputError, match="no manifest of a store: another program wrote it"):
        Store.open(folder / "pictures")


def test_another_version_is_refused(store: Store):
    store.close()
    database = sqlite3.connect(store.path / NAME)
    database.execute("PRAGMA user_version = 7")
    database.close()
    for write in (False, True):
        with pytest.raises(InputError, match="is a store of version 7; this robolearn reads 1"):
            Store.open(store.path, write)


def test_a_store_is_made_where_there_is_nothing(folder: Path):
    Store.create(folder / "a" / "b").close()
    with pytest.raises(InputError, match="there already"):
        Store.create(folder / "a" / "b")
    (folder / "file").write_text("x")
    for make in (Store.create, Store.open_or_create):
        with pytest.raises(InputError, match=re.escape(str(folder / "file"))):
            make(folder / "file")
    with pytest.raises(InputError, match="shard_bytes is 0"):
        Store.create(folder / "c", shard_bytes=0)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "file"]


def test_shards_too_small_for_a_row(folder: Path):
    with Store.create(folder / "store", shard_bytes=1100) as store:
        with pytest.raises(InputError, match="a shard of 1100 bytes is too small"):
            store.add(small_episode(), origin="a")
        assert store.episodes() == []


def test_an_empty_store(store: Store):
    assert store.episodes() == []
    assert store.layout == {}
    assert store.columns() == {}


def test_episodes_cannot_be_changed_or_deleted(store: Store):
    store.add(small_episode(), origin="a")
    store.close()
    database = sqlite3.connect(store.path / NAME)
    for statement in ("UPDATE episodes SET task = 'x'", "DELETE FROM episodes"):
        with pytest.raises(sqlite3.IntegrityError, match="immutable"):
            database.execute(statement)
    database.close()


def test_a_seed_of_any_size(store: Store):
    store.add(small_episode(seed=2**127), origin="a")
    assert store.episodes()[0].seed == 2**127
    assert store.load(store.episodes()[0]).seed == 2**127


def test_a_store_may_be_moved(store: Store, folder: Path):
    store.add(small_episode(4), origin="a")
    store.close()
    shutil.move(store.path, folder / "elsewhere")
    with Store.open(folder / "elsewhere") as moved:
        assert same(moved.load(moved.episodes()[0]), small_episode(4))


def test_operators_and_outcomes_with_nothing_measured(store: Store):
    episode = small_episode(
        source=np.full(5, Source.OPERATOR, np.uint8), outcome=Outcome(False, "time", 5, 0.25)
    )
    store.add(episode, origin="a")
    (row,) = store.episodes()
    assert row.operator == 5
    assert row.outcome == episode.outcome
