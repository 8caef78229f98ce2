"""The page of a gate: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from robolearn.charts import interval_bar
from robolearn.files import replacing
from robolearn.improving.gate_record import GateRecord
from robolearn.improving.registry import short

_TEMPLATES = Path(__file__).parent / "templates"


def write_page(record: GateRecord, path: Path) -> None:
    """Write the page of a gate's record.

    Raises:
        OSError: it cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"short": short, "bar": _bar}
    figures = {check.name: check.figures for check in record.checks}
    page = environment.get_template("gate.html.j2").render(
        record=record,
        success=figures.get("success") or None,
        battery=figures.get("safety battery") or None,
        value=figures.get("off-policy value") or None,
        support=figures.get("unsupported actions") or None,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _bar(rate: dict[str, Any]) -> Markup:
    """A success rate with its interval, drawn."""
    return Markup(interval_bar(rate["rate"], *rate["interval"]))
