"""Parameters of a deployment, each declared once: as a field of a dataclass, in words that a program reads.

    @dataclass(frozen=True)
    class Recorder:
        flush_interval: float = number("Time between two writes.", "s", 0.05, 0.5, default=0.5)

From this declaration come the check of a person's YAML file (`read`), the file that a program writes
(`plain`) and the table on the documentation page (`tables`). Lists are tuples, so that records compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from robolearn import checks
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.reading import Section

T = TypeVar("T")
Values = Mapping[str, Any]
"""What was read before in the same mapping, by field."""

Take = Callable[[Section, str, ArmProfile, Values], Any]
"""Reads and checks the value under a key: given the section, the key, the arm and what was read before."""

REQUIRED: Any = type("Required", (), {"__repr__": lambda _: "REQUIRED"})()
"""The default of what has none."""


@dataclass(frozen=True)
class Parameter:
    """The declaration of one parameter.

    Attributes:
        words: what kind of value it is, for people.
        about: a sentence or two for whoever fills in the file.
        take: reads and checks it.
        unit: of a number; "-" where it has none, "" where the value is no number.
        low, high: range of a number.
        choices: of a text that is one of a few.
        default: used where the file has no such key (or an empty one); REQUIRED if there is none.
        derive: makes the default, from the arm and from what was read before in the same mapping.
        derived: says in words what `derive` makes.
        inner: dataclass of a section, or of each of a list of sections.
        key: in the file, where it is not the field's name.
    """

    words: str
    about: str
    take: Take
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()
    default: Any = REQUIRED
    derive: Callable[[ArmProfile, Values], Any] | None = None
    derived: str = ""
    inner: type | None = None
    key: str = ""


def _declare(words: str, about: str, take: Take, **rest: Any) -> Any:
    return field(metadata={"parameter": Parameter(words, about, take, **rest)})


def number(about: str, unit: str, low: float, high: float, **rest: Any) -> Any:
    """A finite number in [low, high]."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> float:
        return section.number(key, low, high)

    return _declare("number", about, take, unit=unit, low=low, high=high, **rest)


def whole(about: str, unit: str, low: int, high: int, **rest: Any) -> Any:
    """A whole number in [low, high]."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> int:
        value = section.number(key, low, high)
        if value != int(value):
            raise section.error(key, value, f"a whole number in [{low}, {high}]")
        return int(value)

    return _declare("whole number", about, take, unit=unit, low=low, high=high, **rest)


def flag(about: str, **rest: Any) -> Any:
    """True or false."""
    return _declare("true or false", about, lambda section, key, arm, values: section.flag(key), **rest)


def text(about: str, **rest: Any) -> Any:
    """A text that is not empty; with default="" it may be left out."""
    return _declare("text", about, lambda section, key, arm, values: section.text(key), **rest)


def texts(about: str, **rest: Any) -> Any:
    """A list of different texts."""
    return _declare("texts", about, lambda section, key, arm, values: section.texts(key), **rest)


def choice(about: str, choices: tuple[str, ...], **rest: Any) -> Any:
    """One of a few texts."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> str:
        return section.one_of(key, choices)

    return _declare("one of a few", about, take, choices=choices, **rest)


def joint_names(about: str, **rest: Any) -> Any:
    """A text for each joint, all different, in the arm's order."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> tuple[str, ...]:
        names = section.texts(key)
        if len(names) != arm.n:
            raise section.error(key, list(names), f"a list of {arm.n} different texts, one for each joint")
        return names

    return _declare("a text for each joint", about, take, **rest)


def joint_numbers(about: str, unit: str, low: float, high: float, **rest: Any) -> Any:
    """A number for each joint in the arm's order."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> tuple[float, ...]:
        return tuple(section.vector(key, arm.n, low, high).tolist())

    return _declare("a number for each joint", about, take, unit=unit, low=low, high=high, **rest)


def vector(
    about: str, unit: str, low: float, high: float, size: int | Callable[[Values], int], **rest: Any
) -> Any:
    """A list of `size` numbers; where what was read before makes that 0, it may be left out."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> tuple[float, ...]:
        n = size(values) if callable(size) else size
        return tuple(section.vector(key, n, low, high).tolist()) if n or key in section else ()

    words = "numbers" if callable(size) else f"{size} numbers"
    return _declare(words, about, take, unit=unit, low=low, high=high, **rest)


def by_name(about: str, unit: str, low: float, high: float, size: int, **rest: Any) -> Any:
    """For each of some names a list of `size` numbers, or the number itself where that is 1."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> dict[str, Any]:
        below = section.section(key)
        if size == 1:
            return {name: below.number(name, low, high) for name in below.names()}
        return {name: tuple(below.vector(name, size, low, high).tolist()) for name in below.names()}

    words = f"{size} numbers for each name" if size > 1 else "a number for each name"
    return _declare(words, about, take, unit=unit, low=low, high=high, **rest)


def quaternion(about: str, **rest: Any) -> Any:
    """A rotation as (w, x, y, z)."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> tuple[float, ...]:
        value = section.vector(key, 4, -1.0, 1.0).tolist()
        try:
            return checks.quaternion(key, value)
        except InputError as error:
            raise section.error(key, value, "(w, x, y, z) of norm 1") from error

    return _declare("4 numbers", about, take, unit="-", low=-1.0, high=1.0, **rest)


def mapping(inner: type, about: str, **rest: Any) -> Any:
    """A section with the parameters of `inner`. One that is left out is read as an empty one, unless it has a
    default of None: then the thing that it describes is not there."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> Any:
        below = section.section(key) if key in section else Section(section.path, _path(section.key, key), {})
        return read(inner, below, arm)

    return _declare("section", about, take, inner=inner, **rest)


def mappings(inner: type, about: str, **rest: Any) -> Any:
    """A list of such sections; none if it is left out."""

    def take(section: Section, key: str, arm: ArmProfile, values: Values) -> tuple[Any, ...]:
        return tuple(read(inner, entry, arm) for entry in section.sections(key))

    return _declare("list of sections", about, take, inner=inner, default=(), **rest)


def declared(cls: type) -> dict[str, Parameter]:
    """The parameters of a dataclass by the names of their fields, in order."""
    return {f.name: f.metadata["parameter"] for f in fields(cls) if "parameter" in f.metadata}


def read(cls: type[T], section: Section, arm: ArmProfile, others: Values | None = None) -> T:
    """Read a section of the file into the dataclass `cls`; `others` are its fields that are no parameters.

    Where the class has a method `check(section, arm)`, it is called and raises what only all values together
    tell.

    Raises:
        InputError: a key that is missing or unknown, or a value of the wrong kind or out of range: names
            file, key, value and range.
    """
    values: dict[str, Any] = {}
    for name, parameter in declared(cls).items():
        key = parameter.key or name
        if key not in section and parameter.derive is not None:
            values[name] = parameter.derive(arm, values)
        elif key not in section and parameter.default is not REQUIRED:
            values[name] = parameter.default
        else:
            values[name] = parameter.take(section, key, arm, values)
    section.finish()
    record = cls(**values, **(others or {}))
    if check := getattr(record, "check", None):
        check(section, arm)
    return record


def plain(record: Any) -> dict[str, Any]:
    """What `read` reads: the parameters of a record as mappings, lists, numbers and texts."""
    result = {}
    for name, parameter in declared(type(record)).items():
        value = getattr(record, name)
        if value not in (None, "", ()):  # each of which is what is left out
            result[parameter.key or name] = _plain_value(value)
    return result


def _plain_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain_value(entry) for entry in value]
    return value if isinstance(value, bool | int | float | str) else plain(value)


def tables(cls: type, path: str = "") -> str:
    """The parameters of a dataclass and of the sections in it, as Markdown: a table for each."""
    lines = [f"### `{path}`", ""] if path else []
    lines += ["| key | value | unit | range | default | meaning |", "|---|---|---|---|---|---|"]
    below = []
    for name, parameter in declared(cls).items():
        key = parameter.key or name
        cells = (parameter.words, parameter.unit, _range(parameter), _default(parameter), parameter.about)
        lines.append(f"| `{key}` | {' | '.join(cells)} |")
        if parameter.inner is not None:
            several = "[]" if parameter.default == () else ""
            below.append(tables(parameter.inner, _path(path, key) + several))
    return "\n\n".join(["\n".join(lines), *below])


def _path(*keys: str) -> str:
    return ".".join(key for key in keys if key)


def _range(p: Parameter) -> str:
    if p.choices:
        return ", ".join(f"`{choice}`" for choice in p.choices)
    return f"{p.low:g} to {p.high:g}" if p.unit else ""


def _default(p: Parameter) -> str:
    if p.derive is not None:
        return p.derived
    if p.default is REQUIRED:
        return "see below" if p.inner is not None else "**required**"
    if p.default in (None, "", ()):
        return "none"
    if isinstance(p.default, bool):
        return str(p.default).lower()
    texts = p.default if isinstance(p.default, tuple) else (p.default,)
    return ", ".join(f"`{entry}`" if isinstance(entry, str) else f"{entry:g}" for entry in texts)
