"""Deployments of the loop: many sessions, each with its log and with what that log says, and none run twice.

    FOLDER/NAME/         a session's log
    FOLDER/NAME.json     its episodes (`robolearn.improving.runs`): a session that has this is done

A session's log is in its place as a whole or not at all, and what it says is written after it. So a kill at
any moment costs the sessions that were running, and they come out the same when they are run again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from robolearn import checks
from robolearn.files import flush_directory, replacing
from robolearn.hardware.bringup.processes import END_WITH_PARENT
from robolearn.hardware.bringup.sessions import Session, run_sessions, run_whole
from robolearn.improving.runs import Run, read_runs

TOGETHER = 10
"""Episodes in a session: what a kill costs, and what one process runs without asking."""


def sessions_of(whole: Session, stem: str) -> list[Session]:
    """A deployment as sessions of a few episodes each.

    Args:
        whole: all of it; the logs go into its directory.
        stem: what the logs' names begin with.
    """
    seeds, folder = whole.seeds, whole.directory
    firsts = range(0, len(seeds), TOGETHER)
    return [
        replace(whole, seeds=seeds[k : k + TOGETHER], directory=folder / f"{stem}-{number:03d}")
        for number, k in enumerate(firsts)
    ]


def deploy(
    sessions: Sequence[Session],
    *,
    workers: int = 1,
    ros: bool = False,
    keep: bool = True,
    tell: Callable[[list[Run]], None] = lambda runs: None,
) -> list[Run]:
    """Run what has not been run, and give what all logs say, in the order of the sessions.

    Args:
        sessions: all of them in one folder, which is made.
        workers: processes that run them.
        ros: whether the parts of each are processes that talk over ROS, in real time.
        keep: whether the logs stay; otherwise only what they say.
        tell: called with every session's episodes, also of those that were run before.

    Raises:
        InputError: the station does not offer what the policy requires.
        RuntimeError: the monitor does not let the arm begin, or a deployment over ROS failed.
        OSError: a log cannot be written, or a worker was killed.
    """
    for folder in {session.directory.parent for session in sessions}:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*"):  # of one that was killed
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    found = {session.directory: _read(session) for session in sessions if _result(session).is_file()}
    for runs in found.values():
        tell(runs)
    waiting = [session for session in sessions if session.directory not in found]
    for session in waiting:
        shutil.rmtree(session.directory, ignore_errors=True)  # a log counts with its result
    for session, runs in run_sessions(waiting, 1 if ros else workers, partial(_run, ros=ros, keep=keep)):
        found[session.directory] = runs
        tell(runs)
    return [run for session in sessions for run in found[session.directory]]


def _run(session: Session, ros: bool, keep: bool) -> list[Run]:
    (_run_over_ros if ros else run_whole)(session)
    runs = read_runs(session.directory, session.station)
    if [run.seed for run in runs] != list(session.seeds):
        raise RuntimeError(
            f"the log {session.directory} holds {len(runs)} of {len(session.seeds)} episodes: the deployment "
            "was cut short"
        )
    with replacing(_result(session)) as temporary:
        temporary.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    flush_directory(session.directory.parent)
    if not keep:
        shutil.rmtree(session.directory)
    return runs


def _run_over_ros(session: Session) -> None:
    """The session as processes, as `robolearn up sim` brings them up; its log appears as a whole."""
    place = session.directory
    draft = place.parent / f".{uuid.uuid4().hex}"
    options: dict[str, object] = {
        "policy": session.policy,
        "station": session.station.path,
        "episodes": len(session.seeds),
        "seed": session.seeds[0],
        "authority": session.authority.name.lower(),
        "exploration": session.exploration,
        "log": draft / place.name,
    }
    if session.reality is not None:
        options["reality"] = session.reality.path
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    draft.mkdir()
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        # its processes hold the lock, too: who goes on after a kill waits until the arm before is at rest
        fcntl.flock(folder, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "-m", "robolearn.cli", "up", "sim", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=END_WITH_PARENT,  # a loop that is killed leaves no arm that moves
            pass_fds=(folder,),
        )
        if done.returncode != 0:
            raise RuntimeError(f"the deployment over ROS failed:\n{done.stdout[-4000:]}")
        os.rename(draft / place.name, place)
        flush_directory(place.parent)
    finally:
        os.close(folder)
        shutil.rmtree(draft, ignore_errors=True)


def _result(session: Session) -> Path:
    return session.directory.with_name(f"{session.directory.name}.json")


def _read(session: Session) -> list[Run]:
    file = _result(session)
    entries = checks.items(str(file), checks.parse_json(str(file), file.read_bytes()))
    return [Run.from_dict(entry) for entry in entries]
