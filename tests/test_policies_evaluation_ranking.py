from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.errors import InputError
from robolearn.policies.evaluation.ranking import ranking, spearman


def test_ranks_alone_decide_the_correlation() -> None:
    a = np.array([0.1, 0.2, 0.5, 0.9])
    assert spearman(a, a**3) == pytest.approx(1.0)
    assert spearman(a, -np.exp(a)) == pytest.approx(-1.0)
    assert spearman(a, np.array([1.0, 2.0, 4.0, 3.0])) == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(np.sqrt(3) / 2)
    assert spearman(a, np.ones(4)) == 0.0


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12, unique=True), st.randoms())
def test_it_is_the_correlation_of_ranks_and_knows_no_order_of_policies(
    values: list[float], chance: object
) -> None:
    a = np.array(values)
    b = np.array(sorted(values, key=lambda _: chance.random()))  # type: ignore[attr-defined]
    ranks = [np.argsort(np.argsort(x)) for x in (a, b)]
    assert spearman(a, b) == pytest.approx(float(np.corrcoef(*ranks)[0, 1]), abs=1e-9)
    assert spearman(a[::-1], b[::-1]) == pytest.approx(spearman(a, b), abs=1e-9)


def test_regret_is_what_the_wrong_choice_costs() -> None:
    success = [0.5, 0.9, 0.8]
    assert ranking([1.0, 3.0, 2.0], [0.4, 0.7, 0.6], success).regret == 0.0
    assert ranking([1.0, 2.0, 3.0], [0.4, 0.7, 0.6], success).regret == pytest.approx(0.1)
    assert ranking([3.0, 2.0, 1.0], [0.4, 0.7, 0.6], success).regret == pytest.approx(0.4)


def test_calibration_on_a_set_that_is_known() -> None:
    """Estimates whose error is as large as they say cover 95 of 100 truths; those that say half of it, 67."""
    rng = np.random.default_rng(0)
    truths = rng.uniform(0.2, 0.8, 4000)
    estimates = truths + 0.1 * rng.standard_normal(4000)
    for said, expected in ((0.1, 0.95), (0.05, 0.673)):
        bounds = [(e - 1.96 * said, e + 1.96 * said) for e in estimates]
        found = ranking(estimates.tolist(), truths.tolist(), truths.tolist(), bounds)
        assert found.covered == pytest.approx(expected, abs=0.015)
    assert found.error == pytest.approx(0.1 * np.sqrt(2 / np.pi), abs=0.004)
    assert found.slope == pytest.approx(
        0.03 / 0.04, abs=0.03
    )  # variance of the truths over that of estimates
    twice = ranking((2 * truths).tolist(), truths.tolist(), truths.tolist())
    assert twice.slope == pytest.approx(0.5)
    assert twice.covered is None


@pytest.mark.parametrize("lists", [([1.0], [1.0], [1.0]), ([1.0, 2.0], [1.0], [1.0, 2.0])])
def test_lists_that_cannot_be_compared_are_refused(lists: tuple[list[float], ...]) -> None:
    with pytest.raises(InputError, match="there must be as many of all, from 2 up"):
        ranking(*lists)
