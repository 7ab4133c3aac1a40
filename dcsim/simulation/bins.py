"""The time bins of a run's series, and exact means over them of counts that change with events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["bin_edges_s", "step_count_mean"]

Floats = npt.NDArray[np.float64]

_WIDTHS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 21_600.0, 86_400.0)
_MAX_BINS = 1_500


def bin_edges_s(end_s: float) -> Floats:
    """Return ascending bin edges from 0 to `end_s`: the narrowest round width with at most 1,500 bins.

    >>> bin_edges_s(150.0).tolist()[-3:]
    [148.0, 149.0, 150.0]
    """
    if end_s <= 0.0:
        return np.array([0.0])
    width_s = next((w for w in _WIDTHS_S if end_s / w <= _MAX_BINS), None)
    while width_s is None:  # years: whole numbers of days
        days = np.ceil(end_s / _MAX_BINS / _WIDTHS_S[-1])
        width_s = float(days * _WIDTHS_S[-1])
    inner = np.arange(0.0, end_s, width_s)
    return np.append(inner, end_s)


def step_count_mean(rises_s: Floats, heights: Floats, edges_s: Floats) -> Floats:
    """Return (B,) the mean over each bin of a count that rises by `heights` at `rises_s` (any order).

    Exact: levels times the widths on which they hold, summed bin by bin, so that a last bin as narrow
    as rounding is as good as any (a difference of two integrals from 0 would be noise there).

    >>> step_count_mean(np.array([1.0, 3.0]), np.array([1.0, -1.0]), np.array([0.0, 2.0, 4.0])).tolist()
    [0.5, 0.5]
    """
    order = np.argsort(rises_s, kind="stable")
    times = rises_s[order]
    level = np.concatenate([[0.0], np.cumsum(heights[order])])
    place = np.searchsorted(times, edges_s, side="right")
    cuts = np.insert(times, place, edges_s)
    held = np.insert(level[1:], place, level[place])[:-1] * np.diff(cuts)
    begins = place + np.arange(len(place))  # where the edges stand among the cuts
    return np.add.reduceat(held[: begins[-1]], begins[:-1]) / np.diff(edges_s)
