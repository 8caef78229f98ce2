from __future__ import annotations

import ast
from pathlib import Path

import pytest

import robolearn
from robolearn.envs import tasks
from robolearn.training.evidence_code import (
    COUNTED,
    METHODS,
    TASKS,
    WATCHING,
    code_hash,
    counts,
    watching_hash,
)

PACKAGE = Path(robolearn.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}

NO_MATTER = {
    "checks.py",  # only refuse
    "errors.py",
    "gaps.py",
    "files.py",  # only keeps files
    "training/checkpoint.py",
    "training/run.py",
    "training/scribe.py",
    "training/shelf.py",
    "policies/card.py",  # only show
    "terminal.py",
    "charts.py",
    "training/interrupts.py",
    "training/pictures.py",
    "training/progress.py",
    "training/report.py",
    "training/statistics.py",
}
"""What a training or an evaluation imports although no success depends on it."""


def imported(start: set[str]) -> set[str]:
    """The package's files that some files import, at their beginning or later, and those files themselves.

    What the command line imports is not followed: it offers everything that there is.
    """
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name in found or name == "cli.py":
            continue
        found.add(name)
        for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                continue
            for module in modules:
                inside = Path(module.partition("robolearn.")[2].replace(".", "/"))
                packages = {f"{folder}/__init__.py" for folder in (inside, *inside.parents)}
                waiting += ({f"{inside}.py"} | packages) & FILES
    return found


OWN = (*TASKS.values(), *METHODS.values(), WATCHING)


@pytest.fixture(scope="module")
def reached() -> set[str]:
    return imported({"training/train.py", "training/evaluation.py"})


@pytest.mark.parametrize("pattern", [*COUNTED, *(pattern for own in OWN for pattern in own)])
def test_every_pattern_is_of_something(pattern: str) -> None:
    assert list(PACKAGE.glob(pattern))


def test_every_task_is_known() -> None:
    assert TASKS.keys() == tasks.TASKS.keys()


def test_only_what_a_training_or_an_evaluation_imports_counts(reached: set[str]) -> None:
    counted = {name for name in FILES for task in TASKS for method in METHODS if counts(name, task, method)}
    code = {name for name in counted if name.endswith(".py")}
    assert code - reached == set()
    assert {Path(name).parent.as_posix() for name in counted - code} == {"hardware/arms"}


def test_of_all_that_they_import_somebody_has_said_whether_it_counts(reached: set[str]) -> None:
    """A new module belongs into `COUNTED`, or into `NO_MATTER` here."""
    counted = {name for name in FILES for task in TASKS for method in METHODS if counts(name, task, method)}
    markers = {name for name in reached if name.endswith("__init__.py")}
    assert reached - counted - markers <= NO_MATTER


def test_what_is_for_real_arms_or_for_the_eye_does_not_count() -> None:
    for name in ("cli.py", "doctor.py", "hardware/runner.py", "hardware/stations/sim.yaml", "bundles/x.json"):
        assert not counts(name, "grasp")
    assert not counts("training/report.py", "grasp")


def test_what_is_the_modular_policys_counts_for_it_alone() -> None:
    for name in ("policies/modular/servo.py", "training/modular.py", "hardware/model.py"):
        assert counts(name, "grasp", "modular")
        assert not counts(name, "grasp")


def test_the_hash_is_of_what_the_outcome_depends_on(tmp_path: Path) -> None:
    files = {
        "envs/base.py": "def f():\n    '''Doc.'''\n    return 1  # why\n",
        "envs/grasp.py": "x = 1\n",
        "envs/objects/model.py": "x = 1\n",
        "envs/peg_insertion.py": "y = 1\n",
        "hardware/arms/panda.yaml": "mass: 1\n",
        "hardware/runner.py": "run = 1\n",
        "training/report.py": "page = 1\n",
        "cli.py": "z = 1\n",
    }

    def hashes(**changed: str) -> dict[str, str]:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(changed.get(path.stem, content))
        return {task: code_hash(tmp_path, task) for task in ("grasp", "peg-insertion")}

    before = hashes()
    assert hashes(base='"""About."""\n\ndef f():\n    return 1\n') == before
    assert hashes(cli="z = 2\n", report="page = 2\n", runner="run = 2\n") == before
    assert all(value != before[task] for task, value in hashes(base="def f():\n    return 2\n").items())
    assert all(value != before[task] for task, value in hashes(panda="mass: 2\n").items())
    for own in ("grasp", "model"):
        after = hashes(**{own: "x = 2\n"})
        assert after["peg-insertion"] == before["peg-insertion"]
        assert after["grasp"] != before["grasp"]


def test_what_watches_has_a_hash_of_its_own(tmp_path: Path) -> None:
    def hashes(**changed: str) -> tuple[str, str]:
        for name in (*WATCHING, "envs/base.py"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(changed.get(path.stem, "x = 1\n"))
        return watching_hash(tmp_path), code_hash(tmp_path, "peg-insertion")

    watching, code = hashes()
    assert hashes(witness="x = 1  # why\n") == (watching, code)
    for name in WATCHING:
        after = hashes(**{Path(name).stem: "x = 2\n"})
        assert after[0] != watching
        assert after[1] == code
    assert hashes(base="x = 2\n")[0] == watching


def test_all_that_watching_imports_counts_or_is_known_not_to(reached: set[str]) -> None:
    every = {name for name in FILES for method in METHODS if counts(name, "peg-insertion", method)}
    more = {name for name in imported({"comparing/compare.py"}) if not name.endswith("__init__.py")}
    assert more - reached - every <= set(WATCHING)
