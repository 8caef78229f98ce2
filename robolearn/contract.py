"""The contract between a policy and whoever runs it.

A `Contract` says what a policy *requires*; an `Offer` says what an environment or an arm can give.
`Contract.satisfied_by` lists every gap between the two, and nothing runs with one. A contract is written as
canonical JSON, and its hash travels with every bundle, dataset and log.

Units are SI and angles are radians. Cameras are described in `robolearn.camera`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from robolearn import checks
from robolearn.camera import Camera, pixel_map
from robolearn.errors import InputError, choose
from robolearn.gaps import JOINT_ACTIONS, Gap, gaps

__all__ = ["Action", "Camera", "Channel", "Contract", "Gap", "Offer", "pixel_map"]

VERSION = 1
"""Version of the JSON form; another one is refused."""

ACTION_KINDS = ("torque", "impedance", "pose")

Scalars = float | tuple[float, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Channel:
    """One proprioceptive reading: an array of `size` numbers.

    A channel `per_joint` has one number a joint, in the order of the contract's joints.
    """

    name: str
    unit: str
    size: int
    per_joint: bool = False

    def __post_init__(self) -> None:
        thing = f"channel {checks.text('channel name', self.name)!r}"
        _set(
            self,
            unit=checks.text(f"unit of {thing}", self.unit),
            size=checks.whole(f"size of {thing}", self.size, 1),
            per_joint=checks.flag(f"per_joint of {thing}", self.per_joint),
        )


@dataclass(frozen=True)
class Action:
    """What the policy commands: `size` numbers for the arm and, with `gripper`, one more at the end.

    The gripper's number runs from open (-1) to closed (+1); above 0 it closes. Torques exclude gravity.
    """

    kind: str
    size: int
    unit: str
    gripper: bool

    def __post_init__(self) -> None:
        _set(
            self,
            kind=choose("action kind", checks.text("action kind", self.kind), ACTION_KINDS),
            size=checks.whole("action size", self.size, 1),
            unit=checks.text("action unit", self.unit),
            gripper=checks.flag("action gripper", self.gripper),
        )

    @property
    def length(self) -> int:
        """Numbers in an action, the gripper's included."""
        return self.size + int(self.gripper)


@dataclass(frozen=True)
class Offer:
    """What an environment or an arm can give, in any order and perhaps more than a policy needs.

    `control_rate` and `filter_rate` are the lowest and the highest one possible [Hz]. `limiter` holds the
    outermost parameters that the arm permits, a number or one number a joint in the order of `joints`.
    `delays` are the ones measured [s].
    """

    arm: str
    joints: tuple[str, ...]
    proprioception: tuple[Channel, ...]
    cameras: tuple[Camera, ...]
    actions: tuple[Action, ...]
    control_rate: tuple[float, float]
    filter_rate: tuple[float, float]
    limiter: Mapping[str, Scalars]
    delays: Mapping[str, float]

    def __post_init__(self) -> None:
        _set_common(self)
        _set(self, actions=_records("actions", self.actions, Action))
        for action in self.actions:
            _check_action(action, self.joints)
        for rate in ("control_rate", "filter_rate"):
            low, high = checks.vector(rate, getattr(self, rate), 2)
            if not 0.0 < low <= high:
                raise InputError(
                    f"{rate} is {low:g} to {high:g}; it must be a lowest and a highest rate in Hz"
                )
            _set(self, **{rate: (low, high)})


@dataclass(frozen=True)
class Contract:
    """What a policy requires of whoever runs it.

    `joints` in the order in which the policy sees and commands them. `control_rate` is how often the policy
    acts and `filter_rate` how often the limiter ticks [Hz]. `limiter` holds the parameters of the limiter
    that the policy was trained under, a number or one number a joint; whoever runs the policy runs these.
    `delays` are the expected ones by name [s]; they, and the cameras', may be off by `delay_tolerance` [s]
    either way. `history` is the number of observations, the present one included, that the policy looks at.
    """

    arm: str
    joints: tuple[str, ...]
    proprioception: tuple[Channel, ...]
    cameras: tuple[Camera, ...]
    action: Action
    control_rate: float
    filter_rate: float
    limiter: Mapping[str, Scalars]
    delays: Mapping[str, float]
    history: int = 1
    delay_tolerance: float = 0.01

    def __post_init__(self) -> None:
        _set_common(self)
        if not isinstance(self.action, Action):
            raise InputError(f"action is {self.action!r}; it must be an Action")
        _check_action(self.action, self.joints)
        _set(
            self,
            control_rate=checks.number("control_rate", self.control_rate, above=0.0),
            filter_rate=checks.number("filter_rate", self.filter_rate, above=0.0),
            history=checks.whole("history", self.history, 1),
            delay_tolerance=checks.number("delay_tolerance", self.delay_tolerance, low=0.0),
        )

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form as a dict."""
        return {"version": VERSION, **asdict(self)}

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, floats that read back exactly."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_dict(cls, value: object) -> Contract:
        """The inverse of `to_dict`.

        Raises:
            InputError: another version, a key unknown or missing, or a value of the wrong type or range.
        """
        data = checks.exact_keys("contract", value, {"version", *(f.name for f in fields(cls))})
        if (version := checks.whole("contract version", data.pop("version"), 1)) != VERSION:
            raise InputError(f"contract version is {version}; this robolearn reads version {VERSION}")
        for key, kind in (("proprioception", Channel), ("cameras", Camera)):
            entries = checks.items(key, data[key])
            data[key] = tuple(_build(kind, f"{key}[{i}]", entry) for i, entry in enumerate(entries))
        data["action"] = _build(Action, "action", data["action"])
        return cls(**data)

    @classmethod
    def from_json(cls, text: str | bytes) -> Contract:
        """The inverse of `to_json`; raises what `from_dict` raises, also for text that is not JSON."""
        return cls.from_dict(checks.parse_json("contract", text))

    def offered(self) -> Offer:
        """The offer of whoever is built to this contract, for example an environment."""
        return Offer(
            arm=self.arm,
            joints=self.joints,
            proprioception=self.proprioception,
            cameras=self.cameras,
            actions=(self.action,),
            control_rate=(self.control_rate, self.control_rate),
            filter_rate=(self.filter_rate, self.filter_rate),
            limiter=self.limiter,
            delays=self.delays,
        )

    def satisfied_by(self, offer: Offer) -> list[Gap]:
        """Every gap between this contract and an offer; none means that the policy may run."""
        return list(gaps(self, offer))

    def require(self, offer: Offer) -> None:
        """Raise an InputError that lists every gap, if there is one."""
        if found := self.satisfied_by(offer):
            raise InputError("the contract is not satisfied:\n" + "\n".join(f"  {gap}" for gap in found))


def _set(record: object, **values: object) -> None:
    """Put checked values into a frozen dataclass that is being made."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def _set_common(record: Contract | Offer) -> None:
    """Check the fields that a contract and an offer share."""
    joints = checks.names("joints", record.joints)
    if not joints:
        raise InputError("joints is empty; an arm has at least one")
    limiter: dict[str, Scalars] = {}
    for name, value in checks.mapping("limiter", record.limiter).items():
        thing = f"limiter {name}"
        is_list = not isinstance(value, str) and hasattr(value, "__len__")
        limiter[name] = checks.vector(thing, value, len(joints)) if is_list else checks.number(thing, value)
    delays = checks.mapping("delays", record.delays)
    _set(
        record,
        arm=checks.text("arm", record.arm),
        joints=joints,
        proprioception=_records("proprioception", record.proprioception, Channel),
        cameras=_records("cameras", record.cameras, Camera),
        limiter=limiter,
        delays={name: checks.number(f"delay {name}", value, low=0.0) for name, value in delays.items()},
    )
    for channel in record.proprioception:
        if channel.per_joint and channel.size != len(joints):
            raise InputError(
                f"channel {channel.name!r} has size {channel.size}; there are {len(joints)} joints"
            )


def _records(thing: str, value: object, kind: type[T]) -> tuple[T, ...]:
    entries = checks.items(thing, value)
    for i, entry in enumerate(entries):
        if not isinstance(entry, kind):
            raise InputError(f"{thing}[{i}] is {entry!r}; it must be of type {kind.__name__}")
    checks.names(thing, [entry.kind if isinstance(entry, Action) else entry.name for entry in entries])
    return entries


def _check_action(action: Action, joints: tuple[str, ...]) -> None:
    if action.kind in JOINT_ACTIONS and action.size != len(joints):
        raise InputError(f"action {action.kind!r} has size {action.size}; there are {len(joints)} joints")


def _build(kind: type[T], thing: str, value: object) -> T:
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return kind(**checks.exact_keys(thing, value, names))
