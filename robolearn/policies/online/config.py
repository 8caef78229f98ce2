"""What all online methods share: the offline methods' critics, and what a critic is shown."""

from __future__ import annotations

from dataclasses import dataclass

from robolearn import checks
from robolearn.errors import InputError
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.networks import Critic


@dataclass(frozen=True)
class OnlineConfig(OfflineConfig):
    """How a policy learns from trial and error, whatever the method.

    Attributes:
        learning_rate: of the policy; it stays.
        ratio: gradient steps for each step of the arm; whoever is ahead, learner or collectors, waits.
        shaping: how much getting all of the task's own reward for ever counts against one success, below 1;
            with 0 success alone counts. It is for training: what is reported is success in either case.
        asymmetric: whether the critics see the simulator's state in place of pictures, in training alone
            (Pinto et al., RSS 2018); the policy sees pictures all the same.
        state_weight: how much predicting the simulator's state counts where pictures are seen; with 0 nothing
            is predicted.

    Raises:
        InputError: a value that no learning can be done with.
    """

    learning_rate: float = 3e-4
    pessimism: str = "truncated"
    quantiles: int = 25
    dropped: float = 0.0
    layer_norm: bool = True
    ratio: float = 0.5
    shaping: float = 0.5
    asymmetric: bool = False
    state_weight: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("ratio", self.ratio, above=0.0)
        if checks.share("shaping", self.shaping) == 1.0:
            raise InputError(
                "shaping is 1, which makes hovering as good as success: choose from 0 to below 1"
            )
        checks.flag("asymmetric", self.asymmetric)
        checks.number("state_weight", self.state_weight, low=0.0)

    def critic(self, features: int, joints: int) -> Critic:
        """A new ensemble that judges torques, once for an open and once for a closed gripper."""
        sizes = (features + joints, 2 * self.quantiles, self.hidden, self.layers)
        return Critic(*sizes, members=self.critics, layer_norm=self.layer_norm)
