"""The tasks by the names that commands, bundles and episodes call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.grasp import GraspEnv
from robolearn.envs.peg_insertion import PegInsertionEnv
from robolearn.errors import choose

TASKS: dict[str, type[ManipulationEnv]] = {env.name: env for env in (GraspEnv, PegInsertionEnv)}


def task_class(name: str) -> type[ManipulationEnv]:
    """The environment class of a task; InputError names the tasks for an unknown one."""
    return TASKS[choose("task", name, TASKS)]


def make(
    name: str, changes: Mapping[str, Any] | None = None, render_mode: str | None = None
) -> ManipulationEnv:
    """An environment of a task, its default configuration changed in some fields."""
    return task_class(name)(render_mode=render_mode, **dict(changes or {}))
