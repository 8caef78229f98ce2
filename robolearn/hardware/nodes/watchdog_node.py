"""The watchdog as a node: `python -m robolearn.hardware.nodes.watchdog_node`.

Parameters: `station`, `policy`, as the monitor's. It publishes nothing to the arm until the monitor's pulse
is late while torques were being sent; from then on it owns the arm.

    ~/reset   std_srvs/Trigger   gives the arm back to a monitor that lives again; inactive, where allowed

It outlives Ctrl-C and SIGTERM until nobody needs it: the monitor has left in shadow, or the arm is confirmed
inactive or, where it may not be deactivated, held at rest.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Float64MultiArray, Header
from std_srvs.srv import Trigger

from robolearn.hardware.monitor.watchdog import Watchdog
from robolearn.hardware.nodes import convert, names
from robolearn.hardware.nodes.common import (
    EXACT,
    LATEST,
    SENSOR,
    every,
    run,
    station_parameter,
    steady,
    system,
)
from robolearn.hardware.nodes.deactivation import deactivation_port
from robolearn.hardware.recording import topics
from robolearn.hardware.wire import SECOND, TorqueRequest

SILENT_PERIOD = SECOND // 20
"""While it does not own the arm, it says that it is there so often [ns]."""


class WatchdogNode(Node):
    """Takes the arm when the monitor falls silent."""

    def __init__(self) -> None:
        super().__init__(names.WATCHDOG, namespace=names.NAMESPACE)
        self.station = station = station_parameter(self)
        self.watchdog = Watchdog(station)
        self._port = deactivation_port(self, station)
        self._owned = False
        self._said_at = 0
        self._ending = False

        self._command = self.create_publisher(Float64MultiArray, station.controller.command_topic, LATEST)
        self._sent = self.create_publisher(JointStateMessage, topics.SENT, EXACT)
        self._guard = self.create_publisher(JointStateMessage, names.GUARD, EXACT)
        self.create_subscription(JointStateMessage, station.state.topic, self._on_state, SENSOR)
        self.create_subscription(Header, names.PULSE, self._on_pulse, LATEST)
        self.create_subscription(
            Float64MultiArray, station.controller.command_topic, self._on_command, LATEST
        )
        self.create_service(Trigger, "~/reset", self._on_reset)
        every(self, 1.0 / station.monitor.rate, self._tick)
        gc.collect()
        gc.freeze()
        self.get_logger().info(f"watches the monitor of station {station.name!r}")

    @property
    def ended(self) -> bool:
        """Whether nobody needs it any more."""
        return self.watchdog.may_exit

    def end(self) -> None:
        """See the module's text."""
        self._ending = True
        self.watchdog.end()

    def _on_state(self, message: JointStateMessage) -> None:
        self.watchdog.on_state(steady(), convert.joint_state(message))

    def _on_pulse(self, message: Header) -> None:
        self.watchdog.on_monitor(steady(), message.frame_id == names.LIVE)

    def _on_command(self, message: Float64MultiArray) -> None:
        self.watchdog.on_command(steady(), convert.numbers(message.data))

    def _on_reset(self, request: Any, response: Any) -> Any:
        answer = self.watchdog.reset(steady(), "a call")
        response.success, response.message = answer.done, answer.message
        if answer.done:
            # the monitor begins in shadow and sends nothing: an arm that may be inactive waits so
            self._port.forget()
            self._port.want(False)
        self.get_logger().info(("" if answer.done else "refused: ") + answer.message)
        return response

    def _tick(self) -> None:
        now, stamp = steady(), system()
        self.watchdog.on_clock(now, stamp)
        watch = self.watchdog.tick(now)
        if watch.publish:
            self._command.publish(convert.command_message(watch.torque))
            sent = TorqueRequest(stamp, self.station.joint_names, watch.torque, sender=names.WATCHDOG)
            self._sent.publish(convert.torque_message(sent))
        if watch.deactivate:
            self._port.want(False)
        self._port.spin()
        self.watchdog.on_inactive(now, watch.deactivate and self._port.active is False)
        if watch.owns != self._owned:
            self._owned = watch.owns
            if watch.owns:
                self._port.forget()
                self.get_logger().error("the monitor is silent: the arm is mine")
        # that it is there, it says only as long as it would notice the monitor's death: the monitor holds the
        # arm until it is told so
        guards = self.watchdog.hears(now) and now - self._said_at >= SILENT_PERIOD
        if watch.owns or guards:
            self._said_at = now
            torque = watch.torque if watch.owns else np.zeros(0)
            said = TorqueRequest(stamp, self.station.joint_names, torque, sender=names.WATCHDOG)
            self._guard.publish(convert.torque_message(said))
        if self._ending and not self.ended:
            self.get_logger().warning("not yet: the arm needs me", throttle_duration_sec=2.0)


def main() -> int:
    """Entry point."""
    return run(WatchdogNode)


if __name__ == "__main__":
    sys.exit(main())
