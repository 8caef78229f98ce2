"""Listens to a running deployment over ROS, and passes on what a person asks."""

from __future__ import annotations

import json
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from robolearn.errors import InputError
from robolearn.hardware.bringup.status import Status
from robolearn.hardware.nodes import convert, names
from robolearn.hardware.nodes.background import BackgroundNode
from robolearn.hardware.nodes.common import EXACT, LATCHED, SENSOR
from robolearn.hardware.recording import topics

PREFIX = "robolearn: "

ASK: dict[str, tuple[str, str, bool | None]] = {
    # key: what it does, service, and what is asked for where it is a SetBool
    "s": ("start", f"{names.EPISODES_NODE}/start", None),
    "r": ("ready", f"{names.EPISODES_NODE}/ready", None),
    "x": ("end episode", f"{names.EPISODES_NODE}/stop", None),
    "y": ("success", f"{names.EPISODES_NODE}/judge", True),
    "n": ("failure", f"{names.EPISODES_NODE}/judge", False),
    "e": ("enable", f"{names.MONITOR_NODE}/enable", True),
    "a": ("autonomous", f"{names.MONITOR_NODE}/autonomous", True),
    "d": ("shadow", f"{names.MONITOR_NODE}/enable", False),
    "c": ("reset", f"{names.MONITOR_NODE}/reset", None),
    " ": ("STOP", f"{names.MONITOR_NODE}/estop", None),
}
"""What a person asks for by a key."""


class Listener:
    """Fills in a status from what is published, on a thread of its own.

    Attributes:
        answer: the latest answer to what was asked.
    """

    def __init__(self, status: Status) -> None:
        self.status = status
        self.answer = ""
        self._background = BackgroundNode("up", names.NAMESPACE)
        node = self._background.node
        listen = node.create_subscription
        listen(DiagnosticArray, topics.MONITOR, self._on_monitor, EXACT)
        listen(DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, EXACT)
        listen(JointState, status.station.state.topic, self._on_state, SENSOR)
        listen(String, names.PHASE, self._on_phase, LATCHED)
        for name, topic in (("requests", topics.REQUESTED), ("torques sent", topics.SENT)):
            listen(JointState, topic, lambda message, name=name: status.came(name), EXACT)
        self._clients: dict[str, Any] = {
            service: node.create_client(Trigger if value is None else SetBool, service)
            for _, service, value in ASK.values()
        }
        self._background.start()

    def close(self) -> None:
        """Stop listening."""
        self._background.close()

    def ask(self, key: str) -> None:
        """Pass on what a key means."""
        name, service, value = ASK[key]
        client = self._clients[service]
        if not client.service_is_ready():
            self.answer = f"{name}: nobody answers"
            return
        request = Trigger.Request() if value is None else SetBool.Request(data=value)
        client.call_async(request).add_done_callback(lambda done: self._answered(name, done))

    def _answered(self, name: str, done: Any) -> None:
        response = done.result()
        if response is not None:
            self.answer = f"{name}: {'' if response.success else 'refused, '}{response.message}"

    def _on_monitor(self, message: DiagnosticArray) -> None:
        try:
            self.status.monitor = convert.status(message)
        except InputError:
            return

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for entry in message.status:
            name = entry.name.removeprefix(PREFIX)
            if entry.name.startswith(PREFIX) and name != "safety monitor":
                pairs = {pair.key: pair.value for pair in entry.values}
                self.status.reports[name] = {"": entry.message, **pairs}

    def _on_state(self, message: JointState) -> None:
        self.status.state = convert.joint_state(message)
        self.status.came("joint states")

    def _on_phase(self, message: String) -> None:
        said = json.loads(message.data)
        self.status.phase = said["phase"]
        self.status.episodes, self.status.successes = said["episodes"], said["successes"]
