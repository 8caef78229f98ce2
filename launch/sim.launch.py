"""The simulated arm with everything that a real one gets: ros2 launch robolearn sim.launch.py policy:=grasp

Monitor and watchdog first; then the arm, the policy, the recorder and the episode runner. Authority is shadow
until somebody raises it:

    ros2 service call /robolearn/monitor/enable std_srvs/srv/SetBool '{data: true}'
    ros2 service call /robolearn/episodes/start std_srvs/srv/Trigger

or, for a simulated arm alone, by itself: episodes:=10 authority:=autonomous.
"""

import os
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument

sys.path.insert(0, os.path.dirname(__file__))
from processes import ARGUMENTS, node


def generate_launch_description():
    """Arguments, then processes in the order in which they start."""
    policy = ["policy", "station"]
    return LaunchDescription(
        [
            *ARGUMENTS,
            DeclareLaunchArgument("station", default_value="sim", description="a simulated station"),
            DeclareLaunchArgument("policy", default_value="grasp", description="a bundle, a run or a name"),
            DeclareLaunchArgument(
                "registry", default_value="", description="its promoted bundles alone run autonomously"
            ),
            DeclareLaunchArgument("directory", default_value="", description="of the log; empty: a new one"),
            DeclareLaunchArgument("seed", default_value="0", description="of the first episode"),
            DeclareLaunchArgument(
                "reality", default_value="", description="near, middle, far or a file; empty: as in training"
            ),
            DeclareLaunchArgument("episodes", default_value="0", description="to run without a person"),
            DeclareLaunchArgument(
                "authority", default_value="shadow", description="for those: shadow, assisted or autonomous"
            ),
            node("monitor", [*policy, "registry"], guard=True),
            node("watchdog", policy, guard=True),
            node("simulated_arm", [*policy, "seed", "reality"]),
            node("policy", policy),
            node("recorder", [*policy, "directory"]),
            node("episode", [*policy, "episodes", "authority"]),
        ]
    )
