"""Stints of traffic cut at the edges of time bins: what each puts into each bin it touches.

A part of a stint is its bytes times the part of its time, or of its clock's way, that lies in the bin. Sums
are only ever taken of such parts, never differences of sums, so that nothing is left over where nothing was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_BINS", "Clocks", "Stints", "Uses", "coarser_edges_s", "parts_in_bins"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAX_BINS = 200
"""Time bins of the tables of links and tiers."""
_PARTS_AT_A_TIME = 1 << 20
"""Bounds the memory."""
_ROUNDING = 1e-9
"""By this part of the run a stint may end after it."""


class Stints(NamedTuple):
    """K stretches of flows."""

    start_s: Floats
    end_s: Floats
    uses: Ints
    """Which set of uses of links."""
    amount: Floats
    """Bytes; for stints on clocks bytes for each unit of the clock."""


class Uses(NamedTuple):
    """I sets of uses of links, laid out one after the other."""

    first: Ints
    """(I + 1,) where each begins, and where the last ends."""
    link: Ints
    weight: Floats
    """Bytes on the link for a byte of the flow."""
    tenant: Ints
    """(I,) whose traffic; -1: nobody's."""


class Clocks:
    """Piecewise-linear clocks, by their points.

    Args:
        clock: (P,) number of each point's clock.
        time_s: (P,) ascending for each clock.
        total: (P,) what it shows.
    """

    def __init__(self, clock: Ints, time_s: Floats, total: Floats) -> None:
        order = np.argsort(clock, kind="stable")
        self._clock, self._time_s, self._total = clock[order], time_s[order], total[order]

    def at(self, clock: Ints, time_s: Floats) -> Floats:
        """Return (Q,) what each clock shows at each time.

        Raises:
            ValueError: a time is not between the first and the last point of its clock.

        >>> Clocks(np.array([7, 7]), np.array([0.0, 4.0]), np.array([0.0, 2.0])).at(np.array([7]), np.ones(1))
        array([0.5])
        """
        order = np.argsort(clock, kind="stable")
        asked, times = clock[order], time_s[order]
        bounds = np.flatnonzero(np.diff(asked, prepend=asked[:1] - 1, append=asked[-1:] + 1))
        shown = np.empty(len(asked))
        numbers = asked[bounds[:-1]]
        first = np.searchsorted(self._clock, numbers, side="left").tolist()
        last = np.searchsorted(self._clock, numbers, side="right").tolist()
        for begin, end, low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), first, last, strict=True):
            known, wanted = self._time_s[low:high], times[begin:end]
            if low == high or wanted.min() < known[0] or wanted.max() > known[-1]:
                msg = f"clock {int(asked[begin])} has no points from {wanted.min()} to {wanted.max()} s"
                raise ValueError(msg)
            shown[begin:end] = np.interp(wanted, known, self._total[low:high])
        back = np.empty(len(asked))
        back[order] = shown
        return back


def coarser_edges_s(edges_s: npt.ArrayLike) -> Floats:
    """Return bin edges with at most `MAX_BINS` bins: neighbours merged, the last edge kept.

    >>> coarser_edges_s(np.arange(402.0))[:3].tolist(), coarser_edges_s(np.arange(402.0))[-1]
    ([0.0, 3.0, 6.0], np.float64(401.0))
    """
    edges = np.asarray(edges_s, dtype=np.float64)
    bins = len(edges) - 1
    step = max(1, -(-bins // MAX_BINS))
    return np.append(edges[:-1:step], edges[-1:])


def parts_in_bins(
    stints: Stints, edges_s: Floats, clock: Ints | None = None, clocks: Clocks | None = None
) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Yield (uses, bin, bytes) of the parts of stints, in chunks that bound the memory.

    Args:
        stints: in any order.
        edges_s: (B + 1,) ascending, B > 0.
        clock: (K,) number of each stint's clock; None: they move with time.
        clocks: where the clocks stand.

    Raises:
        ValueError: a stint ends after the last edge, or before it starts.
    """
    start_s, end_s, uses, amount = stints
    if not len(start_s):
        return
    end_of_run_s = float(edges_s[-1])
    if not end_s.max() <= end_of_run_s * (1.0 + _ROUNDING) or not start_s.min() >= edges_s[0]:
        msg = (
            f"traffic from {start_s.min()} to {end_s.max()} s in a run from {edges_s[0]} to {end_of_run_s} s"
        )
        raise ValueError(msg)
    if (end_s < start_s).any():
        msg = "a stint of traffic ends before it starts"
        raise ValueError(msg)
    top = len(edges_s) - 2
    first = np.clip(np.searchsorted(edges_s, start_s, side="right") - 1, 0, top)
    last = np.clip(np.searchsorted(edges_s, end_s, side="left") - 1, first, top)
    for low, high in _chunks(last - first + 1):
        row, bin_, from_s, to_s = _cut(
            first[low:high], last[low:high], start_s[low:high], end_s[low:high], edges_s
        )
        if clock is None or clocks is None:
            length_s = (end_s - start_s)[low:high][row]
            part = np.divide(to_s - from_s, length_s, out=np.ones(len(row)), where=length_s > 0.0)
        else:
            of = clock[low:high][row]
            both = clocks.at(np.concatenate([of, of]), np.concatenate([to_s, from_s]))
            part = both[: len(of)] - both[len(of) :]
        yield uses[low:high][row], bin_, amount[low:high][row] * part


def _cut(
    first: Ints, last: Ints, start_s: Floats, end_s: Floats, edges_s: Floats
) -> tuple[Ints, Ints, Floats, Floats]:
    """Return the stint, bin, begin and end of each part of stints over the bins first..last."""
    count = last - first + 1
    ends = np.cumsum(count)
    row = np.repeat(np.arange(len(count)), count)
    bin_ = np.arange(len(row)) - np.repeat(ends - count - first, count)
    from_s, to_s = edges_s[bin_], edges_s[bin_ + 1]
    from_s[ends - count], to_s[ends - 1] = start_s, end_s
    return row, bin_, from_s, to_s


def _chunks(count: Ints) -> Iterator[tuple[int, int]]:
    """Yield ranges of stints with about so many parts together, at least one stint each."""
    total = np.cumsum(count)
    low = 0
    while low < len(count):
        done = int(total[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(total, done + _PARTS_AT_A_TIME, side="right")))
        yield low, high
        low = high
