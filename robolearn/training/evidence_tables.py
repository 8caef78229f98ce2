"""The tables of docs/results.md, from the figures under evidence/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from robolearn.files import replacing
from robolearn.training.experiments import EPISODES, EXPERIMENTS, FIRST_SEED, TABLES, Experiment, Trial
from robolearn.training.statistics import wilson_interval

Figures = dict[str, Any]

DISTURBED = 0.1  # cores that other work may use during a training before its row says so

PAGE = """\
# Results

Success is a mechanical predicate on the simulator's state. Every figure is over {episodes} held-out episodes
that nothing was tuned on (`robolearn evaluate RUN --episodes {episodes} --seed {first}`) for each training
seed; the interval is Wilson's, at 95%, over the episodes of all seeds together. `make evidence` measures what
is missing, `python -m robolearn.training.evidence --only NAME` a row. The figures, with the seeds of every
failure, lie under `evidence/`.
"""


def write_tables(results: Path, current: dict[str, str], page: Path | None = None) -> None:
    """Write the tables into docs/results.md; what stands there outside of their marks stays.

    Args:
        results: the folder of figures.
        current: each experiment's hash for the present code. Figures of older code are used, and marked,
            where they are more complete.
        page: the file; docs/results.md beside `results` if None.
    """
    page = page or results.parent / "docs" / "results.md"
    found = _read(results)
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    text = text or PAGE.format(episodes=EPISODES, first=FIRST_SEED)
    tables = {name: (title, _table(name, found, current)) for name, title in TABLES.items()}
    tables["manner"] = ("How the policies move", _manner(found, current))
    for name, (title, rows) in tables.items():
        begin, end = f"<!-- table {name} -->", "<!-- end of table -->"
        table = "\n".join([begin, "", *rows, "", end])
        if begin in text:
            text = re.sub(f"{begin}.*?{end}", lambda _, table=table: table, text, count=1, flags=re.S)  # type: ignore[misc]
        else:
            text = f"{text.rstrip()}\n\n## {title}\n\n{table}\n"
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def in_short(figures: Figures) -> str:
    """A cell's success rates in a line."""
    return ", ".join(f"{trial['title']}: {trial['success']['rate']:.3f}" for trial in figures["trials"])


def _read(results: Path) -> dict[tuple[str, str], dict[int, Figures]]:
    """Figures by training seed, by the experiment's name and hash."""
    found: dict[tuple[str, str], dict[int, Figures]] = {}
    for file in sorted(results.glob("*/*.json")):
        figures = json.loads(file.read_bytes())
        found.setdefault((figures["experiment"]["name"], figures["hash"]), {})[figures["seed"]] = figures
    return found


def _table(name: str, found: dict[tuple[str, str], dict[int, Figures]], current: dict[str, str]) -> list[str]:
    rows = ["| task | time | success | worst seed | 95% interval | aimed at | name | |", "|" + "---|" * 8]
    for experiment in EXPERIMENTS:
        if name not in experiment.tables:
            continue
        seeds, present = _chosen(experiment, found, current)
        rows += [_row(experiment, trial, seeds, present) for trial in experiment.trials]
    return rows


def _manner(found: dict[tuple[str, str], dict[int, Figures]], current: dict[str, str]) -> list[str]:
    """Means over training seeds of what is measured beside success; the experiments of the first table."""
    titles = [
        "task",
        "time to success",
        "peak force",
        "mean force",
        "torque rate",
        "drops",
        "jams",
        "limiter",
    ]
    rows = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    first = next(iter(TABLES))
    for experiment in (experiment for experiment in EXPERIMENTS if first in experiment.tables):
        seeds, _ = _chosen(experiment, found, current)
        for trial in experiment.trials:
            tried = _tried(trial, seeds)
            if not tried:
                continue
            cells = [trial.title]
            for key, unit in (
                ("seconds_to_success", "s"),
                ("peak_force", "N"),
                ("mean_force", "N"),
                ("torque_rate", "N·m/s"),
            ):
                known = [entry[key]["mean"] for entry in tried if entry[key] is not None]
                cells.append(f"{sum(known) / len(known):.3g} {unit}" if known else "")
            for key in ("drops", "jams"):  # figures of older code do not know jams, nor the share of ticks
                known = [entry[key] for entry in tried if key in entry]
                cells.append(f"{sum(known)} in {sum(e['episodes'] for e in tried)}" if known else "")
            known = [entry["limiter"]["share"] for entry in tried if "share" in entry["limiter"]]
            cells.append(f"{100 * sum(known) / len(known):.2f} % of ticks altered" if known else "")
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def _chosen(
    experiment: Experiment, found: dict[tuple[str, str], dict[int, Figures]], current: dict[str, str]
) -> tuple[list[Figures], bool]:
    """The most complete figures of an experiment, by seed, and whether they are of the present code."""
    versions = {key: seeds for (other, key), seeds in found.items() if other == experiment.name}
    present = current.get(experiment.name, "")
    rank = {key: (*_complete(experiment, seeds), key == present) for key, seeds in versions.items()}
    best = max(rank, key=lambda key: rank[key], default=present)
    return [figures for _, figures in sorted(versions.get(best, {}).items())], best == present


def _complete(experiment: Experiment, seeds: dict[int, Figures]) -> tuple[int, str]:
    """How many of the experiment's seeds are there, and how new they are."""
    known = [figures for seed, figures in seeds.items() if seed in experiment.seeds]
    return len(known), max((figures["measured"] for figures in known), default="")


def _row(experiment: Experiment, trial: Trial, seeds: list[Figures], present: bool) -> str:
    """A row of a table; `present` if the figures are of the present code."""
    goals = [("", trial.mean), ("worst ", trial.worst)]
    goal = ", ".join(f"{name}>= {value:g}" for name, value in goals if value is not None)
    tried = _tried(trial, seeds)
    if not tried:
        measured = ["not measured", "", ""]
    else:
        rates = [entry["success"]["rate"] for entry in tried]
        successes = sum(entry["success"]["successes"] for entry in tried)
        low, high = wilson_interval(successes, sum(entry["episodes"] for entry in tried))
        each = ", ".join(f"{rate:.3f}" for rate in rates)
        success = f"**{sum(rates) / len(rates):.3f}** ({each})"
        measured = [success, f"{min(rates):.3f}", f"{low:.3f} to {high:.3f}"]
    notes = _notes(experiment, seeds, present) if tried else []
    time, name = f"{experiment.minutes:g} min", f"`{experiment.name}`"
    return f"| {' | '.join([trial.title, time, *measured, goal, name, '; '.join(notes)])} |"


def _tried(trial: Trial, seeds: list[Figures]) -> list[Figures]:
    """The trial's figures of every seed."""
    return [entry for figures in seeds for entry in figures["trials"] if entry["title"] == trial.title]


def _notes(experiment: Experiment, seeds: list[Figures], present: bool) -> list[str]:
    """What a reader should know about the figures."""
    notes = []
    if len(seeds) < len(experiment.seeds):
        notes.append(f"{len(seeds)} of {len(experiment.seeds)} seeds")
    if not present:
        notes.append(f"older code, of {max(figures['measured'] for figures in seeds)}")
    foreign = max(figures["cores used by other work"] or 0.0 for figures in seeds)
    if foreign > DISTURBED:
        notes.append(f"other work used up to {foreign:g} cores")
    if any(figures["training"]["resumed"] for figures in seeds):
        notes.append("stopped and resumed")
    return notes
