"""Finish-time fairness: nobody ends much later than on a cluster of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.policies.programs.pairs import Pairs
from dcsim.policies.programs.polytope import Polytope
from dcsim.policies.programs.references import isolated_rate
from dcsim.policies.programs.solver import Level, raise_least

__all__ = ["finish_time_fairness", "finish_time_ratio"]

Floats = npt.NDArray[np.float64]

_TOLERANCE = 1e-6
_ROUNDS = 100


def finish_time_ratio(
    rate: npt.ArrayLike,
    steps_left: npt.ArrayLike,
    elapsed_s: npt.ArrayLike,
    isolated: npt.ArrayLike,
    isolated_elapsed_s: npt.ArrayLike,
) -> Floats:
    """Return rho = (elapsed + steps_left / rate) / (isolated elapsed + steps_left / isolated rate).

    Themis, NSDI'20, section 4; Gavel, OSDI'20, section 4.2. Infinite where nothing is allocated.

    Args:
        rate: (J,) steps/s under the allocation.
        steps_left: (J,) steps > 0.
        elapsed_s: (J,) s since arrival.
        isolated: (J,) steps/s > 0 on a cluster of its own.
        isolated_elapsed_s: (J,) s the steps done so far would have taken there.

    Returns:
        (J,) ratios.

    >>> finish_time_ratio([1.0, 0.0], [60, 60], [40, 0], [2.0, 2.0], [20, 0])
    array([ 2., inf])
    """
    now, alone = np.asarray(rate, dtype=np.float64), np.asarray(isolated, dtype=np.float64)
    steps = np.asarray(steps_left, dtype=np.float64)
    left_s = np.full(now.shape, np.inf)
    np.divide(steps, now, out=left_s, where=now > 0)
    waited_s = np.asarray(elapsed_s, dtype=np.float64)
    spent_s = np.asarray(isolated_elapsed_s, dtype=np.float64)
    return np.asarray((waited_s + left_s) / (spent_s + steps / alone))


def finish_time_fairness(
    throughput: npt.ArrayLike,
    scale_factor: npt.ArrayLike,
    capacity: npt.ArrayLike,
    steps_left: npt.ArrayLike,
    elapsed_s: npt.ArrayLike,
    *,
    isolated: npt.ArrayLike | None = None,
    isolated_elapsed_s: npt.ArrayLike | None = None,
    pairs: Pairs | None = None,
) -> Floats:
    """Return the allocation that makes the greatest finish-time ratio as small as can be.

    min_X max_j rho_j(X) with rho as in `finish_time_ratio`. For a given rho each job needs the rate
    steps_left / (rho ends_alone - elapsed), so whether rho can be had is one linear program; rho is bisected
    to a millionth, and each program's own allocation tightens the upper end.

    Args:
        throughput: (J, T) steps/s of each job on each type, 0 where it cannot run.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) accelerators of each type.
        steps_left: (J,) steps > 0.
        elapsed_s: (J,) s >= 0 since arrival.
        isolated: (J,) steps/s on a cluster of its own; `isolated_rate`, if None.
        isolated_elapsed_s: (J,) s the steps done so far would have taken there; 0 for all, if None.
        pairs: jobs that may share accelerators, or None.

    Returns:
        (J, T) fractions of time, of pairs too (J + P, T). Jobs that can run nowhere get 0.

    Raises:
        ValueError: shapes that do not agree, or values out of range.

    Who has waited gets more:

    >>> finish_time_fairness([[1.0], [1.0]], [1, 1], [1], [100, 100], [100, 0]).round(3).tolist()
    [[0.618], [0.382]]
    """
    jobs = len(np.atleast_1d(np.asarray(scale_factor)))
    alone = isolated_rate(throughput, scale_factor, capacity) if isolated is None else isolated
    spent = np.zeros(jobs) if isolated_elapsed_s is None else isolated_elapsed_s
    names = ("steps_left", "elapsed_s", "isolated", "isolated_elapsed_s")
    arrays = [np.asarray(array, dtype=np.float64) for array in (steps_left, elapsed_s, alone, spent)]
    for name, array in zip(names, arrays, strict=True):
        if array.shape != (jobs,) or not (np.isfinite(array) & (array >= 0)).all():
            raise ValueError(f"{name}: shape {array.shape} -> expected ({jobs},) numbers >= 0")
    if not (arrays[0] > 0).all():
        raise ValueError("steps_left -> expected steps > 0")
    polytope = Polytope.of(throughput, scale_factor, capacity, alike=arrays, pairs=pairs)
    active = polytope.runnable()
    if not (arrays[2][polytope.first][active] > 0).all():
        raise ValueError("isolated -> expected steps/s > 0")
    if not active.any():
        return polytope.shares(np.zeros(polytope.units * polytope.types))
    return polytope.shares(_bisect(polytope, *(array[polytope.first] for array in arrays)))


def _bisect(polytope: Polytope, steps: Floats, elapsed_s: Floats, alone: Floats, spent_s: Floats) -> Floats:
    """Return the (U T,) allocation of least greatest ratio."""
    active = polytope.runnable()
    ends_alone_s = np.ones(len(steps))
    ends_alone_s[active] = spent_s[active] + steps[active] / alone[active]
    rates = polytope.rates()

    def needing(need: Floats) -> tuple[Level, float]:
        found = raise_least(polytope, 1.0 / need)
        rate = np.asarray(rates @ found.x)[active]
        ratio = finish_time_ratio(rate, steps[active], elapsed_s[active], alone[active], spent_s[active])
        return found, float(ratio.max())

    # Nobody can run faster than all the time on the best type.
    best = polytope.throughput[polytope.first].max(axis=1, initial=0.0)
    if polytope.pairs is not None:
        np.maximum.at(best, polytope.pairs.members, polytope.pairs.throughput.max(axis=2))
    low = float(((elapsed_s[active] + steps[active] / best[active]) / ends_alone_s[active]).max())
    answer, high = needing(np.where(active, steps / ends_alone_s, 1.0))
    for _ in range(_ROUNDS):
        if high <= low * (1.0 + _TOLERANCE):
            break
        middle = (low + high) / 2
        left_s = np.where(active, middle * ends_alone_s - elapsed_s, 1.0)
        found, ratio = needing(steps / left_s)
        low = low if found.level >= 1.0 else middle
        if ratio < high:
            answer, high = found, ratio
    return answer.x
