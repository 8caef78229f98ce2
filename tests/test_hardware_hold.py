"""The hold on the simulated arm: wires that take 10 to 25 ms, half a kilogram that nobody told it of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_task import BallEnv

from robolearn.hardware.impedance import REACH
from robolearn.hardware.monitor.monitor import Monitor
from robolearn.hardware.monitor.states import Authority, Mode, Motion
from robolearn.hardware.oneprocess import OneProcess
from robolearn.hardware.settings import Box
from robolearn.hardware.simulation import Shutter, SimulatedArm, WireTiming
from robolearn.hardware.simulation.pristine import load
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import SECOND, Heartbeat, JointState, TorqueRequest
from robolearn.policies.bundle import Bundle

MS = SECOND // 1000
TICK = 5 * MS
EVERYWHERE = Box((-3.0,) * 3, (3.0,) * 3)
SWING = np.array([12.0, -10.0, 9.0, 8.0, 2.5, 2.5, 2.0])
"""N·m; upwards"""

TWIST = np.array([-12.0, -10.0, -9.0, 8.0, -2.5, 2.5, -2.0])
"""N·m; upwards and the other way round"""

LOAD = 0.5
"""kg, in the hand"""


def roomy(station: Station) -> Station:
    """The same with nothing around it."""
    return replace(station, workspace=replace(station.workspace, grip=EVERYWHERE, links=EVERYWHERE))


class Held:
    """The simulated arm with a monitor that believes its wire to take 10 ms there and back.

    Attributes:
        q, dq: of every millisecond since `stop`, (t, n) [rad], [rad/s].
    """

    def __init__(self, wire: float, phase: int = 4 * MS) -> None:
        never = Shutter(rate=1.0, delay=1000.0)  # nobody looks
        timing = WireTiming(
            state_delay=0.5 * wire, command_delay=0.5 * wire, cameras={"front": never, "wrist": never}
        )
        self.arm = SimulatedArm("small_task:BallEnv", timing=timing)
        self.monitor = Monitor(roomy(load_station("sim")), watchdog=False)
        self.names = self.monitor.station.joint_names
        self.now, self._phase = 0, phase
        self.q: list[np.ndarray] = []
        self.dq: list[np.ndarray] = []

    def run(self, milliseconds: int, ask: np.ndarray | None = None) -> None:
        """Time passes while somebody asks for a torque."""
        data, handles = self.arm.env.data, self.arm.env.handles
        for _ in range(milliseconds):
            self.now += MS
            for message in self.arm.advance(self.now):
                assert isinstance(message, JointState)
                self.monitor.on_state(self.now, message)
            if self.now % TICK == self._phase % TICK:
                self.monitor.on_heartbeat(self.now, Heartbeat(self.now, "a test"))
                if ask is not None:
                    request = TorqueRequest(self.now, self.names, ask, sender="a test")
                    self.monitor.on_request(self.now, request)
                tick = self.monitor.tick(self.now)
                if tick.publish:
                    self.arm.command(tick.torque, self.now)
            self.q.append(data.qpos[handles.qpos].copy())
            self.dq.append(data.qvel[handles.dof].copy())

    def enable(self) -> None:
        self.run(30, np.zeros(7))
        answer = self.monitor.set_authority(self.now, Authority.AUTONOMOUS, "a test")
        assert answer.done, answer
        load(self.arm.env, LOAD)  # until then an arm that carries itself would sink

    def stop(self) -> None:
        self.monitor.press_stop(self.now, "a test")
        self.q.clear()
        self.dq.clear()

    @property
    def speed(self) -> np.ndarray:
        """Of the fastest joint in every millisecond (t,) [rad/s]."""
        return np.abs(self.dq).max(axis=1)

    def check(self) -> None:
        """At rest within 2 s, near to where the springs began, and no more motion."""
        assert self.monitor.state.mode is Mode.STOPPED
        q, anchor = np.array(self.q), np.array(self.monitor.output.holder.anchor)
        assert self.speed[2000:].max() < 0.01
        assert np.abs(q[-1] - anchor).max() < 0.05
        assert np.ptp(q[2000:], axis=0).max() < 0.001


@pytest.mark.parametrize("wire", [0.010, 0.020, 0.025])
def test_an_arm_at_rest_stays_there(wire: float) -> None:
    held = Held(wire)
    held.enable()
    held.stop()
    held.run(2500)
    held.check()
    assert np.abs(np.array(held.q) - held.q[0]).max() < 0.06


@pytest.mark.parametrize("wire", [0.010, 0.020, 0.025])
@pytest.mark.parametrize("push", [SWING, TWIST])
def test_an_arm_at_speed_comes_to_rest(wire: float, push: np.ndarray) -> None:
    held = Held(wire)
    held.enable()
    for i in range(60):
        held.run(10, np.sin(0.06 * i) * push)
    assert held.monitor.state.mode is Mode.PASSING
    fast = float(held.speed[-1])
    assert fast > 0.5
    held.stop()
    held.run(2500)
    held.check()
    assert held.speed.max() < fast + 0.25
    # it is not thrown back: once it is slow it stays so
    slow = int(np.argmax(held.speed < 0.05))
    assert held.speed[slow:].max() < 0.5


def test_somebody_pushes_the_held_arm_and_lets_go() -> None:
    held = Held(0.020)
    held.enable()
    held.stop()
    held.run(600)
    before = held.q[-1]
    hand = held.arm.env.handles.hand
    held.arm.env.data.xfrc_applied[hand, :3] = 30.0, 20.0, 0.0
    held.run(500)
    assert np.abs(held.q[-1] - before).max() > 0.03
    held.arm.env.data.xfrc_applied[hand, :3] = 0.0
    held.run(2000)
    assert np.abs(held.q[-1] - before).max() < 0.005
    assert held.speed[-300:].max() < 0.01


def slower(wire: float) -> Station:
    """A station that says so, and holds as hard as it may."""
    base = roomy(load_station("sim"))
    station = replace(
        base,
        state=replace(base.state, delay=0.5 * wire),
        controller=replace(base.controller, command_delay=0.5 * wire),
    )
    hold = replace(base.monitor.hold, frequency=min(base.monitor.hold.frequency, REACH / station.hold_delay))
    return replace(station, monitor=replace(station.monitor, hold=hold, state_age=0.05))


class Waver:
    """A policy that lets the arm swing."""

    def reset(self) -> None:
        self.asked = 0

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        self.asked += 1
        return np.append(np.sin(0.3 * self.asked) * SWING, -1.0).astype(np.float32)


@pytest.mark.parametrize("wire", [0.010, 0.020, 0.025])
def test_homing_and_the_watchdogs_hold_in_a_whole_deployment(wire: float) -> None:
    """The monitor dies while a policy swings the arm."""
    changes: dict[str, Any] = {
        "observe": ("front", "wrist", "q", "dq", "tau", "gripper"),
        "image_size": 32,
        "episode_seconds": 2.0,
    }
    contract = BallEnv(**changes).contract()
    station = slower(wire)
    delays = {name: station.offer().delays[name] for name in contract.delays}
    contract = replace(contract, delays=delays)
    nothing: Any = None
    bundle = Bundle(nothing, contract, "small_task:BallEnv", changes, weights_hash="ball")
    process = OneProcess(bundle, station, actor=Waver())
    arm = process.arm
    handles, data = arm.env.handles, arm.env.data
    speeds: list[float] = []

    def run(until: int) -> None:
        while process.now < until:
            process.step()
            speeds.append(float(np.abs(data.qvel[handles.dof]).max()))

    process.arm.reset_episode(0, 0)
    process.episodes.start(0)
    while process.episodes.phase.name != "WAITING":
        process.step()
        process._lead()
        assert process.now < 10 * SECOND, process.tick
    load(arm.env, LOAD)
    process._begin()
    run(process.now + 600 * MS)
    assert process.tick is not None
    assert process.tick.motion is Motion.REQUEST
    assert speeds[-1] > 0.3
    fast = speeds[-1]
    process.kill("monitor")
    began = len(speeds)
    run(process.now + 2000 * MS)
    rest = len(speeds)
    run(process.now + 500 * MS)
    assert process.watch is not None
    assert process.watch.owns
    assert max(speeds[rest:]) < 0.01
    assert max(speeds[began:]) < fast + 0.4
    anchor = np.array(process.watchdog.output.holder.anchor)
    assert np.abs(data.qpos[handles.qpos] - anchor).max() < 0.05
    process.close()
