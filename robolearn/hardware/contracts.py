"""The contract of a bundle, read without the policy: no torch is loaded."""

from __future__ import annotations

from pathlib import Path

import robolearn
from robolearn.contract import Contract
from robolearn.errors import InputError


def contract_of(policy: str) -> Contract:
    """The contract of a bundle (its directory, a training run's, or a shipped name).

    Raises:
        InputError: there is none.
    """
    shipped = Path(robolearn.__file__).parent / "bundles" / policy
    places = [Path(policy), Path(policy) / "bundle"]
    if Path(policy).name == policy:
        places.insert(0, shipped)
    for place in places:
        if (place / "contract.json").is_file():
            return Contract.from_json((place / "contract.json").read_bytes())
    raise InputError(
        f"there is no bundle {policy!r}: looked for contract.json in {', '.join(map(str, places))}"
    )


def read_contract(path: Path) -> Contract:
    """The contract in a file, such as a bundle's contract.json.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        return Contract.from_json(path.read_bytes())
    except (OSError, InputError) as error:
        raise InputError(f"contract {path}: {error}") from error
