"""Episodes out of a LeRobotDataset: ours bit by bit, a stranger's by the rules of `exchange.foreign`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from robolearn import checks
from robolearn.contract import Contract
from robolearn.data.episode import Episode
from robolearn.data.exchange.foreign import LUMP, Adoption, Recording, Told
from robolearn.data.exchange.lerobot.schema import (
    ACTION,
    BOOKKEEPING,
    DONE,
    REWARD,
    STATE,
    SUCCESS,
    TRUNCATED,
    column_of,
)
from robolearn.data.exchange.lerobot.tables import TableReader, read_rows, to_numbers, to_pictures
from robolearn.data.exchange.lerobot.video import VideoReader
from robolearn.data.exchange.lerobot.writing import DATA_PATH, SIDECAR, VIDEO_PATH, digest, unpacked
from robolearn.data.exchange.losses import Losses
from robolearn.errors import InputError

Array = NDArray[Any]

INFO = "meta/info.json"

_OBSERVATION = re.compile(r"observation\.(?:images\.)?(.+)")


class Dataset:
    """A dataset, whose episodes it gives one after another.

    Args:
        path: the dataset's folder.
        told: what a person says about a dataset that somebody else wrote.

    Attributes:
        losses: what did not come through, so far.

    Raises:
        InputError: there is no such dataset, it is of another version, or what it says of itself is wrong.
    """

    def __init__(self, path: Path, told: Told) -> None:
        self.losses = Losses()
        self._path, self._told = path, told
        try:
            info = checks.mapping(INFO, json.loads((path / INFO).read_bytes()))
        except FileNotFoundError as error:
            raise InputError(f"{str(path)!r} is no LeRobotDataset: it has no {INFO}") from error
        except ValueError as error:
            raise InputError(f"{path / INFO} is damaged: {error}") from error
        if not str(version := info.get("codebase_version")).startswith("v3."):
            raise InputError(
                f"{str(path)!r} is a LeRobotDataset {version}; this reads v3.0 (lerobot's own "
                "convert_dataset_v21_to_v30 turns v2.1 into it)"
            )
        self._info = info
        self._features = {
            name: checks.mapping(f"feature {name}", feature)
            for name, feature in checks.mapping("features", info.get("features")).items()
        }
        self._rate = checks.number("fps", info.get("fps"), above=0.0)
        self._episodes = _episodes(path)
        if len(self._episodes) != info.get("total_episodes"):
            raise InputError(
                f"{str(path)!r} has {len(self._episodes)} episodes in meta/episodes; "
                f"{INFO} says {info.get('total_episodes')}"
            )
        self._tasks = _tasks(path)
        self._table = TableReader()
        self._videos: dict[str, VideoReader] = {}

    def __len__(self) -> int:
        return len(self._episodes)

    def __iter__(self) -> Iterator[Episode]:
        self._table = TableReader()
        try:
            yield from self._own() if (self._path / SIDECAR).is_file() else self._foreign()
        finally:
            for video in self._videos.values():
                video.close()
            self._videos = {}

    # --- frames -------------------------------------------------------------------------------------------

    def _frames(self, row: dict[str, Any]) -> pa.Table:
        """The frames of an episode, by its row among the episodes."""
        path = self._path / self._place("data", "data_path", DATA_PATH, row)
        table = self._table.take(path, row["length"])
        found = (
            to_numbers("episode_index", table["episode_index"])
            if "episode_index" in table.column_names
            else None
        )
        if found is None or (found != row["episode_index"]).any():
            raise InputError(
                f"{path} does not hold the frames of episode {row['episode_index']} where it should"
            )
        return table

    def _place(self, prefix: str, key: str, default: str, row: dict[str, Any], **names: str) -> str:
        template = self._info.get(key) or default
        place = {index: row.get(f"{prefix}/{index}") for index in ("chunk_index", "file_index")}
        try:
            return str(template).format(**place, **names)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"{key} is {template!r}, and episodes say {place}: that names no file"
            ) from error

    def _pictures(self, key: str, table: pa.Table, row: dict[str, Any]) -> Array:
        """Pictures of an episode, out of the table or out of a video."""
        feature = self._features[key]
        height, width, channels = self._size(key)
        if feature["dtype"] == "image":
            return to_pictures(key, _column(table, key), depth=channels == 1)
        path = self._path / self._place(f"videos/{key}", "video_path", VIDEO_PATH, row, video_key=key)
        video = self._videos.setdefault(key, VideoReader(height, width))
        first = round(self._rate * checks.number("from_timestamp", row.get(f"videos/{key}/from_timestamp")))
        return video.take(path, first, row["length"])

    def _size(self, key: str) -> tuple[int, int, int]:
        """Height, width and channels of a picture; datasets say them in this order or with channels first."""
        shape = checks.items(f"shape of {key}", self._features[key].get("shape"))
        if len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3):
            shape = (*shape[1:], shape[0])
        if len(shape) != 3:
            raise InputError(f"{key} has the shape {shape}; a picture has height, width, channels")
        return shape

    # --- episodes that we wrote ---------------------------------------------------------------------------

    def _own(self) -> Iterator[Episode]:
        sidecar = TableReader()
        for row in self._episodes:
            beside = sidecar.take(self._path / SIDECAR, 1).to_pylist()[0]
            table = self._frames(row)
            number = row["episode_index"]
            action = to_numbers(ACTION, _column(table, ACTION))
            if beside["episode_index"] != number or beside["digest"] != digest(action):
                raise InputError(
                    f"episode {number} is not the one that was exported: somebody changed the dataset. "
                    f"Without {SIDECAR} it is read as a stranger's"
                )
            yield Episode.assemble(beside["header"], self._arrays(beside, table, row))

    def _arrays(self, beside: dict[str, Any], table: pa.Table, row: dict[str, Any]) -> dict[str, Array]:
        """The arrays that the header names, put together from frames and from what no frame holds."""
        header = checks.mapping("header", json.loads(beside["header"]))
        contract, rest = Contract.from_dict(header["contract"]), unpacked(beside["rest"])
        state, first = to_numbers(STATE, _column(table, STATE)) if contract.proprioception else None, 0
        channels: dict[str, Array] = {}
        for channel in contract.proprioception:
            assert state is not None
            flat = state.reshape(len(state), -1)
            channels[f"observations/{channel.name}"] = flat[:, first : first + channel.size]
            first += channel.size
        arrays = {}
        for name, (dtype, shape) in header["arrays"].items():
            if f"all/{name}" in rest:
                arrays[name] = rest[f"all/{name}"]
                continue
            if name in channels:
                rows = channels[name]
            else:
                column = column_of(name, np.dtype(dtype), tuple(shape[1:]), contract)
                if column is None:
                    raise InputError(f"{SIDECAR} lacks {name} of episode {row['episode_index']}")
                if column.kind == "numbers":
                    rows = to_numbers(column.key, _column(table, column.key)).reshape(-1, *column.shape)
                else:
                    rows = self._pictures(column.key, table, row)
            last = rest.get(f"last/{name}")
            rows = rows if last is None else np.concatenate([rows, last[None]])
            arrays[name] = np.ascontiguousarray(rows)
        return arrays

    # --- a stranger's episodes ----------------------------------------------------------------------------

    def _foreign(self) -> Iterator[Episode]:
        arm = f"lerobot:{self._info.get('robot_type') or self._path.name}"
        adoption = Adoption(arm, self._rate, self._told, self.losses)
        for row in self._episodes:
            yield adoption.episode(self._recording(self._frames(row), row))

    def _recording(self, table: pa.Table, row: dict[str, Any]) -> Recording:
        observations: dict[str, Array] = {}
        names: dict[str, list[str]] = {"actions": _names(self._features.get(ACTION, {}))}
        for key, feature in self._features.items():
            if key in (*BOOKKEEPING, ACTION, REWARD, DONE, TRUNCATED, SUCCESS):
                continue
            match = _OBSERVATION.fullmatch(key)
            name = LUMP if key == STATE else match[1] if match else key
            depth = feature.get("dtype") == "video" and self._size(key)[2] == 1
            if feature.get("dtype") in ("string", "language") or depth:
                self.losses.add(key, "left out: it is depth in a video" if depth else "left out: it is text")
            elif feature.get("dtype") in ("image", "video"):
                observations[name] = self._pictures(key, table, row)
            else:
                observations[name] = to_numbers(key, _column(table, key))
                names[name] = _names(feature)
        actions = to_numbers(ACTION, _column(table, ACTION))
        success = to_numbers(SUCCESS, table[SUCCESS]) if SUCCESS in table.column_names else None
        task = int(to_numbers("task_index", _column(table, "task_index"))[0])
        return Recording(
            name=f"episode {row['episode_index']}",
            task=self._tasks.get(task, f"task {task}"),
            seed=row["episode_index"],
            observations=observations,
            actions=actions.reshape(len(actions), -1),
            names=names,
            reward=to_numbers(REWARD, table[REWARD]) if REWARD in table.column_names else None,
            stamps=to_numbers("timestamp", _column(table, "timestamp")),
            success=None if success is None else bool(success.any()),
        )


def _column(table: pa.Table, key: str) -> pa.ChunkedArray:
    if key not in table.column_names:
        raise InputError(f"the frames lack {key!r}; they have {', '.join(table.column_names)}")
    return table[key]


def _episodes(path: Path) -> list[dict[str, Any]]:
    """The rows of all episodes, without their statistics."""
    files = sorted(path.glob("meta/episodes/*/*.parquet"))
    if not files:
        raise InputError(f"{str(path)!r} has no episodes: there is no parquet file below meta/episodes")
    rows: list[dict[str, Any]] = []
    for file in files:
        rows += read_rows(file)
    for row in rows:
        for key in ("episode_index", "length"):
            checks.whole(f"{key} in meta/episodes", row.get(key), 0)
    return sorted(rows, key=lambda row: row["episode_index"])


def _tasks(path: Path) -> dict[int, str]:
    """Tasks by their number. The column of their text is pandas' index, whose name is the writer's affair."""
    tasks: dict[int, str] = {}
    for row in read_rows(path / "meta/tasks.parquet"):
        text = [value for name, value in row.items() if name != "task_index"]
        if "task_index" not in row or len(text) != 1:
            raise InputError(
                f"meta/tasks.parquet has the columns {', '.join(row)}; they are task_index and task"
            )
        tasks[int(row["task_index"])] = str(text[0])
    return tasks


def _names(feature: dict[str, Any]) -> list[str]:
    """Names of a feature's numbers: a list, or a list under some heading, or none."""
    names = feature.get("names")
    if isinstance(names, dict):
        names = next(iter(names.values()), None)
    return [str(name) for name in names] if isinstance(names, list) else []
