"""Robot manipulation learning from camera pixels to joint torques.

Importing `robolearn` also prepares headless rendering, because MuJoCo reads `MUJOCO_GL` once, when `mujoco`
is first imported: import `robolearn` before `mujoco`, or set the variable yourself. A value already set is kept.
"""

from __future__ import annotations

import os
import sys

__version__ = "0.1.0"

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")
# Mesa's software renderer then draws in the calling thread: several processes that render would otherwise
# fight over the cores with one another's helper threads. Hardware drivers ignore the variable.
os.environ.setdefault("LP_NUM_THREADS", "0")
