"""Deployments in sessions: what was run is not run again, what was cut short is."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from small_policies import save_small

from robolearn.errors import InputError
from robolearn.hardware.bringup.sessions import Session, run_session
from robolearn.hardware.realities import load_reality
from robolearn.hardware.station import load_station
from robolearn.improving import deploying
from robolearn.improving.deploying import deploy, sessions_of
from robolearn.improving.runs import Run

STATION = load_station("sim")
MIDDLE = load_reality("middle", STATION.arm)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "small"
    save_small(path)
    return str(path)


@pytest.fixture(autouse=True)
def two_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "TOGETHER", 2)


def sessions(bundle: str, folder: Path, seeds: tuple[int, ...] = (5, 6, 7)) -> list[Session]:
    return sessions_of(Session(bundle, STATION, seeds, folder, reality=MIDDLE), "000")


def test_a_deployment_is_cut_into_sessions(bundle: str, tmp_path: Path) -> None:
    first, second = sessions(bundle, tmp_path)
    assert (first.seeds, second.seeds) == ((5, 6), (7,))
    assert [each.directory.name for each in (first, second)] == ["000-000", "000-001"]


def test_logs_tell_what_really_happened(bundle: str, tmp_path: Path) -> None:
    parts = sessions(bundle, tmp_path / "logs")
    told: list[list[Run]] = []
    runs = deploy(parts, tell=told.append)
    assert [run.seed for run in runs] == [5, 6, 7]
    assert [len(each) for each in told] == [2, 1]
    outcomes = run_session(replace(parts[0], directory=tmp_path / "again"))
    for run, outcome in zip(runs, outcomes, strict=False):
        assert (run.success, run.reason, run.seconds) == (outcome.success, outcome.reason, outcome.seconds)
        assert (run.ticks, run.altered) == (outcome.ticks, outcome.altered_ticks)
        assert run.limited == {cause: count for cause, count in outcome.interventions.items() if count}
        assert run.asked == outcome.steps
        assert run.sent >= run.ticks
        assert run.beyond == 0


def test_what_was_run_is_not_run_again_and_what_was_cut_short_is(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = sessions(bundle, tmp_path)
    first = deploy(parts)
    # killed before the second session's result was written, while a third was under way
    (tmp_path / "000-001.json").unlink()
    (tmp_path / ".0123456789abcdef").mkdir()
    (tmp_path / ".0123456789abcdef" / "half").write_text("")
    ran: list[str] = []
    whole = deploying.run_whole
    monkeypatch.setattr(deploying, "run_whole", lambda s: (ran.append(s.directory.name), whole(s))[1])
    assert deploy(parts) == first
    assert ran == ["000-001"]
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["000-000", "000-000.json", "000-001", "000-001.json"]


def test_logs_need_not_stay(bundle: str, tmp_path: Path) -> None:
    parts = sessions(bundle, tmp_path, (5,))
    runs = deploy(parts, keep=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["000-000.json"]
    assert deploy(parts, keep=False) == runs


def test_a_log_that_was_cut_short_does_not_count(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = deploying.run_whole
    monkeypatch.setattr(deploying, "run_whole", lambda s: whole(replace(s, seeds=s.seeds[:1])))
    with pytest.raises(RuntimeError, match="holds 1 of 2 episodes"):
        deploy(sessions(bundle, tmp_path, (5, 6)))
    monkeypatch.setattr(deploying, "run_whole", whole)
    assert [run.seed for run in deploy(sessions(bundle, tmp_path, (5, 6)))] == [5, 6]


def test_a_result_that_is_none_is_refused(bundle: str, tmp_path: Path) -> None:
    (tmp_path / "000-000.json").write_text('[{"seed": 5}]')
    with pytest.raises(InputError, match="an episode lacks"):
        deploy(sessions(bundle, tmp_path, (5,)))


def test_a_deployment_over_ros_that_fails_says_why(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [replace(each, policy="nowhere") for each in sessions(bundle, tmp_path, (5,))]
    with pytest.raises(RuntimeError, match="nowhere"):
        deploy(parts, ros=True)
    assert not any(tmp_path.iterdir())


KILLED = """
import signal, sys
from pathlib import Path
from robolearn.hardware.bringup.sessions import Session
from robolearn.hardware.station import load_station
from robolearn.improving.deploying import _run_over_ros

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
sys.executable = sys.argv[1]
_run_over_ros(Session("b", load_station("sim"), (5,), Path(sys.argv[2])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's death")
def test_a_deployment_over_ros_ends_with_a_loop_that_is_killed(tmp_path: Path) -> None:
    program, told = tmp_path / "python", tmp_path / "told"
    program.write_text(f"#!/bin/sh\necho $$ > {told}\nexec sleep 600\n")
    program.chmod(0o755)
    loop = subprocess.Popen([sys.executable, "-c", KILLED, str(program), str(tmp_path / "log")])
    deadline = time.monotonic() + 600.0
    try:
        while not (told.is_file() and told.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pid = int(told.read_text())
        loop.kill()
        loop.wait(60)
        state = Path(f"/proc/{pid}/stat")
        while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline, "it goes on"
            time.sleep(0.05)
    finally:
        loop.kill()


def test_a_deployment_over_ros_waits_for_the_processes_of_one_that_was_killed(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, began = tmp_path / "python", tmp_path / "began"
    program.write_text(f"#!/bin/sh\ntouch {began}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    (tmp_path / "logs").mkdir()
    (part,) = sessions(bundle, tmp_path / "logs", (5,))
    ending = os.open(tmp_path / "logs", os.O_RDONLY)  # as they hold it
    fcntl.flock(ending, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(deploying._run_over_ros, part)
        time.sleep(0.3)
        assert not began.exists()
        os.close(ending)
        assert isinstance(coming.exception(600.0), RuntimeError)
    assert began.exists()
