"""The safety monitor's core: it hears everybody, trusts nobody, and at every tick says what the arm receives.

What it is told comes in through the `on_...` methods as it arrives; `tick` is called at the station's rate and
decides. Nothing here reads a clock or does anything but compute. Two clocks are told apart: `now` is the steady
one, on which silence is measured; stamps belong to the clock that arm, cameras and policies share, which
`on_clock` relates to the steady one (in simulation both are one, and nobody needs to call it).

Joints go by the station's names and order, in joint states, requests and commands alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from robolearn.contract import Contract
from robolearn.hardware.monitor.causes import Cause
from robolearn.hardware.monitor.glimpse import Glimpse
from robolearn.hardware.monitor.states import Authority, Mode, Motion
from robolearn.hardware.station import Station
from robolearn.hardware.wire import Array, Heartbeat, JointState, MonitorStatus, TorqueRequest, Wrench


class Tick(NamedTuple):
    """What one tick decided.

    Attributes:
        publish: whether `torque` goes to the controller.
        torque: gravity included where we supply it, (n,) [N·m], in the station's joint order. In shadow it is
            what would have been sent.
        gripper: from open (-1) to closed (+1); None leaves it.
        mode, authority, motion: the state, and what is being done.
        causes: what is wrong now; while stopped also what the stop began with.
        deactivate: the controller should be inactive: ask for it whenever this becomes True.
    """

    publish: bool
    torque: list[float]
    gripper: float | None
    mode: Mode
    authority: Authority
    motion: Motion
    causes: frozenset[Cause]
    deactivate: bool


class Answer(NamedTuple):
    """The answer to a person's call: whether it was done, and a sentence."""

    done: bool
    message: str


class Monitor:
    """The state machine with everything that it looks at.

    Attributes:
        contract: of the policy that announced itself, or None.
        counts: how often each cause began, since the start.
    """

    def __init__(
        self,
        station: Station,
        *,
        watchdog: bool = True,
        allowed_bundles: Callable[[str], bool] | None = None,
    ) -> None:
        """
        Args:
            watchdog: hold the arm while no watchdog says that it is there.
            allowed_bundles: tells whether a bundle, by its hash, may run autonomously; None allows every one.
        """

    def on_clock(self, now: int, stamps: int) -> None:
        """The clock of the stamps shows `stamps` when the steady one shows `now` [ns]."""

    def on_state(self, now: int, state: JointState) -> None:
        """A joint state has arrived."""

    def on_request(self, now: int, request: TorqueRequest) -> None:
        """A request has arrived; `request.names` are the station's joints, in any order."""

    def on_heartbeat(self, now: int, beat: Heartbeat) -> None:
        """A policy, or whoever else sends requests, is alive."""

    def announce(self, contract: Contract) -> Answer:
        """Make a contract known; heartbeats that carry its hash are then acted on."""
        raise NotImplementedError

    def on_camera(self, now: int, glimpse: Glimpse) -> None:
        """An image has arrived: `glimpse.take(picture)` tells enough of it."""

    def on_wrench(self, now: int, wrench: Wrench) -> None:
        """The external wrench at the wrist has been measured."""

    def on_publishers(self, now: int, strangers: Sequence[str]) -> None:
        """Who publishes on the controller's topic, monitor and watchdog left out."""

    def on_watchdog(self, now: int, owns: bool, torque: Array | None = None) -> None:
        """The watchdog is there; whether it owns the arm, and what it sent last (n,) [N·m]."""

    def on_button(self, now: int, pressed: bool) -> None:
        """The stop button's position."""

    def press_stop(self, now: int, who: str) -> None:
        """Stop now."""

    def reset(self, now: int, who: str) -> Answer:
        """A person's wish to leave a stop; refused while its cause lasts. Ends in shadow."""
        raise NotImplementedError

    def set_authority(self, now: int, level: Authority, who: str) -> Answer:
        """A person's wish for another authority. Shadow begins as soon as the arm is at rest."""
        raise NotImplementedError

    def tick(self, now: int) -> Tick:
        """Decide what the arm receives; called `station.monitor.rate` times a second."""
        raise NotImplementedError

    def status(self, stamp: int) -> MonitorStatus:
        """How things stand after the latest tick."""
        raise NotImplementedError
