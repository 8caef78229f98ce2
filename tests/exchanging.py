"""Episodes with something of everything that other formats have to carry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from robolearn.contract import Action, Camera, Channel, Contract
from robolearn.data.episode import Episode, Outcome, Source

CONTRACT = Contract(
    arm="two",
    joints=("shoulder", "elbow"),
    proprioception=(Channel("q", "rad", 2, per_joint=True), Channel("gripper", "m", 1)),
    cameras=(
        Camera.from_fovy("front", 48, 32, 0.8, "base", (1, 0, 1), (1, 0, 0, 0)),
        Camera.from_fovy("far", 8, 6, 0.8, "base", (1, 0, 1), (1, 0, 0, 0), encoding="depth"),
    ),
    action=Action("torque", 2, "N·m", gripper=True),
    control_rate=20,
    filter_rate=200,
    limiter={"tau_max": [80, 10]},
    delays={"state": 0.01},
)


def rich_episode(seed: int = 0, steps: int = 5, reason: str = "success", **changes: Any) -> Episode:
    """An episode with pictures, depth, readings, a privileged state, unequal stamps, NaN in a request.

    `changes` are fields of the episode.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :48]
    shade = np.arange(steps + 1)[:, None, None]
    front = np.stack([(x + 3 * shade) * 4, (y + 0 * shade) * 7, 0 * x + 20 * shade + seed], -1) % 256
    requested = rng.normal(size=(steps, 3))
    requested[-1] = np.nan
    filtered = rng.uniform(-1, 1, (steps, 2)) * [80, 10]
    values: dict[str, Any] = {
        "contract": CONTRACT,
        "observations": {
            "front": front.astype(np.uint8),
            "far": rng.random((steps + 1, 6, 8), np.float32),
            "q": rng.normal(size=(steps + 1, 2)).astype(np.float32),
            "gripper": rng.random((steps + 1, 1), np.float32),
            "state": rng.normal(size=(steps + 1, 9)).astype(np.float32),
            "touch": rng.random(steps + 1) < 0.5,
        },
        "requested": requested,
        "filtered": filtered,
        "sent": filtered + np.array([3.0, -2.0]),
        "stamps": 1.7e9 + np.cumsum(rng.uniform(0.04, 0.06, steps + 1)),
        "reward": rng.normal(size=steps),
        "reward_terms": {"reach": rng.random(steps), "lift": rng.random(steps)},
        "source": rng.integers(0, len(Source), steps).astype(np.uint8),
        "outcome": Outcome(
            reason == "success", reason, steps, steps / 20, 12.5, 3.0, 0, 1, {"rate": 3}, 3, 10 * steps, 4.0
        ),
        "task": "grasp",
        "config": {"clearance": 0.003, "cameras": ["front"]},
        "seed": seed,
        "info": {"mass": 0.2, "pose": [0.1, 0.2], "texture": None, "note": "schräg ☂"},
        "expert": rng.normal(size=(steps, 3)),
        "versions": {"robolearn": "0", "numpy": "2"},
        **changes,
    }
    return Episode(**values)


def flat_episode(seed: int = 0, steps: int = 5, reason: str = "success", **changes: Any) -> Episode:
    """The same without depth."""
    episode = rich_episode(seed, steps, reason, **changes)
    observations = {name: array for name, array in episode.observations.items() if name != "far"}
    contract = replace(episode.contract, cameras=episode.contract.cameras[:1])
    return replace(episode, contract=contract, observations=observations)


def contract_with(**changes: Any) -> Contract:
    """The rich episodes' contract with other fields."""
    return replace(CONTRACT, **changes)
