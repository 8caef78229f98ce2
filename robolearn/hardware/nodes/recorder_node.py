"""The recorder as a node: `python -m robolearn.hardware.nodes.recorder_node`.

Parameters: `station`, `policy` and `directory` (of the new log; the default is a new one, named after the
time, in the station's recorder.directory). Messages are recorded as the bytes that came.

A topic is subscribed to when its publisher appears, with the quality of service that it offers.
"""

from __future__ import annotations

import importlib
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from robolearn.hardware.nodes import convert, names
from robolearn.hardware.nodes.common import (
    EXACT,
    Farewell,
    every,
    run,
    station_parameter,
    system,
    text_parameter,
)
from robolearn.hardware.recording.background import RecorderThread, Status
from robolearn.hardware.recording.topics import Topic, station_topics
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.station import Station

LOOK_PERIOD = 0.2
"""Between two looks for publishers [s]."""

DIAGNOSTIC = "robolearn: recorder"
"""DiagnosticStatus.name of the recorder's report."""

DEPTH = 1000
"""Messages that wait for this process, at most: some seconds of joint states."""


class RecorderNode(Node):
    """Writes all that happens at a station into a log."""

    def __init__(self) -> None:
        super().__init__(names.RECORDER, namespace=names.NAMESPACE)
        station = station_parameter(self)
        directory = log_directory(station, text_parameter(self, "directory"))
        settings = station.recorder
        topics = station_topics(station)
        recorder = Recorder(directory, topics, round(1e6 * settings.split_size), settings.flush_interval)
        self._diagnostics = self.create_publisher(DiagnosticArray, names.DIAGNOSTICS, EXACT)
        self._thread = RecorderThread(recorder, self._announce, settings.flush_interval)
        self._waiting = {topic.name: topic for topic in topics}
        self._farewell = Farewell(self)
        every(self, LOOK_PERIOD, self._look)
        every(self, 1.0, lambda: self._report(self._thread.status()))
        self._look()
        self.get_logger().info(f"records into {directory}")

    def end(self) -> None:
        """The stop belongs into the log, too."""
        self._farewell.begin()

    @property
    def ended(self) -> bool:
        """Whether the arm is at rest; what waits is then written, and the log ended."""
        if self._farewell.over:
            status = self._thread.close()
            if status.lost or status.trouble:
                self._announce(status)
        return self._farewell.over

    def _look(self) -> None:
        for topic in list(self._waiting.values()):
            found = self.get_publishers_info_by_topic(topic.name)
            if found:
                del self._waiting[topic.name]
                self._subscribe(topic, [info.qos_profile for info in found])

    def _subscribe(self, topic: Topic, offered: list[QoSProfile]) -> None:
        reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
        latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
        qos = QoSProfile(
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        self.create_subscription(
            _message_class(topic.type), topic.name, partial(self._take, topic.name), qos, raw=True
        )

    def _take(self, topic: str, data: bytes) -> None:
        now = system()
        self._thread.write(topic, now, now, data)

    def _announce(self, status: Status) -> None:
        """Called from another thread, when trouble comes or goes."""
        lost = sum(status.lost.values())
        words = status.trouble or "recording"
        log = self.get_logger()
        say = log.error if status.trouble else log.warning if lost else log.info
        say(f"{words}; {lost} messages lost so far" if lost else words)

    def _report(self, status: Status) -> None:
        lost = sum(status.lost.values())
        pairs = [("behind", f"{status.behind / 1e6:.1f} MB"), ("lost", str(lost))]
        pairs += [(f"lost {topic}", str(count)) for topic, count in status.lost.items()]
        level = 2 if status.trouble else 1 if lost else 0
        entry = convert.diagnostic(DIAGNOSTIC, level, status.trouble or "recording", pairs)
        self._diagnostics.publish(convert.diagnostics_message(system(), entry))


def log_directory(station: Station, given: str) -> Path:
    """Where a new log goes."""
    if given:
        return Path(given).expanduser()
    return Path(station.recorder.directory).expanduser() / time.strftime(f"{station.name}-%Y%m%d-%H%M%S")


def _message_class(type_name: str) -> Any:
    """The class of "sensor_msgs/msg/JointState"."""
    package, _, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def main() -> int:
    """Entry point."""
    return run(RecorderNode)


if __name__ == "__main__":
    sys.exit(main())
