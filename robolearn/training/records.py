"""What a training writes beside its checkpoints: metrics, and snapshots of the policy for the collectors."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robolearn.policies.visuomotor import Visuomotor
from robolearn.training.run import Run
from robolearn.training.scribe import Scribe


class Recorder:
    """Writes the course of a training to metrics.jsonl and for TensorBoard."""

    def __init__(self, run: Run, scribe: Scribe, first_step: int = 0) -> None:
        self._run, self._scribe, self._first_step = run, scribe, first_step
        self._tensorboard: Any = None
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._losses: dict[str, float] = {}

    def add(self, losses: dict[str, float]) -> None:
        """Note the losses of one gradient step, not all of which need to be there every time."""
        self._sums.update(losses)
        self._counts.update(losses.keys())

    def write(self, step: int, entry: dict[str, Any]) -> None:
        """Write `entry` and the mean losses since the last time."""
        if self._counts:  # otherwise those of the last time are the latest that there are
            self._losses = {name: total / self._counts[name] for name, total in self._sums.items()}
            self._sums.clear()
            self._counts.clear()
        losses = self._losses
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


@dataclass(frozen=True)
class Snapshot:
    """A policy as it was after some gradient steps; its weights do not change."""

    steps: int
    policy: Visuomotor


class Snapshots:
    """The policy as collectors get it: bundles, each kept as long as an episode needs it.

    Args:
        directory: where they lie.
        scribe: writes them.
        save: writes a policy as a bundle.
    """

    def __init__(self, directory: Path, scribe: Scribe, save: Callable[[Path, Visuomotor], None]) -> None:
        self._directory, self._scribe, self._save = directory, scribe, save
        self._users: Counter[str] = Counter()
        self._published: dict[str, Snapshot] = {}
        self.latest: str | None = None
        """The newest that is complete."""

    def __getitem__(self, path: str) -> Snapshot:
        """What was published as `path`, as long as an episode that uses it has not returned."""
        return self._published[path]

    def publish(self, steps: int, policy: Visuomotor) -> None:
        """Write a snapshot in the background; from then on it is the latest.

        One that cannot be written is forgotten: nobody can use it.
        """
        path = self._directory / f"{steps:07d}"

        def job() -> None:
            self._save(path, policy)
            self._published[str(path)] = Snapshot(steps, policy)
            self.latest = str(path)

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
        for old in itertools.takewhile(lambda path: path != self.latest, list(self._published)):
            if not self._users[old]:
                del self._published[old]
                self._scribe.write("snapshots", lambda path=old: shutil.rmtree(path, ignore_errors=True))  # type: ignore[misc]
