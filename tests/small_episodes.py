"""Tiny episodes in which every number says whose it is, and a place on no disk to store them quickly."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robolearn.contract import Action, Camera, Channel, Contract
from robolearn.data.episode import Episode, Outcome, Source

CONTRACT = Contract(
    arm="two",
    joints=("shoulder", "elbow"),
    proprioception=(Channel("q", "rad", 2, per_joint=True),),
    cameras=(Camera.from_fovy("front", 4, 3, 0.8, "base", (1, 0, 1), (1, 0, 0, 0)),),
    action=Action("torque", 2, "N·m", gripper=True),
    control_rate=20,
    filter_rate=200,
    limiter={"tau_max": [87, 12]},
    delays={},
)


def small_episode(number: int = 0, steps: int = 5, reason: str = "success", **changes: Any) -> Episode:
    """An episode whose readings at step t are (number, t), and whose torques are (number, t) / 4.

    The step with t = 1 was altered by the limiter. `changes` are fields of the episode.
    """
    observed, acted = np.arange(steps + 1), np.arange(steps)
    q = np.stack([np.full(steps + 1, number), observed], 1).astype(np.float32)
    requested = np.stack([np.full(steps, number) / 4, acted / 4, np.where(acted % 2, 1.0, -1.0)], 1)
    filtered = requested[:, :2].copy()
    filtered[acted == 1, 1] -= 0.125
    values: dict[str, Any] = {
        "contract": CONTRACT,
        "observations": {
            "front": np.broadcast_to(observed[:, None, None, None] + number, (steps + 1, 3, 4, 3)).astype(
                np.uint8
            ),
            "q": q,
        },
        "requested": requested,
        "filtered": filtered,
        "sent": filtered + 0.5,
        "stamps": 0.05 * observed,
        "reward": acted / 10,
        "reward_terms": {},
        "source": np.full(steps, Source.POLICY, np.uint8),
        "outcome": Outcome(reason == "success", reason, steps, steps / 20, interventions={"rate": 3}),
        "task": "grasp",
        "config": {"clearance": 0.003},
        "seed": number,
        "info": {"mass": 0.2},
        **changes,
    }
    return Episode(**values)


def other_contract(**changes: Any) -> Contract:
    """The small episodes' contract with other fields."""
    return replace(CONTRACT, **changes)


def same(one: Episode, other: Episode) -> bool:
    """Whether two episodes are equal bit by bit, versions and all."""
    mine, its = one.arrays(), other.arrays()
    return (
        mine.keys() == its.keys()
        and all(mine[k].dtype == its[k].dtype and mine[k].tobytes() == its[k].tobytes() for k in mine)
        and all(
            getattr(one, name) == getattr(other, name)
            for name in ("contract", "outcome", "task", "config", "seed", "info", "versions")
        )
    )


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is such a thing: what waits for the disk does not wait there."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)
