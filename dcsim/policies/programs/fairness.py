"""Max-min fairness over accelerators of several types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.policies.programs.pairs import Pairs
from dcsim.policies.programs.polytope import Polytope, checked_demand
from dcsim.policies.programs.references import proportional_rate
from dcsim.policies.programs.solver import maximise, raise_least

__all__ = ["max_min_fairness", "water_filling"]

Floats = npt.NDArray[np.float64]


def max_min_fairness(
    throughput: npt.ArrayLike,
    scale_factor: npt.ArrayLike,
    capacity: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    reference: npt.ArrayLike | None = None,
    pairs: Pairs | None = None,
) -> Floats:
    """Return an allocation whose worst-off job is as well off as can be (Gavel, OSDI'20, section 4.1).

    max_X min_j  scale_j throughput_j(X) / (weight_j reference_j),  throughput_j(X) = sum_t throughput_jt X_jt.
    Many allocations attain it when one job is saturated; `water_filling` goes on to the next worst off.
    One linear program of J T variables.

    Args:
        throughput: (J, T) steps/s of each job on each type, 0 where it cannot run.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) accelerators of each type.
        weight: (J,) > 0, shares are in proportion to it; 1 for all, if None.
        reference: (J,) steps/s that count as 1; `proportional_rate`, if None.
        pairs: jobs that may share accelerators, or None.

    Returns:
        (J, T) fractions of time, of pairs too (J + P, T). Jobs that can run nowhere get 0.

    Raises:
        ValueError: shapes that do not agree, or values out of range.

    Three times the weight, three times the time:

    >>> max_min_fairness([[4.0], [2.0]], [1, 1], [1], weight=[1.0, 3.0]).round(6).tolist()
    [[0.25], [0.75]]
    """
    polytope, worth = _fair(throughput, scale_factor, capacity, weight, reference, pairs)
    if not polytope.runnable().any():
        return polytope.shares(np.zeros(polytope.units * polytope.types))
    return polytope.shares(raise_least(polytope, worth).x)


def water_filling(
    throughput: npt.ArrayLike,
    scale_factor: npt.ArrayLike,
    capacity: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    *,
    reference: npt.ArrayLike | None = None,
    pairs: Pairs | None = None,
) -> Floats:
    """Return the allocation with the least value highest, then the second least, and so on.

    Bertsekas and Gallager, Data Networks (1992), section 6.5.2, on the values of `max_min_fairness`: raise
    all values together, freeze the jobs whose shadow price is positive, go on with the rest. The values are
    then unique; among the allocations that attain them, the one is returned whose jobs spread over types
    most nearly in proportion to capacity (least sum of accelerators that differ). At most one linear
    program for every class of equal jobs, and one more.

    Args:
        throughput: (J, T) steps/s of each job on each type, 0 where it cannot run.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) accelerators of each type.
        weight: (J,) > 0, shares are in proportion to it; 1 for all, if None.
        reference: (J,) steps/s that count as 1; `proportional_rate`, if None.
        pairs: jobs that may share accelerators, or None.

    Returns:
        (J, T) fractions of time, of pairs too (J + P, T). Jobs that can run nowhere get 0.

    Raises:
        ValueError: shapes that do not agree, or values out of range.

    A gang of two and a single job on three accelerators: the single job cannot use more than one.

    >>> water_filling([[1.0], [1.0]], [2, 1], [3]).tolist()
    [[1.0], [1.0]]
    """
    polytope, worth = _fair(throughput, scale_factor, capacity, weight, reference, pairs)
    x = np.zeros(polytope.units * polytope.types)
    active = polytope.runnable()
    floor = np.zeros(polytope.classes)
    while active.any():
        found = raise_least(polytope, worth, active=active, floor=floor)
        x = found.x
        value = worth * (polytope.rates() @ x)
        # The level of the frozen never falls, and at least the lowest is frozen each time.
        frozen = found.binding if found.binding.any() else active & (value <= value[active].min())
        floor[frozen] = found.level
        active &= ~frozen
    return polytope.shares(_spread(polytope, worth, floor, x) if pairs is None else x)


def _fair(
    throughput: npt.ArrayLike,
    scale_factor: npt.ArrayLike,
    capacity: npt.ArrayLike,
    weight: npt.ArrayLike | None,
    reference: npt.ArrayLike | None,
    pairs: Pairs | None,
) -> tuple[Polytope, Floats]:
    """Return the polytope and the value (C,) of one step/s of each class."""
    rate, width, room = checked_demand(throughput, scale_factor, capacity)
    jobs = len(width)
    share = np.ones(jobs) if weight is None else np.asarray(weight, dtype=np.float64)
    norm = proportional_rate(rate, room) if reference is None else np.asarray(reference, dtype=np.float64)
    for name, values in (("weight", share), ("reference", norm)):
        if values.shape != (jobs,):
            raise ValueError(f"{name}: shape {values.shape} -> expected ({jobs},)")
    if not (np.isfinite(share) & (share > 0)).all():
        raise ValueError("weight -> expected numbers > 0")
    polytope = Polytope.of(rate, width, room, alike=(share, norm), pairs=pairs)
    first = polytope.first
    if not (np.isfinite(norm) & ((norm > 0) | ~polytope.runnable()[polytope.member_of])).all():
        raise ValueError("reference -> expected steps/s > 0")
    lived = np.where(norm[first] > 0, norm[first], 1.0)
    return polytope, polytope.scale_factor[first] / (share[first] * lived)


def _spread(polytope: Polytope, worth: Floats, floor: Floats, x: Floats) -> Floats:
    """Return the allocation of at least the values `floor` that is nearest to proportional.

    min sum_ct count_c scale_c |x_ct - q_ct sum_k x_ck|, q_ct = capacity_t / capacity of c's usable types.
    """
    from scipy.sparse import block_diag, csr_array, eye_array, hstack, vstack

    running = polytope.runnable()
    if not running.any() or polytope.types == 1:
        return x
    usable = polytope.upper().reshape(polytope.classes, polytope.types) * polytope.capacity
    share = usable / np.maximum(usable.sum(axis=1, keepdims=True), 1.0)
    apart = csr_array(
        block_diag([np.eye(polytope.types) - np.outer(q, np.ones(polytope.types)) for q in share])
    )
    rates = polytope.rates()
    rows, limit = polytope.limits()
    best = polytope.throughput[polytope.first].max(axis=1)[running]
    values = csr_array(rates[running].multiply(1.0 / best[:, None]))
    least = floor[running] / (worth[running] * best)
    size = polytope.units * polytope.types
    slack = eye_array(size)
    beside = csr_array((rows.shape[0] + len(least), size))
    matrix = hstack([vstack([rows, -values, apart, -apart]), vstack([beside, -slack, -slack])])
    bound = np.concatenate([limit, -least, np.zeros(2 * size)])
    cost = np.repeat(polytope.scale_factor[polytope.first] * polytope.count, polytope.types)
    gain = np.concatenate([np.zeros(size), -cost / cost.max()])
    upper = np.concatenate([polytope.upper(), np.full(size, np.inf)])
    return maximise(gain, csr_array(matrix), bound, upper)[0][:size]
