"""Episodes with nothing wrong, to put one fault at a time into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from robolearn.contract import Action, Camera, Channel, Contract
from robolearn.data.doctor.examination import Examination, examine
from robolearn.data.doctor.finding import Finding
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.data.store import Store
from robolearn.envs.randomisation import RICH
from tests.small_episodes import quick_folder

JOINTS = ("shoulder", "elbow", "wrist")

CONTRACT = Contract(
    arm="three",
    joints=JOINTS,
    proprioception=(
        Channel("q", "rad", 3, per_joint=True),
        Channel("dq", "rad/s", 3, per_joint=True),
        Channel("tau", "N·m", 3, per_joint=True),
        Channel("gripper", "m, m/s", 2),
        Channel("wrench", "N, N·m", 6),
    ),
    cameras=(
        Camera.from_fovy("front", 12, 9, 0.8, "base", (1, 0, 1), (1, 0, 0, 0)),
        Camera.from_fovy("hand", 8, 8, 1.1, "hand", (0, 0, 0.1), (1, 0, 0, 0)),
    ),
    action=Action("torque", 3, "N·m", gripper=True),
    control_rate=20,
    filter_rate=200,
    limiter={
        "tau_max": [80.0, 40.0, 10.0],
        "dtau": [1.0, 1.0, 1.0],
        "q_lo": [-2.5, -2.5, -2.5],
        "q_hi": [2.5, 2.5, 2.5],
        "dq_max": [2.0, 2.0, 2.5],
    },
    delays={"observation": 0.02, "action": 0.02},
)


def healthy(number: int = 0, steps: int = 60, reason: str = "success", **changes: Any) -> Episode:
    """An arm of three joints that swings at random, seen by two cameras; `changes` are fields of the episode.

    Positions are the integral of speeds; pictures show patterns that shift with the joints.
    """
    rng = np.random.default_rng(number)
    stamps = 0.05 * np.arange(steps + 1)
    waves = 2 * np.pi * rng.uniform(0.1, 2.0, (6, 3))  # rad/s
    height, phase = rng.uniform(0.1, 0.5, (6, 3)), rng.uniform(0, 2 * np.pi, (6, 3))
    angle = waves * stamps[:, None, None] + phase
    dq = (height * np.cos(angle)).sum(1)
    q = (height / waves * (np.sin(angle) - np.sin(phase))).sum(1) + rng.uniform(-0.03, 0.03, 3)
    filtered = 4.0 * height.mean(0) * np.sin(waves[0] * stamps[:-1, None] + phase[0])
    grip = np.where(np.arange(steps) < steps // 2, -1.0, 1.0)
    width = 0.08 * (1.0 - np.clip((stamps - stamps[steps // 2]) / 0.3, 0.0, 1.0))
    return Episode(
        **{
            "contract": CONTRACT,
            "observations": {
                "front": _seen(q * [1.0, 0.7, 0.3], 9, 12),
                "hand": _seen(q, 8, 8),
                "q": q.astype(np.float32),
                "dq": dq.astype(np.float32),
                "tau": np.concatenate([filtered[:1], filtered]).astype(np.float32),
                "gripper": np.stack([width, np.gradient(width, 0.05)], 1).astype(np.float32)
                if steps > 1
                else np.zeros((steps + 1, 2), np.float32),
                "wrench": np.concatenate([q, dq], 1).astype(np.float32),
            },
            "requested": np.concatenate([filtered, grip[:, None]], 1),
            "filtered": filtered,
            "sent": filtered + np.cos(q[:-1]),
            "stamps": stamps,
            "reward": np.zeros(steps),
            "reward_terms": {},
            "source": np.full(steps, Source.POLICY, np.uint8),
            "outcome": Outcome(
                reason == "success", reason, steps, steps / 20, interventions={"rate": 0}, altered_ticks=0
            ),
            "task": "swing",
            "config": {"randomisation": "rich"},
            "seed": number,
            "info": RICH.sample(np.random.default_rng([number, 1]), 7, ("front", "hand")),
            **changes,
        }
    )


def seeing(episode: Episode, **observations: Any) -> Episode:
    """The episode with other observations."""
    return replace(episode, observations={**episode.observations, **observations})


def having(episode: Episode, **fields: Any) -> Episode:
    """The episode with other fields of its contract."""
    return replace(episode, contract=replace(episode.contract, **fields))


def examined(episodes: Iterable[Episode], origin: str = "log", **told: Any) -> Examination:
    """What the doctor finds in a store of these."""
    with quick_folder() as folder, Store.create(folder / "store") as store:
        with store.group():
            for episode in episodes:
                store.add(episode, origin=origin, policy="p", **told)
        return examine(store)


def findings_in(*episodes: Episode, **told: Any) -> list[Finding]:
    """The findings in a store of these."""
    return examined(episodes, **told).findings


def _seen(shift: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pictures of a pattern, each colour of which shifts with a joint (T, 3): uint8 (T, height, width, 3)."""
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([0.5 * columns + 0.2 * rows, 0.3 * columns - 0.4 * rows, 0.6 * rows], -1)
    return np.round(127 + 90 * np.sin(waves + 4.0 * shift[:, None, None, :])).astype(np.uint8)
