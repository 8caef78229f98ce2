"""What can go wrong between an arm's sensors and whoever listens, on purpose: for tests and rehearsals.

`Faults` stands at the simulated arm's end of the wire. Healthy messages go in; what a broken driver, camera,
clock or network makes of them comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.hardware.wire import SECOND, JointState, Picture

FAULTS = {
    "state frozen": "the readings stay what they are, with new stamps",
    "state late": "joint states come `amount` seconds later",
    "state backwards": "every other joint state carries a stamp `amount` seconds older",
    "state future": "stamps lie `amount` seconds ahead",
    "state duplicated": "every joint state comes twice",
    "state dropped": "a share `amount` of the joint states, drawn by chance, never comes",
    "state nan": "the first joint's position is not a number",
    "state without velocity": "the velocity field is empty",
    "state permuted": "the joints come in the reverse order, names and readings together",
    "camera frozen": "pictures stay what they are, with new stamps",
    "camera late": "pictures come `amount` seconds later",
    "camera black": "every pixel is 0",
    "camera lost": "no picture comes",
    "clock jump": "the arm's and the cameras' clock stands `amount` seconds ahead",
    "stranger": "somebody else publishes `amount` newton metres for every joint to the controller, at 100 Hz",
}
"""Kinds of fault and what they do."""

AMOUNTS = {"state late", "state backwards", "state future", "state dropped", "camera late", "clock jump"}
AMOUNTS |= {"stranger"}
"""Kinds that need an amount."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: one of `FAULTS`.
        amount: of what `FAULTS` says; 0 where the kind needs none.
        camera: the one that a camera's fault is about; "" for all of them.

    Raises:
        InputError: there is no such kind, or it lacks its amount.
    """

    kind: str
    amount: float = 0.0
    camera: str = ""

    def __post_init__(self) -> None:
        choose("fault", self.kind, FAULTS)
        checks.number(f"amount of fault {self.kind!r}", self.amount)
        if self.kind in AMOUNTS and self.amount == 0.0:
            raise InputError(f"fault {self.kind!r} needs an amount: {FAULTS[self.kind]}")


@dataclass(frozen=True, eq=False)
class Arrival:
    """A message, and how much later than usual it comes [ns]."""

    message: JointState | Picture
    later: int = 0


class Faults:
    """The faults in force, and what they make of messages.

    Args:
        seed: of what is left to chance.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._active: list[Fault] = []
        self._frozen_state: JointState | None = None
        self._frozen_pictures: dict[str, Picture] = {}
        self._odd = False

    def inject(self, fault: Fault) -> None:
        """From now on this goes wrong, too."""
        self._active.append(fault)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._active.clear()
        self._frozen_state = None
        self._frozen_pictures.clear()

    @property
    def active(self) -> tuple[Fault, ...]:
        """What goes wrong now."""
        return tuple(self._active)

    @property
    def stranger(self) -> float | None:
        """The torque that a stranger commands [N·m], if there is one."""
        return next((fault.amount for fault in self._active if fault.kind == "stranger"), None)

    def on_state(self, state: JointState) -> list[Arrival]:
        """What comes in place of a joint state."""
        later, copies = 0, 1
        self._odd = not self._odd
        for fault in self._active:
            shift = round(fault.amount * SECOND)
            if fault.kind == "state frozen":
                held = self._frozen_state = self._frozen_state or state
                state = replace(held, stamp=state.stamp)
            elif fault.kind == "state late":
                later += shift
            elif fault.kind in ("state future", "clock jump"):
                state = replace(state, stamp=state.stamp + shift)
            elif fault.kind == "state backwards" and self._odd:
                state = replace(state, stamp=state.stamp - shift)
            elif fault.kind == "state duplicated":
                copies = 2
            elif fault.kind == "state dropped" and self._rng.random() < fault.amount:
                copies = 0
            elif fault.kind == "state nan":
                state = replace(state, position=np.append(np.nan, state.position[1:]))
            elif fault.kind == "state without velocity":
                state = replace(state, velocity=np.zeros(0))
            elif fault.kind == "state permuted":
                state = JointState(
                    state.stamp,
                    state.names[::-1],
                    state.position[::-1].copy(),
                    state.velocity[::-1].copy(),
                    state.effort[::-1].copy(),
                )
        return [Arrival(state, later)] * copies

    def on_picture(self, picture: Picture) -> list[Arrival]:
        """What comes in place of a picture."""
        later = 0
        for fault in self._active:
            shift = round(fault.amount * SECOND)
            if fault.kind == "clock jump":
                picture = replace(picture, stamp=picture.stamp + shift)
            if fault.camera not in ("", picture.camera):
                continue
            if fault.kind == "camera lost":
                return []
            if fault.kind == "camera late":
                later += shift
            elif fault.kind == "camera black":
                picture = replace(picture, pixels=np.zeros_like(picture.pixels))
            elif fault.kind == "camera frozen":
                held = self._frozen_pictures.setdefault(picture.camera, picture)
                picture = replace(held, stamp=picture.stamp)
        return [Arrival(picture, later)]
