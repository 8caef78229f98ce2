"""What all nodes share: clocks, qualities of service, stations, and how a process begins and ends."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from robolearn.errors import InputError
from robolearn.hardware.contracts import contract_of
from robolearn.hardware.nodes import convert
from robolearn.hardware.recording import topics
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import SECOND

SENSOR = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
"""For readings and pictures: it hears drivers of both reliabilities."""

EXACT = QoSProfile(depth=10)
"""Reliable: for torques, heartbeats and marks."""

LATEST = QoSProfile(depth=1)
"""Reliable, and only the latest counts."""

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Whoever comes late gets the latest, too."""


FAREWELL_SILENCE = SECOND // 2
"""A monitor that has not been heard for so long is not there [ns]."""

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Ctrl-C, the end of a launch, a lost terminal and its quit key: each asks a process to end safely."""

FAREWELL_PATIENCE = 5 * SECOND
"""Nobody waits longer for the arm to come to rest [ns]."""


def steady() -> int:
    """The steady clock [ns]: for silence and periods."""
    return time.monotonic_ns()


def system() -> int:
    """The clock of stamps [ns]: as a driver's, the system's time."""
    return time.time_ns()


def every(node: Node, period: float, callback: Callable[[], None]) -> Any:
    """A timer of the steady clock; period [s]."""
    return node.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


def text_parameter(node: Node, name: str, default: str = "") -> str:
    """Declare a parameter and read it."""
    return str(node.declare_parameter(name, default).value)


def station_parameter(node: Node) -> Station:
    """The station that the parameters `station` and `policy` name.

    A simulated station has the cameras of the policy's contract; a real one those of its file.

    Raises:
        InputError: there is no such station or policy.
    """
    station = load_station(text_parameter(node, "station", "sim"))
    policy = text_parameter(node, "policy")
    if policy and station.simulated and station.cameras:
        return station.with_cameras_of(contract_of(policy))
    return station


class Farewell:
    """Tells a node that is asked to end how long the others still need it: until the monitor has brought the
    arm to rest and sends nothing more, or is not there."""

    def __init__(self, node: Node) -> None:
        self._authority = ""
        self._heard_at = self._begun_at = 0
        node.create_subscription(DiagnosticArray, topics.MONITOR, self._hear, EXACT)

    def _hear(self, message: DiagnosticArray) -> None:
        self._authority, self._heard_at = convert.status(message).authority, steady()

    def begin(self) -> None:
        """The node is asked to end."""
        self._begun_at = steady()

    @property
    def over(self) -> bool:
        """Whether the node may go."""
        now = steady()
        silent = now - self._heard_at > FAREWELL_SILENCE
        return silent or self._authority == "shadow" or now - self._begun_at > FAREWELL_PATIENCE


class Ending(Protocol):
    """A node that decides itself when it ends."""

    def end(self) -> None:
        """Asked to end: as soon as that is safe."""

    @property
    def ended(self) -> bool:
        """Whether the process may end now."""


def run(make: Callable[[], Any]) -> int:
    """The life of a node's process; returns its exit status.

    The signals of `ENDINGS` mean the same: the node is told to `end`, and its process ends when it has
    `ended`.

    Args:
        make: makes the node; InputError ends the process with status 2 and says why.
    """
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        asked = True

    for number in ENDINGS:
        signal.signal(number, ask)
    node = None
    try:
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        told = False
        while not (told and node.ended):
            executor.spin_once(timeout_sec=0.1)
            if asked and not told:
                told = True
                node.end()
        return 0
    except InputError as error:
        print(f"robolearn: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
