"""The episode: the one record of what happened, which collection, training, evaluation, store and logs speak.

Time runs o[0] a[0] o[1] ... a[T-1] o[T]: an episode of length T has T actions and T + 1 observations. Nothing
that happened is left out: beside the torque sent stands the action asked for, whatever it was.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn import __version__, checks
from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.files import replacing

FORMAT = "robolearn-episode"
VERSION = 1
"""Version of the file; another one is refused."""

Array = NDArray[Any]


class Source(IntEnum):
    """Who chose an action."""

    POLICY = 0
    TEACHER = 1
    OPERATOR = 2
    """A person."""
    MONITOR = 3
    """The safety monitor, holding or stopping the arm."""


TRUNCATED = ("time", "cut")
"""Reasons of an end that is no end of the task: out of time, or the record ends. What would have followed is
unknown, so values go on from the last observation. Any other reason ends the task: success, a failure, and
being stopped by the monitor or by a person: whoever is stopped has failed."""


@dataclass(frozen=True)
class Outcome:
    """How an episode ended. None stands for what was not measured.

    Attributes:
        success: whether the task's predicate held.
        reason: why the episode ended, in a word ("success", "time", "dropped").
        steps: number of actions.
        seconds: duration of the episode [s].
        peak_force: largest force at the wrist, against its value at the start [N]: of contacts, and of the
            inertia and weight of what the hand moves.
        mean_force: mean of the same [N].
        drops: how often an object was dropped.
        jams: how often the work got stuck, pressing.
        interventions: ticks in which the limiter altered the request, by cause; one tick may have several.
        altered_ticks: ticks in which it altered anything.
        ticks: ticks of the limiter.
        jerk: root mean square of the rate at which the torque sent changes [N·m/s].
    """

    success: bool
    reason: str
    steps: int
    seconds: float
    peak_force: float | None = None
    mean_force: float | None = None
    drops: int | None = None
    jams: int | None = None
    interventions: Mapping[str, int] = field(default_factory=dict)
    altered_ticks: int | None = None
    ticks: int | None = None
    jerk: float | None = None

    def __post_init__(self) -> None:
        counts = checks.mapping("outcome interventions", self.interventions)
        checked: dict[str, Any] = {
            "success": checks.flag("outcome success", self.success),
            "reason": checks.text("outcome reason", self.reason),
            "steps": checks.whole("outcome steps", self.steps, 1),
            "seconds": checks.number("outcome seconds", self.seconds, low=0.0),
            "interventions": {k: checks.whole(f"outcome interventions {k}", v, 0) for k, v in counts.items()},
        }
        for name in ("peak_force", "mean_force", "jerk"):
            if (value := getattr(self, name)) is not None:
                checked[name] = checks.number(f"outcome {name}", value, low=0.0)
        for name in ("drops", "jams", "altered_ticks", "ticks"):
            if (value := getattr(self, name)) is not None:
                checked[name] = checks.whole(f"outcome {name}", value, 0)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def terminated(self) -> bool:
        """Whether the task was over; otherwise the episode was only cut off (`TRUNCATED`)."""
        return self.success or self.reason not in TRUNCATED


@functools.cache
def software_versions() -> dict[str, str]:
    """Versions of what makes an episode."""
    versions = {"python": platform.python_version(), "robolearn": __version__, "numpy": np.__version__}
    with contextlib.suppress(metadata.PackageNotFoundError):  # a robot has none
        versions["mujoco"] = metadata.version("mujoco")
    return versions


@dataclass(frozen=True, eq=False)
class Episode:
    """What happened in T steps.

    Attributes:
        contract: what the policy saw and commanded; n joints, a numbers in an action.
        observations: by the names of the contract's cameras and channels, and any others; (T + 1, ...) each.
            Pictures are uint8 (T + 1, height, width, 3), depth is float (T + 1, height, width) [m].
        requested: actions asked for, (T, a). May hold NaN: that is what a policy may ask for.
        filtered: torque that the limiter let through, gravity excluded, (T, n) [N·m].
        sent: torque sent, with the gravity torque where we supply it, (T, n) [N·m].
        stamps: when the observations were taken, increasing, (T + 1,) [s].
        reward: (T,).
        reward_terms: unscaled terms of the reward by name, (T,) each.
        source: who chose each action, one of `Source`, uint8 (T,).
        outcome: how it ended.
        task: name of the task.
        config: the task's configuration, JSON-like.
        seed: of the episode.
        info: sampled values (poses, randomisation, notes), JSON-like.
        expert: the action that the teacher would have chosen at each step, (T, a), or None.
        versions: of the software that made the episode.
    """

    contract: Contract
    observations: dict[str, Array]
    requested: Array
    filtered: Array
    sent: Array
    stamps: Array
    reward: Array
    reward_terms: dict[str, Array]
    source: Array
    outcome: Outcome
    task: str
    config: dict[str, Any]
    seed: int
    info: dict[str, Any]
    expert: Array | None = None
    versions: dict[str, str] = field(default_factory=lambda: dict(software_versions()))

    def __post_init__(self) -> None:
        for name in ("config", "info", "versions"):
            object.__setattr__(self, name, checks.json_like(name, checks.mapping(name, getattr(self, name))))
        object.__setattr__(self, "seed", checks.whole("seed", self.seed, 0))
        checks.text("task", self.task)

    def __len__(self) -> int:
        return len(self.requested)

    def arrays(self) -> dict[str, Array]:
        """Every array by its name in the file: "requested", "observations/front", "reward_terms/reach"."""
        result = {name: getattr(self, name) for name in _PLAIN}
        if self.expert is not None:
            result["expert"] = self.expert
        for group in _GROUPS:
            for name, array in getattr(self, group).items():
                result[f"{group}/{name}"] = array
        return result

    def validate(self) -> None:
        """Check every array against the contract and against the length of the episode.

        Raises:
            InputError: names the array, its dtype and shape, and what they must be.
        """
        arrays = self.arrays()
        for name, array in arrays.items():
            if not _NAME.fullmatch(name.partition("/")[2] or name):
                raise InputError(f"{name!r} is no name for an array; use letters, digits, '_' and '-'")
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
                found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise InputError(f"{name} is of type {found}; it must be an array of numbers")
        steps = self.requested.shape[0] if self.requested.ndim else 0
        if steps == 0:
            raise InputError("the episode has no steps; requested must have shape (T, ...) with T from 1 up")

        n, a = len(self.contract.joints), self.contract.action.length
        expected: dict[str, tuple[str, tuple[int, ...]]] = {
            "requested": ("float", (steps, a)),
            "filtered": ("float", (steps, n)),
            "sent": ("float", (steps, n)),
            "expert": ("float", (steps, a)),
            "stamps": ("float64", (steps + 1,)),
            "reward": ("float", (steps,)),
            "source": ("uint8", (steps,)),
        }
        for camera in self.contract.cameras:
            size = (steps + 1, camera.height, camera.width)
            rgb = camera.encoding == "rgb8"
            expected[f"observations/{camera.name}"] = ("uint8", (*size, 3)) if rgb else ("float", size)
        for channel in self.contract.proprioception:
            expected[f"observations/{channel.name}"] = ("float", (steps + 1, channel.size))
        for name, array in arrays.items():
            if name.startswith("reward_terms/"):
                kind, shape = "float", (steps,)
            else:
                kind, shape = expected.get(name, ("", (steps + 1, *array.shape[1:])))
            fits = array.dtype.kind == "f" if kind == "float" else kind in ("", array.dtype.name)
            if array.shape != shape or not fits:
                raise InputError(
                    f"{name} is {array.dtype} of shape {array.shape}; "
                    f"in an episode of {steps} steps it must be {kind or 'an array'} of shape {shape}"
                )
            # What was asked for and what was seen may be anything; what was done, and its reward, may not.
            if not name.startswith("observations/") and name != "requested" and not np.isfinite(array).all():
                raise InputError(f"{name} holds NaN or infinity at step {_first_step(~np.isfinite(array))}")
        if not (np.diff(self.stamps) > 0.0).all():
            step = _first_step(np.diff(self.stamps) <= 0.0)
            raise InputError(f"stamps do not increase from observation {step} to {step + 1}")
        if self.source.max() > max(Source):
            choices = ", ".join(f"{source.value} ({source.name.lower()})" for source in Source)
            raise InputError(f"source holds {self.source.max()}; choose from {choices}")
        if self.outcome.steps != steps:
            raise InputError(f"outcome says {self.outcome.steps} steps; requested has {steps}")

    def header(self) -> str:
        """All that is no array, and every array's dtype and shape, as JSON; `assemble` reads it."""
        header = {
            "format": FORMAT,
            "version": VERSION,
            "contract": self.contract.to_dict(),
            "contract_hash": self.contract.hash,
            "outcome": asdict(self.outcome),
            **{name: getattr(self, name) for name in _HEADER},
            "arrays": {name: [array.dtype.str, list(array.shape)] for name, array in self.arrays().items()},
        }
        return json.dumps(header, allow_nan=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the episode to an .npz file, all of it or, whatever happens, nothing.

        Raises:
            InputError: the episode is not valid, or the name does not end in .npz.
            OSError: the file cannot be written; one that was there before is untouched.
        """
        path = _npz(path)
        self.validate()
        arrays = self.arrays()
        arrays["header"] = np.frombuffer(self.header().encode(), np.uint8)
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]  # uncompressed: pictures do not shrink much

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Episode:
        """Read what `save` wrote.

        Raises:
            InputError: there is no such file, it is damaged, or its parts do not belong together.
        """
        path = _npz(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            raw = arrays.pop("header").tobytes()
        except FileNotFoundError as error:
            raise InputError(f"there is no episode {path}") from error
        except Exception as error:  # a damaged zip archive raises whatever its bytes lead to
            raise InputError(f"{path} is no episode file, or it is damaged: {error}") from error
        try:
            return cls.assemble(raw, arrays)
        except InputError as error:
            raise InputError(f"{path} is no valid episode: {error}") from error

    @classmethod
    def assemble(cls, header: str | bytes, arrays: Mapping[str, Array]) -> Episode:
        """The episode of what `header` and `arrays` gave.

        Raises:
            InputError: they do not belong together, are of another version, or make no valid episode.
        """
        told = checks.mapping("header", checks.parse_json("header", header))
        if (kind := (told.get("format"), told.get("version"))) != (FORMAT, VERSION):
            raise InputError(
                f"it is {kind[0]!r} version {kind[1]!r}; this reads {FORMAT!r} version {VERSION}"
            )
        keys = {"format", "version", "contract", "contract_hash", "outcome", "arrays", *_HEADER}
        told = checks.exact_keys("header", told, keys)
        contract = Contract.from_dict(told["contract"])
        if told["contract_hash"] != contract.hash:
            raise InputError(f"its contract has hash {contract.hash}, not {told['contract_hash']}")
        found = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
        if found != told["arrays"]:
            raise InputError(f"it holds the arrays {found}; its header says {told['arrays']}")
        outcome = checks.exact_keys("outcome", told["outcome"], {f.name for f in fields(Outcome)})
        if missing := [name for name in _PLAIN if name not in arrays]:
            raise InputError(f"it lacks the arrays {', '.join(missing)}")
        parts: dict[str, Any] = {group: {} for group in _GROUPS}
        for name, array in arrays.items():
            group, _, key = name.partition("/")
            if key and group in _GROUPS:
                parts[group][key] = array
            elif name in (*_PLAIN, "expert"):
                parts[name] = array
            else:
                raise InputError(f"it holds an unknown array {name!r}")
        kept = {name: told[name] for name in _HEADER}
        episode = cls(contract=contract, outcome=Outcome(**outcome), **parts, **kept)
        episode.validate()
        return episode


_PLAIN = ("requested", "filtered", "sent", "stamps", "reward", "source")
_GROUPS = ("observations", "reward_terms")
_HEADER = ("task", "config", "seed", "info", "versions")
_NAME = re.compile(r"[\w-]+")


def _npz(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"an episode's file ends in .npz; {str(path)!r} does not")
    return path


def _first_step(bad: Array) -> int:
    return int(np.argwhere(bad)[0][0])
