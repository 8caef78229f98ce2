"""What a training writes beside its checkpoints: metrics, the replay's episodes, snapshots of the policy."""

from __future__ import annotations

import math
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from robolearn.data.episode import Episode
from robolearn.errors import InputError
from robolearn.training.run import Run
from robolearn.training.scribe import Say, Scribe

BACKLOG = 32  # jobs of the scribe that wait for a slow disk; beyond it episodes are not kept for resuming


class Recorder:
    """Writes the course of a training to metrics.jsonl and for TensorBoard."""

    def __init__(self, run: Run, scribe: Scribe, first_step: int = 0) -> None:
        self._run, self._scribe, self._first_step = run, scribe, first_step
        self._tensorboard: Any = None
        self._sums: Counter[str] = Counter()
        self._count = 0
        self._losses: dict[str, float] = {}

    def add(self, losses: dict[str, float]) -> None:
        """Note the losses of one gradient step."""
        self._sums.update(losses)
        self._count += 1

    def write(self, step: int, entry: dict[str, Any]) -> None:
        """Write `entry` and the mean losses since the last time.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        if self._count:  # otherwise those of the last time are the latest that there are
            self._losses = {name: total / self._count for name, total in self._sums.items()}
            self._sums.clear()
            self._count = 0
        losses = self._losses
        if not all(map(math.isfinite, losses.values())):
            raise FloatingPointError(
                f"the loss is not finite at step {step} ({losses}): learning has diverged; "
                "try a smaller --learning.learning-rate"
            )
        entry = {**entry, "losses": losses}
        self._scribe.write("metrics", lambda: self._run.append_metrics(entry))
        scalars = {name: value for name, value in entry.items() if isinstance(value, int | float)}
        scalars |= {f"loss/{name}": value for name, value in losses.items()}
        self._scribe.write("TensorBoard scalars", lambda: self._show(step, scalars))

    def _show(self, step: int, scalars: dict[str, float]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        try:
            if self._tensorboard is None:
                self._tensorboard = SummaryWriter(str(self._run.path), purge_step=self._first_step)
            for name, value in scalars.items():
                self._tensorboard.add_scalar(name, value, step)
            self._tensorboard.flush()
        except OSError:
            self._tensorboard = None  # its thread has died of the error; the next call begins another file
            raise

    def finish(self) -> None:
        """Close the files, soon."""
        if self._tensorboard is not None:
            self._scribe.write("TensorBoard scalars", self._tensorboard.close)


class EpisodeShelf:
    """Episodes on disk, as many as the replay holds, so that a resumed run learns on from all of them.

    Each is a file of `Episode.save`, named by its number in the run.
    """

    def __init__(self, directory: Path, capacity: int, scribe: Scribe, say: Say) -> None:
        self._directory, self._capacity = directory, capacity
        self._scribe, self._say = scribe, say
        self._kept: deque[tuple[Path, int]] = deque()
        self._steps = 0
        self._skipped = 0

    def load(self) -> Iterator[tuple[int, Episode]]:
        """The episodes in the order of their numbers; damaged ones are named and left out."""
        for path in sorted(self._directory.glob("*.npz")):
            try:
                episode = Episode.load(path)
            except InputError as error:
                self._say(str(error))
                continue
            self._keep(path, len(episode))
            yield int(path.stem), episode

    def add(self, number: int, episode: Episode) -> None:
        """Keep an episode; where the disk is too slow for that, say so once and leave some out."""
        if self._scribe.backlog > BACKLOG:
            if not self._skipped:
                self._say("the disk is too slow for the episodes: a resumed run would miss some of them")
            self._skipped += 1
            return
        path = self._directory / f"{number:07d}.npz"
        self._scribe.write("episodes", lambda: self._save(path, episode))
        self._keep(path, len(episode))

    def _save(self, path: Path, episode: Episode) -> None:
        path.parent.mkdir(exist_ok=True)
        episode.save(path)

    def _keep(self, path: Path, steps: int) -> None:
        self._kept.append((path, steps))
        self._steps += steps
        while self._steps - self._kept[0][1] >= self._capacity:
            oldest, gone = self._kept.popleft()
            self._steps -= gone
            self._scribe.write("episodes", lambda path=oldest: path.unlink(missing_ok=True))  # type: ignore[misc]


class Snapshots:
    """The policy as collectors get it: bundles, each kept as long as an episode needs it."""

    def __init__(self, directory: Path, scribe: Scribe) -> None:
        self._directory, self._scribe = directory, scribe
        self._users: Counter[str] = Counter()
        self._published: list[str] = []
        self.latest: str | None = None
        """The newest that is complete."""

    def publish(self, number: int, save: Callable[[Path], None]) -> None:
        """Write a snapshot by `save(path)` in the background; from then on it is the latest."""
        path = self._directory / f"{number:07d}"

        def job() -> None:
            save(path)
            self.latest = str(path)

        self._published.append(str(path))
        self._scribe.write("snapshots", job)

    def taken(self, path: str | None) -> None:
        """An episode that uses `path` was asked for."""
        if path is not None:
            self._users[path] += 1

    def returned(self, path: str | None) -> None:
        """Such an episode has come."""
        if path is not None:
            self._users[path] -= 1
        if self.latest is None:
            return
        newest = self._published.index(self.latest)
        for old in self._published[:newest]:
            if not self._users[old]:
                self._published.remove(old)
                self._scribe.write("snapshots", lambda path=old: shutil.rmtree(path, ignore_errors=True))  # type: ignore[misc]
