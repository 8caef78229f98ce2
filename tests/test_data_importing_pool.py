"""Processes that read episodes end with who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

READING = """
import os, sys, time
from pathlib import Path

class Endless:
    "A job that a worker never finishes."

    def __init__(self, place):
        self.place = place

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        Path(self.place).write_text(str(os.getpid()))
        time.sleep(600.0)

if __name__ == "__main__":
    from robolearn.data.importing.pool import read_all

    next(read_all([Endless(place) for place in sys.argv[1:]], workers=2))
"""


def until(condition, seconds: float = 120.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(met)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc, which Linux has")
def test_they_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    script, places = tmp_path / "reading.py", [tmp_path / "a", tmp_path / "b"]
    script.write_text(READING)
    parent = subprocess.Popen([sys.executable, str(script), *map(str, places)], env={**os.environ})
    workers: list[int] = []
    try:
        assert until(lambda: all(place.is_file() and place.read_text() for place in places))
        workers = [int(place.read_text()) for place in places]
        parent.send_signal(signal.SIGKILL)
        parent.wait(60)
        assert until(lambda: all(gone(pid) for pid in workers), 60.0)
    finally:
        parent.kill()
        for pid in workers:
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)
