"""A step time by placement: computing, and an exchange of gradients that is partly hidden behind it.

t = (c^g + s^g)^(1/g), g >= 1: with g = 1 computing c and exchange s follow each other, with g large the shorter is hidden
(Qiao et al., OSDI 2021, equation 11). A gang of n GPUs on k servers, m on the fullest, has c = c(batch) (1 + x (m - 1)) and
s = a_k + b_k (n - k) / k; s = 0 for one GPU. The two terms of s are their own for each number of servers, as one pair of
servers carries all of the exchange of a gang on two, and a part of that of a gang on more
(docs/decisions/0073-collectives-and-parallel-traffic.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["PlacedStep", "PlacementModel", "fit_placements"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TOLERANCE = 0.05
"""Relative residual beyond which a measurement is taken for an outlier (soft L1)."""
_STEPS_MAX = 100
_DAMPINGS_MAX = 12
_GAIN_MIN = 1e-7
"""Relative gain of a step below which there is no other."""
_NUDGE = 1e-6
_EXCESS_MAX = 20.0
"""Of g over 1; beyond it nothing changes."""
_LOG_MAX = 30.0


class PlacedStep(NamedTuple):
    """A measured step of a gang."""

    layout: tuple[int, ...]
    """GPUs on each server."""
    batch_per_device: int
    step_time_s: float


@dataclass(frozen=True)
class PlacementModel:
    """Fitted terms; times in seconds."""

    batches: Floats
    """(K,), ascending."""
    compute_s: Floats
    """Of one GPU at each batch (K,); linear between, continued with the last slope."""
    crowding: float
    """x: how much longer computing takes, relative, for each further GPU on the fullest server."""
    overlap: float
    """g."""
    exchange_s: Mapping[int, tuple[float, float]]
    """(a_k, b_k) by the number of servers that was measured."""

    def step_time_s(self, layout: Sequence[int], batch_per_device: float) -> float:
        """Return the step time of a gang [s]; numbers of servers that were not measured take the nearest one's terms.

        >>> model = PlacementModel(np.array([1.0, 2.0]), np.array([3.0, 4.0]), 0.0, 2.0, {2: (4.0, 1.0)})
        >>> model.step_time_s((1,), 1), model.step_time_s((1, 1), 1), model.step_time_s((1,), 4)
        (3.0, 5.0, 6.0)
        """
        gpus, servers = sum(layout), len(layout)
        compute_s = self._alone_s(batch_per_device) * (1.0 + self.crowding * (max(layout) - 1))
        exchange_s = 0.0
        if gpus > 1 and self.exchange_s:
            nearest = min(self.exchange_s, key=lambda known: (abs(known - servers), known))
            fixed_s, inside_s = self.exchange_s[nearest]
            exchange_s = fixed_s + inside_s * (gpus - servers) / servers
        return float((compute_s**self.overlap + exchange_s**self.overlap) ** (1.0 / self.overlap))

    def _alone_s(self, batch: float) -> float:
        if len(self.batches) > 1 and batch > self.batches[-1]:
            slope_s = (self.compute_s[-1] - self.compute_s[-2]) / (self.batches[-1] - self.batches[-2])
            return float(self.compute_s[-1] + slope_s * (batch - self.batches[-1]))
        return float(np.interp(batch, self.batches, self.compute_s))


class _Design(NamedTuple):
    """Measured steps as arrays (N,) and (N, 2 S) for S numbers of servers."""

    batch_index: Ints
    further: Floats
    """GPUs of the fullest server but one."""
    terms: Floats
    log_s: Floats


def fit_placements(steps: Sequence[PlacedStep]) -> PlacementModel:
    """Return the model of least relative error, outliers counting less (soft L1).

    Args:
        steps: At least two, of one application.

    Raises:
        ValueError: Fewer.
    """
    if len(steps) < 2:
        raise ValueError(f"{len(steps)} steps -> expected at least two")
    batches = np.unique([step.batch_per_device for step in steps])
    servers = sorted({len(step.layout) for step in steps if sum(step.layout) > 1})
    design = _design(steps, batches, servers)
    count = len(batches)
    least_s = [min(s.step_time_s for s in steps if s.batch_per_device == batch) for batch in batches]
    middle_s = float(np.median([step.step_time_s for step in steps]))
    start = np.concatenate(
        [np.log(least_s), np.log([0.03, 1.0]), np.full(2 * len(servers), np.log(0.1 * middle_s))]
    )
    found = _least(lambda values: _log_s(values, count, design) - design.log_s, start)
    crowding, excess, *terms = np.exp(found[count:]).tolist()
    return PlacementModel(
        batches=batches.astype(np.float64),
        compute_s=np.exp(found[:count]),
        crowding=crowding,
        overlap=1.0 + min(excess, _EXCESS_MAX),
        exchange_s={known: (terms[2 * k], terms[2 * k + 1]) for k, known in enumerate(servers)},
    )


def _least(residuals: Callable[[Floats], Floats], start: Floats) -> Floats:
    """Return the values (P,) of least soft-L1 loss of residuals (N,) (Levenberg-Marquardt, reweighted).

    Written out, for scipy's solver spends fifty times as long in a threaded LAPACK where cores are shared.
    """
    values, damping = start, 1e-2
    current = residuals(values)
    for _ in range(_STEPS_MAX):
        slopes = np.stack(
            [(residuals(values + step) - current) / _NUDGE for step in _NUDGE * np.eye(len(values))], axis=1
        )
        weights = (1.0 + (current / _TOLERANCE) ** 2) ** -0.5
        # einsum, and not @: it starts no threads.
        curvature = np.einsum("np,n,nq->pq", slopes, weights, slopes, optimize=False)
        downhill = np.einsum("np,n,n->p", slopes, weights, current, optimize=False)
        before = _loss(current)
        for _ in range(_DAMPINGS_MAX):
            damped = curvature + np.diag(damping * np.diag(curvature) + 1e-9)
            tried = np.clip(values - np.linalg.solve(damped, downhill), -_LOG_MAX, _LOG_MAX)
            new = residuals(tried)
            if _loss(new) < before:
                break
            damping *= 4.0
        else:
            return values
        values, current, damping = tried, new, max(damping / 4.0, 1e-9)
        if before - _loss(current) < _GAIN_MIN * before:
            return values
    return values


def _loss(residuals: Floats) -> float:
    return float(np.sum(np.sqrt(1.0 + (residuals / _TOLERANCE) ** 2) - 1.0))


def _design(steps: Sequence[PlacedStep], batches: npt.NDArray[Any], servers: Sequence[int]) -> _Design:
    terms = np.zeros((len(steps), 2 * len(servers)))
    for row, step in enumerate(steps):
        gpus, across = sum(step.layout), len(step.layout)
        if gpus > 1:
            column = 2 * servers.index(across)
            terms[row, column : column + 2] = 1.0, (gpus - across) / across
    return _Design(
        batch_index=np.searchsorted(batches, [step.batch_per_device for step in steps]),
        further=np.array([max(step.layout) - 1.0 for step in steps]),
        terms=terms,
        log_s=np.log([step.step_time_s for step in steps]),
    )


def _log_s(values: Floats, count: int, design: _Design) -> Floats:
    """Return the logarithm of the step times (N,) that fitted values give: logarithms of all terms, of g of g - 1."""
    crowding, excess, *terms = np.exp(values[count:]).tolist()
    compute_s = np.exp(values[:count])[design.batch_index] * (1.0 + crowding * design.further)
    exchange_s = np.einsum("nq,q->n", design.terms, np.array(terms), optimize=False)
    overlap = 1.0 + min(excess, _EXCESS_MAX)
    # The longer of the two is taken out, so that no power overflows.
    longer_s = np.maximum(compute_s, exchange_s)
    powers = (compute_s / longer_s) ** overlap + (exchange_s / longer_s) ** overlap
    result: Floats = np.log(longer_s) + np.log(powers) / overlap
    return result
