"""What goes wrong with real processes: what the arm received, how long until it was safe, what was logged."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

from deploying import wait
from diagnostic_msgs.msg import DiagnosticArray
from process_faults import CASES
from rehearsing import Rehearsal
from small_disk import small_disk

from robolearn.hardware.nodes import names
from robolearn.hardware.nodes.common import EXACT
from robolearn.hardware.recording import topics
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.summary import summarize
from robolearn.hardware.wire import SECOND

pytestmark = [pytest.mark.ros, pytest.mark.slow]  # real time: on a busy machine everything is late

SLACK = 0.15
"""What a machine that is busy with other things may take beyond the bound [s]."""

LOAD = {"state_late", "request_late", "camera_late", "deadline", "watchdog_late", "watchdog_owns"}
"""What a busy machine may do to an arm to which nothing is done."""


def harmed(causes: Iterable[str]) -> set[str]:
    """What of the causes is neither the load nor the limiter's daily work."""
    return {cause for cause in causes if cause not in LOAD and not cause.startswith("limited_")}


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal(tmp_path_factory.mktemp("rehearsal"))
    try:
        rehearsal.bring_up()
        yield rehearsal
    finally:
        rehearsal.close()
        print(rehearsal.processes.output())  # shown by pytest where the last test fails


@pytest.mark.parametrize("what", CASES)
def test_a_fault(rehearsal: Rehearsal, what: str) -> None:
    case = CASES[what]
    finding = rehearsal.run(case)
    for _ in range(2):  # a machine that is too busy to run the monitor in time tells nothing of the harmless
        if case.ends == "passing" and (finding.mode != "passing" or finding.causes & {"watchdog_owns"}):
            finding = rehearsal.run(case)
    print(finding)
    if case.ends == "passing" and "watchdog_owns" in finding.causes:
        pytest.skip("three times the monitor did not get to run for 30 ms: this machine is too busy")

    # what the arm received
    assert finding.peak <= 1.0, "and it is a number"
    if what != "a stranger publishes to the controller":
        assert rehearsal.largest_step() <= 1.0 + 1e-9
    if case.blind:
        assert finding.last < 0.5, "what is sent fades; nothing feeds back"
    elif case.ends in ("stopped", "watchdog"):
        assert finding.speed < 0.1

    # how long that took, and what was logged
    if case.ends == "passing":
        assert not {cause for cause in harmed(finding.causes) if not cause.startswith("state_")}
        assert finding.mode != "stopped"
    if case.ends in ("passing", "bounded"):
        return
    assert finding.took <= case.within + SLACK, finding
    if case.ends != "watchdog":
        assert case.cause in finding.causes
    if case.ends == "stopped":
        assert finding.mode == "stopped"
        refused = rehearsal.wire.trigger(f"{names.MONITOR_NODE}/reset")
        assert not refused.success, "while the cause lasts nobody resets"


def test_stop_in_every_state(rehearsal: Rehearsal) -> None:
    """Passing is among the cases above."""
    for before in ("camera: black", "request: NaN"):
        rehearsal.run(CASES[before], 0.3)
        pressed = rehearsal.press()
        wire = rehearsal.wire
        wait(lambda: "emergency_stop" in rehearsal.wire.status.causes, 5.0, "the stop is seen")
        first = next(s.stamp for s in wire.statuses if s.stamp > pressed and "emergency_stop" in s.causes)
        assert (first - pressed) * 1e-9 <= CASES["stop pressed"].within + SLACK
        refused = wire.trigger(f"{names.MONITOR_NODE}/reset")
        assert not refused.success
        assert "emergency_stop" in refused.message


def test_the_policys_process_and_the_recorders(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path)
    wire, processes = rehearsal.wire, rehearsal.processes
    try:
        processes.start("policy", policy="grasp")
        processes.start("recorder", directory=tmp_path / "log")
        rehearsal.bring_up()
        rehearsal.let_the_policy_act()

        # the recorder dies: nobody notices, and all but the last second is there
        time.sleep(2.0)
        killed = rehearsal.kill("recorder")
        time.sleep(1.0)
        assert not harmed(wire.status.causes)
        log = Log(tmp_path / "log")
        last = max(message.log_time for message in log.messages([topics.SENT]))
        assert 0 <= killed - last <= SECOND
        summary = summarize(log)
        assert not summary.whole
        assert {topic.name for topic in summary.topics} >= {topics.REQUESTED, topics.SENT, topics.MONITOR}
        senders = {
            (message.topic, message.record().sender)
            for message in log.messages([topics.REQUESTED, topics.SENT])
        }
        (policy,) = (sender for topic, sender in senders if topic == topics.REQUESTED)
        assert policy.startswith("policy "), "one of a name of its own"
        assert {sender for topic, sender in senders if topic == topics.SENT} <= {"monitor", "watchdog"}

        # the disk is full: that is announced, and the arm goes on
        troubles: list[str] = []

        def hear(message: DiagnosticArray) -> None:
            troubles.extend(s.message for s in message.status if s.name.endswith("recorder"))

        wire.node.create_subscription(DiagnosticArray, names.DIAGNOSTICS, hear, EXACT)
        with small_disk(1_500_000):  # the shared memory of DDS counts as a file, too
            processes.start("recorder", directory=tmp_path / "full")
        wait(lambda: any("recording" not in trouble for trouble in troubles), 60.0, "the disk is full")
        assert not harmed(wire.status.causes)
        processes.signal("recorder", signal.SIGKILL)

        # the policy hangs; then it is killed
        stopped = rehearsal.kill("policy", signal.SIGSTOP)
        assert rehearsal.time_until("request_late", stopped) <= 0.12 + SLACK
        assert rehearsal.time_until("policy_lost", stopped) <= 0.35 + SLACK
        assert wire.status.mode == "stopped"
        processes.signal("policy", signal.SIGCONT)
        rehearsal.let_the_policy_act()
        killed = rehearsal.kill("policy")
        assert rehearsal.time_until("request_late", killed) <= 0.12 + SLACK
        assert rehearsal.time_until("policy_lost", killed) <= 0.35 + SLACK
        wait(lambda: np.abs(wire.state.velocity[:7]).max() < 0.05, 10.0, "the arm is at rest")
        torques = np.array([torque for _, torque in wire.commands])
        assert (np.abs(torques) <= rehearsal.bounds.tau_max).all()
    finally:
        rehearsal.close()
        print(processes.output())
