"""The tasks by the names that commands, bundles and episodes call them.

A task of one's own is called by where its class is, `module:Class`, and needs no registration: whatever
process is told to run it imports it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.grasp import GraspEnv
from robolearn.envs.peg_insertion import PegInsertionEnv
from robolearn.errors import InputError, choose

TASKS: dict[str, type[ManipulationEnv]] = {env.name: env for env in (GraspEnv, PegInsertionEnv)}


def task_class(name: str) -> type[ManipulationEnv]:
    """The environment class of a task.

    Args:
        name: one of `TASKS`, or "module:Class" for a subclass of `ManipulationEnv` that can be imported.

    Raises:
        InputError: there is no such task; names those that there are.
    """
    if ":" not in name:
        return TASKS[choose("task", name, TASKS)]
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"task {name!r} cannot be imported ({error}): it must be the module and the class of a task, and "
            "the module's folder in PYTHONPATH"
        ) from error
    if not (isinstance(found, type) and issubclass(found, ManipulationEnv)):
        raise InputError(f"task {name!r} is no subclass of robolearn.envs.base.ManipulationEnv")
    return found


def make(
    name: str, changes: Mapping[str, Any] | None = None, render_mode: str | None = None
) -> ManipulationEnv:
    """An environment of a task, its default configuration changed in some fields."""
    return task_class(name)(render_mode=render_mode, **dict(changes or {}))
