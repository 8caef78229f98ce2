"""What `robolearn up` does: brings up a deployment, shows how it stands, and ends it safely."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.hardware.bringup.processes import Part, Processes
from robolearn.hardware.bringup.status import Status, line, screen
from robolearn.hardware.bringup.success import said
from robolearn.hardware.realities import load_reality
from robolearn.hardware.station import Station, load_station
from robolearn.terminal import parse

SCREEN_PERIOD, LINE_PERIOD = 0.2, 2.0
"""Between two screens, and between two lines where there is none [s]."""

_HELP = """\
usage: robolearn up {sim,real} [options]

Bring up a deployment: monitor, watchdog, policy, recorder and episode runner, each a process; show how it
stands, and end it safely on Ctrl-C.

  sim    at the simulated arm
  real   at an arm whose driver runs

`robolearn up sim --help` explains the options; docs/deployment.md, the whole way.
"""


def run_up(words: list[str]) -> int:
    """Bring up what the first word names; returns the exit status."""
    if not words or words[0] in ("-h", "--help"):
        print(_HELP, end="")
        return 0 if words else 2
    kinds: dict[str, Callable[..., int]] = {"sim": up_sim, "real": up_real}
    return parse(f"up {words[0]}", kinds[choose("deployment", words[0], kinds)], words[1:])


def up_sim(
    policy: str = "grasp",
    station: str = "sim",
    episodes: int = 5,
    seed: int = 0,
    authority: str = "autonomous",
    by_hand: bool = False,
    log: Path | None = None,
    one_process: bool = False,
    reality: str = "",
    exploration: float = 0.0,
    workers: int = 1,
    json: bool = False,
) -> int:
    """Deploy a policy at the simulated arm and run episodes.

    Args:
        policy: a bundle's or a training run's directory, or a shipped name.
        station: a simulated one.
        episodes: how many; then everything ends.
        seed: of the first.
        authority: assisted or autonomous.
        by_hand: a person starts episodes and raises the authority, by the keyboard or by services.
        log: directory of the log; a new one in the station's recorder.directory if not given.
        one_process: without ROS, all in this process on a simulated clock, faster than real time.
        reality: what the arm is otherwise than in the training simulator: near, middle, far, or a file.
        exploration: how much the policy is pushed off its path, 1 being a lot; the log says so.
        workers: processes for one_process; with more than one there is a log for every ten episodes.
        json: print the result of one_process as JSON.
    """
    choose("authority", authority, ("assisted", "autonomous"))
    checks.whole("episodes", episodes, 1)
    checks.whole("workers", workers, 1)
    checks.number("exploration", exploration, low=0.0)
    place = load_station(station)
    if not place.simulated:
        raise InputError(f"station {station!r} is no simulated one; `robolearn up real` deploys there")
    real = load_reality(reality, place.arm) if reality else None
    directory = _log_directory(place, log)
    if not one_process and importlib.util.find_spec("rclpy") is None:
        print(
            "rclpy is missing (docs/deployment.md): the same parts run in one process, on a simulated clock",
            file=sys.stderr,
        )
        one_process = True
    if one_process:
        from robolearn.hardware.bringup.alone import run_alone
        from robolearn.hardware.bringup.sessions import Session
        from robolearn.hardware.monitor.states import Authority

        seeds, level = tuple(range(seed, seed + episodes)), Authority[authority.upper()]
        return run_alone(Session(policy, place, seeds, directory, level, real, exploration), workers, json)
    if workers > 1 or json:
        raise InputError("--workers and --json are for --one-process: over ROS one arm runs in real time")
    common = {"station": station, "policy": policy}
    script: dict[str, str | int] = {} if by_hand else {"episodes": episodes, "authority": authority}
    parts = [
        Part("monitor", common),
        Part("watchdog", common),
        Part("simulated_arm", {**common, "seed": seed, "reality": reality}),
        Part("policy", {**common, "exploration": exploration, "seed": seed}),
        Part("recorder", {**common, "directory": str(directory)}),
        Part("episode", {**common, **script, "exploration": exploration}),
    ]
    # a simulated arm is nobody else's business: Humble knows the one variable, its successors the other
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return _supervise(parts, place, directory, 0 if by_hand else episodes)


def up_real(
    policy: str,
    station: str,
    task: str = "grasp",
    seconds: float = 0.0,
    registry: Path | None = None,
    log: Path | None = None,
) -> int:
    """Deploy a policy at an arm whose driver runs; a person starts episodes and raises the authority.

    Args:
        policy: a bundle's or a training run's directory, or a shipped name.
        station: name or file of the station.
        task: for the marks in the log.
        seconds: time limit of an episode; 0 for 30 s.
        registry: directory of the registry whose promoted bundles alone may run autonomously; the station's
            monitor.registry if not given. Without either, assisted is the most.
        log: directory of the log; a new one in the station's recorder.directory if not given.
    """
    if importlib.util.find_spec("rclpy") is None:
        raise InputError(
            "rclpy is missing: source ROS' setup.bash, in a virtual environment made with "
            "--system-site-packages (docs/deployment.md)"
        )
    place = load_station(station)
    if place.simulated:
        raise InputError(f"station {station!r} is a simulated one; `robolearn up sim` deploys there")
    directory = _log_directory(place, log)
    common = {"station": station, "policy": policy}
    listed = {"registry": str(registry.expanduser().absolute())} if registry is not None else {}
    parts = [
        Part("monitor", {**common, **listed}),
        Part("watchdog", common),
        Part("policy", common),
        Part("recorder", {**common, "directory": str(directory)}),
        Part("episode", {**common, "task": task, "seconds": float(seconds)}),
    ]
    return _supervise(parts, place, directory, 0)


def _log_directory(station: Station, given: Path | None) -> Path:
    if given is not None:
        return given.expanduser()
    return Path(station.recorder.directory).expanduser() / time.strftime(f"{station.name}-%Y%m%d-%H%M%S")


def _supervise(parts: list[Part], station: Station, directory: Path, episodes: int) -> int:
    """Run until the episodes are done, somebody wants to end, or a process dies; 1 after a death."""
    from robolearn.hardware.bringup.listening import Listener

    with _asked_to_end() as asked:
        status = Status(station)
        listener = Listener(status)
        try:
            processes = Processes(parts, directory.with_name(directory.name + "-output"), {})
            try:  # whatever happens from here on, a terminal that is gone included, they end in order
                print(f"what the processes print is in {processes.directory}; the log will be {directory}")
                dead = _show(processes, listener, asked, episodes)
                print("ending: policy first, then the arm comes to rest ...", flush=True)
            finally:
                codes = processes.end()
        finally:
            listener.close()
    for name, code in dead.items():
        print(f"robolearn: {name} ended with status {code}:\n{processes.last_words(name)}", file=sys.stderr)
    print(said(status.successes, status.episodes, directory))
    return 1 if dead or any(codes.values()) else 0


def _show(processes: Processes, listener: object, asked: list[int], episodes: int) -> dict[str, int]:
    """Show how things stand until it is over; the exit statuses of processes that died of themselves."""
    from robolearn.hardware.bringup.keys import keys
    from robolearn.hardware.bringup.listening import ASK, Listener

    assert isinstance(listener, Listener)
    status, console = listener.status, Console()
    terminal = console.is_terminal
    legend = "   ".join(f"[{key}] {what}" for key, (what, *_) in ASK.items()) + "   [Ctrl-C] end"
    told = 0.0
    with keys() as pressed, _live(console, terminal) as live:
        while not asked:
            if dead := processes.dead():
                return dead
            if episodes and status.episodes >= episodes:
                return {}
            for key in pressed():
                if key in ASK:
                    listener.ask(key)
            status.pids = processes.pids()
            if live is not None:
                live.update(screen(status, f"{legend}\n{listener.answer}"), refresh=True)
            elif time.monotonic() - told >= LINE_PERIOD:
                told = time.monotonic()
                print(line(status), flush=True)
            time.sleep(SCREEN_PERIOD)
    return {}


@contextmanager
def _live(console: Console, terminal: bool) -> Iterator[Live | None]:
    if not terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False) as live:
        yield live


@contextmanager
def _asked_to_end() -> Iterator[list[int]]:
    """A list that the signals put their numbers into that ask to end; a lost terminal's is one of them."""
    asked: list[int] = []
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        before[number] = signal.signal(number, lambda number, frame: asked.append(number))
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
