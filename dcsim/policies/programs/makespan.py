"""Least time until the last of the jobs ends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.policies.programs.pairs import Pairs
from dcsim.policies.programs.polytope import Polytope
from dcsim.policies.programs.solver import raise_least

__all__ = ["min_makespan"]

Floats = npt.NDArray[np.float64]


def min_makespan(
    throughput: npt.ArrayLike,
    scale_factor: npt.ArrayLike,
    capacity: npt.ArrayLike,
    steps_left: npt.ArrayLike,
    *,
    pairs: Pairs | None = None,
) -> Floats:
    """Return the allocation under which the last job ends soonest (Gavel, OSDI'20, section 4.2).

    min_X max_j steps_left_j / throughput_j(X), as max_X min_j throughput_j(X) / steps_left_j: one linear
    program.

    Args:
        throughput: (J, T) steps/s of each job on each type, 0 where it cannot run.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) accelerators of each type.
        steps_left: (J,) steps > 0.
        pairs: jobs that may share accelerators, or None.

    Returns:
        (J, T) fractions of time, of pairs too (J + P, T). Jobs that can run nowhere get 0.

    Raises:
        ValueError: shapes that do not agree, or values out of range.

    >>> min_makespan([[1.0], [1.0]], [1, 1], [1], [30.0, 10.0]).round(6).tolist()
    [[0.75], [0.25]]
    """
    steps = np.asarray(steps_left, dtype=np.float64)
    jobs = len(np.atleast_1d(np.asarray(scale_factor)))
    if steps.shape != (jobs,) or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(f"steps_left: shape {steps.shape} -> expected ({jobs},) steps > 0")
    polytope = Polytope.of(throughput, scale_factor, capacity, alike=(steps,), pairs=pairs)
    if not polytope.runnable().any():
        return polytope.shares(np.zeros(polytope.units * polytope.types))
    return polytope.shares(raise_least(polytope, 1.0 / steps[polytope.first]).x)
