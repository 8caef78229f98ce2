"""Episodes that we wrote: out of the header that travelled along, and the arrays that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.contract import Contract
from robolearn.data.episode import Episode
from robolearn.errors import InputError

Array = NDArray[Any]


class Wanted(NamedTuple):
    """An array that a header names: its name in `Episode.arrays`, dtype and shape, the episode's contract."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    contract: Contract


def own_episode(where: str, header: str, read: Callable[[Wanted], Array]) -> Episode:
    """The episode of a header (see `Episode.header`), whose arrays `read` gives.

    Raises:
        InputError: something is damaged, missing, or was changed; says `where`.
    """
    try:
        told = checks.mapping("header", checks.parse_json("header", header))
        contract = Contract.from_dict(told.get("contract"))
        arrays = {}
        for name, entry in checks.mapping("arrays of the header", told.get("arrays")).items():
            dtype, shape = checks.items(f"{name} in the header", entry)
            arrays[name] = read(Wanted(name, np.dtype(dtype), tuple(shape), contract))
        return Episode.assemble(header, arrays)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
