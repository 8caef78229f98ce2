"""The promoted bundles, as the monitor reads them itself: only these may run autonomously.

A registry (`robolearn.improving.registry`) is a directory with one file, `registry.json`, that says what is
promoted now, and every promotion and rollback that led there. It is replaced whole, so that a reader finds
the old one or the new one. What is promoted must follow from that history: a line that somebody typed in
promotes nothing. This module uses the standard library only.

What a policy announces is its own word, and who can write the file can write its history. So this keeps away
what was started or altered by mistake, never what lies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol, TypeVar

from robolearn.errors import InputError
from robolearn.hardware.station import Station

FILE = "registry.json"
FORMAT = "robolearn-registry"
VERSION = 1
"""Version of the file; another one is refused."""

HASH_LENGTH = 64


class Change(Protocol):
    """A promotion or a rollback, as far as it decides what is promoted."""

    @property
    def kind(self) -> str:
        """The word promote or rollback."""

    @property
    def task(self) -> str:
        """What for."""

    @property
    def arm(self) -> str:
        """And for which arm."""

    @property
    def bundle(self) -> str | None:
        """Hash of the weights of what is promoted from then on; None: nothing."""

    @property
    def previous(self) -> str | None:
        """The same of what was until then."""


SomeChange = TypeVar("SomeChange", bound=Change)


class PromotedBundles:
    """Tells whether a bundle may run autonomously: `allowed(bundle, contract)`, for `Monitor`.

    Asking only looks things up. `refresh` looks at the file, and is called where reading one does no harm.
    Whenever the file cannot be read, nothing is promoted.

    Args:
        directory: the registry's.

    Attributes:
        path: the file.
        trouble: why it cannot be read; "" if it can.

    Raises:
        InputError: there is no such file now, or it is none of a registry.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self.trouble = ""
        self._allowed: frozenset[tuple[str, str]] = frozenset()
        self._seen: tuple[int, int, int] | None = None
        self.refresh()
        if self.trouble:
            raise InputError(f"monitor.registry is {str(directory)!r}: {self.trouble}")

    def __call__(self, bundle: str, contract: str) -> bool:
        """Whether weights of hash `bundle` under a contract of hash `contract` are promoted."""
        return (bundle, contract) in self._allowed

    def refresh(self) -> None:
        """Read the file if it is another one than before."""
        try:
            about = os.stat(self.path)
            seen = (about.st_ino, about.st_mtime_ns, about.st_size)
            if seen == self._seen and not self.trouble:
                return
            self._allowed, self._seen, self.trouble = promoted(self.path.read_bytes()), seen, ""
        except OSError as error:
            self._allowed, self.trouble = frozenset(), f"{self.path} cannot be read: {error.strerror}"
        except InputError as error:
            self._allowed, self.trouble = frozenset(), f"{self.path} {error}"


def standing(history: Iterable[SomeChange]) -> dict[tuple[str, str], list[SomeChange]]:
    """By task and arm, the promotions that were not rolled back; what the last one promoted is in force.

    Raises:
        InputError: a change does not follow from those before it.
    """
    stacks: dict[tuple[str, str], list[SomeChange]] = {}
    for number, change in enumerate(history):
        stack = stacks.setdefault((change.task, change.arm), [])
        before = stack[-1].bundle if stack else None
        if change.kind == "promote":
            stack.append(change)
        elif stack:
            stack.pop()
        else:
            raise InputError(f"history[{number}] rolls back where nothing is promoted")
        after = stack[-1].bundle if stack else None
        if (change.previous, change.bundle) != (before, after):
            raise InputError(f"history[{number}] does not follow from what was before it")
    return {line: changes for line, changes in stacks.items() if changes}


def promoted(text: bytes) -> frozenset[tuple[str, str]]:
    """Hashes of the weights and of the contract of every promoted bundle, from what `registry.json` says.

    Raises:
        InputError: that is no registry of this version, or what it promotes does not follow from its history.
    """
    keys = ("task", "arm", "bundle", "contract")
    try:
        data = json.loads(text)
        kind = data["format"], data["version"]
        if kind == (FORMAT, VERSION):
            said = {tuple(entry[key] for key in keys) for entry in data["promoted"]}
            lines = standing(SimpleNamespace(**change) for change in data["history"]).values()
            follows = {tuple(getattr(changes[-1], key) for key in keys) for changes in lines}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"is no registry: {type(error).__name__}: {error}") from error
    except InputError as error:
        raise InputError(f"is no registry: {error}") from error
    if kind != (FORMAT, VERSION):
        raise InputError(f"is {kind[0]!r} version {kind[1]!r}; this reads {FORMAT!r} version {VERSION}")
    if said != follows:
        raise InputError("promotes what does not follow from its history: somebody altered it")
    for *_, bundle, contract in said:
        for value in (bundle, contract):
            if not (isinstance(value, str) and len(value) == HASH_LENGTH):
                raise InputError(f"promotes {value!r}; that is no hash of {HASH_LENGTH} digits")
    return frozenset((bundle, contract) for *_, bundle, contract in said)


def promoted_bundles(station: Station) -> PromotedBundles | None:
    """What the registry of a station promotes; None where it names none.

    Raises:
        InputError: there is no such registry.
    """
    where = station.monitor.registry
    return PromotedBundles(station.path.parent / Path(where).expanduser()) if where else None
