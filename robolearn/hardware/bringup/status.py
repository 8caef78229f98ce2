"""How a deployment stands, and what it looks like: on a live screen, or in a line of text.

Nothing here knows ROS; `robolearn.hardware.bringup.listening` fills it in.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from robolearn.hardware.station import Station
from robolearn.hardware.wire import JointState, MonitorStatus, order

WINDOW = 2.0
"""Time over which rates are taken [s]."""

STYLES = {"passing": "green", "holding": "yellow", "stopped": "bold red"}


class Rate:
    """How often something comes [Hz]."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def tick(self) -> None:
        """It came."""
        self._times.append(time.monotonic())

    def value(self) -> float:
        """Over the last moments [Hz]."""
        since = time.monotonic() - WINDOW
        while self._times and self._times[0] < since:
            self._times.popleft()
        return len(self._times) / WINDOW


@dataclass
class Status:
    """How a deployment stands.

    Attributes:
        station: where.
        monitor: its state; None before the first.
        state: the newest joint state.
        rates: of topics, by a short name.
        reports: what nodes say in diagnostics: name, then key and value.
        phase: of the episode runner.
        episodes, successes: so far.
        pids: of the processes that run, by name.
    """

    station: Station
    monitor: MonitorStatus | None = None
    state: JointState | None = None
    rates: dict[str, Rate] = field(default_factory=dict)
    reports: dict[str, dict[str, str]] = field(default_factory=dict)
    phase: str = "starting"
    episodes: int = 0
    successes: int = 0
    pids: dict[str, int] = field(default_factory=dict)

    def came(self, name: str) -> None:
        """Something came that has a rate."""
        self.rates.setdefault(name, Rate()).tick()

    def margins(self) -> list[tuple[str, float, float]]:
        """Each joint with its distance to the nearer limit [rad] and its speed as a share of the limit."""
        arm = self.station.arm
        if self.state is None or (places := order(self.state.names, self.station.joint_names)) is None:
            return []
        if not len(self.state.position) == len(self.state.velocity) == len(self.state.names):
            return []
        q, dq = self.state.position[places], self.state.velocity[places]
        margin = np.minimum(q - arm.q_min, arm.q_max - q)
        share = np.abs(dq) / arm.dq_max
        return list(zip(self.station.joint_names, margin.tolist(), share.tolist(), strict=True))


def line(status: Status) -> str:
    """One line for where there is no screen."""
    monitor = status.monitor
    words = ["no word from the monitor yet"]
    if monitor is not None:
        causes = f": {', '.join(monitor.causes)}" if monitor.causes else ""
        words = [f"{monitor.mode}, {monitor.authority}{causes}"]
    words.append(f"{status.phase}, {status.successes} of {status.episodes} episodes succeeded")
    words += [f"{name} {rate.value():.0f} Hz" for name, rate in sorted(status.rates.items())]
    if margins := status.margins():
        name, margin, _ = min(margins, key=lambda entry: entry[1])
        words.append(f"nearest limit {margin:.2f} rad ({name})")
    return "; ".join(words)


def screen(status: Status, keys: str = "") -> RenderableType:
    """The live screen; `keys` says what the keyboard does."""
    monitor = status.monitor
    head = Text(f"station {status.station.name}   ")
    if monitor is None:
        head.append("no word from the monitor yet", "yellow")
    else:
        head.append(monitor.mode.upper(), STYLES.get(monitor.mode, ""))
        head.append(f"   authority {monitor.authority}")
        if monitor.causes:
            head.append(f"\n{', '.join(monitor.causes)}", "red" if monitor.mode == "stopped" else "yellow")
    episodes = Text(f"{status.phase}   {status.successes} of {status.episodes} episodes succeeded")
    joints = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("joint", "to limit [rad]", "speed / limit"):
        joints.add_column(column, justify="left" if column == "joint" else "right")
    for name, margin, share in status.margins():
        joints.add_row(name, f"{margin:.3f}", f"{share:.0%}", style="red" if margin < 0.1 else "")
    figures = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    figures.add_column("what comes")
    figures.add_column("Hz", justify="right")
    for name, rate in sorted(status.rates.items()):
        figures.add_row(name, f"{rate.value():.0f}")
    others = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    others.add_column("report")
    others.add_column("", justify="right")
    for name, report in sorted(status.reports.items()):
        for key, value in report.items():
            others.add_row(f"{name}: {key}", value)
    if monitor is not None:
        for cause, count in sorted(monitor.counts.items()):
            others.add_row(f"monitor: {cause}", str(count))
    side = Table.grid(padding=(0, 3))
    side.add_row(joints, figures, others)
    return Group(head, episodes, side, Text(keys, "dim"))
