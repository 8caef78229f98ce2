"""The launch files, read by a stand-in for ROS' launch."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from launching import Launch, Process

ROOT = Path(__file__).parent.parent
FILES = {path.name.split(".")[0]: path for path in sorted((ROOT / "launch").glob("*.launch.py"))}
REQUIRED = {"sim": {}, "deploy": {"arm": "panda", "policy": "grasp"}, "record": {"arm": "panda"}}
GUARDS = ["monitor", "watchdog"]


def parameters(process: Process) -> dict[str, str]:
    words = process.command[process.command.index("--ros-args") + 1 :]
    assert words[::2] == ["-p"] * (len(words) // 2)
    return dict(word.split(":=", 1) for word in words[1::2])


@pytest.mark.parametrize("name", FILES)
def test_monitor_and_watchdog_come_first_with_the_distributions_python(name: str) -> None:
    processes = Launch(FILES[name]).processes(**REQUIRED[name], python="/env/bin/python")
    assert [process.name for process in processes][:2] == GUARDS
    for process in processes:
        guard = process.name in GUARDS
        assert process.command[0] == (sys.executable if guard else "/env/bin/python")
        assert process.patience == (15.0 if guard else 5.0)  # the arm has to come to rest


@pytest.mark.parametrize("name", FILES)
def test_every_process_is_a_node_that_declares_what_it_is_given(name: str) -> None:
    launch = Launch(FILES[name])
    for argument in launch.declared.values():
        assert argument.description
    for process in launch.processes(**REQUIRED[name]):
        module = process.command[process.command.index("-m") + 1]
        # not imported: that needs rclpy
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text(encoding="utf-8")
        declared = set(re.findall(r'(?:text_parameter\(self|declare_parameter\()(?:, )?\s*"(\w+)"', source))
        assert "station_parameter(self)" in source
        assert parameters(process).keys() <= declared | {"station", "policy"}, process.name


def test_texts_are_quoted_and_numbers_are_not() -> None:
    processes = {p.name: p for p in Launch(FILES["sim"]).processes(seed="7", policy="12", directory="")}
    assert parameters(processes["simulated_arm"]) == {
        "policy": "'12'",
        "station": "'sim'",
        "seed": "7",
        "reality": "''",
    }
    assert parameters(processes["recorder"])["directory"] == "''"


def test_the_simulated_arm_takes_a_real_ones_place() -> None:
    deploy = Launch(FILES["deploy"])
    assert "simulated_arm" not in [p.name for p in deploy.processes(arm="panda", policy="grasp")]
    names = [p.name for p in deploy.processes(arm="sim", policy="grasp")]
    assert names == ["monitor", "watchdog", "simulated_arm", "policy", "recorder", "episode"]


@pytest.mark.parametrize(("name", "missing"), [("deploy", "arm"), ("deploy", "policy"), ("record", "arm")])
def test_what_has_no_default_must_be_given(name: str, missing: str) -> None:
    given = {key: value for key, value in REQUIRED[name].items() if key != missing}
    with pytest.raises(KeyError, match=missing):
        Launch(FILES[name]).processes(**given)


@pytest.mark.parametrize("name", ["sim", "deploy"])
def test_the_monitor_alone_is_told_of_a_registry(name: str) -> None:
    processes = Launch(FILES[name]).processes(**REQUIRED[name], registry="/registry")
    told = {p.name: parameters(p)["registry"] for p in processes if "registry" in parameters(p)}
    assert told == {"monitor": "'/registry'"}


def test_recording_runs_no_policy_and_says_so_in_the_marks() -> None:
    processes = {p.name: p for p in Launch(FILES["record"]).processes(arm="panda")}
    assert list(processes) == ["monitor", "watchdog", "recorder", "episode"]
    assert parameters(processes["episode"])["action_source"] == "'none'"
