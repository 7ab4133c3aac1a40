"""Step time as a function of batch and devices: non-negative least squares in relative error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

__all__ = ["Coefficients", "Sample", "choose_held_out", "fit_step_time", "relative_errors"]

_HELD_OUT_SHARE = 0.25
_LEAST_FITTED = 3


class Sample(NamedTuple):
    """One measured step time."""

    devices: int
    batch_per_device: int
    step_time_s: float


class Coefficients(NamedTuple):
    """step_time_s = overhead_s + per_sample_s * batch_per_device + per_device_s * (devices - 1)."""

    overhead_s: float
    per_sample_s: float
    per_device_s: float

    def predict_s(self, devices: int, batch_per_device: int) -> float:
        """Return the step time of a configuration, in seconds.

        >>> Coefficients(0.5, 0.01, 0.25).predict_s(devices=3, batch_per_device=100)
        2.0
        """
        return self.overhead_s + self.per_sample_s * batch_per_device + self.per_device_s * (devices - 1)


def fit_step_time(samples: Sequence[Sample]) -> Coefficients:
    """Return the coefficients, none negative, of least mean square relative error.

    Relative, because a step of 1 ms predicted as 2 ms hurts a simulation as much as one of 1 s
    predicted as 2 s; non-negative (Lawson and Hanson 1974), because each term is a time.

    Args:
        samples: at least one; terms that they cannot tell apart are put into the overhead first.

    Raises:
        ValueError: without samples.

    >>> fit = fit_step_time([Sample(1, 10, 1.1), Sample(1, 20, 1.2), Sample(2, 10, 1.6)])
    >>> [round(term, 6) for term in fit]
    [1.0, 0.01, 0.5]
    """
    if not samples:
        raise ValueError("0 samples -> expected at least one")
    rows = np.array([(1.0, sample.batch_per_device, sample.devices - 1.0) for sample in samples])
    times_s = np.array([sample.step_time_s for sample in samples])
    relative = rows / times_s[:, None]
    # Columns of equal length keep the solver's tolerance meaningful for each of them.
    scales = np.linalg.norm(relative, axis=0)
    scales[scales == 0] = 1.0
    solution, _ = nnls(relative / scales, np.ones(len(samples)))
    overhead_s, per_sample_s, per_device_s = (float(term) for term in solution / scales)
    return Coefficients(overhead_s, per_sample_s, per_device_s)


def relative_errors(coefficients: Coefficients, samples: Sequence[Sample]) -> list[float]:
    """Return predicted / measured - 1 for each sample.

    >>> relative_errors(Coefficients(1.1, 0, 0), [Sample(1, 1, 1.0)])  # doctest: +ELLIPSIS
    [0.1...]
    """
    return [
        coefficients.predict_s(sample.devices, sample.batch_per_device) / sample.step_time_s - 1.0
        for sample in samples
    ]


def choose_held_out(samples: Sequence[Sample], seed: int) -> list[int]:
    """Return the indices of a quarter of the samples, to test the fit on.

    Only samples whose batch is neither the smallest nor the largest are chosen, so that the fit
    keeps its range and is tested inside it; too few samples give none.

    >>> choose_held_out([Sample(1, 8, 1.0), Sample(1, 16, 1.0), Sample(1, 32, 1.0)], seed=0)
    []
    """
    sizes = [sample.batch_per_device for sample in samples]
    inner = [index for index, size in enumerate(sizes) if min(sizes) < size < max(sizes)]
    count = min(max(1, int(len(samples) * _HELD_OUT_SHARE)), len(inner), len(samples) - _LEAST_FITTED)
    if count < 1:
        return []
    chosen = np.random.default_rng([seed, len(samples)]).choice(inner, size=count, replace=False)
    return sorted(int(index) for index in chosen)
