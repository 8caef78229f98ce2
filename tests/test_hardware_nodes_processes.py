"""Monitor, watchdog and simulated arm as the processes that they are."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from deploying import Processes, Wire, patient_station, wait
from launching import Launch
from std_msgs.msg import Bool

from robolearn.hardware.nodes import names
from robolearn.hardware.nodes.common import EXACT, LATCHED
from robolearn.hardware.recording import topics
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.summary import summarize

pytestmark = pytest.mark.ros

MONITOR = names.MONITOR_NODE
START = 90.0
"""Processes that import mujoco on a busy machine are up by then [s]."""


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    wire = Wire(patient_station(tmp_path / "station.yaml"))
    yield wire
    wire.close()


@pytest.fixture
def processes(wire: Wire, tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(wire, tmp_path)
    try:
        yield processes
    finally:
        processes.close()
        print(processes.output())  # shown by pytest where a test fails


def bring_up(wire: Wire, processes: Processes) -> None:
    """Arm, monitor and watchdog run; the monitor is in shadow and not stopped; somebody asks for nothing."""
    for name in ("simulated_arm", "monitor", "watchdog"):
        processes.start(name)
    wait(lambda: wire.state and wire.status and wire.guards, START, "everybody publishes")
    wire.request = np.zeros(7)
    wait(lambda: "policy_missing" not in wire.status.causes, 10.0, "the monitor hears requests")
    deadline = time.monotonic() + 20.0  # what starting up has stopped is reset
    while wire.status.mode != "passing" and time.monotonic() < deadline:
        if wire.status.mode == "stopped":
            wire.trigger(f"{MONITOR}/reset")
        time.sleep(0.1)
    assert wire.status.mode == "passing", wire.status.causes


def enable(wire: Wire) -> None:
    """Call again where a joint state has just been late, as it may be on a busy machine."""
    answer = wire.set(f"{MONITOR}/enable", True)
    deadline = time.monotonic() + 10.0
    while not answer.success and "state_late" in answer.message and time.monotonic() < deadline:
        time.sleep(0.05)
        answer = wire.set(f"{MONITOR}/enable", True)
    assert answer.success, answer.message
    wait(lambda: wire.status.authority == "assisted", 5.0, "authority is assisted")


def test_from_shadow_to_the_death_of_the_monitor(wire: Wire, processes: Processes) -> None:
    bring_up(wire, processes)
    arm = wire.station.arm

    # in shadow a request is judged, and nothing is sent
    wire.request = np.full(7, 1000.0)
    time.sleep(0.5)
    assert wire.commands == []
    assert wire.status.authority == "shadow"
    refused = wire.set(f"{MONITOR}/autonomous", True)
    assert not refused.success
    assert "enable" in refused.message

    # in assisted, what is sent is within the limits, however much is asked for
    wire.request = np.zeros(7)
    enable(wire)
    wait(lambda: len(wire.commands) > 50, 10.0, "torques are sent")
    wire.request = 1000.0 * np.where(np.arange(7) % 2, 1.0, -1.0)
    wait(lambda: np.abs(wire.commands[-1][1]).max() > 3.0, 10.0, "torques grow")
    wire.request = np.zeros(7)
    time.sleep(0.5)
    wait(lambda: np.abs(wire.state.velocity[:7]).max() < 0.05, 10.0, "the arm is at rest")
    sent = np.array([torque for _, torque in wire.commands])
    assert np.isfinite(sent).all()
    assert (np.abs(sent) <= arm.tau_max).all()

    # the monitor dies: the watchdog takes the arm
    processes.signal("monitor", signal.SIGKILL)
    wait(lambda: wire.guards[-1][1], 10.0, "the watchdog owns the arm")
    last_pulse = wire.pulses[-1][0]
    taken = next(stamp for stamp, owns in wire.guards if owns)
    print(f"taken {1e-6 * (taken - last_pulse):.1f} ms after the monitor's last pulse")
    # it waits for 50 ms here, and a tick; the rest is for machines that are busy
    assert 0.0 < 1e-9 * (taken - last_pulse) < 0.2
    refused = wire.trigger(f"{names.WATCHDOG_NODE}/reset")
    assert not refused.success
    assert "silent" in refused.message
    time.sleep(1.0)
    before, during = wire.state, len(wire.commands)
    wait(lambda: len(wire.commands) > during + 20, 5.0, "the watchdog goes on publishing")
    assert np.abs(wire.state.position[:7] - before.position[:7]).max() < 0.05
    assert np.abs(wire.state.velocity[:7]).max() < 0.02

    # asked to end, it first sees to it that the arm is inactive
    processes.signal("watchdog", signal.SIGINT)
    assert processes.exit_status("watchdog") == 0
    wait(lambda: np.abs(wire.state.effort[:7]).max() == 0.0, 5.0, "the arm's torques are zero")
    processes.signal("simulated_arm", signal.SIGINT)
    assert processes.exit_status("simulated_arm") == 0


def test_stops_resets_and_ctrl_c_of_all(wire: Wire, processes: Processes) -> None:
    bring_up(wire, processes)
    enable(wire)

    # a button that is pressed stops the arm; no reset while it is
    button = wire.node.create_publisher(Bool, f"{MONITOR}/estop", LATCHED)
    button.publish(Bool(data=True))
    wait(lambda: wire.status.mode == "stopped", 5.0, "the button stops")
    assert "emergency_stop" in wire.status.causes
    refused = wire.trigger(f"{MONITOR}/reset")
    assert not refused.success
    assert "emergency_stop" in refused.message
    button.publish(Bool(data=False))

    def reset() -> bool:
        time.sleep(0.1)
        return bool(wire.trigger(f"{MONITOR}/reset").success)

    wait(reset, 10.0, "reset with the button released")
    wait(lambda: wire.status.authority == "shadow", 5.0, "a reset ends in shadow")

    # so does one whose publisher is an ordinary, volatile one
    wait(lambda: wire.status.mode == "passing", 10.0, "requests are good again")
    ordinary = wire.node.create_publisher(Bool, f"{MONITOR}/estop", EXACT)
    wait(lambda: ordinary.get_subscription_count() > 0, 10.0, "the monitor hears it")
    ordinary.publish(Bool(data=True))
    wait(lambda: "emergency_stop" in wire.status.causes, 5.0, "that button stops, too")
    ordinary.publish(Bool(data=False))
    wait(reset, 10.0, "reset with that button released")

    # so does a stranger on the controller's topic
    wait(lambda: wire.status.mode == "passing", 10.0, "requests are good again")
    enable(wire)
    gone = wire.stranger()
    wait(lambda: "stranger" in wire.status.causes, 10.0, "the stranger is seen")
    assert wire.status.mode == "stopped"
    gone()
    wait(reset, 10.0, "reset with the stranger gone")
    wait(lambda: wire.status.mode == "passing", 10.0, "requests are good again")
    enable(wire)

    # Ctrl-C of all while torques are sent: everybody ends, the arm at rest and inactive
    wait(lambda: len(wire.commands) > 20, 5.0, "torques are sent")
    for name in ("monitor", "watchdog", "simulated_arm"):
        processes.signal(name, signal.SIGINT)
    assert processes.exit_status("monitor") == 0
    assert processes.exit_status("watchdog") == 0
    assert processes.exit_status("simulated_arm") == 0
    assert np.abs(wire.state.velocity[:7]).max() < 0.05
    assert not wire.pulses[-1][1]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_a_lost_terminal_ends_monitor_and_watchdog_as_ctrl_c_does(
    wire: Wire, processes: Processes, number: signal.Signals
) -> None:
    """A connection that breaks sends SIGHUP to both at once."""
    processes.start("monitor")
    processes.start("watchdog")
    wait(lambda: wire.pulses and wire.guards, START, "both publish")
    processes.signal("monitor", number)
    processes.signal("watchdog", number)
    assert processes.exit_status("monitor") == 0
    assert processes.exit_status("watchdog") == 0


def test_a_policy_for_another_arm_is_refused_with_every_gap(wire: Wire, processes: Processes) -> None:
    processes.start("policy", station="fr3", policy="grasp")
    assert processes.exit_status("policy", START) == 2
    said = processes.output()
    assert "refused" in said
    assert "fr3" in said
    assert "panda" in said


@pytest.mark.slow
def test_up_deploys_over_ros_and_leaves_a_log(wire: Wire, processes: Processes, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-u", "-m", "robolearn.cli", "up", "sim", "--episodes", "1", "--log", str(log)]
    processes.launch("up", command)
    assert processes.exit_status("up", 300.0) == 0
    assert "of 1 episodes succeeded" in processes.output()
    summary = summarize(Log(log))
    assert summary.whole
    assert len(summary.episodes) == 1
    counts = {topic.name: topic.messages for topic in summary.topics}
    assert all(counts[topic] for topic in (topics.REQUESTED, topics.FILTERED, topics.SENT, topics.MONITOR))
    assert all(counts[camera.topic] for camera in wire.station.cameras)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_launch_file_ends_safely(
    wire: Wire, processes: Processes, tmp_path: Path, number: signal.Signals
) -> None:
    launch = Launch(Path(__file__).parent.parent / "launch" / "sim.launch.py")
    for process in launch.processes(
        directory=str(tmp_path / "log"), episodes="1", authority="autonomous", policy="grasp"
    ):
        processes.launch(process.name, process.command)
    wait(lambda: wire.status and wire.status.authority == "autonomous", 2 * START, "the arm moves")
    for name in list(processes.running):
        processes.signal(name, number)
    for name in list(processes.running):
        assert processes.exit_status(name) == 0, name
    assert np.abs(wire.state.velocity[:7]).max() < 0.05
    assert Log(tmp_path / "log").is_whole
