"""Where an improvement loop stands: one small file, replaced whole after every phase.

    evaluate  the promoted policy on held-out episodes, of which nothing is learned
    deploy    the promoted policy, and log
    import    the logs into the store
    learn     from the store and from the training simulator: a candidate
    gate      the candidate against the promoted policy
    promote   the candidate, if the gate opened

An iteration is these six; after the last one the policy is evaluated once more. What a phase found is written
under its name when it is over. So what comes next is the first phase that is not there, and a phase that a
kill cut short is gone through again.
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from robolearn import checks
from robolearn.errors import InputError
from robolearn.files import flush_directory, replacing
from robolearn.improving.gate_config import GateConfig
from robolearn.policies.offline.config import OfflineConfig

FORMAT = "robolearn-improvement"
VERSION = 1
"""Version of the file; another one is refused."""

FILE = "loop.json"

PHASES = ("evaluate", "deploy", "import", "learn", "gate", "promote")

Record = dict[str, dict[str, Any]]
"""What the phases of an iteration found, by their names."""


@dataclass(frozen=True)
class LoopConfig:
    """Everything that decides what an improvement loop does, its length aside.

    Attributes:
        start: hash of the weights of the policy that it begins with.
        task, arm: what that is for.
        station: a simulated one.
        reality: name of what the arm is; "" for the training simulator.
        reality_sha256: hash of that file.
        episodes: deployed and learned from in an iteration.
        evaluate: held-out episodes on which each promoted policy is tried; 0: none.
        exploration: how much the policy is pushed while it is deployed.
        prior: episodes of the training simulator that every iteration learns from, too.
        prior_store: a store of such episodes in place of generated ones; "" generates them.
        seed: of everything random.
        control: learn from the training simulator alone, as much as otherwise; nothing is deployed but to be
            evaluated.
        ros: deploy over ROS, in real time.
        method: of offline learning.
        steps: gradient steps in an iteration.
        offline: what all methods share.
        own: the method's own settings.
        gate: how strict it is.
        suite: file of the regression suite that the gate uses, too; None: there is none.
        suite_sha256: hash of what it asks (`suite_hash`).

    Raises:
        InputError: a value that cannot be.
    """

    start: str
    task: str
    arm: str
    station: str
    reality: str
    reality_sha256: str
    episodes: int
    evaluate: int
    exploration: float
    prior: int
    prior_store: str
    seed: int
    control: bool
    ros: bool
    method: str
    steps: int
    offline: OfflineConfig
    own: Any
    gate: GateConfig
    suite: str | None = None
    suite_sha256: str | None = None

    def __post_init__(self) -> None:
        for name in ("episodes", "steps"):
            checks.whole(name, getattr(self, name), 1)
        checks.whole("seed", self.seed, 0)
        for name in ("evaluate", "prior"):
            checks.whole(name, getattr(self, name), 0)
        checks.number("exploration", self.exploration, low=0.0)
        if self.control and not self.evaluate:
            raise InputError("a control logs nothing to learn from, so it needs episodes to evaluate on")
        if self.control and not (self.prior or self.prior_store):
            raise InputError("a control learns from the training simulator alone: it needs prior episodes")

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        plain: dict[str, Any] = checks.json_like("config", asdict(self))
        return plain

    @property
    def phases(self) -> tuple[str, ...]:
        """Of an iteration."""
        left_out = {"deploy", "import"} if self.control else set()
        if not self.evaluate:
            left_out.add("evaluate")
        return tuple(phase for phase in PHASES if phase not in left_out)


class Course:
    """A loop's state, and the right to change it: no two processes improve in one folder.

    Args:
        folder: the loop's.
        config: what it does.
        iterations: how many it is to have.
        command: what a person typed.

    Attributes:
        records: what was found in each iteration so far; the last one may be under way.

    Raises:
        InputError: the folder holds something else, or the loop in it was begun otherwise, or another process
            is at it.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, config: LoopConfig, iterations: int, command: str = "") -> None:
        self.folder, self.config = folder, config
        self.iterations = checks.whole("iterations", iterations, 1)
        _check_place(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        try:
            self.command, self.records = command, list[Record]()
            if (folder / FILE).is_file():
                self._continue(read_state(folder))
            self._write()
        except BaseException:
            self.close()
            raise

    def _continue(self, state: dict[str, Any]) -> None:
        mine, theirs = self.config.to_dict(), state["config"]
        if other := sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)):
            said = ", ".join(f"{key} is {mine.get(key)!r}, was {theirs.get(key)!r}" for key in other)
            raise InputError(
                f"the loop in {self.folder} was begun otherwise: {said}. Only iterations, workers and what "
                "is kept may be given anew"
            )
        self.command, self.records = state["command"], state["iterations"]

    @property
    def next(self) -> tuple[int, str] | None:
        """Iteration and phase that come next; None when all is done."""
        number = max(len(self.records) - 1, 0)
        for phase in self.config.phases:
            if not self.records or phase not in self.records[number]:
                return self._within(number, phase)
        return self._within(number + 1, self.config.phases[0])

    def _within(self, number: int, phase: str) -> tuple[int, str] | None:
        last = number == self.iterations and phase == "evaluate"
        return (number, phase) if number < self.iterations or last else None

    def note(self, number: int, phase: str, facts: dict[str, Any]) -> None:
        """A phase is over; when this returns it is so for good."""
        if number == len(self.records):
            self.records.append({})
        self.records[number][phase] = checks.json_like(phase, facts)
        self._write()

    def _write(self) -> None:
        state = {
            "format": FORMAT,
            "version": VERSION,
            "command": self.command,
            "config": self.config.to_dict(),
            "iterations": self.records,
        }
        with replacing(self.folder / FILE) as temporary:
            temporary.write_text(json.dumps(state, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        flush_directory(self.folder)

    def close(self) -> None:
        """Let others at it."""
        self._lock.close()

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_state(folder: Path) -> dict[str, Any]:
    """What the file of a loop says: command, config and iterations.

    Raises:
        InputError: there is no loop in the folder, or one of another version.
    """
    file = folder / FILE
    try:
        data = checks.mapping(str(file), checks.parse_json(str(file), file.read_bytes()))
    except OSError as error:
        raise InputError(f"there is no improvement loop in {str(folder)!r}: {error.strerror}") from error
    if (kind := (data.get("format"), data.get("version"))) != (FORMAT, VERSION):
        words = f"it is {kind[0]!r} version {kind[1]!r}; this reads {FORMAT!r} version {VERSION}"
        raise InputError(f"{file} cannot be used: {words}")
    return checks.exact_keys(str(file), data, ("format", "version", "command", "config", "iterations"))


def _check_place(folder: Path) -> None:
    """Raise an InputError where a loop would be begun among other things."""
    if (folder / FILE).is_file() or not folder.exists():
        return
    # a control may have been begun before the loop beside which it runs
    strange = not folder.is_dir() or [
        entry.name for entry in folder.iterdir() if entry.name[0] != "." and entry.name != "control"
    ]
    if strange:
        raise InputError(f"{folder} is there already and is no improvement loop: choose another folder")


def _locked(folder: Path) -> IO[str]:
    file = (folder / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(f"another process is improving in {folder}") from None
    return file
