"""Room for pictures in Fast DDS, which ROS 2 speaks unless told otherwise.

What a process publishes to others of its computer waits in shared memory of its own, and by default half a
megabyte has to do: a raw picture of 640x480 has 0.9. Most of them are lost, silently, for cameras publish
with best effort. `fastdds.xml` gives a process 16 MiB. Only whoever publishes pictures needs it: the
simulated arm takes it by itself, a camera's driver when it is started with

    export FASTRTPS_DEFAULT_PROFILES_FILE=$(python -m robolearn.hardware.nodes.large_messages)

Other implementations of DDS do not read these variables.
"""

from __future__ import annotations

import os
from pathlib import Path

PROFILE = Path(__file__).with_name("fastdds.xml")

VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS looks for a profile: up to its version 2, and from 3 on."""


def make_room() -> None:
    """Let this process have more shared memory; to be called before rclpy is initialised.

    An environment that names a profile already keeps it.
    """
    if not any(name in os.environ for name in VARIABLES):
        os.environ.update(dict.fromkeys(VARIABLES, str(PROFILE)))


if __name__ == "__main__":
    print(PROFILE)
