"""Phases of a manipulation, from what an arm measures: where the hand is and what the fingers do.

No task has to say which phases it has. What every one has is a gripper that is told to open or close, fingers
that meet something or nothing, and a height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.store.manifest import EpisodeRow
from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.model import ArmModel

Array = NDArray[Any]

PHASES = ("approach", "near", "closing", "holding low", "holding high")
"""Open and high, open and low, told to close and nothing held yet, holding something low, holding it high."""

READINGS = ("q", "gripper")

HELD_WIDTH = 2e-3
"""Fingers that are told to close and rest at least so far apart hold something [m]."""

REST = 5e-3
"""Rate of the fingers' distance below which they rest [m/s]."""


def read_phases(store: Store, episodes: Sequence[EpisodeRow]) -> NDArray[np.int64]:
    """The phase in which each action of some episodes was sent, as a place in `PHASES`, (N,).

    Raises:
        InputError: the store has no joint positions or no gripper readings, or its arm is not known.
    """
    columns = store.columns()
    model = ArmModel(load_arm(store.contract(episodes[0]).arm))
    readings = [
        {
            name: columns[f"observations/{name}"].span(row.first, row.first + row.steps)
            for name in READINGS
            if f"observations/{name}" in columns
        }
        for row in episodes
    ]
    split = middle_height(np.concatenate([heights(model, entry) for entry in readings]))
    told = [columns["requested"].span(row.first, row.first + row.steps)[:, -1] for row in episodes]
    return np.concatenate(
        [phases(model, entry, closed > 0, split) for entry, closed in zip(readings, told, strict=True)]
    )


def phases(
    model: ArmModel, observations: Mapping[str, Array], closed: Array, split: float
) -> NDArray[np.int64]:
    """The phase of each observation of an episode, as a place in `PHASES`.

    Args:
        model: of the arm.
        observations: with the joint positions "q" (R, n) [rad] and the gripper's width and its rate "gripper"
            (R, 2) [m, m/s].
        closed: whether the gripper is told to close, bool (R,).
        split: height of the grip point in the base frame between low and high [m], see `middle_height`.

    Raises:
        InputError: a reading is missing.
    """
    high = heights(model, observations) > split
    width, rate = _reading(observations, "gripper").T
    held = closed & (width > HELD_WIDTH) & (np.abs(rate) < REST)
    return np.select([~closed & high, ~closed, ~held, ~high], [0, 1, 2, 3], 4)


def heights(model: ArmModel, observations: Mapping[str, Array]) -> NDArray[np.float64]:
    """Height of the grip point in the base frame at every observation, (R,) [m].

    Raises:
        InputError: the joint positions are missing.
    """
    q = _reading(observations, "q").astype(np.float64)
    return np.asarray(model.grip(model.frames(q))[..., 2, 3], np.float64)


def middle_height(high_and_low: Array) -> float:
    """Half-way between the heights at which the hand works and those from which it comes [m].

    Args:
        high_and_low: heights met in many episodes, (R,) [m].
    """
    low, high = np.quantile(high_and_low, [0.05, 0.95])
    return float(low + high) / 2.0


def _reading(observations: Mapping[str, Array], name: str) -> Array:
    if name not in observations:
        there = ", ".join(observations)
        raise InputError(f"phases are told by the readings q and gripper; there is no {name!r}, only {there}")
    return observations[name]
