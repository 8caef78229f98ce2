"""How fast a training store gives random transitions, against the memory map under it, and how it fills.

A store is filled with episodes of a seven-joint arm with two 64x64 cameras. A sample is a transition: two
pictures and four readings before it, the same after it, and its action. The raw memory map copies these rows
out of `np.memmap` by a list of row numbers and does nothing else. All are measured in turn, several times, by
the process's CPU time, with the files in memory; the table has the medians. Writing is measured by the clock.

    python benchmarks/store_sampling.py
    python benchmarks/store_sampling.py --steps 200000 --batch 1024 --json

TensorDict's memory-mapped tensors and LeRobotDataset are measured beside it where they can be imported.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from robolearn.contract import Action, Camera, Channel, Contract
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.data.store import Mixture, Store, Transitions
from robolearn.terminal import print_table

READINGS = {"q": 7, "dq": 7, "tau": 7, "gripper": 2}
LENGTH = 120  # steps of an episode

Draw = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        steps: transitions in the store; 30000 take 0.8 GB.
        batch: transitions in a batch.
        seconds: CPU time of each measurement; there are five of each [s].
        folder: where the store is made and removed again; a temporary folder if not given.
        json: print the table as JSON.
    """

    steps: int = 30_000
    batch: int = 256
    seconds: float = 1.0
    folder: Path | None = None
    json: bool = False


def contract() -> Contract:
    """A Panda's, with two cameras."""
    cameras = (("front", "base"), ("wrist", "hand"))
    return Contract(
        arm="panda",
        joints=tuple(f"joint{i}" for i in range(1, 8)),
        proprioception=tuple(Channel(name, "1", size) for name, size in READINGS.items()),
        cameras=tuple(Camera.from_fovy(n, 64, 64, 0.8, f, (1, 0, 1), (1, 0, 0, 0)) for n, f in cameras),
        action=Action("torque", 7, "N·m", gripper=True),
        control_rate=20,
        filter_rate=200,
        limiter={},
        delays={},
    )


def episode(number: int, agreed: Contract, rng: np.random.Generator) -> Episode:
    """Noise in the shape of an episode."""
    rows = LENGTH + 1
    pictures = {c.name: rng.integers(0, 256, (rows, 64, 64, 3), np.uint8) for c in agreed.cameras}
    readings = {name: rng.random((rows, size), np.float32) for name, size in READINGS.items()}
    torque = rng.normal(size=(LENGTH, 7))
    success = number % 2 == 0
    return Episode(
        contract=agreed,
        observations={**pictures, **readings},
        requested=np.concatenate([torque, np.ones((LENGTH, 1))], 1),
        filtered=torque,
        sent=torque,
        stamps=np.arange(rows) / 20,
        reward=np.zeros(LENGTH),
        reward_terms={},
        source=np.full(LENGTH, Source.POLICY, np.uint8),
        outcome=Outcome(success, "success" if success else "time", LENGTH, LENGTH / 20),
        task="grasp",
        config={},
        seed=number,
        info={},
    )


def fill(path: Path, steps: int, group: int) -> float:
    """Write so many steps, some episodes in one go; frames a second, waiting for the disk included."""
    agreed, rng = contract(), np.random.default_rng(0)
    spent, count = 0.0, -(-steps // LENGTH)
    with Store.create(path) as store:
        for first in range(0, count, group):
            episodes = [episode(number, agreed, rng) for number in range(first, min(first + group, count))]
            begin = time.perf_counter()
            with store.group():
                for entry in episodes:
                    store.add(entry, origin="benchmark")
            spent += time.perf_counter() - begin
    return count * LENGTH / spent


def raw(store: Store, rows: np.ndarray, batch: int, following: bool) -> Draw:
    """Random rows of the store's own files through np.memmap."""
    names = ["front", "wrist", *READINGS]
    folder = store.path / "shards" / "00000"
    maps = [np.load(folder / f"observations.{name}.npy", mmap_mode="r") for name in names]
    maps += [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("requested", "filtered")]
    within = rows[rows + 1 < len(maps[0])]  # of the first shard

    def draw(rng: np.random.Generator) -> Any:
        chosen = within[rng.integers(len(within), size=batch)]
        now = [array[chosen] for array in maps]
        return now, [array[chosen + 1] for array in maps[:-2]] if following else None

    return draw


def peers(store: Store, folder: Path, batch: int) -> dict[str, Draw]:
    """Other formats with the same pictures, where their libraries are."""
    found: dict[str, Draw] = {}
    if importlib.util.find_spec("tensordict"):
        import torch
        from tensordict import MemoryMappedTensor

        columns = store.columns()
        stop = store.episodes()[-1].stop
        tensors = []
        for name in ("front", "wrist"):
            array = torch.from_numpy(columns[f"observations/{name}"].span(0, stop))
            tensors.append(MemoryMappedTensor.from_tensor(array, filename=folder / f"{name}.memmap"))

        def draw(rng: np.random.Generator) -> Any:
            rows = torch.from_numpy(rng.integers(stop - 1, size=batch))
            return [tensor[rows] for tensor in tensors], [tensor[rows + 1] for tensor in tensors]

        found["TensorDict memory map, pictures only"] = draw
    if importlib.util.find_spec("lerobot"):
        found["LeRobotDataset, pictures only, no next"] = lerobot(store, folder, batch)
    return found


def lerobot(store: Store, folder: Path, batch: int) -> Draw:
    """A LeRobotDataset of the store's first episodes, its pictures as PNG."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    names = ["height", "width", "channels"]
    features = {
        f"observation.images.{name}": {"dtype": "image", "shape": (64, 64, 3), "names": names}
        for name in ("front", "wrist")
    }
    dataset = LeRobotDataset.create("benchmark/store", fps=20, features=features, root=folder / "lerobot")
    for row in store.episodes()[:10]:
        loaded = store.load(row)
        for step in range(len(loaded)):
            frame = {f"observation.images.{n}": loaded.observations[n][step] for n in ("front", "wrist")}
            dataset.add_frame({**frame, "task": "grasp"})
        dataset.save_episode()
    dataset.finalize()
    dataset = LeRobotDataset("benchmark/store", root=folder / "lerobot")
    return lambda rng: [dataset[int(i)] for i in rng.integers(len(dataset), size=batch)]


def speed(draw: Draw, batch: int, seconds: float, rng: np.random.Generator) -> float:
    """Samples a second of CPU time."""
    count, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < seconds:
        draw(rng)
        count += batch
    return count / spent


def measure(options: Options, folder: Path) -> list[dict[str, Any]]:
    """The table."""
    single = fill(folder / "single", min(options.steps, 20 * LENGTH), 1)
    written = fill(folder / "store", options.steps, 10)
    print(
        f"writing  {written:.0f} frames/s in groups of 10 episodes, {single:.0f} one by one", file=sys.stderr
    )
    with Store.open(folder / "store") as store:
        episodes = store.episodes()
        rows = np.concatenate([np.arange(row.first, row.stop - 1) for row in episodes])
        half = len(episodes) // 2
        plain, weighted = Transitions(store), Transitions(store)
        weighted.set_weights(np.random.default_rng(1).random(len(weighted)))
        parts = [Transitions(store, episodes[:half]), Transitions(store, episodes[half:])]
        mixture = Mixture([(part, 0.5) for part in parts])
        reference = "raw memory map"
        draws: dict[str, Draw] = {
            reference: raw(store, rows, options.batch, True),
            "raw memory map, no next": raw(store, rows, options.batch, False),
            "store, uniform": lambda rng: plain.batch(options.batch, rng),
            "store, prioritised": lambda rng: weighted.batch(options.batch, rng, 0.5),
            "store, half and half": lambda rng: mixture.batch(options.batch, rng),
            **peers(store, folder, options.batch),
        }
        rng = np.random.default_rng(0)
        for draw in draws.values():
            speed(draw, options.batch, options.seconds, rng)  # bring the files into memory
        found: dict[str, list[float]] = {name: [] for name in draws}
        for _ in range(5):
            for name, draw in draws.items():
                found[name].append(speed(draw, options.batch, options.seconds, rng))
    ratios = {n: [v / r for v, r in zip(f, found[reference], strict=True)] for n, f in found.items()}
    return [
        {
            "source": name,
            "samples/s": round(statistics.median(found[name])),
            "of the raw map": f"{statistics.median(ratios[name]):.2f}",
        }
        for name in draws
    ]


def main(options: Options) -> None:
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        print_table(measure(options, Path(folder)), options.json)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
