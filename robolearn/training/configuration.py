"""Changes to a task's configuration, from words and from JSON, read by the types of its fields."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from robolearn import checks
from robolearn.envs.tasks import task_class
from robolearn.errors import InputError, choose
from robolearn.units import format_angle, format_length, parse_angle, parse_length


def parse_changes(task: str, words: Iterable[str]) -> dict[str, Any]:
    """Read `key=value` words such as "clearance=1mm", "observe=front,q,dq" or "count=3".

    Lists are written with commas, or as JSON like everything that is nested.

    Raises:
        InputError: no `=`, a key that the task's configuration does not have (names those it has), a key
            given twice, or a value that does not fit its field.
    """
    config = task_class(task).config_type
    hints, names = get_type_hints(config, include_extras=True), [f.name for f in fields(config)]
    changes: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise InputError(
                f"{word!r} is no change: write key=value with one of the keys {', '.join(names)}"
            )
        choose(f"parameter of {task}", key, names)
        if key in changes:
            raise InputError(f"{key} is given more than once")
        changes[key] = _from_text(key, text.strip(), hints[key])
    return changes


def read_changes(task: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Read changes as JSON gives them back: lists become tuples, mappings dataclasses, by the fields' types.

    Raises:
        InputError: a key that the task's configuration does not have, or a value that does not fit its field.
    """
    config = task_class(task).config_type
    hints = get_type_hints(config)
    for key in values:
        choose(f"parameter of {task}", key, [f.name for f in fields(config)])
    return {key: _from_json(key, value, hints[key]) for key, value in values.items()}


def differing(config: Any) -> dict[str, Any]:
    """The fields of a configuration that differ from its defaults."""
    default = type(config)()
    values = {f.name: getattr(config, f.name) for f in fields(config)}
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def describe_changes(task: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Changes for people: lengths and angles with units, lists and mappings in short, nested ones named.

    Raises:
        InputError: as `read_changes`.
    """
    hints = get_type_hints(task_class(task).config_type, include_extras=True)
    described: dict[str, str] = {}
    for key, value in read_changes(task, values).items():
        if quantity := _quantity(hints[key]):
            parse, write = quantity
            described[key] = write(parse(value))
        elif isinstance(value, tuple | dict):
            parts = [entry if isinstance(entry, str) else "..." for entry in value]
            described[key] = " ".join(dict.fromkeys(parts))
        else:
            described[key] = f"{value:.4g}" if isinstance(value, float) else str(value)
    return described


def _from_text(key: str, text: str, kind: Any) -> Any:
    choices = _choices(kind)
    if type(None) in choices and text.lower() in ("none", "null"):
        return None
    if quantity := _quantity(kind):
        try:
            return quantity[0](text)
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    if str in choices:
        return text
    if get_origin(kind) is tuple and get_args(kind)[0] is str and not text.startswith("["):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if bool in choices and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = json.loads(text)
    except ValueError:
        raise InputError(f"{key} is {text!r}; it must be {_described(kind)}") from None
    return _from_json(key, value, kind)


def _from_json(key: str, value: Any, kind: Any) -> Any:
    """`value` if it is of the type `kind`, built anew where JSON has no such type."""
    if get_origin(kind) in (types.UnionType, Union):
        for choice in get_args(kind):
            try:
                return _from_json(key, value, choice)
            except InputError:
                continue
        raise InputError(f"{key} is {value!r}; it must be {_described(kind)}")
    if isinstance(kind, type) and is_dataclass(kind):
        return value if isinstance(value, kind) else _dataclass_from_json(key, value, kind)
    if get_origin(kind) is tuple:
        items, inner = checks.items(key, value), get_args(kind)
        if inner[-1] is Ellipsis:
            inner = inner[:1] * len(items)
        if len(inner) != len(items):
            raise InputError(f"{key} is {value!r}; it must be a list of {len(inner)}")
        pairs = enumerate(zip(items, inner, strict=True))
        return tuple(_from_json(f"{key}[{i}]", entry, each) for i, (entry, each) in pairs)
    if get_origin(kind) is dict:
        each = get_args(kind)[1]
        entries = checks.mapping(key, value)
        return {name: _from_json(f"{key}.{name}", entry, each) for name, entry in entries.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise InputError(f"{key} is {value!r}; it must be {_described(kind)}")
    return checks.number(key, value) if kind is float else value


def _dataclass_from_json(key: str, value: Any, kind: type[Any]) -> Any:
    hints, known = get_type_hints(kind), fields(kind)
    entries = checks.mapping(key, value)
    for name in entries:
        choose(f"key of {key}", name, [f.name for f in known])
    needed = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in needed if name not in entries]:
        raise InputError(f"{key} lacks {', '.join(missing)}")
    return kind(**{name: _from_json(f"{key}.{name}", entry, hints[name]) for name, entry in entries.items()})


_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "none",
}


def _quantity(kind: Any) -> tuple[Callable[[str | float], float], Callable[[float], str]] | None:
    """How to read and write a field that may have a unit: an angle where it says so, otherwise a length."""
    if not {float, str} <= set(_choices(kind)):
        return None
    angle = get_origin(kind) is Annotated and "rad" in kind.__metadata__
    return (parse_angle, format_angle) if angle else (parse_length, format_length)


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)


def _described(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return "a JSON list"
    if get_origin(kind) is dict or is_dataclass(kind):
        return "a JSON object"
    return " or ".join(_WORDS.get(choice, str(choice)) for choice in _choices(kind))
