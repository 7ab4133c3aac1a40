"""What a policy may see: read-only arrays and small frozen records, never the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dcsim.policies.demand_event import DemandEvent
from dcsim.policies.heat_view import HeatView

__all__ = [
    "ClusterView",
    "DemandView",
    "FindFree",
    "GridView",
    "JobView",
    "JobsView",
    "Placement",
    "PlacementRequest",
]

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]
Shorts = npt.NDArray[np.int16]

Placement = tuple[tuple[int, int], ...]
"""(server index, accelerators there) for each server of the gang, servers ascending and distinct."""


@dataclass(frozen=True, slots=True)
class JobView:
    """One job as an energy policy sees it when the job is submitted."""

    index: int
    submit_s: float
    accelerators: int
    estimated_duration_s: float
    """Run time alone and uncapped on the best placement of this cluster."""
    slack_s: float
    tenant: int


@dataclass(frozen=True, slots=True)
class JobsView:
    """All N jobs of the run as columns of length N, not writeable.

    A policy may use a row only for the decision about that row's job: nothing here says when
    other jobs arrive that could not be known then.
    """

    submit_s: Floats
    accelerators: Ints
    estimated_duration_s: Floats
    slack_s: Floats
    tenant: Ints
    compute_fraction: Floats
    """Part of the ideal step time in which the accelerators compute, 0..1."""
    priority: Floats
    """Larger is more important."""
    deadline_s: Floats
    """Absolute; NaN: none."""
    time_limit_s: Floats
    """Wall-time limit of an attempt; NaN: none."""
    min_accelerators: Ints
    """Least width of an elastic job; 0: rigid."""
    max_accelerators: Ints
    accelerator_share: Floats
    cpu_cores: Floats
    memory_bytes: Floats
    startup_s: Floats
    """Part of `estimated_duration_s` in which it prepares, at each attempt anew, before its first step there."""

    def __len__(self) -> int:
        return len(self.submit_s)


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """What a gang needs; all of it at one instant or nothing."""

    accelerators: int
    """0: a CPU-only job (its placement is ((server, 0),))."""
    accelerator_share: float = 1.0
    """1.0, or the part wanted of one device."""
    max_servers: int = 0
    """0: any number."""
    cpu_cores: float = 0.0
    memory_bytes: float = 0.0
    """Totals; spread over the gang's servers in proportion to accelerators."""
    allowed: Bools | None = None
    """(S,) servers whose accelerator type suits; None: all. A gang is placed on one type only."""
    draw: float = 0.0
    """In [0, 1), from the job's named random stream; for policies that draw (`draws`), else 0."""
    speed: Floats | None = None
    """(S,) speed of the job on each server's accelerators over that on the fastest that suits it, 0..1;
    None: the same on all. For policies that weigh types (`weighs_types`): `allowed` then spans types."""


@dataclass(frozen=True, slots=True)
class DemandView:
    """How often each shape of request comes in the jobs of a run: K shapes, columns of length K.

    What a placement policy may know of jobs to come: no times, no order.
    """

    accelerators: Ints
    accelerator_share: Floats
    cpu_cores: Floats
    memory_bytes: Floats
    allowed: tuple[Bools | None, ...]
    """(S,) servers whose accelerator type suits, for each shape; None: all."""
    jobs: Ints
    """Jobs of that shape, >= 1."""

    def __len__(self) -> int:
        return len(self.jobs)


class FindFree(Protocol):
    """Finds the first server from `start` on with exactly `free` whole free devices, or -1."""

    def __call__(self, free: int, start: int = 0) -> int:
        """Return the index of that server, or -1."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The S servers now, as arrays of length S that cannot be written."""

    total_accelerators: Ints
    rack: Ints
    """Rack of each server, ascending."""
    rack_start: Ints
    """(R,) first server of each rack."""
    free_accelerators: Bytes
    """Whole free devices (uint8: use `room` for arithmetic)."""
    asleep: Bools
    free_cpu_cores: Floats
    free_memory_bytes: Floats
    largest_free_share: Floats
    """Largest free part of one device, 0..1."""
    largest_server: int
    """Accelerators of the largest server."""
    cpu_memory_binding: bool
    """False: no job of this run can lack CPU or memory where accelerators are free."""
    find_free: FindFree
    """find_free(free, start=0): first server >= start with exactly `free` whole devices, else -1.
    Much faster than building `room`."""
    cpu_cores: Floats | None = None
    """(S,) cores of each server, free or not; None: not told."""
    memory_bytes: Floats | None = None
    """(S,) memory of each server, free or not; None: not told."""
    free_units: Shorts | None = None
    """(S, G) free thousandths of each device, 0 where a server has fewer; None where no job asks for a
    part of a device: `units` gives them in both cases."""
    job_kinds: Masks | None = None
    """(S,) bit 0: parts of the server's devices are in use; bit n: a job holds n whole ones. None: not
    told (a policy that needs it says `counts_kinds`)."""
    accelerator_type: Ints | None = None
    """(S,) code of the server's accelerators, -1 without; None: all servers have the same."""
    link_loads: Callable[[], tuple[Floats, Floats]] | None = None
    """Gives (S,) and (R,) the busier direction's load of each server's link and each rack's uplink now,
    0..1; None: not told (a policy that needs it says `knows_links`)."""
    demand: DemandView | None = None
    """What the run's jobs ask for; None: not told (a policy that needs it says `knows_demand`)."""
    heat: HeatView | None = None
    """How the air of the hall mixes; None: not told (a policy that needs it says `knows_heat`)."""

    def only_accelerators_matter(self, request: PlacementRequest) -> bool:
        """Return whether free whole devices alone decide if `request` fits a server."""
        return (
            request.allowed is None
            and request.accelerators > 0
            and request.accelerator_share == 1.0
            and not self.cpu_memory_binding
        )

    def units(self) -> Shorts:
        """Return (S, G) free thousandths of each device, G the most a server has.

        Where no part of a device was ever taken the whole free ones come first.

        >>> from dcsim.testing.strategies import make_cluster_view
        >>> make_cluster_view([2, 1], free=[1, 1]).units().tolist()
        [[1000, 0], [1000, 0]]
        """
        if self.free_units is not None:
            return self.free_units
        whole = self.free_accelerators.astype(np.int64)[:, None]
        numbers = np.arange(self.largest_server)
        part = np.rint(self.largest_free_share * 1000.0)[:, None]
        # A server without a whole free device may have one that is free in part.
        units = np.where(numbers < whole, 1000, np.where((whole == 0) & (numbers == 0), part, 0))
        return np.asarray(units, dtype=np.int16)

    def room(self, request: PlacementRequest) -> Ints:
        """Return (S,) how many accelerators of `request` fit each server now.

        For a fractional or CPU-only request it is 1 where the job fits and 0 elsewhere.
        """
        whole = request.accelerator_share == 1.0 and request.accelerators > 0
        if request.accelerators == 0:
            room = np.ones(len(self.rack), dtype=np.int64)
        elif whole:
            room = self.free_accelerators.astype(np.int64)
        else:
            room = (self.largest_free_share >= request.accelerator_share).astype(np.int64)
        if self.cpu_memory_binding:
            parts = max(1, request.accelerators)
            for free, wanted in (
                (self.free_cpu_cores, request.cpu_cores / parts),
                (self.free_memory_bytes, request.memory_bytes / parts),
            ):
                if wanted > 0.0:  # a relative epsilon forgives the division by parts, and less than a byte
                    fits = np.floor(free / wanted * (1.0 + 1e-15))
                    room = np.minimum(room, np.minimum(fits, 2.0**31).astype(np.int64))
        if request.allowed is not None:
            room = np.where(request.allowed, room, 0)
        return room


def _untold(starts_s: Floats, duration_s: float) -> Floats:  # noqa: ARG001  called as other means are
    """Stand for a series that the scenario does not give."""
    return np.full(np.shape(starts_s), np.nan)


@dataclass(frozen=True, slots=True)
class GridView:
    """What a policy may know of the grid at an instant: the present, and the forecast issued last.

    Means are asked as (start times (K,) >= now_s, duration s) -> (K,) mean over [start, start + duration);
    duration 0 gives the values at the starts. `breakpoints` are asked as (from, to) -> ascending times in
    [from, to] at which the forecast changes; between them values are constant.

    >>> from dcsim.testing.strategies import make_grid_view
    >>> view = make_grid_view(carbon=[2e-7, 1e-7], price=[3e-8, 5e-8])
    >>> view.carbon_kg_per_j, view.price_usd_per_j
    (2e-07, 3e-08)
    >>> float(view.carbon_mean_kg_per_j(np.array([1800.0]), 3600.0)[0]) == 1.5e-7
    True
    """

    now_s: float
    carbon_mean_kg_per_j: Callable[[Floats, float], Floats]
    """Of the intensity that the scenario lets policies steer by (`grid.steer_by`)."""
    price_mean_usd_per_j: Callable[[Floats, float], Floats]
    """Of the energy bought."""
    breakpoints_s: Callable[[float, float], Floats]
    """Where the carbon intensity changes."""
    price_breakpoints_s: Callable[[float, float], Floats]
    """Where the price changes."""
    marginal_mean_kg_per_j: Callable[[Floats, float], Floats] = _untold
    """Of the marginal intensity; NaN where the scenario gives none."""
    export_price_mean_usd_per_j: Callable[[Floats, float], Floats] = _untold
    """Of the energy sold; NaN where none is sold."""
    events: tuple[DemandEvent, ...] = ()
    """Of demand response: those notified and not over."""
    news_s: float = float("inf")
    """When the next event is notified: to ask again then, and nothing else; infinity: never."""

    @property
    def carbon_kg_per_j(self) -> float:
        """The intensity now, kg/J."""
        return self._now(self.carbon_mean_kg_per_j)

    @property
    def marginal_kg_per_j(self) -> float:
        """The marginal intensity now, kg/J; NaN where the scenario gives none."""
        return self._now(self.marginal_mean_kg_per_j)

    @property
    def price_usd_per_j(self) -> float:
        """The price of energy bought now, USD/J."""
        return self._now(self.price_mean_usd_per_j)

    @property
    def export_price_usd_per_j(self) -> float:
        """The price of energy sold now, USD/J; NaN where none is sold."""
        return self._now(self.export_price_mean_usd_per_j)

    def any_breakpoints_s(self, from_s: float, to_s: float) -> Floats:
        """Return the times in [from_s, to_s] at which carbon intensity or price changes, ascending, each once."""
        return np.union1d(self.breakpoints_s(from_s, to_s), self.price_breakpoints_s(from_s, to_s))

    def _now(self, mean: Callable[[Floats, float], Floats]) -> float:
        return float(mean(np.array([self.now_s]), 0.0)[0])
