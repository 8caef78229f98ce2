"""What `robolearn data` prints about stores, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from robolearn import cli
from robolearn.data.store import Store
from robolearn.data.store.manifest import hash_of
from tests.small_episodes import quick_folder, small_episode


@pytest.fixture
def filled() -> Iterator[Path]:
    with quick_folder() as folder:
        with Store.create(folder / "store") as store, store.group():
            for number, (policy, reason) in enumerate(
                [("teacher", "success"), ("a" * 64, "success"), ("a" * 64, "time"), ("a" * 64, "success")]
            ):
                store.add(small_episode(number, 5, reason), origin=f"log {number % 2}", policy=policy)
        yield folder / "store"


def test_info_counts_episodes_by_task_policy_and_end(filled: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["data", "info", str(filled)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"{filled}: 4 episodes, 20 steps, 0.")
    assert "  camera front: 4 x 3 rgb8" in shown
    table = [line.split() for line in shown[-4:]]
    assert table[0][:4] == ["task", "policy", "ended", "episodes"]
    assert table[1][:6] == ["grasp", "aaaaaaaaaaaa", "success", "2", "2", "10"]
    assert table[2][:6] == ["grasp", "aaaaaaaaaaaa", "time", "1", "0", "5"]
    assert table[3][:6] == ["grasp", "teacher", "success", "1", "1", "5"]


def test_info_as_json(filled: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["data", "info", str(filled), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["episodes"], found["steps"]) == (4, 20)
    assert found["bytes"] > 1000
    assert found["origins"] == {"log 0": 2, "log 1": 2}
    assert found["layout"]["joints"] == "shoulder, elbow"
    assert found["groups"][0]["policy"] == "a" * 64
    assert sum(group["altered"] for group in found["groups"]) == 4
    with Store.open(filled) as store:
        assert found["hash"] == hash_of(reversed(store.episodes()))


def test_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    Store.create(tmp_path / "empty").close()
    assert cli.main(["data", "info", str(tmp_path / "empty")]) == 0
    assert "0 episodes, 0 steps" in capsys.readouterr().out
    assert cli.main(["data", "verify", str(tmp_path / "empty")]) == 0
    assert "0 episodes, nothing wrong" in capsys.readouterr().out


def test_verify_says_what_is_wrong(filled: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["data", "verify", str(filled)]) == 0
    assert capsys.readouterr().out == f"{filled}: 4 episodes, nothing wrong\n"
    file = filled / "shards" / "00000" / "sent.npy"
    data = bytearray(file.read_bytes())
    data[130] ^= 1
    file.write_bytes(data)
    assert cli.main(["data", "verify", str(filled)]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["damaged  episode 1: sent is not as it was written", f"{filled}: 4 episodes, 1 wrong"]
    assert cli.main(["data", "verify", str(filled), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["episodes"], len(found["problems"])) == (4, 1)


@pytest.mark.parametrize("words", [["info"], ["verify"]])
def test_there_must_be_a_store(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["data", *words, str(tmp_path / "nothing")]) == 2
    assert "there is no store" in capsys.readouterr().err


def test_help_lists_every_data_command(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["data", "--help"]) == 0
    shown = capsys.readouterr().out
    for name, command in cli.DATA_COMMANDS.items():
        summary = (command.__doc__ or "").splitlines()[0]
        assert any(line.split(maxsplit=1) == [name, summary] for line in shown.splitlines())
    assert cli.main(["data"]) == 2
    assert cli.main(["data", "infos"]) == 2
    assert "unknown data command 'infos' (did you mean 'info'?)" in capsys.readouterr().err
