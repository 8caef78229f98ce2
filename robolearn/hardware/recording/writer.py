"""Writes a log: rosbag2 MCAP files, of which a kill at any time leaves all but the last moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

from mcap.writer import CompressionType, Writer

from robolearn.errors import InputError
from robolearn.hardware.recording.definitions import definition
from robolearn.hardware.recording.metadata import FileEntry, TopicEntry, write_metadata
from robolearn.hardware.recording.sink import Sink
from robolearn.hardware.recording.topics import Topic
from robolearn.hardware.wire import SECOND

CHUNK_BYTES = 2**22
"""Size at which a chunk goes to the disk before its time. Chunks are not compressed: raw pictures of a real
camera shrink by little, compressed ones and joint states' bulk not at all, and the robot's cores have better
things to do."""

_RECORD_BYTES = 31  # of a message record in MCAP, beside the message


class Recorder:
    """A log that is being written. It has no clock and no thread: log times tell it when to flush.

    Methods that touch the disk raise OSError when it refuses. Nothing that was taken is lost by that: it
    waits in memory, and the next `flush` tries again. `metadata.yaml` is there from the start and is written
    anew, in one go, whenever a file is begun and at the end.

    Attributes:
        directory: of the log; its files are NAME_0.mcap, NAME_1.mcap, ... after its name.
        topics: by name.
        counts: messages taken, by topic.
    """

    def __init__(
        self,
        directory: Path,
        topics: Sequence[Topic],
        split_bytes: int = 1_000_000_000,
        flush_seconds: float = 0.5,
    ) -> None:
        """Make the directory and begin the first file.

        Args:
            directory: must not be there yet.
            topics: all that will be written.
            split_bytes: size at which a new file is begun.
            flush_seconds: log time after which messages are handed to the operating system [s].

        Raises:
            InputError: the directory is there already, a topic stands there twice or its type is unknown.
            OSError: the disk refuses.
        """
        self.directory = directory.resolve()
        self.topics = {topic.name: topic for topic in topics}
        if len(self.topics) < len(topics):
            raise InputError(f"topics to record are {[t.name for t in topics]}; each must stand there once")
        self.counts: Counter[str] = Counter()
        self._entries = [TopicEntry(t.name, t.type, definition(t.type).hash, t.qos.text) for t in topics]
        self._split_bytes = split_bytes
        self._flush_period = round(flush_seconds * SECOND)
        self._flushed_at: int | None = None
        self._waiting: Counter[str] = Counter()
        self._files: list[FileEntry] = []
        self._finished: list[Sink] = []
        self._stale = True  # metadata.yaml
        self._ended = False
        try:
            self.directory.mkdir(parents=True)
        except FileExistsError as error:
            raise InputError(f"a log's directory must be a new one; {directory} is there already") from error
        self._begin()
        self.flush()

    @property
    def waiting(self) -> dict[str, int]:
        """Messages taken of which the disk may not have every byte, by topic."""
        return dict(self._waiting)

    def check(self, topic: str, log_time: int, publish_time: int) -> None:
        """Raise the InputError that `write` would."""
        if topic not in self.topics:
            raise InputError(f"topic {topic!r} is not recorded; those are {', '.join(self.topics)}")
        if not (0 <= log_time < 2**63 and 0 <= publish_time < 2**63):
            raise InputError(
                f"times of a message are {log_time} and {publish_time} ns; they must be from 0 up"
            )

    def write(self, topic: str, log_time: int, publish_time: int, data: bytes) -> None:
        """Take a message.

        Args:
            topic: its name.
            log_time: when it was received [ns].
            publish_time: when it was sent [ns].
            data: its CDR bytes.

        Raises:
            InputError: the log has no such topic, or a time is none.
            OSError: the disk refuses; the message is taken.
        """
        self.check(topic, log_time, publish_time)
        self._writer.add_message(self._channels[topic], log_time, data, publish_time, self.counts[topic])
        self.counts[topic] += 1
        self._waiting[topic] += 1
        self._files[-1].count(log_time)
        self._bytes += len(data) + _RECORD_BYTES
        if self._bytes >= self._split_bytes:
            self._split()
        if self._flushed_at is None:
            self._flushed_at = log_time
        elif abs(log_time - self._flushed_at) >= self._flush_period:  # a clock may jump back
            self._flushed_at = log_time
            self.flush()
        elif self._sink.behind:  # a chunk is full
            self._drain()

    def flush(self) -> None:
        """Hand everything taken to the operating system.

        Raises:
            OSError: the disk refuses; call it again.
        """
        self._writer.flush()
        self._settle()

    def sync(self) -> None:
        """Bring to the disk what was flushed, against power cuts.

        Raises:
            OSError: the disk refuses.
        """
        self._sink.sync()

    def close(self) -> None:
        """End the log: index, summary and metadata.yaml.

        Raises:
            OSError: the disk refuses; call it again, or `abandon`.
        """
        if not self._ended:
            self._writer.finish()
            self._finished.append(self._sink)
            self._ended = self._stale = True
        self._settle()

    def abandon(self) -> None:
        """Let go of the files as they are; what waits is lost, and the log wants recovery."""
        for sink in (*self._finished, self._sink):
            sink.close()

    def _begin(self) -> None:
        """Begin a file. On OSError everything is as it was."""
        name = f"{self.directory.name}_{len(self._files)}.mcap"
        self._sink = Sink(self.directory / name)
        self._files.append(FileEntry(name))
        self._bytes = 0
        self._stale = True
        self._writer = Writer(
            cast(IO[Any], self._sink), chunk_size=CHUNK_BYTES, compression=CompressionType.NONE
        )
        self._writer.start(profile="ros2", library="robolearn")
        schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        for entry in self._entries:
            if entry.type not in schemas:
                text = definition(entry.type).text.encode()
                schemas[entry.type] = self._writer.register_schema(entry.type, "ros2msg", text)
            about = {"offered_qos_profiles": entry.qos, "topic_type_hash": entry.hash}
            self._channels[entry.name] = self._writer.register_channel(
                entry.name, "cdr", schemas[entry.type], about
            )

    def _split(self) -> None:
        writer, sink = self._writer, self._sink
        self._begin()
        writer.finish()
        self._finished.append(sink)

    def _drain(self) -> None:
        while self._finished:
            sink = self._finished[0]
            sink.drain()
            sink.sync()
            sink.close()
            self._finished.pop(0)
        if not self._ended:
            self._sink.drain()

    def _settle(self) -> None:
        self._drain()
        self._waiting.clear()
        if self._stale:
            write_metadata(self.directory, self._entries, self.counts, self._files)
            self._stale = False
