"""A step time at more devices, from one device and two of several batches: computing, and an exchange partly hidden.

t_n = (c^g + s_n^g)^(1/g) as in `placement_model`, with c the step of one device. All batches of one model exchange the
same gradients, so s_2 and the overlap g follow from t_1 and t_2 of all its batches. An all-reduce in a ring takes
2 (n - 1) (latency + m / (n B)): s_n = s_2 2 (n - 1) / n where bandwidth decides, s_n = s_2 (n - 1) where latency does
(Thakur, Rabenseifner, Gropp 2005, doi:10.1177/1094342005051521). The former is predicted, the latter is the upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

__all__ = ["Predicted", "ScalingModel", "ScalingStep", "fit_scaling", "ring_factor"]

_OVERLAPS = tuple(float(overlap) for overlap in np.linspace(1.0, 4.0, 13))


class ScalingStep(NamedTuple):
    """Step times of one batch on one device and on two [s]."""

    one_s: float
    two_s: float


class Predicted(NamedTuple):
    """A step time and its bounds [s]."""

    step_time_s: float
    low_s: float
    high_s: float


class ScalingModel(NamedTuple):
    """The exchange of one model on one kind of devices and links."""

    exchange_s: float
    """s_2 [s]."""
    overlap: float
    """g."""
    noise_relative: float
    """Largest |relative error| of the fitted t_2."""

    def predict(self, step: ScalingStep, devices: int, *, further_s: float = 0.0) -> Predicted:
        """Return the step time of `devices` with the batch of `step`; the measured t_2 scales it.

        Args:
            step: Measured.
            devices: >= 2.
            further_s: Exchange between servers to be added [s].

        >>> model = ScalingModel(exchange_s=0.2, overlap=1.0, noise_relative=0.0)
        >>> [round(time_s, 6) for time_s in model.predict(ScalingStep(1.0, 1.2), 4)]
        [1.3, 1.3, 1.6]
        """
        scale = step.two_s / _step_s(step.one_s, self.exchange_s, self.overlap)
        bandwidth_s = self.exchange_s * ring_factor(devices) + further_s
        latency_s = self.exchange_s * (devices - 1) + further_s
        time_s = scale * _step_s(step.one_s, bandwidth_s, self.overlap)
        most_s = scale * _step_s(step.one_s, latency_s, self.overlap)
        return Predicted(time_s, time_s * (1.0 - self.noise_relative), most_s * (1.0 + self.noise_relative))


def ring_factor(devices: int) -> float:
    """Return the time of a ring all-reduce that bandwidth decides, over that of two devices.

    >>> ring_factor(2), ring_factor(4), ring_factor(8)
    (1.0, 1.5, 1.75)
    """
    return 2.0 * (devices - 1) / devices


def fit_scaling(steps: Sequence[ScalingStep]) -> ScalingModel:
    """Return the exchange of a model: least sum of |relative error| of t_2 over its batches.

    Args:
        steps: One for each batch, at least one.

    Raises:
        ValueError: None.

    >>> fit_scaling([ScalingStep(1.0, 1.5), ScalingStep(2.0, 2.5)]).overlap
    1.0
    """
    if not steps:
        raise ValueError("0 steps -> expected at least one")
    longest_s = max(step.two_s for step in steps)
    best: tuple[float, float, float] | None = None
    for overlap in _OVERLAPS:

        def loss(log_s: float, overlap: float = overlap) -> float:
            exchange_s = float(np.exp(log_s))
            return sum(abs(float(np.log(_step_s(s.one_s, exchange_s, overlap) / s.two_s))) for s in steps)

        found = minimize_scalar(loss, bounds=(np.log(longest_s) - 12.0, np.log(longest_s)), method="bounded")
        # Later overlaps must be better by more than rounding.
        if best is None or found.fun < best[0] - 1e-9:
            best = (float(found.fun), overlap, float(np.exp(found.x)))
    _, overlap, exchange_s = best or (0.0, 1.0, 0.0)
    errors = [abs(_step_s(s.one_s, exchange_s, overlap) / s.two_s - 1.0) for s in steps]
    return ScalingModel(exchange_s, overlap, max(errors))


def _step_s(compute_s: float, exchange_s: float, overlap: float) -> float:
    return float((compute_s**overlap + exchange_s**overlap) ** (1.0 / overlap))
