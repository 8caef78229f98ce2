"""Alignment: from messages, each with its own delay and rate, to observations as training has them.

In training an observation shows one moment: pictures and joint readings alike, some milliseconds before the
policy is asked. Over the wire they arrive one by one. So a grid of moments, a control period apart, is laid
onto the pictures when an episode begins. An observation of a moment is, for each camera, the picture nearest
to it; joint and gripper readings interpolated to when these pictures were taken; and the torque that had been
sent by then. What is missing or too far off is reported, and no observation is made of it: nothing is ever
filled in.

The policy runner aligns what arrives, the importer what was logged, with this same code, so to the same bits:

    alignment.begin(now)
    alignment.on_state(now, state)              # and so on, as messages come
    if alignment.due(now):
        observation = alignment.prepare(now)    # None where something is missing

Times are whole nanoseconds of the clock that the stamps belong to.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robolearn.camera import Camera
from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.hardware.settings import StationCamera
from robolearn.hardware.station import Station
from robolearn.hardware.viewing import ViewMap
from robolearn.hardware.wire import SECOND, Array, JointState, TorqueRequest, order

KEPT = SECOND // 2
"""Messages are kept this long [ns]."""

READING_GAP = 50_000_000
"""Readings farther apart, or a newest one that is older than the moment by more, are missing [ns]."""

CHANNELS = ("q", "dq", "tau", "gripper")
"""Channels that can be read over the wire."""


@dataclass(frozen=True)
class Wiring:
    """Where on the wire a contract's parts are found.

    Attributes:
        joint_names: the contract's joints, as joint states and torques call them.
        fingers: the joints whose positions add up to the gripper's width; empty without a gripper.
        command_delay: from sending a torque until the motors make it [s].
        cameras: the physical ones, by the names of the contract's cameras that they serve.
    """

    joint_names: tuple[str, ...]
    fingers: tuple[str, ...]
    command_delay: float
    cameras: tuple[StationCamera, ...]

    @classmethod
    def at(cls, station: Station, contract: Contract) -> Wiring:
        """A contract's wiring at a station that offers what it requires."""
        wire_names = dict(zip(station.arm.joint_names, station.joint_names, strict=True))
        return cls(
            tuple(wire_names[joint] for joint in contract.joints),
            station.gripper.state_joints,
            station.controller.command_delay,
            station.cameras,
        )


class Shot(Protocol):
    """A camera's picture, as `robolearn.hardware.wire.Picture`; a log's is decoded when it is looked at."""

    @property
    def stamp(self) -> int: ...

    @property
    def camera(self) -> str: ...

    @property
    def pixels(self) -> NDArray[Any]: ...


@dataclass(frozen=True, eq=False)
class Observation:
    """What a policy is shown.

    Attributes:
        stamp: of the oldest thing in it [ns].
        prepared: when it was put together [ns].
        values: pictures uint8 (h, w, 3) or depth float32 (h, w) [m], readings float32 (k,), by name.
    """

    stamp: int
    prepared: int
    values: dict[str, NDArray[Any]]


class Alignment:
    """Takes messages as they come, and makes the observations that a contract asks for.

    Args:
        contract: names the cameras and channels of an observation, their rate and delays.
        wiring: where they are found.

    Attributes:
        period: of the grid [ns].
        moment: of the observation that was prepared last [ns].
        missing: what it lacked, in words; empty where there was one.
        reports: how often each thing was missing or refused, since the start.

    Raises:
        InputError: a channel that nobody sends, or a camera that cannot serve the contract's.
    """

    def __init__(self, contract: Contract, wiring: Wiring) -> None:
        self.contract, self.wiring = contract, wiring
        self.period = round(SECOND / contract.control_rate)
        self._command_delay = round(wiring.command_delay * SECOND)
        self._delay = round(contract.delays.get("observation", 0.0) * SECOND)
        self._patience = round(contract.delay_tolerance * SECOND)
        self._channels = tuple(channel.name for channel in contract.proprioception)
        physical = {camera.name: camera for camera in wiring.cameras}
        self._cameras = {c.name: _Eye(c, physical[c.name], self._patience) for c in contract.cameras}
        self._joints, self._gripper = _Readings(), _Readings()
        self._sent: deque[tuple[int, Array]] = deque()
        if unknown := set(self._channels) - set(CHANNELS):
            raise InputError(f"nobody sends the channels {', '.join(sorted(unknown))}")

        self._next: int | None = None
        self._running, self._begun = False, 0
        self.moment = 0
        self.missing: tuple[str, ...] = ()
        self.reports: Counter[str] = Counter()

    # --- what arrives -------------------------------------------------------------------------------------

    def on_state(self, now: int, state: JointState) -> None:
        """A joint state: of the arm's joints, of the gripper's fingers, or of both."""
        n = len(state.names)
        if len(state.position) != n or len(state.velocity) != n:
            self.reports["joint state without positions or velocities"] += 1
            return
        used = False
        for wanted, readings in (
            (self.wiring.joint_names, self._joints),
            (self.wiring.fingers, self._gripper),
        ):
            if (places := order(state.names, wanted)) is None:
                continue
            used = True
            both = np.stack([np.asarray(state.position)[places], np.asarray(state.velocity)[places]])
            if not np.isfinite(both).all():
                self.reports["joint state that is not finite"] += 1
            elif not readings.add(state.stamp, both):
                self.reports["joint state that is no newer than the one before"] += 1
        if not used:
            self.reports["joint state without the policy's joints"] += 1

    def on_picture(self, now: int, picture: Shot) -> None:
        """A camera's picture; one of a camera that the policy does not look through is passed over."""
        if (eye := self._cameras.get(picture.camera)) is not None and not eye.add(picture):
            self.reports[f"picture of {picture.camera} that is no newer than the one before"] += 1

    def on_filtered(self, now: int, filtered: TorqueRequest) -> None:
        """The torque that the monitor lets through, gravity excluded, as it is sent now."""
        if (places := order(filtered.names, self.wiring.joint_names)) is None:
            self.reports["filtered torque without the policy's joints"] += 1
            return
        self._sent.append((now, np.asarray(filtered.torque)[places]))
        while self._sent[0][0] < now - KEPT:
            self._sent.popleft()

    # --- when ---------------------------------------------------------------------------------------------

    def begin(self, now: int) -> None:
        """An episode begins: observations are made of moments from now on."""
        self._next, self._running, self._begun = None, True, now

    def end(self) -> None:
        """Nothing is due any more."""
        self._running = False

    def due(self, now: int) -> bool:
        """Whether it is time to prepare an observation."""
        if not self._running:
            return False
        if self._next is None:
            self._next = self._first_moment(now)
            if self._next is None:
                return False
        seen = self._next + self._delay
        if now < seen:
            return False
        here = all(eye.has(self._next) for eye in self._cameras.values())
        return (here and self._joints.newest >= self._next) or now >= seen + self._patience

    @property
    def next_moment(self) -> int | None:
        """The moment that is to be seen next [ns]; None as long as that depends on what arrives."""
        return self._next if self._running else None

    def next_due(self) -> int | None:
        """When something may be due next [ns]; None as long as that depends on what arrives."""
        return None if self.next_moment is None else self.next_moment + self._delay

    def _first_moment(self, now: int) -> int | None:
        """The latest moment of which an observation can be made now, if it is a fresh one."""
        moment = min((eye.newest for eye in self._cameras.values()), default=now - self._delay)
        # of cameras out of step, one has just shown something and the other will soon
        slack = max([self._patience, *(eye.half for eye in self._cameras.values())])
        fresh = moment >= self._begun and now - moment <= self._delay + slack
        ready = self._joints.newest >= moment
        ready &= "tau" not in self._channels or self._torque_at(moment) is not None
        return moment if fresh and ready else None

    # --- observations -------------------------------------------------------------------------------------

    def prepare(self, now: int) -> Observation | None:
        """The observation that is due, or None where something of it is missing: `missing` says what.

        Raises:
            RuntimeError: none is due.
        """
        if self._next is None or not self._running:
            raise RuntimeError("no observation is due: see due()")
        late = (now - self._delay - self._next) // self.period
        if late > 0:  # whoever asks was held up: the moments that have passed meanwhile are skipped
            self.reports["moments skipped"] += late
            self._next += late * self.period
        self.moment = self._next
        self._next += self.period
        observation = self.observe(self.moment, now)
        for thing in self.missing:
            self.reports[f"{thing} missing"] += 1
        return observation

    def observe(self, moment: int, now: int) -> Observation | None:
        """The observation of any moment, of what has come by now; None where something of it is missing."""
        pictures = self._pictures(moment)
        missing = [f"camera {name}" for name in self._cameras if name not in pictures]
        stamps = [picture.stamp for picture in pictures.values()]
        taken = sum(stamps) // len(stamps) if stamps else moment
        joints, gripper, tau = self._joints.at(taken), self._gripper.at(taken), self._torque_at(taken)
        readings: dict[str, tuple[str, Array | None]] = {
            "q": ("joint state", None if joints is None else joints[0]),
            "dq": ("joint state", None if joints is None else joints[1]),
            "gripper": ("gripper state", None if gripper is None else gripper.sum(1)),
            "tau": ("torque sent", tau),
        }
        values: dict[str, NDArray[Any]] = {}
        for name in self._channels:
            source, reading = readings[name]
            if reading is None:
                missing.append(source)
            else:
                values[name] = reading.astype(np.float32)
        self.missing = tuple(dict.fromkeys(missing))
        if missing:
            return None
        seen = {name: self._cameras[name].map(picture.pixels) for name, picture in pictures.items()}
        return Observation(min([*stamps, taken]), now, {**seen, **values})

    def oldest(self, moment: int) -> int:
        """The stamp that the observation of a moment has [ns], if nothing of it is missing."""
        return min((picture.stamp for picture in self._pictures(moment).values()), default=moment)

    def stamps(self) -> list[int]:
        """When the pictures that are kept were taken, in order [ns]."""
        return sorted({stamp for eye in self._cameras.values() for stamp in eye.stamps})

    def latest(self, until: int) -> int:
        """The latest moment, up to `until`, of which every camera has shown something [ns]."""
        return min([until, *(eye.newest for eye in self._cameras.values())])

    def resume(self, moment: int) -> None:
        """Go on with the grid that a moment lies on, after that moment."""
        self._next = moment + self.period

    def _pictures(self, moment: int) -> dict[str, Shot]:
        """The picture of each camera that shows a moment, if one does."""
        found = {name: eye.nearest(moment) for name, eye in self._cameras.items()}
        return {name: picture for name, picture in found.items() if picture is not None}

    def _torque_at(self, time: int) -> Array | None:
        """What the motors were making just before a time, as far as the wire's delay is known."""
        time -= self._command_delay
        before = [torque for sent, torque in self._sent if time - READING_GAP <= sent < time]
        return before[-1] if before else None


class _Eye:
    """A camera's latest pictures, and the map to what the policy is shown."""

    def __init__(self, camera: Camera, physical: StationCamera, tolerance: int) -> None:
        self.map = ViewMap(camera, physical)
        # [ns]: a camera out of step with the policy is half of its own period off, and none is punctual
        self.half = round(0.6 * SECOND / physical.rate)
        self._farthest = max(tolerance, self.half)
        self._pictures: deque[Shot] = deque()

    def add(self, picture: Shot) -> bool:
        if self._pictures and picture.stamp <= self._pictures[-1].stamp:
            return False
        self._pictures.append(picture)
        while self._pictures[0].stamp < picture.stamp - KEPT:
            self._pictures.popleft()
        return True

    @property
    def stamps(self) -> list[int]:
        return [picture.stamp for picture in self._pictures]

    @property
    def newest(self) -> int:
        return self._pictures[-1].stamp if self._pictures else -KEPT

    def has(self, moment: int) -> bool:
        """Whether no picture that is yet to come will be nearer to a moment than those that are here."""
        return self.newest >= moment - self.half

    def nearest(self, moment: int) -> Shot | None:
        """The picture nearest to a moment, if it is near enough."""
        picture = min(self._pictures, key=lambda p: abs(p.stamp - moment), default=None)
        return picture if picture is not None and abs(picture.stamp - moment) <= self._farthest else None


class _Readings:
    """Positions and speeds as they came, to be read at any time between."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Array]] = deque()

    def add(self, stamp: int, reading: Array) -> bool:
        if self._kept and stamp <= self._kept[-1][0]:
            return False
        self._kept.append((stamp, reading))
        while self._kept[0][0] < stamp - KEPT:
            self._kept.popleft()
        return True

    @property
    def newest(self) -> int:
        return self._kept[-1][0] if self._kept else -KEPT

    def at(self, time: int) -> Array | None:
        """Interpolated between two readings; after the newest, that one if it is young enough; or None."""
        after: tuple[int, Array] | None = None
        for stamp, reading in reversed(self._kept):
            if stamp == time:
                return reading
            if stamp < time:
                if after is None:
                    return reading if time - stamp <= READING_GAP else None
                if after[0] - stamp > READING_GAP:
                    return None
                share = (time - stamp) / (after[0] - stamp)
                return np.asarray(reading + share * (after[1] - reading))
            after = stamp, reading
        return None
