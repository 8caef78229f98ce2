"""What reading and writing other formats needs, and how to say that it is missing."""

from __future__ import annotations

import importlib.util

from robolearn.errors import InputError


def require(*packages: str) -> None:
    """Raise an InputError that names the packages that are missing and what installs them."""
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise InputError(f"this format needs {' and '.join(missing)}: pip install 'robolearn[formats]'")
