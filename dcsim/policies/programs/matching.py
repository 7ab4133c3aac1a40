"""AlloX: jobs matched to places in the queues of accelerators of several types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.policies.programs.polytope import checked_demand

__all__ = ["match_shortest", "shortest_first"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def match_shortest(duration_s: npt.ArrayLike, capacity: npt.ArrayLike) -> tuple[Ints, Ints, Ints]:
    """Return the queues of least total completion time for jobs of one accelerator each.

    A job that k - 1 others follow on its accelerator adds k times its duration to the sum of completion
    times, so the best queues are a least-cost matching of jobs to pairs (accelerator, k) (W. Horn, Oper.
    Res. 21, 1973; J. Bruno, E. G. Coffman and R. Sethi, CACM 17, 1974; AlloX, EuroSys'20, section 4). The
    accelerators of a type are alike, so J places a type are enough: O(J^3 T).

    Args:
        duration_s: (J, T) s > 0 of each job on each type, infinite where it cannot run.
        capacity: (T,) free accelerators of each type.

    Returns:
        kind (J,): the type of each job, -1 if it runs on none; place (J,): the accelerator of that type;
        turn (J,): how many jobs go before it there.

    >>> kind, place, turn = match_shortest([[9.0, 4.0], [1.0, 2.0], [3.0, 9.0]], [1, 1])
    >>> kind.tolist(), turn.tolist()
    ([1, 0, 0], [0, 0, 1])
    """
    from scipy.optimize import linear_sum_assignment

    length = np.asarray(duration_s, dtype=np.float64)
    room = np.atleast_1d(np.asarray(capacity, dtype=np.int64))
    kind, place, turn = (np.full(len(length), -1, dtype=np.int64) for _ in range(3))
    length = np.where(room > 0, length, np.inf) if len(length) else np.empty((0, len(room)))
    able = np.flatnonzero(np.isfinite(length).any(axis=1))
    column = np.arange(len(able))
    # The last on its accelerator counts once, who goes before it twice, and so on.
    followers = column // np.maximum(room, 1)[:, None]
    cost = (length[able][:, :, None] * (1 + followers)).reshape(len(able), followers.size)
    rows, columns = linear_sum_assignment(cost)
    kind[able[rows]] = columns // max(len(able), 1)
    behind = np.zeros(len(length), dtype=np.int64)
    behind[able[rows]] = followers.ravel()[columns]
    for accelerator_type in range(len(room)):
        _seat(np.flatnonzero(kind == accelerator_type), behind, place, turn)
    return kind, place, turn


def _seat(jobs: Ints, behind: Ints, place: Ints, turn: Ints) -> None:
    """Spread the jobs of one type over its accelerators, given how many jobs follow each."""
    levels = [jobs[behind[jobs] == level] for level in range(int(behind[jobs].max(initial=-1)) + 1)]
    for level in levels:
        place[level] = np.arange(len(level))
    for level, these in enumerate(levels):
        # Ahead of a job are those with more followers on its accelerator.
        turn[these] = sum((place[these] < len(ahead)).astype(np.int64) for ahead in levels[level + 1 :])


def shortest_first(
    throughput: npt.ArrayLike, scale_factor: npt.ArrayLike, capacity: npt.ArrayLike, steps_left: npt.ArrayLike
) -> Floats:
    """Return the allocation of jobs that go first in their queues (AlloX, EuroSys'20).

    The queues are those of `match_shortest` with durations steps_left / throughput. Running jobs are left
    out, and the accelerators they hold out of `capacity`, if they are not to be preempted. The paper knows
    no gangs: one of n is matched as n times its time on one accelerator, and starts when it is first and n
    are free, in the order of the rows.

    Args:
        throughput: (J, T) steps/s of each job on each type, 0 where it cannot run.
        scale_factor: (J,) accelerators of each gang.
        capacity: (T,) free accelerators of each type.
        steps_left: (J,) steps > 0.

    Returns:
        (J, T) of 0 and 1.

    Raises:
        ValueError: shapes that do not agree, or values out of range.

    >>> shortest_first([[1.0, 5.0], [1.0, 1.0]], [1, 1], [1, 1], [10, 10]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    usable, width, room = checked_demand(throughput, scale_factor, capacity)
    # A gang for which too few are free now keeps its turn: it has its rate all the same.
    rate = np.asarray(throughput, dtype=np.float64).reshape(usable.shape)
    steps = np.asarray(steps_left, dtype=np.float64)
    if steps.shape != width.shape or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(f"steps_left: shape {steps.shape} -> expected {width.shape} steps > 0")
    duration_s = np.full(rate.shape, np.inf)
    np.divide(np.broadcast_to((steps * width)[:, None], rate.shape), rate, out=duration_s, where=rate > 0)
    kind, _, turn = match_shortest(duration_s, room)
    shares, free = np.zeros(rate.shape), room.copy()
    for job in np.flatnonzero(turn == 0).tolist():
        if width[job] <= free[kind[job]]:
            free[kind[job]] -= width[job]
            shares[job, kind[job]] = 1.0
    return shares
