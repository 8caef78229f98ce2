"""The promoted bundles, as the monitor reads them itself: only these may run autonomously.

A registry (`robolearn.improving.registry`) is a directory with one file, `registry.json`, that says what is
promoted now. It is replaced whole, so that a reader finds the old one or the new one. This module uses the
standard library only.

What a policy announces is its own word. So this keeps away what was started by mistake, never what lies.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from robolearn.errors import InputError
from robolearn.hardware.station import Station

FILE = "registry.json"
FORMAT = "robolearn-registry"
VERSION = 1
"""Version of the file; another one is refused."""

HASH_LENGTH = 64


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


def promoted(text: bytes) -> frozenset[tuple[str, str]]:
    """Hashes of the weights and of the contract of every promoted bundle, from what `registry.json` says.

    Raises:
        InputError: that is no registry of this version.
    """
    try:
        data = json.loads(text)
        kind = data["format"], data["version"]
        entries = [(entry["bundle"], entry["contract"]) for entry in data["promoted"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"is no registry: {type(error).__name__}: {error}") from error
    if kind != (FORMAT, VERSION):
        raise InputError(f"is {kind[0]!r} version {kind[1]!r}; this reads {FORMAT!r} version {VERSION}")
    for entry in entries:
        for value in entry:
            if not (isinstance(value, str) and len(value) == HASH_LENGTH):
                raise InputError(f"promotes {value!r}; that is no hash of {HASH_LENGTH} digits")
    return frozenset(entries)


def promoted_bundles(station: Station) -> PromotedBundles | None:
    """What the registry of a station promotes; None where it names none.

    Raises:
        InputError: there is no such registry.
    """
    where = station.monitor.registry
    return PromotedBundles(station.path.parent / Path(where).expanduser()) if where else None
