"""A camera's pictures and the joint states as they come over ROS topics."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from robolearn.errors import InputError
from robolearn.hardware.station import StationCamera
from robolearn.hardware.wire import JointState, Picture

SPIN = 0.1
"""Longest wait for a message [s]: how soon Ctrl-C is heard."""


def records_of_topics(camera: StationCamera, states: str | None) -> Iterator[JointState | Picture]:
    """A camera's pictures and, if `states` names a topic, the joint states on it, for ever.

    Of the pictures only the latest waits while nobody asks, so that looking for boards may take its time.

    Raises:
        InputError: this Python has no rclpy, or a picture cannot be decoded.
    """
    try:
        import rclpy
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import CompressedImage, Image
        from sensor_msgs.msg import JointState as JointStateMessage

        from robolearn.hardware.nodes import convert
        from robolearn.hardware.nodes.common import SENSOR
    except ImportError as error:
        raise InputError(
            f"topics cannot be listened to ({error}): source ROS's setup.bash, or record a log elsewhere and "
            "give it with --log"
        ) from error
    pictures: deque[Any] = deque(maxlen=1)
    joint_states: deque[JointState] = deque()

    def see(message: Any) -> None:  # functions of their own: rclpy refuses built-in ones
        pictures.append(message)

    def feel(message: JointStateMessage) -> None:
        joint_states.append(convert.joint_state(message))

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is the caller's
    try:
        node = rclpy.create_node("robolearn_calibrate")
        kind = Image if camera.transport == "raw" else CompressedImage
        node.create_subscription(kind, camera.topic, see, SENSOR)
        if states is not None:
            node.create_subscription(JointStateMessage, states, feel, SENSOR)
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=SPIN)
            while joint_states:
                yield joint_states.popleft()
            while pictures:
                yield convert.picture(pictures.popleft(), camera.name)
    finally:
        rclpy.try_shutdown()
