"""A bundle's card as a page that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robolearn.contract import Contract


def card_text(task: str, changes: Mapping[str, Any], contract: Contract, card: Mapping[str, Any]) -> str:
    """The card in Markdown.

    `card` may hold anything that is JSON. Three entries are known: "command" (what made the bundle),
    "evaluations" (a list of summaries, see `robolearn.training.evaluation`) and "versions". Anything else is
    listed as it is.
    """
    cameras = ", ".join(f"{c.name} {c.width} x {c.height}" for c in contract.cameras)
    readings = ", ".join(f"{c.name} [{c.unit}]" for c in contract.proprioception)
    gripper = " and the gripper" if contract.action.gripper else ""
    what = {
        "arm": contract.arm,
        "sees": "; ".join(part for part in (cameras, readings) if part),
        "commands": f"{contract.action.kind} [{contract.action.unit}]{gripper}",
        "rates": f"{contract.control_rate:g} Hz, limiter {contract.filter_rate:g} Hz",
        "contract": f"`{contract.hash[:16]}`",
        **{f"task: {name}": _value(value) for name, value in changes.items()},
    }
    lines = [f"# A robolearn policy for {task}", "", *_table(what)]
    if "command" in card:
        lines += ["", "Made by", "", f"    {card['command']}"]
    evaluations = card.get("evaluations", [])
    if evaluations:
        lines += ["", "## Measured", ""]
        titles = [
            "episodes",
            "success",
            "95% interval",
            "drops",
            "jams",
            "ticks altered",
            "changes",
            "command",
        ]
        lines += [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
        for entry in evaluations:
            success = entry["success"]
            low, high = success["interval"]
            changed = ", ".join(f"{k}={_value(v)}" for k, v in entry["changes"].items()) or "as trained"
            figures = f"{entry['episodes']} | {success['rate']:.3f} | {low:.3f} to {high:.3f}"
            share = entry.get("limiter", {}).get("share")
            manner = f"{entry.get('drops', '')} | {entry.get('jams', '')} | "
            manner += "" if share is None else f"{100 * share:.2f} %"
            lines.append(f"| {figures} | {manner} | {changed} | `{entry['command']}` |")
    if not card:
        lines += ["", "A snapshot of a running training: nothing has been measured yet."]
    rest = {name: value for name, value in card.items() if name not in ("command", "evaluations", "versions")}
    for title, entries in (("Training", rest), ("Versions", card.get("versions", {}))):
        if entries:
            values = {name: _value(value) for name, value in entries.items()}
            lines += ["", f"## {title}", "", *_table(values)]
    return "\n".join([*lines, "", "Success is a mechanical predicate on the simulator's state.", ""])


def _table(entries: Mapping[str, str]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in entries.items())]


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_value(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_value(entry) for entry in value)
    return str(value)
