"""What the torque path has to do in everyday work: nominal episodes, and whether any would be stopped.

The arm is looked at after every physics step. A stop is a measured fact and never a clamped request: a joint
position or speed outside the arm's published limits, or a simulation that diverged. Beside it stand the
largest speed, torque and change of torque from one tick to the next, each as a share of its limit, and the
share of ticks in which the limiter altered the request.

    python benchmarks/nominal.py grasp peg-insertion --episodes 100
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from robolearn.envs import scene
from robolearn.envs.tasks import make
from robolearn.envs.torque_path import TorquePath
from robolearn.policies.bundle import load_bundle
from robolearn.training.evaluation import task_changes
from robolearn.training.rollout import EpisodeSpec, run_episode
from robolearn.training.seeds import evaluation_seeds


@dataclass
class Options:
    """What to run."""

    bundles: Annotated[tuple[str, ...], tyro.conf.Positional]
    """bundles: directories or names of shipped ones"""
    episodes: int = 100
    """held-out episodes of each"""
    seed: int = 2000
    """of the first one"""
    json: bool = False
    """print JSON"""


class WatchedPath(TorquePath):
    """A torque path that goes one physics step at a time and looks at the arm after each."""

    def reset_meters(self) -> None:
        super().reset_meters()
        self.outside = 0
        """Physics steps after which a position or a speed was outside the arm's limits."""
        self.peaks = np.zeros(3)
        """Largest speed, torque and change of torque in a tick, as shares of their limits."""

    def advance(self, request: NDArray[Any], width_goal: float, steps: int) -> None:
        for _ in range(steps):
            before = self.sent.copy()
            super().advance(request, width_goal, 1)
            if self.diverged:
                return
            arm = self.arm
            q, dq = self.data.qpos[self.handles.qpos], self.data.qvel[self.handles.dof]
            beyond = (q < arm.q_min) | (q > arm.q_max) | (np.abs(dq) > arm.dq_max)
            self.outside += bool(beyond.any())
            change = np.abs(self.sent - before) / self.parameters.dtau
            shares = (np.abs(dq) / arm.dq_max, np.abs(self.sent) / arm.tau_max, change)
            self.peaks = np.maximum(self.peaks, [share.max() for share in shares])


def measure(name: str, options: Options) -> dict[str, Any]:
    """Figures of one bundle."""
    bundle = load_bundle(name)
    changes = task_changes(bundle, {})
    env = make(bundle.task, changes)
    stopped = successes = ticks = altered = 0
    peaks, causes = np.zeros(3), Counter[str]()
    seeds = evaluation_seeds(options.seed, options.episodes)
    for seed in track(seeds, name, console=Console(stderr=True)):
        outcome = run_episode(env, EpisodeSpec(bundle.task, changes, seed, name), bundle.network).outcome
        path = env.scene.path
        assert isinstance(path, WatchedPath)
        stopped += bool(path.outside) or path.diverged
        peaks = np.maximum(peaks, path.peaks)
        successes += outcome.success
        ticks += path.ticks
        altered += path.altered_ticks
        causes.update(outcome.interventions)
    env.close()
    return {
        "bundle": name,
        "episodes": options.episodes,
        "episodes stopped": stopped,
        "successes": successes,
        "largest share of its limit": dict(
            zip(("speed", "torque", "torque rate"), peaks.tolist(), strict=True)
        ),
        "ticks": ticks,
        "share altered": altered / ticks,
        "share altered, by cause": {cause: count / ticks for cause, count in causes.items()},
    }


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    scene.TorquePath = WatchedPath  # type: ignore[misc]  # every scene that is built from here on
    rows = [measure(name, options) for name in options.bundles]
    if options.json:
        json.dump(rows, sys.stdout, indent=2)
        return
    table = Table("bundle", "episodes", "stopped", "speed", "torque", "torque rate", "altered", "by cause")
    for row in rows:
        shares = {cause: share for cause, share in row["share altered, by cause"].items() if share}
        table.add_row(
            row["bundle"],
            str(row["episodes"]),
            str(row["episodes stopped"]),
            *(f"{share:.2f}" for share in row["largest share of its limit"].values()),
            f"{100 * row['share altered']:.1f}%",
            ", ".join(f"{cause} {100 * share:.1f}%" for cause, share in shares.items()),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
