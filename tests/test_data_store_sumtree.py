"""The sum tree against plain sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.data.store.sumtree import SumTree

weights = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=40)


@given(weights, st.data())
def test_it_holds_what_it_was_given_and_draws_no_empty_leaf(values: list[float], data: st.DataObject):
    tree = SumTree(np.array(values))
    changes = data.draw(
        st.lists(st.tuples(st.integers(0, len(values) - 1), st.sampled_from([0.0, 0.5, 1e5])), max_size=20)
    )
    for index, value in changes:
        values[index] = value
    if changes:
        tree.update(np.array([index for index, _ in changes]), np.array([value for _, value in changes]))
    assert tree[np.arange(len(values))].tolist() == values
    assert tree.total == pytest.approx(sum(values))
    if sum(values) > 0.0:
        drawn = tree.draw(200, np.random.default_rng(0))
        assert all(0 <= index < len(values) and values[index] > 0.0 for index in drawn)


def test_it_draws_in_proportion():
    values = np.random.default_rng(1).random(37)
    drawn = SumTree(values).draw(200_000, np.random.default_rng(2))
    share = np.bincount(drawn, minlength=37) / 200_000
    expected = values / values.sum()
    assert (abs(share - expected) < 5 * np.sqrt(expected / 200_000)).all()


def test_the_ends_of_the_range_fall_into_leaves():
    class Edge(np.random.Generator):
        def random(self, size: int) -> np.ndarray:  # type: ignore[override]
            return np.array([0.0, np.nextafter(1.0, 0.0)])

    tree = SumTree(np.array([0.0, 0.1, 0.2, 0.3, 0.0, 0.0]))
    assert tree.draw(2, Edge(np.random.PCG64())).tolist() == [1, 3]


def test_one_leaf():
    tree = SumTree(np.array([2.0]))
    assert tree.total == 2.0
    assert tree.draw(3, np.random.default_rng(0)).tolist() == [0, 0, 0]
