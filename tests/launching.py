"""Stands in for ROS' `launch` where that is not installed: reads a launch file and says what it would start.

As much of launch's interface as this repository's launch files use, with the same names and meanings.
"""

from __future__ import annotations

import runpy
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any


@dataclass
class DeclareLaunchArgument:
    name: str
    default_value: str | None = None
    description: str = ""


@dataclass
class LaunchConfiguration:
    name: str

    def perform(self, arguments: dict[str, str]) -> str:
        return arguments[self.name]


@dataclass
class PythonExpression:
    expression: list[Any]

    def perform(self, arguments: dict[str, str]) -> str:
        return str(eval(text(self.expression, arguments)))


@dataclass
class IfCondition:
    predicate: Any

    def evaluate(self, arguments: dict[str, str]) -> bool:
        return {"true": True, "false": False}[text(self.predicate, arguments).lower()]


@dataclass
class ExecuteProcess:
    cmd: list[Any]
    name: str | None = None
    output: str = "log"
    condition: IfCondition | None = None
    sigterm_timeout: Any = "5"
    sigkill_timeout: Any = "5"


@dataclass
class LaunchDescription:
    entities: list[Any] = field(default_factory=list)


def text(parts: Any, arguments: dict[str, str]) -> str:
    """Substitutions in their places."""
    if isinstance(parts, str):
        return parts
    if isinstance(parts, list | tuple):
        return "".join(text(part, arguments) for part in parts)
    return str(parts.perform(arguments))


@dataclass
class Process:
    """A process that a launch file would start."""

    name: str
    command: list[str]
    patience: float


class Launch:
    """A launch file with its arguments.

    Attributes:
        declared: its arguments by name.
    """

    def __init__(self, path: Path) -> None:
        with _instead_of_launch():
            description = runpy.run_path(str(path))["generate_launch_description"]()
        self._entities = description.entities
        self.declared = {e.name: e for e in self._entities if isinstance(e, DeclareLaunchArgument)}

    def processes(self, **given: str) -> list[Process]:
        """What it starts, in order; KeyError where a required argument is missing."""
        arguments = {e.name: e.default_value for e in self.declared.values() if e.default_value is not None}
        unknown = given.keys() - self.declared.keys()
        assert not unknown, unknown
        arguments |= given
        if missing := self.declared.keys() - arguments.keys():
            raise KeyError(*sorted(missing))
        return [
            Process(
                str(e.name),
                [text(word, arguments) for word in e.cmd],
                float(text(e.sigterm_timeout, arguments)),
            )
            for e in self._entities
            if isinstance(e, ExecuteProcess) and (e.condition is None or e.condition.evaluate(arguments))
        ]


@contextmanager
def _instead_of_launch() -> Any:
    """`import launch` finds what is here."""
    modules = {
        "launch": (LaunchDescription,),
        "launch.actions": (DeclareLaunchArgument, ExecuteProcess),
        "launch.conditions": (IfCondition,),
        "launch.substitutions": (LaunchConfiguration, PythonExpression),
    }
    before, path = {name: sys.modules.pop(name, None) for name in [*modules, "processes"]}, list(sys.path)
    for name, things in modules.items():
        module = ModuleType(name)
        for thing in things:
            setattr(module, thing.__name__, thing)
        sys.modules[name] = module
    try:
        yield
    finally:
        sys.path[:] = path
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
