"""Is one arm better than another? Paired differences on common seeds, with their uncertainty.

Arms of one seed share arrivals, sizes and weather (common random numbers), so the difference of
each seed is one observation and the spread between seeds cancels. The interval is Student's t on
those differences; a verdict needs Holm's correction over all arms compared on the same metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIDENCE",
    "HIGHER_IS_BETTER",
    "METRICS",
    "NEUTRAL",
    "Interval",
    "PairedDifference",
    "Verdict",
    "compare_arms",
    "holm",
    "mean_interval",
    "paired_difference",
]

_ROUNDING = 1e-12
Verdict = Literal["better", "worse", "higher", "lower", "no clear difference"]
"""Higher and lower are for metrics that are good or bad only for a reason (`NEUTRAL`)."""
Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Of every interval."""
METRICS = (
    "jct_mean_s",
    "jct_p95_s",
    "wait_mean_s",
    "makespan_s",
    "accelerator_utilisation",
    "energy_it_j",
    "energy_facility_j",
    "pue",
    "carbon_kg",
    "carbon_embodied_kg",
    "cost_usd",
    "peak_import_w",
    "water_l",
    "jobs_completed",
    "preemptions",
    "productive_fraction",
    "deadlines_met_fraction",
    "network_stall_fraction",
    "data_stall_fraction",
)
"""The columns of schema.SUMMARY that are compared."""
HIGHER_IS_BETTER = frozenset({"jobs_completed", "productive_fraction", "deadlines_met_fraction"})
NEUTRAL = frozenset({"accelerator_utilisation", "preemptions"})
"""Slower jobs hold their accelerators longer: more utilisation is not better in itself, nor are fewer
preemptions. Of all other metrics less is better."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the interval that covers it with `CONFIDENCE`; NaN bounds where n < 2."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def is_defined(self) -> bool:
        """Whether there were enough observations for bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """One metric of one arm minus that of the baseline arm, seed by seed."""

    metric: str
    arm: str
    baseline: str
    difference: Interval
    """In the metric's unit."""
    relative: Interval
    """As a fraction of the baseline's mean over these seeds; NaN where that is zero."""
    p_value: float
    """Of no difference, two-sided; NaN where n < 2."""
    p_holm: float
    """Corrected for all arms compared on this metric."""
    verdict: Verdict


def mean_interval(values: Sequence[float] | Floats, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean and its two-sided Student t interval; values that are NaN are left out.

    mean -+ t(n - 1, (1 + confidence) / 2) s / sqrt(n), s with n - 1 (Student, Biometrika 6:1, 1908).

    >>> interval = mean_interval([1.0, 2.0, 3.0])
    >>> f"{interval.mean:g} [{interval.low:.3f}, {interval.high:.3f}]"
    '2 [-0.484, 4.484]'
    >>> mean_interval([5.0])
    Interval(mean=5.0, low=nan, high=nan, n=1)
    """
    known = _known(values)
    n = known.size
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = math.fsum(known.tolist()) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = _t_quantile(n - 1, 0.5 + confidence / 2.0) * _standard_error(known, mean)
    return Interval(mean, mean - half, mean + half, n)


def _known(values: Sequence[float] | Floats) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def _standard_error(values: Floats, mean: float) -> float:
    """Equal values have no spread, whatever rounding does to their mean."""
    if np.all(values == values[0]):
        return 0.0
    squares = math.fsum(((values - mean) ** 2).tolist())
    return math.sqrt(squares / (values.size - 1) / values.size)


def _t_quantile(degrees: int, probability: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def _p_value(differences: Floats) -> float:
    """Two-sided p of mean zero; without any spread the answer is certain either way."""
    from scipy.special import stdtr

    n = differences.size
    if n < 2:
        return math.nan
    mean = math.fsum(differences.tolist()) / n
    error = _standard_error(differences, mean)
    if error == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    return float(2.0 * stdtr(n - 1, -abs(mean / error)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number; NaN stays NaN and does not count.

    Holm, Scandinavian Journal of Statistics 6:65 (1979): the k-th smallest of m times m - k + 1, kept monotone.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [math.nan] * len(p_values)
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    floor = 0.0
    for rank, (p, index) in enumerate(known):
        floor = max(floor, min(1.0, p * (len(known) - rank)))
        corrected[index] = floor
    return corrected


def paired_difference(
    metric: str,
    arm: str,
    baseline: str,
    values: Mapping[int, float],
    baseline_values: Mapping[int, float],
) -> PairedDifference:
    """Return the difference of two arms over the seeds that both have, not yet corrected by Holm.

    Args:
        metric: one of `METRICS`.
        arm: name of the arm.
        baseline: name of the arm it is compared with.
        values: the metric of the arm by seed, NaN where undefined.
        baseline_values: the same of the baseline.
    """
    seeds = sorted(set(values) & set(baseline_values))
    ours = np.array([values[seed] for seed in seeds], dtype=np.float64)
    theirs = np.array([baseline_values[seed] for seed in seeds], dtype=np.float64)
    both = np.isfinite(ours) & np.isfinite(theirs)
    differences = _without_rounding(ours[both], theirs[both])
    interval = mean_interval(differences)
    p_value = _p_value(differences)
    return PairedDifference(
        metric=metric,
        arm=arm,
        baseline=baseline,
        difference=interval,
        relative=_relative(interval, theirs[both]),
        p_value=p_value,
        p_holm=p_value,
        verdict="no clear difference",
    )


def _relative(interval: Interval, baseline: Floats) -> Interval:
    """Divide by one number, so that the relative interval excludes zero exactly when the absolute one does."""
    scale = abs(math.fsum(baseline.tolist())) / baseline.size if baseline.size else 0.0
    if scale == 0.0:
        return Interval(math.nan, math.nan, math.nan, 0)
    return Interval(interval.mean / scale, interval.low / scale, interval.high / scale, interval.n)


def _without_rounding(ours: Floats, theirs: Floats) -> Floats:
    """Return ours - theirs, with what is only rounding (1e-12 of the larger) taken as no difference.

    A ratio that is the same in two arms comes out in different last bits; with no other spread
    that would pass for a certain difference.
    """
    size = np.maximum(np.abs(ours), np.abs(theirs))
    return np.where(np.abs(ours - theirs) <= _ROUNDING * size, 0.0, ours - theirs)


def _decided(difference: PairedDifference, p_holm: float) -> PairedDifference:
    """Decide only where the interval excludes zero and the corrected p-value agrees."""
    interval = difference.difference
    excludes_zero = interval.is_defined and (interval.low > 0.0 or interval.high < 0.0)
    verdict: Verdict = "no clear difference"
    if excludes_zero and p_holm < 1.0 - CONFIDENCE:
        verdict = _direction(difference.metric, interval.mean)
    return replace(difference, p_holm=p_holm, verdict=verdict)


def _direction(metric: str, mean: float) -> Verdict:
    if metric in NEUTRAL:
        return "higher" if mean > 0.0 else "lower"
    return "better" if (mean > 0.0) == (metric in HIGHER_IS_BETTER) else "worse"


def compare_arms(
    values: Mapping[str, Mapping[str, Mapping[int, float]]],
    baseline: str,
    metrics: Sequence[str] = METRICS,
) -> tuple[PairedDifference, ...]:
    """Return every other arm against the baseline on every metric, corrected and decided.

    Args:
        values: metric by seed, by metric, by arm: `values[arm][metric][seed]`.
        baseline: one of the arms.
        metrics: which to compare; Holm's correction runs over the arms of one metric.
    """
    found: list[PairedDifference] = []
    others = [arm for arm in values if arm != baseline]
    for metric in metrics:
        family = [
            paired_difference(metric, arm, baseline, values[arm][metric], values[baseline][metric])
            for arm in others
        ]
        corrected = holm([difference.p_value for difference in family])
        found.extend(_decided(d, p) for d, p in zip(family, corrected, strict=True))
    return tuple(found)
