"""What is measured at the simulated arm: joints, wrist and cameras, each at its own rate, with its own delay.

A camera's picture is drawn when it arrives, of the world as it was when the shutter opened: those that nobody
waits for cost nothing.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.observing import Moment, Observer
from robolearn.errors import choose
from robolearn.hardware.faults import Faults
from robolearn.hardware.simulation.timing import Shutter, WireTiming, nanoseconds
from robolearn.hardware.wire import GRIPPER, SECOND, Array, JointState, Picture, Wrench

Message = JointState | Picture | Wrench


class Sensors:
    """Everything that is measured, and what of it is under way.

    Args:
        env: the world.
        timing: of the wire.
        joint_names: how joint states call the joints.
        faults: what goes wrong between the sensors and whoever listens.
        rng: of the noise.
        start: the time now [ns].

    Raises:
        InputError: the timing names a camera that is not there.
    """

    def __init__(
        self,
        env: ManipulationEnv,
        timing: WireTiming,
        joint_names: tuple[str, ...],
        faults: Faults,
        rng: np.random.Generator,
        start: int,
    ) -> None:
        self._env, self._names, self._faults, self._rng = env, joint_names, faults, rng
        self._wrench = timing.wrench
        self._sensors = [_Sensor(timing.state_rate, timing.state_delay, start)]
        self._sensors += _cameras(env, timing, start)
        self._arriving: list[tuple[int, int, Message | _Exposure]] = []
        self._sent = 0  # messages so far: breaks ties between those that arrive at one time

    def expose(self, now: int, made: Array, broken: bool) -> None:
        """Read whatever is due.

        Args:
            now: the time [ns].
            made: what the motors make (n,) [N·m].
            broken: whether the simulated world flew apart.
        """
        for sensor in self._sensors:
            if sensor.next > now:
                continue
            sensor.advance(now)
            if sensor.observer is None:
                self._measure(sensor, now, made, broken)
            elif not broken:  # there is nothing to see of a world that flew apart
                moment = Moment.of(self._env.scene, np.zeros(0))
                self._post(_Exposure(now, sensor, moment), now + sensor.delay)

    def arrived(self, until: int) -> list[Message]:
        """What arrives by a time [ns], in the order of arrival."""
        messages: list[Message] = []
        while self._arriving and self._arriving[0][0] <= until:
            messages += self._develop(heapq.heappop(self._arriving))
        return messages

    def upcoming(self) -> list[tuple[int, int]]:
        """When each sensor is due [ns], and its delay [ns]."""
        return [(sensor.next, sensor.delay) for sensor in self._sensors]

    def next_arrival(self) -> int | None:
        """When the first of those under way arrives [ns]."""
        return self._arriving[0][0] if self._arriving else None

    def forget_pictures(self) -> None:
        """Pictures under way are lost."""
        self._arriving = [entry for entry in self._arriving if not isinstance(entry[2], _Exposure)]
        heapq.heapify(self._arriving)

    def forget(self) -> None:
        """Everything under way is lost."""
        self._arriving.clear()

    def skip(self, by: int) -> None:
        """For so long [ns] nothing was read."""
        for sensor in self._sensors:
            sensor.skip(by)

    def textures_changed(self) -> None:
        """Draw with the textures that the world has now."""
        for sensor in self._sensors:
            if sensor.observer is not None:
                sensor.observer.textures_changed(self._env.scene)

    def close(self) -> None:
        """Free what rendering holds."""
        for sensor in self._sensors:
            if sensor.observer is not None:
                sensor.observer.close()

    def _measure(self, sensor: _Sensor, now: int, made: Array, broken: bool) -> None:
        for arrival in self._faults.on_state(self._joints(now, made, broken)):
            self._post(arrival.message, now + sensor.delay + arrival.later)
        if self._wrench:
            self._post(self._wrist(now), now + sensor.delay)

    def _post(self, message: Message | _Exposure, arrival: int) -> None:
        heapq.heappush(self._arriving, (arrival, self._sent, message))
        self._sent += 1

    def _develop(self, entry: tuple[int, int, Message | _Exposure]) -> list[Message]:
        """What an arrival is to those who listen: an exposure becomes its pictures now."""
        arrival, _, message = entry
        if not isinstance(message, _Exposure):
            return [message]
        observer = message.sensor.observer
        assert observer is not None
        seen = observer.read(self._env.scene, message.moment, self._env.randomisation, self._rng)
        pictures: list[Message] = []
        for name in message.sensor.cameras:
            for came in self._faults.on_picture(Picture(message.stamp, name, seen[name])):
                if came.later > 0:
                    self._post(came.message, arrival + came.later)
                else:
                    pictures.append(came.message)
        return pictures

    def _joints(self, now: int, made: Array, broken: bool) -> JointState:
        env, noise = self._env, self._env.randomisation
        data, handles, n = env.data, env.handles, env.arm.n
        fingers, pace = handles.finger_qpos, handles.finger_dof
        position = np.append(data.qpos[handles.qpos], data.qpos[fingers].sum())
        velocity = np.append(data.qvel[handles.dof], data.qvel[pace].sum())
        effort = np.append(made, data.actuator_force[handles.gripper])
        if noise.q_noise:
            position[:n] += noise.q_noise * self._rng.standard_normal(n)
        if noise.dq_noise:
            velocity[:n] += noise.dq_noise * self._rng.standard_normal(n)
        if broken:
            position, velocity = np.full(n + 1, np.nan), np.full(n + 1, np.nan)
        return JointState(now, (*self._names, GRIPPER), position, velocity, effort)

    def _wrist(self, now: int) -> Wrench:
        data, handles = self._env.data, self._env.handles
        spread = self._env.randomisation.wrench_noise
        force = data.sensordata[handles.wrist_force : handles.wrist_force + 3].copy()
        torque = data.sensordata[handles.wrist_torque : handles.wrist_torque + 3].copy()
        if spread:
            force += spread * self._rng.standard_normal(3)
            torque += 0.1 * spread * self._rng.standard_normal(3)
        return Wrench(now, force, torque)


class _Sensor:
    """Something that is read at a rate of its own: the joints, or the cameras of one shutter."""

    def __init__(
        self,
        rate: float,
        delay: float,
        start: int,
        cameras: tuple[str, ...] = (),
        observer: Observer | None = None,
    ) -> None:
        self.delay = nanoseconds(delay)
        self.cameras, self.observer = cameras, observer
        self.next = start
        self._start, self._rate, self._count = start, rate, 0

    def advance(self, now: int) -> None:
        """It was read; `next` is when it is due again."""
        while self.next <= now:
            self._count += 1
            self.next = self._start + round(self._count * SECOND / self._rate)

    def skip(self, by: int) -> None:
        """It was not read for so long [ns]."""
        self._start += by
        self.next += by


@dataclass(frozen=True, eq=False)
class _Exposure:
    """What cameras of one shutter saw, not yet drawn."""

    stamp: int
    sensor: _Sensor
    moment: Moment


def _cameras(env: ManipulationEnv, timing: WireTiming, start: int) -> list[_Sensor]:
    """A sensor for each set of cameras that look at one moment."""
    for name in timing.cameras:
        choose("camera", name, env.views)
    together: dict[Shutter, list[str]] = {}
    for name in env.views:
        together.setdefault(timing.cameras.get(name, Shutter()), []).append(name)
    return [
        _Sensor(
            shutter.rate,
            shutter.delay,
            start,
            tuple(names),
            Observer(tuple(names), env.views, env.arm.n, 0),
        )
        for shutter, names in together.items()
    ]
