"""Distinct rows of columns, by counting, are those that sorting finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.workload.distinct import distinct_rows

COLUMNS = (
    st.integers(-3, 3),
    st.integers(-(2**40), 2**40),
    st.sampled_from((0.0, 0.5, 1.0, float("nan"))),
    st.just(7),
)


@given(data=st.data())
def test_they_are_those_of_sorting(data):
    rows = data.draw(st.integers(1, 30))
    kinds = data.draw(st.lists(st.sampled_from(range(len(COLUMNS))), min_size=1, max_size=4))
    columns = [np.array([data.draw(COLUMNS[kind]) for _ in range(rows)]) for kind in kinds]
    first, inverse = distinct_rows(*columns)
    table = np.column_stack([column.astype(np.float64) for column in columns])
    keys = [tuple("nan" if np.isnan(value) else value for value in row) for row in table.tolist()]
    groups = list(dict.fromkeys(keys))
    assert len(first) == len(groups)
    assert [keys[row] for row in first.tolist()] == [keys[first[kind]] for kind in range(len(first))]
    assert [keys[first[kind]] for kind in inverse.tolist()] == keys
    assert [keys.index(keys[row]) for row in first.tolist()] == first.tolist()
    # Kinds ascend as a sort of the rows has them, NaN last.
    order = np.lexsort([column[first] for column in reversed(columns)])
    assert order.tolist() == list(range(len(first)))


@pytest.mark.parametrize("spans", [(65_000, 65_000, 65_000, 65_000), (2, 3, 5, 7)])
def test_wide_products_do_not_overflow(spans):
    draws = np.random.Generator(np.random.PCG64(1))
    columns = [draws.integers(0, span, 500) for span in spans]
    first, inverse = distinct_rows(*columns)
    unique, index, back = np.unique(np.column_stack(columns), axis=0, return_index=True, return_inverse=True)
    assert len(first) == len(unique)
    assert first.tolist() == index.tolist()
    assert inverse.tolist() == back.ravel().tolist()


def test_no_rows_have_no_kinds():
    first, inverse = distinct_rows(np.empty(0), np.empty(0, dtype=np.int64))
    assert len(first) == len(inverse) == 0
