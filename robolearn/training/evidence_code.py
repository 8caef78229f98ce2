"""The code that the outcome of an experiment depends on, and its hash."""

from __future__ import annotations

import ast
import fnmatch
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

COUNTED = (
    "envs/*.py",
    "data/__init__.py",
    "data/builder.py",
    "data/episode.py",
    "policies/bundle.py",
    "policies/guided.py",
    "policies/visuomotor.py",
    "hardware/arm.py",
    "hardware/arm_reading.py",
    "hardware/arms/*.yaml",
    "hardware/limiter.py",
    "hardware/operational_space.py",
    "hardware/reading.py",
    "training/configuration.py",
    "training/evaluation.py",
    "training/plan.py",
    "training/pool.py",
    "training/problem.py",
    "training/records.py",
    "training/rollout.py",
    "training/seeds.py",
    "training/tally.py",
    "training/train.py",
    "camera.py",
    "contract.py",
    "skills.py",
    "units.py",
)
"""What a success depends on: what happens in an episode, what is learned from it, and what both are told.

What only looks, shows, refuses or keeps files is not here: no success comes or goes with it.
"""

TASKS = {
    "grasp": ("envs/grasp.py", "envs/objects/*.py"),
    "peg-insertion": ("envs/peg_insertion.py", "envs/pegs.py"),
}
"""What counts for one task alone."""

METHODS: dict[str, tuple[str, ...]] = {
    "guided": (),
    "modular": (
        "policies/modular/g*.py",
        "policies/modular/insertion.py",
        "policies/modular/l*.py",
        "policies/modular/policy.py",
        "policies/modular/s*.py",
        "training/modular.py",
        "hardware/model.py",
    ),
}
"""What counts for one way of learning alone."""

WATCHING = ("comparing/compare.py", "comparing/perception.py", "comparing/witness.py", "hardware/model.py")
"""What the errors of perception depend on beyond that, where a trial is watched."""


def code_hash(package: Path, task: str, method: str = "guided") -> str:
    """Hash of the sources in a copy of the package that success in a task, learned so, can depend on.

    Comments, docstrings and layout do not count.
    """
    return _hash(package, lambda name: counts(name, task, method))


def watching_hash(package: Path) -> str:
    """Hash of the sources that what is seen of a watched trial depends on, as `code_hash` takes it."""
    return _hash(package, lambda name: name in WATCHING)


def _hash(package: Path, chosen: Callable[[str], bool]) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package).as_posix()
        if chosen(name):
            content = path.read_text(encoding="utf-8")
            digest.update(f"{name}\0{_bare(content) if path.suffix == '.py' else content}\0".encode())
    return digest.hexdigest()


def counts(name: str, task: str, method: str = "guided") -> bool:
    """Whether success in a task, learned by a method, can depend on a file of the package."""
    if methods := [owner for owner, patterns in METHODS.items() if _matches(name, patterns)]:
        return method in methods
    owners = [owner for owner, patterns in TASKS.items() if _matches(name, patterns)]
    return task in owners if owners else _matches(name, COUNTED)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@functools.cache
def _bare(source: str) -> str:
    """Python source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a text that stands alone is a docstring, or as good as one
            kept = [item for item in body if not (isinstance(item, ast.Expr) and _is_text(item.value))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
