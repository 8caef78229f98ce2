"""What a log holds: topics with their types and qualities of service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robolearn.hardware.recording.qos import RELIABLE, Qos

if TYPE_CHECKING:
    from robolearn.hardware.station import Station

REQUESTED = "/robolearn/torque/requested"
"""What a policy, or whoever moves the arm, asks for: gravity excluded."""

FILTERED = "/robolearn/torque/filtered"
"""What the limiter made of it: gravity excluded."""

SENT = "/robolearn/torque/sent"
"""What the controller got: gravity included where we supply it."""

MONITOR = "/robolearn/monitor/status"
HEARTBEAT = "/robolearn/policy/heartbeat"
EPISODE = "/robolearn/episode"

IMAGE_TYPES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
"""Message types of pictures, by a camera's transport."""


@dataclass(frozen=True)
class Topic:
    """A topic of a log.

    Attributes:
        name: "/joint_states".
        type: "sensor_msgs/msg/JointState".
        qos: what its publisher offered, and what `ros2 bag play` will offer.
    """

    name: str
    type: str
    qos: Qos = RELIABLE

    @property
    def is_picture(self) -> bool:
        """Pictures are the first to be given up when the disk is full."""
        return self.type in IMAGE_TYPES.values()


def station_topics(station: Station) -> tuple[Topic, ...]:
    """What is logged at a station."""
    joints = "sensor_msgs/msg/JointState"
    states = dict.fromkeys([station.state.topic])  # in this order, each once
    if station.gripper.kind != "none":
        states[station.gripper.state_topic] = None
    topics = [Topic(name, joints) for name in states]
    topics += [Topic(name, joints) for name in (REQUESTED, FILTERED, SENT)]
    topics += [Topic(camera.topic, IMAGE_TYPES[camera.transport]) for camera in station.cameras]
    if station.wrench is not None:
        topics.append(Topic(station.wrench.topic, "geometry_msgs/msg/WrenchStamped"))
    latched = Qos(transient_local=True)
    return (
        *topics,
        Topic(MONITOR, "diagnostic_msgs/msg/DiagnosticArray"),
        Topic(HEARTBEAT, "std_msgs/msg/Header"),
        Topic(EPISODE, "std_msgs/msg/String", latched),
    )
