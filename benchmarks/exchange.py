"""How fast a store goes into other formats and comes back, how large these are, and whether all comes back.

    robolearn data generate grasp --kind narrow --episodes 20 --to STORE
    python benchmarks/exchange.py STORE

Every format is written and read once, in a temporary folder. Frames count observations; seconds are those of
a CPU (ffmpeg's, too), so that a busy machine gives the same figures.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tyro

from robolearn.data.episode import Episode
from robolearn.data.exchange import open_dataset, write_dataset
from robolearn.data.store import Store
from robolearn.terminal import print_table

CASES = (
    ("lerobot", "set", False),
    ("lerobot", "videos", True),
    ("robomimic", "set.hdf5", False),
    ("minari", "set-v0", False),
)


def measure(store: tyro.conf.Positional[Path], json: bool = False) -> None:
    """Write and read a store's episodes in every format.

    Args:
        store: the store's directory.
        json: print the table as JSON.
    """
    rows = []
    with Store.open(store) as opened, tempfile.TemporaryDirectory() as folder:
        chosen = opened.episodes()
        frames = sum(row.steps + 1 for row in chosen)

        def episodes() -> Iterator[Episode]:
            return (opened.load(row) for row in chosen)

        begin = cpu()
        for _ in episodes():
            pass
        loading = cpu() - begin
        for format, name, video in CASES:
            place = Path(folder) / name
            begin = cpu()
            write_dataset(format, episodes(), place, video=video)
            writing = cpu() - begin - loading
            size = sum(file.stat().st_size for file in [place, *place.rglob("*")] if file.is_file())
            begin = cpu()
            for _ in open_dataset(format, place):
                pass
            reading = cpu() - begin
            pairs = zip(episodes(), open_dataset(format, place), strict=True)
            differing = {name for pair in pairs for name in differences(*pair)}
            rows.append(
                {
                    "format": f"{format}, video" if video else format,
                    "written frames/CPU-s": round(frames / writing),
                    "read frames/CPU-s": round(frames / reading),
                    "MB": round(size / 1e6, 1),
                    "differs": ", ".join(sorted(differing)) or "nothing",
                }
            )
    print_table(rows, json)


def cpu() -> float:
    """CPU time of this process and of those that it has waited for [s]."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def differences(one: Episode, other: Episode) -> list[str]:
    """Names of the arrays that are not equal bit by bit; "header" if the rest is not."""
    ours, theirs = one.arrays(), other.arrays()
    names = [
        name
        for name, array in ours.items()
        if not np.array_equal(array.view(np.uint8), theirs[name].view(np.uint8))
    ]
    return names + ([] if one.header() == other.header() else ["header"])


if __name__ == "__main__":
    tyro.cli(measure)
