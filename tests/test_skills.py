from __future__ import annotations

import numpy as np
import pytest

from robolearn.skills import (
    BEYOND,
    DEEP,
    HOVER,
    PRESS,
    SHORT,
    STRIDE,
    grasp_phase,
    insertion_aim,
    tightness,
)

MOUTH, TIGHT, ENOUGH = np.array([0.5, 0.1, 0.045]), 0.002, 0.025


def aim(height: float, aside: float = 0.0, turn: float = 0.0) -> float:
    """Height of the aim over the mouth, for a tip at some height over it."""
    tip = MOUTH + np.array([aside, 0.0, height])
    goal = insertion_aim(tip, MOUTH, aside, turn, TIGHT, ENOUGH)
    np.testing.assert_array_equal(goal[:2], MOUTH[:2])
    return float(goal[2] - MOUTH[2])


def test_an_aligned_peg_goes_down_by_strides_and_a_little_deeper_than_asked() -> None:
    assert aim(0.01) == pytest.approx(0.01 - STRIDE)
    assert aim(-0.02) == pytest.approx(-ENOUGH - BEYOND)
    assert aim(0.1) == pytest.approx(0.015 - STRIDE)  # quicker far above


@pytest.mark.parametrize(("aside", "turn"), [(0.01, 0.0), (0.0, 0.2), (0.01, 0.2)])
def test_one_that_is_beside_the_hole_or_turned_waits_above(aside: float, turn: float) -> None:
    assert aim(0.01, aside, turn) == pytest.approx(HOVER)


def test_in_the_hole_nothing_makes_it_wait() -> None:
    assert aim(-0.01, aside=0.0005, turn=0.065) == pytest.approx(-0.01 - STRIDE)


def test_the_chamfer_leads_in_what_is_beside_the_hole() -> None:
    assert tightness(0.001, 0.0) == 0.001
    assert tightness(0.001, 0.002) == pytest.approx(0.0022)


def phase(
    x: float = 0.0, y: float = 0.0, z: float = 0.0, turn: float = 0.0, closing: bool = False
) -> tuple[bool, float]:
    return grasp_phase(np.array([x, y, z]), turn, 0.04, 0.08, closing)


def test_fingers_close_at_the_object_and_nowhere_else() -> None:
    for z in (0.9 * SHORT, 0.0, -0.9 * DEEP):
        assert phase(z=z) == (True, 0.0)
    for away in ({"x": 0.02}, {"y": 0.03}, {"turn": 0.5}, {"z": 1.1 * SHORT}, {"z": -1.1 * DEEP}):
        assert not phase(**away)[0]


def test_once_they_move_they_are_not_put_off_so_easily() -> None:
    assert phase(x=0.014, closing=True)[0]
    assert phase(z=1.5 * SHORT, closing=True)[0]
    assert not phase(x=0.03, closing=True)[0]


def test_the_hand_stays_up_where_the_fingers_would_not_clear_and_else_is_driven_beyond() -> None:
    assert phase(z=0.05) == (False, -PRESS)
    assert phase(x=0.02, z=0.05)[1] == pytest.approx(0.03 - PRESS)
    assert phase(x=0.5, z=0.05)[1] == pytest.approx(0.06 - PRESS)
