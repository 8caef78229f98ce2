"""Records of `robolearn.hardware.wire` to and from the CDR bytes of ROS 2 messages, without ROS.

Requested, filtered and sent torques are a sensor_msgs/JointState with effort only; the gripper stands in it
as one more joint, the last. Their header.stamp is that of the oldest observation they came from, their
header.frame_id the sender. A camera's name is its header.frame_id without "_optical". Numbers survive bit for
bit, NaN included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from robolearn.errors import InputError, choose
from robolearn.hardware.recording import words
from robolearn.hardware.recording.definitions import deserialize, new, serialize
from robolearn.hardware.recording.pictures import (
    compressed_fields,
    compressed_pixels,
    image_fields,
    image_pixels,
)
from robolearn.hardware.wire import (
    GRIPPER,
    SECOND,
    Array,
    EpisodeMark,
    Heartbeat,
    JointState,
    MonitorStatus,
    Picture,
    TorqueCommand,
    TorqueRequest,
    Wrench,
)

Record = (
    JointState | TorqueRequest | TorqueCommand | Picture | Wrench | Heartbeat | MonitorStatus | EpisodeMark
)

JOINT_STATE = "sensor_msgs/msg/JointState"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
WRENCH = "geometry_msgs/msg/WrenchStamped"
COMMAND = "std_msgs/msg/Float64MultiArray"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
HEADER = "std_msgs/msg/Header"
STRING = "std_msgs/msg/String"

_OPTICAL = "_optical"
_NONE = np.empty(0)


def encode(record: Record) -> bytes:
    """The CDR bytes of the message that carries `record`; a picture's are a sensor_msgs/Image.

    Raises:
        InputError: the record cannot be said in its message.
    """
    return _ENCODERS[type(record)](record)


def encode_compressed(picture: Picture, format: str = "png", quality: int = 95) -> bytes:
    """The CDR bytes of the sensor_msgs/CompressedImage that carries `picture`, as "png" or "jpeg".

    Raises:
        InputError: the picture is not RGB, or the format is unknown.
    """
    fields = compressed_fields(picture.pixels, format, quality)
    return serialize(new(COMPRESSED_IMAGE, header=_picture_header(picture), **fields))


def decode(type: str, data: bytes) -> Record:
    """The record that a message of `type` carries.

    Raises:
        InputError: the type carries no record, or the bytes are not such a message.
    """
    decoder = _DECODERS[choose("type of a message with a record in it", type, _DECODERS)]
    return decoder(deserialize(type, data))


def stamp_of(header: Any) -> int:
    """Nanoseconds of a std_msgs/Header's stamp."""
    return int(header.stamp.sec) * SECOND + int(header.stamp.nanosec)


def _header(stamp: int, frame: str = "") -> Any:
    seconds, nanoseconds = divmod(stamp, SECOND)
    if not -(2**31) <= seconds < 2**31:
        raise InputError(f"stamp {stamp} ns does not fit ROS' time, which ends 2**31 s after its beginning")
    time = new("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return new(HEADER, stamp=time, frame_id=frame)


def _floats(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float64)


def _encode_joints(header: Any, names: list[str], position: Array, velocity: Array, effort: Array) -> bytes:
    return serialize(
        new(
            JOINT_STATE,
            header=header,
            name=names,
            position=_floats(position),
            velocity=_floats(velocity),
            effort=_floats(effort),
        )
    )


def _encode_state(state: JointState) -> bytes:
    header = _header(state.stamp)
    return _encode_joints(header, list(state.names), state.position, state.velocity, state.effort)


def _encode_request(request: TorqueRequest) -> bytes:
    names, torque = list(request.names), request.torque
    if GRIPPER in names:
        raise InputError(f"joints {names} of a torque hold {GRIPPER!r}; its target stands beside the torque")
    if request.gripper is not None:
        names, torque = [*names, GRIPPER], np.append(torque, request.gripper)
    return _encode_joints(_header(request.stamp, request.sender), names, _NONE, _NONE, torque)


def _decode_joints(message: Any) -> JointState | TorqueRequest:
    stamp, names = stamp_of(message.header), tuple(message.name)
    # Effort alone is a torque that somebody wants: an arm always says where it is.
    if len(message.position) or len(message.velocity) or not len(message.effort):
        return JointState(stamp, names, message.position, message.velocity, message.effort)
    torque, sender = message.effort, message.header.frame_id
    if len(torque) == len(names) and names[-1] == GRIPPER:
        return TorqueRequest(stamp, names[:-1], torque[:-1], float(torque[-1]), sender)
    return TorqueRequest(stamp, names, torque, sender=sender)


def _encode_command(command: TorqueCommand) -> bytes:
    layout = new("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
    return serialize(new(COMMAND, layout=layout, data=_floats(command.torque)))


def _picture_header(picture: Picture) -> Any:
    return _header(picture.stamp, picture.camera + _OPTICAL)


def _encode_picture(picture: Picture) -> bytes:
    return serialize(new(IMAGE, header=_picture_header(picture), **image_fields(picture.pixels)))


def _decode_picture(pixels: Callable[[Any], Any]) -> Callable[[Any], Picture]:
    def decode_picture(message: Any) -> Picture:
        camera = message.header.frame_id.removesuffix(_OPTICAL)
        return Picture(stamp_of(message.header), camera, pixels(message))

    return decode_picture


def _vector(values: Array) -> Any:
    x, y, z = (float(value) for value in values)
    return new("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def _encode_wrench(wrench: Wrench) -> bytes:
    both = new("geometry_msgs/msg/Wrench", force=_vector(wrench.force), torque=_vector(wrench.torque))
    return serialize(new(WRENCH, header=_header(wrench.stamp), wrench=both))


def _decode_wrench(message: Any) -> Wrench:
    force, torque = (
        np.array([vector.x, vector.y, vector.z]) for vector in (message.wrench.force, message.wrench.torque)
    )
    return Wrench(stamp_of(message.header), force, torque)


def _encode_status(status: MonitorStatus) -> bytes:
    values = [
        new("diagnostic_msgs/msg/KeyValue", key=key, value=value) for key, value in words.status_pairs(status)
    ]
    entry = new(
        "diagnostic_msgs/msg/DiagnosticStatus",
        level=words.LEVELS[choose("mode of the monitor", status.mode, words.LEVELS)],
        name=words.MONITOR_NAME,
        message=words.status_summary(status),
        hardware_id="",
        values=values,
    )
    return serialize(new(DIAGNOSTICS, header=_header(status.stamp), status=[entry]))


def _decode_status(message: Any) -> MonitorStatus:
    for entry in message.status:
        if entry.name == words.MONITOR_NAME:
            pairs = ((pair.key, pair.value) for pair in entry.values)
            return words.status_from_pairs(stamp_of(message.header), pairs)
    found = ", ".join(repr(entry.name) for entry in message.status) or "nothing"
    raise InputError(f"diagnostics hold {found}; a monitor's must hold {words.MONITOR_NAME!r}")


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    JointState: _encode_state,
    TorqueRequest: _encode_request,
    TorqueCommand: _encode_command,
    Picture: _encode_picture,
    Wrench: _encode_wrench,
    Heartbeat: lambda beat: serialize(_header(beat.stamp, words.heartbeat_text(beat))),
    MonitorStatus: _encode_status,
    EpisodeMark: lambda mark: serialize(new(STRING, data=words.mark_text(mark))),
}

_DECODERS: dict[str, Callable[[Any], Record]] = {
    JOINT_STATE: _decode_joints,
    COMMAND: lambda message: TorqueCommand(message.data),
    IMAGE: _decode_picture(image_pixels),
    COMPRESSED_IMAGE: _decode_picture(compressed_pixels),
    WRENCH: _decode_wrench,
    DIAGNOSTICS: _decode_status,
    HEADER: lambda message: words.heartbeat_from_text(
        int(message.stamp.sec) * SECOND + int(message.stamp.nanosec), message.frame_id
    ),
    STRING: lambda message: words.mark_from_text(message.data),
}
