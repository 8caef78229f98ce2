"""Which of a policy's actions the logs say nothing about.

An action is strange if nobody in the logs acted like it where it is proposed. How strange is measured by how
far it lies from what an ensemble, fitted to the logged actions, expects there, in standard deviations that
hold both the spread of the logged actions and the members' disagreement. From which value on an action counts
as unsupported is calibrated in each phase of the task: of actions in episodes that the judges never saw, a
share of `1 - supported` lies beyond (split conformal prediction: Lei et al., JASA 113, 2018; its guarantee is
for independent actions, so with few episodes take it for a rule of thumb).

Estimates of a policy's value are extrapolation as far as its actions are unsupported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.errors import InputError
from robolearn.policies.evaluation.behaviour import LEAST_ERROR, Behaviour
from robolearn.policies.evaluation.logged import Floats, Indices, Logged
from robolearn.policies.evaluation.phases import PHASES

SUPPORTED = 0.99
"""Share of held-out logged actions that count as supported."""


@dataclass(frozen=True)
class Support:
    """The share of a policy's actions that the logs do not support.

    Attributes:
        share: over all phases that could be judged; None if none could.
        phases: share by phase; None where too few actions were logged to tell.
        actions: how many observations of each phase the policy was asked at.
    """

    share: float | None
    phases: dict[str, float | None]
    actions: dict[str, int]


def strangeness(behaviour: Behaviour, row: Indices, action: Floats) -> NDArray[np.float64]:
    """How far actions (R, a) lie from what is expected at the observations `row` (R,): (R,), from 0 up.

    The root of the sum of squares over joints, in standard deviations, and over the gripper, where a choice
    of probability p counts as -2 log p.
    """
    spread = np.sqrt(behaviour.std**2 + behaviour.apart[row] ** 2)
    away = ((action[:, :-1] - behaviour.torque[row]) / spread) ** 2
    closing = np.clip(behaviour.closing[row], LEAST_ERROR, 1.0 - LEAST_ERROR)
    gripper = -2.0 * np.log(np.where(action[:, -1] > 0, closing, 1.0 - closing))
    return np.asarray(np.sqrt(away.sum(1) + gripper), np.float64)


def thresholds(
    strange: NDArray[np.float64], phase: Indices, supported: float = SUPPORTED
) -> NDArray[np.float64]:
    """Of each phase, the strangeness beyond which actions are unsupported; infinite where too few are.

    Args:
        strange: of the logged actions, by judges that never saw them, (N,).
        phase: of each, a place in `PHASES`, (N,).
        supported: share of further actions of this kind that are to lie below.

    Raises:
        InputError: the share is not between 0 and 1.
    """
    if not 0.0 < checks.share("supported", supported) < 1.0:
        raise InputError(f"supported is {supported}; it must lie between 0 and 1")
    bounds = np.full(len(PHASES), np.inf)
    for place in range(len(PHASES)):
        sorted_ = np.sort(strange[phase == place])
        rank = math.ceil((len(sorted_) + 1) * supported)  # from 1 on
        if rank <= len(sorted_):
            bounds[place] = sorted_[rank - 1]
    return bounds


def unsupported(
    logged: Logged,
    proposed: Floats,
    behaviour: Behaviour,
    phase: Indices,
    supported: float = SUPPORTED,
) -> Support:
    """The share of a policy's actions that the logs do not support, asked at the logged observations.

    Args:
        logged: the episodes.
        proposed: the policy's actions at every observation, (M, a), in the episodes' scale.
        behaviour: what was learned of the logged actions.
        phase: of each logged action's observation, a place in `PHASES`, (N,).
        supported: share of held-out logged actions that count as supported.
    """
    bounds = thresholds(strangeness(behaviour, logged.row, logged.action), phase, supported)
    beyond = strangeness(behaviour, logged.row, proposed[logged.row]) > bounds[phase]
    known = np.isfinite(bounds)[phase]
    shares: dict[str, float | None] = {}
    for place, name in enumerate(PHASES):
        here = phase == place
        shares[name] = float(beyond[here].mean()) if np.isfinite(bounds[place]) else None
    return Support(
        share=float(beyond[known].mean()) if known.any() else None,
        phases=shares,
        actions={name: int((phase == place).sum()) for place, name in enumerate(PHASES)},
    )
