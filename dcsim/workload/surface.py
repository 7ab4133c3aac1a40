"""Step times between measured ones: the corners of a `StepTimeSurface`, joined by straight lines.

The corners of one number of devices are joined along the batch, and those lines along the number of devices. Outside
what was measured a line goes on and the width is held, as the fit does (docs/decisions/0030-step-cost.md); the caller
says so. Why corners and not one line: docs/decisions/0093-design-of-experiments.md.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from dcsim.workload.profile import StepTimeKnot, StepTimeSurface

__all__ = ["batch_range", "device_range", "step_time_interval_s", "surface_contains", "surface_step_time_s"]


def surface_step_time_s(surface: StepTimeSurface, devices: int, batch_per_device: int) -> float:
    """Return the step time [s] of `devices`, each with `batch_per_device` samples; both >= 1.

    Between two corners of one number of devices, and between two numbers of devices, linear. Beyond the largest batch
    the last slope goes on, if it rises; below the smallest one the first slope does, but a sample never gets cheaper.
    More or fewer devices than any corner has take what the nearest number of them takes.

    >>> corners = [(1, 8, 1.0), (1, 16, 2.0), (3, 8, 2.0), (3, 16, 4.0)]
    >>> knots = [dict(zip(("devices", "batch_per_device", "step_time_s"), each)) for each in corners]
    >>> surface = StepTimeSurface(knots=knots, interval_relative=0.1, coverage=0.9)
    >>> [surface_step_time_s(surface, *each) for each in ((1, 12), (2, 8), (1, 24), (8, 16))]
    [1.5, 1.5, 3.0, 4.0]
    """
    rows = list(_rows(surface.knots))
    above = bisect_right([row[0].devices for row in rows], devices)
    right = rows[min(above, len(rows) - 1)]
    left = rows[max(above - 1, 0)]
    left_s, right_s = _along_batch_s(left, batch_per_device), _along_batch_s(right, batch_per_device)
    held = min(max(devices, rows[0][0].devices), rows[-1][0].devices)
    return _between(held, left[0].devices, right[0].devices, left_s, right_s)


def surface_contains(surface: StepTimeSurface, devices: int, batch_per_device: int) -> bool:
    """Return whether the corners enclose a configuration, so that nothing is continued for it."""
    low, high = batch_range(surface, devices)
    fewest, most = device_range(surface)
    return fewest <= devices <= most and low <= batch_per_device <= high


def device_range(surface: StepTimeSurface) -> tuple[int, int]:
    """Return the smallest and the largest number of devices that have a corner."""
    return surface.knots[0].devices, surface.knots[-1].devices


def batch_range(surface: StepTimeSurface, devices: int) -> tuple[int, int]:
    """Return the batches per device between which the corners enclose `devices`: (smallest, largest).

    Between two numbers of devices both must have measured; outside all of them the nearest counts.
    """
    rows = list(_rows(surface.knots))
    above = bisect_right([row[0].devices for row in rows], devices)
    right, left = rows[min(above, len(rows) - 1)], rows[max(above - 1, 0)]
    near = [left] if left[0].devices == devices else [left, right]
    return max(row[0].batch_per_device for row in near), min(row[-1].batch_per_device for row in near)


def step_time_interval_s(
    surface: StepTimeSurface, devices: int, batch_per_device: int
) -> tuple[float, float]:
    """Return between which step times [s] the share `surface.coverage` of new measurements is expected.

    Means something inside the range only. The step time times 1 -+ the surface's relative half width; never below 0.
    """
    time_s, half = surface_step_time_s(surface, devices, batch_per_device), surface.interval_relative
    return time_s * max(0.0, 1.0 - half), time_s * (1.0 + half)


def _rows(knots: Sequence[StepTimeKnot]) -> Iterator[list[StepTimeKnot]]:
    """Yield the corners of each number of devices, ascending; they are kept in that order."""
    row: list[StepTimeKnot] = []
    for knot in knots:
        if row and row[-1].devices != knot.devices:
            yield row
            row = []
        row.append(knot)
    yield row


def _along_batch_s(row: Sequence[StepTimeKnot], batch: int) -> float:
    """Return the step time of one number of devices."""
    first, last = row[0], row[-1]
    if len(row) == 1 or batch < first.batch_per_device:
        each_s = first.step_time_s * batch / first.batch_per_device
        return max(each_s, _line_s(row[0], row[1], batch)) if len(row) > 1 else each_s
    if batch > last.batch_per_device:
        return max(last.step_time_s, _line_s(row[-2], last, batch))
    index = min(bisect_right([knot.batch_per_device for knot in row], batch), len(row) - 1)
    return _line_s(row[index - 1], row[index], batch)


def _line_s(one: StepTimeKnot, two: StepTimeKnot, batch: int) -> float:
    return _between(batch, one.batch_per_device, two.batch_per_device, one.step_time_s, two.step_time_s)


def _between(at: int, left: int, right: int, left_s: float, right_s: float) -> float:
    """Return what a straight line through two places takes at a third; the first's where they are one."""
    if left == right:
        return left_s
    share = (at - left) / (right - left)
    # Written so that it is exact at both ends.
    return left_s * (1.0 - share) + right_s * share
