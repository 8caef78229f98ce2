"""A camera's pictures and the joint states as they come over ROS topics."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from robolearn.errors import InputError
from robolearn.hardware.recording.pictures import compressed_pixels, image_pixels
from robolearn.hardware.station import StationCamera
from robolearn.hardware.wire import SECOND, JointState, Picture

WAIT = 0.1
"""Between two looks whether anybody wants to end [s]."""


def records_of_topics(camera: StationCamera, states: str | None) -> Iterator[JointState | Picture]:
    """A camera's pictures and, if `states` names a topic, the joint states on it, for ever.

    Of the pictures only the latest one is kept while nobody asks, so that looking for boards may take its
    time.

    Raises:
        InputError: this Python has no rclpy.
    """
    try:
        import rclpy
        from rclpy.qos import qos_profile_sensor_data
        from rclpy.signals import SignalHandlerOptions

        messages = import_module("sensor_msgs.msg")
    except ImportError as error:
        raise InputError(
            f"topics cannot be listened to, {error}: source ROS's setup.bash, or record a log elsewhere and "
            "give it with --log"
        ) from error
    pictures: deque[Picture] = deque(maxlen=1)
    joint_states: deque[JointState] = deque(maxlen=10_000)

    def see(message: Any) -> None:
        pixels = image_pixels(message) if camera.transport == "raw" else compressed_pixels(message)
        pictures.append(Picture(_stamp(message), camera.name, pixels))

    def feel(message: Any) -> None:
        arrays = (np.array(field) for field in (message.position, message.velocity, message.effort))
        joint_states.append(JointState(_stamp(message), tuple(message.name), *arrays))

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is the caller's
    try:
        node = rclpy.create_node("robolearn_calibrate")
        kind = messages.Image if camera.transport == "raw" else messages.CompressedImage
        node.create_subscription(kind, camera.topic, see, qos_profile_sensor_data)
        if states is not None:
            node.create_subscription(messages.JointState, states, feel, qos_profile_sensor_data)
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=WAIT)
            while joint_states:
                yield joint_states.popleft()
            while pictures:
                yield pictures.popleft()
    finally:
        rclpy.try_shutdown()


def _stamp(message: Any) -> int:
    return int(message.header.stamp.sec) * SECOND + int(message.header.stamp.nanosec)
