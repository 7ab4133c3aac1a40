"""Ordering policies: a sort key for each job."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.policies.base import OrderingPolicy
from dcsim.policies.views import JobsView

__all__ = ["Fifo", "ShortestFirst"]


class Fifo(OrderingPolicy):
    """First submitted, first started; strict unless `skip` lets jobs behind a blocked one pass."""

    name: ClassVar[str] = "fifo"
    optimises: ClassVar[str] = "fairness by arrival"
    source: ClassVar[str] = "the default of most batch schedulers; strict order is monotone (Graham-safe)"

    def keys(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        """Return the submit times."""
        return np.asarray(jobs.submit_s)


class ShortestFirst(OrderingPolicy):
    """Shortest estimated run time first, not preemptive."""

    name: ClassVar[str] = "shortest_first"
    optimises: ClassVar[str] = "mean job completion time"
    source: ClassVar[str] = "W. E. Smith, Naval Research Logistics Quarterly 3 (1956) 59-66"

    def keys(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        """Return the estimated run times."""
        return np.asarray(jobs.estimated_duration_s)
