"""The manifest: which episodes a store holds, where their rows are, and all that is told about them.

A SQLite file in write-ahead mode: readers see the last committed state and never wait for the writer, and a
transaction is there as a whole or not at all, whatever happens to the machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from robolearn.data.episode import Outcome
from robolearn.data.store.layout import ColumnKind
from robolearn.errors import InputError

NAME = "manifest.sqlite"
VERSION = 1
"""Version of the store's format; another one is refused."""

APPLICATION = 0x524C5354
"""Written into the file's head, so that another program's database is told apart."""

SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE store (shard_bytes INTEGER NOT NULL);
CREATE TABLE shape (per_shard INTEGER NOT NULL, layout TEXT NOT NULL);
CREATE TABLE columns (name TEXT PRIMARY KEY, dtype TEXT NOT NULL, shape TEXT NOT NULL);
CREATE TABLE contracts (hash TEXT PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE episodes (
    number INTEGER PRIMARY KEY,
    content TEXT NOT NULL UNIQUE,
    first INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    task TEXT NOT NULL,
    policy TEXT NOT NULL,
    origin TEXT NOT NULL,
    recorded REAL NOT NULL,
    success INTEGER NOT NULL,
    reason TEXT NOT NULL,
    contract TEXT NOT NULL REFERENCES contracts (hash),
    record TEXT NOT NULL,
    checksum TEXT NOT NULL
);
CREATE INDEX episodes_by_task ON episodes (task);
CREATE TRIGGER episodes_stay BEFORE UPDATE ON episodes
    BEGIN SELECT RAISE(ABORT, 'episodes are immutable'); END;
CREATE TRIGGER episodes_remain BEFORE DELETE ON episodes
    BEGIN SELECT RAISE(ABORT, 'episodes are immutable'); END;
"""

PATIENCE = 10.0  # seconds that a transaction waits for another connection's


@dataclass(frozen=True)
class Query:
    """Which episodes; None takes any.

    Attributes:
        task: its name.
        policy: who acted, as given to `Store.add`.
        success: how they ended.
        reason: why they ended, in a word.
        since, until: when they were recorded, at or after the one and before the other [s, Unix time].
        origin: where they come from, as given to `Store.add`.
        contract: hash of the contract.
    """

    task: str | None = None
    policy: str | None = None
    success: bool | None = None
    reason: str | None = None
    since: float | None = None
    until: float | None = None
    origin: str | None = None
    contract: str | None = None


@dataclass(frozen=True)
class EpisodeRow:
    """What the manifest says about an episode.

    Attributes:
        number: of the episode in the store, from 1 up, in the order in which they were added.
        content: SHA-256 of what happened, in hex (see `Store.add`).
        first: its first row; it has `steps` + 1 of them, one an observation.
        steps: number of actions T.
        task, seed: of the episode.
        policy: who acted: a bundle's hash, "teacher", or "" where nobody said.
        origin: where it comes from: a log's name, a dataset's, the command that generated it.
        recorded: when it happened [s, Unix time].
        contract: hash of its contract.
        outcome: how it ended, with the limiter's interventions by cause.
        altered: actions of which a torque was requested that was not the filtered one at the end of the step.
        operator, monitor: actions that a person and that the safety monitor chose.
        calibration: hash of the station's calibration, or "".
        quality: counts of what was wrong with its log (gaps, duplicates, late messages), JSON-like.
        versions: of the software that made it.
        labelled: whether torques were commanded; False where a person moved the arm by hand, so that nothing
            can be learned from what was done.
    """

    number: int
    content: str
    first: int
    steps: int
    task: str
    seed: int
    policy: str
    origin: str
    recorded: float
    contract: str
    outcome: Outcome
    altered: int
    operator: int
    monitor: int
    calibration: str
    quality: dict[str, Any]
    versions: dict[str, str]
    labelled: bool

    @property
    def success(self) -> bool:
        """Whether the task's predicate held."""
        return self.outcome.success

    @property
    def reason(self) -> str:
        """Why it ended, in a word."""
        return self.outcome.reason

    @property
    def stop(self) -> int:
        """The row behind its last one."""
        return self.first + self.steps + 1

    def rows_of(self, column: str) -> int:
        """How many of its rows are filled in a column: one an observation, or one an action."""
        return self.steps + (column == "stamps" or column.startswith("observations/"))


COLUMNS = (
    "number",
    "content",
    "first",
    "steps",
    "task",
    "policy",
    "origin",
    "recorded",
    "success",
    "reason",
    "contract",
    "record",
)
"""Of the table of episodes; the checksum is over these."""


class Manifest:
    """The manifest of a store, open.

    Args:
        folder: the store's.
        write: whether to write to it, too.

    Raises:
        InputError: there is no store, or it is of another version, or damaged.
    """

    def __init__(self, folder: Path, write: bool) -> None:
        self.path = folder / NAME
        if not folder.is_dir():
            raise InputError(f"there is no store {str(folder)!r}")
        if not self.path.is_file():
            raise InputError(f"{str(folder)!r} is no store: it has no {NAME}")
        with self._told():
            mode = "rw" if write else "ro"
            if not write and not os.access(folder, os.W_OK) and not Path(f"{self.path}-wal").exists():
                mode = "ro&immutable=1"  # or SQLite would want to write beside it; nobody here changes it
            uri = f"file:{quote(str(self.path.absolute()))}?mode={mode}"
            self._database = sqlite3.connect(uri, PATIENCE, isolation_level=None, uri=True)
            (application,) = self._database.execute("PRAGMA application_id").fetchone()
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION:
            raise InputError(f"{self.path} is no manifest of a store: another program wrote it")
        if version != VERSION:
            raise InputError(
                f"{str(folder)!r} is a store of version {version}; this robolearn reads {VERSION}"
            )
        if write:
            self._database.execute("PRAGMA synchronous = FULL")

    @classmethod
    def create(cls, folder: Path, shard_bytes: int) -> None:
        """Write an empty one into a folder that has none."""
        database = sqlite3.connect(folder / NAME, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(f"BEGIN; {SCHEMA} INSERT INTO store VALUES ({shard_bytes}); COMMIT;")
        database.close()

    # --- reading ------------------------------------------------------------------------------------------

    def shard_bytes(self) -> int:
        """Size of a full shard [bytes]."""
        return int(self._one("SELECT shard_bytes FROM store")[0])

    def shape(self) -> tuple[int, dict[str, str]] | None:
        """Rows in a full shard and the layout; None before the first episode."""
        row = self._one("SELECT per_shard, layout FROM shape")
        return None if row is None else (row[0], json.loads(row[1]))

    def kinds(self) -> dict[str, ColumnKind]:
        """The store's columns by name."""
        rows = self._all("SELECT name, dtype, shape FROM columns ORDER BY rowid")
        return {name: ColumnKind(name, dtype, tuple(json.loads(shape))) for name, dtype, shape in rows}

    def rows(self) -> int:
        """Committed rows."""
        found = self._one("SELECT first + steps + 1 FROM episodes ORDER BY number DESC LIMIT 1")
        return found[0] if found else 0

    def has(self, content: str) -> bool:
        """Whether an episode of that content is there."""
        return self._one("SELECT 1 FROM episodes WHERE content = ?", content) is not None

    def episodes(self, query: Query) -> list[EpisodeRow]:
        """Episodes in the order in which they were added."""
        conditions = {"since": "recorded >= ?", "until": "recorded < ?"}
        given = {f.name: value for f in fields(query) if (value := getattr(query, f.name)) is not None}
        where = " AND ".join(conditions.get(name, f"{name} = ?") for name in given)
        rows = self._all(
            f"SELECT {', '.join(COLUMNS)} FROM episodes {'WHERE ' + where if where else ''} ORDER BY number",
            *given.values(),
        )
        return [_row(dict(zip(COLUMNS, row, strict=True))) for row in rows]

    def record(self, number: int) -> dict[str, Any]:
        """All that is told about an episode: config, info, digests and more, as `Store.add` wrote it."""
        found = self._one("SELECT record FROM episodes WHERE number = ?", number)
        if found is None:
            raise InputError(f"{self.path} has no episode {number}")
        return dict(json.loads(found[0]))

    def contract(self, content: str) -> str:
        """A contract's JSON by its hash."""
        found = self._one("SELECT json FROM contracts WHERE hash = ?", content)
        if found is None:
            raise InputError(f"{self.path} has no contract {content}: the store is damaged")
        return str(found[0])

    def damages(self) -> list[str]:
        """What SQLite finds wrong with the file, and the entries that are not as they were written."""
        problems = [str(text) for (text,) in self._all("PRAGMA integrity_check") if text != "ok"]
        for *values, checksum in self._all(f"SELECT {', '.join(COLUMNS)}, checksum FROM episodes"):
            if checksum_of(dict(zip(COLUMNS, values, strict=True))) != checksum:
                problems.append(f"the entry of episode {values[0]} is not as it was written")
        return problems

    # --- writing ------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything that is inserted in the block, or nothing; on the disk when it ends."""
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def set_shape(self, per_shard: int, layout: Mapping[str, str]) -> None:
        """Say the shape, once and for all."""
        if self.shape() is None:
            self._database.execute("INSERT INTO shape VALUES (?, ?)", (per_shard, json.dumps(layout)))

    def add_kind(self, kind: ColumnKind) -> None:
        """Name a column, unless it is known."""
        values = (kind.name, kind.dtype, json.dumps(kind.shape))
        self._database.execute("INSERT OR IGNORE INTO columns VALUES (?, ?, ?)", values)

    def add_contract(self, content: str, text: str) -> None:
        """Keep a contract's JSON, unless it is known."""
        self._database.execute("INSERT OR IGNORE INTO contracts VALUES (?, ?)", (content, text))

    def add_episode(self, values: Mapping[str, Any]) -> None:
        """Insert a row; `values` has all of `COLUMNS` but the number."""
        (number,) = self._database.execute("SELECT coalesce(max(number), 0) + 1 FROM episodes").fetchone()
        row = {"number": number, **values}
        places = ", ".join("?" * (len(COLUMNS) + 1))
        names = ", ".join(COLUMNS)
        ordered = [row[name] for name in COLUMNS]
        self._database.execute(
            f"INSERT INTO episodes ({names}, checksum) VALUES ({places})", (*ordered, checksum_of(row))
        )

    def close(self) -> None:
        self._database.close()

    # --- inside -------------------------------------------------------------------------------------------

    def _one(self, command: str, *values: object) -> Any:
        with self._told():
            return self._database.execute(command, values).fetchone()

    def _all(self, command: str, *values: object) -> list[Any]:
        with self._told():
            return self._database.execute(command, values).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors as ours: a full disk is the system's, anything else is a damaged file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.path} is damaged, or no manifest: {error}") from error


def hash_of(rows: Iterable[EpisodeRow]) -> str:
    """SHA-256 of what some episodes hold, in whatever order, in hex."""
    return hashlib.sha256("".join(sorted(row.content for row in rows)).encode()).hexdigest()


def checksum_of(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row of the table of episodes."""
    return hashlib.sha256(json.dumps([row[name] for name in COLUMNS]).encode()).hexdigest()


def _row(values: dict[str, Any]) -> EpisodeRow:
    record = json.loads(values.pop("record"))
    del values["success"], values["reason"]  # the outcome has them
    kept = {name: record[name] for name in RECORD_ROW}
    labelled = record["info"].get("torque_labels") is not False  # only an import can say so
    return EpisodeRow(**values, outcome=Outcome(**record["outcome"]), **kept, labelled=labelled)


RECORD_ROW = ("seed", "altered", "operator", "monitor", "calibration", "quality", "versions")
"""Entries of an episode's record that its row shows."""
