"""Simulated arm, monitor, watchdog, policy runner and episode runner in one process, on a simulated clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import choose
from robolearn.hardware.episodes import EpisodePlan, EpisodeRunner, Phase
from robolearn.hardware.exploring import explore
from robolearn.hardware.monitor import glimpse
from robolearn.hardware.monitor.decisions import Tick, Watch
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.promoted import promoted_bundles
from robolearn.hardware.monitor.states import Authority, Mode
from robolearn.hardware.monitor.watchdog import Watchdog
from robolearn.hardware.realities import Reality
from robolearn.hardware.recording import topics
from robolearn.hardware.runner import Actor, Observation, PolicyRunner
from robolearn.hardware.simulation import Message, SimulatedArm, lenses, wire_timing
from robolearn.hardware.station import Station
from robolearn.hardware.tally import Tally
from robolearn.hardware.wire import (
    SECOND,
    Array,
    EpisodeMark,
    Heartbeat,
    JointState,
    MonitorStatus,
    Picture,
    TorqueRequest,
    Wrench,
)

if TYPE_CHECKING:
    from robolearn.policies.bundle import Bundle

Record = JointState | TorqueRequest | Picture | Wrench | Heartbeat | MonitorStatus | EpisodeMark
Recorder = Callable[[str, int, Record], None]
"""Called with topic, time of arrival [ns] and record, for all that a log holds, in the order of time."""

PARTS = ("monitor", "watchdog", "policy")
"""What may die by itself: over ROS, each is a process."""

HEARTBEAT_PERIOD = SECOND // 20


class Together:
    """Everything that runs when a bundle is deployed at the simulated arm, and the clock.

    Args:
        bundle: the policy.
        station: a simulated one; its cameras become those of the bundle's contract.
        changes: fields of the task's configuration that are to differ from the bundle's own.
        actor: what chooses the actions in place of the bundle's network.
        inference: time that the policy takes [s]; None for the station's request_delay.
        record: takes what a log holds; None keeps nothing.
        reality: what the arm is otherwise than in the training simulator; nothing but the arm knows it.
        exploration: how much the policy is pushed; see `robolearn.hardware.exploring`.
        seed: of the pushes, and of what is left to chance on the wire.
        simulation: more arguments of `SimulatedArm`, for tests.

    Attributes:
        now: the time [ns].
        station, arm, monitor, watchdog, runner, episodes: the parts.
        tick: what the monitor decided last.
        watch: what the watchdog decided last.

    Raises:
        InputError: the station does not offer what the bundle's contract requires, or is no simulated one.
    """

    def __init__(
        self,
        bundle: Bundle,
        station: Station,
        *,
        changes: Mapping[str, Any] | None = None,
        actor: Actor | None = None,
        inference: float | None = None,
        record: Recorder | None = None,
        reality: Reality | None = None,
        exploration: float = 0.0,
        seed: int = 0,
        simulation: Mapping[str, Any] | None = None,
    ) -> None:
        self.station = station = station.with_cameras_of(bundle.contract)
        acting = explore(actor or bundle.network, station.arm, exploration, seed)
        self.runner = PolicyRunner(bundle, station, acting)
        self.arm = SimulatedArm(
            bundle.task,
            {**bundle.changes, **(changes or {})},
            wire_timing(station),
            joint_names=station.joint_names,
            reality=reality,
            lenses=lenses(station),
            seed=seed,
            **(simulation or {}),
        )
        self._promoted = promoted_bundles(station)
        self.monitor, self.watchdog = self._new_monitor(), Watchdog(station)
        env = self.arm.env
        plan = EpisodePlan(
            task=bundle.task,
            seconds=env.config.episode_seconds,
            home=self.arm.start_posture.tolist(),
            gripper=1.0 if env.starts_closed else -1.0,
            contract=bundle.contract.hash,
            bundle=bundle.weights_hash,
            requires=bundle.contract.to_dict(),
            exploration=exploration,
        )
        self.episodes = EpisodeRunner(station, plan)
        self.now = 0
        self.tick: Tick | None = None
        self.watch: Watch | None = None
        self._record = record
        self._period = SECOND / station.monitor.rate
        self._ticks = 0
        self._beat_at = 0
        latency = station.controller.request_delay if inference is None else inference
        self._latency = round(latency * SECOND)
        self._thinking: tuple[int, Observation, NDArray[np.float32]] | None = None
        self._grip: bool | None = None
        self._asked_stamp = 0
        self._deactivated = False
        self._dead: set[str] = set()
        self._tally = Tally(station.monitor.rate)

    # --- the death of parts -------------------------------------------------------------------------------

    def kill(self, part: str) -> None:
        """What would be a process of its own dies: it hears nothing more, and says nothing.

        Args:
            part: one of `PARTS`.

        Raises:
            InputError: there is no such part.
        """
        self._dead.add(choose("part", part, PARTS))
        if part == "policy":
            self._thinking = None

    def restart(self, part: str) -> None:
        """It is started again, and knows nothing of what was."""
        self._dead.discard(choose("part", part, PARTS))
        if part == "monitor":
            self.monitor = self._new_monitor()
        elif part == "watchdog":
            self.watchdog = Watchdog(self.station)
        else:
            self.runner.end()

    def _new_monitor(self) -> Monitor:
        monitor = Monitor(self.station, allowed_bundles=self._promoted)
        monitor.announce(self.runner.contract)
        return monitor

    def _lives(self, part: str) -> bool:
        return part not in self._dead

    # --- time ---------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Go on to the next moment at which anything happens, and let it."""
        self.now = now = self._next_event()
        for message in self.arm.advance(now):
            self._hear(message)
        if self._lives("policy"):
            self._think()
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_PERIOD
            if self._lives("policy"):
                self._beat(self.runner.heartbeat(now))
            self._beat(self.episodes.heartbeat(now))
        if now >= self._tick_time():
            self._ticks += 1
            self._supervise()

    def run_until(self, time: int) -> None:
        """Go on until a time [ns], whatever the episode does."""
        while self._next_event() <= time:
            self.step()

    def _tick_time(self) -> int:
        return round(self._ticks * self._period)

    def _next_event(self) -> int:
        events = [self.arm.next_arrival(), self._tick_time(), self._beat_at]
        if self._lives("policy") and self._thinking is not None:
            events.append(self._thinking[0])
        if self._lives("policy") and (due := self.runner.next_due()) is not None and due > self.now:
            events.append(due)
        return max(min(events), self.now)

    # --- what happens -------------------------------------------------------------------------------------

    def _hear(self, message: Message) -> None:
        """A message of the arm arrives at everybody."""
        now = self.now
        if isinstance(message, JointState):
            self._write(self.station.state.topic, message)
            self.monitor.on_state(now, message)
            self.watchdog.on_state(now, message)
            self.runner.on_state(now, message)
            if (request := self.episodes.on_state(message)) is not None:
                self.ask(request)
        elif isinstance(message, Picture):
            camera = next(camera for camera in self.station.cameras if camera.name == message.camera)
            self._write(camera.topic, message)
            self.monitor.on_camera(now, glimpse.take(message))
            self.runner.on_picture(now, message)
        else:
            assert self.station.wrench is not None
            self._write(self.station.wrench.topic, message)
            self.monitor.on_wrench(now, message)

    def _think(self) -> None:
        """The policy is asked when that is due, and answers when its time has passed."""
        now = self.now
        if self._thinking is not None and now >= self._thinking[0]:
            _, observation, action = self._thinking
            self._thinking = None
            self._tally.actions += 1
            self.ask(self.runner.request(observation, action, now))
        if self._thinking is None and self.runner.due(now):
            if (shown := self.runner.prepare(now)) is not None:
                self._thinking = now + self._latency, shown, self.runner.infer(shown)
            if self._latency == 0:
                self._think()

    def _beat(self, beat: Heartbeat) -> None:
        self._write(topics.HEARTBEAT, beat)
        self.monitor.on_heartbeat(self.now, beat)

    def ask(self, request: TorqueRequest) -> None:
        """Somebody asks for torques, now."""
        self._asked_stamp = request.stamp
        self._write(topics.REQUESTED, request)
        self.monitor.on_request(self.now, request)

    def _supervise(self) -> None:
        """A tick of watchdog and monitor, and what follows from it."""
        now = self.now
        if self._lives("watchdog"):
            self._watch(now)
        if self._lives("monitor"):
            self._tick(now)
        inactive = any(each is not None and each.deactivate for each in (self.tick, self.watch))
        if inactive is not self._deactivated:
            self._deactivated = inactive
            self.arm.set_active(not inactive, now)

        if self.episodes.phase is Phase.RUNNING:
            self.episodes.measured = self._tally.measured(self.arm)
        if (verdict := self.arm.verdict) is not None:
            self.episodes.on_verdict(now, verdict.success, verdict.reason)
        stopped = self._lives("monitor") and self.tick is not None and self.tick.mode is Mode.STOPPED
        if stopped and self.episodes.phase is Phase.RUNNING:
            self.episodes.on_monitor_stopped(now)
        self.episodes.tick(now)
        self._write_marks()

    def _watch(self, now: int) -> None:
        """A tick of the watchdog, and what it sends."""
        watch = self.watch = self.watchdog.tick(now)
        self.monitor.on_watchdog(now, watch.owns, watch.torque if watch.owns else None)
        if watch.publish:
            self._send(now, watch.torque, None, "watchdog")

    def _tick(self, now: int) -> None:
        """A tick of the monitor, and what it sends and says."""
        stranger = self.arm.faults.stranger is not None
        self.monitor.on_publishers(now, ("stranger",) if stranger else ())
        tick = self.tick = self.monitor.tick(now)
        self.watchdog.on_monitor(now, tick.authority > Authority.SHADOW)
        if tick.publish:
            self._send(now, tick.torque, tick.gripper, "monitor")
            self.watchdog.on_command(now, tick.torque)
        if tick.gripper is not None and (closed := tick.gripper > 0.0) is not self._grip:
            self._grip = closed
            self.arm.command_gripper(tick.gripper, now)
        filtered = self._torques(tick.filtered, tick.gripper, "monitor")
        self.runner.on_filtered(now, filtered)
        self._write(topics.FILTERED, filtered)
        self._write(topics.MONITOR, self.monitor.status(now))
        if self.episodes.phase is Phase.RUNNING:
            self._tally.add(filtered.torque, tick.causes)

    def _send(self, now: int, torque: Array, gripper: float | None, sender: str) -> None:
        self.arm.command(torque, now)
        self._write(topics.SENT, self._torques(torque, gripper, sender))

    def _torques(self, torque: Array, gripper: float | None, sender: str) -> TorqueRequest:
        """Torques as a log has them: stamped as the oldest observation that they came from."""
        return TorqueRequest(self._asked_stamp, self.station.joint_names, torque, gripper, sender)

    def _write_marks(self) -> None:
        for mark in self.episodes.take_marks():
            self._write(topics.EPISODE, mark)

    def _write(self, topic: str, record: Record) -> None:
        if self._record is not None:
            self._record(topic, self.now, record)

    def close(self) -> None:
        """Free what rendering holds."""
        self.arm.close()
