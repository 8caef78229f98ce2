"""What is measured at the simulated arm: joints, wrist and cameras, each at its own rate, with its own delay.

A camera's picture is drawn when it arrives, of the world as it was when the shutter opened: those that nobody
waits for cost nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.observing import Moment, Observer, speckled
from robolearn.errors import choose
from robolearn.hardware.faults import Faults
from robolearn.hardware.settings import StationCamera
from robolearn.hardware.simulation.lenses import Lens
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
        lenses: cameras that distort, by name; the others are the task's.

    Raises:
        InputError: the timing or a lens names a camera that is not there, or a lens is none.
    """

    def __init__(
        self,
        env: ManipulationEnv,
        timing: WireTiming,
        joint_names: tuple[str, ...],
        faults: Faults,
        rng: np.random.Generator,
        start: int,
        lenses: Mapping[str, StationCamera],
    ) -> None:
        self._env, self._names, self._faults, self._rng = env, joint_names, faults, rng
        self._wrench = timing.wrench
        self._sensors = [_Sensor(timing.state_rate, timing.state_delay, start)]
        self._sensors += _cameras(env, timing, start, lenses)
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

    def world_changed(self) -> None:
        """The environment was reset: draw the world with the textures and through the lenses of now."""
        for sensor in self._sensors:
            if sensor.lens is not None:
                sensor.lens.widen(self._env.scene)
            if sensor.observer is not None and self._env.sampled["texture"]:
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
        seen = self._draw(message)
        pictures: list[Message] = []
        for name in message.sensor.cameras:
            for came in self._faults.on_picture(Picture(message.stamp, name, seen[name])):
                if came.later > 0:
                    self._post(came.message, arrival + came.later)
                else:
                    pictures.append(came.message)
        return pictures

    def _draw(self, exposure: _Exposure) -> Mapping[str, NDArray[np.uint8]]:
        """The pictures of an exposure by their cameras' names."""
        observer, lens = exposure.sensor.observer, exposure.sensor.lens
        assert observer is not None
        scene, moment, noise = self._env.scene, exposure.moment, self._env.conditions
        if lens is None:
            return observer.read(scene, moment, noise, self._rng)
        # the sensor that makes the noise is behind the lens
        seen = observer.read(scene, moment, replace(noise, image_noise=0.0), self._rng)
        return {name: speckled(lens(pixels), noise.image_noise, self._rng) for name, pixels in seen.items()}

    def _joints(self, now: int, made: Array, broken: bool) -> JointState:
        env, noise = self._env, self._env.conditions
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
        spread = self._env.conditions.wrench_noise
        force = data.sensordata[handles.wrist_force : handles.wrist_force + 3].copy()
        torque = data.sensordata[handles.wrist_torque : handles.wrist_torque + 3].copy()
        if spread:
            force += spread * self._rng.standard_normal(3)
            torque += 0.1 * spread * self._rng.standard_normal(3)
        return Wrench(now, force, torque)


class _Sensor:
    """Something that is read at a rate of its own: the joints, a camera with a lens, or all those without one
    that have one shutter."""

    def __init__(
        self,
        rate: float,
        delay: float,
        start: int,
        cameras: tuple[str, ...] = (),
        observer: Observer | None = None,
        lens: Lens | None = None,
    ) -> None:
        self.delay = nanoseconds(delay)
        self.cameras, self.observer, self.lens = cameras, observer, lens
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


def _cameras(
    env: ManipulationEnv, timing: WireTiming, start: int, lenses: Mapping[str, StationCamera]
) -> list[_Sensor]:
    """A sensor for each set of cameras that look at one moment."""
    for name in (*timing.cameras, *lenses):
        choose("camera", name, env.views)
    shutters = {name: timing.cameras.get(name, Shutter()) for name in env.views}
    together: dict[tuple[Shutter, str], list[str]] = {}
    for name, shutter in shutters.items():
        together.setdefault((shutter, name if name in lenses else ""), []).append(name)
    sensors = []
    for (shutter, bent), names in together.items():
        lens = Lens(env.views[bent], lenses[bent]) if bent else None
        views = env.views if lens is None else {bent: lens.view}
        observer = Observer(tuple(names), views, env.arm.n, 0)
        sensors.append(_Sensor(shutter.rate, shutter.delay, start, tuple(names), observer, lens))
    return sensors
