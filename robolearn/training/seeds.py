"""Which seeds are trained on and which are held out: said here and nowhere else.

A seed decides everything random in an episode, so an evaluation on seeds that training never uses is an
evaluation on scenes that it never saw.
"""

from __future__ import annotations

from robolearn.errors import InputError

FIRST_TRAINING_SEED = 1_000_000
"""Training uses seeds from here up, evaluation those from 0 to just below."""

FIRST_SEED = 100_000
"""Where an evaluation begins unless told otherwise: seeds that nobody looks at while anything is tuned.

Those below are for looking at."""


def evaluation_seeds(first: int, episodes: int) -> range:
    """The seeds of an evaluation: `episodes` of them from `first` on.

    Raises:
        InputError: no episode, or a seed that is negative or belongs to training.
    """
    if episodes < 1:
        raise InputError(f"episodes is {episodes}; an evaluation needs at least 1")
    if first < 0 or first + episodes > FIRST_TRAINING_SEED:
        raise InputError(
            f"seeds {first} to {first + episodes - 1} are not all held out: "
            f"evaluation seeds run from 0 to {FIRST_TRAINING_SEED - 1}, those above are trained on"
        )
    return range(first, first + episodes)
