from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from robolearn.training import evidence_tables
from robolearn.training.evidence_tables import write_tables
from robolearn.training.experiments import Experiment, Trial

HELD_OUT = ("objects=held-out",)
EXPERIMENTS = (
    Experiment(
        "grasp",
        ("targets", "parts"),
        "grasp",
        4.0,
        (0, 1, 2),
        (Trial("grasping", (), 0.97, 0.93), Trial("others", HELD_OUT)),
        allowed=20.0,
    ),
    Experiment("blind", ("parts",), "grasp", 4.0, (0, 1), (Trial("no camera"),), ("--observe", "q")),
    Experiment("peg", ("targets",), "peg-insertion", 3.0, (0,), (Trial("pegs", (), 0.9),)),
)


class Place:
    """A clone with figures in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "docs").mkdir()

    def add(self, number: int, seed: int, *failed: list[int], first: int = 100_000) -> None:
        self.keep(EXPERIMENTS[number], seed, *failed, first=first)

    def keep(self, experiment: Experiment, seed: int, *failed: list[int], first: int = 100_000) -> None:
        trials = []
        for trial, failures in zip(experiment.trials, failed, strict=True):
            won = 200 - len(failures)
            entry: dict[str, Any] = {key: {"mean": 2.5} for key, *_ in evidence_tables.FIGURES}
            entry |= {"title": trial.title, "seed": first, "episodes": 200, "failed seeds": failures}
            entry |= {"success": {"rate": won / 200, "successes": won}, "drops": 1, "jams": 0}
            trials.append({**entry, "limiter": {"share": 0.1}})
        figures = {"experiment": asdict(experiment), "seed": seed, "hash": "code", "commit": "abc123"}
        figures |= {"training": {"resumed": 0}, "cores used by other work": 0.0, "measured": "2026-01-01"}
        file = self.root / "evidence" / "code" / f"{experiment.name}-{seed}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**figures, "trials": trials}))

    def write(self, **current: str) -> list[str]:
        write_tables(self.root / "evidence", current)
        return (self.root / "docs" / "results.md").read_text().splitlines()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(evidence_tables, "EXPERIMENTS", EXPERIMENTS)
    return Place(tmp_path)


def failed(*numbers: int) -> list[int]:
    return [100_000 + number for number in numbers]


def test_success_has_an_interval_over_trainings_and_one_over_episodes(place: Place) -> None:
    for seed, failures in enumerate(([], failed(*range(10)), failed(*range(20)))):
        place.add(0, seed, failures, [])
    lines = place.write(grasp="code")
    # over trainings: 0.95 plus or minus 4.303 * 0.05 / sqrt(3)
    assert (
        "| grasping | 4 min | **0.950** (1.000, 0.950, 0.900) | 0.900 | 0.826 to 1.000 | 0.930 to 0.965 | "
        ">= 0.97, worst >= 0.93, in 20 min | `grasp` | `robolearn train grasp --minutes 4` | "
        "2026-01-01, commit abc123 |  |"
    ) in lines
    command = "`robolearn train peg-insertion --minutes 3`"
    assert f"| pegs | 3 min | not measured |  |  |  | >= 0.9 | `peg` | {command} |  |  |" in lines


def test_one_training_tells_nothing_over_trainings(place: Place) -> None:
    place.add(2, 0, failed(3))
    row = next(line for line in place.write(peg="code") if line.startswith("| pegs | 3 min |"))
    assert "**0.995** (0.995) | 0.995 |  | 0.972 to 0.999 |" in row


def test_a_part_is_compared_on_the_same_training_seeds_and_scenes(place: Place) -> None:
    for seed, failures in enumerate((failed(1, 2), failed(1), failed(*range(100)))):
        place.add(0, seed, failures, [])
    place.add(1, 0, failed(2, 3, 4))  # won 1, lost 3 and 4
    place.add(1, 1, failed(1, 5, 6))  # lost 5 and 6
    lines = place.write(grasp="code", blind="code")
    row = "`grasp` | `robolearn train grasp --minutes 4` | 2026-01-01, commit abc123 |  |"
    assert f"| grasping | 0, 1 | **0.992** (0.990, 0.995) |  |  | {row}" in lines
    row = "-0.007 (lost 4, won 1 of 400) | -0.019 to +0.004 | `blind` | "
    row += "`robolearn train grasp --minutes 4 --observe q` | 2026-01-01, commit abc123 |  |"
    assert f"| no camera | 0, 1 | **0.985** (0.985, 0.985) | {row}" in lines
    assert sum(line.startswith("| others |") for line in lines) == 2  # success and manner, not parts


def test_parts_of_another_task_are_compared_with_the_whole_of_their_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    peg = replace(EXPERIMENTS[2], tables=("targets", "parts"))
    stateless = Experiment("stateless", ("parts",), "peg-insertion", 3.0, (0,), (Trial("no state"),))
    monkeypatch.setattr(evidence_tables, "EXPERIMENTS", (*EXPERIMENTS[:2], peg, stateless))
    place.add(0, 0, failed(*range(50)), [])
    place.add(2, 0, failed(1))
    place.keep(stateless, 0, failed(1, 2, 3))
    row = next(line for line in place.write() if line.startswith("| no state |"))
    assert "| **0.985** (0.985) | -0.010 (lost 2, won 0 of 200) |" in row


def test_other_scenes_are_not_compared(place: Place) -> None:
    place.add(0, 0, [], [])
    place.add(1, 0, [7], first=0)
    row = next(line for line in place.write() if line.startswith("| no camera |"))
    assert "| **0.995** (0.995) |  |  | `blind` | `robolearn train" in row
    assert "| 2026-01-01, commit abc123 |" in row
    assert "the code has changed since; 1 of 2 seeds; tried on 200 episodes from 0 on |" in row


def test_the_introduction_is_written_anew_and_what_people_write_stays(place: Place) -> None:
    page = place.root / "docs" / "results.md"
    first = place.write()
    text = "\n".join(first)
    assert first[0] == "# Results"
    assert "200 episodes, from seed 100000 on" in text
    assert "of episodes, not of trainings" in text
    page.write_text(text.replace("# Results", "# Ours").replace("mechanical", "vague") + "\nMore.\n")
    again = place.write()
    assert (again[0], again[-1]) == ("# Ours", "More.")
    assert again[1:-1] == first[1:]


def test_the_readme_has_what_was_measured_between_its_marks(place: Place) -> None:
    readme = place.root / "README.md"
    readme.write_text("# It\n\n<!-- table summary -->\n\nold\n\n<!-- end of table -->\n\nMore.\n")
    place.add(0, 0, [], failed(1))
    place.write()
    lines = readme.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("# It", "More.")
    assert "old" not in lines
    row = "**1.000** (1 seed) | 1.000 |  | 0.981 to 1.000 | `robolearn train grasp --minutes 4` | "
    notes = "the code has changed since; 1 of 3 seeds"
    assert f"| grasping | 4 min | {row}2026-01-01, commit abc123 | {notes} |" in lines
    others = next(line for line in lines if line.startswith("| others |"))
    commands = "`robolearn train grasp --minutes 4`, then `robolearn evaluate RUN --set objects=held-out`"
    assert others.endswith(f"| {commands} | 2026-01-01, commit abc123 | {notes} |")
    assert not any("pegs" in line for line in lines)


def test_every_row_of_every_table_says_what_makes_it_under_a_title(place: Place) -> None:
    place.add(0, 0, [], [])
    place.add(1, 0, [])
    readme = place.root / "README.md"
    readme.write_text("<!-- table summary -->\n<!-- end of table -->\n")
    lines = [*place.write(), *readme.read_text().splitlines()]
    titles: list[str] = []
    rows = 0
    for before, line in pairwise(lines):
        if not line.startswith("|"):
            titles = []
        elif not titles:
            titles = [cell.strip() for cell in line.strip("|").split("|")]
            assert all(titles), line
            assert not before
        elif "---" not in line:
            cells = dict(zip(titles, line[2:-2].split(" | "), strict=True))
            assert cells["command"].startswith("`robolearn train ")
            rows += 1
    assert rows == 3 + 2 + 2 + 2
