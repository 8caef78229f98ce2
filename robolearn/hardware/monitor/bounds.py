"""Which limiter parameters hold: the station's, the announced contract's, and what assistance lowers."""

from __future__ import annotations

from collections.abc import Sequence

from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.gaps import LOWER_BOUNDS, UPPER_BOUNDS
from robolearn.hardware.limiter import LimiterParameters
from robolearn.hardware.station import Station


def tightened(station: Station, parameters: LimiterParameters, contract: Contract) -> LimiterParameters:
    """The station's parameters, tightened to the contract's where these are tighter; never looser.

    Args:
        station: whose offer the contract must be satisfied by.
        parameters: the station's, as lists in its joint order.

    Raises:
        InputError: lists every gap between what the contract requires and what the station offers.
    """
    contract.require(station.offer())
    if set(contract.joints) != set(station.arm.joint_names):
        raise InputError(
            f"the contract's joints are {', '.join(contract.joints)}; the arm's are "
            f"{', '.join(station.arm.joint_names)}"
        )
    place = [contract.joints.index(name) for name in station.arm.joint_names]
    tight: dict[str, object] = {}
    for name, bound in parameters._asdict().items():
        if name not in UPPER_BOUNDS + LOWER_BOUNDS:
            continue  # `require` saw that they are equal
        choose = min if name in UPPER_BOUNDS else max
        wanted = contract.limiter[name]
        if isinstance(wanted, tuple):
            tight[name] = [choose(b, wanted[i]) for b, i in zip(bound, place, strict=True)]
        else:
            tight[name] = choose(bound, wanted)
    return parameters._replace(**tight)  # type: ignore[arg-type]


def tightest(several: Sequence[LimiterParameters]) -> LimiterParameters:
    """The tightest of each bound in several parameters of one station, at least one."""
    if len(several) == 1:
        return several[0]
    tight: dict[str, object] = {}
    for name in UPPER_BOUNDS + LOWER_BOUNDS:
        choose = min if name in UPPER_BOUNDS else max
        bounds = [getattr(each, name) for each in several]
        by_joint = isinstance(bounds[0], list)
        tight[name] = [choose(joint) for joint in zip(*bounds, strict=True)] if by_joint else choose(bounds)
    return several[0]._replace(**tight)  # type: ignore[arg-type]


def slowed(parameters: LimiterParameters, share: float) -> LimiterParameters:
    """The same parameters with a share of the speed limits."""
    return parameters._replace(dq_max=[share * speed for speed in parameters.dq_max])
