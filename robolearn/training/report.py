"""The report of a training run: one HTML file that needs nothing else, to look at and to send to a colleague.

It is made from what lies in the run's directory, and can be made again at any time:

    config.json        what was asked for, and `command`
    metrics.jsonl      one JSON object a line: seconds, steps, episodes, frames, success (lately), losses {}
    evaluation*.json   and the folders of film strips beside them (`robolearn.training.evaluation`)
    finetuning.json    of a fine-tuning: its rounds, its budget, what was kept and why
    bundle/            the policy
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from robolearn import __version__, checks
from robolearn.charts import Estimate, Line, interval_bar, line_chart
from robolearn.errors import InputError
from robolearn.files import replacing
from robolearn.policies.bundle import Bundle, find_bundle, load_bundle
from robolearn.terminal import brief
from robolearn.training.configuration import describe_changes
from robolearn.training.evaluation import task_changes
from robolearn.training.pictures import film_moments, reel, said, write_video

FINETUNING = "finetuning.json"

FILMED = {True: 2, False: 1}
"""How many successes and failures the video shows."""

_COUNTS = ("steps", "episodes", "frames")
_TEMPLATES = Path(__file__).parent / "templates"


def write_report(run: str | os.PathLike[str], video: bool = True) -> Path:
    """Write `report.html` into a run's directory and return its path.

    Args:
        run: a training run's directory; what is missing in it is left out of the report.
        video: whether to record one where there is a bundle and an evaluation but no video yet.

    Raises:
        InputError: the directory is no run (no config.json, metrics.jsonl or evaluation.json), or a file in
            it cannot be read.
    """
    run = Path(run)
    names = ("config.json", "metrics.jsonl", "evaluation.json")
    if not any((run / name).is_file() for name in names):
        raise InputError(f"{str(run)!r} is no training run: there is none of {', '.join(names)} in it")
    bundle = load_bundle(run) if _has_bundle(run) else None
    evaluations = [_Evaluation(file) for file in sorted(run.glob("evaluation*.json"), key=_plain_first)]
    if video and bundle is not None and evaluations:
        record_video(bundle, evaluations[0].data, evaluations[0].folder / "video.mp4")
    page = _environment().get_template("report.html.j2").render(_facts(run, bundle, evaluations))
    file = run / "report.html"
    with replacing(file) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return file


def record_video(bundle: Bundle, evaluation: Mapping[str, Any], path: Path) -> None:
    """Film the first episodes of an evaluation that succeeded and failed, unless there is a film already.

    Args:
        bundle: the one that was evaluated.
        evaluation: its figures with the table, as read from JSON.
        path: the .mp4 file to write.
    """
    if path.is_file() or evaluation["weights"] != bundle.weights_hash:
        return
    seeds: list[int] = []
    for success, count in FILMED.items():
        seeds += [row["seed"] for row in evaluation["table"] if row["success"] == success][:count]
    changes = task_changes(bundle, evaluation["changes"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write_video(temporary, reel(bundle, changes, seeds), bundle.contract.control_rate)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line that was cut off by a kill is left out.

    Raises:
        InputError: any other line is no JSON object; names it.
    """
    lines = path.read_text().splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(checks.mapping("it", checks.parse_json("it", line)))
        except InputError as error:
            if number < len(lines):
                raise InputError(f"{path}, line {number}, cannot be read: {error}") from error
    return rows


class _Evaluation:
    """An evaluation's file and what lies in its folder."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.folder = file.with_suffix("")
        self.data: dict[str, Any] = checks.mapping(str(file), checks.parse_json(str(file), file.read_bytes()))
        needed = ("task", "success", "table", "changes", "episodes", "weights", "command")
        if missing := [name for name in needed if name not in self.data]:
            raise InputError(f"{file} is no evaluation: it lacks {', '.join(missing)}")

    def strips(self, kind: str) -> Iterator[dict[str, Any]]:
        """Film strips of "failure" or "success" with what is said about them."""
        rows = {row["seed"]: row for row in self.data["table"]}
        for file in sorted(self.folder.glob(f"{kind}-*.png")):
            row = rows.get(int(file.stem.rpartition("-")[2]))
            if row is not None:
                period = row["seconds"] / row["steps"]
                times = [float(step * period) for step in film_moments(row["steps"])]
                yield {"picture": _data_uri(file, "image/png"), "times": times, **row}


def _facts(run: Path, bundle: Bundle | None, evaluations: list[_Evaluation]) -> dict[str, Any]:
    config = _json(run / "config.json")
    metrics = read_metrics(run / "metrics.jsonl") if (run / "metrics.jsonl").is_file() else []
    first = evaluations[0] if evaluations else None
    film = first.folder / "video.mp4" if first else None
    data = first.data if first else None
    return {
        "run": run.resolve().name,
        "task": bundle.task if bundle else str(config.get("task", "training run")),
        "changes": describe_changes(bundle.task, bundle.changes) if bundle else {},
        "when": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "command": str(config.get("command", "")),
        "main": data,
        "evaluations": [_shown(each) for each in evaluations],
        "stale": bool(data and bundle and data["weights"] != bundle.weights_hash),
        "last": metrics[-1] if metrics else {},
        "weights": sum(p.numel() for p in bundle.network.parameters()) if bundle else None,
        "tuning": (tuning := _fine_tuning(_json(run / FINETUNING))),
        "success_chart": "" if tuning else _success_chart(metrics, data),
        "loss_chart": _loss_chart(metrics),
        "video": _data_uri(film, "video/mp4") if film and film.is_file() else "",
        "failures": list(first.strips("failure")) if first else [],
        "successes": list(first.strips("success")) if first else [],
        "cameras": [camera.name for camera in bundle.contract.cameras] if bundle else [],
        "contract": bundle.contract if bundle else None,
        "config": list(_flat(config)),
        "versions": (data or {}).get("versions") or config.get("versions") or {"robolearn": __version__},
    }


def _shown(evaluation: _Evaluation) -> dict[str, Any]:
    data = evaluation.data
    success, conditions = data["success"], describe_changes(data["task"], data["changes"])
    return {
        **data,
        "bar": interval_bar(success["rate"], *success["interval"]),
        "conditions": ", ".join(f"{key} {value}" for key, value in conditions.items()),
    }


def _fine_tuning(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a fine-tuning's file says, with its pictures; empty where there is none."""
    if not found:
        return {}
    rounds = [each | {"bar": interval_bar(each["rate"], *each["interval"])} for each in found["rounds"]]
    contest = found["contest"] or {"duel": None, "suite": None, "policy": None}
    duel = contest["duel"] and {**contest["duel"]}
    for side in ("candidate", "other") if duel else ():
        rate = duel[side]
        duel[side] = rate | {"bar": interval_bar(rate["rate"], *rate["interval"])}
    ends = [[each["interval"][i] for each in rounds] for i in (0, 1)]
    line = Line(
        "in its rounds",
        np.arange(1.0, len(rounds) + 1),
        np.array([each["rate"] for each in rounds], float),
        np.array(ends[0], float),
        np.array(ends[1], float),
    )
    chart = line_chart([line], "rounds", y_range=(0.0, 1.0), percent=True)
    return {**found, **contest, "rounds": rounds, "duel": duel, "chart": chart}


def _success_chart(metrics: list[dict[str, Any]], evaluation: Mapping[str, Any] | None) -> str:
    times, unit = _times(metrics)
    success = np.array([np.nan if row.get("success") is None else row["success"] for row in metrics], float)
    estimate = None
    if evaluation is not None and len(times):
        low, high = evaluation["success"]["interval"]
        estimate = Estimate(float(times[-1]), evaluation["success"]["rate"], low, high)
    line = Line("success of the latest episodes", times, success)
    return line_chart([line], unit, y_range=(0.0, 1.0), percent=True, estimate=estimate)


def _loss_chart(metrics: list[dict[str, Any]]) -> str:
    times, unit = _times(metrics)
    names = list(dict.fromkeys(name for row in metrics for name in row.get("losses") or {}))
    lines = [
        Line(name, times, np.array([(row.get("losses") or {}).get(name, np.nan) for row in metrics], float))
        for name in names
    ]
    return line_chart(lines, unit, logarithmic=True)


def _times(metrics: list[dict[str, Any]]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], str]:
    seconds = np.array([row.get("seconds", np.nan) for row in metrics], float)
    long = bool(len(seconds)) and float(np.nanmax(seconds)) > 180
    return (seconds / 60, "minutes of training") if long else (seconds, "seconds of training")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"said": said, "number": _number, "brief": brief}
    return environment


def _number(value: Any, digits: int = 3) -> str:
    """A number for people: three significant digits, large ones whole with thin spaces."""
    if value is None:
        return "\N{EN DASH}"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.{digits}g}"


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, entry in value.items():
        if isinstance(entry, Mapping) and entry:
            yield from _flat(entry, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", brief(entry)


def _has_bundle(run: Path) -> bool:
    try:
        return find_bundle(run).is_dir()
    except InputError:
        return False


def _plain_first(file: Path) -> tuple[bool, str]:
    return file.name != "evaluation.json", file.name


def _json(path: Path) -> dict[str, Any]:
    return (
        checks.mapping(str(path), checks.parse_json(str(path), path.read_bytes())) if path.is_file() else {}
    )


def _data_uri(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
