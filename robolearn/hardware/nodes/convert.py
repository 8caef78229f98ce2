"""Messages of rclpy to the records of `robolearn.hardware.wire` and back.

The same forms as in `robolearn.hardware.recording.messages`, which does it without ROS. Arrays go through
`array.array` and `numpy.frombuffer`: anything else copies number by number.
"""

from __future__ import annotations

import zlib
from array import array
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import WrenchStamped
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Float64MultiArray, Header, String

from robolearn.errors import InputError
from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.recording import words
from robolearn.hardware.wire import (
    GRIPPER,
    SECOND,
    Array,
    EpisodeMark,
    Heartbeat,
    JointState,
    MonitorStatus,
    Picture,
    TorqueRequest,
    Wrench,
)

FLAT = 0.02
"""Bytes a pixel below which a compressed image shows nothing: the monitor does not decode it."""

_OPTICAL = "_optical"


def stamp_of(header: Header) -> int:
    """Nanoseconds of a header's stamp."""
    return int(header.stamp.sec) * SECOND + int(header.stamp.nanosec)


def header(stamp: int, frame: str = "") -> Header:
    """A header of a stamp [ns]."""
    message = Header(frame_id=frame)
    message.stamp.sec, message.stamp.nanosec = divmod(stamp, SECOND)
    return message


def numbers(values: Any) -> Array:
    """A message's sequence of float64 as an array of its own, (n,)."""
    return np.array(np.frombuffer(values, np.float64) if len(values) else (), np.float64)


def _sequence(values: Array) -> array[float]:
    return array("d", np.ascontiguousarray(values, np.float64).tobytes())


def joint_state(message: JointStateMessage) -> JointState:
    """What the arm measured."""
    position, velocity, effort = (numbers(v) for v in (message.position, message.velocity, message.effort))
    return JointState(stamp_of(message.header), tuple(message.name), position, velocity, effort)


def joint_state_message(state: JointState) -> JointStateMessage:
    """The message of a joint state."""
    message = JointStateMessage(header=header(state.stamp), name=list(state.names))
    message.position = _sequence(state.position)
    message.velocity = _sequence(state.velocity)
    message.effort = _sequence(state.effort)
    return message


def torque_request(message: JointStateMessage) -> TorqueRequest:
    """What somebody asks for; the gripper stands as the last joint, the sender in frame_id."""
    names, torque, sender = tuple(message.name), numbers(message.effort), message.header.frame_id
    if names and len(torque) == len(names) and names[-1] == GRIPPER:
        return TorqueRequest(stamp_of(message.header), names[:-1], torque[:-1], float(torque[-1]), sender)
    return TorqueRequest(stamp_of(message.header), names, torque, sender=sender)


def torque_message(request: TorqueRequest) -> JointStateMessage:
    """The message of a requested, filtered or sent torque."""
    names, torque = list(request.names), request.torque
    if request.gripper is not None:
        names, torque = [*names, GRIPPER], np.append(torque, request.gripper)
    message = JointStateMessage(header=header(request.stamp, request.sender), name=names)
    message.effort = _sequence(torque)
    return message


def command_message(torque: Array) -> Float64MultiArray:
    """What the arm's controller is sent, (n,) [N·m]."""
    message = Float64MultiArray()
    message.data = _sequence(torque)
    return message


def wrench(message: WrenchStamped) -> Wrench:
    """The external wrench."""
    force, torque = (np.array([v.x, v.y, v.z]) for v in (message.wrench.force, message.wrench.torque))
    return Wrench(stamp_of(message.header), force, torque)


def wrench_message(record: Wrench) -> WrenchStamped:
    """The message of an external wrench."""
    message = WrenchStamped(header=header(record.stamp))
    for vector, values in (
        (message.wrench.force, record.force),
        (message.wrench.torque, record.torque),
    ):
        vector.x, vector.y, vector.z = values.tolist()
    return message


def heartbeat(message: Header) -> Heartbeat:
    """Who is alive.

    Raises:
        InputError: the message is no heartbeat.
    """
    stamp = int(message.stamp.sec) * SECOND + int(message.stamp.nanosec)
    return words.heartbeat_from_text(stamp, message.frame_id)


def heartbeat_message(beat: Heartbeat) -> Header:
    """The message of a heartbeat."""
    return header(beat.stamp, words.heartbeat_text(beat))


def diagnostics_message(stamp: int, *entries: DiagnosticStatus) -> DiagnosticArray:
    """Diagnostics of one moment."""
    return DiagnosticArray(header=header(stamp), status=list(entries))


def diagnostic(name: str, level: int, summary: str, pairs: list[tuple[str, str]]) -> DiagnosticStatus:
    """One entry of diagnostics; level 0 is OK, 1 a warning, 2 an error."""
    values = [KeyValue(key=key, value=value) for key, value in pairs]
    return DiagnosticStatus(level=bytes([level]), name=name, message=summary, values=values)


def status_message(status: MonitorStatus) -> DiagnosticArray:
    """The message of the monitor's state."""
    level, summary = words.LEVELS[status.mode], words.status_summary(status)
    entry = diagnostic(words.MONITOR_NAME, level, summary, words.status_pairs(status))
    return diagnostics_message(status.stamp, entry)


def status(message: DiagnosticArray) -> MonitorStatus:
    """The monitor's state.

    Raises:
        InputError: the diagnostics are not the monitor's.
    """
    for entry in message.status:
        if entry.name == words.MONITOR_NAME:
            pairs = [(pair.key, pair.value) for pair in entry.values]
            return words.status_from_pairs(stamp_of(message.header), pairs)
    raise InputError(f"diagnostics without an entry {words.MONITOR_NAME!r} are not the monitor's")


def mark(message: String) -> EpisodeMark:
    """An episode's mark.

    Raises:
        InputError: the message is none.
    """
    return words.mark_from_text(message.data)


def mark_message(record: EpisodeMark) -> String:
    """The message of an episode's mark."""
    return String(data=words.mark_text(record))


def picture(message: Any, camera: str) -> Picture:
    """The pixels of a sensor_msgs/Image or CompressedImage.

    Raises:
        InputError: the message cannot be decoded.
    """
    # only those who look at pictures decode them, by OpenCV
    from robolearn.hardware.recording.pictures import compressed_pixels, image_pixels

    pixels = image_pixels(message) if isinstance(message, Image) else compressed_pixels(message)
    return Picture(stamp_of(message.header), camera, pixels)


def image_message(record: Picture) -> Image:
    """The sensor_msgs/Image of a picture, RGB or depth [m]."""
    pixels = np.ascontiguousarray(record.pixels)
    height, width = pixels.shape[:2]
    message = Image(header=header(record.stamp, record.camera + _OPTICAL), height=height, width=width)
    message.encoding = "rgb8" if pixels.dtype == np.uint8 else "32FC1"
    message.step = pixels.nbytes // height
    message.data = array("B", pixels.tobytes())
    return message


def glimpse(message: Any, camera: str, pixels: int) -> Glimpse:
    """Enough of an image to tell a dead camera from a living one, without decoding it.

    Args:
        message: a sensor_msgs/Image or CompressedImage.
        camera: its name in the station.
        pixels: how many pixels its images have.
    """
    data: NDArray[np.uint8] = np.frombuffer(message.data, np.uint8)
    if not isinstance(message, Image):
        brightness = 1.0 if len(data) >= FLAT * pixels else 0.0
    elif message.encoding in ("32FC1", "16UC1"):
        kind = "f4" if message.encoding == "32FC1" else "u2"
        depth: NDArray[Any] = data[: len(data) // 4 * 4].view(kind)
        brightness = float((np.isfinite(depth) & np.greater(depth, 0)).mean()) if len(depth) else 0.0
    else:
        brightness = float(data[::7].mean()) / 255.0 if len(data) else 0.0  # 7 meets every channel
    return Glimpse(stamp_of(message.header), camera, zlib.crc32(data.data), brightness)
