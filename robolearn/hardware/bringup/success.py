"""How many episodes of a deployment succeeded, and what that says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robolearn.training.statistics import wilson_interval


def summary(successes: int, episodes: int) -> dict[str, Any]:
    """How many episodes succeeded, and the interval in which the true share lies; JSON-like."""
    interval = list(wilson_interval(successes, episodes)) if episodes else None
    return {"episodes": episodes, "successes": successes, "interval": interval, "confidence": 0.95}


def said(successes: int, episodes: int, log: Path) -> str:
    """The same in words, and where the log is."""
    words = f"{successes} of {episodes} episodes succeeded"
    if episodes:
        low, high = wilson_interval(successes, episodes)
        words += f", {successes / episodes:.3f}, 95% interval {low:.3f} to {high:.3f}"
    return f"{words}; the log is {log}"
