"""What a job costs on a placement: its ideal rate, its traffic and its power, before sharing.

    step time = compute / speed + exchange that computing does not hide + bubbles of a pipeline
    rate      = min(1 / step time, network share / bytes a step, feed share / bytes a step)

What is exchanged, and how long that takes alone, is said in `dcsim.simulation.exchange`. Traffic enters the links as the average load that a job puts on them while it trains
(docs/decisions/0061-average-load.md). A kind of job of a rate table runs at its measured rate, in which
all of this is contained (docs/decisions/0065-measured-rates.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.facility.hardware import Accelerator
from dcsim.facility.servers import Fleet
from dcsim.policies.views import Placement
from dcsim.simulation.cap_responses import CapResponses, WorkPower, work_power
from dcsim.simulation.exchange import Exchange, Exchanges
from dcsim.workload.cost import StepCost, step_cost
from dcsim.workload.distinct import distinct_rows
from dcsim.workload.job_costs import startup_s
from dcsim.workload.jobs import JobTable
from dcsim.workload.layouts import layout_of
from dcsim.workload.measured_kind import MeasuredKind, packed_layout
from dcsim.workload.parallel import Layout
from dcsim.workload.profile_store import JobCosts, LoadedProfile

__all__ = ["CostModel", "Plan", "Shape"]


class Shape(NamedTuple):
    """What a gang's cost depends on."""

    profile: int
    """Index into the job table's profile names; -1: pure run time."""
    batch: int
    """Samples a step on each accelerator; 0: the profile's largest measured."""
    devices: int
    accelerator: str
    """Catalogue name; "" without one."""
    cap_fraction: float
    share: float
    """Part of the one device it has, 1 for whole ones."""
    counts: tuple[int, ...]
    """Devices on each server, in the order of ranks; most first where the cost is measured by layout."""
    parallelism: int = -1
    """Index into the job table's parallelism names; -1: data parallel."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one shape of gang costs; shared by all jobs of that shape."""

    rate: float
    """Steps/s with all the bandwidth it wants; 0 where measured rates say that it does not run."""
    compute_s: float
    """Of a step, as fast as the devices are uncapped."""
    throttled_s: float
    """Of a step, that a power cap adds."""
    communication_s: float
    """Of a step, that is spent on exchange alone, with nobody else on the links, and on bubbles of a pipeline."""
    hidden_s: float
    """Of a step, exchange that computing hides."""
    network_bytes_per_step: float
    """The most that any link carries for it, and the unit of its weights on links; 0 inside one server."""
    sent_bytes_per_step: float
    """Between its servers, in all."""
    stream_bytes_per_step: float
    """Read by the server with most of the gang."""
    input_bytes_per_step: float
    """Read by the whole gang."""
    busy_energy_per_step_j: float
    """Of the gang's accelerators above idle."""
    busy_power_w: float
    """Of the gang's accelerators above idle while it computes without a pause."""
    extrapolated: bool
    reasons: tuple[str, ...]


class CostModel:
    """Plans by shape, computed once each.

    Args:
        jobs: the job table.
        profiles: by name.
        catalogue: accelerators by name.
        fleet: for the accelerators there are.
        exchanges: what gangs exchange over the network there is.
    """

    def __init__(
        self,
        jobs: JobTable,
        profiles: Mapping[str, JobCosts],
        catalogue: Mapping[str, Accelerator],
        fleet: Fleet,
        exchanges: Exchanges,
    ) -> None:
        self._jobs = jobs
        self._costs = [profiles[name] for name in jobs.profile_names]
        self._by_layout = [
            isinstance(costs, MeasuredKind) and costs.table.layouts != "any" for costs in self._costs
        ]
        self._startup_s = [startup_s(costs) for costs in self._costs]
        self._batches: dict[int, int] = {}
        self._catalogue = catalogue
        self._fleet = fleet
        self._exchanges = exchanges
        self._layouts = [layout_of(text) for text in jobs.parallelism_names]
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._responses = CapResponses()
        self._noted: dict[int, dict[str, None]] = {}
        self.accelerators = {t.accelerator.name: t.accelerator for t in fleet.types if t.accelerator}
        """Those of the cluster, by name."""

    def plan(self, shape: Shape, exchange: Exchange | None = None) -> Plan:
        """Return the plan of all gangs of one shape.

        Args:
            shape: of the gang.
            exchange: where it is placed; None: as on any servers, by the bandwidth of a server alone.

        Raises:
            PolicyError: the cap is below what the accelerator can hold, or no progress is made on these
                servers, by measurement.
        """
        key = (shape, exchange and (exchange.times, exchange.together[1]))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._make(shape, exchange)
            if plan.rate <= 0.0:
                name = self._jobs.profile_names[shape.profile]
                msg = f"{name} was put on {shape.counts} {shape.accelerator}, where its measured rate is 0"
                raise PolicyError(msg)
            self._plans[key] = plan
        return plan

    def foresee(self, shape: Shape) -> Plan:
        """Return a plan that may never be run by: it is no use of its profile."""
        plan = self._plans.get((shape, None))
        return self._make(shape, None) if plan is None else plan

    def forget(self) -> None:
        """Forget which plans were asked for, as if no job had run yet."""
        self._plans.clear()

    def exchange(
        self, shape: Shape, placement: Placement, flow: int, *, as_built: bool = False
    ) -> Exchange | None:
        """Return what a gang exchanges on its servers; None: nothing, or nothing that is known.

        Args:
            shape: of the gang.
            placement: (server, devices).
            flow: tells flows apart where routes are chosen by a hash.
            as_built: over the ways that there were before anything failed.
        """
        if shape.profile < 0 or shape.devices < 2:
            return None
        costs = self._costs[shape.profile]
        if isinstance(costs, MeasuredKind):
            return None
        accelerator = self._catalogue[shape.accelerator]
        return self._exchanges.placed(
            costs.profile.collectives,
            self._layout(shape),
            self.batch(shape.profile, shape.batch),
            placement,
            accelerator,
            inside_measured=self._inside_measured(costs, shape),
            flow=flow,
            as_built=as_built,
        )

    def same_anywhere(self, shape: Shape) -> bool:
        """Return whether a gang's step takes as long on any servers that hold it in the same parts."""
        return self._exchanges.always_nominal(self._layout(shape))

    def _layout(self, shape: Shape) -> Layout:
        return self._layouts[shape.parallelism] if shape.parallelism >= 0 else Layout()

    def _silent(self, costs: LoadedProfile, shape: Shape) -> tuple[str, ...]:
        """Return in words for which kinds of parallelism a profile says nothing, so that they cost nothing."""
        layout = self._layout(shape)
        told = {entry.dimension for entry in costs.profile.collectives.parallel}
        silent = [
            name
            for name in ("tensor", "pipeline", "context", "expert")
            if getattr(layout, name) > 1 and name not in told
        ]
        name = costs.profile.name
        return tuple(
            [
                f"{name}: its profile has no traffic of {kind} parallelism, so none is counted"
                for kind in silent
            ]
        )

    def _inside_measured(self, costs: LoadedProfile, shape: Shape) -> bool:
        """Return whether the exchange inside a server is part of the measured time of computing."""
        layout = self._layout(shape)
        return shape.accelerator == costs.profile.device and layout.model == 1 and layout.expert == 1

    def _make(self, shape: Shape, exchange: Exchange | None) -> Plan:
        if not shape.accelerator or shape.devices == 0:
            return _timed(1.0, 1.0, 0.0)
        accelerator = self._catalogue[shape.accelerator]
        costs = self._costs[shape.profile] if shape.profile >= 0 else None
        if not isinstance(costs, LoadedProfile):
            speed, busy_w = self._capped(accelerator, shape, WorkPower())
            if costs is None:  # pure run time: one step a second at full speed
                return _timed(speed, speed, busy_w)
            return _measured(costs, shape, speed, busy_w)
        cost = self._step_cost(costs, accelerator, shape.devices, shape.batch)
        if exchange is None and shape.devices > 1:
            exchange = self._nominal(costs, shape, accelerator)
        work = work_power(costs.profile, cost, accelerator, self._catalogue.get(costs.profile.device))
        speed, busy_w = self._capped(accelerator, shape, work)
        # What devices of a host lose to each other is no work of theirs: a cap does not draw it out.
        computing_s = cost.compute_s * cost.utilisation
        compute_s = (cost.compute_s + computing_s * (1.0 / speed - 1.0)) / shape.share
        waited_s = exchange.waited_s(compute_s) if exchange is not None else 0.0
        reasons = cost.reasons + self._silent(costs, shape)
        if shape.share < 1.0:
            reasons += (_in_part(self._jobs.profile_names[shape.profile]),)
        return Plan(
            rate=1.0 / (compute_s + waited_s),
            compute_s=cost.compute_s / shape.share,
            throttled_s=compute_s - cost.compute_s / shape.share,
            communication_s=waited_s,
            hidden_s=exchange.hidden_s(compute_s) if exchange is not None else 0.0,
            network_bytes_per_step=exchange.busiest_bytes if exchange is not None else 0.0,
            sent_bytes_per_step=exchange.sent_bytes if exchange is not None else 0.0,
            stream_bytes_per_step=cost.input_bytes * max(shape.counts) / shape.devices,
            input_bytes_per_step=cost.input_bytes,
            busy_energy_per_step_j=busy_w * (cost.compute_s / (speed * shape.share)) * cost.utilisation,
            busy_power_w=busy_w,
            extrapolated=bool(reasons),
            reasons=reasons,
        )

    def _nominal(self, costs: LoadedProfile, shape: Shape, accelerator: Accelerator) -> Exchange:
        return self._exchanges.nominal(
            costs.profile.collectives,
            self._layout(shape),
            self.batch(shape.profile, shape.batch),
            shape.counts,
            accelerator,
            inside_measured=self._inside_measured(costs, shape),
        )

    def _capped(self, accelerator: Accelerator, shape: Shape, work: WorkPower) -> tuple[float, float]:
        """Return (speed under the shape's cap, W of the gang's accelerators above idle while they compute)."""
        speed, power_w = self._responses.at(accelerator, shape.cap_fraction, work)
        return speed, max(0.0, shape.share * shape.devices * (power_w - accelerator.idle_power_w))

    def speed(self, accelerator: Accelerator, cap_fraction: float) -> float:
        """Return the relative speed of an accelerator under a cap, (0, 1], at work that draws its peak power.

        Raises:
            PolicyError: the accelerator cannot hold a cap that low.
        """
        return self._responses.at(accelerator, cap_fraction, WorkPower())[0]

    @staticmethod
    def least_cap(accelerator: Accelerator) -> float:
        """Return the smallest cap, over peak power, that an accelerator can hold, (0, 1]."""
        return accelerator.least_cap

    def _step_cost(
        self, costs: LoadedProfile, accelerator: Accelerator, devices: int, batch: int
    ) -> StepCost:
        measured_on = self._catalogue.get(costs.profile.device)
        return step_cost(costs.profile, accelerator, devices, batch, measured_on=measured_on)

    def by_layout(self, profile: int) -> bool:
        """Return whether the cost of a profile is known for each layout of a gang over servers."""
        return profile >= 0 and self._by_layout[profile]

    def batch(self, profile: int, batch: int) -> int:
        """Return the samples a step on each accelerator: as asked, else the most measured; 0: not known."""
        if batch or profile < 0:
            return batch
        if profile not in self._batches:
            costs = self._costs[profile]
            if isinstance(costs, MeasuredKind):
                self._batches[profile] = costs.largest_batch
            else:
                measured = (point.batch_per_device for point in costs.profile.points)
                self._batches[profile] = max(measured, default=costs.profile.fit.batch_per_device_max)
        return self._batches[profile]

    def dataset_bytes(self, profile: int) -> float:
        """Return the size of a profile's dataset; 0 without a profile, and where it is not known."""
        costs = self._costs[profile] if profile >= 0 else None
        return costs.profile.dataset_bytes if isinstance(costs, LoadedProfile) else 0.0

    def origin(self, profile: int) -> dict[str, Any]:
        """Return the hash of a profile or rate table, and where and when it was measured."""
        costs = self._costs[profile]
        if isinstance(costs, MeasuredKind):
            table = costs.table
            return {
                "sha256": costs.sha256,
                "measured_on": ", ".join(table.accelerators(costs.kind)),
                "measured_host": table.provenance.measured_on,
                "measured_utc": "",
                "source": table.provenance.source,
            }
        made = costs.profile.provenance
        return {
            "sha256": costs.sha256,
            "measured_on": costs.profile.device,
            "measured_host": made.host_cpu,
            "measured_utc": made.created_utc,
        }

    @property
    def starts_up(self) -> bool:
        """Whether jobs of any profile have something to prepare before their first step."""
        return any(self._startup_s)

    def startups_s(self, steps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return (N,) how long each attempt at each job prepares before its first step; 0 where that is not known.

        Args:
            steps: of each job; one that has none to make prepares nothing.
        """
        if not self.starts_up:
            return np.zeros(len(steps))
        # The last is that of jobs without a profile, -1.
        prepares_s = np.array([*self._startup_s, 0.0])[self._jobs.profile]
        return np.where(steps > 0.0, prepares_s, 0.0)

    def _used(self, profile: int) -> list[tuple[str, Plan]]:
        return [
            (shape.accelerator, plan)
            for (shape, *_), plan in self._plans.items()
            if isinstance(shape, Shape) and shape.profile == profile
        ]

    def used_on(self, profile: int) -> list[str]:
        """Return the accelerators a profile was used on, sorted."""
        return sorted({name for name, _ in self._used(profile) if name})

    def reasons(self, profile: int) -> tuple[str, ...]:
        """Return why uses of a profile were extrapolations, sorted; empty where none was."""
        found = {reason for _, plan in self._used(profile) for reason in plan.reasons}
        return tuple(sorted(found | set(self._noted.get(profile, ()))))

    def note(self, profile: int, reason: str) -> None:
        """Write down why a use of a profile was an extrapolation, besides what its plans say."""
        self._noted.setdefault(profile, {})[reason] = None

    def ideal_shapes(
        self, reference: npt.NDArray[np.int64]
    ) -> tuple[list[Shape | None], npt.NDArray[np.int64]]:
        """Return the distinct shapes of jobs packed on empty servers, uncapped, and (N,) which is each job's.

        Args:
            reference: (N,) server type on which each job counts as ideal (-1: no accelerator, shape None).
        """
        jobs, fleet = self._jobs, self._fleet
        share = np.where(np.isfinite(jobs.steps), jobs.accelerator_share, 1.0)
        keys = (
            jobs.profile,
            jobs.batch_per_accelerator,
            jobs.accelerators,
            reference,
            share,
            jobs.parallelism,
        )
        first, inverse = distinct_rows(*keys)
        shapes: list[Shape | None] = []
        for profile, batch, width, kind, part, division in zip(
            *(key[first].tolist() for key in keys), strict=True
        ):
            if width == 0 or kind < 0:
                shapes.append(None)
                continue
            server = fleet.types[kind]
            counts = packed_layout(width, min(width, server.spec.accelerators))
            name = server.accelerator.name if server.accelerator else ""
            shapes.append(Shape(profile, batch, width, name, 1.0, part, counts, division))
        return shapes, inverse

    def ideals(
        self, reference: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return (steps, run time in s, compute fraction) of every job, alone and uncapped.

        The start-up of a profile is part of the run time, of one that was given as such too.

        Args:
            reference: (N,) server type on which each job counts as ideal (-1: no accelerator).
        """
        jobs = self._jobs
        shapes, inverse = self.ideal_shapes(reference)
        rate, fraction = np.ones(len(shapes)), np.ones(len(shapes))
        for row, shape in enumerate(shapes):
            if shape is None:
                continue
            # Not kept: a plan that no job runs by is no use of its profile.
            plan = self._make(shape, None)
            rate[row] = plan.rate
            if plan.busy_power_w > 0.0:
                fraction[row] = min(1.0, plan.busy_energy_per_step_j * plan.rate / plan.busy_power_w)
        rate, fraction = rate[inverse], fraction[inverse]
        if not self.starts_up:
            steps = np.where(np.isfinite(jobs.steps), jobs.steps, jobs.duration_s * rate)
            return steps, steps / rate, fraction
        # Who is said to run no longer than it takes to start up makes one step all the same; who runs for no time, none.
        whole_s = self.startups_s(np.nan_to_num(jobs.duration_s))
        least = np.where(whole_s > 0.0, 1.0, 0.0)
        timed = np.maximum(least, (jobs.duration_s - whole_s) * rate)
        steps = np.where(np.isfinite(jobs.steps), jobs.steps, timed)
        starting_s = self.startups_s(steps)
        working_s = steps / rate
        ideal_s = starting_s + working_s
        computing = np.divide(working_s, ideal_s, out=np.ones_like(ideal_s), where=ideal_s > 0.0)
        return steps, ideal_s, fraction * computing


def _measured(costs: MeasuredKind, shape: Shape, speed: float, busy_w: float) -> Plan:
    """Return the plan of a gang by its measured rate: its traffic is in there, and its devices never idle."""
    found = costs.rate(
        shape.accelerator, shape.counts if costs.table.layouts != "any" else (shape.devices,), shape.batch
    )
    rate = found.steps_per_s * speed * shape.share
    where = f"{costs.kind} on {shape.accelerator}"
    reasons: tuple[str, ...] = (f"{where}: {found.reason}",) if found.extrapolated else ()
    if shape.share < 1.0:
        reasons += (_in_part(costs.kind),)
    return _timed(rate, speed, busy_w, reasons)


def _timed(rate: float, speed: float, busy_w: float, reasons: tuple[str, ...] = ()) -> Plan:
    """Return the plan of a gang that is never seen to exchange or read: it computes all the time.

    Args:
        rate: steps/s under its cap.
        speed: part of its uncapped rate that the cap leaves it, (0, 1].
        busy_w: of its accelerators above idle.
        reasons: why it is extrapolated.
    """
    step_s = 1.0 / rate if rate > 0.0 else 0.0
    return Plan(
        rate=rate,
        compute_s=step_s * speed,
        throttled_s=step_s - step_s * speed,
        communication_s=0.0,
        hidden_s=0.0,
        network_bytes_per_step=0.0,
        sent_bytes_per_step=0.0,
        stream_bytes_per_step=0.0,
        input_bytes_per_step=0.0,
        busy_energy_per_step_j=busy_w / rate if rate > 0.0 else 0.0,
        busy_power_w=busy_w,
        extrapolated=bool(reasons),
        reasons=reasons,
    )


def _in_part(name: str) -> str:
    return f"{name}: slower in proportion on part of a device; measured on whole ones"
