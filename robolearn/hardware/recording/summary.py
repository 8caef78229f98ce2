"""What is in a log, in figures: topics, gaps, episodes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError
from robolearn.hardware.recording.messages import STRING
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.wire import SECOND, EpisodeMark

GAP = 5.0
"""A gap is an interval longer than this many usual (median) ones."""


@dataclass(frozen=True)
class TopicSummary:
    """A topic: number of messages, usual rate [Hz], number of gaps, longest interval [s]; 0 where unknown."""

    name: str
    type: str
    messages: int
    rate: float
    gaps: int
    longest: float


@dataclass(frozen=True)
class EpisodeSummary:
    """An episode: beginning after the log's [s], duration [s] (None without an end), what its marks say."""

    name: str
    begin: float
    duration: float | None
    body: dict[str, object]


@dataclass(frozen=True)
class LogSummary:
    """A log: first log time [ns], duration [s], size [bytes], and its parts."""

    path: str
    whole: bool
    files: int
    size: int
    start: int
    duration: float
    messages: int
    topics: list[TopicSummary]
    episodes: list[EpisodeSummary]
    losses: list[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return asdict(self)


def summarize(log: Log) -> LogSummary:
    """Count what is in a log; of the messages it reads the episodes' marks only."""
    times = {topic: log.times(topic) for topic in log.topics}
    filled = [values for values in times.values() if len(values)]
    start = min((int(values[0]) for values in filled), default=0)
    end = max((int(values[-1]) for values in filled), default=0)
    topics = [summarize_topic(name, entry.type, times[name]) for name, entry in sorted(log.topics.items())]
    return LogSummary(
        path=str(log.path),
        whole=log.is_whole,
        files=len(log.files),
        size=sum(file.path.stat().st_size for file in log.files),
        start=start,
        duration=(end - start) / SECOND,
        messages=sum(log.counts.values()),
        topics=topics,
        episodes=_episodes(log, start),
        losses=[_say(loss.file, loss.bytes, loss.reason) for loss in log.losses],
    )


def summarize_topic(name: str, type: str, times: NDArray[np.int64]) -> TopicSummary:
    """A topic of these log times, in order [ns]."""
    steps = np.diff(times) / SECOND
    usual = float(np.median(steps)) if len(steps) else 0.0
    gaps = int(np.sum(steps > GAP * usual)) if usual > 0.0 else 0
    rate = 1.0 / usual if usual > 0.0 else 0.0
    longest = float(steps.max()) if len(steps) else 0.0
    return TopicSummary(name, type, len(times), rate, gaps, longest)


def _say(file: str, size: int, reason: str) -> str:
    return f"{file}: {reason}" + (f" ({size} bytes)" if size else "")


def _episodes(log: Log, start: int) -> list[EpisodeSummary]:
    begun: dict[str, tuple[int, EpisodeMark]] = {}
    done: dict[str, EpisodeSummary] = {}
    strings = [name for name, entry in log.topics.items() if entry.type == STRING]
    for message in log.messages(strings):
        try:
            mark = message.record()
        except InputError:  # a string that is no mark
            continue
        assert isinstance(mark, EpisodeMark)
        if mark.kind == "begin":
            begun[mark.episode] = (message.log_time, mark)
            begin, duration, body = message.log_time, None, mark.body
        else:
            begin, first = begun.get(mark.episode, (message.log_time, mark))
            duration, body = (message.log_time - begin) / SECOND, {**first.body, **mark.body}
        done[mark.episode] = EpisodeSummary(mark.episode, (begin - start) / SECOND, duration, body)
    return list(done.values())
