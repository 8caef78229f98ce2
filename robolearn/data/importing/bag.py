"""Bags of both storage formats of rosbag2, read alike: MCAP by our own reader, sqlite3 by Python's.

A recorder that was killed leaves no metadata.yaml beside its sqlite3 files, or one that is wrong; it is not
needed. SQLite itself makes good what a kill left undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError, choose
from robolearn.hardware.recording.metadata import TopicEntry
from robolearn.hardware.recording.reader import LAST, Log, LogMessage
from robolearn.hardware.recording.scan import Loss

JUMP = 100_000_000
"""A topic's log times that go back by more are a jump of the recorder's clock [ns]; less is disorder."""

Times = NDArray[np.int64]


class Bag(Protocol):
    """What is common to both formats; see `Log`."""

    path: Path
    topics: dict[str, TopicEntry]

    @property
    def losses(self) -> list[Loss]: ...

    @property
    def counts(self) -> dict[str, int]: ...

    def times(self, topic: str) -> Times: ...

    def written(self, topic: str) -> Times: ...

    def messages(
        self, topics: Collection[str] | None = None, start: int = 0, end: int = LAST
    ) -> Iterator[LogMessage]: ...


def open_bag(path: Path) -> Bag:
    """Open a bag: a directory of .mcap or .db3 files, or one such file.

    Raises:
        InputError: there is none, or it is compressed as a whole.
        OSError: it cannot be read.
    """
    if path.suffix == ".db3" or (path.is_dir() and any(path.glob("*.db3"))):
        return SqliteBag(path)
    if path.suffix == ".zstd" or (path.is_dir() and any(path.glob("*.zstd"))):
        raise InputError(f"the files of bag {path} are compressed: `ros2 bag convert` unpacks them")
    return Log(path)


class SqliteBag:
    """A bag of sqlite3 files. Opening it reads where messages are, not the messages.

    Attributes:
        path: a directory, or one file of it.
        topics: by name.

    Raises:
        InputError: there is no such file, or none that is a bag's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = [path] if path.is_file() else sorted(path.glob("*.db3"))
        if not self._files:
            raise InputError(
                f"bag {path} does not exist; it must be a directory of .db3 files, or one of them"
            )
        self.topics: dict[str, TopicEntry] = {}
        self._losses: list[Loss] = []
        names: list[str] = []
        parts = []
        for number, file in enumerate(self._files):
            known, rows = self._scan(file)
            index = {identity: len(names) + i for i, identity in enumerate(known)}
            names += known.values()
            rows = rows[np.isin(rows[:, 1], list(index))]
            topic = np.array([index[identity] for identity in rows[:, 1].tolist()], np.int64)
            parts.append(np.column_stack([np.full(len(rows), number), rows[:, 0], topic, rows[:, 2]]))
        self._names = names
        # file, id of the message, topic, log time; in the order in which they were written
        self._rows = np.concatenate([*parts, np.empty((0, 4), np.int64)])

    @property
    def losses(self) -> list[Loss]:
        """What cannot be read."""
        return list(self._losses)

    @property
    def counts(self) -> dict[str, int]:
        """Messages of each topic."""
        return {topic: len(self.written(topic)) for topic in self.topics}

    def times(self, topic: str) -> Times:
        """Log times of a topic's messages, in order [ns]; raises what `written` raises."""
        return np.sort(self.written(topic))

    def written(self, topic: str) -> Times:
        """Log times of a topic's messages in the order in which they were written [ns].

        Raises:
            InputError: the bag has no such topic.
        """
        choose("topic of the log", topic, self.topics)
        mine = [i for i, name in enumerate(self._names) if name == topic]
        return self._rows[np.isin(self._rows[:, 2], mine), 3]

    def messages(
        self, topics: Collection[str] | None = None, start: int = 0, end: int = LAST
    ) -> Iterator[LogMessage]:
        """Messages in the order of log time, as `Log.messages` gives them.

        Raises:
            InputError: the bag has no such topic.
        """
        for topic in topics or ():
            choose("topic of the log", topic, self.topics)
        wanted = set(self.topics if topics is None else topics)
        mine = [i for i, name in enumerate(self._names) if name in wanted]
        rows = self._rows[np.isin(self._rows[:, 2], mine)]
        rows = rows[(rows[:, 3] >= start) & (rows[:, 3] <= end)]
        rows = rows[np.argsort(rows[:, 3], kind="stable")]
        open_files = [_connect(file) for file in self._files]
        try:
            for number, identity, topic, time in rows.tolist():
                name = self._names[topic]
                try:
                    found = open_files[number].execute("SELECT data FROM messages WHERE id = ?", (identity,))
                    (data,) = found.fetchone()
                except (sqlite3.Error, TypeError) as error:
                    self._lose(self._files[number], f"a message of {name} is damaged: {error}")
                    continue
                yield LogMessage(name, self.topics[name].type, time, time, data)
        finally:
            for connection in open_files:
                connection.close()

    def _scan(self, file: Path) -> tuple[dict[int, str], NDArray[np.int64]]:
        """Topics by their number in the file, and a row of id, topic and log time for each message."""
        known: dict[int, str] = {}
        rows: list[tuple[int, int, int]] = []
        try:
            connection = _connect(file)
            try:
                for identity, name, kind, form in connection.execute(
                    "SELECT id, name, type, serialization_format FROM topics ORDER BY id"
                ):
                    if form == "cdr":
                        known[identity] = name
                        self.topics.setdefault(name, TopicEntry(name, kind, "", ""))
                    else:
                        self._lose(file, f"topic {name} is serialised as {form!r}, not as 'cdr'")
                rows.extend(connection.execute("SELECT id, topic_id, timestamp FROM messages ORDER BY id"))
            finally:
                connection.close()
        except sqlite3.Error as error:
            if not known:
                raise InputError(f"{file} is no sqlite3 bag of ROS 2, or is damaged: {error}") from error
            self._lose(file, f"the file is damaged: {error}")
        return known, np.array(rows, np.int64).reshape(-1, 3)

    def _lose(self, file: Path, reason: str) -> None:
        loss = Loss(file.name, 0, reason)
        if loss not in self._losses:
            self._losses.append(loss)


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)


def clock_jumps(bag: Bag) -> list[tuple[int, int]]:
    """Spans of log time that the recorder's clock went through twice, being set back: start and end [ns].

    What happened in such a span cannot be told apart from what happened when the clock came there again.
    """
    spans = []
    for topic in bag.topics:
        times = bag.written(topic)
        if len(times) < 2:
            continue
        latest = np.maximum.accumulate(times)
        back = np.concatenate([[False], latest - times > JUMP, [False]])
        edges = np.flatnonzero(np.diff(back.astype(np.int8)))
        for first, stop in zip(edges[::2], edges[1::2], strict=True):
            spans.append((int(times[first:stop].min()), int(latest[stop - 1])))
    return _merged(sorted(spans))


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans, in order of their starts, with those that overlap made one."""
    result: list[tuple[int, int]] = []
    for start, end in spans:
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result
