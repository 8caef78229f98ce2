"""The frames of a LeRobotDataset, episode after episode: numbers and pictures by their feature."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from robolearn import checks
from robolearn.data.exchange.lerobot.tables import TableReader, read_rows, to_numbers, to_pictures
from robolearn.data.exchange.lerobot.video import VideoReader
from robolearn.data.exchange.lerobot.writing import DATA_PATH, VIDEO_PATH
from robolearn.errors import InputError

Array = NDArray[Any]

INFO = "meta/info.json"


class Metadata:
    """What a dataset says of itself.

    Args:
        path: the dataset's folder.

    Attributes:
        path: the same.
        features: by name, as `info.json` has them.
        rate: frames a second [Hz].
        robot: the robot's type, or the dataset's name where that is not said.
        episodes: a row an episode, without statistics, in their order.
        tasks: by number.

    Raises:
        InputError: there is no such dataset, it is of another version, or what it says is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            info = checks.mapping(INFO, json.loads((path / INFO).read_bytes()))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{str(path)!r} is no LeRobotDataset: it has no {INFO}") from error
        except ValueError as error:
            raise InputError(f"{path / INFO} is damaged: {error}") from error
        if not str(version := info.get("codebase_version")).startswith("v3."):
            raise InputError(
                f"{str(path)!r} is a LeRobotDataset {version}; this reads v3.0 (lerobot's own "
                "convert_dataset_v21_to_v30 turns v2.1 into it)"
            )
        self.features = {
            name: checks.mapping(f"feature {name}", feature)
            for name, feature in checks.mapping("features", info.get("features")).items()
        }
        self.rate = checks.number("fps", info.get("fps"), above=0.0)
        self.robot = str(info.get("robot_type") or path.resolve().name)
        self.paths = {key: str(info.get(key) or default) for key, default in _PATHS.items()}
        self.episodes = _episodes(path)
        if len(self.episodes) != info.get("total_episodes"):
            raise InputError(
                f"{str(path)!r} has {len(self.episodes)} episodes in meta/episodes; "
                f"{INFO} says {info.get('total_episodes')}"
            )
        self.tasks = _tasks(path)

    def picture_shape(self, key: str) -> tuple[int, int, int]:
        """Height, width and channels of a picture; some datasets say the channels first."""
        shape = checks.items(f"shape of {key}", self.features[key].get("shape"))
        if len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3):
            shape = (*shape[1:], shape[0])
        if len(shape) != 3 or shape[2] not in (1, 3):
            raise InputError(f"{key} has the shape {shape}; a picture has height, width, and 3 channels or 1")
        height, width, channels = (checks.whole(f"shape of {key}", size, 1) for size in shape)
        return height, width, channels


class Frames:
    """The frames of one episode.

    Attributes:
        row: the episode's row.
    """

    def __init__(self, metadata: Metadata, table: pa.Table, row: dict[str, Any], videos: _Videos) -> None:
        self.row = row
        self._metadata, self._table, self._videos = metadata, table, videos

    def __contains__(self, key: str) -> bool:
        return key in self._table.column_names

    def column(self, key: str) -> pa.ChunkedArray:
        """A column as it is stored."""
        if key not in self:
            raise InputError(f"the frames lack {key!r}; they have {', '.join(self._table.column_names)}")
        return self._table[key]

    def numbers(self, key: str) -> Array:
        """A feature of numbers, (T,) or (T, ...)."""
        return to_numbers(key, self.column(key))

    def pictures(self, key: str) -> Array:
        """A feature of pictures, out of the table or a video: uint8 (T, h, w, 3), or depth (T, h, w)."""
        height, width, channels = self._metadata.picture_shape(key)
        if self._metadata.features[key]["dtype"] == "image":
            return to_pictures(key, self.column(key), depth=channels == 1)
        path = self._metadata.path / _place(self._metadata, "video_path", f"videos/{key}", self.row, key)
        begin = checks.number(
            f"from_timestamp of {key}", self.row.get(f"videos/{key}/from_timestamp"), low=0.0
        )
        video = self._videos.setdefault(key, VideoReader(height, width))
        return video.take(path, round(begin * self._metadata.rate), self.row["length"])


def frames_of(metadata: Metadata) -> Iterator[Frames]:
    """The frames of each episode, one after another; no more than one episode's are in memory.

    Raises:
        InputError: a file that is not there or damaged, or that does not hold what the metadata say.
    """
    reader, videos = TableReader(), _Videos()
    try:
        for row in metadata.episodes:
            path = metadata.path / _place(metadata, "data_path", "data", row)
            frames = Frames(metadata, reader.take(path, row["length"]), row, videos)
            if (frames.numbers("episode_index") != row["episode_index"]).any():
                raise InputError(
                    f"{path} does not hold episode {row['episode_index']} where meta/episodes says"
                )
            yield frames
            del frames
    finally:
        for video in videos.values():
            video.close()


_Videos = dict[str, VideoReader]

_PATHS = {"data_path": DATA_PATH, "video_path": VIDEO_PATH}


def _place(metadata: Metadata, template: str, prefix: str, row: dict[str, Any], key: str = "") -> str:
    """The path of a file, by its template and by what an episode's row says."""
    place = {index: row.get(f"{prefix}/{index}") for index in ("chunk_index", "file_index")}
    try:
        return metadata.paths[template].format(**place, video_key=key)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        said = metadata.paths[template]
        raise InputError(f"{template} is {said!r}, and meta/episodes says {place}: no file's name") from error


def _episodes(path: Path) -> list[dict[str, Any]]:
    files = sorted(path.glob("meta/episodes/*/*.parquet"))
    if not files:
        raise InputError(f"{str(path)!r} has no episodes: there is no parquet file below meta/episodes")
    rows = [row for file in files for row in read_rows(file)]
    for row in rows:
        for key, low in (("episode_index", 0), ("length", 1)):
            checks.whole(f"{key} in meta/episodes", row.get(key), low)
    return sorted(rows, key=lambda row: int(row["episode_index"]))


def _tasks(path: Path) -> dict[int, str]:
    """Tasks by their number. The column of their text is pandas' index, whose name is the writer's affair."""
    tasks: dict[int, str] = {}
    for row in read_rows(path / "meta/tasks.parquet"):
        text = [value for name, value in row.items() if name != "task_index"]
        if "task_index" not in row or len(text) != 1:
            raise InputError(f"meta/tasks.parquet has {', '.join(row)}; its columns are task_index and task")
        tasks[checks.whole("task_index", row["task_index"], 0)] = str(text[0])
    return tasks
