"""The one error that bad input raises, and the sentence it says."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something a person wrote (an argument, a file, a name) cannot be used.

    The message names the thing, the value and the valid choices, so that it can be shown as it is: the
    command line prints it without a traceback.
    """


def choose(kind: str, value: str, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`.

    `kind` is what the value names, as a person would say it ("task", "peg shape").

    Raises:
        InputError: names the value, every choice and the closest one.
    """
    names = list(choices)
    if value in names:
        return value
    if not names:
        raise InputError(f"unknown {kind} {value!r}: there is none to choose from")
    close = difflib.get_close_matches(str(value).lower(), [name.lower() for name in names], n=1)
    hint = ""
    if close:
        nearest = next(name for name in names if name.lower() == close[0])
        hint = f" (did you mean {nearest!r}?)"
    raise InputError(f"unknown {kind} {value!r}{hint}: choose one of {', '.join(names)}")
