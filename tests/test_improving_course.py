"""Where a loop stands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from improving import CONFIG

from robolearn.errors import InputError
from robolearn.improving.course import FILE, Course, read_state
from robolearn.policies.offline.iql import IQLConfig

ALL = ["evaluate", "deploy", "import", "learn", "gate", "promote"]


def walk(course: Course) -> list[tuple[int, str]]:
    """All phases that are left, each with nothing to tell."""
    steps = []
    while (step := course.next) is not None:
        steps.append(step)
        course.note(*step, {})
    return steps


@pytest.mark.parametrize(
    ("changes", "phases", "last"),
    [
        ({}, ALL, [(2, "evaluate")]),
        ({"evaluate": 0}, ALL[1:], []),
        ({"control": True}, ["evaluate", "learn", "gate", "promote"], [(2, "evaluate")]),
    ],
)
def test_phases_follow_one_another(
    tmp_path: Path, changes: dict[str, Any], phases: list[str], last: list[tuple[int, str]]
) -> None:
    with Course(tmp_path / "loop", replace(CONFIG, **changes), 2) as course:
        assert walk(course) == [(k, phase) for k in range(2) for phase in phases] + last
        assert course.next is None


def test_it_goes_on_wherever_it_was_left(tmp_path: Path) -> None:
    steps: list[tuple[int, str]] = []
    while True:
        with Course(tmp_path, CONFIG, 2, "robolearn improve") as course:
            if (step := course.next) is None:
                break
            steps.append(step)
            course.note(*step, {"number": len(steps)})
    assert len(steps) == 13
    state = read_state(tmp_path)
    assert [entry["number"] for record in state["iterations"] for entry in record.values()] == [*range(1, 14)]
    assert state["command"] == "robolearn improve"


def test_more_iterations_may_be_asked_for(tmp_path: Path) -> None:
    with Course(tmp_path, CONFIG, 1, "first") as course:
        walk(course)
    with Course(tmp_path, CONFIG, 2, "second") as course:
        assert course.command == "first"
        assert walk(course)[:2] == [(1, "deploy"), (1, "import")]


def test_what_decides_may_not_change(tmp_path: Path) -> None:
    Course(tmp_path, CONFIG, 2).close()
    other = replace(CONFIG, episodes=20, own=IQLConfig(expectile=0.9))
    with pytest.raises(InputError, match=r"begun otherwise: episodes is 20, was 10, own is .*0\.9"):
        Course(tmp_path, other, 2)
    Course(tmp_path, CONFIG, 2).close()  # the lock is free again


def test_no_two_processes_improve_in_one_folder(tmp_path: Path) -> None:
    with Course(tmp_path, CONFIG, 1), pytest.raises(InputError, match="another process is improving"):
        Course(tmp_path, CONFIG, 1)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="no improvement loop"):
        Course(tmp_path, CONFIG, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="no improvement loop"):
        Course(tmp_path / "thesis.tex", CONFIG, 1)


def test_a_control_may_be_there_first(tmp_path: Path) -> None:
    Course(tmp_path / "control", replace(CONFIG, control=True), 1).close()
    Course(tmp_path, CONFIG, 1).close()


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    Course(tmp_path, CONFIG, 1).close()
    state = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**state, "version": 9}))
    with pytest.raises(InputError, match="version 9; this reads"):
        read_state(tmp_path)
    with pytest.raises(InputError, match="there is no improvement loop"):
        read_state(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": 0}, "episodes is 0"),
        ({"exploration": -0.1}, "exploration is -0.1"),
        ({"control": True, "evaluate": 0}, "needs episodes to evaluate on"),
        ({"control": True, "prior": 0}, "needs prior episodes"),
    ],
)
def test_a_loop_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **changes)
