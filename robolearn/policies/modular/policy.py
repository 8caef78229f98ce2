"""The modular policy: eyes that are a network, hands that are a controller, and a pose between them.

It is a policy like any other: the same observations and the same actions under the same contract, with the
network's weights and the controller's numbers in its bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.hardware.arm import arm_names, load_arm
from robolearn.policies.modular.grasping import Grasping
from robolearn.policies.modular.insertion import Insertion
from robolearn.policies.modular.servo import Servo
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

Array = NDArray[np.float64]

SKILLS: dict[str, type[Insertion] | type[Grasping]] = {"peg-insertion": Insertion, "grasp": Grasping}
"""What there is a controller for, by the task's name."""


@dataclass(frozen=True)
class ModularConfig(VisuomotorConfig):
    """The detector's size, and what the controller knows.

    Attributes:
        task: a key of `SKILLS`.
        arm: name of a shipped arm.
        posture: joint positions to stay near (n,) [rad].
        friction: guess at the joints' Coulomb friction (n,) [N·m].
        rate: control steps a second [Hz].
        delay: from a reading to the torque that answers it, as is to be expected [s].
        facts: what the skill wants to know from the drawings, by name.
    """

    task: str = "peg-insertion"
    arm: str = "panda"
    posture: tuple[float, ...] = ()
    friction: tuple[float, ...] = ()
    rate: float = 20.0
    delay: float = 0.0
    facts: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("task of a modular policy", self.task, SKILLS)
        choose("arm of a modular policy", self.arm, arm_names())
        checks.number("rate", self.rate, above=0.0)
        checks.number("delay", self.delay, low=0.0)
        for name, value in checks.mapping("facts", self.facts).items():
            checks.number(f"fact {name}", value, low=0.0)


class Hands:
    """What acts on the goal that is seen.

    Args:
        config: what the controller knows.

    Raises:
        InputError: a posture, a friction or facts that do not fit the arm or the skill.
    """

    def __init__(self, config: ModularConfig) -> None:
        arm = load_arm(config.arm)
        posture = np.array(checks.vector("posture", config.posture, arm.n))
        friction = np.array(checks.vector("friction", config.friction, arm.n))
        self.servo = Servo(arm, posture, friction, config.rate, config.delay)
        self.skill = SKILLS[config.task](self.servo, config.rate, config.facts)

    def reset(self) -> None:
        """An episode begins."""
        self.servo.reset()
        self.skill.reset()

    def see(self, label: Array, readings: Mapping[str, NDArray[Any]]) -> None:
        """Take in a frame: what the eyes say, in the skill's labels, and the readings by name."""
        self.servo.feel(readings["q"], readings["dq"])
        self.skill.see(label, readings)

    def act(self) -> NDArray[np.float32]:
        """The action, (n + 1,)."""
        return self.skill.act()


class Modular(Visuomotor):
    """A detector of the end-to-end network's size, without its control layers, and hands.

    Args:
        config: its size and what it knows.
        cameras: name to (height, width).
        channels: joint readings: name to size.
        state: numbers in the skill's labels.
        action: size of an action, the gripper's included.

    Raises:
        InputError: there is no camera, a reading is missing that the skill needs, or the numbers do not fit.
    """

    config: ModularConfig

    def __init__(
        self,
        config: ModularConfig,
        cameras: dict[str, tuple[int, int]],
        channels: dict[str, int],
        state: int,
        action: int,
    ) -> None:
        super().__init__(config, cameras, channels, state, action)
        del self.control
        self.hands = Hands(config)
        skill = SKILLS[config.task]
        if not cameras:
            raise InputError("a modular policy looks for its goal in pictures: observe at least one camera")
        if missing := [name for name in skill.needs if name not in channels]:
            raise InputError(
                f"the controller of {config.task} needs the readings {', '.join(skill.needs)}: "
                f"observe {', '.join(missing)}, too"
            )
        n = len(config.posture)
        found, needed = (state, action, channels["q"], channels["dq"]), (skill.size, n + 1, n, n)
        if found != needed:
            raise InputError(
                f"labels, action, q and dq have sizes {found}; {config.task} with {n} joints needs {needed}"
            )

    def predict(self, observation: dict[str, Tensor]) -> Tensor:
        """Labels (B, k), in their own units, of a batch of observations such as `forward` takes."""
        assert self.pose is not None
        predicted: Tensor = self.pose(self.encode(observation)) * self.state_scale + self.state_mean
        return predicted

    def decide(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Raises InputError: what acts here is a controller that remembers, and no network."""
        raise InputError(
            "this is a modular policy: its actions come from a controller, so that there is no network of "
            "actions to export, to compare on logs or to learn on with"
        )

    @torch.no_grad()
    def act(self, observation: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The action for the next observation of an episode, as `Visuomotor.act`."""
        self.observe(observation)
        return self.hands.act()

    @torch.no_grad()
    def observe(self, observation: dict[str, NDArray[Any]]) -> None:
        """Take in the next observation of an episode; the goal is one of all frames, whoever acts."""
        assert self.pose is not None
        label = self.pose(self.take_in(observation))[0] * self.state_scale + self.state_mean
        self.hands.see(label.cpu().numpy().astype(float), observation)

    def reset(self) -> None:
        """Forget what was seen: an episode begins."""
        super().reset()
        self.hands.reset()
