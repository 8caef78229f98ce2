"""Lengths as people write them, and as the code wants them: metres."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from robolearn.errors import InputError

_EXPONENTS = {"m": 0, "cm": -2, "mm": -3, "um": -6, "µm": -6, "μm": -6}  # both code points of the micro sign
_LENGTH = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*([^\W\d_]*)\s*")
_HELP = "write a number of metres (0.003) or a number with one of the units m, cm, mm, um (3mm)"


def parse_length(value: str | float) -> float:
    """Read a length such as "3mm", "0.5 mm", "1cm", "0.003" or 0.003 and return it in metres.

    Decimal prefixes are applied exactly: "3mm" is the float 0.003 to the last bit, so that the same length
    written in two ways is one configuration. The sign is kept; whether a negative length makes sense is the
    caller's to say.

    Raises:
        InputError: the value is no finite number, or its unit is unknown.
    """
    if isinstance(value, bool):
        raise InputError(f"length {value!r} is not a number: {_HELP}")
    if isinstance(value, str):
        match = _LENGTH.fullmatch(value)
        if match is None:
            raise InputError(f"length {value!r} is not a number: {_HELP}")
        digits, unit = match.groups()
        if unit and unit not in _EXPONENTS:
            raise InputError(f"length {value!r} has the unknown unit {unit!r}: {_HELP}")
        metres = float(Decimal(digits).scaleb(_EXPONENTS.get(unit, 0)))
    else:
        try:
            metres = float(value)
        except (TypeError, ValueError):
            raise InputError(f"length {value!r} is not a number: {_HELP}") from None
    if not math.isfinite(metres):
        raise InputError(f"length {value!r} is not finite: {_HELP}")
    return metres


def format_length(metres: float) -> str:
    """Write a length in metres for people, in the unit that reads best: 0.003 becomes "3 mm"."""
    size = abs(metres)
    for unit, scale, limit in (("um", 1e6, 1e-4), ("mm", 1e3, 0.1), ("cm", 1e2, 1.0)):
        if 0 < size < limit:
            return f"{metres * scale:.4g} {unit}"
    return f"{metres:.4g} m"
