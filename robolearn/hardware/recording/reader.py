"""Reads a log: a directory, a single file, whole or killed, in the order of log time."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError, choose
from robolearn.hardware.recording.messages import Record, decode
from robolearn.hardware.recording.metadata import NAME, TopicEntry, read_metadata
from robolearn.hardware.recording.qos import in_numbers
from robolearn.hardware.recording.scan import LogFile, Loss, scan

LAST = 2**63 - 1
"""No log time is later [ns]."""


@dataclass(frozen=True)
class LogMessage:
    """A message of a log.

    Attributes:
        topic: "/joint_states".
        type: "sensor_msgs/msg/JointState".
        log_time: when it was received [ns].
        publish_time: when it was sent [ns].
        data: its CDR bytes.
    """

    topic: str
    type: str
    log_time: int
    publish_time: int
    data: bytes

    def record(self) -> Record:
        """What it says.

        Raises:
            InputError: its type carries no record, or its bytes are not such a message.
        """
        return decode(self.type, self.data)


class Log:
    """A log that is there to be read. Opening it reads where messages are, not the messages.

    Attributes:
        path: a directory, or one file of it.
        files: in order.
        topics: by name.
    """

    def __init__(self, path: Path) -> None:
        """Find the files and what is in them.

        Raises:
            InputError: there is no log at `path`.
            OSError: a file cannot be read.
        """
        self.path = path
        self.files = [scan(file) for file in log_files(path)]
        self._missing: list[Loss] = []
        self.metadata_counts: int | None = None
        """Messages that metadata.yaml knows of; None if there is none that says so."""
        if path.is_dir():
            self._compare_metadata()
        self.topics: dict[str, TopicEntry] = {}
        for file in self.files:
            for channel in file.channels.values():
                if channel.topic not in self.topics:
                    kind = file.schemas[channel.schema_id].name
                    about = channel.metadata
                    qos = in_numbers(about.get("offered_qos_profiles", ""))
                    entry = TopicEntry(channel.topic, kind, about.get("topic_type_hash", ""), qos)
                    self.topics[channel.topic] = entry

    @property
    def losses(self) -> list[Loss]:
        """What cannot be read. Damage inside a whole file shows when it is read."""
        return [*self._missing, *(loss for file in self.files for loss in file.losses)]

    @property
    def counts(self) -> dict[str, int]:
        """Messages of each topic."""
        counts = Counter(dict.fromkeys(self.topics, 0))
        for file in self.files:
            for block in file.blocks:
                for channel, times in block.times.items():
                    counts[file.channels[channel].topic] += len(times)
        return dict(counts)

    @property
    def is_whole(self) -> bool:
        """Nothing is missing, and metadata.yaml says what there is: rosbag2 can play it."""
        whole = all(file.whole for file in self.files) and not self.losses
        return whole and self.metadata_counts == sum(self.counts.values())

    def times(self, topic: str) -> NDArray[np.int64]:
        """Log times of a topic's messages, in order [ns]; raises what `written` raises."""
        return np.sort(self.written(topic))

    def written(self, topic: str) -> NDArray[np.int64]:
        """Log times of a topic's messages in the order in which they were written [ns].

        Raises:
            InputError: the log has no such topic.
        """
        choose("topic of the log", topic, self.topics)
        parts = [
            times
            for file in self.files
            for block in file.blocks
            for channel, times in block.times.items()
            if file.channels[channel].topic == topic
        ]
        return np.concatenate([*parts, np.empty(0, np.int64)])

    def messages(
        self, topics: Collection[str] | None = None, start: int = 0, end: int = LAST
    ) -> Iterator[LogMessage]:
        """All messages, or those of some topics, in the order of log time.

        Messages of one time come in the order in which they were written.

        Args:
            topics: None takes all.
            start, end: of the log time wanted, both included [ns].

        Raises:
            InputError: the log has no such topic.
            OSError: a file cannot be read.
        """
        for topic in topics or ():
            choose("topic of the log", topic, self.topics)
        wanted = set(self.topics if topics is None else topics)
        blocks = []
        for number, file in enumerate(self.files):
            channels = {key for key, channel in file.channels.items() if channel.topic in wanted}
            for place, block in enumerate(file.blocks):
                if channels & block.times.keys() and block.start <= end and start <= block.end:
                    blocks.append((block.start, number, place))
        blocks.sort()
        # Chunks may overlap in time: a message is due once no chunk that is still closed can begin before it.
        open_messages: list[tuple[int, int, int, int, LogMessage]] = []
        for begins, number, place in blocks:
            while open_messages and open_messages[0][0] < begins:
                yield heapq.heappop(open_messages)[-1]
            for i, message in enumerate(_read(self.files[number], place, wanted)):
                if start <= message.log_time <= end:
                    heapq.heappush(open_messages, (message.log_time, number, place, i, message))
        while open_messages:
            yield heapq.heappop(open_messages)[-1]

    def _compare_metadata(self) -> None:
        if not (self.path / NAME).exists():
            return
        try:
            metadata = read_metadata(self.path)
            names = [Path(name).name for name in metadata["relative_file_paths"]]
            self.metadata_counts = int(metadata["message_count"])
        except (InputError, KeyError, TypeError, ValueError) as error:
            self._missing.append(Loss(NAME, 0, f"cannot be read: {error}"))
            return
        there = {file.path.name for file in self.files}
        self._missing += [Loss(name, 0, "the file is missing") for name in names if name not in there]


def log_files(path: Path) -> list[Path]:
    """The MCAP files of a log, in the order of the numbers in their names.

    Raises:
        InputError: there is none.
    """
    if path.is_file():
        return [path]
    files = [file for file in path.glob("*.mcap") if not file.name.startswith(".")]
    if not files:
        what = "holds no .mcap file" if path.is_dir() else "does not exist"
        raise InputError(f"log {path} {what}; it must be a rosbag2 directory of MCAP files, or one such file")
    return sorted(files, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _read(file: LogFile, place: int, wanted: set[str]) -> Iterator[LogMessage]:
    for raw in file.read(file.blocks[place]):
        channel = file.channels.get(raw.channel)
        if channel is not None and channel.topic in wanted:
            kind = file.schemas[channel.schema_id].name
            yield LogMessage(channel.topic, kind, raw.log_time, raw.publish_time, raw.data)
