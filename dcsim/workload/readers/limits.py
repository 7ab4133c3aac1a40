"""Wall-time limits as logs tell them, such that the run that the log tells of fits in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["limits_that_hold"]

Floats = npt.NDArray[np.float64]


def limits_that_hold(limit_s: Floats, run_s: Floats) -> tuple[Floats, int]:
    """Return limits (N,) [s], NaN where none was given or it did not hold, and how many did not hold.

    Schedulers let jobs outrun their limit by a grace time, or had it raised while the job ran; by how
    much the log does not say. Cut at the limit it tells, a job would do less in the simulator than it
    did in the log; cut at its run time, any stop would kill it. So such a job has none, and what
    backfilling expects of it is its run time.

    Args:
        limit_s: Limits asked for (N,); <= 0 or NaN: none.
        run_s: Run times (N,).

    >>> limits_that_hold(np.array([60.0, 60.0, -1.0]), np.array([50.0, 75.0, 9.0]))
    (array([60., nan, nan]), 1)
    """
    given = limit_s > 0
    outrun = given & (run_s > limit_s)
    return np.where(given & ~outrun, limit_s, np.nan), int(np.count_nonzero(outrun))
