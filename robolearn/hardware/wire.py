"""What travels between arm, monitor, policy and recorder: plain records, the same with ROS and without.

Stamps are whole nanoseconds of the sender's clock. Joints are matched by name; `order` puts a message into
the order of whoever reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SECOND = 1_000_000_000
"""Nanoseconds."""

GRIPPER = "gripper"
"""Name under which the gripper stands beside the joints, in states (width [m]) and in requests (-1 to +1)."""


@dataclass(frozen=True, eq=False)
class JointState:
    """What the arm measured (sensor_msgs/JointState).

    Attributes:
        stamp: when [ns].
        names: of the joints, in the order of the arrays.
        position: (n,) [rad].
        velocity: (n,) [rad/s]; empty where the driver leaves it so.
        effort: (n,) [N·m]; empty where the driver leaves it so.
    """

    stamp: int
    names: tuple[str, ...]
    position: Array
    velocity: Array
    effort: Array


@dataclass(frozen=True, eq=False)
class TorqueRequest:
    """What a policy, or whoever moves the arm, asks for (sensor_msgs/JointState with effort).

    Attributes:
        stamp: of the oldest observation that it came from [ns].
        names: of the joints, in the order of `torque`.
        torque: gravity excluded, (n,) [N·m].
        gripper: from open (-1) to closed (+1); None leaves it.
        sender: who asks, as in his heartbeats (header.frame_id); of a torque that was sent, who sent it.
    """

    stamp: int
    names: tuple[str, ...]
    torque: Array
    gripper: float | None = None
    sender: str = ""


@dataclass(frozen=True, eq=False)
class TorqueCommand:
    """What is sent to the arm's controller (std_msgs/Float64MultiArray, in the station's joint order).

    Attributes:
        torque: gravity included where we supply it, (n,) [N·m].
    """

    torque: Array


@dataclass(frozen=True, eq=False)
class Picture:
    """A camera's image (sensor_msgs/Image or CompressedImage, decoded).

    Attributes:
        stamp: when it was taken [ns].
        camera: its name in the station.
        pixels: uint8 (height, width, 3) RGB, or float32 (height, width) depth [m].
    """

    stamp: int
    camera: str
    pixels: NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Wrench:
    """External force and torque at the wrist (geometry_msgs/WrenchStamped): (3,) [N], (3,) [N·m]."""

    stamp: int
    force: Array
    torque: Array


@dataclass(frozen=True)
class Heartbeat:
    """Whoever sends it is alive (std_msgs/Header): a policy announces its bundle with it.

    Attributes:
        stamp: when [ns].
        sender: who.
        bundle: hash of the policy's weights; "" for others.
        contract: hash of its contract; "" for others.
    """

    stamp: int
    sender: str
    bundle: str = ""
    contract: str = ""


@dataclass(frozen=True)
class MonitorStatus:
    """How the monitor sees things (diagnostic_msgs/DiagnosticArray).

    Attributes:
        stamp: when [ns].
        mode: "passing", "holding" or "stopped".
        authority: "shadow", "assisted" or "autonomous".
        causes: names of what is wrong now, or latched.
        counts: how often each cause occurred since the start.
        scale: share of the request's torque that authority lets through.
    """

    stamp: int
    mode: str
    authority: str
    causes: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    scale: float = 1.0


@dataclass(frozen=True)
class EpisodeMark:
    """Beginning or end of an episode (std_msgs/String with JSON).

    Attributes:
        stamp: when [ns].
        kind: "begin" or "end".
        episode: a unique name.
        body: JSON-like: contract and bundle hashes, task, seed, outcome, who judged it, notes, action source.
    """

    stamp: int
    kind: str
    episode: str
    body: dict[str, object] = field(default_factory=dict)


def order(names: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Where each wanted joint stands in a message; None if one is missing or a name stands there twice."""
    place = {name: i for i, name in enumerate(names)}
    if len(place) < len(names) or any(name not in place for name in wanted):
        return None
    return [place[name] for name in wanted]
