"""What a registry's file says: every promotion and rollback, and what follows from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.hardware.monitor.promoted import FORMAT, HASH_LENGTH, VERSION, standing

KINDS = ("promote", "rollback")

Line = tuple[str, str]
"""A task and an arm: for each, one bundle is promoted, or none."""


@dataclass(frozen=True)
class Event:
    """A promotion or a rollback.

    Attributes:
        kind: one of `KINDS`.
        task, arm: what for.
        bundle: hash of the weights of what is promoted from then on; None: nothing.
        contract: hash of its contract, or None.
        previous: hash of the weights of what was promoted until then; None: nothing.
        gate: hash of the record of the gate that it passed; None: a person overrode it, or it is a rollback.
        by: who did it.
        reason: why, of an override or a rollback; "" where the gate is the reason.
        at: when, UTC.
    """

    kind: str
    task: str
    arm: str
    bundle: str | None
    contract: str | None
    previous: str | None
    gate: str | None
    by: str
    reason: str
    at: str

    def __post_init__(self) -> None:
        choose("kind of event", self.kind, KINDS)
        for key in ("task", "arm", "by", "at"):
            checks.text(f"{key} of an event", getattr(self, key))
        for key in ("bundle", "contract", "previous", "gate"):
            value = getattr(self, key)
            if value is not None and not (isinstance(value, str) and len(value) == HASH_LENGTH):
                raise InputError(f"{key} of an event is {value!r}, and no hash of {HASH_LENGTH} digits")


def text_of(history: tuple[Event, ...]) -> str:
    """The file: what is promoted, for the monitor, and all that led there."""
    data = {
        "format": FORMAT,
        "version": VERSION,
        "promoted": _promoted(history),
        "history": [asdict(event) for event in history],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def history_of(text: bytes) -> tuple[Event, ...]:
    """The inverse of `text_of`.

    Raises:
        InputError: it is no file of a registry, of another version, or was altered.
    """
    data = checks.mapping("it", checks.parse_json("it", text))
    if (kind := (data.get("format"), data.get("version"))) != (FORMAT, VERSION):
        raise InputError(f"it is {kind[0]!r} version {kind[1]!r}; this reads {FORMAT!r} version {VERSION}")
    checks.exact_keys("it", data, ("format", "version", "promoted", "history"))
    names = [f.name for f in fields(Event)]
    entries = enumerate(checks.items("history", data["history"]))
    history = tuple(Event(**checks.exact_keys(f"history[{i}]", entry, names)) for i, entry in entries)
    if data["promoted"] != _promoted(history):
        raise InputError("what it promotes does not follow from its history: somebody altered it")
    return history


def one_line(stacks: Mapping[Line, object], task: str, arm: str) -> Line:
    """The task and arm that are meant, where `task` and `arm` may be "" if that leaves one choice.

    Raises:
        InputError: there is none, or more than one.
    """
    if not stacks:
        raise InputError("nothing is promoted")
    if task:
        choose("promoted task", task, {line[0] for line in stacks})
    if arm:
        choose("arm", arm, {line[1] for line in stacks if task in ("", line[0])})
    lines = [line for line in stacks if task in ("", line[0]) and arm in ("", line[1])]
    if len(lines) > 1:
        listed = ", ".join(f"{a} at {b}" for a, b in sorted(lines))
        raise InputError(f"several are promoted, {listed}: say which with --task and --arm")
    return lines[0]


def _promoted(history: tuple[Event, ...]) -> list[dict[str, Any]]:
    return [
        {"task": task, "arm": arm, "bundle": events[-1].bundle, "contract": events[-1].contract}
        for (task, arm), events in sorted(standing(history).items())
    ]
