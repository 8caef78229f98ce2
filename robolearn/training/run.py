"""A run's directory: what a training leaves, and what it needs to go on after a kill.

    config.json      what is trained and how (`TrainConfig`), the command and the versions
    metrics.jsonl    one JSON object a line, every few seconds (`docs/training.md` explains each key)
    events.out.*     the same for TensorBoard
    checkpoint.pt    network, average, best so far, optimiser, counters, random numbers, clock
    episodes/        the episodes that the replay holds; deleted when the run has finished
    snapshots/       the policies that collect at the moment; deleted when the run ends
    bundle/          the trained policy
    evaluation.json, report.html

What is no log is replaced as a whole, so that a reader never finds half of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol, TypeVar

import torch

from robolearn import checks
from robolearn.data.episode import software_versions
from robolearn.envs.tasks import task_class
from robolearn.errors import InputError
from robolearn.files import replacing
from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.configuration import differing, read_changes
from robolearn.training.scribe import Scribe

FORMAT = "robolearn-run"
VERSION = 1
"""Version of the directory; another one is refused."""


class RunConfig(Protocol):
    """Everything that is asked of a run, of whatever kind: a dataclass.

    Attributes:
        KIND: names the kind in config.json.
        KEPT: fields that a run which is taken up again keeps.
    """

    KIND: ClassVar[str]
    KEPT: ClassVar[tuple[str, ...]]

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-like."""

    @classmethod
    def from_dict(cls, value: object) -> Any:
        """The inverse of `to_dict`; raises InputError for anything else."""


Config = TypeVar("Config", bound=RunConfig)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that is asked of a training with a teacher.

    Attributes:
        task: name of the task.
        changes: fields of the task's configuration that differ from its defaults, in their plain form.
        learning: how the policy learns from the teacher.
        network: size of the policy.
        minutes: wall time, from the start of the process until learning stops [min].
        seed: of the network, of the episodes and of the batches.
        device: "auto" (a GPU where torch sees one), "cpu", "cuda".
        collectors: processes that simulate.
        evaluate: held-out episodes at the end; none if 0.
    """

    KIND: ClassVar[str] = "guided"
    KEPT: ClassVar[tuple[str, ...]] = ("task", "changes", "learning", "network", "seed")

    task: str
    changes: dict[str, Any]
    learning: GuidedConfig
    network: VisuomotorConfig
    minutes: float
    seed: int = 0
    device: str = "auto"
    collectors: int = 1
    evaluate: int = 0

    def __post_init__(self) -> None:
        # in their plain form, whoever wrote them: "1mm" and 0.001 are one configuration
        asked = task_class(self.task).config_type(**read_changes(self.task, self.changes))
        object.__setattr__(self, "changes", differing(asked))
        checks.number("minutes", self.minutes, above=0.0)
        checks.whole("seed", self.seed, 0)
        checks.whole("collectors", self.collectors, 1)
        checks.whole("evaluate", self.evaluate, 0)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "changes": checks.json_like("changes", self.changes)}

    @classmethod
    def from_dict(cls, value: object) -> TrainConfig:
        """Read what `to_dict` gave; raises InputError for anything else."""
        entries = checks.exact_keys("config", value, [f.name for f in fields(cls)])
        checks.text("task", entries["task"])
        checks.mapping("changes", entries["changes"])
        for name, kind in (("learning", GuidedConfig), ("network", VisuomotorConfig)):
            parts = checks.exact_keys(name, entries[name], [f.name for f in fields(kind)])
            build: Any = kind
            entries[name] = build(**{k: tuple(v) if isinstance(v, list) else v for k, v in parts.items()})
        return cls(**entries)


@dataclass(frozen=True)
class ModularTrainConfig(TrainConfig):
    """The same, asked of the modular rival: a detector learns in place of a policy, from like episodes."""

    KIND: ClassVar[str] = "modular"


class Run:
    """An open run's directory. No two processes train in one.

    Args:
        path: the directory.
        lock: file that is locked as long as the run is open.
        command: what began it.
    """

    def __init__(self, path: Path, lock: IO[str], command: str) -> None:
        self.path, self._lock, self.command = path, lock, command
        self.bundle = path / "bundle"
        self.checkpoint = path / "checkpoint.pt"
        self.metrics = path / "metrics.jsonl"
        self.episodes = path / "episodes"
        self.snapshots = path / "snapshots"

    @classmethod
    def create(cls, path: Path, config: RunConfig, command: str = "") -> Run:
        """Make the directory of a new run.

        Raises:
            InputError: there is something at `path` already, or it cannot be made.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            hint = f", or go on with it by --resume {path}" if (path / "config.json").is_file() else ""
            raise InputError(f"the run directory {path} is there already: choose another one{hint}")
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path, _lock(path), command)
            run._write_head(
                config,
                command=command,
                started=time.strftime("%Y-%m-%d %H:%M:%S %z"),
                versions={**software_versions(), "torch": torch.__version__},
            )
        except OSError as error:
            raise InputError(f"the run directory {path} cannot be made: {error.strerror}") from error
        return run

    @classmethod
    def reopen(cls, path: Path, config: RunConfig, command: str = "") -> Run:
        """Open the directory of a run that was begun before, to go on with it.

        Raises:
            InputError: it is none, it is damaged, another process is training in it, or it was begun with
                another task, learning, network or seed.
        """
        saved = read_config(path, type(config))
        names = [f.name for f in fields(config)]  # type: ignore[arg-type]
        if other := [name for name in config.KEPT if getattr(config, name) != getattr(saved, name)]:
            free = [name for name in names if name not in config.KEPT]
            raise InputError(
                f"the run {path} keeps its configuration, but {', '.join(other)} would change: "
                f"only {', '.join(free[:-1])} and {free[-1]} may be given anew"
            )
        head = json.loads((path / "config.json").read_bytes())
        run = cls(path, _lock(path), str(head.get("command", "")))
        run.tidy(finished=False)
        with contextlib.suppress(OSError):  # on a full disk the file stays as it was
            known = {name: head[name] for name in ("command", "started", "versions") if name in head}
            run._write_head(config, **known, resumed=[*head.get("resumed", []), command])
        return run

    def _write_head(self, config: RunConfig, **more: Any) -> None:
        head = {"format": FORMAT, "version": VERSION, "kind": config.KIND, **config.to_dict(), **more}
        with replacing(self.path / "config.json") as temporary:
            temporary.write_text(json.dumps(head, indent=2) + "\n")

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.close()

    def tidy(self, finished: bool) -> None:
        """Delete what a kill left half written, the snapshots, and the episodes if the run has finished."""
        for folder in (self.snapshots, self.episodes) if finished else (self.snapshots,):
            shutil.rmtree(folder, ignore_errors=True)
        for stray in [*self.path.glob("." + 32 * "[0-9a-f]" + ".*"), *self.episodes.glob(".*")]:
            stray.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the directory: nothing came of the run."""
        shutil.rmtree(self.path, ignore_errors=True)

    def append_metrics(self, entry: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl, the whole of it or nothing."""
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        with self.metrics.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(end)
                raise

    def last_seconds(self) -> float:
        """The clock in the last line of metrics.jsonl, 0 if there is none [s]."""
        lines = self.metrics.read_bytes().splitlines() if self.metrics.is_file() else []
        for line in reversed(lines):
            with contextlib.suppress(ValueError, TypeError, KeyError):  # a kill may have cut it off
                return float(json.loads(line)["seconds"])
        return 0.0

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Write the checkpoint; the one before stays whole until the new one is, or if OSError is raised."""
        # torch's own writer does not say of a full disk that it is an OSError
        whole = io.BytesIO()
        torch.save(state, whole)
        with replacing(self.checkpoint) as temporary:
            temporary.write_bytes(whole.getbuffer())

    def save_later(self, scribe: Scribe, state: dict[str, Any]) -> None:
        """Write the checkpoint in the background."""
        scribe.write("checkpoints", lambda: self.save_checkpoint(state))

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The latest checkpoint; None if the run was killed before its first.

        Raises:
            InputError: it is damaged.
        """
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged file raises whatever its bytes lead to
            raise InputError(f"{self.checkpoint} is damaged: {str(error).splitlines()[0]}") from error
        return checks.mapping(str(self.checkpoint), state)


def read_config(path: Path, kind: type[Config]) -> Config:
    """The configuration of a run of a kind; raises InputError where there is none."""
    file = path / "config.json"
    head = _read_head(path)
    try:
        if (found := head.get("kind", TrainConfig.KIND)) != kind.KIND:
            raise InputError(f"it is a run of the kind {found!r}, not {kind.KIND!r}")
        names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
        config: Config = kind.from_dict({name: head.get(name) for name in names})
    except InputError as error:
        raise InputError(f"{file} cannot be used: {error}") from error
    return config


def kind_of(path: Path) -> str:
    """Of which kind a run is; raises InputError where there is none."""
    return str(_read_head(path).get("kind", TrainConfig.KIND))


def _read_head(path: Path) -> dict[str, Any]:
    file = path / "config.json"
    try:
        head = checks.mapping("config.json", checks.parse_json("config.json", file.read_bytes()))
    except FileNotFoundError:
        raise InputError(f"{path} is no run: there is no config.json in it") from None
    except NotADirectoryError:
        raise InputError(f"{path} is no run, it is a file: give the run's directory") from None
    if (found := (head.get("format"), head.get("version"))) != (FORMAT, VERSION):
        wrong = f"it is {found[0]!r} version {found[1]!r}, not {FORMAT!r} version {VERSION}"
        raise InputError(f"{file} cannot be used: {wrong}")
    return head


def _lock(path: Path) -> IO[str]:
    file = (path / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(f"another process is training in {path}") from None
    return file
