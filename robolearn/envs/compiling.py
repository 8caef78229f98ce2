"""Python functions as machine code."""

from __future__ import annotations

from typing import Any

import numba


def compiled(function: Any) -> Any:
    """Compile with numba; keep the machine code on disk if any of numba's cache folders is writable."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no place for a cache: compile anew in every process
        return numba.njit(nogil=True)(function)
