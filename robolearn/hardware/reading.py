"""Reading a YAML file that a person wrote.

Every value is checked as it is taken, and every complaint names the file, the key, the value and the range.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from robolearn.errors import InputError, choose


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a key appear twice and keeps the last: a limit that is written twice must not be guessed."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Section:
    """The top level of a YAML file. Raises InputError if it cannot be read or is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    try:
        values = yaml.load(text, _UniqueKeys)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error
    return Section(path, "", values)


class Section:
    """A mapping in the file. Each value is taken once, by key; `finish` complains of what nobody took."""

    def __init__(self, path: Path, key: str, values: Any) -> None:
        self.path = path
        self.key = key
        if not isinstance(values, dict):
            raise self.error("", values, "a mapping of keys to values")
        self._values = values
        self._known: list[str] = []

    def error(self, key: str, value: Any, expected: str) -> InputError:
        """The complaint about a value: file, key, value and what it must be."""
        where = ".".join(part for part in (self.key, key) if part).replace(".[", "[") or "the file"
        return InputError(f"{self.path}: {where} is {value!r}; it must be {expected}")

    def __contains__(self, key: str) -> bool:
        self._known.append(key)
        return self._values.get(key) is not None

    def names(self) -> tuple[str, ...]:
        """Its keys, where the file chooses them itself.

        Raises:
            InputError: one is no text.
        """
        if not all(isinstance(key, str) and key for key in self._values):
            raise self.error("", self._values, "a mapping from names")
        return tuple(self._values)

    def _take(self, key: str, expected: str) -> Any:
        self._known.append(key)
        if key not in self._values:
            where = ".".join(part for part in (self.key, key) if part)
            raise InputError(f"{self.path}: {where} is missing; it must be {expected}")
        return self._values[key]

    def finish(self) -> None:
        """Raise InputError if the section has a key that was not read (most often a misspelt one)."""
        for key in self._values:
            try:
                choose("key", str(key), self._known)
            except InputError as error:
                raise InputError(f"{self.path}: in {self.key or 'the file'}: {error}") from error

    def text(self, key: str) -> str:
        value = self._take(key, "a text")
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, value, "a text that is not empty")
        return value.strip()

    def flag(self, key: str) -> bool:
        value = self._take(key, "true or false")
        if not isinstance(value, bool):
            raise self.error(key, value, "true or false")
        return value

    def one_of(self, key: str, choices: Sequence[str]) -> str:
        expected = f"one of {', '.join(choices)}"
        value = self._take(key, expected)
        if value not in choices:
            raise self.error(key, value, expected)
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        expected = "a list of different texts"
        value = self._take(key, expected)
        good = isinstance(value, list) and value and all(isinstance(v, str) and v.strip() for v in value)
        if not good or len(set(value)) < len(value):
            raise self.error(key, value, expected)
        return tuple(value)

    def number(self, key: str, low: float, high: float) -> float:
        """A finite number in [low, high]."""
        return self._number(key, self._take(key, _range(low, high)), low, high)

    def vector(self, key: str, size: int, low: float, high: float) -> NDArray[np.float64]:
        """A list of `size` numbers in [low, high]; shape (size,), read-only."""
        expected = f"a list of {size} numbers, each {_range(low, high)}"
        values = self._take(key, expected)
        if not isinstance(values, list) or len(values) != size:
            raise self.error(key, values, expected)
        array = np.array([self._number(f"{key}[{i}]", v, low, high) for i, v in enumerate(values)])
        array.setflags(write=False)
        return array

    def sections(self, key: str) -> list[Section]:
        values = self._take(key, "a list of mappings")
        if not isinstance(values, list) or not values:
            raise self.error(key, values, "a list of mappings that is not empty")
        prefix = f"{self.key}.{key}" if self.key else key
        return [Section(self.path, f"{prefix}[{i}]", value) for i, value in enumerate(values)]

    def section(self, key: str) -> Section:
        values = self._take(key, "a mapping")
        return Section(self.path, f"{self.key}.{key}" if self.key else key, values)

    def _number(self, key: str, value: Any, low: float, high: float) -> float:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not good or not low <= value <= high:
            raise self.error(key, value, _range(low, high))
        return float(value)


def _range(low: float, high: float) -> str:
    return f"a number in [{low:g}, {high:g}]"
