"""Record while a person guides the arm: ros2 launch robolearn record.launch.py arm:=panda

The monitor stays in shadow: it sends nothing and logs what it sees. Episodes are begun, ended and judged by
the services of /robolearn/episodes; their marks carry action_source "none". Demonstrations with torques are
impedance commands that go through the monitor: see docs/deployment.md.
"""

import os
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument

sys.path.insert(0, os.path.dirname(__file__))
from processes import ARGUMENTS, node


def generate_launch_description():
    """Arguments, then processes in the order in which they start."""
    common = ["station:arm"]
    return LaunchDescription(
        [
            *ARGUMENTS,
            DeclareLaunchArgument("arm", description="a station: panda, fr3, or a file's path"),
            DeclareLaunchArgument("task", default_value="guided", description="for the marks in the log"),
            DeclareLaunchArgument("seconds", default_value="60.0", description="time limit of an episode"),
            DeclareLaunchArgument("directory", default_value="", description="of the log; empty: a new one"),
            DeclareLaunchArgument("action_source", default_value="none", description="who moves the arm"),
            node("monitor", common, guard=True),
            node("watchdog", common, guard=True),
            node("recorder", [*common, "directory"]),
            node("episode", [*common, "task", "seconds", "action_source"]),
        ]
    )
