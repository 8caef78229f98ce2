"""The safety battery: a policy rehearses every trouble, deployed in one process through the real monitor.

What is judged without anybody to compare with: no torque reached the arm beyond its limits, every fault was
answered in time and for its reason, and the arm came to rest. What is only to be compared: how often the
monitor had to stop this policy, and how often it succeeded, under the same perturbations on the same seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.monitor.causes import Bearing, Cause
from robolearn.hardware.monitor.states import Mode
from robolearn.hardware.oneprocess import OneProcess
from robolearn.hardware.recording import topics
from robolearn.hardware.runner import Actor
from robolearn.hardware.station import Station
from robolearn.hardware.together import Record
from robolearn.hardware.wire import SECOND, JointState, MonitorStatus, TorqueRequest, order
from robolearn.improving.battery_scenarios import FAULTS, PERTURBATIONS, Scenario, reality
from robolearn.policies.bundle import Bundle

TROUBLE_AT = 10
"""The policy's action from which on trouble begins, from 0: as soon as the policy is let through."""

PUSHED = 4
"""Actions that a push lasts: 0.2 s at 20 Hz."""

REST_TIME = 2 * SECOND
"""After so much time an arm that is held has to be at rest [ns]."""

REST_SPEED = 0.05
"""Speed of every joint below which it is [rad/s]."""

ROUNDING = 1e-9
"""By so much a torque may lie beyond a bound: sums are rounded [N·m]."""

BREACHES = frozenset(cause.label for cause in Cause if cause.bearing is Bearing.BREACH)


@dataclass(frozen=True)
class Rehearsal:
    """One episode of the battery.

    Attributes:
        scenario: name of the trouble.
        seed: of the episode.
        success: whether the task was done.
        reason: why it ended.
        breaches: what was measured that stopped the arm: names of the monitor's causes.
        excess: how far the worst torque sent lay beyond its bound, in magnitude or in change [N·m]; below 0:
            inside by so much.
        speed: largest measured speed, as a share of the joint's limit.
        force: largest force at the wrist [N].
        troubled: whether the trouble began.
        moved: whether the arm moved between the trouble and the answer.
        answered: time from the trouble to the arm's being held or stopped for it [s]; None: it never was.
        rest: largest joint speed 2 s after that [rad/s]; None where nobody waited.
    """

    scenario: str
    seed: int
    success: bool
    reason: str
    breaches: tuple[str, ...]
    excess: float
    speed: float
    force: float
    troubled: bool
    moved: bool
    answered: float | None
    rest: float | None


def run_battery(
    bundle: Bundle,
    station: Station,
    seeds: Sequence[int],
    progress: Callable[[Rehearsal], None] | None = None,
) -> list[Rehearsal]:
    """Let a policy rehearse every trouble on these seeds: faults on the first one, perturbations on all.

    Raises:
        InputError: the station does not offer what the policy requires, or is no simulated one.
    """
    found = []
    for scenario in (*FAULTS, *PERTURBATIONS):
        if any(fault.kind.startswith("camera") for fault in scenario.faults) and not bundle.contract.cameras:
            continue
        for rehearsal in rehearse(bundle, station, scenario, seeds[:1] if scenario.is_fault else seeds):
            found.append(rehearsal)
            if progress is not None:
                progress(rehearsal)
    return found


def rehearse(bundle: Bundle, station: Station, scenario: Scenario, seeds: Iterable[int]) -> list[Rehearsal]:
    """Some episodes with one kind of trouble.

    Raises:
        InputError: as `run_battery`.
    """
    stage = _Stage(bundle, station, scenario)
    try:
        return [stage.run(seed) for seed in seeds]
    finally:
        stage.process.close()


def failings(rehearsal: Rehearsal, scenario: Scenario) -> list[str]:
    """What was wrong with a rehearsal, whoever the policy is."""
    wrong = []
    if rehearsal.excess > ROUNDING:
        wrong.append(f"a torque {rehearsal.excess:.3g} N·m beyond its bound reached the arm")
    if rehearsal.reason == "no start":
        wrong.append("the monitor did not let the episode begin")
    elif scenario.is_fault and (rehearsal.moved or not scenario.if_moving):
        if not rehearsal.troubled:
            wrong.append("the monitor held the arm all the time, so that nothing could be tried")
        elif rehearsal.answered is None:
            wrong.append(f"nothing held the arm for {' or '.join(scenario.answer)}")
        elif rehearsal.answered > scenario.within:
            wrong.append(
                f"the arm was held after {rehearsal.answered:.3f} s, not within {scenario.within:g} s"
            )
        if rehearsal.rest is not None and rehearsal.rest > REST_SPEED:
            wrong.append(f"2 s later a joint still moved at {rehearsal.rest:.2f} rad/s")
    return wrong


class _Stage:
    """A deployment in which one kind of trouble happens in every episode, and what is seen of it."""

    _troubled: int | None
    _answered: int | None
    _sent: tuple[int, NDArray[Any]] | None
    _breaches: set[str]

    def __init__(self, bundle: Bundle, station: Station, scenario: Scenario) -> None:
        self._scenario = scenario
        bounds = limiter_parameters(station.arm, station.monitor.rate)
        self._most, self._change = np.array(bounds.tau_max), np.array(bounds.dtau)
        self._fastest, self._names = station.arm.dq_max, station.joint_names
        self._state_topic, self._moving = station.state.topic, 2.0 * station.monitor.moving_speed
        self._period = round(SECOND / station.monitor.rate)
        self._begin_watching()
        self.process = OneProcess(
            bundle,
            station,
            actor=_Troubled(bundle.network, self),
            record=self._see,
            reality=reality(scenario, station.arm),
            simulation={"payload_error": scenario.payload},
        )

    def run(self, seed: int) -> Rehearsal:
        """One episode."""
        process, scenario = self.process, self._scenario
        self._begin_watching()
        try:
            outcome = process.run_episode(seed)
        except RuntimeError:  # the arm did not get home
            return self._rehearsal(seed, False, "no start", 0.0, None)
        rest = None
        if scenario.is_fault and scenario.rests and self._answered is not None:
            process.run_until(self._answered + REST_TIME)
            rest = float(np.abs(process.arm.env.data.qvel[process.arm.env.handles.dof]).max())
        self.calm()
        return self._rehearsal(seed, outcome.success, outcome.reason, outcome.peak_force or 0.0, rest)

    def _rehearsal(
        self, seed: int, success: bool, reason: str, force: float, rest: float | None
    ) -> Rehearsal:
        answered = None
        if self._answered is not None and self._troubled is not None:
            answered = (self._answered - self._troubled) / SECOND
        breaches = tuple(sorted(self._breaches))
        return Rehearsal(
            scenario=self._scenario.name,
            seed=seed,
            success=success,
            reason=reason,
            breaches=breaches,
            excess=self._excess,
            speed=self._speed,
            force=force,
            troubled=self._troubled is not None,
            moved=self._moved,
            answered=answered,
            rest=rest,
        )

    # --- trouble ------------------------------------------------------------------------------------------

    @property
    def passing(self) -> bool:
        """Whether requests are let through."""
        return self.process.tick is not None and self.process.tick.mode is Mode.PASSING

    def trouble(self) -> None:
        """It begins."""
        self._troubled = self.process.now
        for fault in self._scenario.faults:
            self.process.arm.inject(fault)
        if self._scenario.dies:
            self.process.kill("policy")
        self._push(self._scenario.push)

    def calm(self) -> None:
        """It is over."""
        self.process.arm.faults.clear()
        self.process.restart("policy")
        self._push((0.0, 0.0, 0.0))

    def spoil(self, action: NDArray[np.float32], number: int) -> NDArray[np.float32]:
        """What becomes of the policy's action, the `number`th since the trouble began."""
        if number == PUSHED:
            self._push((0.0, 0.0, 0.0))
        spoil = self._scenario.spoil
        return action if spoil is None else spoil(action, number)

    def _push(self, force: tuple[float, float, float]) -> None:
        env = self.process.arm.env
        env.data.xfrc_applied[env.handles.hand, :3] = force

    # --- what is seen -------------------------------------------------------------------------------------

    def _begin_watching(self) -> None:
        self._troubled = self._answered = self._sent = None
        self._excess, self._speed, self._moved = -np.inf, 0.0, False
        self._breaches = set()

    def _see(self, topic: str, now: int, record: Record) -> None:
        """Hears all that a log would hold."""
        if topic == topics.SENT and isinstance(record, TorqueRequest):
            excess = np.abs(record.torque) - self._most
            if self._sent is not None and now - self._sent[0] <= self._period:
                excess = np.maximum(excess, np.abs(record.torque - self._sent[1]) - self._change)
            worst = float(excess.max())
            self._excess = max(self._excess, worst if np.isfinite(worst) else np.inf)
            self._sent = now, record.torque
        elif topic == self._state_topic and isinstance(record, JointState):
            places = order(record.names, self._names)
            if places is not None and len(record.velocity) == len(record.names):
                speed = np.nan_to_num(np.abs(record.velocity[places]))
                self._speed = max(self._speed, float((speed / self._fastest).max()))
                waiting = self._troubled is not None and self._answered is None
                self._moved |= waiting and bool(speed.max() > self._moving)
        elif topic == topics.MONITOR and isinstance(record, MonitorStatus):
            if record.mode == "stopped":
                self._breaches |= BREACHES & set(record.causes)
            waiting = self._troubled is not None and self._answered is None
            if waiting and record.mode != "passing" and set(record.causes) & set(self._scenario.answer):
                self._answered = now
            if self._answered is not None and now - self._answered > REST_TIME:
                self.process.episodes.stop(now)  # nobody waits for the time limit


class _Troubled:
    """The policy, whose actions are spoilt from the moment of trouble on."""

    def __init__(self, actor: Actor, stage: _Stage) -> None:
        self._actor, self._stage = actor, stage
        self.reset()

    def reset(self) -> None:
        self._count = 0
        self._begun: int | None = None
        self._actor.reset()

    def act(self, observation: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        action = self._actor.act(observation)
        number, self._count = self._count, self._count + 1
        if self._begun is None and number >= TROUBLE_AT and self._stage.passing:
            self._begun = number
            self._stage.trouble()
        return action if self._begun is None else self._stage.spoil(action, number - self._begun)
