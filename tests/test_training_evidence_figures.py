from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from robolearn.training.evidence_figures import Measured, in_short, read_figures
from robolearn.training.experiments import Experiment, Trial

EXPERIMENT = Experiment("easy", ("targets",), "grasp", 1.0, (0, 1), (Trial("as trained"), Trial("harder")))


def figures(seed: int, code: str = "old", of: Experiment = EXPERIMENT, **more: Any) -> dict[str, Any]:
    trial = {"title": "as trained", "seed": 100_000, "episodes": 200, "success": {"rate": 0.9}}
    return {
        "experiment": asdict(of),
        "seed": seed,
        "hash": code,
        "training": {"resumed": 0},
        "cores used by other work": None,
        "measured": "2026-01-01",
        "trials": [trial],
        **more,
    }


def measured(tmp_path: Path, *every: dict[str, Any], present: str = "new") -> Measured:
    for entry in every:
        file = tmp_path / entry["hash"] / f"{entry['experiment']['name']}-{entry['seed']}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(entry))
    return read_figures(tmp_path, {"easy": present})(EXPERIMENT)


def test_nothing_yet(tmp_path: Path) -> None:
    found = measured(tmp_path)
    assert found.seeds == {}
    assert found.when == ""
    assert found.notes(EXPERIMENT.trials[0]) == []


def test_the_most_complete_figures_stand_and_of_those_the_newest(tmp_path: Path) -> None:
    assert not measured(tmp_path, figures(1), figures(0), figures(0, "new")).present
    found = measured(tmp_path, figures(1, "new", measured="2026-02-02"))
    assert found.present
    assert list(found.seeds) == [0, 1]
    assert {entry["hash"] for entry in found.seeds.values()} == {"new"}


def test_a_training_asked_for_in_other_words_is_another_one(tmp_path: Path) -> None:
    others = [replace(EXPERIMENT, words=("--count", "2")), replace(EXPERIMENT, minutes=2.0)]
    for seed, other in enumerate(others):
        assert measured(tmp_path, figures(seed, of=other)).seeds == {}
    assert measured(tmp_path, figures(7)).seeds == {}  # a seed that nobody asks for
    assert list(measured(tmp_path, figures(0)).seeds) == [0]


def test_a_trial_is_found_by_its_title(tmp_path: Path) -> None:
    found = measured(tmp_path, figures(0))
    easy, harder = EXPERIMENT.trials
    assert found.tried(easy)[0]["success"]["rate"] == 0.9
    assert found.tried(harder) == {}


def test_older_figures_tell_when_and_of_what_code_they_are(tmp_path: Path) -> None:
    found = measured(tmp_path, figures(0), figures(1, measured="2026-01-03"))
    assert found.when == "2026-01-01 and 2026-01-03, `evidence/old`"
    assert found.notes(EXPERIMENT.trials[0]) == ["the code has changed since"]
    assert measured(tmp_path, figures(0, commit="abc"), figures(1, commit="abc")).when == (
        "2026-01-01, commit abc"
    )


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ({"cores used by other work": 0.4}, "other work used up to 0.4 cores"),
        ({"training": {"resumed": 1}}, "stopped and resumed"),
        (
            {"trials": [{"title": "as trained", "seed": 0, "episodes": 50}]},
            "tried on 50 episodes from 0 on",
        ),
    ],
)
def test_what_else_a_reader_should_know(tmp_path: Path, more: dict[str, Any], note: str) -> None:
    assert note in measured(tmp_path, figures(0, **more)).notes(EXPERIMENT.trials[0])
    assert "1 of 2 seeds" in measured(tmp_path, present="old").notes(EXPERIMENT.trials[0])


def test_fewer_episodes_than_were_asked_for_are_told() -> None:
    asked = replace(EXPERIMENT, words=("--learning.episodes", "500"))

    def notes(*episodes: int) -> list[str]:
        training = [{"resumed": 0, "episodes": each} for each in episodes]
        seeds = {seed: figures(seed, training=each) for seed, each in enumerate(training)}
        return Measured(asked, seeds, True).notes(asked.trials[0])

    assert notes(500, 501) == []
    assert notes(499, 500) == ["1 of 2 seeds got fewer episodes than asked, down to 499"]


def test_a_cell_in_short() -> None:
    assert in_short(figures(0)) == "as trained: 0.900"
