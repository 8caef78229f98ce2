"""Sessions: some episodes of a policy at the simulated arm on a simulated clock, and their log.

A session is everything that decides what will happen in it, down to the last bit; sessions know nothing of
one another. So it does not matter which process runs which of them, or how often a killed one is begun.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from robolearn.data.episode import Outcome
from robolearn.files import flush_directory
from robolearn.hardware.monitor.states import Authority
from robolearn.hardware.oneprocess import OneProcess
from robolearn.hardware.realities import Reality
from robolearn.hardware.recording.messages import Record, encode
from robolearn.hardware.recording.topics import station_topics
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.station import Station
from robolearn.policies.bundle import load_bundle
from robolearn.workers import begin_worker

Result = TypeVar("Result")


@dataclass(frozen=True)
class Session:
    """Some episodes, one after another.

    Attributes:
        policy: a bundle.
        station: a simulated one.
        seeds: of the episodes, at least one.
        directory: of the log; nothing may be there.
        authority: the level to which the authority is raised.
        reality: what the arm is; None for the training simulator.
        exploration: how much the policy is pushed (`robolearn.hardware.exploring`).
    """

    policy: str
    station: Station
    seeds: tuple[int, ...]
    directory: Path
    authority: Authority = Authority.AUTONOMOUS
    reality: Reality | None = None
    exploration: float = 0.0


def run_session(session: Session, tell: Callable[[int, Outcome], None] | None = None) -> list[Outcome]:
    """Run the episodes of a session and leave its log, also of what an error or Ctrl-C cuts short.

    Args:
        session: what to run.
        tell: called with every episode's seed and outcome.

    Raises:
        InputError: the station does not offer what the policy requires, or its log is there already.
        RuntimeError: the monitor does not let the arm begin.
        OSError: the log cannot be written.
    """
    bundle = load_bundle(session.policy)
    topics = station_topics(session.station.with_cameras_of(bundle.contract))
    recorder = Recorder(session.directory, topics)

    def record(topic: str, now: int, record: Record) -> None:
        recorder.write(topic, now, now, encode(record))

    outcomes = []
    try:
        process = OneProcess(
            bundle,
            session.station,
            record=record,
            authority=session.authority,
            reality=session.reality,
            exploration=session.exploration,
            seed=session.seeds[0],
        )
        try:
            for seed in session.seeds:
                outcomes.append(process.run_episode(seed))
                if tell is not None:
                    tell(seed, outcomes[-1])
        finally:
            process.close()
    finally:
        recorder.close()
    return outcomes


def run_whole(session: Session) -> list[Outcome]:
    """The same, but the log appears in its place when all of it is there, or not at all.

    Raises:
        Exception: what `run_session` raises.
    """
    place = session.directory
    draft = place.parent / f".{uuid.uuid4().hex}"
    try:
        outcomes = run_session(replace(session, directory=draft / place.name))
        flush_directory(draft / place.name)
        os.rename(draft / place.name, place)
        flush_directory(place.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return outcomes


def run_sessions(
    sessions: Sequence[Session],
    workers: int,
    run: Callable[[Session], Result],
) -> Iterator[tuple[Session, Result]]:
    """Run sessions in processes of their own, and give what comes of them in the order of the sessions.

    A worker whose parent is gone, or gives up, ends at once, whatever it is at.

    Args:
        sessions: what to run.
        workers: processes; 1 runs in this one.
        run: what to do with each; a function of a module, which processes can be told of.

    Raises:
        OSError: a worker was killed.
        Exception: what `run` raises.
    """
    if workers == 1 or len(sessions) < 2:
        for session in sessions:
            yield session, run(session)
        return
    # Not fork: the parent has threads.
    context = multiprocessing.get_context("spawn")
    line, end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(min(workers, len(sessions)), context, _begin_worker, (line,))
    try:
        running = [pool.submit(run, session) for session in sessions]
        for session, future in zip(sessions, running, strict=True):
            yield session, future.result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise OSError(f"a process that ran episodes was killed: {error}") from error
    finally:
        end.close()  # after Ctrl-C or an error nobody wants what the workers are still at
        pool.shutdown(cancel_futures=True)
        line.close()


def _begin_worker(line: Connection) -> None:
    import torch

    begin_worker(line)
    torch.set_num_threads(1)
