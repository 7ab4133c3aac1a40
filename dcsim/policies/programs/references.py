"""What a job would get without any policy: the yardsticks of fairness."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.policies.programs.polytope import checked_demand

__all__ = ["isolated_rate", "proportional_rate"]

Floats = npt.NDArray[np.float64]


def proportional_rate(throughput: npt.ArrayLike, capacity: npt.ArrayLike) -> Floats:
    """Return each job's rate if it ran all the time, on each type in proportion to its capacity.

    The throughput(m, X^equal) by which Gavel (OSDI'20, section 4.1) normalises: sum_t throughput_t
    capacity_t / sum capacity.

    Args:
        throughput: (J, T) steps/s.
        capacity: (T,) accelerators.

    Returns:
        (J,) steps/s.

    >>> proportional_rate([[9.0, 3.0]], [1, 2])
    array([5.])
    """
    rate = np.asarray(throughput, dtype=np.float64)
    room = np.asarray(capacity, dtype=np.float64)
    return np.asarray(rate @ (room / max(room.sum(), np.finfo(np.float64).tiny)))


def isolated_rate(throughput: npt.ArrayLike, scale_factor: npt.ArrayLike, capacity: npt.ArrayLike) -> Floats:
    """Return each job's rate on its own 1/J of every type (Themis, NSDI'20; Gavel, OSDI'20, section 4.2).

    Time shares capacity_t / (J scale), cut so that they sum to at most 1.

    Args:
        throughput: (J, T) steps/s.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) accelerators.

    Returns:
        (J,) steps/s.

    >>> isolated_rate([[8.0], [8.0]], [1, 4], [4])
    array([8., 4.])
    """
    rate, width, room = checked_demand(throughput, scale_factor, capacity)
    share = room / (max(1, len(width)) * width[:, None])
    share /= np.maximum(1.0, share.sum(axis=1, keepdims=True))
    return np.asarray((rate * share).sum(axis=1))
