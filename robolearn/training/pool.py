"""Where episodes are run: the one seam between learning or evaluating and the machines that simulate.

A pool takes episode specifications and gives episodes back. `LocalPool` has processes on this machine; a
cluster engine can take its place: a specification names its policy by file, and an episode is plain data.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import pickle
import queue
import signal
import struct
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Protocol

from robolearn.data.episode import Episode
from robolearn.errors import InputError
from robolearn.training.rollout import Actor, EpisodeSpec, run_episode

if TYPE_CHECKING:
    from robolearn.envs.base import ManipulationEnv

TRIES = 3  # how many workers may die on one episode before the pool gives up
AHEAD = 16  # specifications a worker may hold: so many short episodes take as long as its parent may be busy
PIPE = 2**20  # bytes that a worker may send while its parent does not listen


class Pool(Protocol):
    """Maps episode specifications to episodes."""

    @property
    def pending(self) -> int:
        """Episodes asked for and not yet given back."""

    def submit(self, spec: EpisodeSpec) -> None:
        """Ask for an episode."""

    def ready(self, timeout: float = 0.0) -> list[tuple[EpisodeSpec, Episode]]:
        """Episodes that have ended since the last call, with the very objects that were submitted.

        Waits up to `timeout` seconds for the first.
        """

    def close(self) -> None:
        """Stop at once, whatever is still running."""


def map_episodes(pool: Pool, specs: Iterable[EpisodeSpec], ahead: int = 4) -> Iterator[Episode]:
    """Episodes of the specifications, in their order. Nobody else may use the pool meanwhile.

    Args:
        pool: runs them.
        specs: what to run; taken as they are needed.
        ahead: how many are asked for before the first of them has been given back: two or three a worker keep
            all of them busy.
    """
    remaining = (replace(spec) for spec in specs)  # objects of their own: equal ones stay apart by identity
    order: deque[EpisodeSpec] = deque()
    finished: dict[int, Episode] = {}
    while True:
        while len(order) < ahead and (spec := next(remaining, None)) is not None:
            pool.submit(spec)
            order.append(spec)
        if not order:
            return
        while id(order[0]) not in finished:
            finished.update((id(spec), episode) for spec, episode in pool.ready(timeout=1.0))
        yield finished.pop(id(order.popleft()))


class Runner:
    """Runs specifications one after another in this process.

    It keeps the latest environment and the latest policy. A policy is read once: its file must not change
    while a runner lives.
    """

    def __init__(self) -> None:
        self._env: tuple[str, ManipulationEnv] | None = None
        self._policy: tuple[str, Actor] | None = None

    def __call__(self, spec: EpisodeSpec) -> Episode:
        return run_episode(self._env_of(spec), spec, self._actor_of(spec))

    def _env_of(self, spec: EpisodeSpec) -> ManipulationEnv:
        from robolearn.envs.tasks import make

        key = f"{spec.task} {sorted(spec.changes.items())}"
        if self._env is None or self._env[0] != key:
            self.close()
            self._env = (key, make(spec.task, spec.changes))
        return self._env[1]

    def _actor_of(self, spec: EpisodeSpec) -> Actor | None:
        if spec.policy is None:
            return None
        if self._policy is None or self._policy[0] != spec.policy:
            from robolearn.policies.bundle import load_actor

            self._policy = (spec.policy, load_actor(spec.policy))
        return self._policy[1]

    def close(self) -> None:
        """Give the environment's renderers back."""
        if self._env is not None:
            self._env[1].close()
            self._env = None


class LocalPool:
    """Worker processes on this machine.

    A worker that dies (killed, out of memory) is replaced and its episodes run again. An exception in an
    episode is raised by `ready`, with the worker's traceback; the pool stays usable.

    Args:
        workers: number of processes, from 1 up.

    Raises:
        InputError: of the constructor, for less than one worker; of `submit`, for a specification that cannot
            be sent; of `ready`, for what an episode refuses (an unknown task, a bundle that is not there).
        RuntimeError: of `ready`, for any other exception in an episode, and when `TRIES` workers died on one.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise InputError(f"a pool of {workers} workers runs nothing: choose from 1 up")
        self.deaths: list[int] = []
        """Exit codes of the workers that died and were replaced; negative is a signal."""
        self._next = 0
        self._specs: dict[int, EpisodeSpec] = {}  # by ticket: asked for, not yet given back
        self._letters: dict[int, bytes] = {}  # by ticket: what a worker is sent
        self._waiting: deque[int] = deque()  # tickets that no worker holds
        self._tries: dict[int, int] = {}
        self._finished: list[tuple[EpisodeSpec, Episode]] = []
        self._workers = [_Worker() for _ in range(workers)]

    @property
    def pending(self) -> int:
        return len(self._specs) + len(self._finished)

    def submit(self, spec: EpisodeSpec) -> None:
        try:
            letter = pickle.dumps((self._next, spec))
        except Exception as error:
            raise InputError(f"{spec} cannot be sent to another process: {error}") from error
        self._specs[self._next] = spec
        self._letters[self._next] = letter
        self._waiting.append(self._next)
        self._next += 1
        self._hand_out()

    def ready(self, timeout: float = 0.0) -> list[tuple[EpisodeSpec, Episode]]:
        deadline = time.monotonic() + timeout
        while True:
            patience = 0.0 if self._finished else max(deadline - time.monotonic(), 0.0)
            by_line = {worker.episodes: worker for worker in self._workers}
            heard: list[Any] = wait(list(by_line), patience)
            for line in heard:
                self._hear(by_line[line])
            self._hand_out()
            if not heard and (self._finished or time.monotonic() >= deadline):
                finished, self._finished = self._finished, []
                return finished

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers = []

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _hand_out(self) -> None:
        """Give waiting specifications to the workers that hold fewest."""
        while self._waiting:
            worker = min(self._workers, key=lambda worker: len(worker.tickets))
            if len(worker.tickets) >= AHEAD:
                return
            try:
                worker.specs.send_bytes(self._letters[self._waiting[0]])
            except OSError:  # it has died: the others go on, and `ready` finds out
                self._replace(worker)
            else:
                worker.tickets.append(self._waiting.popleft())

    def _hear(self, worker: _Worker) -> None:
        try:
            ticket, episode, error = _receive(worker.episodes)
        except (EOFError, OSError):
            self._replace(worker)
            return
        worker.tickets.remove(ticket)
        self._letters.pop(ticket)
        self._tries.pop(ticket, None)
        spec = self._specs.pop(ticket)
        if error is None:
            self._finished.append((spec, episode))
        elif isinstance(error, InputError):
            raise error
        else:
            raise RuntimeError(f"an episode failed ({spec}):\n{error}")

    def _replace(self, dead: _Worker) -> None:
        dead.close()
        code = dead.process.exitcode or 0
        self.deaths.append(code)
        if dead.tickets:
            first = dead.tickets[0]
            self._tries[first] = self._tries.get(first, 0) + 1
            if self._tries[first] >= TRIES:
                raise RuntimeError(
                    f"{TRIES} worker processes died on one episode, the last with exit code {code}: look for "
                    f"memory running out, and for what `robolearn doctor` says ({self._specs[first]})"
                )
        self._waiting.extendleft(reversed(dead.tickets))
        self._workers[self._workers.index(dead)] = _Worker()


class _Worker:
    """A process, the lines to and from it, and the tickets that it holds, in the order of their turn."""

    def __init__(self) -> None:
        # Not fork: it would copy a process that has threads. Not one queue for all: a worker killed while it
        # holds the queue's lock would stop the others.
        context = multiprocessing.get_context("spawn")
        specs, self.specs = context.Pipe(duplex=False)
        self.episodes, episodes = context.Pipe(duplex=False)
        with contextlib.suppress(AttributeError, OSError):  # Linux: room for a whole short episode, or two
            fcntl.fcntl(episodes.fileno(), fcntl.F_SETPIPE_SZ, PIPE)
        self.process = context.Process(target=_work, args=(specs, episodes), daemon=True)
        with _interrupts_held():
            self.process.start()
        specs.close()
        episodes.close()
        self.tickets: deque[int] = deque()

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.specs.close()
        self.episodes.close()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C goes to every process of a terminal, but is the parent's: a child started here never gets it."""
    resource_tracker.ensure_running()  # starting a process starts it first, and that would let interrupts in
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _work(specs: Connection, episodes: Connection) -> None:
    """What a worker process does until its parent closes the line or is gone."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported: with the first policy
    letters: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(specs, letters), daemon=True).start()
    runner = Runner()
    sending: threading.Thread | None = None
    while True:
        ticket, spec = pickle.loads(letters.get())
        episode: Episode | None = None
        error: InputError | str | None = None
        try:
            episode = runner(spec)
        except InputError as refused:
            error = InputError(str(refused))
        except BaseException:
            error = traceback.format_exc()
        if sending is not None:
            sending.join()
        # in a thread, so that the next episode begins while the parent is busy and does not listen
        sending = threading.Thread(target=_send, args=(episodes, (ticket, episode, error)), daemon=True)
        sending.start()


def _listen(specs: Connection, letters: queue.SimpleQueue[bytes]) -> None:
    """Take in every letter at once, however large: a parent that waits to send one does not listen."""
    while True:
        try:
            letters.put(specs.recv_bytes())
        except (EOFError, OSError):  # the parent has closed the line, or is gone
            os._exit(0)


def _send(line: Connection, message: object) -> None:
    """Send a message, its arrays as they lie in memory, in one call: what is sent never waits for the GIL."""
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(head), *(array.raw() for array in arrays)]
    sizes = struct.pack(f"={1 + len(parts)}Q", len(parts), *(part.nbytes for part in parts))
    left = [memoryview(sizes), *parts]
    try:
        while left:
            sent = os.writev(line.fileno(), left)
            while left and sent >= left[0].nbytes:
                sent -= left.pop(0).nbytes
            if left:
                left[0] = left[0][sent:]
    except OSError:  # the parent is gone
        os._exit(0)


def _receive(line: Connection) -> Any:
    """Receive what `_send` sent; its arrays share one piece of memory."""
    (count,) = struct.unpack("=Q", _read(line, 8))
    sizes = struct.unpack(f"={count}Q", _read(line, 8 * count))
    body, parts = _read(line, sum(sizes)), []
    for size in sizes:
        parts.append(body[:size])
        body = body[size:]
    return pickle.loads(parts[0], buffers=parts[1:])


def _read(line: Connection, size: int) -> memoryview:
    """The next bytes of a line; EOFError where it ends before."""
    whole = memoryview(bytearray(size))
    left = whole
    while left:
        got = os.readv(line.fileno(), [left])
        if got == 0:
            raise EOFError
        left = left[got:]
    return whole


def default_workers() -> int:
    """One process a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
