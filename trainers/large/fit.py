"""Efficiencies fitted to measured steps, held near what is assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainers.large.architecture import Architecture
from trainers.large.efficiency import ASSUMED, Efficiency
from trainers.large.layout import TrainingLayout
from trainers.large.links import Cluster
from trainers.large.step import step_time

__all__ = ["MeasuredStep", "fit_efficiency", "predicted_s"]

Floats = npt.NDArray[np.float64]

NOISE = 0.03
"""Relative error of a step that is as unlikely as a parameter one spread from what is assumed."""
SPREADS = {
    "product_fraction": 0.1, "small_tile_fraction": 0.1, "ramp_depth": 0.7, "memory_fraction": 0.15, "kernel_s": 0.5,
    "operator_s": 0.3, "inside_fraction": 0.2, "inside_call_s": 0.7, "inside_round_s": 0.7,
    "optimizer_bytes": 0.5, "step_s": 1.0,
}  # fmt: skip
"""Of the logarithm of each fitted parameter around what is assumed; links between servers are left as they are."""
_FRACTIONS = ("product_fraction", "small_tile_fraction", "memory_fraction", "inside_fraction")


class MeasuredStep(NamedTuple):
    """A run and how long its steps took."""

    shape: Architecture
    layout: TrainingLayout
    step_time_s: float


def predicted_s(steps: Sequence[MeasuredStep], cluster: Cluster, efficiency: Efficiency) -> Floats:
    """Return (len(steps),) the predicted step times [s]."""
    return np.array([step_time(step.shape, step.layout, cluster, efficiency).total_s for step in steps])


def fit_efficiency(
    steps: Sequence[MeasuredStep], cluster: Cluster, start: Efficiency = ASSUMED
) -> Efficiency:
    """Return the efficiencies that explain measured steps best.

    Least squares of log(predicted / measured) over `NOISE`, and of the logarithm of each parameter over `start` in
    units of its `SPREADS`: the most likely parameters if both errors are normal (ridge regression).

    Raises:
        ValueError: no steps.
    """
    from scipy.optimize import least_squares

    if not steps:
        raise ValueError("no steps -> expected at least one")
    names = list(SPREADS)
    base = np.array([getattr(start, name) for name in names])
    spread = np.array([SPREADS[name] for name in names])
    highest = np.array([0.999 if name in _FRACTIONS else np.inf for name in names])
    target = np.log([step.step_time_s for step in steps])

    def at(z: Floats) -> Efficiency:
        values = np.minimum(base * np.exp(z * spread), highest)
        return replace(start, **dict(zip(names, values.tolist(), strict=True)))

    def errors(z: Floats) -> Floats:
        found = (np.log(predicted_s(steps, cluster, at(z))) - target) / NOISE
        return np.concatenate([found, z])

    best = least_squares(errors, np.zeros(len(names)), diff_step=[1e-3] * len(names), ftol=1e-4, xtol=1e-4)
    return at(best.x)
