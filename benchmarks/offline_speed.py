"""Gradient steps a second of the offline methods, and of d3rlpy's in the same run.

Both get batches that are ready: random ones, of the grasping task's readings and actions. Networks of two
layers of 256, batches of 256, two critics, ten samples for CQL, one thread. Counted is the time on the CPU,
rounds of two steps alternate, and the fastest of each counts: what else a machine does hardly matters. d3rlpy
needs an environment of its own (`python -m venv D; D/bin/pip install d3rlpy`); without one ours are measured
alone. By default our matrix products may use the CPU's fastest kernels (`--precision`), as trainings do.

    python benchmarks/offline_speed.py --peer D/bin/python
    python benchmarks/offline_speed.py --quantiles 32 --json
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import rich
import torch
import tyro
from rich.table import Table

from robolearn.policies.offline.actor import Actor
from robolearn.policies.offline.batch import Batch
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.learner import Learner
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

CHANNELS = {"q": 7, "dq": 7, "tau": 7, "gripper": 2, "state": 11}
ACTION = 8
PEER = Path(__file__).parent / "peers" / "d3rlpy_updates.py"


class Peer:
    """d3rlpy in a process of its own."""

    def __init__(self, python: Path, batch: int) -> None:
        words = [str(python), str(PEER), str(sum(CHANNELS.values())), str(ACTION), str(batch)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.versions = self._answer("ready")

    def seconds(self, method: str, updates: int) -> float:
        """What so many updates take [s]."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{method} {updates}\n")
        self._process.stdin.flush()
        return float(self._answer(""))

    def _answer(self, start: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(start) and not line.startswith("20"):  # its log lines begin with the year
                return line.removeprefix(start).strip()
        raise SystemExit("d3rlpy ended: run benchmarks/peers/d3rlpy_updates.py by hand to see why")


def learner_of(method: str, shared: OfflineConfig) -> Learner:
    torch.manual_seed(0)
    network = Visuomotor(VisuomotorConfig(), {}, CHANNELS, 0, ACTION)
    ones = torch.ones(ACTION - 1)
    kind = METHODS[method]
    return kind(Actor(network, -ones, ones, 0.3 * ones), shared, kind.config_type(), torch.device("cpu"))


def batch_of(size: int) -> Batch:
    action = torch.rand(size, ACTION) * 2 - 1
    return Batch(
        observation={name: torch.randn(size, count) for name, count in CHANNELS.items()},
        action=action,
        requested=action.clone(),
        altered=torch.zeros(size, dtype=torch.bool),
        reward=torch.rand(size),
        bootstrap=torch.full((size,), 0.99),
        next_observation={name: torch.randn(size, count) for name, count in CHANNELS.items()},
        next_action=action.clone(),
        followed=torch.ones(size, dtype=torch.bool),
        outcome=torch.rand(size),
        weight=torch.ones(size),
    )


def main(
    peer: Path | None = None,
    methods: tuple[str, ...] = ("iql", "td3bc", "cql", "awac", "bc"),
    rounds: int = 100,
    quantiles: int = 1,
    precision: Literal["medium", "highest"] = "medium",
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Measure every method and print its figures.

    Args:
        peer: the Python of an environment with d3rlpy.
        methods: which.
        rounds: of each method; one is two gradient steps of ours and two of d3rlpy's.
        quantiles: of our critics.
        precision: of our matrix products, as torch.set_float32_matmul_precision takes it.
        as_json: print JSON instead of a table.
    """
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision(precision)
    shared = replace(OfflineConfig(), quantiles=quantiles)
    other = Peer(peer, shared.batch) if peer is not None else None
    batches = [batch_of(shared.batch) for _ in range(4)]
    rows = []
    for method in methods:
        learner, updates = learner_of(method, shared), 2
        ours, theirs = [], []
        for _ in range(1 + rounds):
            started = time.process_time()
            for number in range(updates):
                learner.update(batches[number % len(batches)])
            ours.append(time.process_time() - started)
            if other is not None:
                theirs.append(other.seconds(method, updates))
        row = {"method": method, "updates_per_second": updates / min(ours[1:])}
        if theirs:
            row["d3rlpy"] = updates / min(theirs[1:])
            row["ratio"] = min(theirs[1:]) / min(ours[1:])
        rows.append(row)
    if as_json:
        found = {"torch": torch.__version__, "d3rlpy": other.versions if other else None, "rows": rows}
        print(json.dumps(found, indent=2))
        return
    table = Table("method", "updates/s", "d3rlpy", "ratio")
    for row in rows:
        more = [f"{row[name]:.1f}" if name in row else "" for name in ("d3rlpy", "ratio")]
        table.add_row(str(row["method"]), f"{row['updates_per_second']:.1f}", *more)
    rich.print(table)
    rich.print(f"batch {shared.batch}, one thread, torch {torch.__version__}")


if __name__ == "__main__":
    tyro.cli(main)
