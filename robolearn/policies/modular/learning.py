"""How the detector learns: what its predictions are judged by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robolearn.policies.guided import GuidedConfig
from robolearn.policies.modular.policy import SKILLS, Modular
from robolearn.policies.visuomotor import Visuomotor


def detection(
    network: Visuomotor, batch: dict[str, Tensor], config: GuidedConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The error of the labels, each in units of what matters of it: a millimetre near the hole matters as
    much as a centimetre from afar. Quadratic below that, linear above: what is seen from afar drowns nothing.

    Args:
        network: a `Modular`.
        batch: what `Replay.sample` gives, with labels as "state".
        config: not needed; there is nothing to weigh.

    Returns:
        the loss, and the same by name.
    """
    assert isinstance(network, Modular)
    label = batch["state"]
    wrong = (network.predict(batch) - label) / SKILLS[network.config.task].tolerance(label)
    loss = nn.functional.smooth_l1_loss(wrong, torch.zeros_like(wrong), beta=1.0)
    return loss, {"label": loss}
