"""The registry: policies by their hash, and which of them are promoted, that is, may act autonomously.

    registry.json            what is promoted now, and every promotion and rollback that led there
    bundles/HASH/            bundles; HASH is that of their weights, which is what a policy announces
    gates/HASH.json          records of gates, by the hash of their own text
    gate.json                what a gate must have been like for its record to promote; never altered

For each task and arm one bundle is promoted at a time, or none. Bundles and records are put in their place
whole and never altered. Everything that changes is the one file `registry.json`, which is replaced whole: a
kill at any moment leaves the state before or the state after. The safety monitor reads that file
(`robolearn.hardware.monitor.promoted`).
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import datetime, timezone
from pathlib import Path

from robolearn import checks
from robolearn.errors import InputError
from robolearn.files import flush_directory, replacing
from robolearn.hardware.monitor.promoted import FILE, standing
from robolearn.improving.gate_config import GateConfig, shortfalls
from robolearn.improving.gate_record import GateRecord
from robolearn.improving.registry_history import Event, Line, history_of, one_line, text_of
from robolearn.policies.bundle import Bundle, load_bundle

GATE = "gate.json"

SHORTEST = 6
"""Digits of a hash that a person must type at least."""


class Registry:
    """A registry's directory.

    Args:
        path: the directory.

    Attributes:
        history: every promotion and rollback, oldest first.
        gate: what a gate must have been like for its record to promote.
        suite: hash of the regression suite that it must have used; None: any, or none.

    Raises:
        InputError: there is none, or its file is damaged, altered or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history: tuple[Event, ...] = ()
        self.reload()
        self.gate, self.suite = _read_gate(path / GATE)

    @classmethod
    def create(cls, path: Path, gate: GateConfig | None = None, suite: str | None = None) -> Registry:
        """Open a registry; one that is not there is made.

        Args:
            path: the directory.
            gate: what a gate must have been like for its record to promote; the default if None. One that is
                there keeps its own.
            suite: hash of the regression suite that it must have used (`suite_hash`); None: any, or none.

        Raises:
            InputError: what opening raises, or there is something else in its place.
            OSError: it cannot be written.
        """
        if not (path / FILE).exists():
            if path.exists() and not path.is_dir():
                raise InputError(f"{path} is no directory: choose another place for the registry")
            names = {entry.name for entry in path.iterdir()} if path.exists() else set()
            # what a kill leaves while a registry is being made is no obstacle
            if strange := sorted(name for name in names - {"bundles", "gates", GATE} if name[0] != "."):
                raise InputError(f"{path} holds {', '.join(strange[:3])} and is no registry")
            for folder in (path / "bundles", path / "gates"):
                folder.mkdir(parents=True, exist_ok=True)
            with _locked(path):
                if not (path / FILE).exists():
                    _write_gate(path / GATE, gate or GateConfig(), suite)
                    _write(path, ())
        return cls(path)

    def reload(self) -> None:
        """Read the file anew.

        Raises:
            InputError: it cannot be used.
        """
        file = self.path / FILE
        try:
            self.history = history_of(file.read_bytes())
        except OSError as error:
            raise InputError(f"there is no registry in {str(self.path)!r}: {error.strerror}") from error
        except InputError as error:
            raise InputError(f"{file}: {error}") from error

    # --- bundles ------------------------------------------------------------------------------------------

    def add(self, bundle: str | os.PathLike[str]) -> str:
        """Copy a bundle into the registry; returns its hash. One that is there already stays as it is.

        Raises:
            InputError: it is no bundle, or its weights are there under another contract, task or network.
            OSError: it cannot be written; the registry is as before.
        """
        given = load_bundle(bundle)
        assert given.path is not None
        place = self.path / "bundles" / given.weights_hash
        with _locked(self.path):
            for left in place.parent.glob(".*.tmp"):  # of a writer that was killed
                shutil.rmtree(left)
            if place.exists():
                there = load_bundle(place)
                if identity(there) != identity(given):
                    raise InputError(
                        f"bundle {given.path} has the very weights of {place}, but another contract, task or "
                        "network: one of the two is not what it says"
                    )
                return given.weights_hash
            temporary = place.with_name(f".{uuid.uuid4().hex}.tmp")
            try:
                shutil.copytree(given.path, temporary)
                if load_bundle(temporary).weights_hash != given.weights_hash:
                    raise InputError(f"bundle {given.path} changed while it was copied: try again")
                for file in temporary.iterdir():
                    _flush(file)
                flush_directory(temporary)
                temporary.rename(place)
                flush_directory(place.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return given.weights_hash

    def bundles(self) -> tuple[str, ...]:
        """Hashes of all bundles."""
        names = (entry.name for entry in (self.path / "bundles").iterdir())
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def find(self, digits: str) -> str:
        """The hash that begins with `digits`.

        Raises:
            InputError: no bundle's does, more than one does, or they are too few.
        """
        if len(digits) < SHORTEST:
            raise InputError(f"{digits!r} is too short: give at least {SHORTEST} digits of a bundle's hash")
        known = self.bundles()
        found = [name for name in known if name.startswith(digits)]
        if len(found) > 1:
            raise InputError(f"{digits!r} begins {len(found)} hashes: give more digits")
        if not found:
            listed = ", ".join(name[:12] for name in known) or "none"
            raise InputError(f"the registry {self.path} has no bundle {digits!r}; it has {listed}")
        return found[0]

    def load(self, digits: str) -> Bundle:
        """Read a bundle of the registry and check it.

        Raises:
            InputError: as `find` and `load_bundle`, or the bundle is not that of its name.
        """
        name = self.find(digits)
        bundle = load_bundle(self.path / "bundles" / name)
        if bundle.weights_hash != name:
            raise InputError(f"bundle {bundle.path} holds weights of hash {bundle.weights_hash}")
        return bundle

    # --- gates --------------------------------------------------------------------------------------------

    def keep(self, record: GateRecord) -> Path:
        """Keep the record of a gate; returns its file.

        Raises:
            OSError: it cannot be written.
        """
        place = self.path / "gates" / f"{record.hash}.json"
        with replacing(place) as temporary:
            temporary.write_bytes(record.text)
        flush_directory(place.parent)
        return place

    def records(self, bundle: str) -> dict[str, GateRecord]:
        """Records of the gates that a bundle went through, by their hash, oldest first.

        Raises:
            InputError: a record was altered, or is of another version.
        """
        found = {}
        for file in (self.path / "gates").glob("*.json"):
            if file.name.startswith("."):  # of a writer that was killed
                continue
            text = file.read_bytes()
            if (digest := hashlib.sha256(text).hexdigest()) != file.stem:
                raise InputError(f"{file} was altered: its hash is {digest}")
            try:
                record = GateRecord.from_text(text)
            except InputError as error:
                raise InputError(f"{file}: {error}") from error
            if record.bundle == bundle:
                found[file.stem] = record
        return dict(sorted(found.items(), key=lambda item: (item[1].at, item[0])))

    # --- promotion ----------------------------------------------------------------------------------------

    def promoted(self) -> dict[Line, Event]:
        """By task and arm, the promotion that is in force."""
        return {line: events[-1] for line, events in standing(self.history).items()}

    def incumbent(self, task: str, arm: str) -> str | None:
        """Hash of what is promoted for a task and an arm; None if nothing is."""
        event = self.promoted().get((task, arm))
        return None if event is None else event.bundle

    def promote(self, digits: str, *, override: str = "", reason: str = "") -> Event:
        """From now on this bundle is the one that may run autonomously at its task and arm.

        It takes the record of a gate that this very bundle passed against what is promoted now, that was no
        laxer than this registry asks and that promoted nothing before, or else the name of a person who
        answers for it, and a reason.

        Args:
            digits: the beginning of the bundle's hash.
            override: the person's name.
            reason: of the override.

        Raises:
            InputError: no such bundle, it is promoted already, no such record and nobody's override, or an
                override without a reason.
            OSError: it cannot be written; everything is as before.
        """
        bundle = self.load(digits)
        task, arm = bundle.task, bundle.contract.arm
        if override:
            checks.text("reason of the override", reason)
        elif reason:
            raise InputError("a reason is given, but nobody's name: --override NAME says who answers for it")
        with self._changing():
            before = self.incumbent(task, arm)
            if before == bundle.weights_hash:
                raise InputError(f"{before[:12]} is promoted already for {task} at arm {arm}")
            return self._append(
                Event(
                    kind="promote",
                    task=task,
                    arm=arm,
                    bundle=bundle.weights_hash,
                    contract=bundle.contract.hash,
                    previous=before,
                    gate=None if override else self._passed(bundle, before),
                    by=override or getpass.getuser(),
                    reason=reason,
                    at=now(),
                )
            )

    def rollback(self, task: str = "", arm: str = "", *, by: str = "", reason: str = "") -> Event:
        """Promote again what was promoted before; if there was nothing, then nothing is promoted.

        Args:
            task, arm: whose; may be left out where that leaves one choice.
            by: who does it; the name of the system's user if empty.
            reason: why.

        Raises:
            InputError: nothing is promoted, or it is not said for which task or arm.
            OSError: it cannot be written; everything is as before.
        """
        with self._changing():
            stacks = standing(self.history)
            line = one_line(stacks, task, arm)
            last, *older = reversed(stacks[line])
            to = older[0] if older else None
            if to is not None:
                assert to.bundle is not None
                self.load(to.bundle)
            return self._append(
                Event(
                    kind="rollback",
                    task=line[0],
                    arm=line[1],
                    bundle=None if to is None else to.bundle,
                    contract=None if to is None else to.contract,
                    previous=last.bundle,
                    gate=None,
                    by=by or getpass.getuser(),
                    reason=reason,
                    at=now(),
                )
            )

    def _passed(self, bundle: Bundle, incumbent: str | None) -> str:
        """Hash of a record that lets this bundle take the incumbent's place."""
        used = {event.gate for event in self.history}
        found = []
        for key, record in reversed(self.records(bundle.weights_hash).items()):
            if not record.passed:
                found.append(f"{key[:12]} did not pass")
            elif record.contract != bundle.contract.hash:
                found.append(f"{key[:12]} is about another contract")
            elif record.incumbent != incumbent:
                against, promoted = short(record.incumbent), short(incumbent)
                found.append(f"{key[:12]} is against {against}, but {promoted} is promoted")
            elif key in used:
                found.append(f"{key[:12]} promoted it once before")
            elif gaps := shortfalls(record.config, self.gate, self.suite):
                found.append(f"{key[:12]} is not of the gate that this registry asks for: {', '.join(gaps)}")
            else:
                return key
        raise InputError(
            f"{short(bundle.weights_hash)} has passed no gate that would promote it "
            f"({'; '.join(found) or 'there is no record of one'}): run `robolearn gate`, or let a person "
            "answer for it with --override NAME --reason TEXT"
        )

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with _locked(self.path):
            self.reload()
            yield

    def _append(self, event: Event) -> Event:
        history = (*self.history, event)
        _write(self.path, history)
        self.history = history
        return event


def short(name: str | None) -> str:
    """A hash as people see it."""
    return "nothing" if name is None else name[:12]


def now() -> str:
    """The time, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _write_gate(file: Path, gate: GateConfig, suite: str | None) -> None:
    with replacing(file) as temporary:
        text = json.dumps({**asdict(gate), "suite": suite}, indent=1) + "\n"
        temporary.write_text(text, encoding="utf-8")


def _read_gate(file: Path) -> tuple[GateConfig, str | None]:
    """What a registry asks of a gate; the default where its file does not say."""
    try:
        data = checks.parse_json(str(file), file.read_bytes())
    except FileNotFoundError:
        return GateConfig(), None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    names = [*(f.name for f in fields(GateConfig)), "suite"]
    values = checks.exact_keys(str(file), data, names)
    suite = values.pop("suite")
    return GateConfig(**values), None if suite is None else checks.text(f"suite of {file}", suite)


def _write(path: Path, history: tuple[Event, ...]) -> None:
    with replacing(path / FILE) as temporary:
        temporary.write_text(text_of(history), encoding="utf-8")
    flush_directory(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time: waits for the others. The lock of a process that dies is gone with it."""
    with (path / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _flush(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened)


def identity(bundle: Bundle) -> tuple[object, ...]:
    """What decides what a bundle does, its weights left out."""
    changes = checks.json_like("changes", bundle.changes)
    return bundle.contract.hash, bundle.task, changes, bundle.network.config
