"""Other people's formats: episodes out of them and into them, one at a time.

`minari`, `robomimic` and `lerobot` each have `write`, which takes an iterator of episodes, and a `Dataset`,
which is one. What a format or a dataset cannot give is told as losses. An episode's header travels along, so
that what we wrote comes back as it was; `foreign` makes episodes of what somebody else wrote.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from robolearn.data.episode import Episode
from robolearn.data.exchange.extra import require
from robolearn.data.exchange.foreign import Told
from robolearn.data.exchange.losses import Loss, Losses
from robolearn.errors import InputError, choose

__all__ = ["FORMATS", "Dataset", "Loss", "Told", "open_dataset", "write_dataset"]

FORMATS = {"lerobot": "pyarrow", "robomimic": "h5py", "minari": "h5py"}
"""Formats by name, and the package that each needs."""


class Dataset(Protocol):
    """A dataset in some format: an iterator of episodes that never holds more than one."""

    losses: Losses

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Episode]: ...


def write_dataset(format: str, episodes: Iterable[Episode], path: Path, video: bool = False) -> list[Loss]:
    """Write episodes of one layout, all of them or nothing; return what the format could not take.

    Args:
        format: one of `FORMATS`.
        episodes: taken one at a time.
        path: of the dataset's folder, of its file for robomimic.
        video: keep pictures as video; LeRobot only.

    Raises:
        InputError: unknown format, a package that is missing, something at `path`, or episodes that do not
            fit.
        OSError: it cannot be written; nothing is left behind.
    """
    module = _module(format)
    if video and format != "lerobot":
        raise InputError(f"{format} has no videos; of the formats, only lerobot does")
    options = {"video": video} if format == "lerobot" else {}
    losses: Losses = module.write(episodes, Path(path), **options)
    return losses.all()


def open_dataset(format: str, path: Path, told: Told | None = None) -> Dataset:
    """A dataset, to be iterated over.

    Args:
        format: one of `FORMATS`.
        path: of the dataset's folder, of its file for robomimic.
        told: what a person says about a dataset that somebody else wrote.

    Raises:
        InputError: unknown format, a package that is missing, or no such dataset there. Iterating raises it,
            too, where something is damaged or cannot be made an episode.
    """
    dataset: Dataset = _module(format).Dataset(Path(path), told or Told())
    return dataset


def _module(format: str) -> Any:
    require(FORMATS[choose("format", format, FORMATS)])
    return importlib.import_module(f"robolearn.data.exchange.{format}")
