"""Most steps a second in all, or for each unit of money, with deadlines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.policies.programs.pairs import Pairs
from dcsim.policies.programs.polytope import Polytope
from dcsim.policies.programs.solver import maximise

__all__ = ["max_sum_throughput"]

Floats = npt.NDArray[np.float64]


def max_sum_throughput(
    throughput: npt.ArrayLike,
    scale_factor: npt.ArrayLike,
    capacity: npt.ArrayLike,
    *,
    cost: npt.ArrayLike | None = None,
    least_rate: npt.ArrayLike | None = None,
    pairs: Pairs | None = None,
) -> Floats:
    """Return the allocation with the most steps/s in all (Gavel, OSDI'20, section 4.2).

    max_X sum_jt throughput_jt X_jt / cost_t  s.t.  throughput_j(X) >= least_rate_j. Where the least rates
    cannot all be met, the sum of their relative shortfalls is first made as small as can be. Steps of
    different jobs count alike: divide the rows of `throughput` by a reference rate to change that.

    Args:
        throughput: (J, T) steps/s of each job on each type, 0 where it cannot run.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) accelerators of each type.
        cost: (T,) > 0, price of one accelerator of each type for the same time; 1 for all, if None.
        least_rate: (J,) steps/s >= 0 each job needs for its deadline: steps left over time left.
        pairs: jobs that may share accelerators, or None.

    Returns:
        (J, T) fractions of time, of pairs too (J + P, T).

    Raises:
        ValueError: shapes that do not agree, or values out of range.

    >>> max_sum_throughput([[4.0], [3.0]], [1, 1], [1]).tolist()
    [[1.0], [0.0]]
    >>> max_sum_throughput([[4.0], [3.0]], [1, 1], [1], least_rate=[0.0, 1.5]).round(6).tolist()
    [[0.5], [0.5]]
    """
    jobs = len(np.atleast_1d(np.asarray(scale_factor)))
    floor = np.zeros(jobs) if least_rate is None else np.asarray(least_rate, dtype=np.float64)
    if floor.shape != (jobs,) or not (np.isfinite(floor) & (floor >= 0)).all():
        raise ValueError(f"least_rate: shape {floor.shape} -> expected ({jobs},) steps/s >= 0")
    polytope = Polytope.of(throughput, scale_factor, capacity, alike=(floor,), pairs=pairs)
    size = polytope.units * polytope.types
    price = np.ones(polytope.types) if cost is None else np.asarray(cost, dtype=np.float64)
    if price.shape != (polytope.types,) or not (np.isfinite(price) & (price > 0)).all():
        raise ValueError(f"cost: shape {price.shape} -> expected ({polytope.types},) numbers > 0")
    if not polytope.runnable().any():
        return polytope.shares(np.zeros(size))
    gain = polytope.count @ polytope.rates() / np.tile(price, polytope.units)
    return polytope.shares(_best(polytope, gain / gain.max(), floor[polytope.first]))


def _best(polytope: Polytope, gain: Floats, floor: Floats) -> Floats:
    """Return the best allocation among those that fall least short of the (C,) rates `floor`."""
    from scipy.sparse import csr_array, eye_array, hstack, vstack

    rows, limit = polytope.limits()
    upper = polytope.upper()
    due = np.flatnonzero((floor > 0) & polytope.runnable())
    if not len(due):
        return maximise(gain, rows, limit, upper)[0]
    met = csr_array(polytope.rates()[due].multiply(1.0 / floor[due, None]))
    size, late = len(upper), len(due)
    # x, then the relative shortfall of each job that is due.
    beside = csr_array((rows.shape[0], late))
    matrix = csr_array(vstack([hstack([rows, beside]), hstack([-met, -eye_array(late)])]))
    bound = np.concatenate([limit, -np.ones(late)])
    misses = np.concatenate([np.zeros(size), -polytope.count[due]])
    short = maximise(misses, matrix, bound, np.concatenate([upper, np.ones(late)]))[0][size:]
    enough = -np.maximum(0.0, 1.0 - short - 1e-9)
    both = csr_array(vstack([rows, -met]))
    return maximise(gain, both, np.concatenate([limit, enough]), upper)[0]
