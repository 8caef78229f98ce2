"""What the trusted processes load."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rclpy")

FORBIDDEN = {
    "torch",
    "numba",
    "mujoco",
    "scipy",
    "cv2",
    "safetensors",
    "gymnasium",
    "rosbags",
    "mcap",
    "rich",
}


@pytest.mark.parametrize("name", ["monitor", "watchdog"])
def test_monitor_and_watchdog_load_no_simulator_and_nothing_learned(name: str) -> None:
    program = (
        f"import sys, robolearn.hardware.nodes.{name}_node;"
        "print(*{module.partition('.')[0] for module in sys.modules});"
        "print(*(module for module in sys.modules if module.startswith('robolearn.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    packages, modules = (set(line.split()) for line in done.stdout.splitlines()[-2:])
    assert not packages & FORBIDDEN
    assert not [
        m for m in modules if m.startswith(("robolearn.policies", "robolearn.envs", "robolearn.training"))
    ]
    # messages that plain ROS lacks are imported where a station asks for them
    assert not packages & {"controller_manager_msgs", "control_msgs", "franka_msgs"}
