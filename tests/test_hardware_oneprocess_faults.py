"""What can go wrong, one thing after another, in a whole deployment on a simulated clock: what the arm got,
how long until it was safe, what was logged. test_hardware_faults_processes.py does it with real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from deploying_alone import STATION, Log, Swinger, ball_bundle, deploy, of

from robolearn.errors import InputError
from robolearn.hardware.faults import Fault
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.monitor.states import Authority, Mode
from robolearn.hardware.oneprocess import OneProcess
from robolearn.hardware.recording import topics
from robolearn.hardware.wire import SECOND, Heartbeat, TorqueRequest

TICK = 0.005
BAD_VALUE, STALE, DEATH = 2 * TICK, 0.12, 0.05
"""Longest times until the arm is safe [s]."""

QUIET = SECOND * 3 // 10
"""So long after the beginning of an episode all is well [ns]."""

BOUNDS = limiter_parameters(STATION.arm, STATION.monitor.rate)

Spoil = Callable[[TorqueRequest], Iterable[TorqueRequest]]


class Faulty(OneProcess):
    """A deployment in which something happens some time after an episode has begun.

    Attributes:
        happens: is done once then; `keeps` after every step from then on.
        spoil: makes other requests of the policy's, from then on.
        since: when it happened [ns].
    """

    happens: Callable[[Faulty], object] | None = None
    keeps: Callable[[Faulty], object] | None = None
    spoil: Spoil | None = None
    since: int | None = None

    def step(self) -> None:
        super().step()
        begun = self.arm.meters is not None and self.episodes.phase.value == "running"
        if self.since is None and begun and self.now >= self.episodes._begun + QUIET:
            self.since = self.now
            if self.happens is not None:
                self.happens(self)
        elif self.since is not None and self.keeps is not None:
            self.keeps(self)

    def ask(self, request: TorqueRequest) -> None:
        spoilt = self.since is not None and self.spoil is not None and request.sender == "policy"
        for each in self.spoil(request) if spoilt and self.spoil else [request]:
            super().ask(each)

    def mend(self) -> None:
        """Everything is as it should be again."""
        self.happens = self.keeps = self.spoil = self.since = None
        self.arm.faults.clear()
        for part in list(self._dead):
            self.restart(part)
        self.run_until(self.now + SECOND // 2)
        self.watchdog.reset(self.now, "a test")


@dataclass(frozen=True)
class Case:
    """Something that goes wrong.

    Attributes:
        ends: "stopped", "holding", "watchdog" (it owns the arm), or "passing": nothing happens.
        cause: what the log says.
        within: time until the arm is safe [s].
        lasts: whether it is there until it is mended, and no reset is possible.
    """

    ends: str
    cause: str
    within: float
    happens: Callable[[Faulty], object] | None = None
    keeps: Callable[[Faulty], object] | None = None
    spoil: Spoil | None = None
    lasts: bool = True


def fault(kind: str, amount: float = 0.0, camera: str = "") -> Callable[[Faulty], object]:
    return lambda process: process.arm.inject(Fault(kind, amount, camera))


def each(change: Callable[[TorqueRequest], TorqueRequest]) -> Spoil:
    return lambda request: [change(request)]


def torque(value: float) -> Spoil:
    """The third joint's torque is another."""
    return each(lambda r: replace(r, torque=np.where(np.arange(7) == 2, value, r.torque)))


def another_policy(process: Faulty) -> None:
    if process.now % (SECOND // 20) < 6_000_000:
        contract = process.runner.contract.hash
        process._beat(Heartbeat(process.now, "policy 2", "other", contract))
        names = process.runner.joint_names
        process.ask(TorqueRequest(process.now, names, np.zeros(7), sender="policy 2"))


def unannounced(process: Faulty) -> None:
    names = process.runner.joint_names
    process.ask(TorqueRequest(process.now, names, np.full(7, 20.0), sender="nobody"))


def late_in_bursts() -> Spoil:
    waiting: list[TorqueRequest] = []

    def spoil(request: TorqueRequest) -> list[TorqueRequest]:
        waiting.append(request)
        if len(waiting) < 4:
            return []
        burst = waiting.copy()
        waiting.clear()
        return burst

    return spoil


CASES = {
    # what the policy asks for
    "NaN": Case("stopped", "request_nonfinite", BAD_VALUE, spoil=torque(np.nan)),
    "infinity": Case("stopped", "request_nonfinite", BAD_VALUE, spoil=torque(-np.inf)),
    "wrong length": Case(
        "holding", "request_size", BAD_VALUE, spoil=each(lambda r: replace(r, torque=r.torque[:6]))
    ),
    "permuted joints": Case(
        "passing", "", 0.0, spoil=each(lambda r: replace(r, names=r.names[::-1], torque=r.torque[::-1]))
    ),
    "another arm's joints": Case(
        "holding", "request_names", BAD_VALUE,
        spoil=each(lambda r: replace(r, names=tuple(f"fr3_joint{i + 1}" for i in range(7)))),
    ),
    "ten times the rate": Case("holding", "request_flood", 0.3, spoil=lambda r: [r] * 10),
    "late, then a burst": Case("holding", "request_late", STALE, spoil=late_in_bursts()),
    "backwards": Case(
        "holding", "request_backwards", BAD_VALUE, spoil=each(lambda r: replace(r, stamp=r.stamp - SECOND))
    ),
    "a sender who does not beat": Case("holding", "request_sender", BAD_VALUE, keeps=unannounced),
    "two policies": Case("stopped", "two_policies", 0.06, keeps=another_policy),
    "the policy dies": Case("holding", "request_late", STALE, lambda p: p.kill("policy"), lasts=False),
    # what the arm says
    "NaN state": Case("stopped", "state_nonfinite", STALE, fault("state nan")),
    "no velocity": Case("stopped", "state_no_velocity", STALE, fault("state without velocity")),
    "frozen state": Case("stopped", "state_frozen", STALE, fault("state frozen")),
    "late state": Case("holding", "state_late", STALE, fault("state late", 0.05)),
    "lost state": Case("holding", "state_late", STALE, fault("state dropped", 1.0)),
    "future state": Case("holding", "state_late", STALE, fault("state future", 0.1)),
    "clock jump": Case("holding", "state_late", STALE, fault("clock jump", 2.0)),
    "backward states": Case("passing", "state_backwards", 0.0, fault("state backwards", 0.02)),
    "duplicated states": Case("passing", "state_duplicate", 0.0, fault("state duplicated")),
    "dropped states": Case("passing", "", 0.0, fault("state dropped", 0.3)),
    "permuted states": Case("passing", "", 0.0, fault("state permuted")),
    # what the cameras see
    "black camera": Case("holding", "camera_black", STALE, fault("camera black", camera="front")),
    "lost camera": Case("holding", "request_late", STALE, fault("camera lost", camera="wrist")),
    "late camera": Case("holding", "request_late", STALE, fault("camera late", 0.15, "front")),
    "frozen camera": Case("holding", "camera_frozen", 1.0, fault("camera frozen", camera="wrist")),
    # who else is there, and who is no more
    "a stranger": Case("stopped", "stranger", BAD_VALUE, fault("stranger", 2.0)),
    "the monitor dies": Case("watchdog", "", DEATH, lambda p: p.kill("monitor"), lasts=False),
    "the watchdog dies": Case("holding", "watchdog_late", 0.205, lambda p: p.kill("watchdog"), lasts=False),
}  # fmt: skip


@pytest.fixture(scope="module")
def deployment() -> Iterator[tuple[Faulty, Log]]:
    slow = tuple(replace(camera, rate=20.0) for camera in STATION.cameras)  # drawing takes most of the time
    station = replace(STATION, cameras=slow)
    process, log = deploy(ball_bundle(episode_seconds=1.2), Swinger(), Faulty, station)
    assert isinstance(process, Faulty)
    yield process, log
    process.close()


def run(process: Faulty, log: Log, case: Case) -> int:
    """An episode in which it happens, and half a second more; when it happened [ns]."""
    process.mend()
    log.clear()
    process.happens, process.keeps, process.spoil = case.happens, case.keeps, case.spoil
    process.run_episode(len(log))
    assert process.since is not None
    process.run_until(max(process.now, process.since + SECOND))
    return process.since


def safe_at(log: Log, since: int, ends: str) -> int:
    """When the arm was safe: no request passes any more, or the watchdog sends."""
    if ends == "watchdog":
        return next(time for time, sent in of(log, topics.SENT) if sent.sender == "watchdog")
    return next(
        time for time, status in of(log, topics.MONITOR) if time >= since and status.mode != "passing"
    )


@pytest.mark.parametrize("what", CASES)
def test_a_fault(deployment: tuple[Faulty, Log], what: str) -> None:
    case, (process, log) = CASES[what], deployment
    since = run(process, log, case)
    after = [(time, status) for time, status in of(log, topics.MONITOR) if time > since]
    sent = [(time, record) for time, record in of(log, topics.SENT) if time >= since]

    # what the arm received
    torques = np.array([record.torque for _, record in sent])
    assert len(torques) >= 0.9 * SECOND / 5e6
    assert np.isfinite(torques).all()
    assert (np.abs(torques) <= BOUNDS.tau_max).all()
    steps = np.abs(np.diff(torques, axis=0))[np.diff([time for time, _ in sent]) <= 5_000_000]
    assert (steps <= np.array(BOUNDS.dtau) + 1e-12).all()
    # what that did: the simulation knows better than a spoilt joint state
    env = process.arm.env
    if case.cause.startswith("state_") and case.ends != "passing":
        assert not torques[-1].any(), "nothing feeds back on such a state"
    elif case.ends in ("stopped", "watchdog") and what != "a stranger":  # who goes on pushing all the time
        assert np.abs(env.data.qvel[env.handles.dof]).max() < 0.1

    # how long that took, and what was logged
    causes = {cause for _, status in after for cause in status.causes}
    counts = after[-1][1].counts if after else {}
    if case.ends == "passing":
        held = [(time, s.causes) for time, s in after if s.mode != "passing" and time < since + SECOND // 2]
        assert not held
        assert not case.cause or counts[case.cause] > 0
        return
    took = (safe_at(log, since, case.ends) - since) / SECOND
    if case.spoil is not None:  # it begins with the policy's next request
        first = next(time for time, _ in of(log, topics.REQUESTED) if time > since)
        took -= (first - since) / SECOND if case.within <= BAD_VALUE else 0.0
    assert took <= case.within + 1e-9, took
    if case.ends == "watchdog":
        assert process.watchdog.owns
        return
    assert case.cause in causes, causes
    if case.ends == "stopped":
        assert process.tick is not None
        assert process.tick.mode is Mode.STOPPED
        refused = process.monitor.reset(process.now, "a test")
        assert refused.done is not case.lasts, refused


def test_the_monitor_dies_and_people_take_the_arm_back(deployment: tuple[Faulty, Log]) -> None:
    process, log = deployment
    since = run(process, log, CASES["the monitor dies"])
    first = safe_at(log, since, "watchdog")
    assert 0.03 < (first - since) / SECOND <= DEATH
    before = [record for time, record in of(log, topics.SENT) if time < first][-1]
    begun = next(record for time, record in of(log, topics.SENT) if time == first)
    assert before.sender == "monitor"
    assert (np.abs(begun.torque - before.torque) <= np.array(BOUNDS.dtau) + 1e-12).all()
    assert not of(log, topics.MONITOR) or of(log, topics.MONITOR)[-1][0] <= since

    # held still, for as long as it takes
    env = process.arm.env
    held = env.data.qpos[env.handles.qpos].copy()
    process.run_until(process.now + 2 * SECOND)
    assert np.abs(env.data.qpos[env.handles.qpos] - held).max() < 0.02
    assert not process.watchdog.reset(process.now, "a test").done, "there is no monitor yet"
    process.restart("monitor")
    process.run_until(process.now + SECOND // 10)
    assert process.monitor.state.authority is Authority.SHADOW
    assert process.tick is not None
    assert "watchdog_owns" in process.tick.causes
    assert not process.monitor.reset(process.now, "a test").done, "the watchdog has the arm"
    assert process.watchdog.reset(process.now, "a test").done
    process.run_until(process.now + SECOND // 10)
    assert process.monitor.reset(process.now, "a test").done
    process.mend()
    assert process.run_episode(3).reason != "stopped"


def test_the_policy_that_is_gone_is_missed(deployment: tuple[Faulty, Log]) -> None:
    process, log = deployment
    since = run(process, log, CASES["the policy dies"])
    lost = next(t for t, status in of(log, topics.MONITOR) if "policy_lost" in status.causes)
    assert 0.25 < (lost - since) / SECOND <= 0.31
    assert process.tick is not None
    assert process.tick.mode is Mode.STOPPED


@pytest.mark.parametrize("mode", ["passing", "holding", "stopped", "shadow"])
def test_stop_pressed_in_each_state(deployment: tuple[Faulty, Log], mode: str) -> None:
    process, log = deployment
    prelude: dict[str, Callable[[Faulty], Any]] = {
        "passing": lambda p: None,
        "holding": fault("camera black"),
        "stopped": lambda p: p.monitor.press_stop(p.now, "somebody else"),
        "shadow": lambda p: p.monitor.set_authority(p.now, Authority.SHADOW, "a test"),
    }
    since = run(process, log, Case(mode, "", 1.0, prelude[mode]))
    process.run_until(since + 2 * SECOND)
    assert process.tick is not None
    process.monitor.on_button(process.now, True)
    pressed = process.now
    process.run_until(pressed + SECOND // 2)
    stopped = next(t for t, s in of(log, topics.MONITOR) if t >= pressed and "emergency_stop" in s.causes)
    assert (stopped - pressed) / SECOND <= BAD_VALUE
    assert process.tick.mode is Mode.STOPPED
    refused = process.monitor.reset(process.now, "a test")
    assert not refused.done
    assert "emergency_stop" in refused.message
    process.monitor.on_button(process.now, False)
    process.mend()
    assert process.monitor.reset(process.now, "a test").done


def test_only_parts_can_die(deployment: tuple[Faulty, Log]) -> None:
    with pytest.raises(InputError, match=r"unknown part 'monitr' \(did you mean 'monitor'"):
        deployment[0].kill("monitr")
