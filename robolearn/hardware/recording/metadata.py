"""metadata.yaml, by which rosbag2 knows a log: version 8, the newest that Humble plays too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from robolearn.errors import InputError
from robolearn.files import replacing

NAME = "metadata.yaml"
VERSION = 8


@dataclass(frozen=True)
class TopicEntry:
    """A topic in metadata.yaml: name, type, hash of the type ("" if unknown), offered profiles of service."""

    name: str
    type: str
    hash: str
    qos: str


@dataclass
class FileEntry:
    """One file of a log in metadata.yaml.

    Attributes:
        name: relative to the log's directory.
        start, end: first and last log time [ns]; 0 while it is empty.
        messages: their number.
    """

    name: str
    start: int = 0
    end: int = 0
    messages: int = 0

    def count(self, log_time: int) -> None:
        """One more message."""
        self.start = min(self.start, log_time) if self.messages else log_time
        self.end = max(self.end, log_time)
        self.messages += 1


def write_metadata(
    directory: Path, topics: Sequence[TopicEntry], counts: Mapping[str, int], files: Sequence[FileEntry]
) -> None:
    """Write metadata.yaml, in one go.

    Args:
        directory: the log's.
        topics: of the log.
        counts: messages of each topic, by name.
        files: in order.

    Raises:
        OSError: it cannot be written; one that was there is still whole.
    """
    filled = [file for file in files if file.messages]
    start = min((file.start for file in filled), default=0)
    end = max((file.end for file in filled), default=0)
    information: dict[str, Any] = {
        "version": VERSION,
        "storage_identifier": "mcap",
        "duration": {"nanoseconds": end - start},
        "starting_time": {"nanoseconds_since_epoch": start},
        "message_count": sum(file.messages for file in files),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.type,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": topic.qos,
                    "type_description_hash": topic.hash,
                },
                "message_count": counts.get(topic.name, 0),
            }
            for topic in topics
        ],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.name for file in files],
        "files": [
            {
                "path": file.name,
                "starting_time": {"nanoseconds_since_epoch": file.start},
                "duration": {"nanoseconds": file.end - file.start},
                "message_count": file.messages,
            }
            for file in files
        ],
        "custom_data": {},
        "ros_distro": "",
    }
    text = yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False, width=10_000)
    with replacing(directory / NAME) as temporary:
        temporary.write_text(text)


def read_metadata(directory: Path) -> dict[str, Any]:
    """What metadata.yaml says, JSON-like.

    Raises:
        InputError: it is not there or not rosbag2's.
    """
    path = directory / NAME
    try:
        return dict(yaml.safe_load(path.read_text())["rosbag2_bagfile_information"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not rosbag2's metadata: {error}") from error
