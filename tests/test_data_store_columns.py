"""Columns against a plain array: whatever the shards, rows come back by their numbers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from robolearn.data.store.columns import ColumnReader, ColumnWriter, header_of, pieces, shard_path
from robolearn.data.store.layout import ColumnKind
from robolearn.errors import InputError
from tests.small_episodes import quick_folder

KINDS = (
    ColumnKind("observations/front", "|u1", (3, 4, 3)),
    ColumnKind("requested", "<f8", (2,)),
    ColumnKind("reward", "<f8", ()),
)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 20))
def test_pieces_are_the_rows_in_order_without_gap(first: int, count: int, per_shard: int):
    rows = []
    for shard, begin, end in pieces(first, first + count, per_shard):
        assert 0 <= begin < end <= per_shard
        rows += [shard * per_shard + row for row in range(begin, end)]
    assert rows == list(range(first, first + count))


@given(st.sampled_from(KINDS), st.integers(0, 10**12))
def test_a_header_has_one_length_whatever_the_rows(kind: ColumnKind, rows: int):
    header = header_of(kind, rows)
    assert len(header) == len(header_of(kind, 0))
    assert len(header) % 64 == 0
    file = io.BytesIO(header)
    npy.read_magic(file)
    assert npy.read_array_header_1_0(file) == ((rows, *kind.shape), False, np.dtype(kind.dtype))


@settings(max_examples=40)
@given(
    st.sampled_from(KINDS), st.integers(1, 9), st.lists(st.integers(0, 6), min_size=1, max_size=6), st.data()
)
def test_rows_come_back_by_their_numbers(
    kind: ColumnKind, per_shard: int, counts: list[int], data: st.DataObject
):
    values = np.random.default_rng(0).integers(0, 250, (sum(counts) + len(counts), *kind.shape))
    expected = values.astype(kind.dtype)
    with quick_folder() as folder:
        (folder / "shards").mkdir()
        writer, reader = ColumnWriter(folder, per_shard, 0), ColumnReader(folder, kind, per_shard)
        stop = 0
        for count in counts:  # a row more than is written, as of what belongs to actions
            first, stop = stop, stop + count + 1
            writer.write(kind, expected[first : stop - 1], first, stop)
            expected[stop - 1] = 0
            writer.bring_to_disk(stop)
            writer.settle(stop)
            assert np.array_equal(reader.span(0, stop), expected[:stop])
        writer.close()
        rows = np.array(data.draw(st.lists(st.integers(0, stop - 1), max_size=12)), np.int64)
        assert np.array_equal(reader.take(rows), expected[rows])
        pairs = np.stack([rows, rows[::-1]])
        room = np.empty((*pairs.shape, *kind.shape), kind.dtype)
        assert reader.take(pairs, room) is room
        assert np.array_equal(room, expected[pairs])
        files = [np.load(shard_path(folder, shard, kind)) for shard in range(-(-stop // per_shard))]
        assert np.array_equal(np.concatenate(files), expected)
        with pytest.raises(InputError, match=r"is missing|is damaged"):
            reader.take(np.array([stop]))
