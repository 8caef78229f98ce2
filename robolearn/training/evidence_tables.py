"""The tables of docs/results.md and of README.md, from the figures under evidence/."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from robolearn.files import replacing
from robolearn.training.comparison_tables import CURVES, ERRORS, SUCCESS, error_rows, paired, success_rows
from robolearn.training.evidence_figures import ORIGIN, Figures, Measured, read_figures
from robolearn.training.experiments import EPISODES, EXPERIMENTS, TABLES, Experiment, Trial
from robolearn.training.seeds import FIRST_SEED
from robolearn.training.statistics import mean_interval, wilson_interval

Of = Callable[[Experiment], Measured]

END = "<!-- end of table -->"

INTRODUCTION = f"""\
Success is a mechanical predicate on the simulator's state. Every trained policy is tried on the same
{EPISODES} episodes, from seed {FIRST_SEED} on, which nothing was tuned on (`robolearn evaluate RUN`); a row
that was tried on others says so. Two intervals, at 95%, answer two questions:

- *over trainings*: where the mean of many trainings like these would lie, on these episodes. Student's t over
  the training seeds' means, which are in brackets: with three or five of them a hint, with one nothing.
- *over episodes*: how often these very policies would succeed on further episodes. Wilson's, over the
  episodes of all seeds together. It is of episodes, not of trainings: it ignores how far trainings differ,
  and that they were all tried on the same scenes.

What was aimed at was allowed to take the time of the training, or the longer one that is named beside it.
`make evidence` measures what is missing, `python -m robolearn.training.evidence --only NAME` a row. The
figures, with the seeds of every failure, lie under `evidence/`. Each row names the code that it was measured
on, by its commit or by the folder of its figures, and says so if that code has changed since."""

PARTS = """\
The first row of a task leaves out nothing, every other one part. The difference is to the first row's
policies of the same training seeds, on the same scenes; beside it, how many scenes were lost and won by
leaving the part out. Its interval, at 95%, is over episodes (Agresti and Min, in pairs), not over trainings:
two trainings of one kind differ by some points, too."""

COMPARING = {
    "comparison": (SUCCESS, success_rows),
    "errors": (ERRORS, error_rows),
    "curves": (CURVES, success_rows),
}
"""Tables that set methods against one another: what is said before, and what makes the rows."""

FIGURES = (
    ("seconds_to_success", "time to success", "s"),
    ("peak_force", "peak wrist force", "N"),
    ("mean_force", "mean wrist force", "N"),
    ("torque_rate", "torque rate", "N·m/s"),
)
"""Means of an evaluation: key, title, unit. The wrist's force has the inertia of hand and object in it."""


def write_tables(results: Path, current: dict[str, str], page: Path | None = None) -> None:
    """Write the tables into docs/results.md and README.md; what stands there outside of their marks stays.

    Args:
        results: the folder of figures.
        current: each experiment's hash for the present code. Figures of older code are used, and marked,
            where they are more complete.
        page: docs/results.md; beside `results` if None. README.md is beside its folder, if there is one.
    """
    page = page or results.parent / "docs" / "results.md"
    of = read_figures(results, current)
    text = page.read_text(encoding="utf-8") if page.is_file() else "# Results\n"
    text = _put(text, "introduction", "", [INTRODUCTION])
    for name, title in TABLES.items():
        text = _put(text, name, title, _rows(name, of))
    text = _put(text, "manner", "How the policies move", _manner(of))
    _write(page, text)
    readme = page.parent.parent / "README.md"
    if readme.is_file() and _begin("summary") in (front := readme.read_text(encoding="utf-8")):
        _write(readme, _put(front, "summary", "", _summary(of)))


def _write(page: Path, text: str) -> None:
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _begin(name: str) -> str:
    return f"<!-- table {name} -->"


def _put(text: str, name: str, title: str, lines: Sequence[str]) -> str:
    """The text with some lines between the marks of that name; at its end, under a title, if it has none."""
    block = "\n".join([_begin(name), "", *lines, "", END])
    if _begin(name) in text:
        return re.sub(f"{_begin(name)}.*?{END}", lambda _: block, text, count=1, flags=re.S)
    heading = f"## {title}\n\n" if title else ""
    return f"{text.rstrip()}\n\n{heading}{block}\n"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles), *rows)]


def _listed(name: str) -> list[Experiment]:
    return [experiment for experiment in EXPERIMENTS if name in experiment.tables]


def _rows(name: str, of: Of) -> list[str]:
    """A table of that name, with what is said before it."""
    if name in COMPARING:
        said, make = COMPARING[name]
        titles: list[str] = []
        rows = make(_listed(name), of, titles)
        return [said, "", *_table(titles, rows)]
    return _parts(name, of) if name == "parts" else _successes(name, of)


def _successes(name: str, of: Of) -> list[str]:
    """Success over all training seeds, beside what was aimed at."""
    titles = ["task", "time", "success", "worst seed", "over trainings", "over episodes", "aimed at"]
    rows = []
    for experiment in _listed(name):
        measured = of(experiment)
        for trial in experiment.trials:
            rows.append(
                [
                    trial.title,
                    f"{experiment.minutes:g} min",
                    *_success(list(measured.tried(trial).values()), each=True),
                    _goal(experiment, trial),
                    *measured.origin(trial),
                ]
            )
    return _table([*titles, *ORIGIN], rows)


def _success(tried: list[Figures], each: bool = False) -> list[str]:
    """Mean, worst seed and the two intervals; `each` adds every training's rate to the mean."""
    if not tried:
        return ["not measured", "", "", ""]
    rates = [entry["success"]["rate"] for entry in tried]
    mean = f"**{fmean(rates):.3f}**" + (f" ({', '.join(f'{rate:.3f}' for rate in rates)})" if each else "")
    trainings = _interval(mean_interval(rates)) if len(rates) > 1 else ""
    successes = sum(entry["success"]["successes"] for entry in tried)
    episodes = wilson_interval(successes, sum(entry["episodes"] for entry in tried))
    return [mean, f"{min(rates):.3f}", trainings, _interval(episodes)]


def _interval(ends: tuple[float, float], sign: str = "") -> str:
    return f"{ends[0]:{sign}.3f} to {ends[1]:{sign}.3f}"


def _goal(experiment: Experiment, trial: Trial) -> str:
    goals = [("", trial.mean), ("worst ", trial.worst)]
    words = [f"{name}>= {value:g}" for name, value in goals if value is not None]
    if words and experiment.allowed is not None:
        words.append(f"in {experiment.allowed:g} min")
    return ", ".join(words)


def _parts(name: str, of: Of) -> list[str]:
    """What becomes of success if a part is left out, in pairs with the same training seed and scene."""
    rows = []
    for task in dict.fromkeys(experiment.task for experiment in _listed(name)):
        whole, *others = (experiment for experiment in _listed(name) if experiment.task == task)
        seeds = {seed for experiment in others for seed in experiment.seeds} or set(whole.seeds)
        base = {seed: entry for seed, entry in of(whole).tried(whole.trials[0]).items() if seed in seeds}
        for experiment in (whole, *others):
            measured, trial = of(experiment), experiment.trials[0]
            tried = base if experiment is whole else measured.tried(trial)
            rows.append(
                [
                    trial.title,
                    ", ".join(map(str, tried)),
                    _success(list(tried.values()), each=True)[0],
                    *(["", ""] if experiment is whole else paired(of(whole), measured)),
                    *measured.origin(trial),
                ]
            )
    titles = ["task", "training seeds", "success", "difference", "over episodes", *ORIGIN]
    return [PARTS, "", *_table(titles, rows)]


def _manner(of: Of) -> list[str]:
    """Means over training seeds of what is measured beside success; the experiments of the first table."""
    rows = []
    for experiment in _listed(next(iter(TABLES))):
        measured = of(experiment)
        for trial in experiment.trials:
            tried = list(measured.tried(trial).values())
            if not tried:
                continue
            row = [trial.title]
            for key, _, unit in FIGURES:
                known = [entry[key]["mean"] for entry in tried if entry[key] is not None]
                row.append(f"{fmean(known):.3g} {unit}" if known else "")
            for key in ("drops", "jams"):
                row.append(f"{sum(e[key] for e in tried)} in {sum(e['episodes'] for e in tried)}")
            share = fmean([entry["limiter"]["share"] for entry in tried])
            rows.append([*row, f"{100 * share:.2f} % of ticks altered", *measured.origin(trial)])
    titles = ["task", *(title for _, title, _ in FIGURES), "drops", "jams", "limiter", *ORIGIN]
    return _table(titles, rows)


def _summary(of: Of) -> list[str]:
    """What has been measured of the targets, for a first look."""
    rows = []
    for experiment in _listed(next(iter(TABLES))):
        measured = of(experiment)
        for trial in experiment.trials:
            tried = list(measured.tried(trial).values())
            if not tried:
                continue
            mean, *rest = _success(tried)
            seeds = f"{len(tried)} seed{'s' if len(tried) > 1 else ''}"
            row = [trial.title, f"{experiment.minutes:g} min", f"{mean} ({seeds})", *rest]
            rows.append([*row, *measured.origin(trial)[1:]])
    titles = ["task", "training", "success", "worst seed", "over trainings", "over episodes", *ORIGIN[1:]]
    return _table(titles, rows)
