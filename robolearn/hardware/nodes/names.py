"""What topics, services and nodes are called, beyond the topics that logs hold.

Services and topics written `~/name` in the documentation lie below their node's name.
"""

from __future__ import annotations

import os
import socket

NAMESPACE = "/robolearn"
"""Of all nodes but the simulated arm, which stands where an arm's driver would."""

MONITOR, WATCHDOG, POLICY, EPISODES, RECORDER = "monitor", "watchdog", "policy", "episodes", "recorder"
SIMULATED_ARM = "simulated_arm"

MONITOR_NODE = f"{NAMESPACE}/{MONITOR}"
WATCHDOG_NODE = f"{NAMESPACE}/{WATCHDOG}"
POLICY_NODE = f"{NAMESPACE}/{POLICY}"
EPISODES_NODE = f"{NAMESPACE}/{EPISODES}"
ARM_NODE = f"/{SIMULATED_ARM}"

PULSE = f"{MONITOR_NODE}/pulse"
"""std_msgs/Header at every tick of the monitor; its frame_id is LIVE while torques are sent."""

LIVE, SHADOW = "live", "shadow"

GUARD = f"{WATCHDOG_NODE}/torque"
"""sensor_msgs/JointState of the watchdog: what it sends while it owns the arm; no effort otherwise."""

CONTRACT = f"{POLICY_NODE}/contract"
"""std_msgs/String, latched: the contract of the policy, as JSON."""

PHASE = f"{EPISODES_NODE}/phase"
"""std_msgs/String, latched: what the episode runner is about."""

VERDICT = f"{ARM_NODE}/verdict"
"""std_msgs/String, latched: what the task's predicate says of the episode, as JSON."""

TASK = f"{ARM_NODE}/task"
"""std_msgs/String, latched: the simulated arm's task, where it begins and how long it may take, as JSON."""

DIAGNOSTICS = "/diagnostics"


def sender(node: str) -> str:
    """What a node's process calls itself in heartbeats and requests: two that run at once have two names."""
    return f"{node} {os.getpid()}@{socket.gethostname()}"
