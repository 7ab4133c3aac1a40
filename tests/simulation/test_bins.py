"""Bins of the series: widths, and exact means of counts, down to a last bin as narrow as rounding."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.simulation.bins import bin_edges_s, step_count_mean


@pytest.mark.parametrize("end_s", [1.0, 150.0, 1_500.0, 1_501.0, 1e7, 1e9])
def test_bins_cover_the_run_in_at_most_1500(end_s: float) -> None:
    edges = bin_edges_s(end_s)
    assert (edges[0], edges[-1]) == (0.0, end_s)
    assert len(edges) <= 1_501
    assert np.all(np.diff(edges) > 0.0)


def test_a_run_of_no_length_has_no_bins() -> None:
    edges = bin_edges_s(0.0)
    assert step_count_mean(np.array([0.0]), np.array([1.0]), edges).size == 0


def test_a_last_bin_as_narrow_as_rounding_counts_whom_it_holds() -> None:
    # The run ends one bit after 1,000 s. Of 400 jobs with odd times one goes on to the end.
    end_s = float(np.nextafter(1_000.0, np.inf))
    starts = np.arange(400.0) * 2.1
    ends = starts + 37.3
    ends[-1] = end_s
    edges = bin_edges_s(end_s)
    rises = np.concatenate([starts, ends])
    means = step_count_mean(rises, np.repeat([1.0, -1.0], 400), edges)
    assert edges[-1] - edges[-2] < 1e-12
    assert means[-1] == 1.0


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(-3, 3)), max_size=30),
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
)
def test_means_are_those_of_counting_second_by_second(
    steps: list[tuple[int, int]], widths: list[int]
) -> None:
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    levels = [sum(height for at, height in steps if at <= second) for second in range(int(edges[-1]))]
    expected = [np.mean(levels[int(a) : int(b)]) for a, b in pairwise(edges)]
    rises = np.array([at for at, _ in steps], dtype=np.float64)
    heights = np.array([height for _, height in steps], dtype=np.float64)
    np.testing.assert_allclose(step_count_mean(rises, heights, edges), expected, rtol=1e-12, atol=1e-12)
