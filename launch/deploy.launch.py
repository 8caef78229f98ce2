"""A policy on an arm: ros2 launch robolearn deploy.launch.py policy:=BUNDLE arm:=panda

The arm's driver runs already, with its effort controller inactive or active (docs/deployment.md). `arm` is a
station: the name of a shipped one or a file of your own; arm:=sim is the simulated arm. Authority is shadow
until a person raises it; the policy runs and everything is recorded meanwhile. What moves a real arm
autonomously must be promoted by `registry` (or the station's monitor.registry).
"""

import os
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PythonExpression

sys.path.insert(0, os.path.dirname(__file__))
from processes import ARGUMENTS, node


def generate_launch_description():
    """Arguments, then processes in the order in which they start."""
    common = ["policy", "station:arm"]
    simulated = IfCondition(PythonExpression(["'", LaunchConfiguration("arm"), "' == 'sim'"]))
    return LaunchDescription(
        [
            *ARGUMENTS,
            DeclareLaunchArgument("arm", description="a station: panda, fr3, sim, or a file's path"),
            DeclareLaunchArgument("policy", description="a bundle's or a run's directory, or a name"),
            DeclareLaunchArgument(
                "registry", default_value="", description="its promoted bundles alone run autonomously"
            ),
            DeclareLaunchArgument("onnx", default_value="", description="run this export in place of torch"),
            DeclareLaunchArgument("task", default_value="grasp", description="for the marks in the log"),
            DeclareLaunchArgument("seconds", default_value="0.0", description="time limit; 0.0: the default"),
            DeclareLaunchArgument("directory", default_value="", description="of the log; empty: a new one"),
            node("monitor", [*common, "registry"], guard=True),
            node("watchdog", common, guard=True),
            node("simulated_arm", common, condition=simulated),
            node("policy", [*common, "onnx"]),
            node("recorder", [*common, "directory"]),
            node("episode", [*common, "task", "seconds"]),
        ]
    )
