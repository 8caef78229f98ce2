"""Makes a killed log a whole one, which `ros2 bag` and Foxglove play; the original stays as it is."""

from __future__ import annotations

import os
import shutil
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mcap.writer import CompressionType, Writer

from robolearn.errors import InputError
from robolearn.hardware.recording.metadata import FileEntry, write_metadata
from robolearn.hardware.recording.qos import in_numbers
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.scan import LogFile, Loss
from robolearn.hardware.recording.writer import CHUNK_BYTES


@dataclass(frozen=True)
class Recovery:
    """What came of it.

    Attributes:
        directory: of the new log.
        messages: in it.
        losses: what of the original could not be read.
    """

    directory: Path
    messages: int
    losses: list[Loss]


def recover(path: Path, to: Path | None = None) -> Recovery:
    """Write a whole log with all that can be read of the one at `path`, a directory or a file.

    Files that have an end are linked (or copied, where another disk begins) and not rewritten.

    Args:
        path: of the log.
        to: the new log's directory; NAME-recovered beside the original if not given.

    Raises:
        InputError: there is no log at `path`, or something at `to` already.
        OSError: the disk refuses; there is nothing at `to` then.
    """
    to = to or path.with_name(f"{path.name.removesuffix('.mcap')}-recovered")
    if to.exists():
        raise InputError(f"{to} is there already; the recovered log's directory must be a new one")
    log = Log(path)
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary = to.with_name(f".{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        counts: Counter[str] = Counter()
        files = [_recover_file(file, temporary, counts) for file in log.files]
        write_metadata(temporary, list(log.topics.values()), counts, files)
        temporary.rename(to)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Recovery(to, counts.total(), log.losses)


def _recover_file(file: LogFile, directory: Path, counts: Counter[str]) -> FileEntry:
    """Bring one file into `directory`, counting its messages."""
    target = directory / file.path.name
    if file.losses or not file.whole:
        return _rewrite(file, target, counts)
    entry = FileEntry(target.name)
    for block in file.blocks:
        for channel, times in block.times.items():
            counts[file.channels[channel].topic] += len(times)
            for time in times.tolist():
                entry.count(time)
    try:
        os.link(file.path, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(file.path, target)
    return entry


def _rewrite(file: LogFile, target: Path, counts: Counter[str]) -> FileEntry:
    """Write a file anew with all that can be read of it, in the order in which it was written."""
    entry = FileEntry(target.name)
    with target.open("wb") as stream:
        writer = Writer(stream, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE)
        writer.start(profile="ros2", library="robolearn")
        schemas, channels = {}, {}
        for key, schema in sorted(file.schemas.items()):
            schemas[key] = writer.register_schema(schema.name, schema.encoding, schema.data)
        for key, channel in sorted(file.channels.items()):
            about = dict(channel.metadata)
            about["offered_qos_profiles"] = in_numbers(about.get("offered_qos_profiles", ""))
            channels[key] = writer.register_channel(
                channel.topic, channel.message_encoding, schemas[channel.schema_id], about
            )
        for block in file.blocks:
            for raw in file.read(block):
                if raw.channel in channels:
                    new = channels[raw.channel]
                    writer.add_message(new, raw.log_time, raw.data, raw.publish_time, raw.sequence)
                    counts[file.channels[raw.channel].topic] += 1
                    entry.count(raw.log_time)
        writer.finish()
        stream.flush()
        os.fsync(stream.fileno())
    return entry
