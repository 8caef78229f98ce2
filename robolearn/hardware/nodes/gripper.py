"""Commanding the gripper: it opens or closes by the sign of what a policy asks; one adapter for each kind.

Messages that plain ROS lacks are imported where a station asks for them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Float64, Float64MultiArray

from robolearn.errors import InputError
from robolearn.hardware.nodes.common import LATEST
from robolearn.hardware.settings import GripperSettings
from robolearn.hardware.station import Station

Send = Callable[[bool], None]


class Gripper:
    """Sends the gripper where it is told, whenever that changes.

    Raises:
        InputError: messages that the station's kind of gripper needs are not installed.
    """

    def __init__(self, node: Node, station: Station) -> None:
        self._send = _SENDERS[station.gripper.kind](node, station.gripper)
        self._closed: bool | None = None

    def command(self, gripper: float | None) -> None:
        """From open (-1) to closed (+1): above 0 it closes; None leaves it."""
        if gripper is not None and (gripper > 0.0) is not self._closed:
            self._closed = gripper > 0.0
            self._send(self._closed)

    def forget(self) -> None:
        """Somebody else may have moved it: the next command is sent even if it is the old one."""
        self._closed = None


def _width(settings: GripperSettings, closed: bool) -> float:
    return settings.command_scale * (settings.closed_width if closed else settings.open_width)


def _none(node: Node, settings: GripperSettings) -> Send:
    return lambda closed: None


def _topic(node: Node, settings: GripperSettings) -> Send:
    publisher = node.create_publisher(Float64, settings.name, LATEST)
    return lambda closed: publisher.publish(Float64(data=_width(settings, closed)))


def _topic_array(node: Node, settings: GripperSettings) -> Send:
    publisher = node.create_publisher(Float64MultiArray, settings.name, LATEST)

    def send(closed: bool) -> None:
        publisher.publish(Float64MultiArray(data=array("d", [_width(settings, closed)])))

    return send


def _missing(settings: GripperSettings, package: str, error: ImportError) -> InputError:
    apt = f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
    return InputError(
        f"a gripper of kind {settings.kind} needs {package} ({error}): install {apt}, source ROS"
    )


def _gripper_command(node: Node, settings: GripperSettings) -> Send:
    try:
        from control_msgs.action import GripperCommand
    except ImportError as error:
        raise _missing(settings, "control_msgs", error) from error
    from rclpy.action import ActionClient

    client = ActionClient(node, GripperCommand, settings.name)

    def send(closed: bool) -> None:
        goal = GripperCommand.Goal()
        goal.command.position = _width(settings, closed)
        goal.command.max_effort = settings.force
        client.send_goal_async(goal)

    return send


def _franka(node: Node, settings: GripperSettings) -> Send:
    try:
        from franka_msgs.action import Grasp, Move
    except ImportError as error:
        raise _missing(settings, "franka_msgs", error) from error
    from rclpy.action import ActionClient

    move: Any = ActionClient(node, Move, f"{settings.name}/move")
    grasp: Any = ActionClient(node, Grasp, f"{settings.name}/grasp")

    def send(closed: bool) -> None:
        if not closed:
            move.send_goal_async(Move.Goal(width=settings.open_width, speed=settings.speed))
            return
        goal = Grasp.Goal(width=settings.closed_width, speed=settings.speed, force=settings.force)
        goal.epsilon.inner = goal.epsilon.outer = settings.open_width  # whatever it finds counts as grasped
        grasp.send_goal_async(goal)

    return send


_SENDERS: dict[str, Callable[[Node, GripperSettings], Send]] = {
    "none": _none,
    "topic_float64": _topic,
    "topic_float64_array": _topic_array,
    "action_gripper_command": _gripper_command,
    "action_franka": _franka,
}
