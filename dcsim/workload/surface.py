"""Step times between measured ones: the corners of a `StepTimeSurface`, joined by lines.

The corners of one number of devices n are joined by straight lines along the batch. Between two numbers of devices the
step time is straight in 1 - 1/n, as what a ring all-reduce sends is (Patarasuk, Yuan 2009,
doi:10.1016/j.jpdc.2008.09.002); nothing was measured there, and the caller says so, as it does outside, where the line
of the outer corners goes on and the width is held. Why corners and not one line:
docs/decisions/0093-design-of-experiments.md.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import mul

from dcsim.workload.profile import StepTimeKnot, StepTimeSurface

__all__ = [
    "batch_range",
    "device_range",
    "measured_neighbours",
    "step_time_interval_s",
    "surface_contains",
    "surface_step_time_s",
    "width_doubt",
]

_REACH = 2.0
"""Corners up to half, or twice, the outermost batch say how the step time goes on beyond it."""
_LEAST_SPAN = 0.25
"""Of the outermost batch: corners closer together say more of the noise than of a slope."""


def surface_step_time_s(surface: StepTimeSurface, devices: int, batch_per_device: int) -> float:
    """Return the step time [s] of `devices`, each with `batch_per_device` samples; both >= 1.

    Between two corners of one number of devices straight in the batch, between two numbers of devices n straight in
    1 - 1/n. Beyond the largest batch goes on, if it rises, the slope of the least squares of relative errors through
    the corners of the same regime from half that batch on; below the smallest batch likewise, but a sample never gets
    cheaper. Where those corners are one, or closer together than a quarter of the outermost batch, in proportion to
    the batch. More or fewer devices than any corner has take what the nearest number of them takes.

    >>> corners = [(1, 8, 1.0), (1, 16, 2.0), (3, 8, 2.0), (3, 16, 4.0)]
    >>> knots = [dict(zip(("devices", "batch_per_device", "step_time_s"), each)) for each in corners]
    >>> surface = StepTimeSurface(knots=knots, interval_relative=0.1, coverage=0.9)
    >>> [surface_step_time_s(surface, *each) for each in ((1, 12), (2, 8), (1, 24), (8, 16))]
    [1.5, 1.75, 3.0, 4.0]
    """
    left, right = _neighbours(surface, devices)
    left_s, right_s = (_along_batch_s(row, batch_per_device, surface.regimes) for row in (left, right))
    return _between(_ring(devices), _ring(left[0].devices), _ring(right[0].devices), left_s, right_s)


def width_doubt(surface: StepTimeSurface, devices: int, batch_per_device: int) -> float:
    """Return by what factor, >= 1, a step time between two numbers of devices depends on the way it is joined.

    The ratio of the step time straight in 1 - 1/n, a ring's cost, and straight in n, as contention may grow. 1 where
    the number of devices has corners, or none on one side.

    >>> corners = [(1, 8, 1.0), (3, 8, 2.0)]
    >>> knots = [dict(zip(("devices", "batch_per_device", "step_time_s"), each)) for each in corners]
    >>> surface = StepTimeSurface(knots=knots, interval_relative=0.1, coverage=0.9)
    >>> width_doubt(surface, 1, 8), round(width_doubt(surface, 2, 8), 4)  # 1.75 / 1.5
    (1.0, 1.1667)
    """
    left, right = _neighbours(surface, devices)
    left_s, right_s = (_along_batch_s(row, batch_per_device, surface.regimes) for row in (left, right))
    straight_s = _between(devices, left[0].devices, right[0].devices, left_s, right_s)
    ratio = straight_s / surface_step_time_s(surface, devices, batch_per_device)
    return max(ratio, 1.0 / ratio)


def surface_contains(surface: StepTimeSurface, devices: int, batch_per_device: int) -> bool:
    """Return whether a configuration lies between corners of its own number of devices.

    Only there does the interval mean something.
    """
    low, high = batch_range(surface, devices)
    measured = {knot.devices for knot in surface.knots}
    return devices in measured and low <= batch_per_device <= high


def measured_neighbours(surface: StepTimeSurface, devices: int) -> tuple[int, int] | None:
    """Return the numbers of devices with corners just below and above one that has none; None: it has, or no two do.

    >>> knots = [{"devices": n, "batch_per_device": 8, "step_time_s": 1.0} for n in (1, 4)]
    >>> surface = StepTimeSurface(knots=knots, interval_relative=0.1, coverage=0.9)
    >>> [measured_neighbours(surface, devices) for devices in (1, 2, 4, 8)]
    [None, (1, 4), None, None]
    """
    left, right = (row[0].devices for row in _neighbours(surface, devices))
    return None if left == right else (left, right)


def device_range(surface: StepTimeSurface) -> tuple[int, int]:
    """Return the smallest and the largest number of devices that have a corner."""
    return surface.knots[0].devices, surface.knots[-1].devices


def batch_range(surface: StepTimeSurface, devices: int) -> tuple[int, int]:
    """Return the batches per device between which the corners enclose `devices`: (smallest, largest).

    Between two numbers of devices what both enclose; where they share no batch, what the nearer one does. Outside all
    of them the nearest counts.
    """
    left, right = _neighbours(surface, devices)
    low = max(left[0].batch_per_device, right[0].batch_per_device)
    high = min(left[-1].batch_per_device, right[-1].batch_per_device)
    if low > high:
        place = _between(_ring(devices), _ring(left[0].devices), _ring(right[0].devices), 0.0, 1.0)
        near = right if place > 0.5 else left
        low, high = near[0].batch_per_device, near[-1].batch_per_device
    return low, high


def step_time_interval_s(
    surface: StepTimeSurface, devices: int, batch_per_device: int
) -> tuple[float, float]:
    """Return between which step times [s] the share `surface.coverage` of new measurements is expected.

    Means something where `surface_contains` only. The step time times 1 -+ the surface's relative half width; never below 0.
    """
    time_s, half = surface_step_time_s(surface, devices, batch_per_device), surface.interval_relative
    return time_s * max(0.0, 1.0 - half), time_s * (1.0 + half)


def _neighbours(
    surface: StepTimeSurface, devices: int
) -> tuple[Sequence[StepTimeKnot], Sequence[StepTimeKnot]]:
    """Return the corners of the next number of devices below and above; twice the same where it has some, or outside."""
    rows = list(_rows(surface.knots))
    above = bisect_left([row[0].devices for row in rows], devices)
    right = rows[min(above, len(rows) - 1)]
    left = rows[max(above - 1, 0)]
    return (right, right) if right[0].devices <= devices else (left, right)


def _rows(knots: Sequence[StepTimeKnot]) -> Iterator[list[StepTimeKnot]]:
    """Yield the corners of each number of devices, ascending; they are kept in that order."""
    row: list[StepTimeKnot] = []
    for knot in knots:
        if row and row[-1].devices != knot.devices:
            yield row
            row = []
        row.append(knot)
    yield row


def _along_batch_s(row: Sequence[StepTimeKnot], batch: int, regimes: Sequence[int]) -> float:
    """Return the step time of one number of devices."""
    first, last = row[0], row[-1]
    if batch < first.batch_per_device:
        each_s = first.step_time_s * batch / first.batch_per_device
        return max(each_s, _beyond_s(row, batch, regimes))
    if batch > last.batch_per_device:
        return max(last.step_time_s, _beyond_s(row[::-1], batch, regimes))
    index = bisect_left([knot.batch_per_device for knot in row], batch)
    one, two = row[max(index - 1, 0)], row[index]
    return _between(batch, one.batch_per_device, two.batch_per_device, one.step_time_s, two.step_time_s)


def _beyond_s(inwards: Sequence[StepTimeKnot], batch: int, regimes: Sequence[int]) -> float:
    """Return the step time beyond the first of some corners, of which the others lie further and further inside."""
    end = inwards[0]
    near: list[StepTimeKnot] = []
    for knot in inwards:
        if bisect_left(regimes, knot.batch_per_device) != bisect_left(regimes, end.batch_per_device):
            break
        near.append(knot)
        sizes = sorted((knot.batch_per_device, end.batch_per_device))
        if sizes[1] >= _REACH * sizes[0]:
            break
    if abs(near[-1].batch_per_device - end.batch_per_device) < _LEAST_SPAN * end.batch_per_device:
        return end.step_time_s * batch / end.batch_per_device
    return end.step_time_s + _slope_s(near) * (batch - end.batch_per_device)


def _slope_s(knots: Sequence[StepTimeKnot]) -> float:
    """Return the slope [s a sample] of the line with the least sum of squared relative errors."""
    sizes = [knot.batch_per_device for knot in knots]
    times_s = [knot.step_time_s for knot in knots]
    weights = [1.0 / time_s**2 for time_s in times_s]
    whole = math.fsum(weights)
    mean = math.fsum(map(mul, weights, sizes)) / whole
    mean_s = math.fsum(map(mul, weights, times_s)) / whole
    apart = [size - mean for size in sizes]
    rise = math.fsum(
        weight * each * (time_s - mean_s)
        for weight, each, time_s in zip(weights, apart, times_s, strict=True)
    )
    return rise / math.fsum(weight * each**2 for weight, each in zip(weights, apart, strict=True))


def _ring(devices: int) -> float:
    """Return 1 - 1/n: what each of n devices sends in a ring all-reduce of half a byte."""
    return 1.0 - 1.0 / devices


def _between(at: float, left: float, right: float, left_s: float, right_s: float) -> float:
    """Return what a straight line through two places takes at a third; the first's where they are one."""
    if left == right:
        return left_s
    share = (at - left) / (right - left)
    # Written so that it is exact at both ends.
    return left_s * (1.0 - share) + right_s * share
