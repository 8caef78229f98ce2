"""The teachers at work, for tests of the tasks."""

from __future__ import annotations

from typing import Any

from robolearn.envs.base import ManipulationEnv


def solve(env: ManipulationEnv, seed: int) -> dict[str, Any]:
    """Let the teacher act to the end; the last step's info."""
    env.reset(seed=seed)
    while True:
        *_, terminated, truncated, info = env.step(env.teacher())
        if terminated or truncated:
            return info
