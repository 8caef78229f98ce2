from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from robolearn.errors import InputError
from robolearn.training import evidence, evidence_tables
from robolearn.training.evidence import cells, code_hash, matching, measure, run
from robolearn.training.experiments import EPISODES, EXPERIMENTS, TABLES, Experiment, Trial
from robolearn.training.seeds import FIRST_SEED, evaluation_seeds
from robolearn.training.train_command import read_words

PACKAGE = Path(evidence.__file__).parents[1]
SMALL = (
    Experiment(
        "easy",
        ("targets",),
        "grasp",
        1.0,
        (0, 1),
        (Trial("easy", (), 0.9, 0.8), Trial("hard", ("count=3",))),
        ("--count", "2"),
    ),
    Experiment("other", ("parts",), "peg-insertion", 2.0, (0,), (Trial("pegs"),)),
)


class Machine:
    """Takes the place of the processes: trains in no time, and succeeds as it is told."""

    def __init__(self, root: Path) -> None:
        self.calls: list[list[str]] = []
        self.successes = 150
        self.status = 0
        self.root = root

    def __call__(self, code: Path, words: list[str], log: Path) -> str:
        assert (code / "robolearn" / "cli.py").is_file()
        self.calls.append([word for word in words if not word.startswith("/")])
        if self.status:
            raise subprocess.CalledProcessError(self.status, words)
        if words[0] == "train":
            place = Path(words[words.index("--run" if "--run" in words else "--resume") + 1])
            (place / "bundle").mkdir(parents=True, exist_ok=True)
            (place / "config.json").write_text("{}")
            card = {"training": {"resumed": 0, "interrupted": "no"}, "versions": {"python": "3"}}
            (place / "bundle" / "card.json").write_text(json.dumps(card))
            return ""
        table = [{"seed": seed, "success": seed < self.successes} for seed in range(200)]
        success = {"rate": self.successes / 200, "successes": self.successes}
        spread = {"mean": 1.5, "median": 1.0, "max": 9.0}
        names = ("seconds_to_success", "peak_force", "mean_force", "torque_rate")
        limiter = {"ticks": 9, "share": 0.025, "altered": {"rate": 0.02, "speed": 0.01}}
        more = {**dict.fromkeys(names, spread), "drops": 3, "jams": 1, "limiter": limiter}
        summary = {
            "episodes": 200,
            "seed": 100_000,
            "success": success,
            "command": "robolearn evaluate this",
            **more,
        }
        return json.dumps({**summary, "table": table})


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "docs").mkdir()
    for name, value in (("ROOT", "."), ("RESULTS", "evidence"), ("RUNS", "runs/evidence")):
        monkeypatch.setattr(evidence, name, tmp_path / value)
    monkeypatch.setattr(evidence, "_robolearn", machine)
    monkeypatch.setattr(evidence, "_busy", lambda: 0.0)
    monkeypatch.setattr(evidence, "_commit", lambda: "abc1234")
    for module in (evidence, evidence_tables):
        monkeypatch.setattr(module, "EXPERIMENTS", SMALL)
    return machine


def results(machine: Machine) -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in machine.root.glob("evidence/*/*.json")}


def page(machine: Machine) -> str:
    return (machine.root / "docs" / "results.md").read_text()


def test_cells_are_measured_one_after_another_and_only_once(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    options = ["--episodes", "200", "--seed", "100000"]
    easy, hard = (["evaluate", *options, *more, "--json"] for more in ([], ["--set", "count=3"]))
    assert machine.calls == [
        ["train", "grasp", "--seed", "0", "--minutes", "1", "--run", "--count", "2"],
        easy,
        hard,
        ["train", "grasp", "--seed", "1", "--minutes", "1", "--run", "--count", "2"],
        easy,
        hard,
        ["train", "peg-insertion", "--seed", "0", "--minutes", "2", "--run"],
        easy,
    ]
    found = results(machine)
    assert sorted(found) == ["easy-0", "easy-1", "other-0"]
    assert found["easy-1"]["command"] == "robolearn train grasp --minutes 1 --count 2 --seed 1"
    assert found["easy-1"]["trials"][1]["failed seeds"] == list(range(150, 200))
    assert "table" not in found["easy-1"]["trials"][0]
    again = "robolearn evaluate RUN --episodes 200 --seed 100000 --set count=3"
    assert found["easy-1"]["trials"][1]["command"] == again
    assert "3 of 3 cells to measure, 0.1 h" in capsys.readouterr().out
    machine.calls.clear()
    assert run() == 0
    assert machine.calls == []
    assert run(list=True) == 0
    assert "easy: 0.750, hard: 0.750" in capsys.readouterr().out


def test_what_was_stopped_goes_on(machine: Machine) -> None:
    machine.status = 130
    with pytest.raises(KeyboardInterrupt):
        run("other")
    machine.status = 0
    [cell] = matching(cells(PACKAGE), "other")
    half = evidence.RUNS / f"other-0-{cell.training}"
    half.mkdir(parents=True)
    (half / "config.json").touch()
    machine.calls.clear()
    run("other")
    assert machine.calls[0] == ["train", "--resume"]
    cell.file.unlink()  # the training is there still: only the evaluation is repeated
    machine.calls.clear()
    run("other")
    assert [words[0] for words in machine.calls] == ["evaluate"]


def test_a_cell_that_fails_does_not_stop_the_others(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.status = 1
    assert run() == 1
    assert capsys.readouterr().out.count("failed with status 1") == 3
    assert results(machine) == {}
    assert "not measured" in page(machine)


def test_tables_say_mean_worst_interval_and_what_is_missing(machine: Machine) -> None:
    run("easy-0")
    machine.successes = 190
    run("easy-1")
    text = page(machine)
    assert text.startswith("# Results\n")
    measured = "**0.850** (0.750, 0.950) | 0.750 | 0.000 to 1.000 | 0.812 to 0.882"
    when = f"{time.strftime('%Y-%m-%d')}, commit abc1234"
    train, harder = "`robolearn train grasp --minutes 1 --count 2`", "`robolearn evaluate RUN --set count=3`"
    rows = [line for line in text.splitlines() if " min |" in line]
    assert rows == [
        f"| easy | 1 min | {measured} | >= 0.9, worst >= 0.8 | `easy` | {train} | {when} |  |",
        f"| hard | 1 min | {measured} |  | `easy` | {train}, then {harder} | {when} |  |",
    ]
    pegs = "`robolearn train peg-insertion --minutes 2`"
    assert f"| pegs |  | not measured |  |  | `other` | {pegs} |  |  |" in text.splitlines()
    manner = "1.5 s | 1.5 N | 1.5 N | 1.5 N·m/s | 6 in 400 | 2 in 400 | 2.50 % of ticks altered"
    assert f"| hard | {manner} | `easy` | {train}, then {harder} | {when} |  |" in text.splitlines()
    for title in (*TABLES.values(), "How the policies move"):
        assert text.count(f"## {title}\n") == 1
    # what a person writes around the tables stays
    file = machine.root / "docs" / "results.md"
    file.write_text(text.replace("# Results", "# Our results") + "\nMore.\n")
    run("other")
    assert page(machine).startswith("# Our results")
    assert page(machine).endswith("More.\n")
    assert "| pegs | 0 | **0.950** (0.950) |" in page(machine)
    assert page(machine).count("<!-- table targets -->") == 1


def test_older_figures_stand_until_newer_ones_are_as_complete(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("easy")
    real = code_hash
    monkeypatch.setattr(evidence, "code_hash", lambda package, *kind: "new" + real(package, *kind))
    machine.successes = 200
    run("easy-0")
    assert "**0.750** (0.750, 0.750)" in page(machine)
    assert "| the code has changed since |" in page(machine)
    run("easy-1")
    assert "**1.000** (1.000, 1.000)" in page(machine)
    assert "has changed since |" not in page(machine)
    assert len(list(machine.root.glob("evidence/*/easy-0.json"))) == 2  # nothing is thrown away


def test_other_work_on_the_machine_is_noticed_and_said(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = iter([100.0, 1e9])
    monkeypatch.setattr(evidence, "_busy", lambda: next(busy))
    run("other")
    assert "other work used" in capsys.readouterr().out
    assert "other work used up to" in page(machine)


def test_the_machine_tells_how_busy_it_is() -> None:
    before, own = evidence._busy(), evidence._own()
    assert before is not None
    subprocess.run(["python3", "-c", "sum(range(10**7))"], check=True)
    after = evidence._busy()
    assert after is not None
    assert after - before > 0.05
    assert evidence._own() - own > 0.05


def test_figures_name_the_commit_of_their_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert evidence._commit() is None

    def git(*words: str) -> bytes:
        who = ("-c", "user.name=n", "-c", "user.email=e")
        return subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, stdout=subprocess.PIPE).stdout

    (tmp_path / "robolearn").mkdir()
    (tmp_path / "robolearn" / "cli.py").touch()
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "Begin")):
        git(*words)
    head = git("rev-parse", "--short", "HEAD").decode().strip()
    assert evidence._commit() == head
    (tmp_path / "notes").touch()
    assert evidence._commit() == head
    (tmp_path / "robolearn" / "cli.py").write_text("x = 1\n")
    assert evidence._commit() == f"{head}+"


def test_two_at_once_are_refused(machine: Machine) -> None:
    evidence.RUNS.mkdir(parents=True)
    with (evidence.RUNS / ".lock").open("w") as lock:
        evidence.fcntl.flock(lock, evidence.fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is measuring"):
            run()


def test_a_pattern_that_matches_nothing_names_the_experiments(machine: Machine) -> None:
    with pytest.raises(InputError, match="'grsp': choose one of easy, other"):
        run("grsp")
    every = cells(PACKAGE)
    assert [cell.name for cell in matching(every, "e*")] == ["easy-0", "easy-1"]
    assert [cell.name for cell in matching(every, "easy-1")] == ["easy-1"]


def test_what_watches_is_in_the_hash_of_what_is_watched_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = replace(SMALL[1], name="watched", trials=(replace(SMALL[1].trials[0], watched=True),))
    monkeypatch.setattr(evidence, "EXPERIMENTS", (SMALL[1], watched))
    plain, seen = cells(PACKAGE)
    assert plain.training == seen.training
    assert plain.hash != seen.hash
    monkeypatch.setattr(evidence, "watching_hash", lambda package: "new")
    after, again = cells(PACKAGE)
    assert after == plain
    assert again.training == seen.training
    assert again.hash != seen.hash


def test_the_seeds_are_held_out_and_in_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = evaluation_seeds(FIRST_SEED, EPISODES)  # refuses those that any training uses
    assert seeds[0] > 199  # which tuning looked at
    before = cells(PACKAGE)
    monkeypatch.setattr(evidence, "FIRST_SEED", 300_000)
    for old, new in zip(before, cells(PACKAGE), strict=True):
        assert (old.training, old.hash == new.hash) == (new.training, False)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_every_experiment_can_be_trained_and_stands_in_a_table(experiment: Experiment) -> None:
    words = [experiment.task, "--minutes", str(experiment.minutes), *experiment.words]
    config, _ = read_words(words)
    assert config.minutes == experiment.minutes
    assert experiment.tables
    assert set(experiment.tables) <= set(TABLES)
    assert sum(other.name == experiment.name for other in EXPERIMENTS) == 1


def test_measuring_is_refused_outside_of_a_clone(machine: Machine) -> None:
    (machine.root / "pyproject.toml").unlink()
    with pytest.raises(InputError, match="in a clone"):
        run()


def test_a_measurement_without_a_reading_of_the_machine_is_one_all_the_same(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "_busy", lambda: None)
    [cell] = matching(cells(PACKAGE), "other")
    evidence.RUNS.mkdir(parents=True)
    figures = measure(cell, PACKAGE.parent, None)
    assert figures["cores used by other work"] is None
