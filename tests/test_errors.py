from __future__ import annotations

import pytest

from robolearn.errors import InputError, choose


def test_input_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="too long"):
        raise InputError("too long")


def test_choose_returns_a_valid_name() -> None:
    assert choose("task", "grasp", ("grasp", "peg-insertion")) == "grasp"


def test_choose_names_kind_value_choices_and_the_closest_one() -> None:
    with pytest.raises(InputError) as caught:
        choose("task", "Grsp", ("grasp", "peg-insertion"))
    assert (
        str(caught.value) == "unknown task 'Grsp' (did you mean 'grasp'?): choose one of grasp, peg-insertion"
    )


def test_choose_suggests_names_as_they_are_spelled() -> None:
    with pytest.raises(InputError, match="did you mean 'FR3'"):
        choose("arm", "fr4", ["FR3", "panda"])


def test_choose_suggests_nothing_far_fetched() -> None:
    with pytest.raises(InputError) as caught:
        choose("task", "xyz", ("grasp", "peg-insertion"))
    assert "did you mean" not in str(caught.value)


def test_choose_takes_an_iterator_and_says_when_it_is_empty() -> None:
    assert choose("arm", "b", iter("abc")) == "b"
    with pytest.raises(InputError, match="unknown arm 'a': there is none"):
        choose("arm", "a", ())


def test_choose_refuses_what_is_not_a_string() -> None:
    with pytest.raises(InputError, match="unknown arm None: choose one of panda"):
        choose("arm", None, ["panda"])  # type: ignore[arg-type]
