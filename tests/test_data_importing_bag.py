"""Bags of both formats, whole and damaged, and clocks that were set back."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_logs import write, write_sqlite

from robolearn.data.importing.bag import JUMP, SqliteBag, clock_jumps, open_bag
from robolearn.errors import InputError
from robolearn.hardware.recording.messages import JOINT_STATE, encode
from robolearn.hardware.recording.reader import Log, LogMessage
from robolearn.hardware.wire import SECOND, JointState

START = 1_700_000_000 * SECOND
STEP = 5_000_000


def state(topic: str, time: int, log_time: int | None = None) -> LogMessage:
    record = JointState(time, ("a", "b"), np.array([time % 97, 1.0]), np.zeros(2), np.zeros(2))
    log_time = time if log_time is None else log_time
    return LogMessage(topic, JOINT_STATE, log_time, log_time, encode(record))


def states(count: int = 200) -> list[LogMessage]:
    return [state(f"/{'ab'[i % 2]}", START + i * STEP) for i in range(count)]


def test_both_formats_are_read_alike(tmp_path: Path) -> None:
    messages = states()
    mcap, sqlite = open_bag(write(tmp_path / "a", messages)), open_bag(write_sqlite(tmp_path / "b", messages))
    assert isinstance(mcap, Log)
    assert isinstance(sqlite, SqliteBag)
    for bag in (mcap, sqlite):
        assert {name: entry.type for name, entry in bag.topics.items()} == {
            "/a": JOINT_STATE,
            "/b": JOINT_STATE,
        }
        assert bag.counts == {"/a": 100, "/b": 100}
        assert bag.losses == []
        assert [(m.topic, m.log_time, m.data) for m in bag.messages()] == [
            (m.topic, m.log_time, m.data) for m in messages
        ]
        part = list(bag.messages(["/b"], START + 50 * STEP, START + 60 * STEP))
        assert [m.log_time for m in part] == [START + i * STEP for i in range(51, 60, 2)]
        np.testing.assert_array_equal(bag.times("/a"), START + STEP * np.arange(0, 200, 2))
        with pytest.raises(InputError, match=r"unknown topic of the log '/c'"):
            bag.times("/c")
        with pytest.raises(InputError, match=r"unknown topic of the log '/c'"):
            next(bag.messages(["/c"]))
    assert isinstance(open_bag(next((tmp_path / "b").glob("*.db3"))), SqliteBag)


def test_without_metadata_and_with_files_missing_sqlite_bags_are_read(tmp_path: Path) -> None:
    messages = states()
    bag = write_sqlite(tmp_path / "bag", messages[:100])
    (bag / "metadata.yaml").unlink()
    second = write_sqlite(tmp_path / "other", messages[100:])
    shutil.copy(next(second.glob("*.db3")), bag / "bag_1.db3")
    found = open_bag(bag)
    assert [m.log_time for m in found.messages()] == [m.log_time for m in messages]


def test_a_damaged_sqlite_bag_gives_what_can_be_read(tmp_path: Path) -> None:
    bag = write_sqlite(tmp_path / "bag", states(4000))
    (file,) = bag.glob("*.db3")
    data = bytearray(file.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    file.write_bytes(data)
    found = open_bag(bag)
    messages = list(found.messages())
    assert 0 < len(messages) < 4000
    assert found.losses
    file.write_bytes(bytes(data[:50]))
    with pytest.raises(InputError, match=r"no sqlite3 bag of ROS 2, or is damaged"):
        open_bag(bag)


def test_other_peoples_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_bag(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no \.mcap file"):
        open_bag(tmp_path / "empty")
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "x.db3.zstd").touch()
    with pytest.raises(InputError, match="ros2 bag convert"):
        open_bag(tmp_path / "packed")
    with sqlite3.connect(tmp_path / "other.db3") as other:
        other.execute("CREATE TABLE songs (name TEXT)")
    with pytest.raises(InputError, match="no sqlite3 bag"):
        open_bag(tmp_path / "other.db3")
    with sqlite3.connect(write_sqlite(tmp_path / "json", states(4)) / "json.db3") as bag:
        bag.execute("UPDATE topics SET serialization_format = 'json' WHERE name = '/a'")
    found = open_bag(tmp_path / "json")
    assert list(found.topics) == ["/b"]
    assert "serialised as 'json'" in found.losses[0].reason


@given(
    st.integers(0, 99),
    st.integers(-5 * SECOND, 5 * SECOND),
    st.booleans(),
)
def test_a_clock_that_is_set_back_is_found_and_nothing_else(place: int, jump: int, sqlite: bool) -> None:
    times = [START + i * STEP * 2 + (jump if i >= place else 0) for i in range(100)]
    with tempfile.TemporaryDirectory() as folder:
        make = write_sqlite if sqlite else write
        bag = open_bag(make(Path(folder) / "bag", [state("/a", time) for time in times]))
        spans = clock_jumps(bag)
    back = times[place - 1] - times[place] if place else 0
    if back > JUMP:
        ((begin, end),) = spans
        assert (begin, end) == (times[place], times[place - 1])
    else:
        assert spans == []
