"""A power budget shared among jobs: to whom the next watt does most good, within racks, PDUs and hall.

    maximise  sum_j v_j(p_j)   such that   sum_j p_j <= hall,   sum_j part_jg p_j <= group_g,   p_j >= floor_j

with v_j what job j achieves with p_j, and racks and PDUs as groups. For concave v_j and nested groups (each job in
one rack, each rack on one PDU) the greedy step is optimal: Federgruen and Groenevelt, Operations Research 34 (1986) 909-918.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["Limits", "concave_points", "fill_water"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_Segment = tuple[float, float, int, float, float]
_Curve = tuple[float, list[tuple[float, float, float]]]
"""(least W, [(value a watt, from W, to W), ...])."""
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Limits:
    """What K jobs may draw together, W: in all, and in each of G groups, racks and PDUs."""

    hall_w: float
    group_w: Floats
    """(G,) infinity: none."""
    job: Ints
    """(P,) positions: which job ..."""
    group: Ints
    """(P,) ... has in which group ..."""
    part: Floats
    """(P,) ... which part of its power, (0, 1]."""

    def group_sums(self, power_w: Floats) -> Floats:
        """Return (G,) what jobs of (K,) powers draw in each group."""
        weights = power_w[self.job] * self.part
        sums = np.bincount(self.group, weights=weights, minlength=len(self.group_w))
        return np.asarray(sums, dtype=np.float64)

    def are_kept(self, power_w: Floats, *, tolerance_w: float = 1e-6) -> bool:
        """Return whether (K,) powers keep to all limits."""
        inside = self.group_sums(power_w) <= self.group_w + tolerance_w
        return bool(math.fsum(power_w.tolist()) <= self.hall_w + tolerance_w and inside.all())


def concave_points(power_w: Sequence[float], value: Sequence[float]) -> list[int]:
    """Return the indices of the points on the least concave curve that lies on or above all, up to its top.

    Args:
        power_w: of each point, in the order of caps.
        value: at each.

    >>> concave_points([1.0, 2.0, 3.0, 4.0], [1.0, 1.2, 3.0, 2.5])
    [0, 2]
    """
    corners = [0]
    for at in range(1, len(value)):
        if value[at] <= value[corners[-1]]:
            continue
        while corners and power_w[corners[-1]] >= power_w[at]:  # more for no more power
            corners.pop()
        while len(corners) > 1 and _slope(power_w, value, *corners[-2:]) <= _slope(
            power_w, value, corners[-1], at
        ):
            corners.pop()
        corners.append(at)
    return corners


def _slope(power_w: Sequence[float], value: Sequence[float], one: int, other: int) -> float:
    return (value[other] - value[one]) / (power_w[other] - power_w[one])


def fill_water(power_w: Floats, value: Floats, limits: Limits, first: Floats | None = None) -> Floats:
    """Return (K,) the power each job may draw, W, between its least and its greatest.

    All have their least, whatever the limits say; what is left goes where a watt adds most value, and where it adds
    equally much in equal parts.

    Args:
        power_w: (K, L) at levels that rise.
        value: (K, L) at each.
        limits: of hall and groups.
        first: (K,) ranks: those of a lower rank get all that helps them before others get any; None: all alike.

    >>> free = Limits(5.0, np.array([np.inf]), np.array([0, 1]), np.array([0, 0]), np.ones(2))
    >>> levels = np.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    >>> fill_water(levels, np.array([[0.0, 3.0, 4.0], [0.0, 2.0, 3.8]]), free).tolist()
    [2.0, 3.0]
    """
    curves = _curves(power_w, value)
    given = np.array([least_w for least_w, _ in curves])
    rank = [0.0] * len(curves) if first is None else first.tolist()
    segments = [
        (rank[job], -slope, job, begin_w, end_w)
        for job, (_, pieces) in enumerate(curves)
        for slope, begin_w, end_w in pieces
    ]
    segments.sort()  # (rank, minus value a watt, job, from W, to W): best first
    room_w = limits.hall_w - math.fsum(given.tolist())
    return _fill(given, segments, room_w, limits)


def _curves(power_w: Floats, value: Floats) -> list[_Curve]:
    """Return (least W, pieces) of the concave curve of each job; equal ones are worked out once."""
    known: dict[bytes, _Curve] = {}
    found = []
    for powers, values in zip(power_w, value, strict=True):
        key = powers.tobytes() + values.tobytes()
        if key not in known:
            known[key] = _curve(powers.tolist(), values.tolist())
        found.append(known[key])
    return found


def _curve(power_w: list[float], value: list[float]) -> _Curve:
    corners = concave_points(power_w, value)
    pieces = [
        # To nine digits, so that equal slopes are equal and jobs are served in order.
        (float(f"{_slope(power_w, value, one, two):.8e}"), power_w[one], power_w[two])
        for one, two in pairwise(corners)
    ]
    return power_w[corners[0]], pieces


def _fill(given: Floats, segments: list[_Segment], room_w: float, limits: Limits) -> Floats:
    """Return `given` with the pieces that there is room for, best first; equal ones are served in equal parts."""
    left_w = (limits.group_w - limits.group_sums(given)).tolist()
    places: list[list[tuple[int, float]]] = [[] for _ in given]
    for job, group, part in zip(
        limits.job.tolist(), limits.group.tolist(), limits.part.tolist(), strict=True
    ):
        if left_w[group] < math.inf:
            places[job].append((group, part))
    full = [False] * len(given)
    for _, alike in groupby(segments, key=lambda segment: segment[:2]):
        # A curve cannot be climbed beyond a piece that was not taken whole.
        pieces = [(job, end_w - begin_w) for _, _, job, begin_w, end_w in alike if not full[job]]
        if room_w <= 0.0:
            break
        if not pieces:
            continue
        total_w = math.fsum(length_w for _, length_w in pieces)
        shares = (1.0,) if total_w <= room_w else (max(0.0, room_w / total_w), 1.0)
        taken = [0.0] * len(pieces)
        for share in shares:
            for number, (job, length_w) in enumerate(pieces):
                most_w = min([room_w, *(left_w[group] / part for group, part in places[job])])
                more_w = max(0.0, min(length_w * share - taken[number], most_w))
                taken[number] += more_w
                given[job] += more_w
                room_w -= more_w
                for group, part in places[job]:
                    left_w[group] -= more_w * part
        for (job, length_w), more_w in zip(pieces, taken, strict=True):
            full[job] = full[job] or more_w < length_w * (1.0 - _ROUNDING)
    return given
