"""What monitor and watchdog say: every tick to the arm, and to people who ask."""

from __future__ import annotations

from typing import NamedTuple

from robolearn.hardware.monitor.states import Authority, Mode, Motion
from robolearn.hardware.wire import Array


class Tick(NamedTuple):
    """What one tick of the monitor decided.

    Attributes:
        publish: whether `torque` goes to the controller.
        torque: gravity included where we supply it, (n,) [N·m], in the station's joint order. In shadow it is
            what would have been sent.
        gravity: what of it carries the arm (n,) [N·m]; zeros where the arm carries itself.
        filtered: the rest of it (n,) [N·m]; bit for bit what was asked for where the limiter altered nothing.
        gripper: from open (-1) to closed (+1); None leaves it.
        mode, authority, motion: the state, and what is being done.
        causes: names of what is wrong now, and while stopped of what began the stop.
        deactivate: the controller should be inactive: ask for it when this becomes True.
    """

    publish: bool
    torque: Array
    gravity: Array
    filtered: Array
    gripper: float | None
    mode: Mode
    authority: Authority
    motion: Motion
    causes: frozenset[str]
    deactivate: bool


class Watch(NamedTuple):
    """What one tick of the watchdog decided.

    Attributes:
        publish: whether `torque` goes to the controller.
        torque: gravity included where we supply it, (n,) [N·m], in the station's joint order.
        owns: whether the arm is the watchdog's.
        deactivate: the controller should be inactive: ask for it when this becomes True.
    """

    publish: bool
    torque: Array
    owns: bool
    deactivate: bool


class Answer(NamedTuple):
    """The answer to a person's call: whether it was done, and a sentence."""

    done: bool
    message: str
