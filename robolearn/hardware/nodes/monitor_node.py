"""The safety monitor as a node: `python -m robolearn.hardware.nodes.monitor_node`.

Parameters: `station` (a name or file), `policy` (a bundle: a simulated station then has its cameras),
`registry` (a directory, in place of the station's `monitor.registry`) and `watchdog` (whether the arm is held
while no watchdog is heard).

    ~/estop       std_srvs/Trigger          stops the arm now
    ~/estop       std_msgs/Bool, reliable   a button: stops while true; transient local or volatile
    ~/reset       std_srvs/Trigger          leaves a stop, into shadow; refused while its cause lasts
    ~/enable      std_srvs/SetBool          true: from shadow to assisted; false: to shadow
    ~/autonomous  std_srvs/SetBool          true: from assisted to autonomous; false: back to assisted

Ctrl-C and SIGTERM ask for shadow: the process ends when the arm is at rest and, where that is allowed,
inactive. One that is stopped is left to the watchdog, which holds it and sees to the rest.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import WrenchStamped
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Bool, Float64MultiArray, Header, String
from std_srvs.srv import SetBool, Trigger

from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.hardware.monitor.decisions import Answer, Tick
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.promoted import promoted_bundles
from robolearn.hardware.monitor.states import Authority, Mode, Motion
from robolearn.hardware.nodes import convert, names
from robolearn.hardware.nodes.common import (
    EXACT,
    LATCHED,
    LATEST,
    SENSOR,
    every,
    run,
    station_parameter,
    steady,
    system,
    text_parameter,
)
from robolearn.hardware.nodes.deactivation import deactivation_port
from robolearn.hardware.nodes.gripper import Gripper
from robolearn.hardware.recording import topics
from robolearn.hardware.wire import SECOND, JointState, TorqueRequest

STATUS_PERIOD = SECOND // 10
"""The state is published so often at least, and whenever it changes [ns]."""

GRAPH_PERIOD = 0.5
"""Between two looks at who publishes to the controller [s]."""

PARTING = SECOND // 5
"""The last pulses say for so long that nothing is sent any more [ns]."""

PATIENCE = 3 * SECOND
"""An arm that is not at rest by then is left to the watchdog when the process is to end [ns]."""

NAMELESS = 4
"""Looks after which a publisher whose node's name has not become known counts as a stranger."""

GUARDS = ((names.MONITOR, names.NAMESPACE), (names.WATCHDOG, names.NAMESPACE))
"""Who may publish to the controller: node and namespace, each once."""


class MonitorNode(Node):
    """Hears everybody, and is the only one, beside the watchdog, that the arm hears."""

    def __init__(self) -> None:
        super().__init__(names.MONITOR, namespace=names.NAMESPACE)
        station = station_parameter(self)
        if registry := text_parameter(self, "registry"):
            where = str(Path(registry).expanduser().absolute())
            station = replace(station, monitor=replace(station.monitor, registry=where))
        self.station = station
        watchdog = bool(self.declare_parameter("watchdog", True).value)
        self._promoted = promoted_bundles(station)
        self.monitor = Monitor(station, watchdog=watchdog, allowed_bundles=self._promoted)
        self._state: JointState | None = None
        self._requested_stamp = 0
        self._nameless = 0
        self._told: tuple[object, ...] = ()
        self._told_at = 0
        self._ending_since: int | None = None
        self._parting_since: int | None = None
        self.ended = False

        self._command = self.create_publisher(Float64MultiArray, station.controller.command_topic, LATEST)
        self._filtered = self.create_publisher(JointStateMessage, topics.FILTERED, EXACT)
        self._sent = self.create_publisher(JointStateMessage, topics.SENT, EXACT)
        self._pulse = self.create_publisher(Header, names.PULSE, LATEST)
        self._status = self.create_publisher(DiagnosticArray, topics.MONITOR, EXACT)
        self._diagnostics = self.create_publisher(DiagnosticArray, names.DIAGNOSTICS, EXACT)
        self._port = deactivation_port(self, station)
        self._gripper = Gripper(self, station)

        listen = self.create_subscription
        listen(JointStateMessage, station.state.topic, self._on_state, SENSOR)
        listen(JointStateMessage, topics.REQUESTED, self._on_request, EXACT)
        listen(Header, topics.HEARTBEAT, self._on_heartbeat, EXACT)
        listen(String, names.CONTRACT, self._on_contract, LATCHED)
        listen(JointStateMessage, names.GUARD, self._on_watchdog, EXACT)
        listen(Bool, "~/estop", self._on_button, LATCHED)
        listen(Bool, "~/estop", self._on_button, EXACT)  # volatile publishers are heard by this one alone
        for camera in station.cameras:
            kind = Image if camera.transport == "raw" else CompressedImage
            see = partial(self._on_image, camera.name, camera.width * camera.height)
            listen(kind, camera.topic, see, SENSOR)
        if station.wrench is not None:
            listen(WrenchStamped, station.wrench.topic, self._on_wrench, SENSOR)

        serve = self.create_service
        serve(Trigger, "~/estop", self._on_estop)
        serve(Trigger, "~/reset", self._on_reset)
        serve(SetBool, "~/enable", self._on_enable)
        serve(SetBool, "~/autonomous", self._on_autonomous)
        every(self, 1.0 / station.monitor.rate, self._tick)
        every(self, GRAPH_PERIOD, self._look_around)
        gc.collect()
        gc.freeze()  # what is here stays: the collector need not look at it in mid-tick
        self.get_logger().info(f"guards station {station.name!r}; authority is shadow")
        if self._promoted is None and not station.simulated:
            self.get_logger().warning("no registry: assisted is the most that this arm is moved by")

    # --- what it hears ------------------------------------------------------------------------------------

    def _on_state(self, message: JointStateMessage) -> None:
        self._state = convert.joint_state(message)
        self.monitor.on_state(steady(), self._state)

    def _on_request(self, message: JointStateMessage) -> None:
        request = convert.torque_request(message)
        self._requested_stamp = request.stamp
        self.monitor.on_request(steady(), request)

    def _on_heartbeat(self, message: Header) -> None:
        try:
            beat = convert.heartbeat(message)
        except InputError as error:  # it is none, and whoever it was falls silent
            self.get_logger().warning(f"refused: {error}", throttle_duration_sec=1.0)
            return
        self.monitor.on_heartbeat(steady(), beat)

    def _on_contract(self, message: String) -> None:
        try:
            answer = self.monitor.announce(Contract.from_json(message.data))
        except (InputError, ArithmeticError) as error:
            answer = Answer(False, str(error))
        log = self.get_logger()
        log.info(answer.message) if answer.done else log.error(f"contract refused: {answer.message}")

    def _on_watchdog(self, message: JointStateMessage) -> None:
        owns = len(message.effort) > 0
        self.monitor.on_watchdog(steady(), owns, convert.numbers(message.effort) if owns else None)

    def _on_image(self, camera: str, pixels: int, message: Any) -> None:
        self.monitor.on_camera(steady(), convert.glimpse(message, camera, pixels))

    def _on_wrench(self, message: WrenchStamped) -> None:
        self.monitor.on_wrench(steady(), convert.wrench(message))

    def _on_button(self, message: Bool) -> None:
        self.monitor.on_button(steady(), bool(message.data))

    def _look_around(self) -> None:
        if self._promoted is not None:
            self._promoted.refresh()
            if self._promoted.trouble:
                self.get_logger().error(self._promoted.trouble, throttle_duration_sec=5.0)
        found = Counter(
            (info.node_name, info.node_namespace)
            for info in self.get_publishers_info_by_topic(self.station.controller.command_topic)
        )
        nameless = any("UNKNOWN" in name for name, _ in found)  # rmw: the name comes after the publisher
        self._nameless = self._nameless + 1 if nameless else 0
        strangers = [
            f"{namespace.rstrip('/')}/{name}"
            for (name, namespace), count in found.items()
            if ((name, namespace) not in GUARDS or count > 1)
            and ("UNKNOWN" not in name or self._nameless >= NAMELESS)
        ]
        if strangers:
            self.get_logger().error(
                f"{', '.join(strangers)} publishes on {self.station.controller.command_topic}",
                throttle_duration_sec=5.0,
            )
        self.monitor.on_publishers(steady(), strangers)

    # --- what people ask ----------------------------------------------------------------------------------

    def _answer(self, response: Any, answer: Answer) -> Any:
        response.success, response.message = answer.done, answer.message
        self.get_logger().info(("" if answer.done else "refused: ") + answer.message)
        return response

    def _on_estop(self, request: Any, response: Any) -> Any:
        self.monitor.press_stop(steady(), "a call")
        return self._answer(response, Answer(True, "stopped"))

    def _on_reset(self, request: Any, response: Any) -> Any:
        return self._answer(response, self.monitor.reset(steady(), "a call"))

    def _on_enable(self, request: Any, response: Any) -> Any:
        now = self.monitor.state.authority
        level = max(now, Authority.ASSISTED) if request.data else Authority.SHADOW
        return self._answer(response, self._set_authority(level))

    def _on_autonomous(self, request: Any, response: Any) -> Any:
        if self.monitor.state.authority is Authority.SHADOW:
            return self._answer(response, Answer(False, "authority is shadow: call ~/enable first"))
        level = Authority.AUTONOMOUS if request.data else Authority.ASSISTED
        return self._answer(response, self._set_authority(level))

    def _set_authority(self, level: Authority) -> Answer:
        if self._ending_since is not None and level > Authority.SHADOW:
            return Answer(False, "the monitor is ending")
        before = self.monitor.state.authority
        answer = self.monitor.set_authority(steady(), level, "a call")
        if before is Authority.SHADOW < self.monitor.state.authority:
            self._port.forget()  # the watchdog may have deactivated it meanwhile
            self._port.want(True)
            self._gripper.forget()
        return answer

    # --- what it does -------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now, stamp = steady(), system()
        self.monitor.on_clock(now, stamp)
        tick = self.monitor.tick(now)
        live = tick.authority > Authority.SHADOW
        # the pulse first: killed between the two, the watchdog must not believe that nothing is sent
        self._pulse.publish(convert.header(stamp, names.LIVE if live else names.SHADOW))
        if tick.publish:
            self._command.publish(convert.command_message(tick.torque))
        if tick.deactivate:
            self._port.want(False)
        self._port.spin()
        self._gripper.command(tick.gripper)
        self._report(now, stamp, tick)
        if self._ending_since is not None:
            self._leave(now, self._ending_since, tick)

    def _report(self, now: int, stamp: int, tick: Tick) -> None:
        asked = tick.motion is Motion.REQUEST or not tick.publish
        source = self._requested_stamp if asked or self._state is None else self._state.stamp
        joints = self.station.joint_names
        filtered = TorqueRequest(source, joints, tick.filtered, tick.gripper, names.MONITOR)
        self._filtered.publish(convert.torque_message(filtered))
        if tick.publish:
            sent = TorqueRequest(source, joints, tick.torque, tick.gripper, names.MONITOR)
            self._sent.publish(convert.torque_message(sent))
        telling = (tick.mode, tick.authority, tick.causes, tick.deactivate)
        if telling != self._told or now - self._told_at >= STATUS_PERIOD:
            if telling[:2] != self._told[:2]:
                causes = ", ".join(sorted(tick.causes))
                self.get_logger().info(
                    f"{tick.mode.value}, {tick.authority.label}{': ' * bool(causes)}{causes}"
                )
            self._told, self._told_at = telling, now
            message = convert.status_message(self.monitor.status(stamp))
            self._status.publish(message)
            self._diagnostics.publish(message)

    # --- how it ends --------------------------------------------------------------------------------------

    def end(self) -> None:
        """Ask for shadow; see the module's text."""
        self._ending_since = steady()
        answer = self.monitor.set_authority(steady(), Authority.SHADOW, "the end of the process")
        self.get_logger().info(f"ending: {answer.message}")

    def _leave(self, now: int, since: int, tick: Tick) -> None:
        if tick.authority is Authority.SHADOW:
            if tick.deactivate and self._port.active is not False and now - since < PATIENCE:
                return
            self._parting_since = self._parting_since or now
            self.ended = now - self._parting_since > PARTING
        elif tick.mode is Mode.STOPPED or now - since > PATIENCE:
            # without a watchdog this process is all that holds the arm
            self.ended = "watchdog_late" not in tick.causes
            if not self.ended:
                self.get_logger().error("no watchdog: I go on holding the arm", throttle_duration_sec=2.0)


def main() -> int:
    """Entry point."""
    return run(MonitorNode)


if __name__ == "__main__":
    sys.exit(main())
