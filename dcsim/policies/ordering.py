"""Ordering policies with a key known when a job comes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import OrderingPolicy
from dcsim.policies.views import JobsView

__all__ = ["EarliestDeadline", "Fifo", "Priority", "ShortestFirst", "SmallestFirst"]

Floats = npt.NDArray[np.float64]


class Fifo(OrderingPolicy):
    """First submitted, first started; strict unless `skip` lets jobs behind a blocked one pass."""

    name: ClassVar[str] = "fifo"
    optimises: ClassVar[str] = "fairness by arrival"
    source: ClassVar[str] = "the default of most batch schedulers; strict order is monotone (Graham-safe)"

    def keys(self, jobs: JobsView) -> Floats:
        """Return the submit times."""
        return np.asarray(jobs.submit_s)


class ShortestFirst(OrderingPolicy):
    """Shortest estimated run time first, not preemptive."""

    name: ClassVar[str] = "shortest_first"
    optimises: ClassVar[str] = "mean job completion time"
    source: ClassVar[str] = "W. E. Smith, Naval Research Logistics Quarterly 3 (1956) 59-66"
    needs: ClassVar[str] = "run times"

    def keys(self, jobs: JobsView) -> Floats:
        """Return the estimated run times."""
        return np.asarray(jobs.estimated_duration_s)


class SmallestFirst(OrderingPolicy):
    """Fewest accelerators first, not preemptive."""

    name: ClassVar[str] = "smallest_first"
    optimises: ClassVar[str] = "mean job completion time where small jobs are short; starves wide gangs"
    source: ClassVar[str] = "Majumdar, Eager, Bunt, SIGMETRICS (1988): smallest number of processes first"
    needs: ClassVar[str] = "gang widths"

    def keys(self, jobs: JobsView) -> Floats:
        """Return the widths; parts of a device count as parts."""
        return jobs.accelerators * jobs.accelerator_share


class Priority(OrderingPolicy):
    """Higher priority first; with `preemptive` 1 it pushes lower ones out."""

    name: ClassVar[str] = "priority"
    optimises: ClassVar[str] = "waiting of the important"
    source: ClassVar[str] = "Kubernetes' PriorityClass; Slurm's PreemptType=preempt/partition_prio"
    needs: ClassVar[str] = "priorities"

    def __init__(self, *, skip: int = 0, preemptive: int = 0) -> None:
        """Take `skip`, and whether a job may push out those of lower priority (0 or 1)."""
        super().__init__(skip=skip)
        self.preemptive = _flag(self.name, preemptive)

    def keys(self, jobs: JobsView) -> Floats:
        """Return minus the priorities."""
        return -jobs.priority


class EarliestDeadline(OrderingPolicy):
    """Earliest deadline first, jobs without one last; with `preemptive` 1 it pushes later ones out."""

    name: ClassVar[str] = "earliest_deadline"
    optimises: ClassVar[str] = "the greatest lateness"
    source: ClassVar[str] = "Liu, Layland, JACM 20 (1973) 46-61; J. R. Jackson (1955)"
    needs: ClassVar[str] = "deadlines"

    def __init__(self, *, skip: int = 0, preemptive: int = 0) -> None:
        """Take `skip`, and whether a job may push out those due later (0 or 1)."""
        super().__init__(skip=skip)
        self.preemptive = _flag(self.name, preemptive)

    def keys(self, jobs: JobsView) -> Floats:
        """Return the deadlines; a huge number without one."""
        return np.where(np.isnan(jobs.deadline_s), np.finfo(np.float64).max, jobs.deadline_s)


def _flag(name: str, value: int) -> bool:
    if value not in (0, 1):
        msg = f"{name}.preemptive: {value} -> expected 0 or 1"
        raise PolicyError(msg)
    return bool(value)
