"""Where the cost of a sample changes: a curve cut into straight pieces, as few as the noise allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainers.fit import Sample

__all__ = ["Floats", "cuts", "jump_relative", "regimes"]

_CHANGE_MIN = 0.15
"""A sample must cost so much more or less, relative, or a step jump by so much, for a cut to be named."""
_PENALTY_TERMS = 3.0
"""A cut adds a line of two terms and its own place."""
_SURE = 16.0
"""Gain of a cut, in variances of the noise, for it to be named."""
_NOISE_MIN = 0.005

Floats = NDArray[np.float64]
"""Shape N."""


def regimes(curve: Sequence[Sample], noise_relative: float) -> tuple[int, ...]:
    """Return the batches after which a sample takes markedly longer or shorter, ascending.

    Those cuts at which the cost of a further sample, or the step itself, changes by 15 %, that have two points on either
    side, and that are beyond four standard deviations of the noise.

    Args:
        curve: points of one number of devices, ascending by batch.
        noise_relative: standard deviation of one point, relative.

    >>> costs = {batch: batch * (2.0 if batch > 32 else 1.0) for batch in (8, 16, 24, 32, 40, 48, 56)}
    >>> regimes([Sample(1, batch, cost) for batch, cost in costs.items()], 0.03)
    (32,)
    """
    found = cuts(curve, noise_relative)
    edges = [0, *found, len(curve)]
    named = []
    for before, cut, after in zip(edges, found, edges[2:], strict=False):
        left, right = curve[before:cut], curve[cut:after]
        gain = _misfit(*_arrays([*left, *right])) - _misfit(*_arrays(left)) - _misfit(*_arrays(right))
        sure = gain > _SURE * max(noise_relative, _NOISE_MIN) ** 2
        if sure and min(len(left), len(right)) > 1 and _changes(left, right):
            named.append(curve[cut - 1].batch_per_device)
    return tuple(named)


def cuts(curve: Sequence[Sample], noise_relative: float) -> tuple[int, ...]:
    """Return the indices of the points right of each cut, ascending.

    The curve is cut in two where two lines explain it best, and each half again, as long as the gain in squared
    relative error over the variance of the noise exceeds 3 ln n (Schwarz 1978, doi:10.1214/aos/1176344136).
    """
    sizes, times_s = _arrays(curve)
    return tuple(_cuts(sizes, times_s, max(noise_relative, _NOISE_MIN) ** 2))


def jump_relative(curve: Sequence[Sample], cut: int, found: Sequence[int]) -> float:
    """Return by how much the lines left and right of a cut disagree in the middle of its gap, relative to their mean.

    A piece of one point goes on in proportion to the batch.
    """
    edges = [0, *found, len(curve)]
    at = edges.index(cut)
    left, right = curve[edges[at - 1] : cut], curve[cut : edges[at + 1]]
    middle = (left[-1].batch_per_device + right[0].batch_per_device) / 2
    left_s, right_s = (float(np.dot(_line(*_arrays(piece)), (1.0, middle))) for piece in (left, right))
    mean_s = (abs(left_s) + abs(right_s)) / 2
    return abs(right_s - left_s) / mean_s if mean_s > 0.0 else 0.0


def _arrays(curve: Sequence[Sample]) -> tuple[Floats, Floats]:
    """Return the batches and the step times of a curve."""
    sizes = np.array([sample.batch_per_device for sample in curve], dtype=float)
    return sizes, np.array([sample.step_time_s for sample in curve])


def _cuts(sizes: Floats, times_s: Floats, variance: float, start: int = 0) -> list[int]:
    """Return the indices of the first points after each cut, counted from `start` on."""
    count = len(sizes)
    if count < 4:
        return []
    both = {
        at: _misfit(sizes[:at], times_s[:at]) + _misfit(sizes[at:], times_s[at:]) for at in range(1, count)
    }
    best = min(both, key=lambda at: (both[at], at))
    gain = (_misfit(sizes, times_s) - both[best]) / variance
    if gain <= _PENALTY_TERMS * math.log(count):
        return []
    left = _cuts(sizes[:best], times_s[:best], variance, start)
    right = _cuts(sizes[best:], times_s[best:], variance, start + best)
    return [*left, start + best, *right]


def _line(sizes: Floats, times_s: Floats) -> Floats:
    """Return (overhead, slope) of the least squares of relative errors; of a single point a proportion."""
    if len(sizes) == 1:
        return np.array([0.0, times_s[0] / sizes[0]])
    rows = np.column_stack([np.ones_like(sizes), sizes]) / times_s[:, None]
    return np.asarray(np.linalg.lstsq(rows, np.ones_like(sizes), rcond=None)[0])


def _misfit(sizes: Floats, times_s: Floats) -> float:
    """Return the sum of squared relative errors of the best line."""
    overhead_s, slope = _line(sizes, times_s)
    return float(np.sum(np.square((overhead_s + slope * sizes) / times_s - 1.0)))


def _changes(left: Sequence[Sample], right: Sequence[Sample]) -> bool:
    """Return whether two pieces differ enough for their border to be named."""
    slopes = [float(_line(*_arrays(piece))[1]) for piece in (left, right)]
    steepest = max(abs(slope) for slope in slopes)
    steeper = abs(slopes[1] - slopes[0]) / steepest if steepest > 0.0 else 0.0
    curve = [*left, *right]
    return max(steeper, jump_relative(curve, len(left), [len(left)])) > _CHANGE_MIN
