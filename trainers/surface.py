"""A step-time surface through measured points, and how far new measurements will lie from it.

The fewest devices have a curve of their own, straight between their points. Every other number of devices takes the
shape of that curve, as it is stretched by contention and raised by communication, times a ratio that runs straight
between its own points: where a step's temporaries no longer fit, they do so for all of them, so few points are enough
between the smallest and the largest of them. How wrong that is, is asked of the points themselves: each is left out in
turn and predicted from the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import nnls

from dcsim.workload.profile import Mode, StepTimeKnot, StepTimeSurface
from dcsim.workload.surface import surface_step_time_s
from trainers.fit import Sample
from trainers.regimes import Floats, cuts, jump_relative, regimes

__all__ = [
    "ALIKE",
    "COVERAGE",
    "Residual",
    "Scatter",
    "build_surface",
    "half_width",
    "left_out",
    "mean_error",
    "unresolved",
]

COVERAGE = 0.9
_LEAST_BASE = 3
"""Batches of the base curve below which nothing can be left out."""


class Residual(NamedTuple):
    """One point, predicted without it; or a gap that hides a jump, predicted by its middle."""

    sample: Sample
    error_relative: float
    """Predicted / measured - 1."""
    share: float
    """Of all configurations in the range, those that this one stands for; they sum to at most 1."""


class Scatter(NamedTuple):
    """How far the visits of one point lie apart."""

    visit_relative: float
    """Standard deviation of one, relative."""
    visits: float
    """Of a point on average, at least 1; its step time is their mean."""


ALIKE = Scatter(0.0, 1.0)
"""Nothing is known but one visit of each."""


def build_surface(
    samples: Sequence[Sample],
    mode: Mode,
    noise_relative: float,
    scatter: Scatter = ALIKE,
) -> StepTimeSurface | None:
    """Return the surface through measured points, or None where too few tell how wrong it is.

    Args:
        samples: each (devices, batch) once.
        mode: in which they were measured.
        noise_relative: standard deviation of one measurement, relative.
        scatter: of measurements from visit to visit, where that is known to be more; the interval is not below it.

    >>> line = [Sample(1, batch, 1.0 + 0.1 * batch) for batch in (10, 20, 40)]
    >>> build_surface(line, "jit", 0.01).knots[1]
    StepTimeKnot(devices=1, batch_per_device=20, step_time_s=3.0)
    """
    base = _base(samples)
    residuals = left_out(samples, noise_relative)
    if len(base) < _LEAST_BASE or not residuals:
        return None
    return StepTimeSurface(
        mode=mode,
        knots=_knots(samples),
        interval_relative=half_width(
            residuals,
            unresolved(samples, noise_relative),
            noise_relative,
            scatter=scatter,
        ),
        coverage=COVERAGE,
        regimes=regimes(base, noise_relative),
    )


def left_out(samples: Sequence[Sample], noise_relative: float) -> list[Residual]:
    """Return what each point would have been predicted as without it, in the order of the samples.

    On the base curve those with a neighbour on either side in the same straight piece (`trainers.regimes`): a point
    beside a jump says nothing about the places where there is none. Of another number of devices those with a neighbour
    on either side, but for those inside a gap of the base curve that hides a jump.
    """
    base = _base(samples)
    places = cuts(base, noise_relative)
    edges = {0, len(base), *places}
    hidden = [range(base[at - 1].batch_per_device + 1, base[at].batch_per_device) for at in places]
    alone = {base[place] for edge in edges for place in (edge - 1, edge) if 0 <= place < len(base)}
    found = []
    for sample in sorted(samples):
        row = [each for each in sorted(samples) if each.devices == sample.devices]
        lost = sample in alone or (
            sample.devices != base[0].devices and any(sample.batch_per_device in gap for gap in hidden)
        )
        if sample not in (row[0], row[-1]) and not lost:
            rest = [each for each in samples if each != sample]
            predicted_s = _predict_s(rest, sample.devices, sample.batch_per_device)
            found.append(
                Residual(sample, predicted_s / sample.step_time_s - 1.0, _share(sample, row, samples))
            )
    return found


def unresolved(samples: Sequence[Sample], noise_relative: float) -> list[Residual]:
    """Return the gaps of the base curve that hide a jump, one entry each: its left end, half the jump, its share."""
    base = _base(samples)
    places = cuts(base, noise_relative)
    sizes = [sample.batch_per_device for sample in samples]
    whole = max(sizes) - min(sizes) + 1
    return [
        Residual(
            base[cut - 1],
            jump_relative(base, cut, places) / 2,
            (base[cut].batch_per_device - base[cut - 1].batch_per_device - 1) / whole,
        )
        for cut in places
    ]


def mean_error(residuals: Sequence[Residual], gaps: Sequence[Residual] = ()) -> float:
    """Return the mean |relative error| expected at a random configuration.

    Args:
        residuals: of `left_out`; each counts for its surroundings.
        gaps: of `unresolved`; each counts for what it hides.
    """
    shares = [each.share for each in residuals]
    if not sum(shares):
        return math.inf
    errors = [abs(each.error_relative) for each in residuals]
    hidden = sum(each.share for each in gaps)
    return (1.0 - hidden) * float(np.average(errors, weights=shares)) + sum(
        each.share * each.error_relative for each in gaps
    )


def half_width(
    residuals: Sequence[Residual],
    gaps: Sequence[Residual],
    noise_relative: float,
    coverage: float = COVERAGE,
    *,
    scatter: Scatter = ALIKE,
) -> float:
    """Return the half width, relative to a prediction, that holds `coverage` of new measurements.

    Errors e_i of left-out points are weighted by the share s_i of the range that each stands for, as new measurements
    fall on all of the range while measured points crowd where it is steep (weighted conformal prediction: Tibshirani,
    Barber, Candes, Ramdas 2019, arXiv:1904.06019). With n = (sum s)^2 / sum s^2 points that count, the half width is
    the quantile of |e| at coverage, one more point of mean weight at infinity; where that is infinite, for n too
    small, Student's t_n at (1 + coverage) / 2 times the root mean square error. Gaps that hide a jump are taken for
    lost: the rest must hold coverage / (1 - their share). Not below what noise alone asks for.

    A point is the mean of k visits, a new measurement is one: of the variance s^2 of one, the errors of left-out points lack
    all but 1 / k. It is independent of them, so what it asks for is added in quadrature. And no prediction is surer than the
    mean of as many visits: a new one differs from that by sqrt(1 + 1 / k) s.
    """
    hidden = sum(each.share for each in gaps)
    wanted = min(coverage / (1.0 - hidden), 0.99) if hidden < 1.0 - coverage else 0.99
    errors = np.abs([each.error_relative for each in residuals])
    shares = np.array([each.share for each in residuals])
    count = shares.sum() ** 2 / np.square(shares).sum()
    spread = float(np.sqrt(np.average(np.square(errors), weights=shares)))
    order = np.argsort(errors)
    reached = np.cumsum(shares[order]) / (shares.sum() * (1.0 + 1.0 / count))
    enough = np.flatnonzero(reached >= wanted)
    inner = float(
        errors[order][enough[0]] if len(enough) else stats.t.ppf((1.0 + wanted) / 2.0, count) * spread
    )
    deviations = float(stats.norm.ppf((1.0 + wanted) / 2.0))
    one_relative = max(noise_relative, scatter.visit_relative)
    inner = math.hypot(inner, deviations * one_relative * math.sqrt(1.0 - 1.0 / scatter.visits))
    floor = deviations * max(noise_relative, scatter.visit_relative * math.sqrt(1.0 + 1.0 / scatter.visits))
    wide = [each.error_relative for each in gaps] if hidden >= 1.0 - coverage else []
    return max(floor, inner, *wide)


def _base(samples: Sequence[Sample]) -> list[Sample]:
    """Return the points of the fewest devices, by batch."""
    fewest = min(sample.devices for sample in samples)
    return sorted(sample for sample in samples if sample.devices == fewest)


def _knots(samples: Sequence[Sample]) -> tuple[StepTimeKnot, ...]:
    """Return the corners: the measured points, and those that other numbers of devices take from the base curve.

    Only between their own smallest and largest batch: beyond, nothing says that they are like the base curve.
    """
    base = _base(samples)
    base_batches = np.array([sample.batch_per_device for sample in base], dtype=float)
    base_s = np.array([sample.step_time_s for sample in base])
    knots = [_knot(sample.devices, sample.batch_per_device, sample.step_time_s) for sample in base]
    for devices in sorted({sample.devices for sample in samples} - {base[0].devices}):
        own = sorted(sample for sample in samples if sample.devices == devices)
        own_batches = np.array([sample.batch_per_device for sample in own], dtype=float)
        own_s = np.array([sample.step_time_s for sample in own])
        raised_s, stretched = _likeness(np.interp(own_batches, base_batches, base_s), own_s)
        ratios = own_s / (raised_s + stretched * np.interp(own_batches, base_batches, base_s))
        shared = {
            each.batch_per_device
            for each in base
            if own[0].batch_per_device <= each.batch_per_device <= own[-1].batch_per_device
        }
        for batch in sorted(shared | {each.batch_per_device for each in own}):
            like_s = raised_s + stretched * float(np.interp(batch, base_batches, base_s))
            knots.append(_knot(devices, batch, like_s * float(np.interp(batch, own_batches, ratios))))
    return tuple(knots)


def _likeness(shape_s: Floats, own_s: Floats) -> tuple[float, float]:
    """Return (c, a), neither negative, for which c + a * shape is nearest to own in relative error.

    a is contention, c communication. From one point: a alone.
    """
    if len(own_s) == 1:
        return 0.0, float(own_s[0] / shape_s[0])
    rows = np.column_stack([1.0 / own_s, shape_s / own_s])
    scales = np.linalg.norm(rows, axis=0)
    solution, _ = nnls(rows / scales, np.ones(len(own_s)))
    raised_s, stretched = (float(term) for term in solution / scales)
    return raised_s, stretched


def _knot(devices: int, batch: int, step_time_s: float) -> StepTimeKnot:
    return StepTimeKnot(devices=devices, batch_per_device=batch, step_time_s=step_time_s)


def _predict_s(samples: Sequence[Sample], devices: int, batch: int) -> float:
    """Return what the simulator would take from these points."""
    surface = StepTimeSurface(knots=_knots(samples), interval_relative=0.0, coverage=COVERAGE)
    return surface_step_time_s(surface, devices, batch)


def _share(sample: Sample, row: Sequence[Sample], samples: Sequence[Sample]) -> float:
    """Return the share of the range for which a point is the nearest of its number of devices."""
    sizes = [each.batch_per_device for each in samples]
    low, high = min(sizes), max(sizes)
    at = row.index(sample)
    left = (row[at - 1].batch_per_device + sample.batch_per_device) / 2 if at else low
    right = (row[at + 1].batch_per_device + sample.batch_per_device) / 2 if at + 1 < len(row) else high
    return (right - left) / (high - low) / len({each.devices for each in samples}) if high > low else 0.0
