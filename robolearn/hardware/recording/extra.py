"""Whether what logs need is installed; it comes with an extra."""

from __future__ import annotations

from importlib.util import find_spec

from robolearn.errors import InputError


def require_logs() -> None:
    """Call this before the rest of this package is imported.

    Raises:
        InputError: names what is missing and how to install it.
    """
    if missing := [name for name in ("mcap", "rosbags") if find_spec(name) is None]:
        raise InputError(f"logs need {' and '.join(missing)}: pip install 'robolearn[logs]'")
