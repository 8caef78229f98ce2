"""What the network costs: gradient steps a second in training, and the time from an observation to an action.

Pictures, readings and labels are random, of the grasping task's sizes. Times are wall time on one thread of
the CPU; rounds of the networks alternate, so that a busy machine spoils all of them alike. A training run
reaches somewhat less: it also takes episodes in and draws batches.

    python benchmarks/learner.py
    python benchmarks/learner.py --rounds 100 --json
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import rich
import torch
import tyro
from numpy.typing import NDArray
from rich.table import Table

from robolearn.envs.tasks import make
from robolearn.policies.guided import GuidedConfig, Learner
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

NETWORKS = {
    "default": VisuomotorConfig(),
    "history 4": VisuomotorConfig(history=4),
    "history 4, recurrent": VisuomotorConfig(history=4, recurrent=True),
}
LEARNING = GuidedConfig()
WARM_UP = 3  # rounds that do not count
ACTIONS = 10  # in a round
TARGET = 500_000  # parameters


@dataclass(frozen=True)
class Result:
    """A network's figures.

    Attributes:
        network: its name.
        parameters: number of weights.
        batch: observations in a gradient step.
        steps: gradient steps a second, of the median step [1/s].
        latency: time to act on one observation, median [ms].
        latency_p99: the same, 99th percentile [ms].
    """

    network: str
    parameters: int
    batch: int
    steps: float
    latency: float
    latency_p99: float


class Bench:
    """A learner with something to learn from, and an actor with something to act on."""

    def __init__(self, config: VisuomotorConfig) -> None:
        env = make("grasp", {})
        observe, space = env.config.observe, env.observation_space
        shapes = {item: space[item].shape for item in observe}  # type: ignore[index]
        self.cameras = {item: shapes[item][:2] for item in observe if item in env.views}
        self.channels = {item: shapes[item][0] for item in observe if item not in env.views}
        self.state, self.action = env.state_size, env.action_space.shape[0]  # type: ignore[index]
        env.close()
        torch.manual_seed(0)
        self.network = Visuomotor(config, self.cameras, self.channels, self.state, self.action)
        self.learner = Learner(self.network, LEARNING, torch.device("cpu"))
        self.rng = np.random.default_rng(0)

    def update(self) -> float:
        """Time of a gradient step [s]."""
        leading: dict[str, tuple[int, ...]] = {
            name: (LEARNING.batch,) for name in (*self.cameras, *self.channels)
        }
        leading |= {name: (LEARNING.batch, length) for name, length in self.network.windows.items()}
        batch = self.observations(leading)
        batch |= {"state": self.readings((LEARNING.batch, self.state))}
        batch |= {"expert": self.readings((LEARNING.batch, self.action))}
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        return timed(lambda: self.learner.update(tensors, 0.0))

    def act(self) -> float:
        """Time of an action [s]."""
        observation = self.observations(dict.fromkeys((*self.cameras, *self.channels), ()))
        return timed(lambda: self.network.act(observation))

    def observations(self, leading: dict[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
        pictures = {
            name: self.rng.integers(0, 256, (*leading[name], *size, 3), np.uint8)
            for name, size in self.cameras.items()
        }
        return pictures | {
            name: self.readings((*leading[name], size)) for name, size in self.channels.items()
        }

    def readings(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return self.rng.standard_normal(shape, np.float32)


def timed(run: Callable[[], object]) -> float:
    before = time.perf_counter()
    run()
    return time.perf_counter() - before


def measure(rounds: int) -> list[Result]:
    """Figures of every network."""
    torch.set_num_threads(1)
    benches = {name: Bench(config) for name, config in NETWORKS.items()}
    updates: dict[str, list[float]] = {name: [] for name in benches}
    actions: dict[str, list[float]] = {name: [] for name in benches}
    for _ in range(WARM_UP + rounds):
        for name, bench in benches.items():
            updates[name].append(bench.update())
            # the first action after a gradient step finds other things in the caches
            actions[name] += [bench.act() for _ in range(1 + ACTIONS)][1:]
    results = []
    for name, bench in benches.items():
        latency = 1e3 * np.array(actions[name][ACTIONS * WARM_UP :])
        results.append(
            Result(
                name,
                sum(parameter.numel() for parameter in bench.network.parameters()),
                LEARNING.batch,
                1.0 / float(np.median(updates[name][WARM_UP:])),
                float(np.median(latency)),
                float(np.percentile(latency, 99)),
            )
        )
    return results


def main(rounds: int = 60, as_json: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Measure every network and print its figures.

    Args:
        rounds: gradient steps of each network; ten actions follow each.
        as_json: print JSON instead of a table.
    """
    results = measure(rounds)
    if as_json:
        rows = [asdict(result) for result in results]
        print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "rows": rows}))
        return
    table = Table("network", "parameters", "gradient steps/s", "action, median", "action, p99")
    for r in results:
        colour = "green" if r.parameters < TARGET else "red"
        size = f"[{colour}]{r.parameters:,}[/]"
        table.add_row(r.network, size, f"{r.steps:.1f}", f"{r.latency:.2f} ms", f"{r.latency_p99:.2f} ms")
    rich.print(table)
    rich.print(
        f"batch {LEARNING.batch}, one thread, torch {torch.__version__}; target: under {TARGET:,} parameters"
    )


if __name__ == "__main__":
    tyro.cli(main)
