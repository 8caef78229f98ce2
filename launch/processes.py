"""What the launch files share: how a node becomes a process.

Nodes are started as `python -m robolearn.hardware.nodes.NAME_node`, not as a package's executables: so one
launch file serves an installed package, a source tree and a virtual environment alike.

Monitor and watchdog run in the Python that runs `ros2 launch`; they need packages of the distribution only.
The others may need more (torch, mcap, mujoco): the argument `python` is the interpreter of an environment
that has it, made with `--system-site-packages` so that it sees ROS.

On Ctrl-C every process hears it at once, from the terminal and from launch. The policy and the others end;
monitor and watchdog end when the arm is at rest (see their modules), so they get longer than launch's usual
five seconds before it turns to SIGTERM, which means the same to them, and to SIGKILL.
"""

import sys

from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration

ARGUMENTS = (
    DeclareLaunchArgument(
        "python", default_value=sys.executable, description="interpreter for all but monitor and watchdog"
    ),
)

GUARD_PATIENCE = {"sigterm_timeout": "15", "sigkill_timeout": "15"}
"""Seconds that monitor and watchdog have after SIGINT until SIGTERM, and after that until SIGKILL."""

NUMBERS = {"seed", "seconds", "episodes"}
"""Parameters that are no texts."""


def node(name, arguments, guard=False, condition=None):
    """The process of a node.

    Args:
        name: of its module, without "_node".
        arguments: launch arguments that are parameters of it, too; "parameter:argument" where names differ.
        guard: whether it belongs to the trusted part.
        condition: of its being started at all.
    """
    interpreter = sys.executable if guard else LaunchConfiguration("python")
    parameters = []
    for argument in arguments:
        parameter, _, source = argument.partition(":")
        value = LaunchConfiguration(source or parameter)
        quote = "" if parameter in NUMBERS else "'"  # a text may be empty, or look like a number
        parameters += ["-p", [f"{parameter}:={quote}", value, quote]]
    return ExecuteProcess(
        cmd=[interpreter, "-u", "-m", f"robolearn.hardware.nodes.{name}_node", "--ros-args", *parameters],
        name=name,
        output="screen",
        condition=condition,
        **(GUARD_PATIENCE if guard else {}),
    )
