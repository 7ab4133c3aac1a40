"""First come, first served, over accelerators of several types."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dcsim.policies.programs.polytope import checked_demand

__all__ = ["fifo_fastest", "fifo_last_listed", "one_hot"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def one_hot(kind: Ints, types: int) -> Floats:
    """Return (J, T) with 1 at each job's type, rows of 0 for type -1.

    >>> one_hot(np.array([1, -1]), 2).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    shares = np.zeros((len(kind), types))
    held = np.flatnonzero(kind >= 0)
    shares[held, kind[held]] = 1.0
    return shares


def fifo_fastest(throughput: npt.ArrayLike, scale_factor: npt.ArrayLike, capacity: npt.ArrayLike) -> Floats:
    """Return whole types for jobs in order of arrival, each the one it runs fastest on of those free.

    Gavel's fifo_perf (OSDI'20, section 6): strict order, the first gang that fits nowhere ends it. A job
    that cannot run where it fits is passed over.

    Args:
        throughput: (J, T) steps/s of each job on each type, jobs by arrival; 0 where it cannot run.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) accelerators of each type.

    Returns:
        (J, T) of 0 and 1.

    Raises:
        ValueError: shapes that do not agree, or values out of range.

    >>> fifo_fastest([[1.0, 3.0], [2.0, 3.0], [1.0, 1.0]], [1, 1, 2], [1, 1]).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    """
    rate, width, room = checked_demand(throughput, scale_factor, capacity)
    free = room.copy()
    kind = np.full(len(width), -1, dtype=np.int64)
    for job in range(len(width)):
        fits = free >= width[job]
        if not fits.any():
            break
        best = int(np.where(fits, rate[job], -1.0).argmax())
        if rate[job, best] > 0:
            kind[job] = best
            free[best] -= width[job]
    return one_hot(kind, len(room))


def fifo_last_listed(
    throughput: npt.ArrayLike,
    scale_factor: npt.ArrayLike,
    capacity: npt.ArrayLike,
    held: Ints,
    ended: Bools,
    draw: Callable[[int], int],
) -> Ints:
    """Return the type each job holds next, as Gavel's published fifo does it.

    A job keeps its type until it ends; the head of the queue takes the type of one that ended. Then jobs in
    order of arrival are given the last type still listed, while some listed type has room for the head. The
    draw among the types with room decides only which type is struck off the list when the chosen one is
    exactly full: a type may be promised to more jobs than it holds, and these then share its time. Of use
    to reproduce published figures; `fifo_fastest` is the policy meant.

    Args:
        throughput: (J, T) steps/s, jobs by arrival, those that ended since the last call among them.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) accelerators of each type, in the order of the list.
        held: (J,) type each job was given before, -1 for none.
        ended: (J,) jobs that ended since the last call.
        draw: draw(n) returns one of 0 .. n - 1.

    Returns:
        (J,) types, -1 for none.

    >>> fifo_last_listed([[1.0, 2.0]], [1], [1, 1], np.array([-1]), np.array([False]), lambda n: 0)
    array([1])
    """
    rate = np.asarray(throughput, dtype=np.float64)
    width = np.asarray(scale_factor, dtype=np.int64)
    free = [int(room) for room in np.atleast_1d(np.asarray(capacity))]
    kind = np.array(held, dtype=np.int64)
    waiting = [job for job in range(len(kind)) if kind[job] < 0 and not ended[job]]
    for job, given in enumerate(kind.tolist()):
        if given < 0:
            continue
        if not ended[job]:
            free[given] -= int(width[job])
            continue
        kind[job] = -1
        if waiting and width[waiting[0]] <= free[given] and rate[waiting[0], given] > 0:
            kind[waiting[0]] = given
            free[given] -= int(width[waiting.pop(0)])
    listed = [each for each, room in enumerate(free) if room > 0]
    for job in waiting:
        roomy = [each for each in listed if free[each] >= width[job]]
        if not roomy:
            break
        struck, last = roomy[draw(len(roomy))], listed[-1]
        if rate[job, last] > 0:
            kind[job] = last
            free[last] -= int(width[job])
            if free[last] == 0:
                listed.remove(struck)
    return kind
