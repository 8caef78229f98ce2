"""What `robolearn tasks` prints."""

from __future__ import annotations

import json as json_format
from dataclasses import fields
from typing import Any

import gymnasium
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from robolearn import checks
from robolearn.envs.tasks import TASKS, task_class
from robolearn.terminal import brief
from robolearn.training.describe import meanings, summary_of


def run_tasks(json: bool = False) -> int:
    """List the tasks with their parameters and defaults.

    Args:
        json: print the list as JSON.
    """
    tasks = [describe_task(name) for name in TASKS]
    if json:
        print(json_format.dumps(tasks, indent=2))
        return 0
    console = Console(highlight=False)
    for task in tasks:
        console.print(f"\n[bold]{task['name']}[/bold]  {task['summary']}")
        console.print(f"gymnasium.make({task['id']!r}), robolearn train {task['name']}", style="dim")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("parameter", no_wrap=True)
        table.add_column("default", overflow="fold")
        table.add_column("meaning", overflow="fold")
        for entry in task["parameters"]:
            meaning = Text(entry["meaning"])  # not a string: "[m]" is no markup
            table.add_row(entry["name"], _default(entry["default"]), meaning)
        console.print(table)
    return 0


def describe_task(name: str) -> dict[str, Any]:
    """A task, JSON-like: name, gymnasium id, summary and parameters with default and meaning."""
    env = task_class(name)
    default, texts = env.config_type(), meanings(env.config_type)
    entries = {f.name: getattr(default, f.name) for f in fields(default)}
    entry_point = f"{env.__module__}:{env.__name__}"
    ids = [key for key, spec in gymnasium.registry.items() if spec.entry_point == entry_point]
    return {
        "name": name,
        "id": ids[0],
        "summary": summary_of(name),
        "parameters": [
            {"name": key, "default": checks.json_like(key, value), "meaning": texts[key]}
            for key, value in entries.items()
        ],
    }


def _default(value: Any) -> str:
    """A parameter's default in a few words; things that have names by these."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(str(entry.get("name")) for entry in value)
    return brief(value)
