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

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from robolearn import checks
from robolearn.envs.base import ManipulationEnv
from robolearn.envs.tasks import make
from robolearn.errors import InputError, choose
from robolearn.hardware.faults import Fault, Faults
from robolearn.hardware.realities import Reality
from robolearn.hardware.settings import StationCamera
from robolearn.hardware.simulation import conditions
from robolearn.hardware.simulation.judging import Judge, Meters, Verdict
from robolearn.hardware.simulation.pristine import Pristine, load, unlimit
from robolearn.hardware.simulation.sensors import Message, Sensors
from robolearn.hardware.simulation.timing import WireTiming, nanoseconds
from robolearn.hardware.wire import SECOND, Array

BROKEN = 1e10
"""Accelerations beyond it are MuJoCo's own measure of a simulation that flew apart."""

STRANGER_PERIOD = SECOND // 100

WARM_UP = SECOND // 4
"""In so much time every camera looks, and its picture comes [ns]."""


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
        reality: what is otherwise than in the training simulator, in every episode; None: nothing, and
            conditions are drawn as the task's randomisation says.
        lenses: cameras that distort, by name, at the places of the task's; the others are the task's.

    Attributes:
        active: whether the controller is.
        controller_errors: commands that the controller could not read.
        faults: what goes wrong on the wire.

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
        reality: Reality | None = None,
        lenses: Mapping[str, StationCamera] | None = None,
    ) -> None:
        self.task, self.changes = task, dict(changes or {})
        self.env: ManipulationEnv = make(task, self.changes)
        self.timing = timing or WireTiming()
        self._reality = reality
        if reality is not None:
            self.timing = conditions.later(reality, self.timing, self.env.views)
            conditions.impose(reality, self.env)
        self.joint_names = tuple(joint_names or self.env.arm.joint_names)
        n = self.env.arm.n
        if len(self.joint_names) != n:
            raise InputError(
                f"joint_names are {self.joint_names!r}; arm {self.env.arm.name!r} has {n} joints"
            )
        self._payload = checks.number("payload_error", payload_error, low=0.0)
        self._gains = np.ones(n) if gains is None else np.array(checks.vector("gains", gains, n))
        self._rate = self.env.physics_rate
        self._start, self._count = int(start), 0
        self.faults = Faults(seed)
        rng = np.random.default_rng(seed)
        self._sensors = Sensors(
            self.env, self.timing, self.joint_names, self.faults, rng, self._start, lenses or {}
        )
        self._judge = Judge(self.env)

        self.active = True
        self.controller_errors = 0
        self._torque = np.zeros(n)
        self._commands: deque[tuple[int, Array]] = deque()
        self._activations: deque[tuple[int, bool]] = deque()
        self._stranger_at = 0
        self._pristine: Pristine | None = None
        self.reset_episode(0, self._start)

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
        self._commands.append((now + nanoseconds(self.timing.command_delay), torque))

    def command_gripper(self, closed: float, now: int) -> None:
        """Send the gripper where it closes (above 0) or opens; it begins to move after its dead time."""
        width = 0.0 if closed > 0.0 else self.env.arm.gripper.max_width
        delay = self.timing.command_delay + self.env.arm.gripper.dead_time
        self._grips.append((now + nanoseconds(delay), width))

    def set_active(self, active: bool, now: int) -> None:
        """Activate or deactivate the torque controller, as controller_manager's SwitchController does."""
        self._activations.append((now + nanoseconds(self.timing.deactivation_delay), bool(active)))

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
        if self._reality is not None:
            conditions.furnish(self._reality, self.env)
        self._pristine = Pristine(self.env.scene)
        unlimit(self.env)
        if self._payload:
            load(self.env, self._payload)
        self._sensors.world_changed()
        self._sensors.forget_pictures()
        self._judge.reset()
        self._broken = False
        self._width = self.env.scene.path.gripper_target
        goal = 0.0 if self.env.starts_closed else self.env.arm.gripper.max_width
        opens_at = now + nanoseconds(self.env.arm.gripper.dead_time)
        self._grips: deque[tuple[int, float]] = deque([(opens_at, goal)])
        self._width_goal = self._width
        self.seed = seed
        self._aim_motors()

    def begin_episode(self) -> None:
        """From now on the task's predicate judges, and meters count."""
        self._judge.begin(self._broken)

    @property
    def verdict(self) -> Verdict | None:
        """What became of the episode; None while it goes on, and before `begin_episode`."""
        return self._judge.verdict

    @property
    def meters(self) -> Meters:
        """What was measured since `begin_episode`, up to the verdict."""
        return self._judge.meters

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
            self._judge.after_step(self._broken)
            self._sensors.expose(after, self._made, self._broken)
        return self._sensors.arrived(until)

    def next_arrival(self) -> int:
        """Until then, at least, `advance` returns nothing that it would not return now [ns]."""
        coming = [self._time(self._steps_until(due)) + delay for due, delay in self._sensors.upcoming()]
        if (arrival := self._sensors.next_arrival()) is not None:
            coming.append(arrival)
        return min(coming)

    def warm_up(self) -> None:
        """Do once, before anybody listens, what takes long the first time: compiled functions and drawing.

        Afterwards the arm stands where it stood; `skip` to the time that it is then.
        """
        self.advance(self._time(self._count) + WARM_UP)
        self._sensors.forget()
        self.reset_episode(self.seed, self._time(self._count))

    def skip(self, until: int) -> None:
        """Let time pass in which the arm stands still and nothing is measured: somebody was busy with it.

        Args:
            until: the time now [ns]; one that is past does nothing.
        """
        by = until - self._time(self._count)
        if by > 0:
            self._start += by
            self._sensors.skip(by)

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

    def close(self) -> None:
        """Free what rendering holds."""
        self._sensors.close()
        self.env.close()
