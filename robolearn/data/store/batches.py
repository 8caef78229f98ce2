"""What is drawn from a store: batches of transitions and of sequences, as NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TransitionBatch:
    """B transitions of up to n steps.

    Attributes:
        observation: what the policy saw, by name: pictures uint8 (B, height, width, 3), readings float32
            (B, size); (B, w, ...), oldest first, for names that have a window of w.
        action: what was sent, (B, a): torques, gravity excluded [N·m], and the gripper's target.
        requested: what was asked for, (B, a); where that was no number, what was sent.
        altered: whether a torque was asked for that the arm had not got at the end of the step, (B,); False
            where none was asked for, because the monitor held the arm or a person led it by hand.
        reward: discounted sum of these steps' rewards, (B,): 1 for the last action of a success, else 0.
        bootstrap: what the value of `next_observation` counts: discount^k after k steps, 0 where the task
            ended, (B,).
        next_observation: what followed the last of the steps.
        next_action: what was sent then, (B, a); zeros where the episode was over.
        followed: whether anything was sent then, (B,).
        outcome: discounted sum of the rewards from this step to the episode's end, (B,).
        weight: importance weight, (B,); 1 unless the batch was drawn with a correction.
        index: of the transitions in their source, (B,), for `set_weights`.
    """

    observation: dict[str, Array]
    action: Floats
    requested: Floats
    altered: NDArray[np.bool_]
    reward: Floats
    bootstrap: Floats
    next_observation: dict[str, Array]
    next_action: Floats
    followed: NDArray[np.bool_]
    outcome: Floats
    weight: Floats
    index: Indices


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """B runs of up to L single steps, padded behind with their last observation and with zeros.

    Attributes:
        observation: by name, (B, L + 1, ...): the one after the last step is there, too.
        action, requested: as in `TransitionBatch`, (B, L, a).
        altered: (B, L).
        reward: of each step, (B, L).
        bootstrap: of each step, (B, L): discount, or 0 where the task ended.
        mask: whether there is such a step, (B, L).
        weight: (B,).
        index: of the first transition in its source, (B,).
    """

    observation: dict[str, Array]
    action: Floats
    requested: Floats
    altered: NDArray[np.bool_]
    reward: Floats
    bootstrap: Floats
    mask: NDArray[np.bool_]
    weight: Floats
    index: Indices
