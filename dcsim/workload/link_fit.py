"""The links of a cluster from step times that were measured on it: bandwidths, latencies, and what overlaps.

A step of data-parallel training on a placement takes t = t_compute + t_exposed, where t_exposed follows from the message
and the placement by the alpha-beta cost of the all-reduce (`dcsim.workload.collective_cost`) and the part of computing it
hides behind (`dcsim.workload.overlap`). Given message sizes, times of computing and measured steps, what is left are the
links: least squares of ln(predicted / measured), so that every step counts by its relative error.

    measured = [MeasuredStep((1, 1), message_bytes, compute_s, step_s), ...]   # a few placements
    fit = fit_links(measured, ("between_bandwidth_bytes_per_s", "between_latency_s", "overlap_fraction"), start)
    predicted_step_s(MeasuredStep((4, 4, 2), message_bytes, compute_s), fit)   # any other
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.workload.collective_cost import Links, pattern_time_s
from dcsim.workload.collectives import Algorithm, Pattern, unit_pattern
from dcsim.workload.overlap import exposed_communication_s

__all__ = ["FITTED", "LinkFit", "LinkParameter", "MeasuredStep", "fit_links", "predicted_step_s"]

Floats = npt.NDArray[np.float64]

LinkParameter = Literal[
    "inside_bandwidth_bytes_per_s",
    "between_bandwidth_bytes_per_s",
    "pair_bandwidth_bytes_per_s",
    "inside_latency_s",
    "between_latency_s",
    "overlap_fraction",
]
FITTED: tuple[LinkParameter, ...] = (
    "inside_bandwidth_bytes_per_s",
    "between_bandwidth_bytes_per_s",
    "inside_latency_s",
    "between_latency_s",
    "overlap_fraction",
)
"""What is fitted unless something else is asked for."""

_BOUNDS = {"bandwidth": (1e6, 1e13), "latency": (1e-8, 1.0)}
"""Of what is fitted; a value found at a bound was not to be seen in the measurements."""


class MeasuredStep(NamedTuple):
    """One step of one gang."""

    counts: tuple[int, ...]
    """Devices on each of its servers, in rank order."""
    message_bytes: float
    """All-reduced by each device: the gradients [B]."""
    compute_s: float
    """The step without any exchange [s], > 0."""
    step_s: float = math.nan
    """As measured [s], > 0; NaN where it is to be predicted."""
    messages: int = 1
    """Calls of the all-reduce that the gradients are sent in, >= 1: latency counts for each."""


@dataclass(frozen=True, slots=True)
class LinkFit:
    """Links found, and how well they explain what they were found from."""

    links: Links
    overlap_fraction: float
    """Part of the time of computing behind which the all-reduce hides, [0, 1]."""
    algorithm: Algorithm
    residual_relative: float
    """Root mean square of ln(predicted / measured)."""


def predicted_step_s(step: MeasuredStep, fit: LinkFit) -> float:
    """Return how long a step takes [s] by fitted links, whatever its own `step_s` says.

    >>> fit = LinkFit(Links(1e12, 1e9), 0.5, "ring", 0.0)
    >>> predicted_step_s(MeasuredStep((1, 1), 2e9, 1.0), fit)
    2.5
    """
    part = pattern_time_s(_pattern(step, fit.algorithm), fit.links), fit.overlap_fraction
    return step.compute_s + exposed_communication_s([part], step.compute_s)


def fit_links(
    measured: Sequence[MeasuredStep],
    fitted: Sequence[LinkParameter] = FITTED,
    start: Links | None = None,
    *,
    overlap_fraction: float = 0.0,
    algorithm: Algorithm = "ring",
) -> LinkFit:
    """Return the links that explain measured steps best.

    Args:
        measured: At least as many steps as parameters. What no step depends on cannot be found and stays near its start:
            the inside of servers needs a server with several devices, the difference between bandwidth and latency
            needs different messages or placements, overlap needs different times of computing.
        fitted: What to fit, each once.
        start: Where to start, and what is kept of the rest; None: 10 GB/s inside, 1 GB/s between, 10 us.
        overlap_fraction: Where not fitted.
        algorithm: That the gang used.

    Raises:
        ValueError: fewer steps than parameters, a parameter named twice, or a time that is not positive.
    """
    from scipy.optimize import least_squares

    _check(measured, fitted)
    start = start or Links(10e9, 1e9, 10e-6, 10e-6)
    loads = _loads(measured, algorithm)
    bounds = np.array([_bounds(name) for name in fitted]).T

    def residuals(values: Floats) -> Floats:
        links, overlap = _decode(values, fitted, start, overlap_fraction)
        return np.asarray(np.log(loads.step_s(links, overlap) / loads.measured_s))

    # The longer of two times has a kink, so that one start may end in a corner.
    found = [
        least_squares(residuals, np.clip(guess, *bounds), bounds=tuple(bounds))
        for guess in _guesses(fitted, start)
    ]
    best = min(found, key=lambda result: float(result.cost))
    links, overlap = _decode(best.x, fitted, start, overlap_fraction)
    rms = math.sqrt(2.0 * float(best.cost) / len(measured))
    return LinkFit(links, overlap, algorithm, rms)


@dataclass(frozen=True, slots=True)
class _Loads:
    """What each measured step puts on the links, one value a step."""

    device: Floats
    server: Floats
    pair: Floats
    rounds_inside: Floats
    rounds_between: Floats
    sequential: npt.NDArray[np.bool_]
    compute_s: Floats
    measured_s: Floats

    def step_s(self, links: Links, overlap: float) -> Floats:
        """Return the predicted times (N,) [s], as `predicted_step_s` does one by one."""
        inside_s = self.device / links.inside_bandwidth_bytes_per_s
        between_s = self.server / links.between_bandwidth_bytes_per_s
        between_s = np.maximum(between_s, self.pair / links.pair_bandwidth_bytes_per_s)
        latency_s = (
            self.rounds_inside * links.inside_latency_s + self.rounds_between * links.between_latency_s
        )
        moving_s = np.where(self.sequential, inside_s + between_s, np.maximum(inside_s, between_s))
        exposed_s = np.maximum(0.0, latency_s + moving_s - overlap * self.compute_s)
        return np.asarray(self.compute_s + exposed_s)


def _loads(measured: Sequence[MeasuredStep], algorithm: Algorithm) -> _Loads:
    """Return what measured steps put on the links."""
    patterns = [_pattern(step, algorithm) for step in measured]
    return _Loads(
        np.array([pattern.device_bytes for pattern in patterns]),
        np.array([pattern.busiest_bytes for pattern in patterns]),
        np.array([pattern.pair_bytes for pattern in patterns]),
        np.array([pattern.rounds_inside for pattern in patterns], dtype=np.float64),
        np.array([pattern.rounds_between for pattern in patterns], dtype=np.float64),
        np.array([pattern.sequential for pattern in patterns]),
        np.array([step.compute_s for step in measured]),
        np.array([step.step_s for step in measured]),
    )


def _pattern(step: MeasuredStep, algorithm: Algorithm) -> Pattern:
    """Return what a step moves, its servers called 0, 1, ..."""
    unit = unit_pattern("all_reduce", algorithm, step.counts)
    return unit.placed(range(len(step.counts)), step.message_bytes, step.messages)


def _check(measured: Sequence[MeasuredStep], fitted: Sequence[LinkParameter]) -> None:
    """Raise ValueError where nothing can be fitted."""
    if len(set(fitted)) < len(fitted) or not 0 < len(fitted) <= len(measured):
        msg = f"{len(fitted)} parameters, {len(measured)} steps -> expected distinct parameters, and no more than steps"
        raise ValueError(msg)
    for step in measured:
        if not (0.0 < step.compute_s < math.inf and 0.0 < step.step_s < math.inf):
            msg = f"{step}: expected compute_s and step_s above 0"
            raise ValueError(msg)


def _bounds(name: LinkParameter) -> tuple[float, float]:
    """Return the range of a parameter as it is fitted: ln of bandwidths and latencies, overlap as it is."""
    if name == "overlap_fraction":
        return 0.0, 1.0
    low, high = _BOUNDS["bandwidth" if "bandwidth" in name else "latency"]
    return math.log(low), math.log(high)


def _guesses(fitted: Sequence[LinkParameter], start: Links) -> Iterator[Floats]:
    """Yield starting points: with bandwidths around those of `start`, and with little and much overlap."""
    for factor in (0.3, 1.0, 3.0):
        for overlap in (0.1, 0.5):
            guess = []
            for name in fitted:
                if name == "overlap_fraction":
                    guess.append(overlap)
                    continue
                value = getattr(start, name)
                value = start.between_bandwidth_bytes_per_s if math.isinf(value) else value
                guess.append(math.log((factor if "bandwidth" in name else 1.0) * max(value, 1e-8)))
            yield np.array(guess)


def _decode(
    values: Floats, fitted: Sequence[LinkParameter], start: Links, overlap_fraction: float
) -> tuple[Links, float]:
    """Return (links, overlap) of fitted values."""
    found: dict[str, float] = dict(zip(fitted, values.tolist(), strict=True))
    overlap = found.pop("overlap_fraction", overlap_fraction)
    changes: Any = {name: math.exp(value) for name, value in found.items()}
    return replace(start, **changes), overlap
