"""Sessions of episodes on a simulated clock, in this process and in others."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_policies import save_small

from robolearn.cli import main
from robolearn.data.episode import Outcome
from robolearn.errors import InputError
from robolearn.hardware.bringup import sessions as module
from robolearn.hardware.bringup.sessions import Session, run_session, run_sessions, run_whole
from robolearn.hardware.bringup.up_command import up_sim
from robolearn.hardware.realities import load_reality
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.topics import EPISODE, FILTERED, REQUESTED
from robolearn.hardware.station import load_station

STATION = load_station("sim")
FAR = replace(load_reality("far", STATION.arm), camera_delay_extra=0.005)
"""With pictures that the small policy's contract still takes."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "small"
    save_small(path)
    return str(path)


def session(bundle: str, directory: Path, **changes: Any) -> Session:
    return replace(Session(bundle, STATION, (1, 2), directory, reality=FAR), **changes)


def content(directory: Path) -> str:
    """Digest of all that was recorded."""
    sha = hashlib.sha256()
    for message in Log(directory).messages():
        if message.topic == EPISODE:
            body = message.record().body
            words = {key: body[key] for key in body if key != "versions"}
            sha.update(json.dumps(words, sort_keys=True).encode())
        else:
            sha.update(f"{message.topic} {message.log_time}".encode() + message.data)
    return sha.hexdigest()


def marks(directory: Path) -> list[Any]:
    return [message.record() for message in Log(directory).messages([EPISODE])]


def test_a_session_leaves_a_whole_log_and_is_the_same_again(bundle: str, tmp_path: Path) -> None:
    told: list[int] = []
    first = run_session(session(bundle, tmp_path / "a"), lambda seed, outcome: told.append(seed))
    second = run_whole(session(bundle, tmp_path / "b"))
    assert told == [1, 2]
    assert first == second
    assert Log(tmp_path / "a").is_whole
    assert Log(tmp_path / "b").is_whole
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert [mark.body["seed"] for mark in marks(tmp_path / "b")] == [1, 1, 2, 2]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


def test_a_reality_is_another_world_and_the_log_does_not_name_it(bundle: str, tmp_path: Path) -> None:
    run_session(session(bundle, tmp_path / "far", seeds=(1,)))
    run_session(session(bundle, tmp_path / "nominal", seeds=(1,), reality=None))
    assert content(tmp_path / "far") != content(tmp_path / "nominal")
    begin = marks(tmp_path / "far")[0]
    assert "reality" not in json.dumps(begin.body)
    assert begin.body.keys() == marks(tmp_path / "nominal")[0].body.keys()


def test_pushes_are_asked_for_through_the_monitor_and_the_log_says_so(bundle: str, tmp_path: Path) -> None:
    run_session(session(bundle, tmp_path / "pushed", exploration=0.5, seeds=(1,)))
    run_session(session(bundle, tmp_path / "alone", seeds=(1,)))
    assert [marks(tmp_path / name)[0].body["exploration"] for name in ("pushed", "alone")] == [0.5, 0.0]
    asked: list[np.ndarray] = []
    let: list[np.ndarray] = []
    for name in ("pushed", "alone"):
        log = Log(tmp_path / name)
        begun = next(m.log_time for m in log.messages([EPISODE]))
        asked.append(np.array([m.record().torque for m in log.messages([REQUESTED], begun + 1)]))
        let.append(np.array([m.record().torque for m in log.messages([FILTERED], begun + 1)]))
    assert asked[0].shape == asked[1].shape
    assert (asked[0] != asked[1]).any()
    assert (let[0] != let[1]).any()


def test_what_is_cut_short_leaves_nothing_whole(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: object, seed: int) -> Outcome:
        raise RuntimeError("the arm did not get home")

    monkeypatch.setattr(module.OneProcess, "run_episode", fails)
    with pytest.raises(RuntimeError, match="home"):
        run_whole(session(bundle, tmp_path / "a"))
    assert not any(tmp_path.iterdir())


def test_processes_run_them_as_this_one_would(bundle: str, tmp_path: Path) -> None:
    alone = [session(bundle, tmp_path / f"a{k}", seeds=(k,)) for k in range(3)]
    beside = [replace(each, directory=tmp_path / each.directory.name.replace("a", "b")) for each in alone]
    one = list(run_sessions(alone, 1, run_session))
    two = list(run_sessions(beside, 2, run_whole))
    assert [each for each, _ in two] == beside
    assert [outcomes for _, outcomes in one] == [outcomes for _, outcomes in two]
    for a, b in zip(alone, beside, strict=True):
        assert content(a.directory) == content(b.directory)


def test_an_error_in_a_process_is_raised_and_ends_the_others(bundle: str, tmp_path: Path) -> None:
    both = [session(bundle, tmp_path / "a", seeds=(1,)), session("none", tmp_path / "b")]
    with pytest.raises(InputError, match="there is no bundle 'none'"):
        list(run_sessions(both, 2, run_session))


WAITING = """
import signal, sys, time
from pathlib import Path
from robolearn.hardware.bringup.sessions import Session, run_sessions
from robolearn.hardware.station import load_station

def wait(session):
    import os
    Path(session.directory).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    places = [Path(word) for word in sys.argv[1:]]
    station = load_station("sim")
    list(run_sessions([Session("b", station, (k,), place) for k, place in enumerate(places)], 2, wait))
"""


def pids(places: list[Path]) -> Iterator[int]:
    deadline = time.monotonic() + 120
    for place in places:
        while not (place.is_file() and place.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield int(place.read_text())


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # ended, and its new parent has not looked yet
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc, which Linux has")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_processes_do_not_outlive_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    places = [tmp_path / "a", tmp_path / "b"]
    words = [sys.executable, str(script), *map(str, places)]
    parent = subprocess.Popen(words, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        workers = list(pids(places))
        parent.send_signal(number)
        parent.wait(60)
        assert all(gone(pid) for pid in workers)
    finally:
        parent.kill()


def test_up_counts_with_an_interval(bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["up", "sim", "--policy", bundle, "--one-process", "--reality", "far", "--episodes", "2"]
    assert main([*words, "--log", str(tmp_path / "log"), "--exploration", "0.1"]) == 0
    shown = capsys.readouterr().out
    assert "episode 1: time after 0.4 s" in shown
    assert "0 of 2 episodes succeeded, 0.000, 95% interval 0.000 to 0.658" in shown
    assert Log(tmp_path / "log").is_whole

    assert main([*words, "--log", str(tmp_path / "two"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["episodes"], found["successes"]) == (2, 0)
    assert [row["seed"] for row in found["table"]] == [0, 1]
    assert found["table"][0]["reason"] == "time"


def test_with_several_processes_there_are_several_logs(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robolearn.hardware.bringup.alone.TOGETHER", 2)
    assert (
        up_sim(
            bundle, reality="far", episodes=3, seed=5, log=tmp_path, one_process=True, workers=2, json=True
        )
        == 0
    )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["000", "001"]
    assert [mark.body["seed"] for mark in marks(tmp_path / "000")] == [5, 5, 6, 6]
    assert [mark.body["seed"] for mark in marks(tmp_path / "001")] == [7, 7]


def test_what_cannot_be_asked_of_up_is_refused(bundle: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown reality 'neer'.*near"):
        up_sim(bundle, reality="neer", one_process=True)
    for changes in ({"episodes": 0}, {"workers": 0}, {"exploration": -1.0}):
        with pytest.raises(InputError, match=next(iter(changes))):
            up_sim(bundle, one_process=True, **changes)
