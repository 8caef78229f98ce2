from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

import pytest

from robolearn.training.scribe import Scribe


def test_jobs_are_done_in_order_and_beside_the_caller() -> None:
    done: list[int] = []
    gate = threading.Event()
    scribe = Scribe(lambda line: None)
    scribe.write("gates", lambda: assert_true(gate.wait(30)))
    for number in range(5):
        scribe.write("numbers", lambda number=number: done.append(number))  # type: ignore[misc]
    assert scribe.backlog >= 5
    assert done == []
    gate.set()
    scribe.finish()
    assert done == [0, 1, 2, 3, 4]
    assert scribe.backlog == 0


def assert_true(value: bool) -> None:
    assert value


def test_a_full_disk_is_announced_once_and_so_is_its_end() -> None:
    said: list[str] = []
    written: list[int] = []
    full = True

    def write(number: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(number)

    scribe = Scribe(said.append)
    for number in range(3):
        scribe.write("snapshots", lambda number=number: write(number))  # type: ignore[misc]
    scribe.write("metrics", lambda: write(3))
    while scribe.backlog or len(said) < 2:
        time.sleep(0.001)
    full = False
    scribe.write("snapshots", lambda: write(4))
    scribe.finish()
    goes_on = "cannot be written (No space left on device); training goes on in memory"
    assert said == [f"snapshots {goes_on}", f"metrics {goes_on}", "snapshots are written again"]
    assert written == [4]


def test_a_defect_is_raised_here_and_the_later_jobs_are_done(tmp_path: Path) -> None:
    scribe = Scribe(lambda line: None)
    scribe.write("things", lambda: [][0])
    scribe.write("things", lambda: (tmp_path / "later").touch())
    with pytest.raises(IndexError):
        scribe.finish()
    assert (tmp_path / "later").exists()
