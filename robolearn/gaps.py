"""What lies between a contract and an offer: every difference that forbids to run, found in one pass.

The rules, which `docs/contract.md` explains: joints, channels and cameras are matched by name; whatever is a
range in an offer has to hold the contract's value; the contract's limiter has to lie inside the offer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import degrees
from typing import TYPE_CHECKING, NamedTuple

from robolearn.camera import Camera, angle_between, distance_between, uncovered

if TYPE_CHECKING:
    from robolearn.contract import Action, Contract, Offer

JOINT_ACTIONS = ("torque", "impedance")
"""Kinds of action with one number a joint, matched by joint name."""

UPPER_BOUNDS = ("tau_max", "dtau", "q_hi", "dq_max", "power_max")
LOWER_BOUNDS = ("q_lo",)
"""Limiter parameters of which a smaller (a larger) value is tighter; any other one has to be equal."""


class Gap(NamedTuple):
    """One thing that an offer lacks."""

    thing: str
    required: str
    offered: str

    def __str__(self) -> str:
        return f"{self.thing}: requires {self.required}, offered {self.offered}"


def gaps(need: Contract, offer: Offer) -> Iterator[Gap]:
    """Every gap between a contract and an offer."""
    if need.arm != offer.arm:
        yield Gap("arm", repr(need.arm), repr(offer.arm))
    if missing := [joint for joint in need.joints if joint not in offer.joints]:
        yield Gap("joints", ", ".join(missing), _only(offer.joints))
    yield from _channel_gaps(need, offer)
    for camera in need.cameras:
        yield from _camera_gaps(camera, offer, need.delay_tolerance)
    yield from _action_gaps(need.action, offer)
    for rate in ("control_rate", "filter_rate"):
        value, (low, high) = getattr(need, rate), getattr(offer, rate)
        if not low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
            yield Gap(rate, f"{value:g} Hz", f"{low:g} Hz" if low == high else f"{low:g} to {high:g} Hz")
    yield from _limiter_gaps(need, offer)
    for name, delay in need.delays.items():
        if name not in offer.delays:
            yield Gap(f"delay {name}", f"{1e3 * delay:g} ms", _only(offer.delays))
        else:
            yield from _delay_gaps(f"delay {name}", delay, offer.delays[name], need.delay_tolerance)


def _channel_gaps(need: Contract, offer: Offer) -> Iterator[Gap]:
    offered = {channel.name: channel for channel in offer.proprioception}
    for channel in need.proprioception:
        thing, other = f"channel {channel.name}", offered.get(channel.name)
        if other is None:
            yield Gap(thing, f"{channel.size} x {channel.unit}", _only(offered))
            continue
        if channel.unit != other.unit:
            yield Gap(f"{thing} unit", channel.unit, other.unit)
        if channel.per_joint != other.per_joint:
            meaning = {True: "one number a joint", False: "numbers not tied to joints"}
            yield Gap(thing, meaning[channel.per_joint], meaning[other.per_joint])
        elif not channel.per_joint and channel.size != other.size:
            yield Gap(f"{thing} size", str(channel.size), str(other.size))


def _camera_gaps(need: Camera, offer: Offer, delay_tolerance: float) -> Iterator[Gap]:
    thing, offered = f"camera {need.name}", {camera.name: camera for camera in offer.cameras}
    other = offered.get(need.name)
    if other is None:
        yield Gap(thing, f"{need.width} x {need.height} {need.encoding}", _only(offered))
        return
    if need.encoding != other.encoding:
        yield Gap(f"{thing} encoding", need.encoding, other.encoding)
    yield from _delay_gaps(f"{thing} delay", need.delay, other.delay, delay_tolerance)

    # Whether the lens is wide enough is a question of its own: a camera that is mounted wrongly is asked as
    # if it were mounted rightly, so that both gaps are told at once.
    looks = other
    if need.frame != other.frame:
        yield Gap(f"{thing} frame", need.frame, other.frame)
        looks = replace(other, quaternion=need.quaternion)
    else:
        if (off := distance_between(need, other)) > need.position_tolerance + 1e-9:
            yield Gap(
                f"{thing} position", f"within {1e3 * need.position_tolerance:g} mm", f"{1e3 * off:.1f} mm off"
            )
        if (angle := angle_between(need, other)) > need.rotation_tolerance + 1e-9:
            tolerance, turned = degrees(need.rotation_tolerance), degrees(angle)
            yield Gap(f"{thing} rotation", f"within {tolerance:g} degrees", f"{turned:.2f} degrees off")
            looks = replace(other, quaternion=need.quaternion)
    if missing := uncovered(need, looks):
        yield Gap(f"{thing} field of view", "every pixel within the offered image", missing)


def _action_gaps(need: Action, offer: Offer) -> Iterator[Gap]:
    offered = {action.kind: action for action in offer.actions}
    other = offered.get(need.kind)
    if other is None:
        yield Gap("action kind", need.kind, _only(offered))
        return
    if need.unit != other.unit:
        yield Gap(f"action {need.kind} unit", need.unit, other.unit)
    if need.kind not in JOINT_ACTIONS and need.size != other.size:
        yield Gap(f"action {need.kind} size", str(need.size), str(other.size))
    if need.gripper and not other.gripper:
        yield Gap("gripper", "one", "none")


def _limiter_gaps(need: Contract, offer: Offer) -> Iterator[Gap]:
    """The contract's limiter, which is the one that will run, must lie inside what the offer permits."""
    for name in sorted(need.limiter.keys() - offer.limiter.keys()):
        yield Gap(f"limiter {name}", "a bound of that name", _only(offer.limiter))
    for name in sorted(offer.limiter.keys() - need.limiter.keys()):
        yield Gap(f"limiter {name}", "no bound of that name", "one")
    for name in sorted(need.limiter.keys() & offer.limiter.keys()):
        wanted, given = need.limiter[name], offer.limiter[name]
        if isinstance(wanted, tuple) and isinstance(given, tuple):
            by_joint = dict(zip(offer.joints, given, strict=True))
            pairs = [
                (f"limiter {name} of {joint}", value, by_joint[joint])
                for joint, value in zip(need.joints, wanted, strict=True)
                if joint in by_joint
            ]
        elif isinstance(wanted, tuple) or isinstance(given, tuple):
            form = {True: "one number a joint", False: "one number"}
            yield Gap(f"limiter {name}", form[isinstance(wanted, tuple)], form[isinstance(given, tuple)])
            continue
        else:
            pairs = [(f"limiter {name}", wanted, given)]
        for thing, value, bound in pairs:
            slack = 1e-9 * max(1.0, abs(bound))
            if name in UPPER_BOUNDS:
                if value > bound + slack:
                    yield Gap(thing, f"{value:g}", f"at most {bound:g}")
            elif name in LOWER_BOUNDS:
                if value < bound - slack:
                    yield Gap(thing, f"{value:g}", f"at least {bound:g}")
            elif abs(value - bound) > slack:
                yield Gap(thing, f"{value:g}", f"{bound:g}")


def _delay_gaps(thing: str, need: float, offered: float, tolerance: float) -> Iterator[Gap]:
    if abs(need - offered) > tolerance + 1e-9:
        yield Gap(thing, f"{1e3 * need:g} ms, give or take {1e3 * tolerance:g} ms", f"{1e3 * offered:g} ms")


def _only(names: Iterable[str]) -> str:
    return f"only {', '.join(names)}" if tuple(names) else "none"
