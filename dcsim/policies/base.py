"""What a policy is: three small abstract classes, one for each decision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs, Decision
from dcsim.policies.cap_view import CapView
from dcsim.policies.power_view import IdleView, PowerView
from dcsim.policies.views import (
    ClusterView,
    GridView,
    JobsView,
    JobView,
    Placement,
    PlacementRequest,
)

__all__ = ["DecidingPolicy", "DynamicOrdering", "EnergyPolicy", "OrderingPolicy", "PlacementPolicy"]

ALL_MAY_PASS = 1_000_000_000
"""A `skip` that nobody reaches: every waiting job is tried."""


class OrderingPolicy(ABC):
    """Who goes first."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]
    """Where the policy is from (a paper, a product's manual)."""
    needs: ClassVar[str] = "nothing but the arrivals"
    """What it has to know of the jobs."""
    complexity: ClassVar[str] = "O(log n) a job"
    """Cost of a decision among n waiting jobs."""
    in_line: ClassVar[bool] = True
    """Whether, with `skip` 0, nobody starts while one with a smaller key waits."""
    suspendable: ClassVar[bool] = True
    """Whether an energy policy may suspend jobs under it."""
    preemptive: bool = False
    """Whether a job that does not fit may push out running ones that go after it."""

    def __init__(self, *, skip: int = 0) -> None:
        """Take `skip`: waiting jobs that do not fit and may be overtaken in one decision; 0: strict.

        Raises:
            PolicyError: not a whole number >= 0.
        """
        if not (0 <= skip < float("inf") and skip == int(skip)):
            name = getattr(self, "name", type(self).__name__)
            msg = f"{name}.skip: {skip} -> expected a whole number >= 0"
            raise PolicyError(msg)
        self.skip = int(skip)

    @abstractmethod
    def keys(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        """Return (N,) sort keys: smaller goes first, ties by submission; NaN is refused."""


class DecidingPolicy(OrderingPolicy):
    """Who holds what, decided again at every arrival and end, or once a round."""

    round_s: float | None = None
    """Decide at multiples of this; None: whenever a job comes, ends or is stopped."""
    knows_progress: ClassVar[bool] = False
    """Whether it may know how much of a job's work is left."""
    service_thresholds_accelerator_s: tuple[float, ...] = ()
    """Amounts of service of which `ActiveJobs.reached_s` is to tell when each job reached them."""

    def keys(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        """Return the submit times; what counts is `decide`."""
        return np.asarray(jobs.submit_s)

    @abstractmethod
    def decide(self, jobs: JobsView, active: ActiveJobs) -> Decision:
        """Return who should hold what from now on. Must be deterministic and keep no state."""


class DynamicOrdering(DecidingPolicy):
    """Who goes first, by keys that change as jobs wait and run; each holds the width it asked for."""

    preemptive = True

    def __init__(self, *, skip: int = ALL_MAY_PASS) -> None:
        """Take `skip`: jobs that do not fit and may be overtaken in one decision; 0: strict."""
        super().__init__(skip=skip)

    @abstractmethod
    def keys_now(self, jobs: JobsView, active: ActiveJobs) -> npt.NDArray[np.float64]:
        """Return (K,) sort keys of the active jobs: smaller goes first, ties by submission; NaN is refused."""

    def again_s(self, jobs: JobsView, active: ActiveJobs) -> float:
        """Return when the order changes by itself though nothing happens; infinity: never."""
        return float("inf")

    def decide(self, jobs: JobsView, active: ActiveJobs) -> Decision:
        """Return all active jobs in the order of their keys, each at the width it asked for."""
        keys = np.asarray(self.keys_now(jobs, active), dtype=np.float64)
        if keys.shape != active.row.shape or np.isnan(keys).any():
            got = "NaN among the keys" if keys.shape == active.row.shape else f"keys of shape {keys.shape}"
            msg = f"{self.name}: {got} -> expected ({len(active)},) numbers, one for each active job"
            raise PolicyError(msg)
        order = np.lexsort((active.row, keys))
        width = jobs.accelerators[active.row]
        return Decision(order, width, preempts=self.preemptive, again_s=self.again_s(jobs, active))


class PlacementPolicy(ABC):
    """Where a gang goes, or None when it has to wait."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[str] = "what is free on each server"
    """What it has to know of servers and jobs."""
    complexity: ClassVar[str] = "O(servers)"
    """Cost of a decision."""
    draws: ClassVar[bool] = False
    """Whether `request.draw` is filled."""
    weighs_types: ClassVar[bool] = False
    """Whether it is asked once for all accelerator types that suit, with `request.speed`, instead of once
    for each type in turn."""
    counts_kinds: ClassVar[bool] = False
    """Whether `view.job_kinds` is kept up."""
    knows_demand: ClassVar[bool] = False
    """Whether `view.demand` is told."""
    knows_links: ClassVar[bool] = False
    """Whether `view.link_loads` is told."""
    knows_heat: ClassVar[bool] = False
    """Whether `view.heat` is told: the scenario must have a `room`."""

    @abstractmethod
    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the whole gang's servers, or None. Must be deterministic and keep no state."""

    def device(self, request: PlacementRequest, view: ClusterView, server: int) -> int:
        """Return the device of `server` on which a part is taken, or -1: the tightest that fits."""
        return -1


class EnergyPolicy(ABC):
    """At what power, and when; the defaults change nothing."""

    name: ClassVar[str]
    optimises: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[str] = "nothing"
    """What it has to know of jobs and grid."""
    complexity: ClassVar[str] = "O(1) a job"
    """Cost of a decision."""
    holds_jobs: ClassVar[bool] = False
    """Whether `eligible_s` may hold a job back (asked only for jobs with slack)."""
    suspends: ClassVar[bool] = False
    """Whether `suspended` is asked at every decision; the ordering policy then decides again and again."""
    scales: ClassVar[bool] = False
    """Whether `widths` is asked at every decision; such a policy `suspends`, too."""
    weighs_caps: ClassVar[bool] = False
    """Whether `static_caps` is asked in place of `power_cap_fractions`."""
    recaps: ClassVar[bool] = False
    """Whether `caps_now` is asked when jobs start or end, budgets change, or it wants to be asked again."""
    reads_forecast: ClassVar[bool] = False
    """Whether it goes by what the grid is forecast to be."""
    reserves: ClassVar[bool] = False
    """Whether `awake_reserve` is asked when jobs come, start or end."""

    def power_cap_fractions(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        """Return (N,) caps of each job's accelerators over their peak power, (0, 1]."""
        return np.ones(len(jobs))

    def static_caps(self, jobs: JobsView, caps: CapView) -> npt.NDArray[np.float64]:
        """Return (N,) caps over peak power, (0, 1], for jobs whose speed and power under caps are told."""
        return self.power_cap_fractions(jobs)

    def sleep_after_s(self) -> float | None:
        """Return how long a server idles before it is put to sleep; None: never."""
        return None

    def eligible_s(self, job: JobView, grid: GridView) -> float:
        """Return the earliest start, in [submit, submit + slack]."""
        return job.submit_s

    def suspended(
        self, jobs: JobsView, active: ActiveJobs, grid: GridView
    ) -> tuple[npt.NDArray[np.bool_], float]:
        """Return (K,) which active jobs are to hold nothing now, and when to ask again (infinity: no need)."""
        return np.zeros(len(active), dtype=bool), float("inf")

    def widths(
        self, jobs: JobsView, active: ActiveJobs, grid: GridView
    ) -> tuple[npt.NDArray[np.int64], float]:
        """Return (K,) accelerators each active job is to hold now, and when to ask again (infinity: no need).

        0: none for now; -1: what the ordering policy says. Others lie within the job's least and greatest widths.
        """
        return np.full(len(active), -1, dtype=np.int64), float("inf")

    def caps_now(
        self, jobs: JobsView, power: PowerView, grid: GridView
    ) -> tuple[npt.NDArray[np.float64], float]:
        """Return (K,) caps over peak power for the running jobs, and when to ask again (infinity: no need).

        They come into force after the hall's cap latency. Caps below what a device can hold are raised to it.
        """
        return np.asarray(power.cap_fraction), float("inf")

    def awake_reserve(self, idle: IdleView) -> tuple[int, float]:
        """Return how many servers without jobs to keep awake, and when to ask again (infinity: no need)."""
        return 0, float("inf")
