"""`robolearn data import` and `robolearn data inspect`: words, statuses, and a proposal that works."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_logs import FRONT, STATES, Deployed, deploy, read_log, spoil, write_sqlite

from robolearn.cli import main
from robolearn.data.importing.inspecting import inspect_bag
from robolearn.data.importing.mapping import read_mapping
from robolearn.data.store import Store
from robolearn.hardware.recording.reader import Log, LogMessage
from robolearn.hardware.recording.topics import EPISODE, FILTERED, REQUESTED, SENT


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return deploy(tmp_path_factory.mktemp("command") / "log", (0,))


def test_import_tells_what_it_did(
    deployed: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "import", str(deployed.log), "--to", str(tmp_path / "store"), "--workers", "1"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "added         log/session-0000: " in out
    assert "steps, success" in out
    assert f"{tmp_path / 'store'}: 1 added, 0 there already, 0 left out" in out
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["added"], told["there_already"], told["left_out"]) == (0, 1, 0)
    assert told["episodes"][0]["episode"] == "session-0000"
    with Store.open(tmp_path / "store") as store:
        assert len(store.episodes()) == 1


def test_what_is_left_out_is_told_and_in_the_status(
    deployed: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blind = spoil(deployed.log, tmp_path / "blind", lambda m: [] if m.topic == FRONT else [m])
    assert main(["data", "import", str(blind), "--to", str(tmp_path / "store")]) == 1
    out = capsys.readouterr().out
    assert "left out      blind/session-0000: camera front is to be on" in out
    assert main(["data", "import", str(tmp_path / "no"), "--to", str(tmp_path / "store")]) == 1
    assert "refused" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bundle", "grasp", "--contract", "c.json"], "both given"),
        (["--map", "m.yaml", "--bundle", "grasp"], "m.yaml: cannot be read|for logs of our own"),
        (["--map", "nothing.yaml"], "nothing.yaml: cannot be read"),
        (["--bundle", "nothing"], "no bundle 'nothing'"),
        (["--contract", "nothing.json"], "nothing.json"),
        (["--station", "nothing"], "unknown station 'nothing'"),
        (["--workers", "0"], "workers is 0"),
    ],
)
def test_options_that_cannot_be_are_refused(
    deployed: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["data", "import", str(deployed.log), "--to", str(tmp_path / "store"), *options]) == 2
    assert re.search(words, capsys.readouterr().err)
    assert main(["data", "import", "--to", str(tmp_path / "store")]) == 2


def test_inspect_shows_topics_and_knows_our_own(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "inspect", str(deployed.log)]) == 0
    out = capsys.readouterr().out
    assert "/cameras/front/image_raw" in out
    assert "32 x 32 rgb8" in out
    assert "1 episodes of our own: no mapping file is needed" in out
    assert main(["data", "inspect", str(deployed.log), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rates = {topic["summary"]["name"]: topic["summary"]["rate"] for topic in told["topics"]}
    assert rates[STATES] == pytest.approx(200.0)
    lags = {topic["summary"]["name"]: topic["lag"] for topic in told["topics"]}
    assert lags[STATES] == pytest.approx(0.005)
    assert lags[FRONT] == pytest.approx(0.01)


def strange(deployed: Deployed) -> list[LogMessage]:
    """The same log as another stack would have written it: other topics, no marks, no monitor."""
    names = {STATES: "/joint_states", SENT: "/effort/commands", FRONT: "/front/image", EPISODE: ""}
    names |= {FILTERED: "", REQUESTED: "", "/cameras/wrist/image_raw": "/wrist/image"}
    return [
        replace(message, topic=names[message.topic])
        for message in Log(deployed.log).messages()
        if names.get(message.topic)
    ]


def test_a_proposed_mapping_imports_the_bag(
    deployed: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_sqlite(tmp_path / "bag", strange(deployed))
    contract = tmp_path / "contract.json"
    contract.write_text(deployed.contract.to_json())
    map_file = tmp_path / "map.yaml"
    words = ["data", "inspect", str(bag), "--contract", str(contract), "--write", str(map_file)]
    assert main(words) == 0
    assert main(words) == 2  # it is not overwritten
    assert "is there already" in capsys.readouterr().err
    text = map_file.read_text()
    assert "sent: /effort/commands" in text
    assert "joint_names" not in text  # they are the arm's own
    map_file.write_text(
        text.replace("task: FILL_IN", "task: hold").replace("success: false", "success: true")
    )
    assert read_mapping(map_file).gripper is not None

    words = ["data", "import", str(bag), "--to", str(tmp_path / "store"), "--map", str(map_file)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "added         bag/0000" in out
    assert "what the gripper was told is taken from its width" in out
    with Store.open(tmp_path / "store") as store:
        (row,) = store.episodes()
        episode = store.load(row)
    assert row.policy == "operator"
    (ours,) = read_log(deployed.log)[0][0]
    # the same pictures are found where both looked at the same moment
    offset = (ours.info["began"] - episode.info["began"]) / 1e9
    assert offset > 0
    seen: dict[str, Any] = episode.observations
    for k, picture in enumerate(ours.observations["front"][:-1]):
        near = int(np.argmin(np.abs(episode.stamps - offset - ours.stamps[k])))
        assert np.abs(seen["front"][near].astype(int) - picture).mean() < 5.0
        np.testing.assert_allclose(seen["q"][near], ours.observations["q"][k], atol=0.05)


def test_a_proposal_says_what_nobody_can_guess(deployed: Deployed, tmp_path: Path) -> None:
    look = inspect_bag(write_sqlite(tmp_path / "bag", strange(deployed)))
    assert look.proposal.count("FILL_IN") == 4  # contract, task, two cameras
    assert "joint_names: [panda_joint1" in look.proposal
    assert look.episodes == []
    silent = [m for m in strange(deployed) if m.topic == "/front/image"]
    look = inspect_bag(write_sqlite(tmp_path / "silent", silent))
    assert "topic: FILL_IN  # a sensor_msgs/JointState" in look.proposal
    assert "# torque: none was found" in look.proposal
