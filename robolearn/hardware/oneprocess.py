"""A whole deployment in one process, on a simulated clock: faster than real time, and bit for bit repeatable.

Simulated arm, monitor, watchdog, policy runner and episode runner are the very objects that the ROS nodes
wrap. Here they hear of one another directly, event by event, each at its own rate and with the wire's delays;
only the script of what a person does is fixed: everything is put in its place, the authority is raised, the
episode begins as soon as the arm is home.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.episode import Outcome
from robolearn.hardware.episodes import EpisodePlan, EpisodeRunner, Phase, Result
from robolearn.hardware.limiter import CAUSES
from robolearn.hardware.monitor import glimpse
from robolearn.hardware.monitor.decisions import Tick
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.promoted import promoted_bundles
from robolearn.hardware.monitor.states import Authority, Mode
from robolearn.hardware.monitor.watchdog import Watchdog
from robolearn.hardware.realities import Reality
from robolearn.hardware.recording import topics
from robolearn.hardware.runner import Actor, Observation, PolicyRunner
from robolearn.hardware.simulation import Message, Shutter, SimulatedArm, WireTiming
from robolearn.hardware.station import Station
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

HEARTBEAT_PERIOD = SECOND // 20
PATIENCE = 30 * SECOND
"""An arm that is not home by then does not come any more [ns]."""


def wire_timing(station: Station) -> WireTiming:
    """The simulated arm's rates and delays as a station has them."""
    return WireTiming(
        state_rate=station.state.rate,
        state_delay=station.state.delay,
        command_delay=station.controller.command_delay,
        cameras={camera.name: Shutter(camera.rate, camera.delay) for camera in station.cameras},
        wrench=station.wrench is not None,
    )


class OneProcess:
    """Everything that runs when a bundle is deployed at the simulated arm, and the clock.

    Args:
        bundle: the policy.
        station: a simulated one; its cameras become those of the bundle's contract.
        changes: fields of the task's configuration that are to differ from the bundle's own.
        actor: what chooses the actions in place of the bundle's network.
        inference: time that the policy takes [s]; None for the station's request_delay.
        authority: the level to which the person raises the authority.
        record: takes what a log holds; None keeps nothing.
        reality: what the arm is otherwise than in the training simulator; nothing but the arm knows it.
        simulation: more arguments of `SimulatedArm`, for tests.

    Attributes:
        now: the time [ns].
        station, arm, monitor, watchdog, runner, episodes: the parts.
        tick: what the monitor decided last.

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
        authority: Authority = Authority.AUTONOMOUS,
        record: Recorder | None = None,
        reality: Reality | None = None,
        simulation: Mapping[str, Any] | None = None,
    ) -> None:
        self.station = station = station.with_cameras_of(bundle.contract)
        self.runner = PolicyRunner(bundle, station, actor)
        self.arm = SimulatedArm(
            bundle.task,
            {**bundle.changes, **(changes or {})},
            wire_timing(station),
            joint_names=station.joint_names,
            reality=reality,
            **(simulation or {}),
        )
        self._promoted = promoted_bundles(station)
        self.monitor = Monitor(station, allowed_bundles=self._promoted)
        self.watchdog = Watchdog(station)
        self.monitor.announce(bundle.contract)
        env = self.arm.env
        plan = EpisodePlan(
            task=bundle.task,
            seconds=env.config.episode_seconds,
            home=self.arm.start_posture.tolist(),
            gripper=1.0 if env.starts_closed else -1.0,
            contract=bundle.contract.hash,
            bundle=bundle.weights_hash,
            requires=bundle.contract.to_dict(),
        )
        self.episodes = EpisodeRunner(station, plan)
        self.now = 0
        self.tick: Tick | None = None
        self._authority, self._record = authority, record
        self._period = SECOND / station.monitor.rate
        self._ticks = 0
        self._beat_at = 0
        latency = station.controller.request_delay if inference is None else inference
        self._latency = round(latency * SECOND)
        self._thinking: tuple[int, Observation, NDArray[np.float32]] | None = None
        self._grip: bool | None = None
        self._asked_stamp = 0
        self._gripper: float | None = None
        self._deactivated = False
        self._tally = Tally(station.monitor.rate)

    # --- episodes -----------------------------------------------------------------------------------------

    def run_episode(self, seed: int) -> Outcome:
        """One episode, from tidying up to the verdict.

        Raises:
            RuntimeError: the arm does not get home, for the monitor does not let it; says why.
        """
        if self._promoted is not None:
            self._promoted.refresh()
        self.arm.reset_episode(seed, self.now)
        self._grip = None
        self.episodes.start(seed)
        give_up = self.now + PATIENCE
        while self.episodes.phase is not Phase.WAITING:
            self.step()
            self._lead()
            if self.now > give_up or self.episodes.phase is Phase.IDLE:
                causes = ", ".join(sorted(self.tick.causes)) if self.tick else "nothing has happened"
                raise RuntimeError(f"the arm did not get home to begin an episode: {causes}")
        self._begin()
        while (result := self.episodes.result) is None:
            self.step()
        self.runner.end()
        self._thinking = None
        return self._tally.outcome(result, self.arm)

    def _lead(self) -> None:
        """What a person does until the arm is home: reset what its being set elsewhere stopped, and allow."""
        if self.tick is None:
            return
        if self.tick.mode is Mode.STOPPED:
            self.monitor.reset(self.now, "script")
        elif self.tick.authority < self._authority:
            self.monitor.set_authority(self.now, self._authority, "script")

    def _begin(self) -> None:
        self.arm.begin_episode()
        self.runner.begin(self.now)
        self._tally = Tally(self.station.monitor.rate)
        self.episodes.ready(self.now)
        self._write_marks()

    # --- time ---------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Go on to the next moment at which anything happens, and let it."""
        self.now = now = self._next_event()
        for message in self.arm.advance(now):
            self._hear(message)
        self._think()
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_PERIOD
            for beat in (self.runner.heartbeat(now), self.episodes.heartbeat(now)):
                self.monitor.on_heartbeat(now, beat)
                self._write(topics.HEARTBEAT, beat)
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
        if self._thinking is not None:
            events.append(self._thinking[0])
        if (due := self.runner.next_due()) is not None and due > self.now:
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
                self._ask(request)
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
            self._ask(self.runner.request(observation, action, now))
        if self._thinking is None and self.runner.due(now):
            if (shown := self.runner.prepare(now)) is not None:
                self._thinking = now + self._latency, shown, self.runner.infer(shown)
            if self._latency == 0:
                self._think()

    def _ask(self, request: TorqueRequest) -> None:
        self._asked_stamp = request.stamp
        self._write(topics.REQUESTED, request)
        self.monitor.on_request(self.now, request)

    def _supervise(self) -> None:
        """A tick of monitor and watchdog, and what follows from it."""
        now = self.now
        stranger = self.arm.faults.stranger is not None
        self.monitor.on_publishers(now, ("stranger",) if stranger else ())
        watch = self.watchdog.tick(now)
        self.monitor.on_watchdog(now, watch.owns, watch.torque if watch.owns else None)
        tick = self.tick = self.monitor.tick(now)
        self.watchdog.on_monitor(now, tick.authority > Authority.SHADOW)
        if tick.publish:
            self.watchdog.on_command(now, tick.torque)
        publish, torque = (watch.publish, watch.torque) if watch.owns else (tick.publish, tick.torque)
        if publish:
            self.arm.command(torque, now)
            sender = "watchdog" if watch.owns else "monitor"
            self._write(topics.SENT, self._torques(torque, tick.gripper, sender))
        if tick.gripper is not None and (closed := tick.gripper > 0.0) is not self._grip:
            self._grip = closed
            self.arm.command_gripper(tick.gripper, now)
        if (inactive := tick.deactivate or watch.deactivate) is not self._deactivated:
            self._deactivated = inactive
            self.arm.set_active(not inactive, now)

        filtered = self._torques(tick.filtered, tick.gripper, "monitor")
        self.runner.on_filtered(now, filtered)
        self._write(topics.FILTERED, filtered)
        self._write(topics.MONITOR, self.monitor.status(now))

        if self.episodes.phase is Phase.RUNNING:
            self._tally.add(filtered.torque, tick.causes)
            self.episodes.measured = self._tally.measured(self.arm)
        if (verdict := self.arm.verdict) is not None:
            self.episodes.on_verdict(now, verdict.success, verdict.reason)
        if tick.mode is Mode.STOPPED and self.episodes.phase is Phase.RUNNING:
            self.episodes.on_monitor_stopped(now)
        self.episodes.tick(now)
        self._write_marks()

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


class Tally:
    """What is counted in an episode beside the task's own meters.

    Args:
        rate: ticks of the monitor a second [Hz].
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.actions = self._ticks = self._altered = 0
        self._causes: Counter[str] = Counter()
        self._before: Array | None = None
        self._square = 0.0
        self._numbers = 0

    def add(self, filtered: Array, causes: frozenset[str]) -> None:
        """A tick of the monitor: the torque that it let through (n,) [N·m], and what was wrong."""
        self._ticks += 1
        limited = [cause for cause in CAUSES if f"limited_{cause}" in causes]
        self._causes.update(limited)
        self._altered += bool(limited)
        if self._before is not None:
            change = filtered - self._before
            self._square += float(change @ change)
            self._numbers += len(change)
        self._before = filtered

    def measured(self, arm: SimulatedArm) -> dict[str, float]:
        """What an end mark carries."""
        meters = arm.meters
        return {
            "peak_force": meters.peak_force,
            "mean_force": meters.mean_force,
            "drops": meters.drops,
            "jams": meters.jams,
        }

    def outcome(self, result: Result, arm: SimulatedArm) -> Outcome:
        """The episode's outcome, as an evaluation in the environment would have it."""
        meters = arm.meters
        rate = self._rate * math.sqrt(self._square / self._numbers) if self._numbers else 0.0
        return Outcome(
            success=result.success,
            reason=result.reason,
            steps=max(self.actions, 1),
            seconds=result.seconds,
            peak_force=meters.peak_force,
            mean_force=meters.mean_force,
            drops=meters.drops,
            jams=meters.jams,
            interventions={cause: self._causes[cause] for cause in CAUSES},
            altered_ticks=self._altered,
            ticks=self._ticks,
            jerk=rate,
        )


def run_episodes(
    bundle: Bundle,
    station: Station,
    seeds: Iterable[int],
    *,
    record: Recorder | None = None,
    **options: Any,
) -> list[Outcome]:
    """Deploy a bundle at the simulated arm for some episodes.

    Args:
        bundle: the policy.
        station: a simulated one.
        seeds: of the episodes, one after another.
        record: takes what a log holds.
        options: more arguments of `OneProcess`.

    Raises:
        InputError: what `OneProcess` raises.
        RuntimeError: the monitor does not let the arm begin.
    """
    process = OneProcess(bundle, station, record=record, **options)
    try:
        return [process.run_episode(seed) for seed in seeds]
    finally:
        process.close()
