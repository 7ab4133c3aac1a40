"""Jobs by kind: what all jobs of equal shape need, and what they get on each type of accelerator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dcsim.facility.free_index import FreeIndex
from dcsim.policies.views import Placement
from dcsim.simulation.costing import Plan, Shape
from dcsim.simulation.inputs import RunInputs
from dcsim.spec.workload import TraceWorkloadSpec
from dcsim.workload.distinct import distinct_rows

__all__ = ["Gang", "JobKind", "KindTable", "Site"]


@dataclass(slots=True, eq=False)
class Site:
    """The servers of one accelerator type, as jobs of one kind see them."""

    index: FreeIndex
    accelerator: str
    number: int = -1
    """Of the plan on one server; -1: not asked for yet."""
    rate: float = 0.0
    """Steps/s on one server."""
    usage: int = 0
    """Whole bytes/s of the shared file system on one server."""
    plans: dict[tuple[int, ...], int] = field(default_factory=dict)
    """Devices on each server, as far as the cost depends on them -> number of the plan."""


@dataclass(slots=True, eq=False)
class JobKind:
    """What placement and cost of a job depend on, the servers' state apart."""

    need: int
    """Accelerators, >= 1."""
    limit: int
    """Servers it may span, 0: any number."""
    profile: int
    batch: int
    cap_fraction: float
    parallelism: int
    sites: tuple[Site, ...]
    """To be tried in this order."""


@dataclass(slots=True, eq=False)
class Gang:
    """A job on more than one server."""

    index: FreeIndex
    placement: Placement
    number: int
    rate: float
    usage: int


class KindTable:
    """The kinds of a run's jobs, and the plans they run by.

    Args:
        inputs: of the run; all its jobs want whole accelerators.
    """

    def __init__(self, inputs: RunInputs) -> None:
        self._inputs = inputs
        jobs, fleet = inputs.jobs, inputs.fleet
        self.plans: list[Plan] = []
        """By number."""
        self.shapes: list[Shape] = []
        """Of the plans."""
        self.profile_of: list[int] = []
        """Profile of each plan."""
        self._numbers: dict[int, int] = {}
        """Identity of a plan -> its number."""
        workload = inputs.scenario.workload
        given = workload.dataset_bytes if isinstance(workload, TraceWorkloadSpec) else None
        self.local = [
            inputs.storage.local_fraction(inputs.costs.dataset_bytes(profile) if given is None else given)
            for profile in range(len(jobs.profile_names))
        ]
        """Part of each profile's input that comes from the servers' own disks."""
        names = [t.accelerator.name if t.accelerator else "" for t in fleet.types]
        one_type = len(inputs.allowed[-1]) <= 1 and all(names)
        # Equal masks are one object: servers of one type have one index, whoever may use them.
        self._indexes: dict[int, tuple[FreeIndex, str]] = {}
        for mask in inputs.allowed[-1]:
            free = np.where(mask, fleet.total, 0) if not one_type else fleet.total
            name = names[fleet.type_of[int(mask.argmax())]]
            self._indexes[id(mask)] = (FreeIndex(free.tolist()), name)
        columns = (
            jobs.profile,
            jobs.batch_per_accelerator,
            jobs.accelerators,
            inputs.cap_fraction,
            jobs.max_servers,
            jobs.accelerator_types,
            jobs.parallelism,
        )
        first, self.of_job = distinct_rows(*columns)
        self.kinds = [self._kind(*(column[row].item() for column in columns)) for row in first.tolist()]

    def _kind(
        self,
        profile: int,
        batch: int,
        need: int,
        cap_fraction: float,
        limit: int,
        constraint: int,
        parallelism: int,
    ) -> JobKind:
        found = [self._indexes[id(mask)] for mask in self._inputs.allowed[constraint]]
        sites = tuple(Site(index, accelerator) for index, accelerator in found)
        return JobKind(need, limit, profile, batch, cap_fraction, parallelism, sites)

    def kind_of_jobs(self) -> list[JobKind]:
        """Return the kind of each job."""
        return [self.kinds[number] for number in self.of_job.tolist()]

    def settle_site(self, kind: JobKind, site: Site, server: int) -> None:
        """Find what a job of this kind gets on one server of a type, such as this one."""
        site.number = self._number(kind, site.accelerator, (kind.need,), ((server, kind.need),))
        plan = self.plans[site.number]
        site.rate = plan.rate
        site.usage = self._usage(kind, plan, (1.0,))

    def gang(self, kind: JobKind, site: Site, placement: Placement) -> Gang:
        """Return a job of this kind on these servers."""
        counts = tuple([count for _, count in placement])
        if self._inputs.costs.by_layout(kind.profile):
            counts = tuple(sorted(counts, reverse=True))
        largest = max(counts)
        number = site.plans.get(counts)
        if number is None:
            number = self._number(kind, site.accelerator, counts, placement)
            if self._inputs.same_anywhere:
                site.plans[counts] = number
        plan = self.plans[number]
        usage = self._usage(kind, plan, [count / largest for _, count in placement])
        return Gang(site.index, placement, number, plan.rate, usage)

    def _number(self, kind: JobKind, accelerator: str, counts: tuple[int, ...], placement: Placement) -> int:
        costs = self._inputs.costs
        shape = Shape(
            kind.profile, kind.batch, kind.need, accelerator, kind.cap_fraction, 1.0, counts, kind.parallelism
        )
        exchange = None if costs.same_anywhere(shape) else costs.exchange(shape, placement, 0)
        plan = costs.plan(shape, exchange)
        number = self._numbers.get(id(plan))
        if number is None:
            number = self._numbers[id(plan)] = len(self.plans)
            self.plans.append(plan)
            self.shapes.append(shape)
            self.profile_of.append(kind.profile)
        return number

    def _usage(self, kind: JobKind, plan: Plan, weights: Sequence[float]) -> int:
        """Return the bytes/s of the shared file system, as `Storage.feed_uses` weighs the streams."""
        if plan.stream_bytes_per_step <= 0.0 or self.local[kind.profile] >= 1.0:
            return 0
        whole = max(1, math.ceil(plan.stream_bytes_per_step * plan.rate))
        return math.ceil((1.0 - self.local[kind.profile]) * sum(weights) * whole)

    def plan_columns(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return columns (P,) of the plans by number, and each one's local part of its input."""
        names = (
            "rate",
            "compute_s",
            "throttled_s",
            "communication_s",
            "network_bytes_per_step",
            "sent_bytes_per_step",
            "stream_bytes_per_step",
            "input_bytes_per_step",
            "busy_energy_per_step_j",
            "extrapolated",
        )
        columns = {
            name: np.array([getattr(plan, name) for plan in self.plans], dtype=np.float64) for name in names
        }
        local = [self.local[profile] if profile >= 0 else 0.0 for profile in self.profile_of]
        return {**columns, "local": np.array(local, dtype=np.float64)}
