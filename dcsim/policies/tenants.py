"""Orderings that share a cluster among tenants: weighted fair share, DRF, and finish-time fairness."""

from __future__ import annotations

import heapq
from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs, Decision
from dcsim.policies.base import ALL_MAY_PASS, DecidingPolicy, DynamicOrdering
from dcsim.policies.dynamic import checked_round_s
from dcsim.policies.views import JobsView

__all__ = ["DominantResourceFairness", "FairShare", "FinishTimeFairness", "fill_by_share"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def fill_by_share(tenant: Ints, share: Floats, weight: Floats, used: Floats) -> Ints:
    """Return (K,) the order in which jobs are served so that weighted shares stay as equal as can be.

    Progressive filling: the tenant with the least share over weight goes next, with its first job that
    is left; of tenants with equal shares the one whose job comes first. What a job adds to its tenant's
    share is `share`.

    Args:
        tenant: (K,) of each job, in the order in which they are wanted.
        share: (K,) part of the (dominant) resource that each takes, >= 0.
        weight: (T,) > 0.
        used: (T,) share that each tenant has already.

    >>> fill_by_share(np.array([0, 0, 1]), np.array([0.5, 0.5, 0.5]), np.ones(2), np.zeros(2)).tolist()
    [0, 2, 1]
    """
    queues: dict[int, list[int]] = {}
    for position in range(len(tenant) - 1, -1, -1):
        queues.setdefault(int(tenant[position]), []).append(position)
    level = (used / weight).tolist()
    # Equal shares should compare equal, in whatever order they were summed up.
    heap = [(round(level[who], 12), waiting[-1], who) for who, waiting in queues.items()]
    order: list[int] = []
    heapq.heapify(heap)
    while heap:
        _, position, who = heapq.heappop(heap)
        order.append(position)
        queues[who].pop()
        if queues[who]:
            level[who] += float(share[position] / weight[who])
            heapq.heappush(heap, (round(level[who], 12), queues[who][-1], who))
    return np.array(order, dtype=np.int64)


class _Sharing(DecidingPolicy):
    """Jobs within a tenant by submission; running ones first, so that fairness preempts no more than it must."""

    preemptive = True

    def __init__(self, *, skip: int = ALL_MAY_PASS, preemptive: int = 1) -> None:
        """Take `skip`, and whether a tenant below its due may push out jobs of others (0 or 1).

        Raises:
            PolicyError: `preemptive` is neither.
        """
        super().__init__(skip=skip)
        if preemptive not in (0, 1):
            msg = f"{self.name}.preemptive: {preemptive} -> expected 0 or 1"
            raise PolicyError(msg)
        self.preemptive = bool(preemptive)

    @abstractmethod
    def _shares(self, jobs: JobsView, active: ActiveJobs) -> Floats:
        """Return (K,) what each job takes of its (dominant) resource, as part of the cluster."""

    def decide(self, jobs: JobsView, active: ActiveJobs) -> Decision:
        """Return guaranteed jobs first, then all others by progressive filling."""
        rows = active.row
        tenant = jobs.tenant[rows]
        asked = jobs.accelerators[rows]
        kept = np.lexsort((rows, ~active.running))  # running first, then by submission
        devices = asked * jobs.accelerator_share[rows]
        inside = self._guaranteed(tenant[kept], devices[kept], active.tenants.guaranteed_accelerators)
        first, rest = kept[inside], kept[~inside]
        share = self._shares(jobs, active)
        weight = active.tenants.weight
        used = np.bincount(tenant[first], weights=share[first], minlength=len(weight)).astype(np.float64)
        order = rest[fill_by_share(tenant[rest], share[rest], weight, used)]
        return Decision(np.concatenate([first, order]), asked, preempts=self.preemptive)

    @staticmethod
    def _guaranteed(tenant: Ints, devices: Floats, guaranteed: Ints) -> npt.NDArray[np.bool_]:
        """Return which jobs fit their tenant's guarantee, taken in the order given; those on cores alone never."""
        inside = np.zeros(len(tenant), dtype=bool)
        left = guaranteed.astype(np.float64)
        for position, (who, wanted) in enumerate(zip(tenant.tolist(), devices.tolist(), strict=True)):
            if 0.0 < wanted <= left[who] + 1e-9:
                left[who] -= wanted
                inside[position] = True
        return inside


class FairShare(_Sharing):
    """Each tenant holds accelerators in proportion to its weight; what one leaves, others borrow.

    A tenant's guaranteed accelerators come first: it gets them back at once when it wants them.
    """

    name: ClassVar[str] = "fair_share"
    optimises: ClassVar[str] = "max-min fairness of accelerators over tenants"
    source: ClassVar[str] = "Demers, Keshav, Shenker, SIGCOMM (1989); YARN's fair scheduler; Kueue's cohorts"
    needs: ClassVar[str] = "tenants, their weights and guarantees"
    complexity: ClassVar[str] = "O(n log t) a decision, n jobs present, t tenants"

    def _shares(self, jobs: JobsView, active: ActiveJobs) -> Floats:
        total = max(1, int(active.type_accelerators.sum()))
        return jobs.accelerators[active.row] * jobs.accelerator_share[active.row] / total


class DominantResourceFairness(_Sharing):
    """Each tenant's dominant share, the greatest of its shares of accelerators, cores and memory, is equalised."""

    name: ClassVar[str] = "drf"
    optimises: ClassVar[str] = "max-min fairness of dominant shares over tenants"
    source: ClassVar[str] = "Ghodsi et al., Dominant Resource Fairness, NSDI (2011)"
    needs: ClassVar[str] = "tenants, their weights and guarantees; cores and memory of jobs"
    complexity: ClassVar[str] = "O(n log t) a decision, n jobs present, t tenants"

    def _shares(self, jobs: JobsView, active: ActiveJobs) -> Floats:
        rows = active.row
        total = max(1, int(active.type_accelerators.sum()))
        devices = jobs.accelerators[rows] * jobs.accelerator_share[rows] / total
        cores = jobs.cpu_cores[rows] / active.total_cpu_cores
        memory = jobs.memory_bytes[rows] / active.total_memory_bytes
        return np.maximum(devices, np.maximum(cores, memory))


class FinishTimeFairness(DynamicOrdering):
    """The job that will finish latest, compared with a fair share of its own, goes first.

    rho = (time since it came + ideal time left) / (ideal time x accelerators wanted by those present over
    accelerators there are, at least 1). The last factor is the same for all: it does not change the order.
    """

    name: ClassVar[str] = "finish_time_fairness"
    optimises: ClassVar[str] = "the greatest ratio of shared to independent finish time"
    source: ClassVar[str] = "Mahajan et al., Themis, NSDI (2020), section 3"
    needs: ClassVar[str] = "run times and progress"
    complexity: ClassVar[str] = "O(n log n) a round, n jobs present"
    knows_progress: ClassVar[bool] = True

    def __init__(self, *, round_s: float = 300.0, skip: int = ALL_MAY_PASS) -> None:
        """Take `round_s`, the time between decisions (the lease of the paper), > 0.

        Raises:
            PolicyError: not a finite number above 0.
        """
        super().__init__(skip=skip)
        self.round_s = checked_round_s(self.name, round_s)

    def keys_now(self, jobs: JobsView, active: ActiveJobs) -> Floats:
        """Return minus the finish-time fairness ratio of each job."""
        rows = active.row
        ideal_s = jobs.estimated_duration_s[rows]
        shared_s = active.now_s - jobs.submit_s[rows] + active.left_s(jobs)
        wanted = float(jobs.accelerators[rows].sum())
        crowd = max(1.0, wanted / max(1, int(active.type_accelerators.sum())))
        with np.errstate(over="ignore"):  # of next to no work the ratio is beyond all others
            ratio: Floats = np.divide(shared_s, ideal_s * crowd, out=np.zeros(len(rows)), where=ideal_s > 0.0)
        return -ratio
