"""Backfilling: jobs start out of order where, by the estimates, nobody with a reservation is held up."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import OrderingPolicy
from dcsim.policies.views import JobsView

__all__ = ["BackfillOrdering", "ConservativeBackfill", "EasyBackfill"]

Floats = npt.NDArray[np.float64]


class BackfillOrdering(OrderingPolicy):
    """In order of arrival, or of priority and then arrival, with estimates of how long each job runs."""

    needs: ClassVar[str] = "wall-time limits, or run times where there are none"
    in_line: ClassVar[bool] = False
    suspendable: ClassVar[bool] = False

    def __init__(self, *, estimate_factor: float = 1.0, by_priority: int = 0, depth: int = 0) -> None:
        """Take how jobs without a limit estimate their run time, the order, and how far to look.

        Args:
            estimate_factor: estimate over ideal run time, > 0; below 1 jobs outlive their estimates.
            by_priority: 1: higher priority first, then by arrival; 0: by arrival.
            depth: what bounds the work of a decision, as each policy says; 0: nothing does.

        Raises:
            PolicyError: a value out of its range.
        """
        super().__init__()
        if not 0.0 < estimate_factor < math.inf:
            msg = f"{self.name}.estimate_factor: {estimate_factor} -> expected a finite number > 0"
            raise PolicyError(msg)
        if by_priority not in (0, 1):
            msg = f"{self.name}.by_priority: {by_priority} -> expected 0 or 1"
            raise PolicyError(msg)
        if not 0 <= depth < math.inf or depth != int(depth):
            msg = f"{self.name}.depth: {depth} -> expected a whole number >= 0"
            raise PolicyError(msg)
        self.estimate_factor = estimate_factor
        self.by_priority = bool(by_priority)
        self.depth = int(depth)

    def keys(self, jobs: JobsView) -> Floats:
        """Return the submit times, or minus the priorities."""
        return -jobs.priority if self.by_priority else np.asarray(jobs.submit_s)

    def estimates_s(self, jobs: JobsView) -> Floats:
        """Return (N,) how long each job is thought to run: its wall-time limit, else its scaled ideal run time.

        >>> from dcsim.testing.isolation import sample_jobs_view
        >>> jobs = sample_jobs_view(3)
        >>> np.array_equal(
        ...     EasyBackfill(estimate_factor=2.0).estimates_s(jobs),
        ...     np.where(np.isnan(jobs.time_limit_s), 2.0 * jobs.estimated_duration_s, jobs.time_limit_s),
        ... )
        True
        """
        limit_s = jobs.time_limit_s
        estimate_s = np.where(np.isnan(limit_s), self.estimate_factor * jobs.estimated_duration_s, limit_s)
        return np.asarray(estimate_s, dtype=np.float64)


class EasyBackfill(BackfillOrdering):
    """Only the first that waits has a reservation; whoever does not delay it may start.

    With a `depth`, a decision ends when so many were placed on trial and refused.
    """

    name: ClassVar[str] = "easy_backfill"
    optimises: ClassVar[str] = "utilisation, with no delay for the first in line"
    source: ClassVar[str] = "Lifka, JSSPP (1995); Mu'alem, Feitelson, IEEE TPDS 12 (2001) 529-543"
    complexity: ClassVar[str] = "O(shapes log n) an event, n jobs waiting in so many shapes"


class ConservativeBackfill(BackfillOrdering):
    """All that wait have reservations, made anew in order; whoever delays none of those before it may start.

    With a `depth`, only so many have one, and nobody else starts.
    """

    name: ClassVar[str] = "conservative_backfill"
    optimises: ClassVar[str] = "utilisation, with no delay for anyone further ahead"
    source: ClassVar[str] = "Mu'alem, Feitelson, IEEE TPDS 12 (2001) 529-543, section 2"
    complexity: ClassVar[str] = "O(r n) a plan, r reservations made before nobody else can start"
