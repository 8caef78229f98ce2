"""`robolearn data export` and `robolearn data import-dataset`, from a store and back into one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from exchanging import CONTRACT, rich_episode
from small_episodes import quick_folder

from robolearn.cli import main
from robolearn.data.exchange import exchange_commands
from robolearn.data.exchange.exchange_commands import add_all
from robolearn.data.store import Store
from robolearn.errors import InputError

NAMES = {"lerobot": "set", "robomimic": "set.hdf5", "minari": "set-v0"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.fixture
def store(folder: Path) -> Path:
    with Store.create(folder / "store") as opened, opened.group():
        for number, reason in enumerate(("success", "time", "success", "dropped")):
            opened.add(
                rich_episode(number, 4, reason),
                origin=f"log {number % 2}",
                policy="abc",
                recorded=1.7e9 + number,
                calibration="def",
                quality={"gaps": number},
            )
    return folder / "store"


def contents(path: Path) -> list[dict[str, Any]]:
    with Store.open(path) as opened:
        rows = opened.episodes()
    kept = ("content", "origin", "policy", "recorded", "calibration", "quality", "seed", "versions")
    return [{name: getattr(row, name) for name in kept} for row in rows]


def export(store: Path, to: Path, *more: str, format: str = "robomimic") -> int:
    return main(["data", "export", str(store), "--to", str(to), "--format", format, *more])


def import_set(folder: Path, *more: str) -> int:
    """Import `set.hdf5` into the store `new`."""
    place, to = str(folder / "set.hdf5"), str(folder / "new")
    return main(["data", "import-dataset", place, "--format", "robomimic", "--to", to, *more])


@pytest.mark.parametrize("format", NAMES)
def test_a_store_goes_out_and_comes_back(format: str, store: Path, folder: Path, capsys: Any) -> None:
    place = str(folder / NAMES[format])
    assert main(["data", "export", str(store), "--to", place, "--format", format]) == 0
    assert capsys.readouterr().out == f"{place}: 4 episodes, 16 steps, as {format}\n"
    back = str(folder / "back")
    words = ["data", "import-dataset", place, "--format", format, "--to", back]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{back}: 4 episodes added, 0 there already\n"
    assert contents(folder / "back") == contents(store)
    with Store.open(store) as ours, Store.open(back) as theirs:
        for pair in zip(ours.episodes(), theirs.episodes(), strict=True):
            assert ours.load(pair[0]).info == theirs.load(pair[1]).info
    assert main(words) == 0
    assert "0 episodes added, 4 there already" in capsys.readouterr().out


def test_which_episodes_go_out_can_be_said(store: Path, folder: Path, capsys: Any) -> None:
    def exported(name: str, *words: str) -> Any:
        assert export(store, folder / name, "--json", *words) == 0
        return json.loads(capsys.readouterr().out)

    assert exported("all.hdf5") == {
        "format": "robomimic",
        "path": str(folder / "all.hdf5"),
        "episodes": 4,
        "steps": 16,
        "losses": [],
    }
    assert exported("some.hdf5", "--outcome", "success")["episodes"] == 2
    words = ("--outcome", "failure", "--origin", "log 1", "--policy", "abc", "--task", "grasp")
    assert exported("few.hdf5", *words)["episodes"] == 2
    assert export(store, folder / "none.hdf5", "--task", "fly") == 2
    assert "there are no episodes to write" in capsys.readouterr().err


def test_losses_are_printed(store: Path, folder: Path, capsys: Any) -> None:
    place = str(folder / "set")
    assert main(["data", "export", str(store), "--to", place, "--format", "lerobot", "--video"]) == 0
    told = "lost  observations/front: kept as video, which changes pixels a little (4 episodes)"
    assert told in capsys.readouterr().out.splitlines()


def strangers(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(3):
            group = file.create_group(f"data/demo_{number}")
            group["actions"] = np.full((5, 3), 0.25 * number)
            group["obs/front"] = np.zeros((5, 32, 48, 3), np.uint8)
            group["obs/proprioception"] = np.arange(15.0).reshape(5, 3)
        file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {}})


def test_what_a_stranger_does_not_say_is_asked_for(folder: Path, capsys: Any) -> None:
    strangers(folder / "set.hdf5")
    for more, message in (
        ([], "does not say the rate of its actions: give it (--rate HZ)"),
        (["--rate", "10"], "demo_0: the dataset does not say whether it succeeded: give it (--success"),
        (["--bundle", "grasp", "--contract", "c.json"], "--bundle and --contract are both given"),
        (["--contract", str(folder / "c.json")], "contract "),
    ):
        assert import_set(folder, *more) == 2
        assert message in capsys.readouterr().err
    for words, message in (
        (["x"], "'x' must have the form OLD=NEW"),
        (["x=y"], "unknown observation to rename 'x'"),
    ):
        assert import_set(folder, "--rate", "10", "--success", "yes", "--rename", *words) == 2
        assert message in capsys.readouterr().err
    assert not (folder / "new").exists()  # nothing is made for a dataset that gives nothing
    words = ("--success", "yes", "--source", "teacher", "--rename", "front=far", "proprioception=joints")
    assert import_set(folder, "--rate", "10", *words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{folder / 'new'}: 3 episodes added, 0 there already"
    assert "lost  reward: zeros: the dataset has none (3 episodes)" in out
    with Store.open(folder / "new") as opened:
        rows = opened.episodes()
        assert [row.origin for row in rows] == ["set"] * 3
        assert set(opened.load(rows[0]).observations) == {"far", "joints"}
        assert opened.load(rows[2]).requested[0].tolist() == [0.5] * 3
        assert (opened.load(rows[0]).source == 1).all()


def test_a_contract_makes_a_strangers_torques_learnable(folder: Path) -> None:
    from robolearn.data.store import Transitions

    strangers(folder / "set.hdf5")
    told = CONTRACT.to_dict() | {"cameras": CONTRACT.to_dict()["cameras"][:1]}
    (folder / "c.json").write_text(json.dumps(told))
    assert import_set(folder, "--contract", str(folder / "c.json"), "--success", "no") == 0
    with Store.open(folder / "new") as opened:
        batch = Transitions(opened).batch(8, np.random.default_rng(0))
    assert set(np.unique(batch.action)) <= {0.0, 0.25, 0.5}
    assert not batch.altered.any()


def test_what_stands_before_a_damage_is_kept(
    store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert export(store, folder / "set.hdf5") == 0
    with h5py.File(folder / "set.hdf5", "a") as file:
        del file["data/demo_3/sent"]
    monkeypatch.setattr(exchange_commands, "GROUP", 2)
    assert import_set(folder) == 2
    assert "demo_3 lacks 'sent'" in (error := capsys.readouterr().err)
    assert "(3 episodes before it are in the store)" in error
    assert len(contents(folder / "new")) == 3


def test_episodes_that_do_not_fit_the_store_are_refused(store: Path) -> None:
    from exchanging import flat_episode

    with Store.open(store, write=True) as opened, pytest.raises(InputError, match="camera far"):
        add_all(opened, iter([flat_episode()]), "a", lambda done: None)
    assert len(contents(store)) == 4
