"""Where episodes are run: the one seam between learning or evaluating and the machines that simulate.

A pool takes episode specifications and gives episodes back. `LocalPool` has processes on this machine; a cluster engine can take its
place, since a specification names its policy by file and an episode is plain data.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import traceback
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol

from robolearn.data.episode import Episode
from robolearn.training.rollout import Actor, EpisodeSpec, run_episode

RESTARTS = 3  # how many dead workers a pool replaces before it gives up


class Pool(Protocol):
    """Maps episode specifications to episodes."""

    def submit(self, spec: EpisodeSpec) -> None:
        """Ask for an episode."""

    def ready(self, timeout: float = 0.0) -> list[tuple[EpisodeSpec, Episode]]:
        """Episodes that have ended since the last call; waits up to `timeout` seconds for the first."""

    @property
    def pending(self) -> int:
        """Episodes asked for and not yet given back."""

    def close(self) -> None: ...


class Runner:
    """Runs specifications one after another in this process, keeping environments and the latest policy."""

    def __init__(self) -> None:
        self._env: tuple[Any, Any] | None = None
        self._policy: tuple[str, Actor] | None = None

    def __call__(self, spec: EpisodeSpec) -> Episode:
        from robolearn.envs.tasks import make

        key = (spec.task, repr(sorted(spec.changes.items())))
        if self._env is None or self._env[0] != key:
            if self._env is not None:
                self._env[1].close()
            self._env = (key, make(spec.task, spec.changes))
        actor: Actor | None = None
        if spec.policy is not None:
            if self._policy is None or self._policy[0] != spec.policy:
                from robolearn.policies.bundle import load_actor

                self._policy = (spec.policy, load_actor(spec.policy))
            actor = self._policy[1]
        return run_episode(self._env[1], spec, actor)


def _work(specs: Any, episodes: Any, index: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    import torch

    torch.set_num_threads(1)
    runner = Runner()
    while (item := specs.get()) is not None:
        number, spec = item
        episodes.put((index, number, None, None))  # begun
        try:
            episodes.put((index, number, runner(spec), None))
        except BaseException:
            episodes.put((index, number, None, traceback.format_exc()))


class LocalPool:
    """Worker processes on this machine.

    A worker that dies (killed, out of memory) is replaced and its episode run again; after `RESTARTS` deaths the pool gives up with an
    error. An exception in an episode is raised here, with the worker's traceback.
    """

    def __init__(self, workers: int = 1) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._specs: Any = self._context.Queue()
        self._episodes: Any = self._context.Queue()
        self._pending: dict[int, EpisodeSpec] = {}
        self._begun: dict[int, int] = {}
        self._deaths = 0
        self._next = 0
        self._workers = [self._start(i) for i in range(workers)]

    def _start(self, index: int) -> Any:
        process = self._context.Process(target=_work, args=(self._specs, self._episodes, index), daemon=True)
        process.start()
        return process

    def submit(self, spec: EpisodeSpec) -> None:
        self._pending[self._next] = spec
        self._specs.put((self._next, spec))
        self._next += 1

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def deaths(self) -> int:
        """Workers that died and were replaced."""
        return self._deaths

    def ready(self, timeout: float = 0.0) -> list[tuple[EpisodeSpec, Episode]]:
        found: list[tuple[EpisodeSpec, Episode]] = []
        while True:
            try:
                wait = timeout if not found else 0.0
                index, number, episode, error = self._episodes.get(wait > 0, wait or None)
            except queue.Empty:
                self._replace_dead()
                return found
            if error is not None:
                raise RuntimeError(f"an episode failed ({self._pending[number]}):\n{error}")
            if episode is None:
                self._begun[index] = number
            else:
                self._begun.pop(index, None)
                found.append((self._pending.pop(number), episode))

    def _replace_dead(self) -> None:
        for index, process in enumerate(self._workers):
            if process.is_alive():
                continue
            self._deaths += 1
            if self._deaths > RESTARTS:
                raise RuntimeError(
                    f"{self._deaths} collector processes died, the last with exit code {process.exitcode}: "
                    "look for memory running out, and for what `robolearn doctor` says"
                )
            lost = self._begun.pop(index, None)
            self._workers[index] = self._start(index)
            if lost is not None and lost in self._pending:
                self._specs.put((lost, self._pending[lost]))

    def close(self) -> None:
        for process in self._workers:
            process.kill()
        for process in self._workers:
            process.join()
        for channel in (self._specs, self._episodes):
            channel.cancel_join_thread()
            channel.close()

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def map_episodes(pool: Pool, specs: Iterable[EpisodeSpec], ahead: int = 4) -> Iterator[Episode]:
    """Episodes of the specifications, in their order."""
    waiting: dict[EpisodeKey, Episode] = {}
    order: list[EpisodeKey] = []
    remaining = iter(specs)
    for spec in remaining:
        pool.submit(spec)
        order.append(_key(spec))
        if len(order) >= ahead:
            break
    while order:
        while order and order[0] in waiting:
            yield waiting.pop(order.pop(0))
        for done, episode in pool.ready(timeout=0.2) if order else []:
            waiting[_key(done)] = episode
            following = next(remaining, None)
            if following is not None:
                pool.submit(following)
                order.append(_key(following))


EpisodeKey = tuple[str, int, str]


def _key(spec: EpisodeSpec) -> EpisodeKey:
    return (spec.task, spec.seed, repr(spec))


def default_workers() -> int:
    """One process a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
