"""Episodes out of a LeRobotDataset: ours bit by bit, a stranger's by the rules of `exchange.foreign`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.episode import Episode
from robolearn.data.exchange.foreign import LUMP, Adoption, Recording, Told
from robolearn.data.exchange.lerobot.frames import Frames, Metadata, frames_of
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
from robolearn.data.exchange.lerobot.tables import TableReader
from robolearn.data.exchange.lerobot.writing import SIDECAR, digest, unpacked
from robolearn.data.exchange.losses import Losses
from robolearn.data.exchange.own import Wanted, own_episode
from robolearn.errors import InputError

Array = NDArray[Any]

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
        self._metadata = Metadata(path)

    def __len__(self) -> int:
        return len(self._metadata.episodes)

    def __iter__(self) -> Iterator[Episode]:
        return self._own() if (self._path / SIDECAR).is_file() else self._foreign()

    def _own(self) -> Iterator[Episode]:
        sidecar = TableReader()
        for frames in frames_of(self._metadata):
            beside = sidecar.take(self._path / SIDECAR, 1).to_pylist()[0]
            number = frames.row["episode_index"]
            if (beside["episode_index"], beside["digest"]) != (number, digest(frames.numbers(ACTION))):
                raise InputError(
                    f"episode {number} is not the one that was exported: somebody changed the dataset. "
                    f"Without {SIDECAR} it is read as a stranger's"
                )
            source = _OwnFrames(frames, unpacked(beside["rest"]))
            yield own_episode(f"{self._path}, episode {number}", beside["header"], source.array)

    def _foreign(self) -> Iterator[Episode]:
        metadata = self._metadata
        adoption = Adoption(f"lerobot:{metadata.robot}", metadata.rate, self._told, self.losses)
        for frames in frames_of(metadata):
            yield adoption.episode(self._recording(frames))

    def _recording(self, frames: Frames) -> Recording:
        features = self._metadata.features
        observations: dict[str, Array] = {}
        names = {"actions": _names(features.get(ACTION, {}))}
        for key, feature in features.items():
            if key in (*BOOKKEEPING, ACTION, REWARD, DONE, TRUNCATED, SUCCESS):
                continue
            match, kind = _OBSERVATION.fullmatch(key), feature.get("dtype")
            name = LUMP if key == STATE else match[1] if match else key
            if kind in ("string", "language"):
                self.losses.add(key, "left out: it is text")
            elif kind == "video" and self._metadata.picture_shape(key)[2] == 1:
                self.losses.add(key, "left out: it is depth in a video")
            elif kind in ("image", "video"):
                observations[name] = _in_metres(frames.pictures(key), feature)
            else:
                observations[name], names[name] = frames.numbers(key), _names(feature)
        task = int(frames.numbers("task_index")[0])
        actions = frames.numbers(ACTION)
        return Recording(
            name=f"episode {frames.row['episode_index']}",
            task=self._metadata.tasks.get(task, f"task {task}"),
            seed=frames.row["episode_index"],
            observations=observations,
            actions=actions.reshape(len(actions), -1),
            names=names,
            reward=frames.numbers(REWARD) if REWARD in frames else None,
            stamps=frames.numbers("timestamp"),
            success=bool(frames.numbers(SUCCESS).any()) if SUCCESS in frames else None,
        )


class _OwnFrames:
    """The arrays of an episode that we wrote, put together from its frames and from what no frame holds."""

    def __init__(self, frames: Frames, rest: dict[str, Array]) -> None:
        self._frames, self._rest = frames, rest

    def array(self, wanted: Wanted) -> Array:
        """An array as it was."""
        if (whole := self._rest.get(f"all/{wanted.name}")) is not None:
            return whole
        rows, last = self._rows(wanted), self._rest.get(f"last/{wanted.name}")
        return np.ascontiguousarray(rows if last is None else np.concatenate([rows, last[None]]))

    def _rows(self, wanted: Wanted) -> Array:
        first = 0
        for channel in wanted.contract.proprioception:
            if wanted.name == f"observations/{channel.name}":
                state = self._frames.numbers(STATE)
                return state.reshape(len(state), -1)[:, first : first + channel.size]
            first += channel.size
        column = column_of(wanted.name, wanted.dtype, wanted.shape[1:], wanted.contract)
        if column is None:
            raise InputError(f"{SIDECAR} lacks {wanted.name}")
        if column.kind == "numbers":
            return self._frames.numbers(column.key).reshape(-1, *column.shape)
        return self._frames.pictures(column.key)


def _in_metres(pictures: Array, feature: dict[str, Any]) -> Array:
    """Depth in metres where its feature says that it is in millimetres; anything else as it is."""
    millimetres = dict(feature.get("info") or {}).get("depth_unit") == "mm"
    return (pictures / 1000.0).astype(np.float32) if millimetres else pictures


def _names(feature: dict[str, Any]) -> list[str]:
    """Names of a feature's numbers: a list, or a list under some heading, or none."""
    names = feature.get("names")
    if isinstance(names, dict):
        names = next(iter(names.values()), None)
    return [str(name) for name in names] if isinstance(names, list) else []
