"""The store survives: kills at any moment, files cut and garbled, full disks; and it notices real damage."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robolearn.data.store import Store
from robolearn.data.store.manifest import NAME
from robolearn.data.store.verification import shard_files, verify
from robolearn.errors import InputError
from tests.small_disk import small_disk
from tests.small_episodes import quick_folder, same, small_episode

SHARD = 2200  # bytes: some ten rows, so that there is always a shard that begins or ends

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.small_episodes", "robolearn.data.store"])


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


def episode(number: int) -> Any:
    taught = {"expert": np.full((2 + number % 6, 3), 1.0)} if number % 3 == 2 else {}
    return small_episode(number, 2 + number % 6, **taught)


def filled(path: Path, count: int) -> Store:
    store = Store.create(path, shard_bytes=SHARD)
    for number in range(count):
        store.add(episode(number), origin="a")
    return store


def add_group(store: Store, *numbers: int) -> None:
    with store.group():
        for number in numbers:
            store.add(episode(number), origin="a")


def problems(path: Path) -> list[str]:
    with Store.open(path) as store:
        return [problem for found in verify(store) for problem in found]


def check(path: Path) -> int:
    """See that a store holds the first episodes, whole, and NumPy reads every file; how many there are."""
    assert problems(path) == []
    with Store.open(path) as store:
        rows = store.episodes()
        assert [row.seed for row in rows] == list(range(len(rows)))
        assert all(same(store.load(row), episode(row.seed)) for row in rows)
    for file in shard_files(Store.open(path)):
        np.load(file)
    return len(rows)


def add_for_ever(path: Path, told: Any, group: bool) -> None:
    with Store.open(path, write=True) as store:
        number = len(store.episodes())
        while True:
            if group:
                add_group(store, number, number + 1)
                number += 2
            else:
                store.add(episode(number), origin="a")
                number += 1
            told.value = number


def die_at_call(path: Path, number: int, last: int, part: float) -> None:
    """Add an episode, and die at the given system call, a write done in part only."""
    calls = 0

    def dying(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == last:
                if name == "pwrite":
                    file, data, offset = arguments
                    original(file, bytes(data)[: int(part * len(data))], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        return call

    with Store.open(path, write=True) as store:
        for name in ("pwrite", "ftruncate", "fsync", "mkdir", "open", "close"):
            setattr(os, name, dying(name))
        store.add(episode(number), origin="a")
        os._exit(0)


@pytest.mark.parametrize("group", [False, True])
def test_a_writer_killed_at_any_moment_loses_nothing_that_was_committed(folder: Path, group: bool):
    Store.create(folder / "store", shard_bytes=10 * SHARD).close()
    moments = random.Random(1)
    committed = 0
    for _ in range(12):
        told = processes.Value("i", committed)
        writer = processes.Process(target=add_for_ever, args=(folder / "store", told, group))
        writer.start()
        while told.value == committed and writer.is_alive():
            time.sleep(0.001)
        time.sleep(moments.uniform(0.0, 0.01))
        writer.kill()
        writer.join()
        known = told.value
        assert known > committed
        committed = check(folder / "store")
        assert committed >= known
        assert not group or committed % 2 == 0


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_writer_that_dies_at_any_system_call_leaves_the_last_good_state(folder: Path, part: float):
    filled(folder / "store", 4).close()
    last, ended = 0, False
    while not ended:
        last += 1
        before = check(folder / "store")
        writer = processes.Process(target=die_at_call, args=(folder / "store", before, last, part))
        writer.start()
        writer.join()
        ended = writer.exitcode == 0
        assert ended or writer.exitcode == -signal.SIGKILL
        assert check(folder / "store") - before in (0, 1)
    assert last > 20
    assert check(folder / "store") > before


def test_the_first_episode_may_die_too(folder: Path):
    for last in (1, 3, 9, 20, 25):
        path = folder / f"{last}"
        Store.create(path, shard_bytes=SHARD).close()
        writer = processes.Process(target=die_at_call, args=(path, 0, last, 0.5))
        writer.start()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        there = check(path)
        with Store.open(path, write=True) as store:  # whatever was left, another layout may come first
            if not there:
                wide = np.zeros((4, 3, 4, 3), np.uint8)
                other = small_episode(0, 3, observations={**small_episode(0, 3).observations, "side": wide})
                store.add(other, origin="a")
                assert same(store.load(store.episodes()[0]), other)


@pytest.mark.parametrize("rubbish", [b"", b"\xff" * 7, b"\xff" * 5000])
def test_what_is_behind_the_committed_rows_does_not_matter(folder: Path, rubbish: bytes):
    filled(folder / "store", 4).close()
    for file in shard_files(Store.open(folder / "store")):
        with file.open("ab") as opened:
            opened.write(rubbish)
    assert check(folder / "store") == 4
    with Store.open(folder / "store", write=True) as store:
        store.add(episode(4), origin="a")
    assert check(folder / "store") == 5


def test_a_header_torn_at_any_byte_is_mended_and_never_used(folder: Path):
    filled(folder / "store", 3).close()
    file = sorted(shard_files(Store.open(folder / "store")))[-1]
    whole = file.read_bytes()
    promised = whole[:128].replace(b"'shape': (", b"'shape': (99")[:128]
    for torn in range(0, 128, 5):
        file.write_bytes(promised[:torn] + b"\0" * (128 - torn) + whole[128:])
        with Store.open(folder / "store") as store:
            assert all(same(store.load(row), episode(row.seed)) for row in store.episodes())
        assert len(problems(folder / "store")) == 1
        Store.open(folder / "store", write=True).close()
        assert file.read_bytes() == whole
    assert check(folder / "store") == 3


def test_rows_that_are_missing_are_told(folder: Path):
    filled(folder / "store", 3).close()
    file = folder / "store" / "shards" / "00000" / "filtered.npy"
    os.truncate(file, file.stat().st_size - 1)
    in_file, in_episode = problems(folder / "store")
    assert "filtered.npy: its header says" in in_file
    assert in_episode.startswith("episode 3: ")
    assert "filtered.npy is damaged" in in_episode
    with pytest.raises(InputError, match=r"filtered\.npy is damaged"):
        Store.open(folder / "store", write=True)
    with Store.open(folder / "store") as store, pytest.raises(InputError, match="damaged"):
        store.load(store.episodes()[-1])
    file.unlink()
    assert any("filtered.npy is missing" in found for found in problems(folder / "store"))


def test_every_garbled_byte_is_found(folder: Path):
    filled(folder / "store", 3).close()
    with Store.open(folder / "store") as store:
        rows = {row.number: row for row in store.episodes()}
        per_shard = store.manifest.shape()[0]
    for file in shard_files(Store.open(folder / "store")):
        whole = file.read_bytes()
        if len(whole) < 130:
            continue
        data = bytearray(whole)
        data[128] ^= 1  # the first committed byte of the shard
        file.write_bytes(data)
        first = int(file.parent.name) * per_shard
        owner = next(row for row in rows.values() if row.first <= first < row.stop)
        name = file.stem.replace(".", "/")
        expected = first < owner.first + owner.rows_of(name) and (name != "expert" or owner.seed % 3 == 2)
        found = problems(folder / "store")
        assert found == ([f"episode {owner.number}: {name} is not as it was written"] if expected else [])
        file.write_bytes(whole)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE episodes SET task = 'fold' WHERE number = 2", "entry of episode 2 is not as it was written"),
        ("UPDATE episodes SET record = replace(record, '0.003', '0.004')", "entry of episode 1"),
        ("UPDATE episodes SET first = 1 WHERE number = 1", "episode 1: it begins at row 1; the one before"),
        ("UPDATE contracts SET json = replace(json, 'two', 'six')", "episode 1: its contract should be"),
        ("UPDATE contracts SET json = 'x'", "episode 1: its contract should be"),
    ],
)
def test_a_changed_manifest_is_found(folder: Path, statement: str, expected: str):
    filled(folder / "store", 2).close()
    database = sqlite3.connect(folder / "store" / NAME)
    database.execute("DROP TRIGGER episodes_stay")
    database.execute(statement)
    database.commit()
    database.close()
    assert any(expected in problem for problem in problems(folder / "store"))


def test_a_manifest_cut_in_two_is_told(folder: Path):
    filled(folder / "store", 20).close()
    file = folder / "store" / NAME
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(InputError, match="damaged"):
        problems(folder / "store")


def test_a_full_disk_is_told_and_leaves_the_store_as_it_was(folder: Path):
    picture = np.zeros((200, 3, 4, 3), np.uint8)
    long = small_episode(5, 199, observations={**small_episode(5, 199).observations, "front": picture})
    with Store.create(folder / "store") as store:
        store.add(episode(0), origin="a")
        sizes = {file: file.stat().st_size for file in shard_files(store)}
        for room in (
            0,
            300,
            2000,
            5000,
            6000,
        ):  # a row, some rows, some columns, all columns, and a little more
            with small_disk(room), pytest.raises(OSError, match="nothing was added to") as caught:
                store.add(long, origin="a")
            assert caught.value.errno in (errno.EFBIG, None)  # None: SQLite tells no number
            assert {file: file.stat().st_size for file in shard_files(store)} == sizes
            assert check(folder / "store") == 1
        store.add(episode(1), origin="a")
    assert check(folder / "store") == 2


def test_a_group_on_a_full_disk_is_gone_as_a_whole(folder: Path):
    with filled(folder / "store", 1) as store:
        with small_disk(2000), pytest.raises(OSError, match="nothing was added"):
            add_group(store, 1, 2)
        assert check(folder / "store") == 1
        store.add(episode(1), origin="a")
    assert check(folder / "store") == 2
