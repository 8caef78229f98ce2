"""The page of an examination: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import robolearn.training
from robolearn import __version__
from robolearn.charts import Line, line_chart
from robolearn.data.doctor.coverage import Coverage
from robolearn.data.doctor.examination import CHECKS, UNREADABLE, Examination
from robolearn.data.doctor.finding import SEVERITIES, Finding
from robolearn.data.doctor.groups import Group, groups_of
from robolearn.data.doctor.illustrating import chart_of, film_of, lag_chart
from robolearn.data.doctor.lag import LAG
from robolearn.data.doctor.subject import Subject
from robolearn.data.store.store import Store
from robolearn.files import replacing
from robolearn.terminal import brief

ILLUSTRATED = 40
"""Kinds of findings that are shown with pictures."""

LISTED = 12
"""Episodes that are named of each kind."""

_TEMPLATES = (Path(__file__).parent / "templates", Path(robolearn.training.__file__).parent / "templates")


def write_page(store: Store, found: Examination, path: Path) -> None:
    """Write the page of what was found in a store.

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
    environment.filters |= {"brief": brief, "strip": _strip}
    groups = groups_of(found.findings)
    per_check = {check: sum(g.check == check for g in groups) for check in CHECKS}
    page = environment.get_template("doctor.html.j2").render(
        found=found,
        when=datetime.now().strftime("%Y-%m-%d %H:%M"),
        groups=list(_shown(store, found, groups)),
        name=Path(found.store).resolve().name,
        severities=SEVERITIES,
        checks=[{"name": n, "means": means, "kinds": per_check[n]} for n, means in CHECKS.items()],
        histograms=list(_histograms(found)),
        ranges=found.coverage.ranges,
        untold={task: ", ".join(names) for task, names in found.coverage.untold.items() if names},
        listed=LISTED,
        version=__version__,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _shown(store: Store, found: Examination, groups: list[Group]) -> Iterator[dict[str, Any]]:
    """Each kind of finding, the first ones with pictures of their worst episode."""
    rows = {row.number: row for row in store.episodes()}
    for number, group in enumerate(groups):
        worst = group.worst
        shown: dict[str, Any] = {"group": group, "worst": worst, "film": None, "chart": Markup("")}
        if number < ILLUSTRATED and worst.episode is not None and worst.check != UNREADABLE:
            row = rows[worst.episode]
            subject = Subject(row, store.load(row))
            shown["chart"] = Markup(_chart(found, subject, worst))
            shown["film"] = film_of(subject, worst)
            shown["origin"] = row.origin
        yield shown


def _chart(found: Examination, subject: Subject, finding: Finding) -> str:
    correlation = found.lag.of(subject.row.origin, finding.channel) if finding.check == LAG else None
    return chart_of(subject, finding) if correlation is None else lag_chart(correlation, subject.period)


def _histograms(found: Examination) -> Iterator[tuple[str, Markup]]:
    for histogram in found.tally.histograms:
        yield histogram.label, Markup(line_chart([Line(histogram.label, *histogram.outline())], ""))
    if found.tally.brightness:
        lines = [Line(name, *histogram.outline()) for name, histogram in found.tally.brightness.items()]
        yield "brightness: mean of a picture's values", Markup(line_chart(lines, ""))


def _strip(coverage: Coverage) -> Markup:
    """The bins of a range, those with episodes filled: the more of them, the fuller."""
    counts = coverage.counts.sum(0)
    width, height, most = 240.0 / len(counts), 16, max(int(counts.max()), 1)
    cells = "".join(
        f'<rect class="bin" x="{i * width:.2f}" y="0" width="{width:.2f}" height="{height}"/>'
        + (
            f'<rect class="seen" x="{i * width:.2f}" y="0" width="{width:.2f}" height="{height}" '
            f'fill-opacity="{0.25 + 0.75 * count / most:.2f}"><title>{count}</title></rect>'
            if count
            else ""
        )
        for i, count in enumerate(counts.tolist())
    )
    return Markup(f'<svg class="bins" viewBox="0 0 240 {height}">{cells}</svg>')
