"""What `robolearn up` shows, and how it starts and ends processes; no ROS here."""

from __future__ import annotations

import sys
import time
import types
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from robolearn.errors import InputError
from robolearn.hardware.bringup import up_command
from robolearn.hardware.bringup.processes import END_ORDER, START_ORDER, Part, Processes
from robolearn.hardware.bringup.status import Status, line, screen
from robolearn.hardware.bringup.up_command import run_up, up_real, up_sim
from robolearn.hardware.station import load_station
from robolearn.hardware.wire import JointState, MonitorStatus

STATION = load_station("sim")

DUMMY = """
import signal, sys, time
name, book = sys.argv[1:]
def end(number, frame):
    time.sleep(0.1)
    open(book, "a").write(name + "\\n")
    raise SystemExit(3 if name == "recorder" else 0)
signal.signal(signal.SIGINT, end)
print("up", flush=True)
while True:
    time.sleep(1)
"""


@dataclass(frozen=True)
class Dummy(Part):
    """A process that writes its name into a book when it is told to end."""

    book: str = ""

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", DUMMY, self.name, self.book]


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_part_has_its_place_in_both_orders() -> None:
    assert sorted(START_ORDER) == sorted(name for names in END_ORDER for name in names)
    assert START_ORDER[:2] == ("monitor", "watchdog")


def test_processes_end_in_the_safe_order(tmp_path: Path) -> None:
    book = tmp_path / "book"
    names = ["simulated_arm", "recorder", "policy", "watchdog", "monitor"]
    processes = Processes([Dummy(name, book=str(book)) for name in names], tmp_path / "output", {})
    wait_for(lambda: all("up" in processes.last_words(name) for name in names))
    assert list(processes.pids()) == ["monitor", "watchdog", "simulated_arm", "recorder", "policy"]
    assert processes.dead() == {}
    codes = processes.end()
    assert codes == {**dict.fromkeys(names, 0), "recorder": 3}
    order = book.read_text().split()
    assert set(order[:2]) == {"policy", "monitor"}
    assert order[2:] == ["watchdog", "recorder", "simulated_arm"]
    assert processes.pids() == {}


def test_a_terminal_that_is_gone_does_not_keep_them_from_ending_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed raises then."""

    class Gone(StringIO):
        def write(self, text: str) -> int:
            if text.startswith("ending"):
                raise BrokenPipeError("the terminal is gone")
            return len(text)

    book, names, shown = tmp_path / "book", ["monitor", "watchdog", "policy"], []

    def show(processes: Processes, *rest: object) -> dict[str, int]:
        wait_for(lambda: all("up" in processes.last_words(name) for name in names))
        shown.append(processes)
        return {}

    listening = types.ModuleType("listening")
    listening.Listener = lambda status: types.SimpleNamespace(close=lambda: None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "robolearn.hardware.bringup.listening", listening)
    monkeypatch.setattr(up_command, "_show", show)
    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        up_command._supervise([Dummy(name, book=str(book)) for name in names], STATION, tmp_path / "log", 1)
    assert shown[0].pids() == {}
    assert book.read_text().split()[-1] == "watchdog"


def test_a_part_is_a_module_with_parameters() -> None:
    words = Part("policy", {"policy": "grasp", "threads": 2, "autostart": True, "onnx": ""}).command
    assert words[1:4] == ["-u", "-m", "robolearn.hardware.nodes.policy_node"]
    assert words[5:] == [
        *("-p", "policy:='grasp'", "-p", "threads:=2"),
        *("-p", "autostart:=true", "-p", "onnx:=''"),
    ]


def status() -> Status:
    q = np.array([*STATION.arm.home, 0.08])
    q[1] = STATION.arm.q_max[1] - 0.05
    return Status(
        STATION,
        MonitorStatus(0, "holding", "assisted", ("request_late",), {"limited_rate": 12}),
        JointState(0, (*STATION.joint_names, "gripper"), q, np.full(8, 0.1), np.zeros(8)),
        reports={"policy": {"": "sees all it needs", "inference p99": "4.00 ms"}},
        phase="running",
        episodes=3,
        successes=2,
    )


def test_the_screen_shows_state_causes_margins_latencies_and_interventions() -> None:
    out = StringIO()
    Console(file=out, width=200).print(screen(status(), "[s] start"))
    shown = out.getvalue()
    for words in (
        "HOLDING",
        "assisted",
        "request_late",
        "0.050",
        "4.00 ms",
        "limited_rate",
        "2 of 3",
        "[s] start",
    ):
        assert words in shown


def test_a_line_where_there_is_no_screen() -> None:
    shown = line(status())
    assert "holding, assisted: request_late" in shown
    assert "0.05 rad" in shown
    assert line(Status(STATION)).startswith("no word from the monitor")


def test_a_joint_state_that_is_none_has_no_margins() -> None:
    told = status()
    told.state = JointState(0, STATION.joint_names, np.zeros(7), np.zeros(0), np.zeros(0))
    assert told.margins() == []


@pytest.mark.parametrize("registry", [None, Path("registry")])
def test_up_real_tells_the_monitor_of_a_registry(
    monkeypatch: pytest.MonkeyPatch, registry: Path | None
) -> None:
    brought: list[Part] = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(up_command, "_supervise", lambda parts, *rest: brought.extend(parts) or 0)
    assert up_real("grasp", "panda", registry=registry) == 0
    told = {part.name: part.parameters["registry"] for part in brought if "registry" in part.parameters}
    assert told == ({"monitor": str(Path.cwd() / "registry")} if registry else {})


def test_what_cannot_be_brought_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="up real"):
        up_sim(station="panda")
    with pytest.raises(InputError, match="authority"):
        up_sim(authority="shadow")
    with pytest.raises(InputError, match="deployment"):
        run_up(["moon"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="rclpy is missing"):
        up_real("grasp", "panda")
