"""Checks of one message or one measurement: pure, in plain floats, each result a `Cause` or several.

What a message says is put into the station's joint order here, once; everything behind works on lists in that
order. Whatever needs to remember earlier messages is in `robolearn.hardware.monitor.streams`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import NamedTuple

import numpy as np

from robolearn.hardware.limiter import REACTION_TIME
from robolearn.hardware.model import ArmModel
from robolearn.hardware.monitor.causes import Cause
from robolearn.hardware.station import Station
from robolearn.hardware.wire import JointState, TorqueRequest, Wrench, order

SANE = 1e6
"""rad, rad/s, N·m: no arm measures more; what is beyond counts as not finite."""

TORQUE_RATE_FACTOR = 2.0
"""Share of the published torque rate at which a measured torque may change: motors reach one, a hit more."""


class Reading(NamedTuple):
    """A joint state in the station's joint order; `tau` is empty where the arm does not measure it."""

    stamp: int
    q: list[float]
    dq: list[float]
    tau: list[float]


class Ask(NamedTuple):
    """A request in the station's joint order."""

    stamp: int
    torque: list[float]
    gripper: float | None


def read_state(state: JointState, names: Sequence[str]) -> Reading | Cause:
    """A joint state's content, or what is wrong with it. Other joints in it are left out."""
    said = len(state.names)
    place = order(state.names, names)
    if place is None:
        return Cause.STATE_NAMES
    if state.velocity.size == 0:
        return Cause.STATE_NO_VELOCITY
    arrays = (state.position, state.velocity, state.effort)
    if any(a.ndim != 1 for a in arrays) or state.effort.size not in (0, said):
        return Cause.STATE_SIZE
    if state.position.size != said or state.velocity.size != said:
        return Cause.STATE_SIZE
    q, dq, tau = ([float(values[i]) for i in place] if len(values) else [] for values in map(_list, arrays))
    if not (_sane(q) and _sane(dq) and _sane(tau)):
        return Cause.STATE_NONFINITE
    return Reading(state.stamp, q, dq, tau)


def read_request(request: TorqueRequest, names: Sequence[str]) -> Ask | Cause:
    """A request's content, or what is wrong with it."""
    if request.torque.ndim != 1 or request.torque.size != len(request.names):
        return Cause.REQUEST_SIZE
    place = order(request.names, names)
    if place is None or len(request.names) != len(names):
        return Cause.REQUEST_NAMES
    values = request.torque.tolist()
    torque = [float(values[i]) for i in place]
    gripper = None if request.gripper is None else float(request.gripper)
    if not all(-np.inf < t < np.inf for t in torque) or not (gripper is None or -np.inf < gripper < np.inf):
        return Cause.REQUEST_NONFINITE
    if gripper is not None and not -1.0 <= gripper <= 1.0:
        return Cause.REQUEST_GRIPPER
    return Ask(request.stamp, torque, gripper)


class MeasuredBounds:
    """What the measured arm may do, from the station; `broken` and `ahead` say what it breaks or will."""

    def __init__(self, station: Station, model: ArmModel) -> None:
        arm, settings = station.arm, station.monitor
        self._model = model
        self._self_distance = station.workspace.self_distance
        grip, links = station.workspace.grip, station.workspace.links
        self._low, self._high = np.array([grip.low, links.low]), np.array([grip.high, links.high])
        self._q_low = (arm.q_min + settings.position_margin).tolist()
        self._q_high = (arm.q_max - settings.position_margin).tolist()
        self._dq = (settings.speed_factor * arm.dq_max).tolist()
        self._ddq = arm.ddq_max.tolist()
        self._tau = (settings.torque_factor * arm.tau_max).tolist()
        self._power = settings.power_factor * arm.limiter.power_max
        self._horizon = station.state.delay + 1.0 / settings.rate + REACTION_TIME

    def broken(self, reading: Reading) -> set[Cause]:
        """Bounds of single joints, and of the power, that a measurement breaks."""
        causes = set()
        power = 0.0
        q_low, q_high, dq_max = self._q_low, self._q_high, self._dq
        for i, (q, dq) in enumerate(zip(reading.q, reading.dq, strict=True)):
            if not q_low[i] < q < q_high[i]:
                causes.add(Cause.POSITION)
            if abs(dq) > dq_max[i]:
                causes.add(Cause.SPEED)
        for i, tau in enumerate(reading.tau):
            if abs(tau) > self._tau[i]:
                causes.add(Cause.TORQUE)
            power += max(tau * reading.dq[i], 0.0)
        if power > self._power:
            causes.add(Cause.POWER)
        return causes

    def stops_in_time(self, reading: Reading) -> bool:
        """Whether every joint can stop before its limit, v² / 2a, at the published acceleration."""
        for i, (q, dq) in enumerate(zip(reading.q, reading.dq, strict=True)):
            room = self._q_high[i] - q if dq > 0.0 else q - self._q_low[i]
            if dq * dq > 2.0 * self._ddq[i] * max(room, 0.0) and dq != 0.0:
                return False
        return True

    def places(self, reading: Reading) -> set[Cause]:
        """Where the arm is, and where it will be when the answer to this measurement takes effect."""
        q = np.array(reading.q)
        frames = self._model.frames(np.stack([q, q + self._horizon * np.array(reading.dq)]))
        capsules = self._model.capsules(frames)
        grip = self._model.grip(frames)[:, :3, 3]
        low, high = self._model.extent(capsules)
        # (now and soon, grip and links, xyz)
        inside = (np.stack([grip, low], axis=1) >= self._low) & (np.stack([grip, high], axis=1) <= self._high)
        is_inside, will_be = (bool(each.all()) for each in inside)
        now, soon = self._model.self_distance(capsules).tolist()
        causes = set()
        if not is_inside:
            causes.add(Cause.WORKSPACE)
        elif not will_be:
            causes.add(Cause.WORKSPACE_AHEAD)
        if now <= 0.0:
            causes.add(Cause.SELF_COLLISION)
        elif soon < self._self_distance and soon < now:
            causes.add(Cause.SELF_COLLISION_AHEAD)
        return causes


def too_strong(wrench: Wrench, force_max: float, torque_max: float) -> bool:
    """Whether a wrench exceeds its maxima [N], [N·m], or is none."""
    if wrench.force.shape != (3,) or wrench.torque.shape != (3,):
        return True
    force, torque = hypot(*wrench.force.tolist()), hypot(*wrench.torque.tolist())
    return not (force <= force_max and torque <= torque_max)  # NaN is too strong


def _list(values: np.ndarray) -> list[float]:
    return values.tolist()


def _sane(values: Sequence[float]) -> bool:
    return all(-SANE < v < SANE for v in values)
