"""Reads episodes out of logs: a job goes in, episodes and a report of what was wrong come out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from robolearn.data.episode import Episode, Outcome
from robolearn.data.importing.bag import Bag, open_bag
from robolearn.data.importing.events import events
from robolearn.data.importing.recipe import Job
from robolearn.data.importing.replay import Played, play
from robolearn.data.importing.steps import Part, parts_of
from robolearn.data.importing.ticks import Ticks, interventions, ticks_of
from robolearn.errors import InputError
from robolearn.hardware.wire import SECOND

MEASURED = ("peak_force", "mean_force", "drops", "jams")
"""What an end mark may carry of an episode beside its verdict."""


@dataclass(frozen=True)
class Report:
    """What became of an episode of a log.

    Attributes:
        log, episode: their names.
        steps: of all its parts.
        parts: pieces that it was cut into; 0 if nothing of it can be used.
        success, reason: how it ended.
        refused: why nothing of it can be used; "" if something can.
        counts: what was wrong, in words.
    """

    log: str
    episode: str
    steps: int = 0
    parts: int = 0
    success: bool = False
    reason: str = ""
    refused: str = ""
    counts: dict[str, int] = field(default_factory=dict)


def read_episode(job: Job) -> tuple[list[Episode], Report]:
    """Read one episode.

    Returns:
        it, or the pieces that holes in the log cut it into, in order; none where nothing can be used.

    Raises:
        OSError: the log cannot be read.
    """
    span, recipe = job.span, job.recipe
    counts: Counter[str] = Counter()
    try:
        played = play(events(_bag(job.path), job, counts), recipe, span)
    except InputError as error:
        return [], _report(job, [], counts, str(error))
    ticks = ticks_of(played, recipe)
    begin, end = span.begin - recipe.offset, span.end - recipe.offset
    parts = list(parts_of(played, recipe, ticks, begin, end, counts))
    counts.update(played.counts)
    if recipe.labelled and parts and not any(part.live.any() for part in parts):
        return [], _report(job, [], counts, "nothing was sent to the arm: its authority was shadow")
    ticks = ticks.between(begin, end)
    known = interventions(played, ticks)
    episodes = [_episode(job, part, i, len(parts), ticks, known) for i, part in enumerate(parts)]
    if not episodes:
        return [], _report(job, [], counts, _why_nothing(played, counts))
    try:
        for episode in episodes:
            episode.validate()
    except InputError as error:
        return [], _report(job, [], counts, str(error))
    return episodes, _report(job, episodes, counts, "")


def _why_nothing(played: Played, counts: Counter[str]) -> str:
    common = ", ".join(f"{words} ({count} times)" for words, count in counts.most_common(3))
    why = f": {common}" if common else ""
    if len(played.seen) < 2:
        return f"no two observations can be made of it{why}"
    if not played.filtered:
        return f"the log has no torques of its time{why}"
    return f"no action lies between its observations{why}"


def _report(job: Job, episodes: list[Episode], counts: Counter[str], refused: str) -> Report:
    outcome = job.span.outcome
    return Report(
        log=job.origin,
        episode=job.span.name,
        steps=sum(len(episode) for episode in episodes),
        parts=len(episodes),
        success=bool(outcome["success"]),
        reason=str(outcome["reason"]),
        refused=refused,
        counts={words: count for words, count in sorted(counts.items()) if count},
    )


def _episode(job: Job, part: Part, number: int, parts: int, ticks: Ticks, known: dict[str, int]) -> Episode:
    span, recipe = job.span, job.recipe
    steps = len(part.requested)
    moments = np.array([seen.moment for seen in part.seen])
    stamps = (moments - moments[0]) / SECOND
    success = bool(span.outcome["success"]) and part.last
    reward = np.zeros(steps)
    reward[-1] = float(success)
    whole = part.last and parts == 1
    measured = {name: span.outcome.get(name) for name in MEASURED} if whole else {}
    for name in ("drops", "jams"):  # counts, which JSON may give as 1.0
        if (count := measured.get(name)) is not None:
            measured[name] = round(count)
    return Episode(
        contract=recipe.contract,
        observations={
            name: np.stack([seen.values[name] for seen in part.seen]) for name in part.seen[0].values
        },
        requested=part.requested,
        filtered=part.filtered,
        sent=part.sent,
        stamps=stamps,
        reward=reward,
        reward_terms={},
        source=part.source,
        outcome=Outcome(
            success=success,
            reason=str(span.outcome["reason"]) if part.last else "cut",
            steps=steps,
            seconds=float(span.outcome.get("seconds", stamps[-1]) if whole else stamps[-1]),
            **measured,
            interventions=known if whole else {},
            altered_ticks=int(ticks.altered.sum()) if whole else None,
            ticks=len(ticks.now) if whole else None,
            jerk=ticks.jerk if whole else None,
        ),
        task=span.task,
        config={},
        seed=span.seed or 0,
        info={
            "episode": span.name,
            "part": number,
            "parts": parts,
            "began": int(moments[0]),
            "judged_by": span.judged_by,
            "notes": span.notes,
            "torque_labels": recipe.labelled,
            "altered": np.flatnonzero(part.altered).tolist(),
            "cameras": span.setup.get("cameras", []),
        },
        versions=dict(span.versions),
    )


@lru_cache(maxsize=4)
def _opened(path: Path, size: int, time: int) -> Bag:
    return open_bag(path)


def _bag(path: Path) -> Bag:
    """A log, opened once for all of its episodes that a process reads, unless it has changed."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    states = [file.stat() for file in files]
    return _opened(path, sum(s.st_size for s in states), max((s.st_mtime_ns for s in states), default=0))
