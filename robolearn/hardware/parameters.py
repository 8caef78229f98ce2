"""Parameters of a deployment, each declared once: as a field of a dataclass, in words that a program reads.

    @dataclass(frozen=True)
    class Recorder:
        flush_interval: float = number("Time between two writes.", "s", 0.05, 0.5, default=0.5)

From this declaration come the check of a person's YAML file (`read`), the file that a program writes
(`plain`) and the table on the documentation page (`tables`). Lists are tuples, so that records compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from robolearn import checks
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.reading import Section

T = TypeVar("T")
Values = Mapping[str, Any]

REQUIRED: Any = type("Required", (), {"__repr__": lambda _: "REQUIRED"})()
"""The default of what has none."""


@dataclass(frozen=True)
class Parameter:
    """The declaration of one parameter.

    Attributes:
        kind: of value: "number", "whole", "flag", "text", "choice", "joint numbers" (one for each joint, or
            one for all), "joint names" (a text for each joint), "texts", "vector", "quaternion", "mapping" or
            "mappings" (a list of them).
        about: one sentence or two for whoever fills in the file.
        unit: of a number; "-" where it has none.
        low, high: range of a number.
        default: used where the file has no such key (or an empty one); REQUIRED if there is none.
        derive: makes the default from the arm and the values read before in the same mapping.
        derived: says in words what `derive` makes.
        choices: of a "choice".
        size: of a "vector", from the values read before in the same mapping; or a number.
        inner: dataclass of a "mapping" or of "mappings".
        key: in the file, where it is not the field's name.
    """

    kind: str
    about: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    default: Any = REQUIRED
    derive: Callable[[ArmProfile, Values], Any] | None = None
    derived: str = ""
    choices: tuple[str, ...] = ()
    size: int | Callable[[Values], int] = 0
    inner: type | None = None
    key: str = ""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED and self.derive is None


def _declare(kind: str, about: str, **rest: Any) -> Any:
    return field(metadata={"parameter": Parameter(kind, about, **rest)})


def number(about: str, unit: str, low: float, high: float, **rest: Any) -> Any:
    """A finite number in [low, high]."""
    return _declare("number", about, unit=unit, low=low, high=high, **rest)


def whole(about: str, unit: str, low: int, high: int, **rest: Any) -> Any:
    """A whole number in [low, high]."""
    return _declare("whole", about, unit=unit, low=low, high=high, **rest)


def flag(about: str, **rest: Any) -> Any:
    """True or false."""
    return _declare("flag", about, **rest)


def text(about: str, **rest: Any) -> Any:
    """A text that is not empty."""
    return _declare("text", about, **rest)


def texts(about: str, **rest: Any) -> Any:
    """A list of different texts."""
    return _declare("texts", about, **rest)


def choice(about: str, choices: tuple[str, ...], **rest: Any) -> Any:
    """One of a few texts."""
    return _declare("choice", about, choices=choices, **rest)


def joint_names(about: str, **rest: Any) -> Any:
    """A text for each joint, in the arm's order."""
    return _declare("joint names", about, **rest)


def joint_numbers(about: str, unit: str, low: float, high: float, **rest: Any) -> Any:
    """A number for each joint in the arm's order, or one for all of them."""
    return _declare("joint numbers", about, unit=unit, low=low, high=high, **rest)


def vector(
    about: str, unit: str, low: float, high: float, size: int | Callable[[Values], int], **rest: Any
) -> Any:
    """A list of `size` numbers; one of size 0 may be left out."""
    return _declare("vector", about, unit=unit, low=low, high=high, size=size, **rest)


def quaternion(about: str, **rest: Any) -> Any:
    """A rotation as (w, x, y, z)."""
    return _declare("quaternion", about, unit="-", low=-1.0, high=1.0, size=4, **rest)


def mapping(inner: type, about: str, **rest: Any) -> Any:
    """A mapping with the parameters of `inner`; left out, each has its default. With default=None the thing
    that it describes is absent then."""
    return _declare("mapping", about, inner=inner, **rest)


def mappings(inner: type, about: str, **rest: Any) -> Any:
    """A list of such mappings."""
    return _declare("mappings", about, inner=inner, **rest)


def declared(cls: type) -> dict[str, Parameter]:
    """The parameters of a dataclass by the names of their fields, in order."""
    return {f.name: f.metadata["parameter"] for f in fields(cls) if "parameter" in f.metadata}


def read(cls: type[T], section: Section, arm: ArmProfile, others: Values | None = None) -> T:
    """Read a mapping of the file into the dataclass `cls`; `others` are its fields that are no parameters.

    Where the class has a method `check(section, arm)`, it is called and raises what only all values together
    tell.

    Raises:
        InputError: a key that is missing or unknown, or a value of the wrong kind or out of range: names
            file, key, value and range.
    """
    values: dict[str, Any] = {}
    for name, parameter in declared(cls).items():
        values[name] = _read_value(parameter.key or name, parameter, section, arm, values)
    section.finish()
    record = cls(**values, **(others or {}))
    if check := getattr(record, "check", None):
        check(section, arm)
    return record


def _read_value(key: str, p: Parameter, section: Section, arm: ArmProfile, values: Values) -> Any:
    size = p.size(values) if callable(p.size) else p.size
    if key not in section:
        if p.derive is not None:
            return p.derive(arm, values)
        if p.default is not REQUIRED:
            return (float(p.default),) * arm.n if p.kind == "joint numbers" else p.default
        if p.kind == "vector" and size == 0:
            return ()
        if p.kind == "mapping":
            assert p.inner is not None
            return read(p.inner, Section(section.path, _joined(section.key, key), {}), arm)
    if p.kind == "number":
        return section.number(key, p.low, p.high)
    if p.kind == "whole":
        value = section.number(key, p.low, p.high)
        if value != int(value):
            raise section.error(key, value, f"a whole number in [{p.low:g}, {p.high:g}]")
        return int(value)
    if p.kind == "flag":
        return section.flag(key)
    if p.kind == "text":
        return section.text(key)
    if p.kind == "texts":
        return section.texts(key)
    if p.kind == "choice":
        return section.one_of(key, p.choices)
    if p.kind == "joint names":
        names = section.texts(key)
        if len(names) != arm.n:
            raise section.error(key, list(names), f"a list of {arm.n} different texts, one for each joint")
        return names
    if p.kind == "joint numbers":
        return _read_joint_numbers(key, p, section, arm.n)
    if p.kind == "vector":
        return tuple(section.vector(key, size, p.low, p.high).tolist())
    if p.kind == "quaternion":
        return _read_quaternion(key, p, section)
    assert p.inner is not None
    if p.kind == "mapping":
        return read(p.inner, section.section(key), arm)
    return tuple(read(p.inner, entry, arm) for entry in section.sections(key))


def _joined(*keys: str) -> str:
    return ".".join(key for key in keys if key)


def _read_joint_numbers(key: str, p: Parameter, section: Section, n: int) -> tuple[float, ...]:
    if isinstance(section._values[key], list):
        return tuple(section.vector(key, n, p.low, p.high).tolist())
    return (section.number(key, p.low, p.high),) * n


def _read_quaternion(key: str, p: Parameter, section: Section) -> tuple[float, ...]:
    value = tuple(section.vector(key, 4, p.low, p.high).tolist())
    try:
        return checks.quaternion(key, value)
    except InputError as error:
        raise section.error(key, list(value), "(w, x, y, z) of norm 1") from error


def plain(record: Any) -> dict[str, Any]:
    """What `read` reads: the parameters of a record as mappings, lists, numbers and texts."""
    result = {}
    for name, parameter in declared(type(record)).items():
        value = getattr(record, name)
        if value not in (None, "", ()):  # each means that there is none
            result[parameter.key or name] = _plain_value(value)
    return result


def _plain_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain_value(entry) for entry in value]
    return value if isinstance(value, bool | int | float | str) else plain(value)


def tables(cls: type, title: str = "") -> str:
    """The parameters of a dataclass and of those inside it, as Markdown: a table for each."""
    lines = [f"### `{title}`", ""] if title else []
    lines += ["| key | value | unit | range | default | meaning |", "|---|---|---|---|---|---|"]
    below = []
    for name, p in declared(cls).items():
        key = p.key or name
        cells = (f"`{key}`", _kind_words(p), p.unit, _range_words(p), _default_words(p), p.about)
        lines.append(f"| {' | '.join(cells)} |")
        if p.inner is not None:
            below.append(tables(p.inner, _joined(title, key + "[]" * (p.kind == "mappings"))))
    return "\n\n".join(["\n".join(lines), *below])


def _kind_words(p: Parameter) -> str:
    if p.kind == "vector":
        return f"{p.size} numbers" if isinstance(p.size, int) else "numbers"
    words = {
        "joint numbers": "a number for each joint, or one for all",
        "joint names": "a text for each joint",
        "texts": "texts",
        "quaternion": "4 numbers",
        "flag": "true or false",
        "choice": "one of a few",
        "mapping": "a section",
        "mappings": "a list of sections",
        "whole": "whole number",
    }
    return words.get(p.kind, p.kind)


def _range_words(p: Parameter) -> str:
    if p.kind == "choice":
        return ", ".join(f"`{choice}`" for choice in p.choices)
    return f"{p.low:g} to {p.high:g}" if p.unit else ""


def _default_words(p: Parameter) -> str:
    if p.derive is not None:
        return p.derived
    if p.inner is not None:
        return "absent" if p.default is None else "none" if p.default == () else "see below"
    if p.default is REQUIRED:
        return "**required**"
    if p.kind == "flag":
        return str(p.default).lower()
    if isinstance(p.default, tuple):
        return ", ".join(f"`{entry}`" for entry in p.default)
    if isinstance(p.default, str):
        return f"`{p.default}`" if p.default else "none"
    return f"{p.default:g}"
