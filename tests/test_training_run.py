from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_disk import small_disk

from robolearn.errors import InputError
from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.run import Run, TrainConfig, read_config

CONFIG = TrainConfig(
    "peg-insertion",
    {"shape": "round", "observe": ("front", "q")},
    GuidedConfig(batch=7),
    VisuomotorConfig(channels=(4, 4)),
    minutes=2.0,
    seed=3,
)


def test_a_run_is_found_as_it_was_made(tmp_path: Path) -> None:
    with Run.create(tmp_path / "deep" / "run", CONFIG, "robolearn train peg-insertion") as run:
        assert read_config(run.path, TrainConfig) == CONFIG
    head = json.loads((run.path / "config.json").read_text())
    assert head["command"] == "robolearn train peg-insertion"
    assert {"python", "robolearn", "mujoco", "torch"} <= head["versions"].keys()


def test_a_length_is_one_in_whatever_unit_it_was_written(tmp_path: Path) -> None:
    millimetre = replace(CONFIG, changes={"clearance": "1mm", "shape": "trapezoid"})  # the latter by default
    assert millimetre.changes == {"clearance": 0.001}
    Run.create(tmp_path / "run", millimetre).__exit__()
    Run.reopen(tmp_path / "run", replace(CONFIG, changes={"clearance": 0.001})).__exit__()


def test_a_run_goes_on_with_what_may_change(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", CONFIG, "first").__exit__()
    longer = replace(CONFIG, minutes=5.0, device="cpu", collectors=2, evaluate=10)
    for count in (1, 2):
        with Run.reopen(tmp_path / "run", longer, f"again {count}") as run:
            assert run.command == "first"
    assert read_config(run.path, TrainConfig) == longer
    head = json.loads((run.path / "config.json").read_text())
    assert (head["command"], head["resumed"]) == ("first", ["again 1", "again 2"])


@pytest.mark.parametrize(
    "change",
    [
        {"task": "grasp", "changes": {}},
        {"changes": {}},
        {"learning": GuidedConfig()},
        {"network": VisuomotorConfig()},
        {"seed": 4},
    ],
)
def test_a_run_does_not_become_another(tmp_path: Path, change: dict[str, Any]) -> None:
    Run.create(tmp_path / "run", CONFIG).__exit__()
    with pytest.raises(InputError, match=f"{next(iter(change))}.* would change: only minutes, device"):
        Run.reopen(tmp_path / "run", replace(CONFIG, **change))


def test_a_place_that_is_taken_is_refused(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    Run.create(taken, CONFIG).__exit__()  # an empty directory is none
    with pytest.raises(InputError, match=r"there already.*--resume .*taken$"):
        Run.create(taken, CONFIG)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"there already: choose another one$"):
        Run.create(tmp_path / "file", CONFIG)
    with pytest.raises(InputError, match="cannot be made: Not a directory"):
        Run.create(tmp_path / "file" / "run", CONFIG)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no run: there is no config\.json"):
        read_config(tmp_path, TrainConfig)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="it is a file"):
        read_config(tmp_path / "file", TrainConfig)
    for content, message in (
        ("{", "not JSON"),
        ('{"format": "other", "version": 1}', "'other' version 1"),
        ('{"format": "robolearn-run", "version": 1}', "task is None"),
    ):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match=message):
            read_config(tmp_path, TrainConfig)


def test_a_run_of_a_learner_that_had_other_settings_is_refused(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", CONFIG).__exit__()
    file = tmp_path / "run" / "config.json"
    head = json.loads(file.read_text())
    head["learning"]["momentum"] = 0.9
    file.write_text(json.dumps(head))
    with pytest.raises(InputError, match="unknown key 'momentum'"):
        read_config(tmp_path / "run", TrainConfig)


def test_no_two_processes_train_in_a_run(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", CONFIG):
        code = (
            "import sys; from pathlib import Path\n"
            "from robolearn.training.run import Run, TrainConfig, read_config\n"
            "path = Path(sys.argv[1]); Run.reopen(path, read_config(path, TrainConfig))"
        )
        words = [sys.executable, "-c", code, str(tmp_path / "run")]
        done = subprocess.run(words, capture_output=True, text=True)
        assert "another process is training in" in done.stderr
    Run.reopen(tmp_path / "run", CONFIG).__exit__()


def test_tidying_removes_what_a_kill_left_and_spares_the_rest(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", CONFIG) as run:
        stray = run.path / f".{'0123456789abcdef' * 2}.pt"
        for file in (stray, run.checkpoint, run.path / ".bundle.previous"):
            file.touch()
        for folder in (run.snapshots, run.episodes):
            folder.mkdir()
        (run.episodes / ".0000001.npz.tmp").touch()
        run.tidy(finished=False)
        names = {path.name for path in run.path.rglob("*")}
        assert names == {".lock", ".bundle.previous", "checkpoint.pt", "config.json", "episodes"}
        run.tidy(finished=True)
        assert not run.episodes.exists()


def test_a_checkpoint_that_does_not_fit_on_the_disk_is_an_os_error_and_spares_the_one_before(
    tmp_path: Path,
) -> None:
    with Run.create(tmp_path / "run", CONFIG) as run:
        run.save_checkpoint({"steps": 1})
        with small_disk(64_000), pytest.raises(OSError, match="File too large"):
            run.save_checkpoint({"steps": 2, "weights": torch.zeros(100_000)})
        assert run.load_checkpoint() == {"steps": 1}
        assert not list(run.path.glob(".*.pt"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"minutes": 0.0}, "minutes"),
        ({"minutes": float("inf")}, "minutes"),
        ({"seed": -1}, "seed"),
        ({"collectors": 0}, "collectors"),
        ({"evaluate": -1}, "evaluate"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"^{named} is"):
        replace(CONFIG, **change)
