"""robomimic's HDF5 file: `data/demo_0`, `data/demo_1`, ... with `obs` and `next_obs` of T rows each.

The format's own columns hold observations, actions from -1 to 1 (what was sent over `action_scale`), rewards
and ends; requested, filtered and sent torques, stamps, sources and terms of the reward stand beside them, and
so does the header. `mask/successful` and `mask/failed` are filter keys.

robomimic: https://robomimic.github.io/docs/datasets/overview.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.data.episode import Episode
from robolearn.data.exchange import hdf5
from robolearn.data.exchange.actions import action_names, action_scale, learned_action
from robolearn.data.exchange.foreign import Adoption, Recording, Told
from robolearn.data.exchange.layout import fitting
from robolearn.data.exchange.losses import Losses
from robolearn.data.exchange.own import Wanted, own_episode
from robolearn.errors import InputError
from robolearn.files import replacing

Array = NDArray[Any]

GYM = 2
"""robomimic's number for an environment that gymnasium makes."""

_DEMO = re.compile(r"demo_(\d+)")


def write(episodes: Iterable[Episode], path: Path) -> Losses:
    """Write a file, all of it or nothing.

    Args:
        episodes: of one layout.
        path: of the file; ends in .hdf5.

    Raises:
        InputError: there is something at `path`, it ends otherwise, or the episodes do not fit together.
        OSError: it cannot be written.
    """
    if path.suffix not in (".hdf5", ".h5"):
        raise InputError(f"a robomimic dataset is one file that ends in .hdf5; {str(path)!r} does not")
    if path.exists():
        raise InputError(f"{str(path)!r} is there already, and it is not overwritten: choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = steps = 0
    masks: dict[str, list[str]] = {"successful": [], "failed": []}
    with replacing(path) as draft, hdf5.created(draft) as file:
        data = file.create_group("data", track_order=True)
        for episode in fitting(episodes):
            if not count:
                _describe(data, episode)
            _put(data.create_group(f"demo_{count}"), episode)
            masks["successful" if episode.outcome.success else "failed"].append(f"demo_{count}")
            count, steps = count + 1, steps + len(episode)
            del episode
        data.attrs["total"] = steps
        for key, demos in masks.items():
            if demos:  # robomimic has no use for a filter that lets nothing through
                file[f"mask/{key}"] = np.array(demos, dtype="S")
    return Losses()


def _describe(data: h5py.Group, episode: Episode) -> None:
    """What holds for the whole file: the environment, and what the numbers of an action are."""
    contract = episode.contract
    kwargs = {"control_freq": contract.control_rate}
    data.attrs["env_args"] = json.dumps({"env_name": episode.task, "type": GYM, "env_kwargs": kwargs})
    data.attrs["action_names"] = json.dumps(action_names(contract))
    data.attrs["action_scale"] = action_scale(contract)


def _put(group: h5py.Group, episode: Episode) -> None:
    steps = len(episode)
    group.attrs["num_samples"] = steps
    for name, array in episode.arrays().items():
        if name.startswith("observations/"):
            key = name.partition("/")[2]
            group.create_dataset(f"obs/{key}", data=array[:-1])
            group.create_dataset(f"next_obs/{key}", data=array[1:])
        else:
            group.create_dataset(_place(name), data=array)
    dones = np.zeros(steps, np.int64)
    dones[-1] = episode.outcome.terminated
    group.create_dataset("dones", data=dones)
    group.create_dataset("actions", data=learned_action(episode) / action_scale(episode.contract))
    group.create_dataset("states", data=np.zeros((steps, 0)))  # of robosuite's simulator; nothing here
    hdf5.write_header(group, episode.header())


def _place(name: str) -> str:
    """Where an array that is no observation stands in an episode's group."""
    return "rewards" if name == "reward" else name


class Dataset:
    """A file, whose episodes it gives one after another.

    Args:
        path: of the file.
        told: what a person says about a file that somebody else wrote.

    Attributes:
        losses: what did not come through, so far.

    Raises:
        InputError: there is no such file, or it is none of robomimic's.
    """

    def __init__(self, path: Path, told: Told) -> None:
        self.losses = Losses()
        self._path, self._told = path, told
        with hdf5.opened(path) as file:
            data = file.get("data")
            if not isinstance(data, h5py.Group):
                raise InputError(f"{path} is no robomimic dataset: it has no group 'data'")
            if wrong := [name for name in data if not _DEMO.fullmatch(name)]:
                raise InputError(
                    f"{path} has an episode {wrong[0]!r}; robomimic's are demo_0, demo_1 and so on"
                )
            self._demos = sorted(data, key=lambda name: int(name[5:]))
            try:
                self._environment = checks.mapping("env_args", json.loads(data.attrs.get("env_args", "{}")))
            except (TypeError, ValueError) as error:
                raise InputError(f"{path}: env_args of 'data' is no JSON: {error}") from error

    def __len__(self) -> int:
        return len(self._demos)

    def __iter__(self) -> Iterator[Episode]:
        adoption: Adoption | None = None
        with hdf5.opened(self._path) as file:
            for demo in self._demos:
                group = file["data"][demo]
                if (header := hdf5.read_header(group)) is not None:
                    yield own_episode(f"{self._path}, {demo}", header, partial(_own, group))
                    continue
                if adoption is None:
                    arm = f"robomimic:{self._environment.get('env_name', self._path.stem)}"
                    adoption = Adoption(arm, self._rate(), self._told, self.losses)
                yield adoption.episode(self._recording(group, demo))

    def _rate(self) -> float | None:
        """Rate of the actions as robosuite's environments are told it [Hz]."""
        rate = dict(self._environment.get("env_kwargs") or {}).get("control_freq")
        return None if rate is None else checks.number("control_freq", rate, above=0.0)

    def _recording(self, group: h5py.Group, demo: str) -> Recording:
        observations = group.get("obs")
        if not isinstance(observations, h5py.Group):
            raise InputError(f"{demo} has no group 'obs': let robomimic extract observations from its states")
        reward = group.get("rewards")
        return Recording(
            name=demo,
            task=str(self._environment.get("env_name", self._path.stem)),
            seed=int(demo[5:]),
            observations={name: _observation(group, name) for name in observations},
            actions=hdf5.array(group, "actions"),
            reward=None if reward is None else reward[()],
        )


def _own(group: h5py.Group, wanted: Wanted) -> Array:
    kind, _, key = wanted.name.partition("/")
    return _observation(group, key) if kind == "observations" else hdf5.array(group, _place(wanted.name))


def _observation(group: h5py.Group, name: str) -> Array:
    """An observation's rows: the T before each action and, where it is there, the one after the last."""
    before = hdf5.array(group["obs"], name)
    after = group.get(f"next_obs/{name}")
    if after is None:
        return before
    return np.concatenate([before, after[-1:]]).astype(before.dtype, copy=False)  # its byte order, too
