"""What the episodes of one store have in common, and how an episode becomes columns of rows.

A layout is a mapping from things to what they are, in words ("camera front" to "64 x 64 rgb8"), so that the
difference between two of them reads as the list of gaps that a person wants to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.episode import Episode
from robolearn.errors import InputError
from robolearn.gaps import Gap

Array = NDArray[Any]

OPTIONAL = ("expert", "reward_terms")
"""Columns (or their groups) that some episodes of a store may have and others not."""


@dataclass(frozen=True)
class ColumnKind:
    """One column: its name as in `Episode.arrays`, and the dtype and shape of a row."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Size of a row [bytes]."""
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))

    @property
    def optional(self) -> bool:
        """Whether an episode may lack it."""
        return self.name.partition("/")[0] in OPTIONAL


def layout_of(episode: Episode) -> dict[str, str]:
    """An episode's layout: arm, joints, action, control rate, cameras, channels and further observations.

    Raises:
        InputError: the episode lacks an observation that its contract names.
    """
    contract, action = episode.contract, episode.contract.action
    layout = {
        "arm": contract.arm,
        "joints": ", ".join(contract.joints),
        "action": f"{action.kind}, {action.size} x {action.unit}{', gripper' if action.gripper else ''}",
        "control rate": f"{contract.control_rate:g} Hz",
    }
    for camera in contract.cameras:
        layout[f"camera {camera.name}"] = f"{camera.width} x {camera.height} {camera.encoding}"
    for channel in contract.proprioception:
        layout[f"channel {channel.name}"] = f"{channel.size} x {channel.unit}"
    named = [camera.name for camera in contract.cameras]
    named += [channel.name for channel in contract.proprioception]
    if missing := [name for name in named if name not in episode.observations]:
        raise InputError(f"the episode lacks the observations {', '.join(missing)} that its contract names")
    for name in sorted(episode.observations.keys() - set(named)):
        rows = stored(f"observations/{name}", episode.observations[name])
        layout[f"observation {name}"] = f"{rows.dtype} of shape {rows.shape[1:]}"
    return layout


def gaps_between(store: Mapping[str, str], other: Mapping[str, str]) -> list[Gap]:
    """Every difference of another layout from that of a store."""
    things = [*store, *(thing for thing in other if thing not in store)]
    pairs = [(thing, store.get(thing, "none"), other.get(thing, "none")) for thing in things]
    return [Gap(thing, *pair) for thing, *pair in pairs if pair[0] != pair[1]]


def stored(name: str, array: Array) -> Array:
    """An array of an episode as it is kept.

    Readings and depth are float32, as policies see them; what was done, its stamps and its reward are
    float64, so that what the limiter changed can be told bit by bit; everything else keeps its type.
    """
    if name.startswith("observations/"):
        dtype = np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    else:
        dtype = np.dtype(np.uint8 if name == "source" else np.float64)
    return np.ascontiguousarray(array, dtype)


def columns_of(episode: Episode) -> dict[ColumnKind, Array]:
    """What of an episode goes into which column: T + 1 rows of observations and stamps, T of the others."""
    arrays = {name: stored(name, array) for name, array in episode.arrays().items()}
    return {ColumnKind(name, array.dtype.str, array.shape[1:]): array for name, array in arrays.items()}


def refused(requested: Array, filtered: Array) -> NDArray[np.bool_]:
    """Whether torques (M, n) were asked for that the arm did not get, (M,).

    Where nothing was asked for (NaN: the monitor held the arm, or a person led it by hand) nothing was
    refused.
    """
    return np.asarray(np.isfinite(requested).all(1) & (requested != filtered).any(1))
