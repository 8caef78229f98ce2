"""Puts the episodes of logs into a store; what is there already is not read again.

An episode, or all the pieces of one, is committed as a whole, some seconds' worth of them together. Whoever
interrupts an import and starts it again goes on where it was.

What is in a store stays as it is. So an episode that was imported while its log was still being written, or
from half of a file, is not brought a second time, longer: that would be two accounts of one thing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from robolearn.data.importing.plan import Plan
from robolearn.data.importing.pool import Read, read_all
from robolearn.data.importing.read import Report
from robolearn.data.importing.recipe import Job
from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.hardware.wire import SECOND

COMMIT_TIME, COMMIT_BYTES = 5.0, 2**28
"""What was read in so many seconds, or so many bytes of it, is committed together."""

ADDED, THERE, LEFT = "added", "there already", "left out"
STATES = (ADDED, THERE, LEFT)

Ends = dict[str, int]
"""When episodes of the store ended [ns], by `Job.beginning`."""


@dataclass
class Imported:
    """What an import did.

    Attributes:
        reports: of every episode, with one of `STATES`.
        refused: logs that could not be read at all, and why.
        notes: of each log that has any, by its path.
    """

    reports: list[tuple[str, Report]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def count(self, state: str) -> int:
        """Episodes in a state."""
        return sum(found == state for found, _ in self.reports)

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {
            **{state.replace(" ", "_"): self.count(state) for state in STATES},
            "refused_logs": self.refused,
            "notes": self.notes,
            "episodes": [{"state": state, **asdict(report)} for state, report in self.reports],
        }


def import_logs(
    logs: Sequence[Path],
    to: Path,
    plan: Callable[[Path], Plan],
    workers: int,
    tell: Callable[[str, Report], None] = lambda state, report: None,
) -> Imported:
    """Import logs.

    Args:
        logs: directories or files.
        to: the store, made if there is none and something to put into it.
        plan: says what a log holds.
        workers: processes that read.
        tell: called with every episode's state and report, as soon as it is committed.

    Raises:
        InputError: `to` is no store, or another process is adding to it.
        OSError: the disk refuses; what was told is in the store, and no more.
    """
    done = Imported()
    jobs: list[Job] = []
    store = Store.open(to, write=True) if to.exists() and (not to.is_dir() or any(to.iterdir())) else None

    def note(state: str, report: Report) -> None:
        done.reports.append((state, report))
        tell(state, report)

    try:
        qualities = [] if store is None else [row.quality for row in store.episodes()]
        known = {quality.get("import") for quality in qualities}
        ends = Ends()
        for quality in qualities:
            if "extent" in quality:
                ends.update([quality["extent"]])
        for log in logs:
            try:
                found = plan(log)
            except InputError as error:
                done.refused[str(log)] = str(error)
                continue
            if found.notes:
                done.notes[str(log)] = found.notes
            for report in found.refused:
                note(LEFT, report)
            for job in found.jobs:
                if job.key in known:
                    note(THERE, _known(job))
                elif why := _other_end(job, ends):
                    note(LEFT, Report(job.origin, job.span.name, refused=why))
                else:
                    jobs.append(job)
        for batch in _batches(read_all(jobs, workers)):
            if store is None and any(episodes for _, episodes, _ in batch):
                store = Store.create(to)
            for state, report in _add(store, batch, ends):
                note(state, report)
    finally:
        if store is not None:
            store.close()
    return done


def _known(job: Job) -> Report:
    outcome = job.span.outcome
    return Report(job.origin, job.span.name, success=bool(outcome["success"]), reason=str(outcome["reason"]))


def _batches(read: Iterator[Read]) -> Iterator[list[Read]]:
    batch: list[Read] = []
    since, size = time.monotonic(), 0
    for entry in read:
        batch.append(entry)
        size += sum(array.nbytes for episode in entry[1] for array in episode.arrays().values())
        if time.monotonic() - since >= COMMIT_TIME or size >= COMMIT_BYTES:
            yield batch
            batch, since, size = [], time.monotonic(), 0
    if batch:
        yield batch


def _other_end(job: Job, ends: Ends) -> str:
    """Why an episode is left out that is in the store up to another moment; "" if it is not."""
    end = ends.get(job.beginning, job.span.end)
    if end == job.span.end:
        return ""
    apart = (job.span.end - end) / SECOND
    there = f"{abs(apart):.3f} s {'later' if apart > 0 else 'earlier'} here"
    return (
        f"it is in the store already, and ends {there}: one of the two is from a log that was not complete. "
        "A store keeps what it has; bring the whole log into a new one"
    )


def _add(store: Store | None, batch: list[Read], ends: Ends) -> list[tuple[str, Report]]:
    """Commit what was read; what became of each episode."""
    told: list[tuple[str, Report]] = []
    if store is None:
        return [(LEFT, report) for _, _, report in batch]
    with store.group():
        for job, episodes, report in batch:
            if not episodes:
                told.append((LEFT, report))
                continue
            if why := _other_end(job, ends):  # of another log of this very import
                told.append((LEFT, Report(report.log, report.episode, refused=why)))
                continue
            try:
                new = [_put(store, job, episode, report) for episode in episodes]
            except InputError as error:  # of another layout: all of its pieces are, and none was written
                told.append((LEFT, Report(report.log, report.episode, refused=str(error))))
            else:
                ends[job.beginning] = job.span.end
                told.append((ADDED if any(new) else THERE, report))
    return told


def _put(store: Store, job: Job, episode: Any, report: Report) -> bool:
    return store.add(
        episode,
        origin=job.origin,
        policy=job.span.policy,
        recorded=episode.info["began"] / SECOND,
        calibration=job.span.calibration,
        quality={
            **report.counts,
            "parts": report.parts,
            "import": job.key,
            "extent": [job.beginning, job.span.end],
        },
    )
