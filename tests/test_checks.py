"""What the checks of single values give back; what they refuse is tested where they are used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from robolearn import checks
from robolearn.errors import InputError


@dataclass(frozen=True)
class Point:
    x: float
    name: str
    near: tuple[Any, ...] = ()


def test_json_like_is_what_json_gives_back() -> None:
    value = {"a": (1, np.float32(0.5)), "b": np.arange(3), "c": [Point(1.0, "p", (Point(2.0, "q"),)), None]}
    point = {"x": 1.0, "name": "p", "near": [{"x": 2.0, "name": "q", "near": []}]}
    found = checks.json_like("info", value)
    assert found == {"a": [1, 0.5], "b": [0, 1, 2], "c": [point, None]}
    assert type(found["a"][1]) is float
    assert type(found["b"][0]) is int


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [math.nan]}, r"info\.a\[0\] is nan; numbers must be finite"),
        ({"a": {3: 1}}, r"info\.a has the key 3; keys must be text"),
        ({"a": Point}, r"info\.a is <class .*JSON has no type"),
        (Point(math.inf, "p"), r"info\.x is inf"),
    ],
)
def test_what_json_cannot_say_is_refused(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checks.json_like("info", value)


def test_values_come_back_in_their_plain_form() -> None:
    whole, number = checks.whole("n", np.int64(3), 0), checks.number("x", np.float32(-0.0))
    plain = (whole, number, checks.flag("f", np.True_))
    assert plain == (3, 0.0, True)
    assert [type(value) for value in plain] == [int, float, bool]
    assert math.copysign(1.0, plain[1]) == 1.0
    assert checks.length("gap", "3mm", 0.0, 0.1) == 0.003
    assert checks.angle("turn", "90deg", 0.0, math.pi) == math.pi / 2
    assert checks.vector("v", np.array([1, 2]), 2) == (1.0, 2.0)
    assert checks.quaternion("q", (-1.0, 0.0, 0.0, 0.0)) == (1.0, 0.0, 0.0, 0.0)
