"""Real processes of a deployment, and a client that hears and asks: for the tests of the nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header
from std_srvs.srv import SetBool, Trigger

from robolearn.hardware.nodes import convert, names
from robolearn.hardware.nodes.background import BackgroundNode
from robolearn.hardware.nodes.common import EXACT, LATEST, SENSOR, steady, system
from robolearn.hardware.recording import topics
from robolearn.hardware.station import Station, load_station, save_station
from robolearn.hardware.wire import Heartbeat, MonitorStatus, TorqueRequest

PATIENCE = 5.0
"""Time for the answer to a call [s]; compiling a scene takes seconds."""

_DOMAINS = count(os.getpid() % 80)


def domain() -> int:
    """A DDS domain that no other test of this process has."""
    return 10 + next(_DOMAINS) % 80


def patient_station(path: Path) -> Station:
    """The simulated station for a machine that is busy: late is later, cameras are slow; saved as a file."""
    station = load_station("sim")
    monitor = replace(
        station.monitor,
        state_age=0.03,
        hold=replace(station.monitor.hold, ramp_time=0.05),
        request_age=1.0,
        camera_age=2.0,
        heartbeat_timeout=2.0,
        watchdog_timeout=0.05,
        deadline_misses=100,
        future_tolerance=0.05,
    )
    cameras = tuple(replace(camera, rate=5.0) for camera in station.cameras)
    station = replace(station, monitor=monitor, cameras=cameras)
    save_station(station, path)
    return load_station(path)


class Wire:
    """A client in a domain of its own; hears what the monitor, the watchdog and the arm publish.

    Attributes:
        commands: what reached the controller's topic: time by the steady clock [ns], torque.
        pulses: stamps of the monitor's pulse, and whether torques are sent.
        guards: stamps of the watchdog's messages, and whether it owns the arm.
        status, state: the newest.
    """

    def __init__(self, station: Station) -> None:
        self.domain = domain()
        self.station = station
        self.commands: list[tuple[int, np.ndarray]] = []
        self.pulses: list[tuple[int, bool]] = []
        self.guards: list[tuple[int, bool]] = []
        self.status: MonitorStatus | None = None
        self.state: Any = None
        self.request: np.ndarray | None = None
        """What is asked for at 50 Hz (n,) [N·m], on top of a damper; None asks for nothing."""
        self._clients: dict[str, Any] = {}
        self._background = BackgroundNode("test", domain=self.domain)
        self.node = node = self._background.node
        listen = node.create_subscription
        listen(Float64MultiArray, station.controller.command_topic, self._on_command, EXACT)
        listen(Header, names.PULSE, self._on_pulse, EXACT)
        listen(JointState, names.GUARD, self._on_guard, EXACT)
        listen(DiagnosticArray, topics.MONITOR, self._on_status, EXACT)
        listen(JointState, station.state.topic, self._on_state, SENSOR)
        self._requests = node.create_publisher(JointState, topics.REQUESTED, EXACT)
        self._heartbeats = node.create_publisher(Header, topics.HEARTBEAT, EXACT)
        node.create_timer(0.02, self._ask)
        self._background.start()

    def close(self) -> None:
        self._background.close()

    def _on_command(self, message: Float64MultiArray) -> None:
        self.commands.append((steady(), convert.numbers(message.data)))

    def _on_pulse(self, message: Header) -> None:
        self.pulses.append(
            (message.stamp.sec * 10**9 + message.stamp.nanosec, message.frame_id == names.LIVE)
        )

    def _on_guard(self, message: JointState) -> None:
        self.guards.append((convert.stamp_of(message.header), len(message.effort) > 0))

    def _on_status(self, message: DiagnosticArray) -> None:
        self.status = convert.status(message)

    def _on_state(self, message: JointState) -> None:
        self.state = convert.joint_state(message)

    def _ask(self) -> None:
        if self.request is None:
            return
        self._heartbeats.publish(convert.heartbeat_message(Heartbeat(system(), "test")))
        speed = np.zeros(7) if self.state is None else self.state.velocity[:7]
        torque = self.request - 0.2 * self.station.arm.limiter.wall_damping * speed  # at 50 Hz
        request = TorqueRequest(system(), self.station.joint_names, torque, sender="test")
        self._requests.publish(convert.torque_message(request))

    def call(self, kind: Any, service: str, timeout: float = 30.0, **fields: Any) -> Any:
        """Call a service; its response. One that does not come is asked for again, as a person would."""
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        assert client.wait_for_service(timeout), f"nobody serves {service}"
        deadline = time.monotonic() + timeout
        while True:
            future = client.call_async(kind.Request(**fields))
            again = time.monotonic() + PATIENCE
            while not future.done() and time.monotonic() < again:
                time.sleep(0.01)
            if future.done():
                return future.result()
            assert time.monotonic() < deadline, f"no answer within {timeout:g} s: {service}"

    def trigger(self, service: str) -> Any:
        return self.call(Trigger, service)

    def set(self, service: str, value: bool) -> Any:
        return self.call(SetBool, service, data=value)

    def stranger(self) -> Callable[[], None]:
        """Somebody else publishes on the controller's topic; returns what ends that."""
        publisher = self.node.create_publisher(
            Float64MultiArray, self.station.controller.command_topic, LATEST
        )
        return lambda: self.node.destroy_publisher(publisher)


class Processes:
    """Nodes as processes in the wire's domain."""

    def __init__(self, wire: Wire, directory: Path) -> None:
        self._wire, self._directory = wire, directory
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, **parameters: object) -> None:
        """Start a node; its output goes into a file of the directory."""
        words = [sys.executable, "-u", "-m", f"robolearn.hardware.nodes.{name}_node", "--ros-args"]
        for key, value in {"station": str(self._wire.station.path), **parameters}.items():
            words += ["-p", f"{key}:={value}"]
        self.launch(name, words)

    def launch(self, name: str, words: list[str]) -> None:
        """Start any process."""
        environment = {
            **os.environ,
            "ROS_DOMAIN_ID": str(self._wire.domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        }
        with (self._directory / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(words, stdout=log, stderr=log, env=environment)

    def signal(self, name: str, number: signal.Signals) -> None:
        self.running[name].send_signal(number)

    def exit_status(self, name: str, timeout: float = 30.0) -> int:
        """How it ended; waits for it."""
        return self.running[name].wait(timeout)

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()

    def output(self) -> str:
        """What all of them printed."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')}"
            for path in sorted(self._directory.glob("*.log"))
        )


def wait(condition: Callable[[], object], timeout: float, what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.01)
