"""Which of an episode's arrays stands in which of LeRobot's columns, and what `info.json` says of them.

A frame is an observation and the action that followed it, so a column has T rows. What LeRobot's policies
look for has its usual name: `observation.images.CAMERA`, `observation.state` (all channels of the contract,
side by side), `action`, `next.reward`. The rest is `complementary_info.*`, which they carry along and do not
act on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.contract import Contract
from robolearn.data.episode import Episode
from robolearn.data.exchange.actions import action_names

Array = NDArray[Any]

VERSION = "v3.0"
STATE, ACTION, SUCCESS = "observation.state", "action", "next.success"
DONE, TRUNCATED, REWARD = "next.done", "next.truncated", "next.reward"

EXACT = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
)
"""Dtypes of numbers that a column holds bit by bit."""

BOOKKEEPING = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Features that every dataset has, each one number a frame."""


@dataclass(frozen=True)
class Column:
    """A column for one array of an episode.

    Attributes:
        key: LeRobot's name.
        kind: "picture" (uint8, RGB), "depth" (float32, metres) or "numbers".
        dtype: of a row, native.
        shape: of a row.
    """

    key: str
    kind: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def holds(self, array: Array) -> bool:
        """Whether an array's rows come out of the column as they went in."""
        return array.dtype == self.dtype and array.dtype.isnative and array.shape[1:] == self.shape

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return int(np.prod(self.shape))


def column_of(name: str, dtype: np.dtype[Any], shape: tuple[int, ...], contract: Contract) -> Column | None:
    """The column of an array by its name in `Episode.arrays` and its rows' dtype and shape.

    None for the contract's channels, which stand in `observation.state`, and for what no column can hold.
    """
    group, _, key = name.partition("/")
    if group == "observations":
        if any(channel.name == key for channel in contract.proprioception):
            return None
        depth = any(camera.name == key and camera.encoding == "depth" for camera in contract.cameras)
        if depth and dtype == np.float32:
            return Column(f"observation.images.{key}", "depth", dtype, shape)
        if dtype == np.uint8 and len(shape) == 3 and shape[2] == 3 and min(shape) > 0:
            return Column(f"observation.images.{key}", "picture", dtype, shape)
        key = f"complementary_info.observation.{key}"
    else:
        key = REWARD if name == "reward" else f"complementary_info.{name.replace('/', '.')}"
    fits = dtype.name in EXACT and 0 not in shape
    return Column(key, "numbers", dtype.newbyteorder("="), shape) if fits else None


@dataclass(frozen=True)
class Schema:
    """The columns of a dataset, decided by its first episode.

    Attributes:
        columns: by the array's name.
        features: what `info.json` says of every column.
        video: whether pictures go into videos.
    """

    columns: dict[str, Column]
    features: dict[str, dict[str, Any]]
    video: bool
    pictures: dict[str, Column] = field(init=False)

    def __post_init__(self) -> None:
        chosen = {name: column for name, column in self.columns.items() if column.kind == "picture"}
        object.__setattr__(self, "pictures", chosen)

    @classmethod
    def of(cls, episode: Episode, video: bool) -> Schema:
        contract = episode.contract
        columns: dict[str, Column] = {}
        for name, array in episode.arrays().items():
            column = column_of(name, array.dtype, array.shape[1:], contract)
            if column is not None:
                columns[name] = column
        features = {column.key: _feature(column, video, contract.control_rate) for column in columns.values()}
        names = state_names(contract)
        if names:
            features[STATE] = {"dtype": "float32", "shape": [len(names)], "names": names}
        actions = action_names(contract)
        features[ACTION] = {"dtype": "float32", "shape": [len(actions)], "names": actions}
        for key in (DONE, TRUNCATED, SUCCESS):
            features[key] = {"dtype": "bool", "shape": [1], "names": None}
        for key, dtype in BOOKKEEPING.items():
            features[key] = {"dtype": dtype, "shape": [1], "names": None}
        return cls(columns, features, video)


def state_names(contract: Contract) -> list[str]:
    """A name for each number of `observation.state`: "q.panda_joint1", "gripper.0"."""
    names = []
    for channel in contract.proprioception:
        parts = contract.joints if channel.per_joint else range(channel.size)
        names += [f"{channel.name}.{part}" for part in parts]
    return names


def _feature(column: Column, video: bool, rate: float) -> dict[str, Any]:
    """What `info.json` says of a column."""
    if column.kind == "numbers":
        return {"dtype": column.dtype.name, "shape": [column.size], "names": None}
    height, width = column.shape[:2]
    feature: dict[str, Any] = {"dtype": "image", "names": ["height", "width", "channels"]}
    if column.kind == "depth":
        return feature | {"shape": [height, width, 1], "info": {"is_depth_map": True, "depth_unit": "m"}}
    feature["shape"] = [height, width, 3]
    if video:
        feature["dtype"] = "video"
        feature["info"] = {
            "video.height": height,
            "video.width": width,
            "video.channels": 3,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.fps": rate,
            "is_depth_map": False,
            "has_audio": False,
        }
    return feature
