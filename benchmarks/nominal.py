"""What the torque path has to do in everyday work: nominal episodes, and whether any would be stopped.

A stop is a measured fact and never a clamped request: a joint position or speed outside the arm's published
limits, a reading that is not finite, or a simulation that diverged. Beside it stands the share of limiter
ticks in which a request was altered, by cause.

    python benchmarks/nominal.py grasp peg-insertion --episodes 100
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from robolearn.data.episode import Episode
from robolearn.hardware.arm import ArmProfile, load_arm
from robolearn.policies.bundle import load_bundle
from robolearn.training.evaluation import evaluate


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


def breaches(episode: Episode, arm: ArmProfile) -> int:
    """Observations of an episode that would stop a real arm."""
    q, dq = episode.observations["q"], episode.observations["dq"]
    bad = ~np.isfinite(q).all(1) | ~np.isfinite(dq).all(1)
    bad |= (q < arm.q_min).any(1) | (q > arm.q_max).any(1) | (np.abs(dq) > arm.dq_max).any(1)
    return int(bad.sum()) + (episode.outcome.reason == "diverged")


def measure(name: str, options: Options) -> dict[str, Any]:
    """Figures of one bundle."""
    arm = load_arm(load_bundle(name).contract.arm)
    stopped: list[int] = []
    fastest: list[float] = []

    def watch(episode: Episode) -> None:
        stopped.append(breaches(episode, arm))
        fastest.append(float((np.abs(episode.observations["dq"]) / arm.dq_max).max()))

    summary = evaluate(name, options.episodes, options.seed, progress=watch).summary
    return {
        "bundle": name,
        "episodes": options.episodes,
        "episodes stopped": sum(count > 0 for count in stopped),
        "fastest joint, share of its limit": max(fastest),
        "limiter": summary["limiter"],
        "success": summary["success"],
    }


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    rows = [measure(name, options) for name in options.bundles]
    if options.json:
        json.dump(rows, sys.stdout, indent=2)
        return
    table = Table("bundle", "episodes", "stopped", "fastest joint", "altered, by cause")
    for row in rows:
        shares = {cause: share for cause, share in row["limiter"]["altered"].items() if share}
        table.add_row(
            row["bundle"],
            str(row["episodes"]),
            str(row["episodes stopped"]),
            f"{row['fastest joint, share of its limit']:.2f} of its limit",
            ", ".join(f"{cause} {100 * share:.1f}%" for cause, share in shares.items()),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
