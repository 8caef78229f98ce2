"""Configurations for people: what the fields mean, as the docstrings say, and as options of a command."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Collection
from dataclasses import MISSING, field, fields, make_dataclass
from typing import Annotated, Any, get_type_hints

import tyro

from robolearn.envs.tasks import task_class


def meanings(kind: type) -> dict[str, str]:
    """What the docstrings of a dataclass and its bases say under "Attributes:" about each field, or ""."""
    names = [f.name for f in fields(kind)]
    found = dict.fromkeys(names, "")
    for base in reversed(kind.__mro__):
        entry = ""
        for line in inspect.cleandoc(vars(base).get("__doc__") or "").splitlines():
            name, colon, text = line.strip().partition(": ")
            if colon and name in found:
                entry = name
                found[name] = text.strip()
            elif not line.strip():
                entry = ""
            elif entry:
                found[entry] += " " + line.strip()
    return {name: re.sub(r"\.$", "", text) for name, text in found.items()}


def as_options(values: Any, hidden: Collection[str] = ()) -> Any:
    """The values of a dataclass in a subclass of it, made for tyro.

    There every field is explained by its meaning, and kept off the command line if it is hidden.
    """
    kind = type(values)
    hints, texts = get_type_hints(kind), meanings(kind)
    entries: list[tuple[str, Any, Any]] = []
    for f in fields(kind):
        mark = tyro.conf.Suppress if f.name in hidden else tyro.conf.arg(help=texts[f.name])
        default = field() if f.default_factory is MISSING else field(default_factory=f.default_factory)
        if f.default is not MISSING:
            default = field(default=f.default)
        entries.append((f.name, Annotated[hints[f.name], mark], default))
    return make_dataclass(kind.__name__, entries, bases=(kind,), frozen=True)(**vars(values))


def summary_of(task: str) -> str:
    """The first sentence of a task's module."""
    return (sys.modules[task_class(task).__module__].__doc__ or "").split("\n\n")[0].replace("\n", " ")
