"""Messages of rclpy against records, and against the same messages made without ROS."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import WrenchStamped
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Float64MultiArray, Header, String

from robolearn.errors import InputError
from robolearn.hardware import wire
from robolearn.hardware.monitor import glimpse
from robolearn.hardware.nodes import convert
from robolearn.hardware.recording.messages import encode, encode_compressed

STAMP = 1_700_000_000_123_456_789
NAMES = ("a", "b", "c")


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


STATE = wire.JointState(STAMP, NAMES, array(1, np.nan, -0.0), array(), array(np.inf, 5e-324, 2))
REQUEST = wire.TorqueRequest(STAMP, NAMES, array(1, 2, np.nan), -1.0, "policy 7@x")
WITHOUT_GRIPPER = wire.TorqueRequest(STAMP, NAMES, array(1, 2, 3))
WRENCH = wire.Wrench(STAMP, array(1, 2, 3), array(4, 5, 6))
BEAT = wire.Heartbeat(STAMP, "policy", "b" * 64, "c" * 64)
STATUS = wire.MonitorStatus(STAMP, "holding", "assisted", ("request_late",), {"request_late": 3}, 0.5)
MARK = wire.EpisodeMark(STAMP, "begin", "today-0001", {"task": "grasp", "seed": 7})
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
PICTURE = wire.Picture(STAMP, "front", PIXELS)
DEPTH = wire.Picture(STAMP, "front", np.linspace(0, 2, 24, dtype=np.float32).reshape(4, 6))


def same(a: object, b: object) -> None:
    """Two records are equal, to the bit and NaN included."""
    assert type(a) is type(b)
    for name, value in vars(a).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(b, name))
            assert value.dtype == getattr(b, name).dtype
        else:
            assert value == getattr(b, name), name


@pytest.mark.parametrize(
    ("record", "there", "back", "kind"),
    [
        (STATE, convert.joint_state_message, convert.joint_state, JointState),
        (REQUEST, convert.torque_message, convert.torque_request, JointState),
        (WITHOUT_GRIPPER, convert.torque_message, convert.torque_request, JointState),
        (WRENCH, convert.wrench_message, convert.wrench, WrenchStamped),
        (BEAT, convert.heartbeat_message, convert.heartbeat, Header),
        (STATUS, convert.status_message, convert.status, DiagnosticArray),
        (MARK, convert.mark_message, convert.mark, String),
        (PICTURE, convert.image_message, lambda m: convert.picture(m, "front"), Image),
        (DEPTH, convert.image_message, lambda m: convert.picture(m, "front"), Image),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "stamp") else "",
)
def test_there_and_back_and_as_without_ros(record, there, back, kind) -> None:
    message = there(record)
    assert isinstance(message, kind)
    same(back(message), record)
    # what the recorder's own encoder makes of a record reads as the same record here, and the same message
    other = deserialize_message(encode(record), kind)
    same(back(other), record)
    if not (kind is JointState and np.isnan([*message.position, *message.effort]).any()):
        assert other == message


def test_command() -> None:
    message = convert.command_message(array(1, np.nan, 3))
    assert isinstance(message, Float64MultiArray)
    np.testing.assert_array_equal(convert.numbers(message.data), array(1, np.nan, 3))
    assert len(convert.numbers(Float64MultiArray().data)) == 0


def test_a_message_that_is_no_record_is_refused() -> None:
    with pytest.raises(InputError, match="heartbeat"):
        convert.heartbeat(Header(frame_id="base_link"))
    with pytest.raises(InputError, match="mark"):
        convert.mark(String(data="{}"))
    with pytest.raises(InputError, match="not the monitor's"):
        convert.status(DiagnosticArray())


def test_a_glimpse_of_a_raw_image_tells_what_the_monitor_needs() -> None:
    seen = convert.glimpse(convert.image_message(PICTURE), "front", 24)
    assert (seen.stamp, seen.camera) == (STAMP, "front")
    assert seen.digest == glimpse.take(PICTURE).digest
    assert 0.2 < seen.brightness < 0.8
    black = convert.image_message(wire.Picture(STAMP, "front", np.zeros_like(PIXELS)))
    assert convert.glimpse(black, "front", 24).brightness == 0.0
    assert convert.glimpse(convert.image_message(DEPTH), "front", 24).brightness == pytest.approx(23 / 24)


def test_a_glimpse_of_a_compressed_image_is_not_decoded() -> None:
    def seen(pixels: np.ndarray) -> glimpse.Glimpse:
        picture = wire.Picture(STAMP, "front", pixels)
        message = deserialize_message(encode_compressed(picture, "jpeg"), CompressedImage)
        return convert.glimpse(message, "front", 480 * 640)

    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)
    assert seen(noise).brightness == 1.0
    assert seen(np.zeros_like(noise)).brightness == 0.0
    assert seen(noise).digest != seen(noise[::-1]).digest
