"""A recorder that is killed, or whose disk is full, slow or hangs, loses little and stalls nobody."""

from __future__ import annotations

import random
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from robolearn.errors import InputError
from robolearn.hardware.recording import messages as types
from robolearn.hardware.recording.background import RecorderThread, Status
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.recover import recover
from robolearn.hardware.recording.topics import Topic
from robolearn.hardware.recording.writer import Recorder

STATE, CAMERA = "/joint_states", "/camera/image_raw"
TOPICS = (Topic(STATE, types.JOINT_STATE), Topic(CAMERA, types.IMAGE))

# Numbers the messages and tells, in memory that outlives it, when it queued which.
PRODUCER = """
import mmap, struct, sys, time
from pathlib import Path
from robolearn.hardware.recording.background import RecorderThread
from robolearn.hardware.recording.topics import Topic
from robolearn.hardware.recording.writer import Recorder

with open(sys.argv[2], "r+b") as file:
    told = mmap.mmap(file.fileno(), 4096)
STATE = Topic("/joint_states", "sensor_msgs/msg/JointState")
CAMERA = Topic("/camera/image_raw", "sensor_msgs/msg/Image")
recorder = RecorderThread(Recorder(Path(sys.argv[1]), (STATE, CAMERA), split_bytes=3_000_000), print)
number, first = 0, time.time_ns()
while True:
    for topic, size in ((STATE, 300), (STATE, 300), (CAMERA, 30_000)):
        number += 1
        now = time.time_ns()
        recorder.write(topic.name, now, now, struct.pack("<Q", number) + bytes(size))
        told[:24] = struct.pack("<QQQ", number, first, now)
    time.sleep(0.005)
"""


def numbers(log: Log) -> list[int]:
    return [struct.unpack("<Q", message.data[:8])[0] for message in log.messages()]


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_time_loses_at_most_a_second(seed: int, tmp_path: Path) -> None:
    told = tmp_path / "told"
    told.write_bytes(bytes(4096))
    process = subprocess.Popen([sys.executable, "-c", PRODUCER, str(tmp_path / "log"), str(told)])
    try:
        wait_for(lambda: told.read_bytes()[:8] != bytes(8), 60)
        time.sleep(random.Random(seed).uniform(0.3, 1.6))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    last, first, when = struct.unpack("<QQQ", told.read_bytes()[:24])
    log = Log(tmp_path / "log")
    got = list(log.messages())
    found = numbers(log)
    assert found == list(range(1, len(found) + 1))  # nothing is missing but the end
    assert last >= len(found)
    assert when - (got[-1].log_time if got else first) <= 1e9
    done = recover(tmp_path / "log")
    assert numbers(Log(done.directory)) == found
    assert Log(done.directory).is_whole


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextmanager
def files_up_to(size: int) -> Iterator[Callable[[], None]]:
    """No file of this process may grow beyond `size` bytes, until the function it gives is called."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def lift() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield lift
    finally:
        lift()


def test_a_full_disk_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    """The kernel cuts a write in the middle of a chunk; the next attempt goes on there."""
    recorder = Recorder(tmp_path / "log", TOPICS, flush_seconds=1e-9)
    refused = 0
    with files_up_to(20_000) as lift:
        for i in range(100):
            try:
                recorder.write(STATE, i, i, struct.pack("<Q", i) + bytes(1000))
            except OSError:
                refused += 1
        assert (tmp_path / "log" / "log_0.mcap").stat().st_size == 20_000
        with pytest.raises(OSError, match="File too large"):
            recorder.close()
        lift()
        recorder.close()
    assert refused > 50
    log = Log(tmp_path / "log")
    assert numbers(log) == list(range(100))
    assert log.is_whole


def test_a_full_disk_is_announced_and_pictures_go_first(tmp_path: Path) -> None:
    said: list[Status] = []
    recorder = RecorderThread(
        Recorder(tmp_path / "log", TOPICS), said.append, flush_seconds=0.02, queue_bytes=400_000
    )
    with files_up_to(20_000) as lift:
        taken = 0
        for i in range(200):
            start = time.perf_counter()
            taken += recorder.write(CAMERA, i, i, struct.pack("<Q", i) + bytes(10_000))
            taken += recorder.write(STATE, i, i, struct.pack("<Q", i) + bytes(500))
            assert time.perf_counter() - start < 1.0
            time.sleep(0.001)
        wait_for(lambda: "refuses: File too large" in recorder.status().trouble)
        wait_for(lambda: bool(said))
        lift()
        wait_for(lambda: recorder.status().trouble == "" and recorder.status().behind == 0)
    recorder.write(STATE, 200, 200, struct.pack("<Q", 200))
    status = recorder.close()
    assert said[0].trouble
    assert said[0].lost.keys() == {CAMERA}
    assert said[-1].trouble == ""
    log = Log(tmp_path / "log")
    assert log.counts[STATE] == 201  # every one of them
    assert log.counts[CAMERA] + status.lost[CAMERA] == 200
    assert log.is_whole


def test_a_disk_that_stays_full_ends_with_a_count(tmp_path: Path) -> None:
    said: list[Status] = []
    with files_up_to(5000):
        recorder = RecorderThread(Recorder(tmp_path / "log", TOPICS), said.append, flush_seconds=0.02)
        for i in range(50):
            recorder.write(STATE, i, i, struct.pack("<Q", i) + bytes(1000))
        status = recorder.close(patience=0.1)
    assert status.trouble
    assert said[-1] == status
    assert 45 <= status.lost[STATE] <= 50  # how many the first chunk held is a matter of time
    assert recorder.write(STATE, 50, 50, b"") is False
    assert Log(tmp_path / "log").losses


class HangingRecorder(Recorder):
    """Its disk hangs in mid-write until it is let go."""

    def __init__(self, directory: Path) -> None:
        self.go = threading.Event()
        super().__init__(directory, TOPICS)

    def write(self, topic: str, log_time: int, publish_time: int, data: bytes) -> None:
        self.go.wait()
        super().write(topic, log_time, publish_time, data)


def test_a_disk_that_hangs_stalls_nobody_and_is_announced(tmp_path: Path) -> None:
    said: list[Status] = []
    recorder = HangingRecorder(tmp_path / "log")
    thread = RecorderThread(recorder, said.append, queue_bytes=10_000)
    durations = []
    for i in range(2000):
        start = time.perf_counter()
        thread.write(STATE, i, i, bytes(100))
        durations.append(time.perf_counter() - start)
    assert sorted(durations)[1980] < 0.01
    wait_for(lambda: any("slow" in status.trouble for status in said))
    recorder.go.set()
    status = thread.close()
    assert status.lost[STATE] > 1500
    assert Log(tmp_path / "log").counts[STATE] + status.lost[STATE] == 2000


def test_a_disk_that_hangs_does_not_keep_a_process_from_ending(tmp_path: Path) -> None:
    recorder = HangingRecorder(tmp_path / "log")
    thread = RecorderThread(recorder, lambda status: None)
    for i in range(10):
        thread.write(STATE, i, i, bytes(100))
    status = thread.close(patience=0.1)
    assert status == Status("the disk hangs", {STATE: 10}, 0)
    recorder.go.set()


def test_a_failure_of_the_recorder_itself_is_announced(tmp_path: Path) -> None:
    class Broken(Recorder):
        def flush(self) -> None:
            if self.counts:
                raise RuntimeError("a bug")
            super().flush()

    said: list[Status] = []
    thread = RecorderThread(Broken(tmp_path / "log", TOPICS), said.append, flush_seconds=0.01)
    thread.write(STATE, 0, 0, b"")
    wait_for(lambda: "a bug" in thread.status().trouble)
    assert thread.write(STATE, 1, 1, b"") is False
    assert thread.close().lost == {STATE: 2}
    with pytest.raises(InputError, match="'/x' is not recorded"):
        thread.write("/x", 0, 0, b"")
