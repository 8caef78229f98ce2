"""Lengths and angles as people write them, and as the code wants them: metres and radians."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated

from robolearn.errors import InputError

Length = Annotated[float | str, "m"]
Angle = Annotated[float | str, "rad"]
"""Types of what may be a number in the unit named, or a text with a unit."""

_EXPONENTS = {"m": 0, "cm": -2, "mm": -3, "um": -6, "µm": -6, "μm": -6}  # both code points of the micro sign
_ANGLES = {"rad": 1.0, "deg": math.pi / 180, "°": math.pi / 180}
_QUANTITY = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*([^\W\d_]*|°)\s*")
_LENGTHS_HELP = "write a number of metres (0.003) or a number with one of the units m, cm, mm, um (3mm)"
_ANGLES_HELP = "write a number of radians (0.5) or a number with one of the units rad, deg (30deg)"


def parse_length(value: str | float) -> float:
    """Read a length such as "3mm", "0.5 mm", "1cm", "0.003" or 0.003 and return it in metres.

    Decimal prefixes are applied exactly: "3mm" is the float 0.003 to the last bit, so that the same length
    written in two ways is one configuration. The sign is kept; whether a negative length makes sense is the
    caller's to say.

    Raises:
        InputError: the value is no finite number, or its unit is unknown.
    """
    number, unit = _read("length", value, _EXPONENTS, _LENGTHS_HELP)
    return float(number.scaleb(_EXPONENTS[unit])) if unit else float(number)


def parse_angle(value: str | float) -> float:
    """Read an angle such as "30deg", "30°", "0.5 rad", "0.5" or 0.5 and return it in radians.

    Raises:
        InputError: the value is no finite number, or its unit is unknown.
    """
    number, unit = _read("angle", value, _ANGLES, _ANGLES_HELP)
    return float(number) * _ANGLES[unit or "rad"]


def _read(kind: str, value: str | float, units: Iterable[str], help: str) -> tuple[Decimal, str]:
    """The number and the unit, "" if there is none, in what a person wrote."""
    number: Decimal | None = None
    unit = ""
    if isinstance(value, str):
        if match := _QUANTITY.fullmatch(value):
            number, unit = Decimal(match[1]), match[2]
    elif not isinstance(value, bool):
        with contextlib.suppress(TypeError, ValueError):
            number = Decimal(float(value))
    if number is None:
        raise InputError(f"{kind} {value!r} is not a number: {help}")
    if unit and unit not in units:
        raise InputError(f"{kind} {value!r} has the unknown unit {unit!r}: {help}")
    if not math.isfinite(number):
        raise InputError(f"{kind} {value!r} is not finite: {help}")
    return number, unit


def format_angle(radians: float) -> str:
    """Write an angle in radians for people, in degrees: 0.5 becomes "28.65 deg"."""
    return f"{math.degrees(radians):.4g} deg"


def format_length(metres: float) -> str:
    """Write a length in metres for people, in the unit that reads best: 0.003 becomes "3 mm"."""
    size = abs(metres)
    for unit, scale, limit in (("um", 1e6, 1e-4), ("mm", 1e3, 0.1), ("cm", 1e2, 1.0)):
        if 0 < size < limit:
            return f"{metres * scale:.4g} {unit}"
    return f"{metres:.4g} m"
