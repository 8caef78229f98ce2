"""How often the scripted teachers succeed, how long they take and how hard they touch.

Episodes run without cameras. The interval is Wilson's, at 95%. Peak forces are those of the wrist, against
what it reads before the episode, in single physics steps: a blow of a few milliseconds counts in full.

    python benchmarks/teachers.py                        # everything, 100 episodes each
    python benchmarks/teachers.py --only peg-insertion --episodes 500 --workers 2 --json
    python benchmarks/teachers.py --only "grasp rich"    # what has all of these words in its name
    python benchmarks/teachers.py --only grasp --episodes 500 --workers 2 --markdown    # as the manual has it

Every episode is kept as soon as it has ended, in FOLDER by a hash of the code that it depends on: what was
stopped goes on where it was, and what has been measured is not measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import robolearn
from robolearn.data.episode import Episode
from robolearn.envs.pegs import SHAPES
from robolearn.training.evidence_code import counts
from robolearn.training.pool import LocalPool, Pool, map_episodes
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.statistics import wilson_interval

OBSERVE = ("q",)
TAUGHT_BY = ("envs", "hardware", "skills.py", "units.py", "camera.py", "contract.py")
"""Where the code is that a teacher's success depends on."""
PACKAGE = Path(robolearn.__file__).parent
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
    folder: Path = Path("runs/teachers")
    """where episodes are kept"""
    json: bool = False
    """print JSON"""
    markdown: bool = False
    """print a table for the manual, with its date and its commit"""


def target(case: str) -> float:
    """The success rate that is asked for; none in rich surroundings."""
    if "rich" in case:
        return 0.0
    return 0.9 if case.endswith((" 0.1mm", " 0.2mm")) else 0.99


def measured(
    case: str, seeds: range, folder: Path, pool: Pool, commit: str | None
) -> Iterator[dict[str, Any]]:
    """A row for every seed of a case; those that are not kept are run, and kept."""
    task, changes = CASES[case]
    file = folder / code_hash(task) / f"{re.sub('[^a-z0-9.]+', '-', case)}.jsonl"
    known = read(file)
    missing = [seed for seed in seeds if seed not in known]
    specs = [EpisodeSpec(task, {**changes, "observe": OBSERVE}, seed) for seed in missing]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as kept:
        begin = time.perf_counter()
        for episode in map_episodes(pool, specs):
            now = time.perf_counter()
            row = row_of(episode) | {"run_seconds": now - begin}
            row |= {"measured": time.strftime("%Y-%m-%d"), "commit": commit}
            print(json.dumps(row), file=kept, flush=True)
            known[row["seed"]], begin = row, now
    yield from (known[seed] for seed in seeds)


def code_hash(task: str) -> str:
    """Hash of the code that a task's teacher depends on."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        if counts(name, task) and name.startswith(TAUGHT_BY):
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def present_commit() -> str | None:
    """The commit that the teachers are at, with a plus if they have been changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True).stdout.strip()

    commit, changed = git("rev-parse", "--short", "HEAD"), git("status", "--porcelain", "--", *TAUGHT_BY)
    return f"{commit}{'+' if changed else ''}" if commit else None


def read(file: Path) -> dict[int, dict[str, Any]]:
    """The rows that a file keeps, by seed; a line that was being written when somebody stopped us is none."""
    rows = {}
    for line in file.read_text().splitlines() if file.is_file() else ():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            rows[row["seed"]] = row
    return rows


def row_of(episode: Episode) -> dict[str, Any]:
    """What is kept of an episode."""
    outcome = episode.outcome
    names = ("success", "reason", "seconds", "peak_force", "drops", "jams", "altered_ticks", "ticks")
    return {"seed": episode.seed, **{name: getattr(outcome, name) for name in names}}


def summary(case: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    good = [row for row in rows if row["success"]]
    peaks = [row["peak_force"] for row in rows]
    return {
        "case": case,
        "episodes": len(rows),
        "success": len(good) / len(rows),
        "interval": wilson_interval(len(good), len(rows)),
        "target": target(case),
        "seconds": float(np.mean([row["seconds"] for row in good])) if good else None,
        "peak_force": {"median": float(np.median(peaks)), "most": max(peaks)},
        "drops": sum(row["drops"] or 0 for row in rows),
        "jams": sum(row["jams"] or 0 for row in rows),
        "altered_ticks": sum(row["altered_ticks"] or 0 for row in rows) / sum(row["ticks"] for row in rows),
        "failures": {row["seed"]: row["reason"] for row in rows if not row["success"]},
        "run_seconds": sum(row["run_seconds"] for row in rows),
        "measured": sorted({row["measured"] for row in rows}),
        "commits": sorted({row["commit"] or "no commit" for row in rows}),
    }


def in_markdown(rows: list[dict[str, Any]], options: Options) -> str:
    """The table as the manual has it."""
    seeds = f"seeds {options.seed} to {options.seed + options.episodes - 1}"
    titles = ["", f"success, {seeds}", "95% interval", "time", "peak wrist force, median and largest"]
    lines = [[*titles, "drops", "jams"], ["---"] * (len(titles) + 2)]
    for row in rows:
        low, high = row["interval"]
        force, took = row["peak_force"], row["seconds"]
        cells = [row["case"], f"{row['success']:.3f}", f"{low:.3f} to {high:.3f}"]
        cells += [f"{took:.1f} s" if took else "", f"{force['median']:.0f}, {force['most']:.0f} N"]
        lines.append([*cells, str(row["drops"]), str(row["jams"])])
    days = sorted({day for row in rows for day in row["measured"]})
    commits = sorted({commit for row in rows for commit in row["commits"]})
    command = f"python benchmarks/teachers.py --only {json.dumps(options.only)} --episodes {options.episodes}"
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    when = f"Measured on {' and '.join(days)}, commit {' and '.join(commits)}."
    return "\n".join([*table, "", f"    {command} --markdown", "", when])


def main(options: Options) -> None:
    words = options.only.replace(",", " ").split()
    cases = [name for name in CASES if set(words) <= set(name.replace(",", " ").split())]
    if not cases:
        sys.exit(f"no case has all of the words {options.only!r}; the cases are:\n  " + "\n  ".join(CASES))
    seeds, commit = range(options.seed, options.seed + options.episodes), present_commit()
    with LocalPool(options.workers) as pool:
        rows = [
            summary(case, list(measured(case, seeds, options.folder, pool, commit)))
            for case in track(cases, "teaching", console=Console(stderr=True))
        ]
    if options.json:
        told = {**asdict(options), "folder": str(options.folder)}
        print(json.dumps({"options": told, "cases": rows}, indent=2))
        return
    if options.markdown:
        print(in_markdown(rows, options))
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
