from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.errors import InputError
from robolearn.units import format_angle, format_length, parse_angle, parse_length


@pytest.mark.parametrize(
    ("written", "metres"),
    [
        ("3mm", 0.003),
        ("0.1mm", 0.0001),
        ("0.5 mm", 0.0005),
        (" 1cm ", 0.01),
        ("100um", 0.0001),
        ("5µm", 5e-6),  # micro sign
        ("5μm", 5e-6),  # Greek mu
        ("2m", 2.0),
        ("0.003", 0.003),
        (".5mm", 0.0005),
        ("1.mm", 0.001),
        ("1e-3", 0.001),
        ("-2 cm", -0.02),
        ("+0mm", 0.0),
        (0.003, 0.003),
        (1, 1.0),
    ],
)
def test_lengths_are_read_to_the_last_bit(written: str | float, metres: float) -> None:
    assert parse_length(written) == metres
    assert type(parse_length(written)) is float


@pytest.mark.parametrize(
    "written", ["", " ", "mm", ".", "--1mm", "3 mm mm", "1,5mm", "0x1", "nan", "inf", "٣mm"]
)
def test_what_is_no_number_is_refused(written: str) -> None:
    with pytest.raises(InputError, match=r"is not a number: .*units m, cm, mm, um"):
        parse_length(written)


@pytest.mark.parametrize("written", ["1 mn", "1MM", "3 km", "2 inch"])
def test_unknown_units_are_refused_with_the_valid_ones(written: str) -> None:
    with pytest.raises(InputError, match=r"unknown unit '(mn|MM|km|inch)': .*m, cm, mm, um"):
        parse_length(written)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1e400"])
def test_what_is_not_finite_is_refused(value: str | float) -> None:
    with pytest.raises(InputError, match="not finite"):
        parse_length(value)


@pytest.mark.parametrize("value", [True, None, [1.0], "1e5000mm"])
def test_other_types_and_absurd_exponents_are_refused(value: object) -> None:
    with pytest.raises(InputError, match="not a number"):
        parse_length(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metres", "written"),
    [
        (0.003, "3 mm"),
        (0.0001, "0.1 mm"),
        (5e-6, "5 um"),
        (0.25, "25 cm"),
        (1.5, "1.5 m"),
        (0.0, "0 m"),
        (-0.003, "-3 mm"),
    ],
)
def test_lengths_are_written_in_the_unit_that_reads_best(metres: float, written: str) -> None:
    assert format_length(metres) == written


@pytest.mark.parametrize(
    ("value", "radians"),
    [
        ("30deg", math.pi / 6),
        (" 30 deg ", math.pi / 6),
        ("5°", math.radians(5)),
        ("0.5rad", 0.5),
        ("-0.5", -0.5),
        (0.25, 0.25),
        (np.float64(1), 1.0),
    ],
)
def test_angles_in_degrees_and_radians(value: str | float, radians: float) -> None:
    assert parse_angle(value) == radians


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("left", "not a number: write a number of radians"),
        ("30degrees", "unknown unit 'degrees': .* rad, deg"),
        ("30mm", "unknown unit 'mm'"),
        (True, "not a number"),
        (math.inf, "not finite"),
    ],
)
def test_what_is_no_angle_is_refused(value: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^angle .*{message}"):
        parse_angle(value)  # type: ignore[arg-type]


def test_angles_are_written_in_degrees() -> None:
    assert format_angle(math.pi / 6) == "30 deg"


@given(st.floats(1e-7, 100.0))
def test_what_is_written_reads_back(metres: float) -> None:
    assert parse_length(format_length(metres)) == pytest.approx(metres, rel=6e-4)


@given(st.integers(0, 9999), st.sampled_from([("um", 6), ("mm", 3), ("cm", 2)]))
def test_a_length_is_one_number_however_it_is_written(count: int, unit: tuple[str, int]) -> None:
    name, exponent = unit
    assert (
        parse_length(f"{count}{name}")
        == parse_length(f"{count}e-{exponent}")
        == float(f"{count}e-{exponent}")
    )
