"""The simulated arm: a MuJoCo task that behaves, on the wire, as a real arm under ros2_control does.

It keeps the last torque that it was sent for ever, whatever it is: no magnitude, rate, position or speed is
limited here, and nothing asks how old a command is (docs: what genuine ros2_control was measured to do). A
command of the wrong length is an error of the controller, which goes on with the old torque. A torque that is
not a number is not refused either: it reaches the motors, and from then on nothing about the arm is a number
until the next reset. Deactivation makes the effort zero and forgets every command.

World, placing, outcome and cameras are those of the task's environment; its torque limiter is not used here.
Time is whole nanoseconds of the caller's clock; physics runs on its own grid of steps under it.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.envs.base import ManipulationEnv
from robolearn.envs.observing import Moment, Observer
from robolearn.envs.scene import Scene
from robolearn.envs.tasks import make
from robolearn.errors import InputError, choose
from robolearn.hardware.faults import Fault, Faults
from robolearn.hardware.wire import GRIPPER, SECOND, Array, JointState, Picture, Wrench

Message = JointState | Picture | Wrench

BROKEN = 1e10
"""Accelerations beyond it are MuJoCo's own measure of a simulation that flew apart."""

STRANGER_PERIOD = SECOND // 100


@dataclass(frozen=True)
class Shutter:
    """When a camera looks, and when its picture comes.

    Attributes:
        rate: pictures a second [Hz].
        delay: from the shutter to the picture's arrival [s].
    """

    rate: float = 60.0
    delay: float = 0.01

    def __post_init__(self) -> None:
        checks.number("a camera's rate", self.rate, above=0.0)
        checks.number("a camera's delay", self.delay, low=0.0)


@dataclass(frozen=True)
class WireTiming:
    """How long things take between the simulated arm and the others, and how often they come.

    From a torque to the state that shows it, both ways together, genuine ros2_control took 10 ms.

    Attributes:
        state_rate: joint states a second [Hz].
        state_delay: from measuring to a joint state's arrival [s].
        command_delay: from sending a torque to the motors' making it [s].
        deactivation_delay: from asking to zero effort [s].
        cameras: by name; the task's cameras that are not named here have the default.
        wrench: whether the force and torque at the wrist are measured and sent, with the joint states.
    """

    state_rate: float = 200.0
    state_delay: float = 0.005
    command_delay: float = 0.005
    deactivation_delay: float = 0.01
    cameras: Mapping[str, Shutter] = field(default_factory=dict)
    wrench: bool = False

    def __post_init__(self) -> None:
        checks.number("state_rate", self.state_rate, above=0.0)
        for name in ("state_delay", "command_delay", "deactivation_delay"):
            checks.number(name, getattr(self, name), low=0.0)


@dataclass(frozen=True)
class Verdict:
    """What the task's predicate says of an episode.

    Attributes:
        success: whether the goal held for as long as the task asks.
        reason: "success", the task's own failure ("dropped"), or "diverged".
    """

    success: bool
    reason: str


@dataclass
class Meters:
    """What the simulated arm measures of an episode.

    Attributes:
        peak_force, mean_force: of what the hand meets, tared when the episode began [N].
        drops, jams: as the task counts them.
    """

    peak_force: float = 0.0
    mean_force: float = 0.0
    drops: int = 0
    jams: int = 0


class SimulatedArm:
    """An arm at its task.

    Args:
        task: name of the task, as in `robolearn.envs.tasks`.
        changes: fields of the task's configuration that differ from its defaults.
        timing: of the wire.
        start: the time now [ns].
        seed: of what is left to chance on the wire.
        payload_error: a mass that the hand carries and nobody knows of [kg].
        gains: what the motors make of each N·m, (n,), on top of what the task's randomisation draws.
        joint_names: how the station calls the joints, in the order of torque commands; None for the arm's
            own names.

    Raises:
        InputError: there is no such task, or it cannot be had so.
    """

    def __init__(
        self,
        task: str,
        changes: Mapping[str, Any] | None = None,
        timing: WireTiming | None = None,
        *,
        start: int = 0,
        seed: int = 0,
        payload_error: float = 0.0,
        gains: Array | None = None,
        joint_names: tuple[str, ...] | None = None,
    ) -> None:
        self.timing = timing or WireTiming()
        self.task, self.changes = task, dict(changes or {})
        self.env: ManipulationEnv = make(task, self.changes)
        self.joint_names = tuple(joint_names or self.env.arm.joint_names)
        n = self.env.arm.n
        if len(self.joint_names) != n:
            raise InputError(
                f"joint_names are {self.joint_names!r}; arm {self.env.arm.name!r} has {n} joints"
            )
        self._payload = checks.number("payload_error", payload_error, low=0.0)
        self._gains = np.ones(n) if gains is None else np.array(checks.vector("gains", gains, n))
        self._rate = self.env.physics_rate
        self._control_steps = self._rate // self.env.config.control_rate
        self._rng = np.random.default_rng(seed)
        self.faults = Faults(seed)

        self._start, self._count = int(start), 0
        self._arriving: list[tuple[int, int, Message | _Exposure]] = []
        self._sent = 0  # messages so far: breaks ties between those that arrive at one time
        self._sensors = [_Sensor(self.timing.state_rate, self.timing.state_delay, int(start))]
        self._sensors += self._cameras(int(start))

        self.active = True
        self.controller_errors = 0
        """Commands that the controller could not read."""
        self._torque = np.zeros(n)
        self._commands: deque[tuple[int, Array]] = deque()
        self._activations: deque[tuple[int, bool]] = deque()
        self._stranger_at = 0
        self._pristine: _Pristine | None = None
        self.reset_episode(0, int(start))

    # --- what reaches the arm -----------------------------------------------------------------------------

    def command(self, torque: Array, now: int) -> None:
        """A message on the controller's topic: after the wire's delay this torque is made, until the next.

        Args:
            torque: gravity included where we supply it, (n,) [N·m]; only its length is checked, see above.
            now: when it is sent [ns].
        """
        torque = np.array(torque, np.float64)
        if torque.shape != self._torque.shape:
            self.controller_errors += 1
            return
        self._commands.append((now + _ns(self.timing.command_delay), torque))

    def command_gripper(self, closed: float, now: int) -> None:
        """Send the gripper where it closes (above 0) or opens; it begins to move after its dead time."""
        width = 0.0 if closed > 0.0 else self.env.arm.gripper.max_width
        delay = self.timing.command_delay + self.env.arm.gripper.dead_time
        self._grips.append((now + _ns(delay), width))

    def set_active(self, active: bool, now: int) -> None:
        """Activate or deactivate the torque controller, as controller_manager's SwitchController does."""
        self._activations.append((now + _ns(self.timing.deactivation_delay), bool(active)))

    def inject(self, fault: Fault) -> None:
        """Let something go wrong, in addition to what does already; `faults.clear` ends it all.

        Raises:
            InputError: the fault names a camera that is not there.
        """
        if fault.camera:
            choose("camera", fault.camera, self.env.views)
        self.faults.inject(fault)

    # --- episodes -----------------------------------------------------------------------------------------

    def reset_episode(self, seed: int, now: int) -> None:
        """Put the arm and the task's things where an episode of this seed begins; somebody tidied up.

        The torque sent last stays in force, and so do faults; pictures under way are lost.
        """
        if self._pristine is not None:
            self._pristine.restore()
        self.env.reset(seed=seed)
        self._pristine = _Pristine(self.env.scene)
        _unlimit(self.env)
        if self._payload:
            _load(self.env, self._payload)
        if self.env.sampled["texture"]:
            for sensor in self._sensors:
                if sensor.observer is not None:
                    sensor.observer.textures_changed(self.env.scene)
        self._arriving = [entry for entry in self._arriving if not isinstance(entry[2], _Exposure)]
        heapq.heapify(self._arriving)
        self._broken = False
        self._width = self.env.scene.path.gripper_target
        goal = 0.0 if self.env.starts_closed else self.env.arm.gripper.max_width
        self._grips: deque[tuple[int, float]] = deque([(now + _ns(self.env.arm.gripper.dead_time), goal)])
        self._width_goal = self._width
        self.seed = seed
        self.verdict: Verdict | None = None
        """What became of the episode; None while it goes on, and before `begin_episode`."""
        self._watching = False
        self._aim_motors()

    def begin_episode(self) -> None:
        """From now on the task's predicate judges, and meters count."""
        data, force = self.env.data, self.env.handles.wrist_force
        self._tare = data.sensordata[force : force + 3].tolist()
        self._peak_force = self._force_sum = 0.0
        self._force_count = 0
        self.env.drops = self.env.jams = 0
        self._held, self._judge_in = 0, self._control_steps
        self.verdict = Verdict(False, "diverged") if self._broken else None
        self._watching = True

    @property
    def meters(self) -> Meters:
        """What was measured since `begin_episode`, up to the verdict."""
        if not self._watching:
            return Meters()
        mean = self._force_sum / self._force_count if self._force_count else 0.0
        return Meters(self._peak_force, mean, self.env.drops, self.env.jams)

    @property
    def start_posture(self) -> Array:
        """Joint positions near which the task begins, (n,) [rad]."""
        return np.array(self.env.usual_posture)

    # --- time ---------------------------------------------------------------------------------------------

    def advance(self, until: int) -> list[Message]:
        """Let time pass.

        Args:
            until: the time now [ns]; one that is past does nothing.

        Returns:
            what arrives meanwhile at whoever listens, in the order of arrival; stamps say when it was taken.
        """
        while (after := self._time(self._count + 1)) <= until:
            self._receive(self._time(self._count))
            self._step()
            self._count += 1
            self._judge()
            for sensor in self._sensors:
                if sensor.next <= after:
                    self._expose(sensor, after)
        arrived: list[Message] = []
        while self._arriving and self._arriving[0][0] <= until:
            arrived += self._develop(heapq.heappop(self._arriving))
        return arrived

    def next_arrival(self) -> int:
        """Until then, at least, `advance` returns nothing that it would not return now [ns]."""
        coming = [self._time(self._steps_until(sensor.next)) + sensor.delay for sensor in self._sensors]
        coming += [entry[0] for entry in self._arriving[:1]]
        return min(coming)

    def _time(self, count: int) -> int:
        return self._start + count * SECOND // self._rate

    def _steps_until(self, time: int) -> int:
        """The first physics step that begins at a time or after it."""
        return -(-(time - self._start) * self._rate // SECOND)

    # --- inside -------------------------------------------------------------------------------------------

    def _receive(self, now: int) -> None:
        """What has come over the wire by now takes effect."""
        stranger = self.faults.stranger
        if stranger is not None and now >= self._stranger_at:
            self._stranger_at = now + STRANGER_PERIOD
            self._commands.append((now, np.full(self.env.arm.n, stranger)))
        changed = False
        while self._commands and self._commands[0][0] <= now:
            torque = self._commands.popleft()[1]
            if self.active:
                self._torque, changed = torque, True
        while self._activations and self._activations[0][0] <= now:
            self.active = self._activations.popleft()[1]
            self._torque, changed = np.zeros(self.env.arm.n), True
            self._commands.clear()
        while self._grips and self._grips[0][0] <= now:
            self._width_goal = self._grips.popleft()[1]
        if changed:
            self._aim_motors()

    def _aim_motors(self) -> None:
        made = self._gains * self.env.sampled["torque_gain"] * self._torque
        if not np.isfinite(made).all():
            self._broken = True
        self._made = made
        self.env.data.ctrl[self.env.handles.motors] = made

    def _step(self) -> None:
        """One step of the physics, and the gripper's own motion."""
        if self._broken:
            return
        env = self.env
        data = env.data
        stride = env.arm.gripper.closing_speed / self._rate
        way = self._width_goal - self._width
        self._width += math.copysign(min(abs(way), stride), way)
        data.ctrl[env.handles.gripper] = self._width
        mujoco.mj_step(env.model, data)
        if not np.abs(data.qacc).max() < BROKEN:  # written so that NaN fails it
            self._broken = True
            return
        if self._watching and self.verdict is None:
            first = env.handles.wrist_force
            force = math.dist(data.sensordata[first : first + 3].tolist(), self._tare)
            self._peak_force = max(self._peak_force, force)
            self._force_sum += force
            self._force_count += 1

    def _judge(self) -> None:
        """At the end of each of the task's control periods, look at its predicate."""
        if not self._watching or self.verdict is not None:
            return
        if self._broken:
            self.verdict = Verdict(False, "diverged")
            return
        self._judge_in -= 1
        if self._judge_in > 0:
            return
        self._judge_in = self._control_steps
        env = self.env
        mujoco.mj_kinematics(env.model, env.data)  # a step leaves the frames where it began
        mujoco.mj_comPos(env.model, env.data)
        env.watch()
        self._held = self._held + 1 if env.holds() else 0
        if self._held >= env.hold_steps:
            self.verdict = Verdict(True, "success")
        elif (reason := env.failure()) is not None:
            self.verdict = Verdict(False, reason)

    def _cameras(self, start: int) -> list[_Sensor]:
        """A sensor for each set of cameras that look at one moment."""
        known = self.timing.cameras
        for name in known:
            choose("camera", name, self.env.views)
        together: dict[Shutter, list[str]] = {}
        for name in self.env.views:
            together.setdefault(known.get(name, Shutter()), []).append(name)
        return [
            _Sensor(
                shutter.rate,
                shutter.delay,
                start,
                tuple(names),
                Observer(tuple(names), self.env.views, self.env.arm.n, 0),
            )
            for shutter, names in together.items()
        ]

    def _expose(self, sensor: _Sensor, now: int) -> None:
        """Keep what a sensor sees now until it arrives."""
        sensor.advance(now)
        if sensor.observer is not None:
            if not self._broken:  # there is nothing to see of a world that flew apart
                moment = Moment.of(self.env.scene, np.zeros(0))
                self._post(_Exposure(now, sensor, moment), now + sensor.delay)
            return
        for arrival in self.faults.on_state(self._read_joints(now)):
            self._post(arrival.message, now + sensor.delay + arrival.later)
        if self.timing.wrench:
            self._post(self._read_wrench(now), now + sensor.delay)

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
        seen = observer.read(self.env.scene, message.moment, self.env.randomisation, self._rng)
        pictures: list[Message] = []
        for name in message.sensor.cameras:
            for came in self.faults.on_picture(Picture(message.stamp, name, seen[name])):
                if came.later > 0:
                    self._post(came.message, arrival + came.later)
                else:
                    pictures.append(came.message)
        return pictures

    def _read_joints(self, now: int) -> JointState:
        env, noise = self.env, self.env.randomisation
        data, handles, n = env.data, env.handles, env.arm.n
        fingers, pace = handles.finger_qpos, handles.finger_dof
        position = np.append(data.qpos[handles.qpos], data.qpos[fingers].sum())
        velocity = np.append(data.qvel[handles.dof], data.qvel[pace].sum())
        effort = np.append(self._made, data.actuator_force[handles.gripper])
        if noise.q_noise:
            position[:n] += noise.q_noise * self._rng.standard_normal(n)
        if noise.dq_noise:
            velocity[:n] += noise.dq_noise * self._rng.standard_normal(n)
        if self._broken:
            position, velocity = np.full(n + 1, np.nan), np.full(n + 1, np.nan)
        return JointState(now, (*self.joint_names, GRIPPER), position, velocity, effort)

    def _read_wrench(self, now: int) -> Wrench:
        data, handles = self.env.data, self.env.handles
        spread = self.env.randomisation.wrench_noise
        force = data.sensordata[handles.wrist_force : handles.wrist_force + 3].copy()
        torque = data.sensordata[handles.wrist_torque : handles.wrist_torque + 3].copy()
        if spread:
            force += spread * self._rng.standard_normal(3)
            torque += 0.1 * spread * self._rng.standard_normal(3)
        return Wrench(now, force, torque)

    def close(self) -> None:
        """Free what rendering holds."""
        for sensor in self._sensors:
            if sensor.observer is not None:
                sensor.observer.close()
        self.env.close()


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
        self.delay = _ns(delay)
        self.cameras, self.observer = cameras, observer
        self.next = start
        self._start, self._rate, self._count = start, rate, 0

    def advance(self, now: int) -> None:
        """It was read; `next` is when it is due again."""
        while self.next <= now:
            self._count += 1
            self.next = self._start + round(self._count * SECOND / self._rate)


@dataclass(frozen=True, eq=False)
class _Exposure:
    """What cameras of one shutter saw, not yet drawn."""

    stamp: int
    sensor: _Sensor
    moment: Moment


_ALTERED = ("body_mass", "body_gravcomp", "actuator_ctrllimited", "actuator_forcelimited")


class _Pristine:
    """A model as its environment left it, before the arm here was made real."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._values: dict[str, NDArray[Any]] = {name: getattr(scene.model, name).copy() for name in _ALTERED}

    def restore(self) -> None:
        """An environment may use a compiled model again: nothing of ours may be left in it."""
        for name, values in self._values.items():
            getattr(self._scene.model, name)[:] = values


def _unlimit(env: ManipulationEnv) -> None:
    """Motors make what they are told, and an arm that does not compensate gravity feels it."""
    model = env.model
    model.actuator_ctrllimited[env.handles.motors] = 0
    model.actuator_forcelimited[env.handles.motors] = 0
    if not env.arm.compensates_gravity:
        model.body_gravcomp[:] = 0.0


def _load(env: ManipulationEnv, mass: float) -> None:
    """Put a mass into the hand that the arm's gravity compensation does not know of."""
    model, hand = env.model, env.handles.hand
    known = float(model.body_mass[hand])
    model.body_mass[hand] = known + mass
    model.body_gravcomp[hand] *= known / (known + mass)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)
