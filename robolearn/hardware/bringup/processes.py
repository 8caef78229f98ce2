"""The processes of a deployment: started in order, watched, and ended in the order that is safe.

Each has a session of its own, so that Ctrl-C reaches only whoever started them; he tells them one after
another. Should he die himself, the kernel tells them (Linux): they end as if by Ctrl-C.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

START_ORDER = ("monitor", "watchdog", "simulated_arm", "recorder", "policy", "episode")
END_ORDER = (("policy", "episode", "monitor"), ("watchdog",), ("recorder",), ("simulated_arm",))
"""Whoever asks for torques is told first and the monitor at once after him: it brings the arm to rest. Then
the watchdog, which sees to what the monitor left; the log holds all of it, and the arm outlives it."""

PATIENCE = {"monitor": 20.0, "watchdog": 20.0}
"""Time to end by themselves [s]; for the others it is 10 s."""

_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


END_WITH_PARENT = _end_with_parent if sys.platform == "linux" else None
"""What a process does before it becomes the program that it is to run (`preexec_fn`): when its parent dies,
the kernel asks it to end as Ctrl-C does."""


@dataclass(frozen=True)
class Part:
    """A node that is to run.

    Attributes:
        name: of its module, without "_node".
        parameters: of the node.
    """

    name: str
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        """What starts it."""
        words = [sys.executable, "-u", "-m", f"robolearn.hardware.nodes.{self.name}_node", "--ros-args"]
        for key, value in self.parameters.items():
            words += ["-p", f"{key}:={_yaml(value)}"]
        return words


def _yaml(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else repr(value)


class Processes:
    """The processes of a deployment.

    Args:
        parts: what is to run.
        directory: for what each of them prints, NAME.log.
        environment: added to this process's.
    """

    def __init__(self, parts: Sequence[Part], directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for part in sorted(parts, key=lambda part: START_ORDER.index(part.name)):
            with (directory / f"{part.name}.log").open("wb") as log:
                self._running[part.name] = subprocess.Popen(
                    part.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **environment},
                    start_new_session=True,
                    preexec_fn=END_WITH_PARENT,
                )

    def pids(self) -> dict[str, int]:
        """Of those that run."""
        return {name: process.pid for name, process in self._running.items() if process.poll() is None}

    def dead(self) -> dict[str, int]:
        """Exit statuses of those that have ended."""
        codes = {name: process.poll() for name, process in self._running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def last_words(self, name: str, lines: int = 5) -> str:
        """The end of what a process printed."""
        text = (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def end(self) -> dict[str, int]:
        """End all of them in order; returns their exit statuses. One that does not end is killed."""
        for names in END_ORDER:
            running = {name: self._running[name] for name in names if name in self._running}
            for process in running.values():
                process.send_signal(signal.SIGINT)
            for name, process in running.items():
                try:
                    process.wait(PATIENCE.get(name, 10.0))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        return self.dead()
