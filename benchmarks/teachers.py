"""How often the scripted teachers succeed, how long they take and how hard they touch.

Episodes run without cameras. The interval is Wilson's, at 95%. Peak forces are those of the wrist, against
what it reads before the episode, in single physics steps: a blow of a few milliseconds counts in full.

    python benchmarks/teachers.py                        # everything, 100 episodes each
    python benchmarks/teachers.py --only peg-insertion --episodes 500 --workers 2 --json
    python benchmarks/teachers.py --only "grasp rich"    # what has all of these words in its name
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

from robolearn.data.episode import Episode
from robolearn.envs.pegs import SHAPES
from robolearn.training.pool import LocalPool, map_episodes
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.statistics import wilson_interval

OBSERVE = ("q",)
CLEARANCES = ("4mm", "3mm", "2mm", "1mm", "0.5mm", "0.2mm", "0.1mm")
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "grasp, training objects": ("grasp", {}),
    "grasp, held-out objects": ("grasp", {"objects": "held-out"}),
    "grasp, training objects, rich": ("grasp", {"randomisation": "rich"}),
    "grasp, held-out objects, rich": ("grasp", {"objects": "held-out", "randomisation": "rich"}),
    "grasp, 4 objects": ("grasp", {"count": 4}),
    "grasp, 8 objects": ("grasp", {"count": 8}),
    **{
        f"peg-insertion, {shape}, {clearance}": ("peg-insertion", {"shape": shape, "clearance": clearance})
        for shape in SHAPES
        for clearance in CLEARANCES
    },
    **{
        f"peg-insertion, trapezoid, {clearance}, rich": (
            "peg-insertion",
            {"shape": "trapezoid", "clearance": clearance, "randomisation": "rich"},
        )
        for clearance in ("3mm", "1mm")
    },
}


@dataclass
class Options:
    """What to measure."""

    only: str = ""
    """words that a case's name must have"""
    episodes: int = 100
    """episodes a case"""
    seed: int = 0
    """of the first episode; the others follow"""
    workers: int = 1
    """processes"""
    json: bool = False
    """print JSON"""


def target(case: str) -> float:
    """The success rate that is asked for; none in rich surroundings."""
    if "rich" in case:
        return 0.0
    return 0.9 if case.endswith((" 0.1mm", " 0.2mm")) else 0.99


def summary(case: str, episodes: list[Episode], seconds: float) -> dict[str, Any]:
    outcomes = [episode.outcome for episode in episodes]
    good = [outcome for outcome in outcomes if outcome.success]
    peaks = [outcome.peak_force for outcome in outcomes]
    return {
        "case": case,
        "episodes": len(outcomes),
        "success": len(good) / len(outcomes),
        "interval": wilson_interval(len(good), len(outcomes)),
        "target": target(case),
        "seconds": float(np.mean([outcome.seconds for outcome in good])) if good else None,
        "peak_force": {"median": float(np.median(peaks)), "most": max(peaks)},
        "drops": sum(o.drops or 0 for o in outcomes),
        "jams": sum(o.jams or 0 for o in outcomes),
        "altered_ticks": sum(o.altered_ticks or 0 for o in outcomes) / sum(o.ticks for o in outcomes),
        "failures": {
            episode.seed: episode.outcome.reason for episode in episodes if not episode.outcome.success
        },
        "run_seconds": seconds,
    }


def main(options: Options) -> None:
    words = options.only.replace(",", " ").split()
    cases = {name: case for name, case in CASES.items() if set(words) <= set(name.replace(",", " ").split())}
    if not cases:
        sys.exit(f"no case has all of the words {options.only!r}; the cases are:\n  " + "\n  ".join(CASES))
    rows = []
    with LocalPool(options.workers) as pool:
        for name, (task, changes) in track(cases.items(), "teaching", console=Console(stderr=True)):
            begin = time.perf_counter()
            seeds = range(options.seed, options.seed + options.episodes)
            specs = [EpisodeSpec(task, {**changes, "observe": OBSERVE}, seed) for seed in seeds]
            rows.append(summary(name, list(map_episodes(pool, specs)), time.perf_counter() - begin))
    if options.json:
        print(json.dumps({"options": asdict(options), "cases": rows}, indent=2))
        return
    table = Table(box=None, title=f"teachers, {options.episodes} episodes each from seed {options.seed}")
    columns = ("case", "success", "95% interval", "target", "time", "peak force", "drops", "jams", "altered")
    for column in (*columns, "failed seeds"):
        table.add_column(column, justify="left" if column in ("case", "failed seeds") else "right")
    for row in rows:
        low, high = row["interval"]
        reasons = [f"{seed} {reason}" for seed, reason in row["failures"].items()]
        table.add_row(
            row["case"],
            f"{row['success']:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{row['target']:g}" if row["target"] else "",
            f"{row['seconds']:.1f} s" if row["seconds"] else "",
            f"{row['peak_force']['median']:.0f} to {row['peak_force']['most']:.0f} N",
            str(row["drops"]),
            str(row["jams"]),
            f"{100 * row['altered_ticks']:.1f} %",
            ", ".join(reasons[:6]) + (f" and {len(reasons) - 6} more" if len(reasons) > 6 else ""),
        )
    Console(width=160).print(table)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
