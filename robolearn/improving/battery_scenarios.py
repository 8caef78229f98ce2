"""What a policy has to go through before it may move an arm: faults on the way, and an arm that is otherwise.

Every scenario is a line here. A fault has to be answered: within its time the arm is held or stopped, for the
reason that is named, and comes to rest. Under a perturbation the work goes on: what counts is whether the
policy copes as well as the one that is promoted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.faults import Fault
from robolearn.hardware.realities import Reality

Action = NDArray[np.float32]


@dataclass(frozen=True)
class Scenario:
    """One kind of trouble.

    Attributes:
        name: in a few words.
        about: what is done, for people.
        faults: of the arm and its cameras, from the moment of trouble on.
        spoil: what becomes of the policy's actions from then on, given the action and its number from then.
        dies: whether the policy's process dies then.
        push: force on the hand for 0.2 s from then, in the base frame [N].
        payload: mass in the hand that nobody knows of [kg].
        otherwise: fields of a `Reality` that differ from the training simulator, from the beginning on.
        answer: names of the monitor's causes, one of which has to hold or stop the arm; empty: none has to.
        within: time from the trouble to that [s].
        rests: whether the arm can be brought to rest then: without good readings it may only be let go.
        if_moving: whether only an arm that moves shows that anything is wrong.
    """

    name: str
    about: str
    faults: tuple[Fault, ...] = ()
    spoil: Callable[[Action, int], Action] | None = None
    dies: bool = False
    push: tuple[float, float, float] = (0.0, 0.0, 0.0)
    payload: float = 0.0
    otherwise: dict[str, Any] = field(default_factory=dict)
    answer: tuple[str, ...] = ()
    within: float = 0.0
    rests: bool = True
    if_moving: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether the arm has to be held or stopped."""
        return bool(self.answer)


def _nan(action: Action, number: int) -> Action:
    return np.full_like(action, np.nan)


def _wild(action: Action, number: int) -> Action:
    """Fifty times too strong, the other way each time."""
    return np.append(50.0 * (-1.0) ** number * action[:-1], action[-1]).astype(np.float32)


FAULTS = (
    Scenario(
        "request is no number",
        "every number of the policy's requests is NaN",
        spoil=_nan,
        answer=("request_nonfinite",),
        within=0.03,
    ),
    Scenario(
        "policy dies",
        "the policy's process ends in the middle of its work",
        dies=True,
        answer=("request_late", "policy_lost"),
        within=0.25,
    ),
    Scenario(
        "cameras frozen",
        "pictures stay what they are, with new stamps",
        faults=(Fault("camera frozen"),),
        answer=("camera_frozen",),
        within=0.5,
        if_moving=True,
    ),
    Scenario(
        "cameras black",
        "every pixel is 0",
        faults=(Fault("camera black"),),
        answer=("camera_black",),
        within=0.3,
    ),
    Scenario(
        "cameras lost",
        "no picture comes any more",
        faults=(Fault("camera lost"),),
        answer=("camera_late", "request_late"),
        within=0.4,
    ),
    Scenario(
        "joint states late",
        "joint states come 0.2 s later",
        faults=(Fault("state late", 0.2),),
        answer=("state_late", "state_lost", "state_backwards"),
        within=0.12,
        rests=False,
    ),
    Scenario(
        "joint state is no number",
        "the first joint's position is NaN",
        faults=(Fault("state nan"),),
        answer=("state_nonfinite",),
        within=0.03,
        rests=False,
    ),
)
"""What has to be answered. Which cameras there are depends on the policy: one without has no such faults."""

PERTURBATIONS = (
    Scenario("nothing", "the simulated arm as it is"),
    Scenario(
        "wild requests", "every request fifty times too strong, and the other way each time", spoil=_wild
    ),
    Scenario("push", "20 N sideways on the hand for 0.2 s", push=(0.0, 20.0, 0.0)),
    Scenario("payload", "0.3 kg in the hand that nobody told the arm of", payload=0.3),
    Scenario("joint states dropped", "a tenth of them never comes", faults=(Fault("state dropped", 0.1),)),
    Scenario("joint friction", "0.5 N·m, at the wrist 0.15 N·m", otherwise={"joint_friction": (0.5, 0.15)}),
    Scenario(
        "motors", "every other one 4 % too strong, the others too weak", otherwise={"torque_gain": 0.04}
    ),
    Scenario("slippery", "friction of things and pads 0.7 times", otherwise={"friction_scale": 0.7}),
    Scenario("delays", "everything 10 ms later", otherwise={"delay": 0.01}),
    Scenario(
        "light",
        "0.7 times the light, colours shifted",
        otherwise={"light_intensity": 0.7, "colour_shift": 0.05},
    ),
)
"""Under which the work goes on. Wild requests are no policy's work: they show that limits hold whatever is
asked, and success in them counts for nobody."""

NOT_COMPARED = ("wild requests",)


def reality(scenario: Scenario, arm: ArmProfile) -> Reality | None:
    """The arm that a scenario needs; None for the training simulator's own."""
    if not scenario.otherwise:
        return None
    other = dict(scenario.otherwise)
    n = arm.n
    upper, wrist = other.pop("joint_friction", (0.0, 0.0))
    gain, delay = other.pop("torque_gain", 0.0), other.pop("delay", 0.0)
    values: dict[str, Any] = {
        "path": Path(scenario.name),
        "sha256": "",
        "title": scenario.about,
        "torque_gain": tuple(1.0 + gain * (-1.0) ** i for i in range(n)),
        "joint_friction": (*[upper] * (n - 3), *[wrist] * 3),
        "mass_scale": 1.0,
        "friction_scale": 1.0,
        "state_delay_extra": 0.5 * delay,
        "command_delay_extra": 0.5 * delay,
        "camera_delay_extra": delay,
        "camera_shift": {},
        "camera_turn": {},
        "focal_scale": {},
        "light_intensity": 1.0,
        "light_shift": (0.0, 0.0, 0.0),
        "colour_shift": 0.0,
        "colour_seed": 1,
        "texture": False,
        "distractors": 0,
        "q_noise": 0.0,
        "dq_noise": 0.0,
        "image_noise": 0.0,
    }
    return Reality(**{**values, **other})
