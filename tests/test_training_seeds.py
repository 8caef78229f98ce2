from __future__ import annotations

import pytest

from robolearn.errors import InputError
from robolearn.training.seeds import FIRST_TRAINING_SEED, evaluation_seeds


def test_the_seeds_follow_one_another() -> None:
    assert list(evaluation_seeds(7, 3)) == [7, 8, 9]


def test_the_last_held_out_seed_is_the_one_before_training() -> None:
    assert evaluation_seeds(FIRST_TRAINING_SEED - 2, 2)[-1] == FIRST_TRAINING_SEED - 1


@pytest.mark.parametrize(
    ("first", "episodes"), [(FIRST_TRAINING_SEED - 1, 2), (FIRST_TRAINING_SEED, 1), (-1, 5)]
)
def test_seeds_of_training_are_refused(first: int, episodes: int) -> None:
    with pytest.raises(InputError, match="evaluation seeds run from 0 to 999999"):
        evaluation_seeds(first, episodes)


@pytest.mark.parametrize("episodes", [0, -3])
def test_no_episode(episodes: int) -> None:
    with pytest.raises(InputError, match=f"episodes is {episodes}"):
        evaluation_seeds(0, episodes)
