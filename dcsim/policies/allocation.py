"""Policies that solve a program for shares of time on each accelerator type, realised round by round."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import ALL_MAY_PASS, OrderingPolicy
from dcsim.policies.dynamic import checked_round_s
from dcsim.policies.views import JobsView

__all__ = [
    "AllocationPolicy",
    "AllocationView",
    "Allox",
    "FifoFastest",
    "FifoLastListed",
    "FinishTimeAllocation",
    "MaxMinFairness",
    "MaxMinThroughput",
    "MaxSumThroughput",
    "MinMakespan",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AllocationView:
    """The K jobs present, as columns of length K in order of submission, and the T accelerator types."""

    now_s: float
    row: Ints
    """Index into the job table."""
    throughput: Floats
    """(K, T) steps/s on each type, alone, on the fewest servers; 0 where a job cannot run."""
    scale_factor: Ints
    """Accelerators of each gang."""
    capacity: Ints
    """(T,) accelerators of each type."""
    weight: Floats
    """Of each job's tenant, > 0."""
    steps_left: Floats
    """> 0."""
    steps_done: Floats
    """>= 0; those that a restart would not have to do again, and those since."""
    elapsed_s: Floats
    """Since each job came."""
    running_type: Ints
    """Type it holds now; -1: none."""
    given: Mapping[int, int]
    """Row -> type that the last allocation gave most of, of jobs present and of those that ended since."""
    draw: Callable[[int], int]
    """draw(n) returns one of 0 .. n - 1, from the run's own stream."""


class AllocationPolicy(OrderingPolicy):
    """What share of time each job is due on each type; a round realises it as nearly as whole gangs can.

    Within a type jobs go by what they are due over what they had since the last allocation (Gavel's
    round-based mechanism, Narayanan et al., OSDI 2020, section 5).
    """

    in_line = False
    suspendable = False
    complexity: ClassVar[str] = "one linear program an allocation; O(n log n) a round"
    work_conserving: bool = True
    """Whether jobs that are due nothing on a type may use what is left of it."""
    shuffles_types: bool = True
    """Whether types are filled in an order drawn anew each round; else fastest first."""

    def __init__(
        self, *, round_s: float = 360.0, reallocate_after_s: float = 1_920.0, whole_steps: int = 0
    ) -> None:
        """Take the length of a round, the least time between allocations, and whether rounds end on whole steps.

        With `whole_steps` 1 a job works a whole number of steps a round, and a round ends with its last
        job, as in Gavel's own simulator; else rounds begin at multiples of `round_s`.

        Raises:
            PolicyError: values out of range.
        """
        super().__init__(skip=ALL_MAY_PASS)
        self.round_s = checked_round_s(self.name, round_s)
        if not 0.0 <= reallocate_after_s < math.inf:
            msg = f"{self.name}.reallocate_after_s: {reallocate_after_s} -> expected finite seconds >= 0"
            raise PolicyError(msg)
        if whole_steps not in (0, 1):
            msg = f"{self.name}.whole_steps: {whole_steps} -> expected 0 or 1"
            raise PolicyError(msg)
        self.reallocate_after_s = reallocate_after_s
        self.whole_steps = bool(whole_steps)

    def keys(self, jobs: JobsView) -> Floats:
        """Return the submit times; what counts is `allocate`."""
        return np.asarray(jobs.submit_s)

    @abstractmethod
    def allocate(self, view: AllocationView) -> Floats:
        """Return (K, T) the share of time each job is due on each type, 0..1."""

    def type_order(self, view: AllocationView) -> list[int]:
        """Return the order in which a round fills the types."""
        if self.shuffles_types:
            order = list(range(len(view.capacity)))
            for last in range(len(order) - 1, 0, -1):
                other = view.draw(last + 1)
                order[last], order[other] = order[other], order[last]
            return order
        mean = view.throughput.sum(axis=0)
        return [int(kind) for kind in np.argsort(-mean, kind="stable")]


class MaxMinFairness(AllocationPolicy):
    """Equal time for all, types being equal: least attained service over types (Gavel's LAS)."""

    name: ClassVar[str] = "max_min_fairness"
    optimises: ClassVar[str] = "the least weighted accelerator-time"
    source: ClassVar[str] = "Narayanan et al., Gavel, OSDI (2020), section 4.1, without throughputs"
    needs: ClassVar[str] = "on which types a job can run"

    def allocate(self, view: AllocationView) -> Floats:
        """Return water filling of time."""
        from dcsim.policies.programs import water_filling

        usable = (view.throughput > 0.0).astype(np.float64)
        ones = np.ones(len(view.row))
        return water_filling(usable, view.scale_factor, view.capacity, view.weight, reference=ones)


class MaxMinThroughput(AllocationPolicy):
    """Max-min fairness of throughput over what a proportional share would give."""

    name: ClassVar[str] = "max_min_fairness_perf"
    optimises: ClassVar[str] = "the least weighted normalised throughput"
    source: ClassVar[str] = "Narayanan et al., Gavel, OSDI (2020), section 4.1"
    needs: ClassVar[str] = "throughputs on each type"
    shuffles_types: bool = False

    def allocate(self, view: AllocationView) -> Floats:
        """Return water filling of normalised throughputs."""
        from dcsim.policies.programs import water_filling

        return water_filling(view.throughput, view.scale_factor, view.capacity, view.weight)


class MaxSumThroughput(AllocationPolicy):
    """The most normalised throughput in all, however unfair."""

    name: ClassVar[str] = "max_sum_throughput"
    optimises: ClassVar[str] = "the sum of throughputs, each over its own best"
    source: ClassVar[str] = "Narayanan et al., Gavel, OSDI (2020), section 4.2"
    needs: ClassVar[str] = "throughputs on each type"
    shuffles_types: bool = False

    def allocate(self, view: AllocationView) -> Floats:
        """Return the linear program's vertex."""
        from dcsim.policies.programs import max_sum_throughput

        best = view.throughput.max(axis=1, initial=0.0)
        scaled = np.divide(
            view.throughput, best[:, None], out=np.zeros_like(view.throughput), where=best[:, None] > 0.0
        )
        return max_sum_throughput(scaled, view.scale_factor, view.capacity)


class MinMakespan(AllocationPolicy):
    """All jobs done as early as can be, if no more came."""

    name: ClassVar[str] = "min_makespan"
    optimises: ClassVar[str] = "the makespan of the jobs present"
    source: ClassVar[str] = "Narayanan et al., Gavel, OSDI (2020), section 4.2"
    needs: ClassVar[str] = "throughputs on each type, and the work left"
    shuffles_types: bool = False

    def allocate(self, view: AllocationView) -> Floats:
        """Return the linear program's vertex."""
        from dcsim.policies.programs import min_makespan

        return min_makespan(view.throughput, view.scale_factor, view.capacity, view.steps_left)


class FinishTimeAllocation(AllocationPolicy):
    """The worst ratio of shared to independent finish time as small as can be, with measured throughputs."""

    name: ClassVar[str] = "finish_time_fairness_perf"
    optimises: ClassVar[str] = "the greatest ratio of shared to independent finish time"
    source: ClassVar[str] = (
        "Mahajan et al., Themis, NSDI (2020); Narayanan et al., Gavel, OSDI (2020), section 4.2"
    )
    needs: ClassVar[str] = "throughputs on each type, and the work left"
    complexity: ClassVar[str] = "about 20 linear programs an allocation; O(n log n) a round"
    shuffles_types: bool = False

    def allocate(self, view: AllocationView) -> Floats:
        """Return the allocation found by bisection.

        The time that the steps done would have taken in isolation is that among the jobs present now.
        """
        from dcsim.policies.programs import finish_time_fairness, isolated_rate

        alone = isolated_rate(view.throughput, view.scale_factor, view.capacity)
        spent_s = np.divide(view.steps_done, alone, out=np.zeros_like(alone), where=alone > 0.0)
        return finish_time_fairness(
            view.throughput,
            view.scale_factor,
            view.capacity,
            view.steps_left,
            view.elapsed_s,
            isolated=alone,
            isolated_elapsed_s=spent_s,
        )


class Allox(AllocationPolicy):
    """Least mean completion time by matching waiting jobs to places in the types' queues; nobody is stopped."""

    name: ClassVar[str] = "allox"
    optimises: ClassVar[str] = "mean job completion time over accelerators of several types"
    source: ClassVar[str] = "Le et al., AlloX, EuroSys (2020)"
    needs: ClassVar[str] = "throughputs on each type, and the work left"
    complexity: ClassVar[str] = "O(n^3 T) an allocation, n jobs waiting"
    work_conserving: bool = False
    shuffles_types: bool = False

    def __init__(
        self, *, round_s: float = 360.0, reallocate_after_s: float = 0.0, whole_steps: int = 0
    ) -> None:
        """Take what every allocation policy takes; it matches anew each round in which something changed."""
        super().__init__(round_s=round_s, reallocate_after_s=reallocate_after_s, whole_steps=whole_steps)

    def allocate(self, view: AllocationView) -> Floats:
        """Return 1 where a job runs or is first in its queue."""
        from dcsim.policies.programs import one_hot, shortest_first

        shares = one_hot(view.running_type, len(view.capacity))
        free = view.capacity - (shares * view.scale_factor[:, None]).sum(axis=0).astype(np.int64)
        waiting = np.flatnonzero(view.running_type < 0)
        shares[waiting] = shortest_first(
            view.throughput[waiting], view.scale_factor[waiting], free, view.steps_left[waiting]
        )
        return shares


class FifoFastest(AllocationPolicy):
    """In order of arrival, each job holds the fastest type that those before it leave; it moves when they end."""

    name: ClassVar[str] = "fifo_perf"
    optimises: ClassVar[str] = "fairness by arrival, on the fastest type that is free"
    source: ClassVar[str] = "Narayanan et al., Gavel, OSDI (2020), section 6: FIFO with heterogeneity"
    needs: ClassVar[str] = "throughputs on each type"
    complexity: ClassVar[str] = "O(n T) an allocation"
    work_conserving: bool = False
    shuffles_types: bool = False

    def allocate(self, view: AllocationView) -> Floats:
        """Return 1 where a job holds a type."""
        from dcsim.policies.programs import fifo_fastest

        return fifo_fastest(view.throughput, view.scale_factor, view.capacity)


class FifoLastListed(AllocationPolicy):
    """Gavel's published type-blind fifo, its slip included: jobs pile up on the type listed last.

    For comparison with published figures only: `fifo_perf` is the policy that is meant. A job that cannot
    run on the type listed last waits for ever while that has room.
    """

    name: ClassVar[str] = "fifo_as_published"
    optimises: ClassVar[str] = "nothing: the baseline of a paper"
    source: ClassVar[str] = "the simulator published with Narayanan et al., Gavel, OSDI (2020)"
    needs: ClassVar[str] = "on which types a job can run"
    complexity: ClassVar[str] = "O(n T) an allocation"
    work_conserving: bool = False

    def allocate(self, view: AllocationView) -> Floats:
        """Return 1 where a job is promised a type."""
        from dcsim.policies.programs import fifo_last_listed, one_hot

        place = {int(row): at for at, row in enumerate(view.row)}
        rows = sorted({*place, *view.given})
        types = len(view.capacity)
        rate, width = np.zeros((len(rows), types)), np.ones(len(rows), dtype=np.int64)
        present = [at for at, row in enumerate(rows) if row in place]
        known = [place[rows[at]] for at in present]
        rate[present], width[present] = view.throughput[known], view.scale_factor[known]
        kind = fifo_last_listed(
            rate,
            width,
            view.capacity,
            np.array([view.given.get(row, -1) for row in rows], dtype=np.int64),
            np.array([row not in place for row in rows]),
            view.draw,
        )
        return one_hot(kind[present], types)
