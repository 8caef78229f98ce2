"""The tables that set end to end against modular, from the figures of experiments.

Rows come as lists of cells, so that whoever writes a page lays them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from robolearn.training.evidence_figures import ORIGIN, Figures, Measured
from robolearn.training.experiments import Experiment
from robolearn.training.statistics import difference_interval, mean_interval, wilson_interval

Of = Callable[[Experiment], Measured]

METHODS = {"guided": "end to end", "modular": "modular"}
"""What is compared, by the method's name, the first as the base."""

SUCCESS = """\
Both learn from the same number of episodes in the same time. The difference is modular minus end to end, in
pairs of the same training seed and scene. There is none between figures of different code. Its 95% intervals
are over trainings (Student's t over the differences of the training seeds: with three of them a hint) and
over episodes (Agresti and Min). The latter takes the scenes of every training for others: it ignores how far
trainings differ."""

ERRORS = """\
Root mean squares over the frames in which the tip is within 2 cm above the mouth and 1 cm aside, means over
training seeds [mm]: along the insertion's axis, and for each direction across it. In brackets, from the
lowest to the highest end of the seeds' 95% intervals over episodes. *Seen* is what the network predicts from
one frame, *used* what the modular controller acts on, *implied* the displacement of the goal by which the
teacher would command what the policy does; along the axis that is no belief (docs/modular.md). An error
without a direction has a ratio of 1."""

PARTS = {"seen": ("along", "across", "ratio"), "used": ("along", "across", "ratio"), "implied": ("across",)}
"""What is shown of each kind of error."""
SCALES = {"along": 1e3, "across": 1e3, "ratio": 1.0}
"""From SI to what is shown: lengths in mm."""

CURVES = """\
The same task with fewer episodes: collecting ends with so many, learning goes on until the time is over."""


def pairs_of(experiments: Sequence[Experiment]) -> list[dict[str, Experiment]]:
    """Experiments that differ in their method alone, together, by method, in the order of each's first."""
    found: dict[tuple[object, ...], dict[str, Experiment]] = {}
    for experiment in experiments:
        rest = tuple(word for word in experiment.words if word not in ("--method", experiment.method))
        found.setdefault((experiment.task, experiment.minutes, rest), {})[experiment.method] = experiment
    return list(found.values())


def success_rows(experiments: Sequence[Experiment], of: Of, titles: list[str]) -> list[list[str]]:
    """Success of both methods, and the difference, a row for each pair; fills `titles`."""
    titles += ["task", "time"]
    for name in METHODS.values():
        titles += [name, "episodes", "images"]
    titles += ["difference", "over trainings", "over episodes", *ORIGIN]
    rows = []
    for pair in pairs_of(experiments):
        first = next(iter(pair.values()))
        row = [first.trials[0].title, f"{first.minutes:g} min"]
        both = {method: of(pair[method]) for method in METHODS}
        for measured in both.values():
            trained = [figures["training"] for figures in measured.seeds.values()]
            row += [_success(list(_tried(measured).values())), _mean(trained, "episodes")]
            row.append(_mean(trained, "observations"))
        difference, episodes = paired(both["guided"], both["modular"])
        row += [difference, _over_trainings(both["guided"], both["modular"]), episodes]
        rows.append([*row, *_origins(both)])
    return rows


def _origins(both: Mapping[str, Measured]) -> list[str]:
    """Where a row of both methods comes from; what is not the same of both says of which it is."""
    columns = zip(
        *(measured.origin(measured.experiment.trials[0]) for measured in both.values()), strict=True
    )
    names, commands, whens, notes = columns
    told = [
        "; ".join(f"{METHODS[method]}: {text}" for method, text in zip(both, texts, strict=True) if text)
        for texts in (whens, notes)
    ]
    return [", ".join(names), ", ".join(commands), *told]


def error_rows(experiments: Sequence[Experiment], of: Of, titles: list[str]) -> list[list[str]]:
    """Errors by kind, a row for each experiment; fills `titles`."""
    titles += ["task", "method", "success"]
    titles += [f"{kind}, {part}" for kind, parts in PARTS.items() for part in parts]
    titles += ORIGIN
    rows = []
    for experiment in experiments:
        measured = of(experiment)
        tried = list(_tried(measured).values())
        row = [experiment.trials[0].title, METHODS[experiment.method], _success(tried)]
        for kind, parts in PARTS.items():
            spreads = [entry["perception"][kind] for entry in tried if kind in entry["perception"]]
            row += [_error(spreads, part) for part in parts]
        rows.append([*row, *measured.origin(experiment.trials[0])])
    return rows


def paired(first: Measured, other: Measured) -> list[str]:
    """Difference of the other's success to the first's, and its interval; empty where there are no pairs.

    Figures of different code are not subtracted: the difference would be the code's, too.
    """
    lost = won = pairs = 0
    for before, after in _pairs(first, other):
        failed, fails = set(before["failed seeds"]), set(after["failed seeds"])
        lost, won = lost + len(fails - failed), won + len(failed - fails)
        pairs += after["episodes"]
    if not pairs:
        return ["", ""]
    if not first.is_of_the_code_of(other):
        return ["of different code", ""]
    low, high = difference_interval(lost, won, pairs)
    return [f"{(won - lost) / pairs:+.3f} (lost {lost}, won {won} of {pairs})", f"{low:+.3f} to {high:+.3f}"]


def _over_trainings(first: Measured, other: Measured) -> str:
    """95% interval of the mean of the training seeds' differences; empty if there are fewer than two."""
    pairs = _pairs(first, other) if first.is_of_the_code_of(other) else []
    differences = [after["success"]["rate"] - before["success"]["rate"] for before, after in pairs]
    if len(differences) < 2:
        return ""
    low, high = mean_interval(
        [0.5 + 0.5 * difference for difference in differences]
    )  # it is of rates, 0 to 1
    return f"{2 * low - 1:+.3f} to {2 * high - 1:+.3f}"


def _pairs(first: Measured, other: Measured) -> list[tuple[Figures, Figures]]:
    """Figures of both for the first trial, of the same training seed and on the same scenes."""
    before, after = _tried(first), _tried(other)
    pairs = [(before[seed], after[seed]) for seed in sorted(before.keys() & after.keys())]
    return [(one, two) for one, two in pairs if all(one[key] == two[key] for key in ("seed", "episodes"))]


def _tried(measured: Measured) -> dict[int, Figures]:
    return measured.tried(measured.experiment.trials[0])


def _success(tried: Sequence[Figures]) -> str:
    if not tried:
        return "not measured"
    rates = [entry["success"]["rate"] for entry in tried]
    successes = sum(entry["success"]["successes"] for entry in tried)
    low, high = wilson_interval(successes, sum(entry["episodes"] for entry in tried))
    return f"**{fmean(rates):.3f}** ({', '.join(f'{rate:.3f}' for rate in rates)}), {low:.3f} to {high:.3f}"


def _mean(trained: Sequence[Mapping[str, Any]], key: str) -> str:
    return f"{fmean(entry[key] for entry in trained):.0f}" if trained else ""


def _error(spreads: Sequence[Mapping[str, Any]], part: str) -> str:
    """Mean over trainings, and from the lowest to the highest end of their intervals, if they have any."""
    if not spreads:
        return ""
    mean = f"{SCALES[part] * fmean(entry[part] for entry in spreads):.2f}"
    ends = [end for entry in spreads for end in entry[f"{part}_interval"] or ()]
    return f"{mean} ({SCALES[part] * min(ends):.2f} to {SCALES[part] * max(ends):.2f})" if ends else mean
