"""What a gate found, with the hashes of all that it judged and judged by: the only thing that promotes."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

import robolearn
from robolearn import checks
from robolearn.data.episode import software_versions
from robolearn.errors import InputError, choose

FORMAT = "robolearn-gate"
VERSION = 1
"""Version of the file; another one is refused."""

VERDICTS = ("passed", "failed", "not judged")


@dataclass(frozen=True)
class Check:
    """One of the things that a gate looks at.

    Attributes:
        name: of the check.
        verdict: one of `VERDICTS`; "not judged": what it needs is not there.
        required: whether the gate stays shut unless this one is passed.
        reason: a sentence for people: what was found and what it was held against.
        figures: what was measured, JSON-like.
    """

    name: str
    verdict: str
    required: bool
    reason: str
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks.text("name of a check", self.name)
        choose(f"verdict of {self.name}", self.verdict, VERDICTS)
        checks.flag(f"required of {self.name}", self.required)
        checks.text(f"reason of {self.name}", self.reason)
        figures = checks.json_like(f"figures of {self.name}", self.figures)
        object.__setattr__(self, "figures", figures)

    @property
    def shuts(self) -> bool:
        """Whether the gate stays shut for this."""
        return self.verdict == "failed" or (self.required and self.verdict != "passed")


@dataclass(frozen=True)
class GateRecord:
    """The record of one gate.

    Attributes:
        bundle: hash of the weights that were judged.
        contract: hash of their contract.
        task, arm: what they are for.
        incumbent: hash of the weights that they were held against; None: there were none.
        data: hash of the logged episodes that were used; None: there were none.
        code: `code_version()` of whoever judged.
        config: the gate's configuration, JSON-like.
        checks: what was looked at.
        at: when, UTC.
    """

    bundle: str
    contract: str
    task: str
    arm: str
    incumbent: str | None
    data: str | None
    code: dict[str, str]
    config: dict[str, Any]
    checks: tuple[Check, ...]
    at: str

    @property
    def passed(self) -> bool:
        """Whether the gate opens: no check failed, and none that is required was left unjudged."""
        return not any(check.shuts for check in self.checks)

    @property
    def text(self) -> bytes:
        """The record as JSON."""
        data = {"format": FORMAT, "version": VERSION, "passed": self.passed, **_plain(self)}
        return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @property
    def hash(self) -> str:
        """SHA-256 of the text, in hex: the record's name."""
        return hashlib.sha256(self.text).hexdigest()

    @classmethod
    def from_text(cls, text: bytes) -> GateRecord:
        """The inverse of `text`.

        Raises:
            InputError: it is no record of this version, or says it is passed where its checks are not.
        """
        data = checks.mapping("the record", checks.parse_json("the record", text))
        if (kind := (data.pop("format", None), data.pop("version", None))) != (FORMAT, VERSION):
            raise InputError(
                f"it is {kind[0]!r} version {kind[1]!r}; this reads {FORMAT!r} version {VERSION}"
            )
        passed = data.pop("passed", None)
        data = checks.exact_keys("the record", data, [f.name for f in fields(cls)])
        names = [f.name for f in fields(Check)]
        entries = enumerate(checks.items("checks", data["checks"]))
        data["checks"] = tuple(Check(**checks.exact_keys(f"checks[{i}]", e, names)) for i, e in entries)
        record = cls(**data)
        if passed is not record.passed:
            raise InputError(f"it says passed: {passed}, and its checks say {record.passed}")
        return record


def code_version() -> dict[str, str]:
    """Versions of what judges, and the hash of this package's own sources."""
    return {**software_versions(), "torch": torch.__version__, "sources": _sources()}


@functools.cache
def _sources() -> str:
    digest = hashlib.sha256()
    package = Path(robolearn.__file__).parent
    for file in sorted(package.rglob("*")):
        if file.suffix in (".py", ".yaml"):
            digest.update(f"{file.relative_to(package).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _plain(record: GateRecord) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = checks.json_like("record", record)
    return plain
