"""What `robolearn evaluate`, `report`, `export` and `bundles` do, and what they print."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from robolearn.files import check_writable
from robolearn.policies.bundle import load_bundle, shipped_bundles, write_card
from robolearn.terminal import print_table
from robolearn.training.configuration import parse_changes
from robolearn.training.evaluation import Evaluation, evaluate, save_evaluation
from robolearn.training.pictures import said
from robolearn.training.progress import progress_of
from robolearn.training.report import write_report
from robolearn.training.seeds import FIRST_SEED

BundleName = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="BUNDLE")]
Changes = Annotated[
    tuple[tuple[str, ...], ...],
    tyro.conf.arg(name="set", metavar="KEY=VALUE ..."),
    tyro.conf.UseAppendAction,
]


def run_evaluate(
    bundle: BundleName,
    episodes: int = 200,
    seed: int = FIRST_SEED,
    changes: Changes = (),
    workers: int | None = None,
    out: Path | None = None,
    card: bool = False,
    table: bool = False,
    json: bool = False,
) -> int:
    """Run a policy on held-out episodes; print how often it succeeds, and how.

    Args:
        bundle: a bundle's directory, a training run's directory, or a shipped bundle's name.
        episodes: how many episodes.
        seed: of the first episode, from 0 to 999999; the others follow it. Training never uses these seeds,
            and those below 100000 are the ones to look at while something is tuned.
        changes: the task's parameters to change, such as clearance=1mm.
        workers: processes that simulate; one a core if not given. The figures do not depend on it.
        out: folder for the figures (JSON) and film strips; a training run's own folder if not given, and its
            report is written anew.
        card: write the figures into the bundle's card, too.
        table: print every episode; otherwise those that failed.
        json: print everything as JSON.
    """
    loaded = load_bundle(bundle)
    assert loaded.path is not None
    parsed = parse_changes(loaded.task, [word for group in changes for word in group])
    run = Path(bundle) if loaded.path == Path(bundle) / "bundle" else None
    folder = out or run
    beside = loaded.path.parent if card else None  # a bundle with another card is made beside it
    for place in (folder, beside):
        if place is not None:
            check_writable(place)  # now: figures take minutes
    with progress_of(episodes) as progress:
        result = evaluate(bundle, episodes, seed, parsed, workers=workers, progress=progress)
    if json:
        print(result.to_json(), flush=True)
    else:
        show_evaluation(result, every=table)
    if folder is not None:
        print(f"figures  {save_evaluation(folder, result)}", file=sys.stderr)
    else:
        print("kept     nothing: --out DIR keeps the figures, the table and film strips", file=sys.stderr)
    if card:
        others = [entry for entry in loaded.card.get("evaluations", []) if not _same(entry, result.summary)]
        write_card(loaded.path, {**loaded.card, "evaluations": [*others, result.summary]})
    if folder is not None and folder == run:
        print(f"report   {write_report(run)}", file=sys.stderr)
    return 0


def run_report(
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")], json: bool = False
) -> int:
    """Write the report of a training run anew from what lies in its directory.

    Args:
        run: the run's directory.
        json: print where it is as JSON.
    """
    report = write_report(run)
    print(dumps({"run": str(run), "report": str(report)}, indent=2) if json else report)
    return 0


def run_export(bundle: BundleName, onnx: Path, json: bool = False) -> int:
    """Write a policy as an ONNX file, and check with onnxruntime that it computes the same.

    Args:
        bundle: a bundle's directory, a training run's directory, or a shipped bundle's name.
        onnx: the file to write.
        json: print what was written as JSON.
    """
    from robolearn.policies.export import export_onnx

    loaded = load_bundle(bundle)
    difference = export_onnx(loaded, onnx)
    if json:
        found = {"bundle": str(loaded.path), "onnx": str(onnx), "largest_difference": difference}
        print(dumps(found, indent=2))
    else:
        print(f"{onnx}: onnxruntime's actions differ from the network's by at most {difference:.1e} N·m")
    return 0


def run_bundles(json: bool = False) -> int:
    """List the bundles that come with the package, with the figures on their cards.

    Args:
        json: print the list as JSON.
    """
    rows = []
    for name in shipped_bundles():
        bundle = load_bundle(name)
        weights = sum(parameter.numel() for parameter in bundle.network.parameters())
        row: dict[str, Any] = {
            "name": name,
            "task": bundle.task,
            "weights": weights,
            "evaluation": "not measured",
        }
        for entry in bundle.card.get("evaluations", []) or [None]:
            rows.append(row if entry is None else {**row, "evaluation": _short(entry)})
    if not rows and not json:
        print("no bundle comes with this robolearn: train one with `robolearn train`")
    print_table(rows, json)
    return 0


def show_evaluation(evaluation: Evaluation, every: bool = False) -> None:
    """Print the figures, and a table of the episodes that failed or of every one."""
    console, summary = Console(highlight=False), evaluation.summary
    success, first = summary["success"], summary["seed"]
    low, high = success["interval"]
    episodes = summary["episodes"]
    console.print(f"\n[bold]{summary['command']}[/bold]\n{episodes} held-out episodes from seed {first}\n")
    figures = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    figures.add_row("success", f"[bold]{success['rate']:.3f}[/bold]", f"95% interval {low:.3f} to {high:.3f}")
    ended = ", ".join(f"{count} {said(reason)}" for reason, count in summary["reasons"].items())
    figures.add_row("ended", str(episodes), ended)
    for name, title, unit in FIGURES:
        if (spread := summary[name]) is not None:
            rest = f"median {spread['median']:.3g}, largest {spread['max']:.3g}"
            figures.add_row(title, f"{spread['mean']:.3g} {unit}", rest)
    figures.add_row("drops", str(summary["drops"]), "")
    figures.add_row("jams", str(summary["jams"]), "")
    figures.add_row(
        "limiter", f"{100 * summary['limiter']['share']:.2f} %", "of its ticks altered the request"
    )
    for cause, share in summary["limiter"]["altered"].items():
        if share:
            figures.add_row(f"  for {cause}", f"{100 * share:.2f} %", "one tick may have several causes")
    console.print(figures)

    rows = [row for row in evaluation.table if every or not row["success"]]
    if not rows:
        return
    title = "every episode" if every else "failures"
    listing = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in (
        "seed",
        "ended",
        "seconds",
        "peak N",
        "mean N",
        "N·m/s",
        "drops",
        "jams",
        "altered",
        "sampled",
    ):
        words = heading in ("ended", "sampled")
        listing.add_column(
            heading, justify="left" if words else "right", no_wrap=heading != "sampled", overflow="fold"
        )
    for row in rows:
        forces = [row[key] for key in ("peak_force", "mean_force", "torque_rate")]
        cells = [str(row["seed"]), said(row["reason"]), f"{row['seconds']:.2f}"]
        cells += ["" if value is None else f"{value:.1f}" for value in forces]
        cells += ["" if row[key] is None else str(row[key]) for key in ("drops", "jams")]
        altered = f"{100 * (row['altered_ticks'] or 0) / row['ticks']:.1f} %" if row["ticks"] else ""
        listing.add_row(*cells, altered, _sampled(row["sampled"]))
    console.print(listing)


FIGURES = (
    ("seconds_to_success", "time to success", "s"),
    ("peak_force", "peak wrist force", "N"),
    ("mean_force", "mean wrist force", "N"),
    ("torque_rate", "torque rate", "N·m/s"),
)
"""Figures of a summary that have a mean, a median and a largest value: key, title, unit."""


def _sampled(values: dict[str, Any]) -> str:
    def short(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.3g}"
        return " ".join(map(short, value)) if isinstance(value, list) else str(value)

    return ", ".join(f"{name} {short(value)}" for name, value in values.items())


def _same(entry: dict[str, Any], summary: dict[str, Any]) -> bool:
    return all(entry.get(key) == summary[key] for key in ("changes", "seed", "episodes"))


def _short(entry: dict[str, Any]) -> str:
    low, high = entry["success"]["interval"]
    changes = ", ".join(f"{key}={value}" for key, value in entry["changes"].items())
    figures = f"{entry['success']['rate']:.3f} ({low:.3f} to {high:.3f}) over {entry['episodes']} episodes"
    return f"{figures}, {changes}" if changes else figures
