"""Wall-time limits as logs tell them, such that the run that the log tells of fits in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["limits_that_hold"]

Floats = npt.NDArray[np.float64]


def limits_that_hold(limit_s: Floats, run_s: Floats) -> tuple[Floats, int]:
    """Return limits (N,) [s], NaN where none was given, and how many had to be raised.

    Schedulers let jobs outrun their limit by a grace time, or had it raised while the job ran. The
    log says how long the job ran, so its limit is raised to that: cut at the first limit, a job
    would do less in the simulator than it did in the log.

    Args:
        limit_s: Limits asked for (N,); <= 0 or NaN: none.
        run_s: Run times (N,).

    >>> limits_that_hold(np.array([60.0, 60.0, -1.0]), np.array([50.0, 75.0, 9.0]))
    (array([60., 75., nan]), 1)
    """
    given = limit_s > 0
    raised = given & (run_s > limit_s)
    limits = np.where(given, np.maximum(limit_s, run_s), np.nan)
    return limits, int(np.count_nonzero(raised))
