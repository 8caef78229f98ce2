"""Where plays are run: in processes beside the learner, or in this one.

The processes are like those of `robolearn.training.pool`, whose lines and signals they use; what differs is
what
travels: a play holds the policy itself, which changes every few seconds, in place of the name of a bundle.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import queue
import threading
import time
import traceback
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from robolearn.data.episode import Episode
from robolearn.errors import InputError
from robolearn.training.online.playing import Play, Player
from robolearn.training.pool import PIPE, TRIES, _interrupts_held, _listen, _receive, _send


class Stage(Protocol):
    """Takes plays and gives episodes."""

    @property
    def pending(self) -> int:
        """Plays asked for and not yet given back."""

    @property
    def deaths(self) -> list[int]:
        """Exit codes of the processes that died and were replaced; negative is a signal."""

    def submit(self, play: Play) -> None:
        """Ask for an episode."""

    def ready(self, timeout: float = 0.0) -> list[tuple[Play, Episode]]:
        """Episodes that have ended since the last call; waits up to `timeout` seconds for the first."""

    def close(self) -> None:
        """Stop at once, whatever is still running."""


class Here:
    """Runs plays in this process, each when its episode is asked for."""

    def __init__(self) -> None:
        self.deaths: list[int] = []
        self._player = Player()
        self._waiting: deque[Play] = deque()

    @property
    def pending(self) -> int:
        return len(self._waiting)

    def submit(self, play: Play) -> None:
        self._waiting.append(play)

    def ready(self, timeout: float = 0.0) -> list[tuple[Play, Episode]]:
        if not self._waiting:
            return []
        play = self._waiting.popleft()
        return [(play, self._player(play))]

    def close(self) -> None:
        self._player.close()


class Collectors:
    """Runs plays in processes of their own. One that dies is replaced, and its plays are run again.

    Args:
        count: of the processes.

    Raises:
        InputError: of `ready`, for what an episode refuses.
        RuntimeError: of `ready`, for any other exception in an episode, and when `TRIES` processes died on
            one play.
    """

    def __init__(self, count: int) -> None:
        self.deaths: list[int] = []
        self._collectors = [_Collector() for _ in range(count)]

    @property
    def pending(self) -> int:
        return sum(len(collector.plays) for collector in self._collectors)

    def submit(self, play: Play) -> None:
        collector = min(self._collectors, key=lambda collector: len(collector.plays))
        collector.plays.append(play)
        collector.send(play)

    def ready(self, timeout: float = 0.0) -> list[tuple[Play, Episode]]:
        deadline = time.monotonic() + timeout
        finished: list[tuple[Play, Episode]] = []
        while True:
            patience = 0.0 if finished else max(deadline - time.monotonic(), 0.0)
            by_line = {collector.episodes: collector for collector in self._collectors}
            heard: list[Any] = wait(list(by_line), patience)
            for line in heard:
                collector = by_line[line]
                try:
                    episode, error = _receive(line)
                except (EOFError, OSError):
                    self._replace(collector)
                    continue
                play = collector.plays.popleft()
                if isinstance(error, InputError):
                    raise error
                if error is not None:
                    raise RuntimeError(f"an episode failed ({play.spec}):\n{error}")
                collector.tries = 0
                finished.append((play, episode))
            if not heard and (finished or time.monotonic() >= deadline):
                return finished

    def close(self) -> None:
        for collector in self._collectors:
            collector.close()
        self._collectors = []

    def _replace(self, dead: _Collector) -> None:
        dead.close()
        self.deaths.append(code := dead.process.exitcode or 0)
        if dead.plays and dead.tries + 1 >= TRIES:
            raise RuntimeError(
                f"{TRIES} collectors died on one episode, the last with exit code {code}: look for memory "
                f"running out, and for what `robolearn doctor` says ({dead.plays[0].spec})"
            )
        successor = _Collector(dead.tries + 1)
        self._collectors[self._collectors.index(dead)] = successor
        successor.plays.extend(dead.plays)
        for play in dead.plays:
            successor.send(play)


class _Collector:
    """A process, the lines to and from it, and the plays that it holds, in the order of their turn."""

    def __init__(self, tries: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        plays, self._letters = context.Pipe(duplex=False)
        self.episodes, episodes = context.Pipe(duplex=False)
        with contextlib.suppress(AttributeError, OSError):  # Linux: room for a whole short episode, or two
            fcntl.fcntl(episodes.fileno(), fcntl.F_SETPIPE_SZ, PIPE)
        self.process = context.Process(target=_collect, args=(plays, episodes), daemon=True)
        with _interrupts_held():
            self.process.start()
        plays.close()
        episodes.close()
        self.plays: deque[Play] = deque()
        self.tries = tries
        """How many died on the play that is its first."""

    def send(self, play: Play) -> None:
        with contextlib.suppress(OSError):  # it has died: whoever listens finds out
            self._letters.send(play)

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self._letters.close()
        self.episodes.close()


def _collect(plays: Connection, episodes: Connection) -> None:
    """What a process does until its parent closes the line or is gone."""
    import pickle

    import torch

    torch.set_num_threads(1)
    letters: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(plays, letters), daemon=True).start()
    player = Player()
    sending: threading.Thread | None = None
    while True:
        play = pickle.loads(letters.get())
        episode: Episode | None = None
        error: InputError | str | None = None
        try:
            episode = player(play)
        except InputError as refused:
            error = InputError(str(refused))
        except BaseException:
            error = traceback.format_exc()
        if sending is not None:
            sending.join()
        # in a thread, so that the next episode begins while the parent is busy and does not listen
        sending = threading.Thread(target=_send, args=(episodes, (episode, error)), daemon=True)
        sending.start()
