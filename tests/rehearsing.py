"""Arm, monitor and watchdog as the processes that they are, and a client that plays the policy.

One thing after another goes wrong there, and it is seen what comes of it: what can is in process_faults.py.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml
from deploying import Processes, Wire, wait
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Bool, Float64MultiArray, String

import robolearn
from robolearn.contract import Contract
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.nodes import convert, names
from robolearn.hardware.nodes.common import LATCHED, LATEST, system
from robolearn.hardware.realities import REALITIES
from robolearn.hardware.recording import topics
from robolearn.hardware.station import Station, load_station, save_station
from robolearn.hardware.wire import (
    SECOND,
    EpisodeMark,
    Heartbeat,
    JointState,
    MonitorStatus,
    TorqueRequest,
    order,
)

START = 90.0
"""Processes that import mujoco on a busy machine are up by then [s]."""

CONTRACT = Contract.from_json(
    (Path(robolearn.__file__).parent / "bundles" / "grasp" / "contract.json").read_bytes()
)

STIFFNESS = np.array([8.0, 8.0, 6.0, 6.0, 0.5, 0.5, 0.2])
"""Of the swinging [N·m/rad]: soft, for it is asked for at the contract's 20 Hz."""

Spoil = Callable[[TorqueRequest], Iterable[TorqueRequest]]


def rehearsal_station(path: Path) -> Station:
    """The simulated station with its own times; late ticks of a busy machine stop nothing."""
    station = load_station("sim")
    cameras = tuple(replace(camera, rate=20.0) for camera in station.cameras)
    monitor = replace(station.monitor, deadline_misses=100)
    save_station(replace(station, cameras=cameras, monitor=monitor), path)
    return load_station(path)


def noisy_reality(path: Path) -> None:
    """Sensors with noise, as real ones have it: without, a camera that sees the bare table looks frozen."""
    values = yaml.safe_load((REALITIES / "near.yaml").read_text(encoding="utf-8"))
    punctual = {key: 0.0 for key in values if key.endswith("_delay_extra")}
    path.write_text(yaml.safe_dump({**values, **punctual}), encoding="utf-8")


class PlayedPolicy(Wire):
    """A client that plays a policy, too: it announces the grasping contract, and swings the arm to and fro.

    Attributes:
        statuses: the monitor's, as they came.
        states: the latest joint states.
        spoil: makes other requests of those that are due.
        silent: whether it neither asks nor beats.
        asked: when it asked, by the clock of the stamps [ns].
    """

    def __init__(self, station: Station) -> None:
        self.statuses: list[MonitorStatus] = []
        self.states: list[JointState] = []
        self.spoil: Spoil | None = None
        self.silent = True
        self.asked: list[int] = []
        self.home: np.ndarray | None = None
        self._torque = np.zeros(7)
        super().__init__(station)
        publish = self.node.create_publisher
        self._contract = publish(String, names.CONTRACT, LATCHED)
        self._contract.publish(String(data=CONTRACT.to_json()))
        self.button = publish(Bool, f"{names.MONITOR_NODE}/estop", LATCHED)
        self.marks = publish(String, topics.EPISODE, LATCHED)
        self.faults = publish(String, f"{names.ARM_NODE}/fault", 10)

    def _on_status(self, message: DiagnosticArray) -> None:
        super()._on_status(message)
        assert self.status is not None
        self.statuses.append(self.status)

    def _on_state(self, message: JointStateMessage) -> None:
        super()._on_state(message)
        self.states.append(self.state)
        del self.states[:-400]

    def _ask(self) -> None:
        """Called at 50 Hz; the contract has 20."""
        now = system()
        state = self.state
        if self.silent or state is None or (self.asked and now - self.asked[-1] < 0.045 * SECOND):
            return
        self.asked.append(now)
        self.beat("test")
        places = order(state.names, self.station.joint_names)
        if places is not None and len(state.velocity) == len(state.names):
            q, dq = state.position[places], state.velocity[places]
            self.home = q if self.home is None else self.home
            swing = 0.25 * np.sin(2.0 * np.pi * 0.5 * now / SECOND)
            goal = self.home + swing * np.array([1.0, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0])
            torque = STIFFNESS * (goal - q) - 0.1 * self.station.arm.limiter.wall_damping * dq
            if np.isfinite(torque).all():
                self._torque = torque
        self.ask(TorqueRequest(now, self.station.joint_names, self._torque, sender="test"))

    def ask(self, request: TorqueRequest) -> None:
        """Ask for torques, spoilt if that is the order of the day."""
        for each in self.spoil(request) if self.spoil is not None else [request]:
            self._requests.publish(convert.torque_message(each))

    def beat(self, sender: str, bundle: str = "played") -> None:
        """Say that somebody is alive."""
        beat = Heartbeat(system(), sender, bundle, CONTRACT.hash if bundle else "")
        self._heartbeats.publish(convert.heartbeat_message(beat))


@dataclass(frozen=True)
class Case:
    """Something that goes wrong.

    Attributes:
        ends: "stopped", "holding", "watchdog" (it owns the arm), "passing": it does no harm, or "bounded":
            whatever the arm does, it does within its bounds.
        cause: what the monitor says.
        within: time until the arm is safe [s].
        begin: lets it go wrong; returns since when it is wrong, by the clock of the stamps [ns].
        blind: whether nothing may feed back.
    """

    ends: str
    cause: str
    within: float
    begin: Callable[[Rehearsal], int]
    blind: bool = False


@dataclass(frozen=True)
class Finding:
    """What came of it.

    Attributes:
        took: from its beginning until the arm was safe [s]; nan if it never was, or was all the time.
        mode: of the monitor, in the end.
        causes: all that the monitor named.
        peak: largest torque that the arm received, as a share of the bound.
        last: largest torque of the latest command [N·m].
        speed: of the fastest joint in the end, as measured [rad/s].
    """

    took: float
    mode: str
    causes: frozenset[str]
    peak: float
    last: float
    speed: float


class Rehearsal:
    """Arm, monitor and watchdog as processes, and a client that plays the policy.

    Args:
        directory: for the station's file and for what the processes print.
    """

    def __init__(self, directory: Path) -> None:
        self.station = rehearsal_station(directory / "station.yaml")
        self._reality = directory / "reality.yaml"
        noisy_reality(self._reality)
        self.wire = PlayedPolicy(self.station)
        self.processes = Processes(self.wire, directory)
        self.bounds = limiter_parameters(self.station.arm, self.station.monitor.rate)
        self.mend: list[Callable[[], object]] = []
        """What ends the present trouble."""

    def bring_up(self) -> None:
        """Start everybody."""
        for name in ("monitor", "watchdog", "simulated_arm"):
            self._start(name)
        wait(lambda: self.wire.state and self.wire.status and self.wire.guards, START, "everybody publishes")

    def _start(self, name: str) -> None:
        self.processes.start(name, **({"reality": self._reality} if name == "simulated_arm" else {}))

    def close(self) -> None:
        self.processes.close()
        self.wire.close()

    # --- before -------------------------------------------------------------------------------------------

    def get_ready(self) -> None:
        """Mend everything; the arm swings as the played policy asks, by a person's leave."""
        wire = self.wire
        wire.spoil, wire.silent = None, False
        for mend in self.mend:
            mend()
        self.mend.clear()
        for name, process in list(self.processes.running.items()):
            if process.poll() is not None:
                self._start(name)
        wire.trigger(f"{names.ARM_NODE}/clear_faults")
        wire.trigger(f"{names.ARM_NODE}/reset_episode")
        wire.home = None
        wait(self._swings, START, f"the arm swings: {wire.status}")
        wire.commands.clear()

    def leads_to(self, authority: str) -> bool:
        """Do one thing that a person would do next; whether authority is there."""
        wire = self.wire
        assert wire.status is not None
        if wire.guards[-1][1]:
            wire.trigger(f"{names.WATCHDOG_NODE}/reset")
        elif wire.status.mode == "stopped":
            wire.trigger(f"{names.MONITOR_NODE}/reset")
        elif wire.status.authority == authority:
            return True
        elif wire.status.authority == "shadow":
            wire.set(f"{names.MONITOR_NODE}/enable", True)
        else:
            wire.set(f"{names.MONITOR_NODE}/autonomous", True)
        time.sleep(0.15)
        return False

    def _swings(self) -> bool:
        wire = self.wire
        led = self.leads_to("autonomous")
        assert wire.status is not None
        return led and wire.status.mode == "passing" and bool(np.abs(wire.state.velocity[:7]).max() > 0.2)

    # --- what goes wrong ----------------------------------------------------------------------------------

    def fault(self, kind: str, amount: float = 0.0, camera: str = "") -> int:
        """The simulated arm's wire is at fault, from now on."""
        now = system()
        words = {"kind": kind, "amount": amount, "camera": camera}
        self.wire.faults.publish(String(data=json.dumps(words)))
        return now

    def state_fault(self, bad: Callable[[JointState], bool], kind: str, amount: float = 0.0) -> int:
        """The same; wrong since the first joint state that shows it arrived."""
        since = self.fault(kind, amount)
        shown = lambda: next((s for s in self.wire.states if s.stamp > since and bad(s)), None)  # noqa: E731
        wait(shown, 5.0, f"a joint state shows {kind}")
        state = shown()
        assert state is not None
        return int(state.stamp) + round(self.station.state.delay * SECOND)

    def stale(self, bad: Callable[[JointState, JointState], bool], kind: str, amount: float = 0.0) -> int:
        """The same; wrong since the last good joint state was measured.

        `bad` sees a state and the one before; where it finds none, the last that came was good.
        """
        since = self.fault(kind, amount)
        time.sleep(0.3)
        latest = [state for state in self.wire.states if state.stamp > since - SECOND // 10]
        return next((a.stamp for a, b in pairwise(latest) if bad(a, b)), latest[-1].stamp)

    def spoil(self, spoil: Spoil) -> int:
        """The policy's requests are spoilt from the next one on; wrong since that one."""
        before = len(self.wire.asked)
        self.wire.spoil = spoil
        wait(lambda: len(self.wire.asked) > before, 5.0, "a request")
        return self.wire.asked[before]

    def stay_silent(self) -> int:
        """The policy is gone: wrong since the observation behind its last request."""
        self.wire.silent = True
        return self.wire.asked[-1]

    def intrude(self) -> int:
        """Somebody else commands the arm, until that is mended."""
        topic = self.station.controller.command_topic
        publisher = self.wire.node.create_publisher(Float64MultiArray, topic, LATEST)
        self.mend.append(lambda: self.wire.node.destroy_publisher(publisher))
        return system()

    def press(self) -> int:
        """The stop is pressed, until that is mended."""
        self.wire.button.publish(Bool(data=True))
        self.mend.append(lambda: self.wire.button.publish(Bool(data=False)))
        return system()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """A process gets a signal; one that is stopped goes on when that is mended."""
        if number is signal.SIGSTOP:
            self.mend.append(lambda: self.processes.signal(name, signal.SIGCONT))
        now = system()
        self.processes.signal(name, number)
        if number is signal.SIGKILL:
            self.processes.exit_status(name)
        return now

    def another_policy(self) -> int:
        """Another policy beats, and asks, between the requests of the first."""
        begun = system()
        before = len(self.wire.asked)

        def both(request: TorqueRequest) -> list[TorqueRequest]:
            self.wire.beat("another", "another bundle")
            return [request, replace(request, torque=-request.torque, sender="another")]

        self.wire.spoil = both
        wait(lambda: len(self.wire.asked) > before, 5.0, "a request")
        return max(begun, self.wire.asked[before])

    # --- after --------------------------------------------------------------------------------------------

    def run(self, case: Case, seconds: float = 1.5) -> Finding:
        """Let it go wrong, and look for some time at what comes of it."""
        self.get_ready()
        wire = self.wire
        statuses, guards = len(wire.statuses), len(wire.guards)
        since = case.begin(self)
        time.sleep(seconds)
        after = wire.statuses[statuses:]
        causes = frozenset(cause for status in after for cause in status.causes)
        if case.ends == "watchdog":
            taken = [stamp for stamp, owns in wire.guards[guards:] if owns]
        else:
            taken = [s.stamp for s in after if s.mode != "passing" and case.cause in s.causes]
        assert wire.status is not None
        return Finding(
            took=(taken[0] - since) / SECOND if taken else float("nan"),
            mode=wire.status.mode,
            causes=causes,
            peak=self.peak(),
            last=float(np.abs(wire.commands[-1][1]).max()),
            speed=float(np.abs(wire.state.velocity[:7]).max(initial=0.0)),
        )

    def time_until(self, cause: str, since: int) -> float:
        """Time until the monitor named a cause and let nothing pass any more [s]."""

        def found() -> MonitorStatus | None:
            named = [s for s in self.wire.statuses if s.stamp > since and cause in s.causes]
            return next((s for s in named if s.mode != "passing"), None)

        wait(found, 5.0, cause)
        status = found()
        assert status is not None
        return (status.stamp - since) / SECOND

    def let_the_policy_act(self) -> None:
        """A real policy, started as a process; by a person's leave, in an episode that has begun."""
        wire = self.wire
        wire.silent = True
        wire.trigger(f"{names.ARM_NODE}/reset_episode")
        told = 0.0

        def acts() -> bool:
            nonlocal told
            if time.monotonic() - told > 2.0:  # a policy that has just started may not have heard it
                told = time.monotonic()
                mark = EpisodeMark(system(), "begin", "rehearsal", {"action_source": "policy"})
                wire.marks.publish(convert.mark_message(mark))
            led = self.leads_to("autonomous")
            assert wire.status is not None
            return led and wire.status.mode == "passing"

        wait(acts, START, "the policy acts")

    def peak(self) -> float:
        """Largest torque of the commands that arrived, as a share of its bound."""
        torques = np.array([torque for _, torque in self.wire.commands])
        return float((np.abs(torques) / self.bounds.tau_max).max())

    def alive(self) -> list[str]:
        """Processes that run."""
        return [name for name, process in self.processes.running.items() if process.poll() is None]

    def largest_step(self) -> float:
        """Of the commands that arrived, as a share of what the time between them permits."""
        times = np.array([at for at, _ in self.wire.commands])
        torques = np.array([torque for _, torque in self.wire.commands])
        # one that was lost, or late, on the way here permits the next one as much again
        ticks = np.diff(times) / SECOND * self.station.monitor.rate + 4.0
        steps = np.abs(np.diff(torques, axis=0)) / np.array(self.bounds.dtau)
        return float((steps.max(axis=1) / ticks).max(initial=0.0))
