"""The page of an improvement loop: one HTML file that needs nothing else, made anew after every phase."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

import robolearn.training
from robolearn import __version__
from robolearn.charts import Line, interval_bar, line_chart
from robolearn.files import replacing
from robolearn.improving.course import FILE, read_state
from robolearn.improving.registry import short
from robolearn.improving.runs import paired
from robolearn.terminal import brief
from robolearn.training.statistics import difference_interval

PAGE = "report.html"
CONTROL = "control"
"""Folder of the control, in the loop's."""

_TEMPLATES = (
    Path(__file__).parent / "templates",
    Path(robolearn.training.__file__).parent / "templates",
)


def write_page(folder: Path) -> Path:
    """Write the page of a loop, with its control's figures beside its own, and return its path.

    Raises:
        InputError: there is no loop in the folder.
        OSError: the page cannot be written.
    """
    found = summary(folder)
    page = _template().render(**found, chart=Markup(_chart(found)), version=__version__)
    with replacing(folder / PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / PAGE


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"short": short, "bar": _bar, "percent": _percent, "brief": brief}
    return environment.get_template("improvement.html.j2")


def summary(folder: Path) -> dict[str, Any]:
    """What a loop came to so far, JSON-like.

    Returns:
        "command", "config", "iterations" (each as the loop's file has it, with "success" and "change"),
        "first" and "latest" success, "violations" of a limit by torques sent, and "control": the same of the
        control, or None.

    Raises:
        InputError: there is no loop in the folder.
    """
    found = _of_one(folder)
    control = folder / CONTROL
    return {**found, "control": _of_one(control) if (control / FILE).is_file() else None}


def _of_one(folder: Path) -> dict[str, Any]:
    state = read_state(folder)
    records = [dict(record) for record in state["iterations"]]
    tried: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        record["number"] = number
        record["success"] = record.get("evaluate") or record.get("deploy")
        record["change"] = _change(tried[-1], record["evaluate"]) if tried and "evaluate" in record else None
        if "evaluate" in record:
            tried.append(record["evaluate"])
    known = [record["success"] for record in records if record["success"]]
    deployments = [record[name] for record in records for name in ("evaluate", "deploy") if name in record]
    return {
        "command": state["command"],
        "config": state["config"],
        "iterations": records,
        "first": known[0] if known else None,
        "latest": known[-1] if known else None,
        "sent": sum(facts["sent"] for facts in deployments if not facts.get("again")),
        "violations": sum(facts["violations"] for facts in deployments if not facts.get("again")),
    }


def _change(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any] | None:
    """How two policies differ on the same episodes; None where it is one policy."""
    if before["policy"] == after["policy"]:
        return None
    lost, won, pairs = paired(before["table"], after["table"])
    if not pairs:
        return None
    interval = difference_interval(lost, won, pairs)
    return {"lost": lost, "won": won, "difference": (won - lost) / pairs, "interval": list(interval)}


def _chart(found: Mapping[str, Any]) -> str:
    lines = [_line("with the logs", found["iterations"])]
    if found["control"] is not None:
        lines.append(_line("control, without them", found["control"]["iterations"]))
    return line_chart(lines, "iterations", y_range=(0.0, 1.0), percent=True)


def _line(name: str, records: list[dict[str, Any]]) -> Line:
    known = [record for record in records if record["success"]]
    return Line(
        name,
        np.array([record["number"] for record in known], float),
        np.array([record["success"]["rate"] for record in known], float),
        np.array([record["success"]["interval"][0] for record in known], float),
        np.array([record["success"]["interval"][1] for record in known], float),
    )


def _bar(facts: Mapping[str, Any]) -> Markup:
    return Markup(interval_bar(facts["rate"], *facts["interval"]))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"
