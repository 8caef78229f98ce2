"""The action column of other formats: what a policy is to learn, as their own learners expect it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.contract import Contract
from robolearn.data.episode import Episode

Array = NDArray[Any]


def learned_action(episode: Episode) -> NDArray[np.float32]:
    """The action that was sent at each step, (T, a).

    Torques are those that the limiter let through, gravity excluded [N·m], with the gripper's target behind
    them; where that was no number, the one before it stands, for the gripper stays where it was sent (0 if
    there was none). Actions of another kind are what was asked for: there is no torque that says them.
    """
    if episode.contract.action.kind != "torque":
        return episode.requested.astype(np.float32)
    n = len(episode.contract.joints)
    gripper = episode.requested[:, n:].copy()
    for step in np.flatnonzero(~np.isfinite(gripper).all(1)):
        gripper[step] = gripper[step - 1] if step else 0.0
    return np.concatenate([episode.filtered, gripper], 1).astype(np.float32)


def action_scale(contract: Contract) -> NDArray[np.float64]:
    """What divides the numbers of an action so that torques run from -1 to 1, (a,).

    The limiter's `tau_max` [N·m] for torques, 1 for the gripper; 1 throughout where the contract bounds no
    torque.
    """
    scale = np.ones(contract.action.length)
    bound = contract.limiter.get("tau_max")
    if contract.action.kind == "torque" and bound is not None:
        scale[: contract.action.size] = bound
    return scale


def action_names(contract: Contract) -> list[str]:
    """A name for each number of an action, (a,): its joint's, "gripper" for the last where there is one."""
    action = contract.action
    per_joint = action.size == len(contract.joints)
    names = list(contract.joints) if per_joint else [f"{action.kind}_{i}" for i in range(action.size)]
    return [*names, "gripper"] if action.gripper else names
