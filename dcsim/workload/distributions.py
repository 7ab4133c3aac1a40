"""The distributions jobs are drawn from, as pure functions with closed forms to check them against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

__all__ = [
    "clipped_lognormal_mean",
    "clipped_lognormal_quantile",
    "cumulative_diurnal_s",
    "discrete_choice",
    "diurnal_arrivals_s",
    "diurnal_phase_rad",
    "mean_width",
    "zipf_weights",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DAY_RAD_PER_S = 2.0 * math.pi / 86_400.0
_BISECTIONS = 60
"""Halvings of a bracket of at most a day: 86,400 s / 2^60 is below a tenth of a picosecond."""


def clipped_lognormal_mean(median: float, sigma: float, low: float, high: float) -> float:
    """Return E[min(max(X, low), high)] of a lognormal X, exactly.

    With mu = ln(median), F the standard normal distribution, a = (ln low - mu) / sigma and
    b = (ln high - mu) / sigma:

        E = low F(a) + high (1 - F(b)) + exp(mu + sigma^2 / 2) (F(b - sigma) - F(a - sigma))

    The middle term is the lognormal's partial expectation (Johnson, Kotz, Balakrishnan 1994,
    Continuous Univariate Distributions 1, ch. 14).

    Args:
        median: Of X, > 0.
        sigma: Standard deviation of ln X, >= 0.
        low: Lower clip, > 0.
        high: Upper clip, >= low.

    >>> clipped_lognormal_mean(100.0, 0.0, 1.0, 1e9)
    100.0
    """
    if sigma == 0.0:
        return min(max(median, low), high)
    a, b = (math.log(limit / median) / sigma for limit in (low, high))
    inside = math.exp(sigma**2 / 2.0) * median * (_normal_cdf(b - sigma) - _normal_cdf(a - sigma))
    return low * _normal_cdf(a) + high * _normal_cdf(-b) + inside


def clipped_lognormal_quantile(
    normals: Floats, median: float, sigma: float, low: float, high: float
) -> Floats:
    """Return clipped lognormal values for standard normal draws (J,), in the unit of `median`."""
    # The exponent is clipped first, so that a wide sigma cannot overflow.
    exponent = np.clip(sigma * normals, math.log(low / median), math.log(high / median))
    return np.clip(median * np.exp(exponent), low, high)


def diurnal_phase_rad(start: datetime, peak_hour: float) -> float:
    """Return the phase [rad] at t = 0 of a daily swing whose peak is at `peak_hour` UTC.

    >>> diurnal_phase_rad(datetime(2023, 1, 1, 15, tzinfo=UTC), 15.0)
    0.0
    """
    start = start.astimezone(UTC)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return _DAY_RAD_PER_S * ((start - midnight).total_seconds() - 3_600.0 * peak_hour)


def cumulative_diurnal_s(time_s: Floats, amplitude: float, phase_rad: float) -> Floats:
    """Return the integral of 1 + a cos(w t + phase) from 0 to each time [s], w one turn a day.

    It is the expected number of arrivals over the mean rate.
    """
    swing = np.sin(_DAY_RAD_PER_S * time_s + phase_rad) - math.sin(phase_rad)
    return np.asarray(time_s + amplitude / _DAY_RAD_PER_S * swing)


def diurnal_arrivals_s(exponentials: Floats, rate_per_s: float, amplitude: float, phase_rad: float) -> Floats:
    """Return the arrival times (J,) [s] of a Poisson process with rate r (1 + a cos(w t + phase)).

    Time rescaling, exact: the sums of unit exponentials are a Poisson process of rate 1, and the
    inverse of the cumulative rate maps it to the rate wanted (Cinlar 1975, Introduction to
    Stochastic Processes, ch. 4.7). Without a swing it is the plain Poisson process.

    Args:
        exponentials: Independent draws (J,) of mean 1.
        rate_per_s: Mean rate r [1/s], > 0.
        amplitude: a in [0, 1].
        phase_rad: Phase at t = 0.
    """
    target = np.cumsum(exponentials) / rate_per_s
    if amplitude == 0.0:
        return target
    # |cumulative(t) - t| <= 2 a / w brackets the root; bisection needs no slope, which may be 0.
    reach = 2.0 * amplitude / _DAY_RAD_PER_S
    low, high = np.maximum(target - reach, 0.0), target + reach
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        below = cumulative_diurnal_s(middle, amplitude, phase_rad) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.maximum.accumulate(high)  # rounding must not swap two neighbours


def discrete_choice(uniforms: Floats, weights: Floats) -> Ints:
    """Return for each uniform draw in [0, 1) the index of the weight it falls on.

    >>> discrete_choice(np.array([0.0, 0.49, 0.5, 0.99]), np.array([1.0, 1.0]))
    array([0, 0, 1, 1])
    """
    edges = np.cumsum(weights)
    found = np.searchsorted(edges, uniforms * edges[-1], side="right")
    return np.asarray(np.minimum(found, len(weights) - 1), dtype=np.int64)


def mean_width(widths: Mapping[int, float]) -> float:
    """Return the mean gang width [devices] of width -> weight.

    >>> mean_width({1: 3.0, 8: 1.0})
    2.75
    """
    in_order = sorted(widths.items())  # the order of keys in a file must not show in the last digit
    return sum(width * weight for width, weight in in_order) / sum(weight for _, weight in in_order)


def zipf_weights(count: int, exponent: float = 1.0) -> Floats:
    """Return Zipf's weights 1 / k^exponent, k = 1..count, summing to 1.

    >>> zipf_weights(2).round(4).tolist()
    [0.6667, 0.3333]
    """
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return np.asarray(weights / weights.sum())


def _normal_cdf(x: float) -> float:
    """Return the standard normal distribution function."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
