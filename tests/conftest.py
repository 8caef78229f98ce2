from __future__ import annotations

import os

# Set before anything imports mujoco, numpy or torch: draw without a display, and one thread each, so that no
# figure depends on how many cores there are.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ["OMP_NUM_THREADS"] = "1"

from hypothesis import settings

# The same examples in every run, however busy the machine is.
settings.register_profile("robolearn", derandomize=True, deadline=None)
settings.load_profile("robolearn")
