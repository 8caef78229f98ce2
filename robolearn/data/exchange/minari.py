"""Minari datasets in HDF5: `data/metadata.json` and `data/main_data.hdf5`, an episode a group.

Observations have T + 1 rows and everything else T, as ours. The format's own columns hold observations,
actions (what was sent, see `learned_action`), rewards and ends; requested, filtered and sent torques, stamps,
sources and terms of the reward stand in `infos`, and the header beside them. Pictures are raw
(`jpeg_encoding: false`), for JPEG changes pixels.

Minari: https://minari.farama.org/main/content/dataset_standards/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robolearn import checks
from robolearn.data.episode import Episode
from robolearn.data.exchange import hdf5
from robolearn.data.exchange.actions import learned_action
from robolearn.data.exchange.foreign import LUMP, Adoption, Recording, Told
from robolearn.data.exchange.layout import fitting
from robolearn.data.exchange.losses import Losses
from robolearn.data.exchange.own import Wanted, own_episode
from robolearn.errors import InputError
from robolearn.files import creating

Array = NDArray[Any]

VERSION = "0.5.4"
"""Of Minari, whose format is written."""

VERSIONS = re.compile(r"0\.[45]\.\d+")
"""Of Minari, whose datasets are read."""

DATA, META = "data/main_data.hdf5", "data/metadata.json"

_ID = re.compile(r"[-\w]+-v\d+")
_JPEG = b"\xff\xd8"  # what every JPEG file begins with


def write(episodes: Iterable[Episode], path: Path) -> Losses:
    """Write a dataset, all of it or nothing.

    Args:
        episodes: of one layout.
        path: the dataset's folder, whose name is its id and ends in a version, such as "grasp-v0".

    Raises:
        InputError: there is something at `path`, its name is no id, or the episodes do not fit together.
        OSError: it cannot be written.
    """
    if not _ID.fullmatch(path.name):
        raise InputError(f"a Minari dataset's name ends in its version, as {path.name}-v0 does")
    count = steps = 0
    spaces: dict[str, str] = {}
    with creating(path) as draft:
        (draft / "data").mkdir()
        with hdf5.created(draft / DATA) as file:
            for episode in fitting(episodes):
                _put(file.create_group(f"episode_{count}"), count, episode)
                spaces = spaces or _spaces(episode)
                count, steps = count + 1, steps + len(episode)
                del episode
        metadata = {
            "dataset_id": path.name,
            "minari_version": VERSION,
            "data_format": "hdf5",
            "jpeg_encoding": False,
            "total_episodes": count,
            "total_steps": steps,
            "dataset_size": round((draft / DATA).stat().st_size / 1e6, 1),
            **spaces,
            "requirements": [],
            "description": "Written by robolearn: each episode's header is beside its arrays.",
        }
        (draft / META).write_text(json.dumps(metadata))
    return Losses()


def _put(group: h5py.Group, number: int, episode: Episode) -> None:
    group.attrs.update({"id": number, "total_steps": len(episode)})
    if episode.seed < 2**63:
        group.attrs["seed"] = episode.seed
    for name, array in episode.arrays().items():
        group.create_dataset(_place(name), data=array)
    ended, terminated = np.zeros(len(episode), bool), episode.outcome.terminated
    ended[-1] = True
    group.create_dataset("actions", data=learned_action(episode))
    group.create_dataset("terminations", data=ended & terminated)
    group.create_dataset("truncations", data=ended & (not terminated))
    hdf5.write_header(group, episode.header())


def _place(name: str) -> str:
    """Where an array of an episode stands in its group."""
    if name.startswith("observations/"):
        return name
    return "rewards" if name == "reward" else f"infos/{name}"


def _own(group: h5py.Group, wanted: Wanted) -> Array:
    return hdf5.array(group, _place(wanted.name))


def _spaces(episode: Episode) -> dict[str, str]:
    """Observation and action space as Minari writes them: JSON in a text."""
    observations = {name: _space(array) for name, array in episode.observations.items()}
    action = _space(learned_action(episode))
    return {
        "observation_space": json.dumps({"type": "Dict", "subspaces": observations}),
        "action_space": json.dumps(action),
    }


def _space(array: Array) -> dict[str, Any]:
    """The space of an array's rows."""
    shape = array.shape[1:]
    if array.dtype == bool:
        return (
            {"type": "MultiBinary", "n": list(shape)} if shape else {"type": "Discrete", "start": 0, "n": 2}
        )
    if array.dtype.kind == "f":
        low, high = -np.inf, np.inf
    else:
        low, high = np.iinfo(array.dtype).min, np.iinfo(array.dtype).max
    bounds = {
        key: np.full(shape, bound, array.dtype).tolist() for key, bound in (("low", low), ("high", high))
    }
    return {"type": "Box", "dtype": array.dtype.name, "shape": list(shape), **bounds}


class Dataset:
    """A dataset, whose episodes it gives one after another.

    Args:
        path: the dataset's folder, or the folder `data` in it.
        told: what a person says about a dataset that somebody else wrote.

    Attributes:
        losses: what did not come through, so far.

    Raises:
        InputError: there is no such dataset, or it is of another version or storage.
    """

    def __init__(self, path: Path, told: Told) -> None:
        path = path.parent if path.name == "data" and not (path / "data").exists() else path
        self.losses = Losses()
        self._path, self._told = path, told
        try:
            metadata = json.loads((path / META).read_bytes())
        except FileNotFoundError as error:
            raise InputError(f"{str(path)!r} is no Minari dataset: it has no {META}") from error
        except ValueError as error:
            raise InputError(f"{path / META} is no JSON: {error}") from error
        metadata = checks.mapping(META, metadata)
        if not VERSIONS.fullmatch(version := str(metadata.get("minari_version"))):
            raise InputError(f"{str(path)!r} is of Minari {version}; this reads 0.4 and 0.5")
        if (kind := metadata.get("data_format", "hdf5")) != "hdf5":
            raise InputError(f"{str(path)!r} is stored as {kind!r}; this reads 'hdf5'")
        self._metadata = metadata
        self._count = checks.whole("total_episodes", metadata.get("total_episodes"), 0)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Episode]:
        adoption: Adoption | None = None
        with hdf5.opened(self._path / DATA) as file:
            for number in range(self._count):
                group = file.get(f"episode_{number}")
                if group is None:
                    raise InputError(f"{self._path / DATA} lacks episode {number} of {self._count}")
                if (header := hdf5.read_header(group)) is not None:
                    yield own_episode(f"{self._path}, episode {number}", header, partial(_own, group))
                    continue
                if adoption is None:  # the format has no place for the rate
                    adoption = Adoption(f"minari:{self._id}", None, self._told, self.losses)
                yield adoption.episode(self._recording(group, number))

    @property
    def _id(self) -> str:
        return str(self._metadata.get("dataset_id", self._path.name))

    def _recording(self, group: h5py.Group, number: int) -> Recording:
        observations = group.get("observations")
        jpeg = bool(self._metadata.get("jpeg_encoding", True))
        if isinstance(observations, h5py.Group):
            found = {name: _decoded(rows, jpeg) for name, rows in hdf5.arrays_below(observations)}
        else:
            found = {LUMP: hdf5.array(group, "observations")}
        success = [array for name, array in self._infos(group) if name.endswith("success")]
        return Recording(
            name=f"episode {number}",
            task=self._id,
            seed=int(group.attrs.get("seed", number)),
            observations=found,
            actions=hdf5.array(group, "actions"),
            reward=hdf5.array(group, "rewards"),
            success=bool(np.any(success[0][()])) if success else None,
            failed=bool(hdf5.array(group, "terminations").any()),
        )

    def _infos(self, group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
        infos = group.get("infos")
        return hdf5.arrays_below(infos) if isinstance(infos, h5py.Group) else iter(())


def _decoded(dataset: h5py.Dataset, jpeg: bool) -> Array:
    """An observation's rows; pictures that are packed as JPEG, each a row of bytes, are unpacked."""
    rows = np.asarray(dataset[()])
    bytes_each = rows.dtype == object or (rows.dtype == np.uint8 and rows.ndim == 2)
    if not (jpeg and bytes_each and len(rows) and bytes(rows[0][:2]) == _JPEG):
        return rows
    return np.stack([np.asarray(Image.open(BytesIO(row.tobytes()))) for row in rows])
