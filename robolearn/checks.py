"""Checks of single values that come from files and from callers. Each returns the value in its plain form.

Every function takes the name of the thing first, and raises an InputError that says the name, the value
and what it must be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from robolearn.errors import InputError
from robolearn.units import format_angle, format_length, parse_angle, parse_length


def text(thing: str, value: object) -> str:
    """A printable string that is not empty."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InputError(f"{thing} is {value!r}; it must be a printable text, not empty")
    return value


def flag(thing: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{thing} is {value!r}; it must be true or false")
    return bool(value)


def whole(thing: str, value: object, low: int, high: int | None = None) -> int:
    """A whole number from `low` up, or up to `high`."""
    numeric = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not numeric or value < low or (high is not None and value > high):  # type: ignore[operator]
        bound = "up" if high is None else f"to {high}"
        raise InputError(f"{thing} is {value!r}; it must be a whole number from {low} {bound}")
    return int(value)  # type: ignore[call-overload]


def number(thing: str, value: object, *, low: float | None = None, above: float | None = None) -> float:
    """A finite number, at least `low` or greater than `above` where these are given."""
    numeric = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    try:
        result = float(value) + 0.0 if numeric else math.nan  # type: ignore[arg-type]  # -0.0 becomes 0.0
    except OverflowError:
        result = math.inf
    inside = (low is None or result >= low) and (above is None or result > above)
    if not (math.isfinite(result) and inside):
        bound = f" from {low:g} up" if low is not None else f" above {above:g}" if above is not None else ""
        raise InputError(f"{thing} is {value!r}; it must be a finite number{bound}")
    return result


def within(thing: str, value: object, low: float, high: float) -> float:
    """A number from `low` to `high`."""
    result = number(thing, value)
    if not low <= result <= high:
        raise InputError(f"{thing} is {value!r}; it must be a number from {low:g} to {high:g}")
    return result


def share(thing: str, value: object) -> float:
    """A number from 0 to 1."""
    return within(thing, value, 0.0, 1.0)


def length(thing: str, value: object, low: float, high: float) -> float:
    """A length from `low` to `high` [m], given in metres or as text with a unit such as "3mm"; in metres."""
    return _quantity(thing, value, low, high, "a length", parse_length, format_length)


def angle(thing: str, value: object, low: float, high: float) -> float:
    """An angle from `low` to `high` [rad], given in radians or as text such as "30deg"; in radians."""
    return _quantity(thing, value, low, high, "an angle", parse_angle, format_angle)


def _quantity(
    thing: str,
    value: object,
    low: float,
    high: float,
    kind: str,
    parse: Callable[[Any], float],
    write: Callable[[float], str],
) -> float:
    try:
        plain = parse(value)
    except InputError as error:
        raise InputError(f"{thing}: {error}") from error
    if not low <= plain <= high:
        bounds = f"{write(low)} to {write(high)}"
        raise InputError(f"{thing} is {value!r}, {write(plain)}; it must be {kind} from {bounds}")
    return plain


def items(thing: str, value: object) -> tuple[Any, ...]:
    """A list, tuple or array as a tuple."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise InputError(f"{thing} is {value!r}; it must be a list")
    return tuple(value)


def vector(thing: str, value: object, size: int) -> tuple[float, ...]:
    """`size` finite numbers."""
    entries = items(thing, value)
    if len(entries) != size:
        raise InputError(f"{thing} has {len(entries)} numbers, {entries!r}; it must have {size}")
    return tuple(number(f"{thing}[{i}]", entry) for i, entry in enumerate(entries))


def quaternion(thing: str, value: object) -> tuple[float, ...]:
    """A unit quaternion (w, x, y, z), made exact and with w >= 0, since q and -q are one rotation."""
    q = vector(thing, value, 4)
    norm = math.hypot(*q)
    if abs(norm - 1.0) > 1e-3:
        raise InputError(f"{thing} is {q!r}, of norm {norm:g}; it must be (w, x, y, z) of norm 1")
    # What is normalised already stays as it is, bit for bit: reading back what was written changes nothing.
    scale = 1.0 if abs(norm - 1.0) < 1e-12 else 1.0 / norm
    leading = next(x for x in q if x != 0.0)
    return tuple(math.copysign(scale, leading) * x + 0.0 for x in q)


def names(thing: str, value: object) -> tuple[str, ...]:
    """A list of texts, none of them twice."""
    result = tuple(text(f"{thing}[{i}]", entry) for i, entry in enumerate(items(thing, value)))
    if twice := sorted({name for name in result if result.count(name) > 1}):
        raise InputError(f"{thing} names {', '.join(twice)} more than once")
    return result


def mapping(thing: str, value: object) -> dict[str, Any]:
    """A mapping from texts, as a dict of its own."""
    if not isinstance(value, Mapping):
        raise InputError(f"{thing} is {value!r}; it must be a mapping from names")
    return {text(f"a name in {thing}", key): entry for key, entry in value.items()}


def exact_keys(thing: str, value: object, keys: Iterable[str]) -> dict[str, Any]:
    """A mapping with exactly these keys, as a dict of its own."""
    data, wanted = mapping(thing, value), set(keys)
    wrong = [f"lacks {key!r}" for key in sorted(wanted - data.keys())]
    wrong += [f"has an unknown key {key!r}" for key in sorted(data.keys() - wanted)]
    if wrong:
        raise InputError(f"{thing} {', '.join(wrong)}; its keys are {', '.join(sorted(wanted))}")
    return data


def json_like(thing: str, value: Any) -> Any:
    """The value as JSON gives it back: arrays and tuples as lists, dataclasses as mappings, plain numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{thing} is {value}; numbers must be finite")
        return float(value)
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise InputError(f"{thing} has the key {wrong[0]!r}; keys must be text")
        return {str(key): json_like(f"{thing}.{key}", entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_like(f"{thing}[{i}]", entry) for i, entry in enumerate(value)]
    raise InputError(f"{thing} is {value!r}; JSON has no {type(value).__name__}")


def parse_json(thing: str, source: str | bytes) -> Any:
    """JSON without the liberties that Python's parser takes: no NaN, no infinity, no key twice."""

    def constant(name: str) -> None:
        raise InputError(f"{thing} holds {name}; its numbers must be finite")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            counted = [key for key, _ in pairs]
            raise InputError(f"{thing} has the key {max(counted, key=counted.count)!r} more than once")
        return result

    try:
        return json.loads(source, parse_constant=constant, object_pairs_hook=unique)
    except InputError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{thing} is not JSON: {error}") from error
