"""Reads many episodes at once, in processes of their own, in the order of the jobs."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from robolearn.data.episode import Episode
from robolearn.data.importing.read import Report, read_episode
from robolearn.data.importing.recipe import Job
from robolearn.workers import begin_worker

Read = tuple[Job, list[Episode], Report]


def read_all(jobs: Sequence[Job], workers: int) -> Iterator[Read]:
    """Read episodes, in the order of their jobs. A worker whose parent is gone ends at once.

    Args:
        jobs: what to read.
        workers: processes that read; 1 reads in this one.

    Raises:
        OSError: a process that read was killed.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, *_read(job)
        return
    # Not fork: the parent may have threads.
    context = multiprocessing.get_context("spawn")
    line, end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, begin_worker, (line,))
    running: deque[tuple[Job, Future[tuple[list[Episode], Report]]]] = deque()
    waiting = iter(jobs)
    try:
        while True:
            while len(running) < 2 * workers and (coming := next(waiting, None)) is not None:
                running.append((coming, pool.submit(_read, coming)))
            if not running:
                return
            job, done = running.popleft()
            yield job, *done.result()
    except BrokenProcessPool as error:
        raise OSError(
            f"a process that read episode {job.span.name} of {job.path} was killed: {error}"
        ) from error
    finally:
        pool.shutdown(wait=not running, cancel_futures=True)
        end.close()  # nobody wants what the workers are still at
        line.close()


def _read(job: Job) -> tuple[list[Episode], Report]:
    try:
        return read_episode(job)
    except OSError as error:
        return [], Report(job.origin, job.span.name, refused=str(error))
