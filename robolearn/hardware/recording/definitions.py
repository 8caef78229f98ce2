"""The message types of ROS 2: classes, serialisation, definitions in text and hashes, by rosbags' type store.

All types that are logged are the same in Humble and in Jazzy; a test says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from robolearn.errors import InputError

STORE = get_typestore(Stores.ROS2_JAZZY)


@dataclass(frozen=True)
class Definition:
    """What a log says about a message type.

    Attributes:
        type: "sensor_msgs/msg/JointState".
        text: its definition and those of all types in it, as MCAP's schema encoding "ros2msg" wants them.
        hash: of the type's description (REP-2011), "RIHS01_...".
    """

    type: str
    text: str
    hash: str


@cache
def definition(type: str) -> Definition:
    """The definition of a message type.

    Raises:
        InputError: it is not one of the common interfaces of ROS 2.
    """
    if type not in STORE.fielddefs:
        raise InputError(
            f"message type {type!r} is unknown; those of ROS 2's common interfaces can be logged, written as "
            "PACKAGE/msg/NAME, such as 'sensor_msgs/msg/JointState'"
        )
    text, _ = STORE.generate_msgdef(type, ros_version=2)
    return Definition(type, text, STORE.hash_rihs01(type))


def new(type: str, **values: Any) -> Any:
    """A message of `type` with these values for all of its fields."""
    return STORE.types[type](**values)


def serialize(message: Any) -> bytes:
    """The CDR bytes of a message, as they travel on the wire."""
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def deserialize(type: str, data: bytes) -> Any:
    """The message of `type` that has these CDR bytes.

    Bytes after its end are ignored, as ROS does: rclpy's `serialize_message` may append some.

    Raises:
        InputError: the type is unknown, or the bytes are not such a message.
    """
    definition(type)
    if bytes(data[:2]) not in (b"\0\0", b"\0\1"):
        raise InputError(f"{len(data)} bytes are not a {type}: they do not begin as plain CDR does")
    kind = STORE.get_msgdef(type)
    read = kind.deserialize_cdr_le if data[1] else kind.deserialize_cdr_be
    try:
        return read(memoryview(data)[4:], 0, kind.cls, STORE)[0]
    except (SerdeError, struct.error, ValueError, IndexError) as error:
        raise InputError(f"{len(data)} bytes are not a {type}: {error}") from error
