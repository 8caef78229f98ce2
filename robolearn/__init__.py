"""Robot manipulation learning from camera pixels to joint torques.

Importing `robolearn` also prepares headless rendering. MuJoCo reads `MUJOCO_GL` once, when `mujoco` is first
imported: import `robolearn` before `mujoco`, or set the variable yourself. A value already set is kept.
"""

from __future__ import annotations

import ctypes
import os
import sys

__version__ = "0.1.0"


def _egl_loads() -> bool:
    """Whether the libraries are there that MuJoCo's EGL backend opens; `import mujoco` fails without them."""
    try:
        ctypes.CDLL("libEGL.so.1")
        ctypes.CDLL("libOpenGL.so.0")
    except OSError:
        return False
    return True


# Without a display only EGL (or OSMesa, on request) can draw. Where EGL is missing the variable stays unset,
# so that everything but pictures works and drawing one says what to install.
if sys.platform == "linux" and not {"MUJOCO_GL", "DISPLAY"} & os.environ.keys() and _egl_loads():
    os.environ["MUJOCO_GL"] = "egl"

# Mesa's software renderer then draws in the calling thread: several processes that render would otherwise
# fight over the cores with one another's helper threads. Hardware drivers ignore the variable.
os.environ.setdefault("LP_NUM_THREADS", "0")
