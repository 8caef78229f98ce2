"""What the real arm needs: profiles, limiter, safety monitor. Imports no simulator and no learning code."""

from __future__ import annotations

# reached through the link `hardware` of the repository every class would exist twice
if __name__ != "robolearn.hardware":
    raise ImportError(f"{__name__!r} is a link for readers: import robolearn.hardware instead")
