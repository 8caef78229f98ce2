"""Episodes into a LeRobotDataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from robolearn.data.episode import Episode
from robolearn.data.exchange.actions import learned_action
from robolearn.data.exchange.layout import fitting
from robolearn.data.exchange.lerobot import statistics
from robolearn.data.exchange.lerobot.schema import (
    ACTION,
    DONE,
    STATE,
    SUCCESS,
    TRUNCATED,
    VERSION,
    Column,
    Schema,
)
from robolearn.data.exchange.lerobot.tables import TableWriter, from_numbers, from_pictures, write_tasks
from robolearn.data.exchange.lerobot.video import VideoWriter, check_size
from robolearn.data.exchange.losses import Losses
from robolearn.errors import InputError
from robolearn.files import creating

Array = NDArray[Any]

PLACE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
DATA_PATH, EPISODES_PATH = f"data/{PLACE}.parquet", f"meta/episodes/{PLACE}.parquet"
VIDEO_PATH = "videos/{video_key}/" + f"{PLACE}.mp4"
SIDECAR = "meta/robolearn.parquet"

DATA_BYTES = 100 * 2**20
"""A table that has become larger than this is followed by another one."""

VIDEO_BYTES = 4 * 2**30
"""A video that has got more than this is followed by another one; H.264 makes some 200 MB of it."""

CHUNK = 1000
"""Files in a folder."""


def write(episodes: Iterable[Episode], path: Path, *, video: bool = False) -> Losses:
    """Write a dataset, all of it or nothing.

    Args:
        episodes: of one layout.
        path: the dataset's folder.
        video: keep pictures as video, which is small and changes pixels, and not as PNG.

    Raises:
        InputError: there is something at `path`, the episodes do not fit together, or their pictures make no
            video.
        OSError: it cannot be written.
    """
    losses, fits = Losses(), fitting(episodes)
    with creating(path) as draft:
        first = next(fits)
        with _Writer(draft, first, video, losses) as writer:
            writer.add(first)
            del first
            for episode in fits:
                writer.add(episode)
                del episode
    return losses


class _Shards:
    """Files of one kind, numbered as LeRobot does: a chunk's folder holds `CHUNK` of them."""

    def __init__(self) -> None:
        self.number = 0

    @property
    def place(self) -> dict[str, int]:
        chunk, file = divmod(self.number, CHUNK)
        return {"chunk_index": chunk, "file_index": file}


class _Writer:
    """A dataset that is being written into a folder."""

    def __init__(self, folder: Path, first: Episode, video: bool, losses: Losses) -> None:
        self._folder, self._losses = folder, losses
        self._contract = first.contract
        self._schema = Schema.of(first, video)
        self._state = [f"observations/{channel.name}" for channel in first.contract.proprioception]
        self._rate = first.contract.control_rate
        self._tasks: dict[str, int] = {}
        self._episodes = self._frames = 0
        self._running = statistics.Running()
        self._data_shards = _Shards()
        self._data = self._open_data()
        self._meta = TableWriter(folder / EPISODES_PATH.format(chunk_index=0, file_index=0), group=100)
        self._sidecar = TableWriter(folder / SIDECAR, group=1)
        self._video_shards: dict[str, _Shards] = {}
        self._videos: dict[str, VideoWriter] = {}
        if video:
            for column in self._schema.pictures.values():
                check_size(*column.shape[:2])
            for name, column in self._schema.pictures.items():
                self._video_shards[name] = _Shards()
                self._videos[name] = self._open_video(name, column)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for video in self._videos.values():
                video.abandon()  # if it was not closed

    # --- an episode ---------------------------------------------------------------------------------------

    def add(self, episode: Episode) -> None:
        """Write an episode: its frames, its row among the episodes, and what no frame can hold."""
        self._roll()
        steps, number = len(episode), self._episodes
        task = self._tasks.setdefault(episode.task, len(self._tasks))
        columns, stats, rest = self._columns(episode)
        columns |= {
            "timestamp": (np.arange(steps) / self._rate).astype(np.float32),
            "frame_index": np.arange(steps),
            "episode_index": np.full(steps, number),
            "index": np.arange(self._frames, self._frames + steps),
            "task_index": np.full(steps, task),
        }
        stats |= {
            key: statistics.of_numbers(rows) for key, rows in columns.items() if isinstance(rows, np.ndarray)
        }
        row = {
            "episode_index": number,
            "tasks": [episode.task],
            "length": steps,
            **{f"data/{key}": value for key, value in self._data_shards.place.items()},
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + steps,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            **self._write_videos(episode),
        }
        for key, values in stats.items():
            row |= {f"stats/{key}/{stat}": value for stat, value in statistics.to_json(values).items()}
        self._running.add(stats)
        action = columns[ACTION]
        arrow = {
            key: from_numbers(rows) if isinstance(rows, np.ndarray) else rows for key, rows in columns.items()
        }
        self._data.write(pa.table({key: arrow[key] for key in sorted(arrow)}))
        self._meta.add(row)
        self._sidecar.add(
            {
                "episode_index": number,
                "digest": digest(action),
                "header": episode.header(),
                "rest": packed(rest),
            }
        )
        self._episodes, self._frames = number + 1, self._frames + steps

    def _columns(
        self, episode: Episode
    ) -> tuple[dict[str, Any], dict[str, statistics.Stats], dict[str, Array]]:
        """The episode's columns but for bookkeeping, the pictures' statistics, and what no column holds."""
        steps, arrays = len(episode), episode.arrays()
        columns: dict[str, Any] = {}
        stats: dict[str, statistics.Stats] = {}
        rest: dict[str, Array] = {}
        for name, array in arrays.items():
            if not self._holds(name, array):
                rest[f"all/{name}"] = array
            elif len(array) > steps:
                rest[f"last/{name}"] = array[-1]
        for name, column in self._schema.columns.items():
            rows = arrays[name][:steps] if name in arrays else np.zeros((steps, *column.shape), column.dtype)
            rows = rows.astype(column.dtype, copy=False)
            if column.kind == "numbers":
                columns[column.key] = rows
            else:
                picture = column.kind == "picture"
                stats[column.key] = (statistics.of_pictures if picture else statistics.of_depth)(rows)
                if not (picture and self._schema.video):
                    columns[column.key] = from_pictures(rows)
            if name not in arrays:
                self._losses.add(name, "zeros where an episode has none; robolearn reads that it has none")
        if self._state:
            readings = [arrays[name][:steps] for name in self._state]
            columns[STATE] = np.concatenate(readings, 1).astype(np.float32)
        columns[ACTION] = learned_action(episode)
        last = np.arange(steps) == steps - 1
        columns[DONE] = last
        columns[TRUNCATED] = last & (not episode.outcome.terminated)
        columns[SUCCESS] = last & episode.outcome.success
        return columns, stats, rest

    def _holds(self, name: str, array: Array) -> bool:
        """Whether an array comes out of its column as it went in."""
        if name in self._state:
            return array.dtype == np.float32 and array.dtype.isnative
        column = self._schema.columns.get(name)
        return column is not None and column.holds(array)

    # --- files --------------------------------------------------------------------------------------------

    def _write_videos(self, episode: Episode) -> dict[str, Any]:
        """Add the episode's pictures to the videos; where they are, for its row among the episodes."""
        row: dict[str, Any] = {}
        for name, video in self._videos.items():
            key, begin = self._schema.pictures[name].key, video.frames
            video.add(episode.arrays()[name][: len(episode)])
            row |= {f"videos/{key}/{index}": value for index, value in self._video_shards[name].place.items()}
            row[f"videos/{key}/from_timestamp"] = begin / self._rate
            row[f"videos/{key}/to_timestamp"] = video.frames / self._rate
            self._losses.add(name, "kept as video, which changes pixels a little")
        return row

    def _roll(self) -> None:
        """Begin another file where one has become large."""
        if self._data.size > DATA_BYTES:
            self._data.close()
            self._data_shards.number += 1
            self._data = self._open_data()
        for name, video in self._videos.items():
            if video.size > VIDEO_BYTES:
                video.close()
                self._video_shards[name].number += 1
                self._videos[name] = self._open_video(name, self._schema.pictures[name])

    def _open_data(self) -> TableWriter:
        return TableWriter(self._folder / DATA_PATH.format(**self._data_shards.place), group=1)

    def _open_video(self, name: str, column: Column) -> VideoWriter:
        place = VIDEO_PATH.format(video_key=column.key, **self._video_shards[name].place)
        height, width = column.shape[:2]
        return VideoWriter(self._folder / place, height, width, self._rate)

    def _finish(self) -> None:
        for table in (self._data, self._meta, self._sidecar):
            table.close()
        for video in self._videos.values():
            video.close()
        write_tasks(self._folder / "meta/tasks.parquet", list(self._tasks))
        rate = int(self._rate) if self._rate == int(self._rate) else self._rate
        info = {
            "codebase_version": VERSION,
            "robot_type": self._contract.arm,
            "total_episodes": self._episodes,
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": DATA_BYTES // 2**20,
            "video_files_size_in_mb": VIDEO_BYTES // 20 // 2**20,
            "fps": rate,
            "splits": {"train": f"0:{self._episodes}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self._videos else None,
            "features": self._schema.features,
        }
        (self._folder / "meta/info.json").write_text(json.dumps(info, indent=4))
        (self._folder / "meta/stats.json").write_text(json.dumps(self._running.to_json(), indent=4))


def digest(action: Array) -> str:
    """What an episode's action column is known by: somebody may have cut or reordered the dataset."""
    return hashlib.sha256(np.ascontiguousarray(action, "<f4").tobytes()).hexdigest()


def packed(arrays: dict[str, Array]) -> bytes:
    """Arrays as the bytes of a compressed .npz file."""
    file = BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, Array]:
    """The inverse of `packed`; raises an InputError for bytes that are no such file."""
    try:
        with np.load(BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # a damaged zip archive raises whatever its bytes lead to
        raise InputError(f"{SIDECAR} is damaged: {error}") from error
