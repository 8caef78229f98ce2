"""The policy runner: from what arrives over the wire to what a policy asks for, aligned as in training.

In training an observation shows one moment: pictures and joint readings alike, some milliseconds before the
policy is asked. Here they arrive one by one, each with its own delay and rate. So the runner keeps a grid of
moments, a control period apart, laid onto the pictures when an episode begins. An observation of a moment
is, for each camera, the picture nearest to it; joint and gripper readings interpolated to when these pictures
were taken; and the torque that had been sent by then. What is missing or too far off is reported, and no
observation is made of it: nothing is ever filled in.

Asking the policy takes three steps, so that the one that takes long can run elsewhere:

    observation = runner.prepare(now)           # None where something is missing
    action = runner.infer(observation)          # on any one thread, one after the other
    request = runner.request(observation, action, now)

Times are whole nanoseconds of the clock that the stamps belong to.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robolearn.camera import Camera
from robolearn.errors import InputError
from robolearn.hardware.station import Station
from robolearn.hardware.viewing import ViewMap
from robolearn.hardware.wire import SECOND, Array, Heartbeat, JointState, Picture, TorqueRequest, order

if TYPE_CHECKING:
    from robolearn.policies.bundle import Bundle

KEPT = SECOND // 2
"""Messages are kept this long [ns]."""

READING_GAP = 50_000_000
"""Readings farther apart, or a newest one that is older than the moment by more, are missing [ns]."""

SENDER = "policy"
"""Of the runner's heartbeats."""


class Actor(Protocol):
    """What chooses actions; it is shown every observation of an episode once, in order."""

    def reset(self) -> None:
        """Forget the past: an episode begins."""

    def act(self, observation: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The action for the next observation, shape (a,)."""


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


class Latencies:
    """How long things took, of the latest 1000 [s]."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=1000)

    def add(self, nanoseconds: int) -> None:
        self._recent.append(nanoseconds / SECOND)

    def summary(self) -> dict[str, float]:
        """Median, 99th percentile and maximum [s]; empty before the first."""
        if not self._recent:
            return {}
        median, p99, most = np.quantile(self._recent, [0.5, 0.99, 1.0]).tolist()
        return {"median": median, "p99": p99, "max": most}


class PolicyRunner:
    """Runs the policy of a bundle at a station.

    Args:
        bundle: the policy and its contract.
        station: where it is to run.
        actor: what chooses the actions; None for the bundle's own network, in torch.

    Attributes:
        contract: what the policy requires.
        missing: what the latest observation lacked, in words; empty where there was one.
        reports: how often each thing was missing or refused, since the start.
        inference: from an observation to its request.
        age: from an observation's stamp to its request.

    Raises:
        InputError: the station does not offer what the contract requires; lists every gap.
    """

    def __init__(self, bundle: Bundle, station: Station, actor: Actor | None = None) -> None:
        self.contract = contract = bundle.contract
        contract.require(station.offer())
        self.bundle, self.station = bundle.weights_hash, station
        self.actor: Actor = actor if actor is not None else bundle.network
        wire_names = dict(zip(station.arm.joint_names, station.joint_names, strict=True))
        self.joint_names = tuple(wire_names[joint] for joint in contract.joints)
        """The contract's joints, as the wire calls them."""
        self._fingers = station.gripper.state_joints

        self._period = round(SECOND / contract.control_rate)
        self._command_delay = round(station.controller.command_delay * SECOND)
        self._delay = round(contract.delays.get("observation", 0.0) * SECOND)
        self._patience = round(contract.delay_tolerance * SECOND)
        self._channels = tuple(channel.name for channel in contract.proprioception)
        self._cameras = {camera.name: _Eye(camera, station, self._patience) for camera in contract.cameras}
        self._joints, self._gripper = _Readings(), _Readings()
        self._sent: deque[tuple[int, Array]] = deque()
        if unknown := set(self._channels) - {"q", "dq", "tau", "gripper"}:
            raise InputError(f"no runner has the channels {', '.join(sorted(unknown))}")

        self._next: int | None = None
        self._running, self._begun = False, 0
        self.missing: tuple[str, ...] = ()
        self.reports: Counter[str] = Counter()
        self.inference, self.age = Latencies(), Latencies()

    # --- what arrives -------------------------------------------------------------------------------------

    def on_state(self, now: int, state: JointState) -> None:
        """A joint state: of the arm's joints, of the gripper's fingers, or of both."""
        n = len(state.names)
        if len(state.position) != n or len(state.velocity) != n:
            self.reports["joint state without positions or velocities"] += 1
            return
        used = False
        for wanted, readings in ((self.joint_names, self._joints), (self._fingers, self._gripper)):
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

    def on_picture(self, now: int, picture: Picture) -> None:
        """A camera's picture; one of a camera that the policy does not look through is passed over."""
        if (eye := self._cameras.get(picture.camera)) is not None and not eye.add(picture):
            self.reports[f"picture of {picture.camera} that is no newer than the one before"] += 1

    def on_filtered(self, now: int, filtered: TorqueRequest) -> None:
        """The torque that the monitor lets through, gravity excluded, as it is sent now."""
        if (places := order(filtered.names, self.joint_names)) is None:
            self.reports["filtered torque without the policy's joints"] += 1
            return
        self._sent.append((now, np.asarray(filtered.torque)[places]))
        while self._sent[0][0] < now - KEPT:
            self._sent.popleft()

    # --- when ---------------------------------------------------------------------------------------------

    def begin(self, now: int) -> None:
        """An episode begins: the policy forgets, and is shown moments from now on."""
        self.actor.reset()
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

    def next_due(self) -> int | None:
        """When something may be due next [ns]; None as long as that depends on what arrives."""
        return self._next + self._delay if self._running and self._next is not None else None

    def _first_moment(self, now: int) -> int | None:
        """The latest moment of which an observation can be made now, if it is a fresh one."""
        moment = min((eye.newest for eye in self._cameras.values()), default=now - self._delay)
        fresh = moment >= self._begun and now - moment <= self._delay + self._patience
        ready = self._joints.newest >= moment
        ready &= "tau" not in self._channels or self._torque_at(moment) is not None
        return moment if fresh and ready else None

    # --- asking the policy --------------------------------------------------------------------------------

    def prepare(self, now: int) -> Observation | None:
        """The observation that is due, or None where something of it is missing: `missing` says what.

        Raises:
            RuntimeError: none is due.
        """
        if self._next is None or not self._running:
            raise RuntimeError("no observation is due: see due()")
        late = (now - self._delay - self._next) // self._period
        if late > 0:  # whoever asks was held up: the moments that have passed meanwhile are skipped
            self.reports["moments skipped"] += late
            self._next += late * self._period
        moment = self._next
        self._next += self._period

        missing: list[str] = []
        values: dict[str, NDArray[Any]] = {}
        stamps: list[int] = []
        for name, eye in self._cameras.items():
            picture = eye.nearest(moment)
            if picture is None:
                missing.append(f"camera {name}")
            else:
                stamps.append(picture.stamp)
                values[name] = eye.map(picture.pixels)
        taken = sum(stamps) // len(stamps) if stamps else moment
        joints, gripper, tau = self._joints.at(taken), self._gripper.at(taken), self._torque_at(taken)
        readings: dict[str, tuple[str, Array | None]] = {
            "q": ("joint state", None if joints is None else joints[0]),
            "dq": ("joint state", None if joints is None else joints[1]),
            "gripper": ("gripper state", None if gripper is None else gripper.sum(1)),
            "tau": ("torque sent", tau),
        }
        for name in self._channels:
            source, reading = readings[name]
            if reading is None:
                missing.append(source)
            else:
                values[name] = reading.astype(np.float32)
        self.missing = tuple(dict.fromkeys(missing))
        for thing in self.missing:
            self.reports[f"{thing} missing"] += 1
        return None if missing else Observation(min([*stamps, taken]), now, values)

    def infer(self, observation: Observation) -> NDArray[np.float32]:
        """The policy's action, shape (a,); takes long, and may run on a thread of its own."""
        return self.actor.act(observation.values)

    def request(self, observation: Observation, action: NDArray[np.float32], now: int) -> TorqueRequest:
        """What to send to the monitor for an action that was chosen by now."""
        self.inference.add(now - observation.prepared)
        self.age.add(now - observation.stamp)
        n = len(self.joint_names)
        gripper = float(action[n]) if self.contract.action.gripper else None
        return TorqueRequest(observation.stamp, self.joint_names, action[:n].astype(np.float64), gripper)

    def heartbeat(self, now: int) -> Heartbeat:
        """What announces the policy and keeps it alive in the monitor's eyes."""
        return Heartbeat(now, SENDER, self.bundle, self.contract.hash)

    def _torque_at(self, time: int) -> Array | None:
        """What the motors were making just before a time, as far as the wire's delay is known."""
        time -= self._command_delay
        before = [torque for sent, torque in self._sent if time - READING_GAP <= sent < time]
        return before[-1] if before else None


class _Eye:
    """A camera's latest pictures, and the map to what the policy is shown."""

    def __init__(self, camera: Camera, station: Station, tolerance: int) -> None:
        physical = next(other for other in station.cameras if other.name == camera.name)
        self.map = ViewMap(camera, physical)
        # a camera that is not in step with the policy is half of its own period off, and none is punctual
        self._half = round(0.6 * SECOND / physical.rate)
        self._farthest = max(tolerance, self._half)
        self._pictures: deque[Picture] = deque()

    def add(self, picture: Picture) -> bool:
        if self._pictures and picture.stamp <= self._pictures[-1].stamp:
            return False
        self._pictures.append(picture)
        while self._pictures[0].stamp < picture.stamp - KEPT:
            self._pictures.popleft()
        return True

    @property
    def newest(self) -> int:
        return self._pictures[-1].stamp if self._pictures else -KEPT

    def has(self, moment: int) -> bool:
        """Whether no picture that is yet to come will be nearer to a moment than those that are here."""
        return self.newest >= moment - self._half

    def nearest(self, moment: int) -> Picture | None:
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
