from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from robolearn import cli
from robolearn.errors import InputError
from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training import train_command
from robolearn.training.run import Run, TrainConfig
from robolearn.training.train import NotKept, Result
from robolearn.training.train_command import MINUTES, RunOptions, read_words


def test_a_task_alone_is_trained_as_it_stands() -> None:
    config, options = read_words(["grasp"])
    assert config == TrainConfig("grasp", {}, GuidedConfig(), VisuomotorConfig(), minutes=MINUTES["grasp"])
    assert options == RunOptions(minutes=MINUTES["grasp"])


def test_every_part_can_be_set(tmp_path: Path) -> None:
    words = "peg-insertion --shape round --clearance 1mm --observe front q --minutes 0.5 --seed 3"
    words += f" --evaluate 7 --learning.batch 9 --network.channels 4 5 --run {tmp_path}"
    words += " --collectors 2 --device cpu"
    config, options = read_words(words.split())
    assert config.changes == {"shape": "round", "clearance": 0.001, "observe": ("front", "q")}
    assert (config.minutes, config.seed, config.evaluate, config.collectors) == (0.5, 3, 7, 2)
    assert (config.learning, config.network) == (GuidedConfig(batch=9), VisuomotorConfig(channels=(4, 5)))
    assert (config.device, options.run, options.resume) == ("cpu", tmp_path, None)


def test_a_resumed_run_keeps_its_words(tmp_path: Path) -> None:
    network = VisuomotorConfig(channels=(4,))
    saved = TrainConfig("peg-insertion", {"clearance": "1mm"}, GuidedConfig(batch=9), network, 5.0, seed=2)
    Run.create(tmp_path / "run", saved).__exit__()
    path = str(tmp_path / "run")
    for words in (["--resume", path], ["peg-insertion", "--resume", path], [f"--resume={path}"]):
        config, options = read_words(words)
        assert config == saved
        assert options.resume == Path(path)
    config, _ = read_words(["--resume", path, "--minutes", "9", "--evaluate", "4"])
    assert (config.minutes, config.evaluate, config.learning.batch) == (9.0, 4, 9)
    with pytest.raises(InputError, match="trains peg-insertion, not grasp"):
        read_words(["grasp", "--resume", path])
    with pytest.raises(InputError, match="choose one"):
        read_words(["--resume", path, "--run", "elsewhere"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("grsp", "did you mean 'grasp'"),
        ("--minutes 3", "what is to be trained? choose one of grasp, peg-insertion"),
        ("grasp --minutes 0", "minutes is 0.0"),
        ("grasp --arm pandaa", "did you mean 'panda'"),
        ("grasp --observe frnt", "did you mean 'front'"),
        ("grasp --image-size 0", "image_size is 0"),
        ("grasp --objects toys", "unknown set of objects 'toys': choose one of train, held-out"),
        ("grasp --device tpu", "unknown device 'tpu'"),
        ("grasp --run {here}", "is there already"),
        ("peg-insertion --clearance 1mn", "unknown unit 'mn'"),
        ("peg-insertion --shape star", "round, square, hexagon, trapezoid"),
        ("--resume {here}", "is no run"),
        ("--resume {here}/none", "is no run"),
    ],
)
def test_bad_words_are_one_clear_line_and_start_nothing(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").touch()
    assert cli.main(["train", *words.format(here="here").split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("robolearn: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["here"]


def test_unknown_options_are_refused_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "grasp", "--minuts", "3"])
    assert caught.value.code == 2
    assert "--minutes" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--learning.batch", "--network.hidden"])
def test_values_that_make_no_sense_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "grasp", option, "0"])
    assert caught.value.code == 2
    name = option.partition(".")[2]
    assert f"{name} is 0; it must be a whole number from 1 up" in capsys.readouterr().err


def test_help_names_the_tasks_and_explains_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "peg-insertion  Peg insertion: " in shown
    assert cli.main(["train"]) == 2
    with pytest.raises(SystemExit):
        cli.main(["train", "peg-insertion", "--help"])
    shown = capsys.readouterr().out
    for word in ("--clearance", "--minutes", "--learning.batch", "--network.hidden", "[rad]"):
        assert word in shown
    assert "--reward-scales" not in shown


def test_tasks_are_listed_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tasks", "--json"]) == 0
    listed = {task["name"]: task for task in json.loads(capsys.readouterr().out)}
    assert {name: task["id"] for name, task in listed.items()} == {
        "grasp": "RoboLearn/Grasp-v0",
        "peg-insertion": "RoboLearn/PegInsertion-v0",
    }
    parameters = {entry["name"]: entry for entry in listed["peg-insertion"]["parameters"]}
    assert parameters["clearance"]["default"] == 0.003
    assert parameters["cameras"]["default"][0]["name"] == "front"
    assert all(entry["meaning"] for entry in parameters.values())
    assert cli.main(["tasks"]) == 0
    shown = capsys.readouterr().out
    for word in ("grasp", "peg-insertion", "clearance", "trapezoid", "[Hz]", "randomisation"):
        assert word in shown


@pytest.mark.parametrize(
    ("result", "status", "shown"),
    [
        (Result(Path("r/bundle"), False, None, Path("r/report.html")), 0, "next     robolearn evaluate r\n"),
        (Result(Path("r/bundle"), True, None, Path("r/report.html")), 130, "robolearn train --resume r\n"),
        (Result(None, True), 130, "robolearn train --resume r\n"),
        (Result(None, False), 1, ""),
        (NotKept("no space anywhere"), 1, ""),
        (FloatingPointError("learning has diverged"), 1, ""),
    ],
)
def test_the_result_is_said_and_in_the_exit_status(
    result: Result | Exception,
    status: int,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: dict[str, object] = {}

    def train(config: TrainConfig, path: Path, **options: object) -> Result:
        asked.update(options, path=path)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(train_command, "train", train)
    assert cli.main(["train", "grasp", "--run", "r"]) == status
    captured = capsys.readouterr()
    assert captured.out.endswith(shown)
    assert asked["command"] == "robolearn train grasp --run r"
    assert asked["path"] == Path("r")
    assert asked["resume"] is False
    if isinstance(result, Exception):
        assert captured.err == f"robolearn: {result}\n"
    else:
        assert cli.main(["train", "grasp", "--run", "r", "--json"]) == status
        found = json.loads(capsys.readouterr().out)
        assert found["interrupted"] is result.interrupted
        assert found["bundle"] == (None if result.bundle is None else "r/bundle")


def test_a_run_that_is_not_named_gets_its_tasks_name_and_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[Path] = []

    def train(config: TrainConfig, path: Path, **options: object) -> Result:
        paths.append(path)
        return Result(None, False)

    monkeypatch.setattr(train_command, "train", train)
    cli.main(["train", "peg-insertion"])
    assert paths[0].parent == Path("runs")
    assert re.fullmatch(r"peg-insertion-\d{8}-\d{6}", paths[0].name)
