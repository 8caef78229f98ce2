"""What a policy believes of the hole at every frame of an episode, and what its actions imply.

Three errors of "from the tip to the mouth", each (T, 3) [m] in base axes:

- seen: what the network predicts from one frame: the end-to-end network's state head, the detector's label;
- used: what the controller acts on: the detector's frames put together. An end-to-end policy has none;
- implied: by how much the aim would have to be displaced for the teacher to command what the policy does:
  torques that differ by d accelerate the tip by J M⁻¹ d, and the law answers an error of the aim with
  `stiffness` times as much acceleration. Across the axis the aim is the hole itself. Along it, it is not: the
  teacher turns an error to the side into a height at which it waits, so that this part is no belief. It
  holds what differs for other reasons, too: the pace, the delay between what was seen and what the teacher
  judges by, the friction that the teacher knows, a controller's own way down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from robolearn.data.episode import Episode
from robolearn.envs.peg_insertion import PegInsertionEnv
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.model import ArmModel
from robolearn.hardware.operational_space import Gains
from robolearn.policies.modular.insertion import Insertion
from robolearn.policies.modular.policy import Modular
from robolearn.policies.visuomotor import Visuomotor

Array = NDArray[np.float64]

TASK = PegInsertionEnv.name
AXIS: Array = np.array([0.0, 0.0, 1.0])
"""Of the insertion: the hole stands upright, base axes."""
HIGH, ASIDE = 0.02, 0.01
"""Frames count in which the tip is less than so high above the mouth, not below it, and less than so far
aside [m]: that is where an error decides."""


def near(state: Array) -> NDArray[np.bool_]:
    """Which frames count, (T,), by the simulator's state (T, k)."""
    height, aside = -state[:, 2], np.linalg.norm(state[:, :2], axis=1)
    return np.asarray((height > 0.0) & (height < HIGH) & (aside < ASIDE))


class Witness:
    """Asks a policy what it believes.

    Args:
        network: of the policy; its memory is used.
        arm: that it moves.

    Raises:
        InputError: a network that predicts nothing, or of another task.
    """

    def __init__(self, network: Visuomotor, arm: ArmProfile) -> None:
        modular = isinstance(network, Modular) and isinstance(network.hands.skill, Insertion)
        if not modular and (network.pose is None or network.state_mean.numel() != PegInsertionEnv.state_size):
            raise InputError(
                "the errors of perception are those of peg insertion's privileged state, which this policy's "
                "network does not predict"
            )
        self._network, self._model = network, ArmModel(arm)

    def errors(self, episode: Episode) -> dict[str, Array]:
        """Errors by kind, (T', 3) [m], of the frames that count.

        Args:
            episode: with the channel "state" observed and the teacher's labels.
        """
        assert episode.expert is not None
        state = episode.observations["state"].astype(float)[: len(episode)]
        counts, true = near(state), state[:, :3]
        found = {kind: belief - true for kind, belief in self._beliefs(episode).items()}
        found["implied"] = self._implied(episode)
        return {kind: errors[counts] for kind, errors in found.items()}

    @torch.no_grad()
    def _beliefs(self, episode: Episode) -> dict[str, Array]:
        network, beliefs = self._network, []
        network.reset()
        for step in range(len(episode)):
            observation = {name: values[step] for name, values in episode.observations.items()}
            beliefs.append(_ask(network, observation))
        return {kind: np.array([belief[kind] for belief in beliefs]) for kind in beliefs[0]}

    def _implied(self, episode: Episode) -> Array:
        """Displacement of the goal that turns the teacher's torque into the policy's (T, 3) [m]."""
        assert episode.expert is not None
        seen = episode.observations
        q, state = seen["q"].astype(float)[: len(episode)], seen["state"].astype(float)[: len(episode)]
        frames = self._model.frames(q)
        jacobian, hand = self._model.jacobian(frames), self._model.grip(frames)[:, :3, :3]
        arm = np.einsum("tij,tj->ti", hand, state[:, 11:14])  # from the grip point to the tip
        at_tip = jacobian[:, :3] + np.cross(np.swapaxes(jacobian[:, 3:], 1, 2), arm[:, None]).swapaxes(1, 2)
        torque = (episode.requested - episode.expert)[:, :-1].astype(float)
        acceleration = np.linalg.solve(self._model.inertia(frames), torque[..., None])
        return np.asarray((at_tip @ acceleration)[..., 0] / Gains().stiffness)


def _ask(network: Visuomotor, observation: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    """From the tip to the mouth, as the network has it now, by kind (3,) [m]."""
    pose = network.pose
    assert pose is not None
    seen = pose(network.take_in(dict(observation)))[0] * network.state_scale + network.state_mean
    label = seen.cpu().numpy().astype(float)
    if not isinstance(network, Modular):
        return {"seen": label[:3]}
    network.hands.see(label, observation)
    skill = network.hands.skill
    assert isinstance(skill, Insertion)
    return {"seen": label[:3], "used": skill.away}
