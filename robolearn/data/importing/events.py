"""The messages of a log as what happened and when, in the order in which it counts.

In our own logs a message counts from its arrival: the policy could not know it earlier. A stranger's sensors
count from when they measured, so that messages are put into that order first.
"""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from robolearn.data.importing.bag import Bag
from robolearn.data.importing.recipe import Job, Recipe
from robolearn.errors import InputError
from robolearn.hardware.recording.definitions import deserialize
from robolearn.hardware.recording.messages import COMPRESSED_IMAGE, IMAGE
from robolearn.hardware.recording.reader import LogMessage
from robolearn.hardware.wire import GRIPPER, SECOND, JointState, Picture, TorqueCommand, TorqueRequest

BEFORE = SECOND
"""So much of a log before an episode is read, for what was known when it began [ns]."""

AFTER = 3 * SECOND // 10
"""And after it, for what was measured before its end and came later [ns]."""

HORIZON = SECOND
"""Messages that were recorded later than this after others of a later time are lost [ns]."""

FAR = 10 * SECOND
"""A stamp that is farther from its arrival, by the clocks' usual difference, is wrong [ns]."""

GRIPPER_TYPES = ("std_msgs/msg/Bool", "std_msgs/msg/Float64", "std_msgs/msg/Float64MultiArray")
"""Types that say what the gripper was told."""


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        now: when it counts [ns].
        topic: where it was said.
        record: a record of `robolearn.hardware.wire`, a `LoggedPicture`, or the gripper's number.
    """

    now: int
    topic: str
    record: Any


class LoggedPicture:
    """A picture that is decoded when it is looked at: most of a log's never are."""

    __slots__ = ("_message", "camera", "stamp")

    def __init__(self, stamp: int, camera: str, message: LogMessage) -> None:
        self.stamp, self.camera, self._message = stamp, camera, message

    @property
    def pixels(self) -> NDArray[Any]:
        """RGB (h, w, 3) or depth (h, w) [m].

        Raises:
            InputError: the message is damaged.
        """
        picture = self._message.record()
        assert isinstance(picture, Picture)
        return picture.pixels


def events(bag: Bag, job: Job, counts: Counter[str]) -> Iterator[Event]:
    """What happened around an episode, in order; what cannot be used is counted, in words.

    Raises:
        OSError: the log cannot be read.
    """
    recipe, span = job.recipe, job.span
    topics = [topic for topic in recipe.topics.all if topic in bag.topics]
    margin = 0 if recipe.ours else HORIZON
    logged = bag.messages(topics, span.begin - BEFORE - margin, span.end + AFTER + margin)
    read = _read(logged, job, counts)
    return read if recipe.ours else _in_order(read, counts)


def _read(logged: Iterator[LogMessage], job: Job, counts: Counter[str]) -> Iterator[Event]:
    latest: dict[str, LogMessage] = {}
    for message in logged:
        if latest.get(message.topic) == message:
            counts["message that is in the log twice"] += 1
            continue
        latest[message.topic] = message
        if any(start <= message.log_time <= end for start, end in job.blind):
            counts["message from a time that the recorder's clock went through twice"] += 1
            continue
        try:
            record = _record(message, job.recipe)
        except InputError:
            counts[f"message of {message.topic} that cannot be read"] += 1
            continue
        now = message.log_time - job.recipe.offset
        # what carries no stamp can only say when it came
        if not job.recipe.ours and (stamp := getattr(record, "stamp", 0)) != 0:
            if abs(stamp - now) > FAR:
                counts[f"message of {message.topic} whose stamp is far from when it came"] += 1
                continue
            now = stamp
        yield Event(now, message.topic, record)


def _record(message: LogMessage, recipe: Recipe) -> Any:
    if message.topic in recipe.topics.cameras:
        stamp = message.log_time if recipe.stamps == "arrival" else picture_stamp(message)
        return LoggedPicture(stamp, recipe.topics.cameras[message.topic], message)
    if message.topic == recipe.topics.gripper:
        return _gripper_number(message)
    record = message.record()
    if recipe.stamps == "arrival" and hasattr(record, "stamp"):
        record = replace(cast(Any, record), stamp=message.log_time)
    if message.topic in recipe.topics.states and isinstance(record, JointState):
        return record
    if message.topic in (recipe.topics.requested, recipe.topics.filtered, recipe.topics.sent):
        return _torque(record, message, recipe)
    if message.topic == recipe.topics.monitor:
        return record
    raise InputError(f"a joint state of {message.topic} holds efforts only")


def _torque(record: Any, message: LogMessage, recipe: Recipe) -> TorqueRequest:
    if isinstance(record, TorqueRequest):
        return record
    if isinstance(record, JointState) and len(record.effort) == len(record.names):
        keep = [i for i, name in enumerate(record.names) if name != GRIPPER]
        names = tuple(record.names[i] for i in keep)
        return TorqueRequest(record.stamp, names, np.asarray(record.effort)[keep])
    if isinstance(record, TorqueCommand) and len(record.torque) == len(recipe.joint_names):
        return TorqueRequest(message.log_time - recipe.offset, recipe.joint_names, record.torque)
    raise InputError(f"a message of {message.topic} has not one torque a joint")


def _gripper_number(message: LogMessage) -> float:
    """What the gripper was told, in the driver's unit, or -1 for false and 1 for true."""
    data = deserialize(message.type, message.data).data
    if isinstance(data, bool | np.bool_):
        return 1.0 if data else -1.0
    numbers = np.atleast_1d(np.asarray(data, np.float64))
    if numbers.size != 1:
        raise InputError(f"a gripper's command has {numbers.size} numbers; it must have one")
    return float(numbers[0])


def picture_stamp(message: LogMessage) -> int:
    """The stamp of a message that begins with a header [ns], read without the rest.

    Raises:
        InputError: it is too short, or no plain CDR.
    """
    data = message.data
    if (
        len(data) < 12
        or bytes(data[:2]) not in (b"\0\0", b"\0\1")
        or message.type not in (IMAGE, COMPRESSED_IMAGE)
    ):
        raise InputError(f"{len(data)} bytes of {message.topic} are no picture")
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] else ">iI", data, 4)
    return int(seconds) * SECOND + int(nanoseconds)


def _in_order(read: Iterator[Event], counts: Counter[str]) -> Iterator[Event]:
    """Events in the order of their times, as far as none comes later than the horizon."""
    waiting: list[tuple[int, int, Event]] = []
    newest = told = 0
    for i, event in enumerate(read):
        if event.now < told:
            counts["message that was recorded too late to be put in order"] += 1
            continue
        heapq.heappush(waiting, (event.now, i, event))
        newest = max(newest, event.now)
        while waiting and waiting[0][0] <= newest - HORIZON:
            told = waiting[0][0]
            yield heapq.heappop(waiting)[-1]
    while waiting:
        yield heapq.heappop(waiting)[-1]
