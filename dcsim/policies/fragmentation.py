"""Fragmentation: how much of a server's free accelerators the jobs that usually come cannot use.

Source: Weng, Yang, Yu, Wang, Tang, Yang, Zhang, Beware of Fragmentation: Scheduling GPU-Sharing
Workloads with Fragmentation Gradient Descent, USENIX ATC (2023), sections 4.2 and 4.3. As there, cores
and accelerators count, memory does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import DemandView

__all__ = ["TypicalJobs", "fragmented_units", "typical_jobs"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Shorts = npt.NDArray[np.int16]

_WHOLE = 1000
_ROWS_AT_ONCE = 8192
"""Servers for which the (servers, shapes, devices) table is built at once, to bound memory."""


@dataclass(frozen=True, slots=True)
class TypicalJobs:
    """The M most frequent shapes of jobs, most frequent first."""

    devices: Ints
    """(M,) devices wanted; 0: CPU-only."""
    units: Ints
    """(M,) thousandths wanted of each of them."""
    cpu_cores: Floats
    """(M,) cores wanted."""
    allowed: tuple[Bools | None, ...]
    """(S,) servers whose accelerator type suits; None: all."""
    weight: Floats
    """(M,) part of the typical jobs, sums to 1."""


def typical_jobs(demand: DemandView, popularity: float = 0.95) -> TypicalJobs:
    """Return the fewest most frequent shapes that make up `popularity` of all jobs.

    Shapes that differ in memory alone are one; of equally frequent ones the larger comes first.

    Args:
        demand: of the run; at least one shape.
        popularity: (0, 1].

    >>> shapes = DemandView(*map(np.array, ([1, 0], [0.5, 1.0], [2.0, 4.0], [0.0, 0.0])), (None, None),
    ...     np.array([9, 1]))
    >>> typical_jobs(shapes, 0.9).units.tolist(), typical_jobs(shapes).weight.tolist()
    ([500], [0.9, 0.1])
    """
    whole = np.minimum(demand.accelerators, 1) * _WHOLE
    units = np.where(demand.accelerator_share < 1.0, np.ceil(demand.accelerator_share * _WHOLE - 1e-6), whole)
    numbers: dict[int, int] = {}  # masks by first appearance: one a set of types
    masks = [numbers.setdefault(id(mask), len(numbers)) for mask in demand.allowed]
    columns = np.column_stack([demand.cpu_cores, units, demand.accelerators, masks])
    shapes, first, inverse = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    jobs = np.bincount(inverse.ravel(), weights=demand.jobs).astype(np.float64)
    # unique() sorts by cores, units, devices: backwards, and a stable sort, put the larger first.
    order = np.argsort(-jobs[::-1], kind="stable")
    order = (len(shapes) - 1 - order)[: _enough(jobs[::-1][order], popularity)]
    return TypicalJobs(
        devices=shapes[order, 2].astype(np.int64),
        units=shapes[order, 1].astype(np.int64),
        cpu_cores=shapes[order, 0],
        allowed=tuple(demand.allowed[row] for row in first[order].tolist()),
        weight=jobs[order] / jobs[order].sum(),
    )


def _enough(jobs: Floats, popularity: float) -> int:
    """Return how many of the shapes with so many jobs, most first, make up `popularity` of all."""
    return int(np.searchsorted(np.cumsum(jobs), popularity * jobs.sum() * (1.0 - 1e-12))) + 1


def fragmented_units(free_units: Shorts, free_cpu: Floats, servers: Ints, typical: TypicalJobs) -> Floats:
    """Return (K,) thousandths of devices that the average typical job cannot use, of each server.

    For a job that the server cannot host (too few devices with enough left, too few cores, another
    type), all that is free is fragmented; for one that it can, what is left on devices with too little.
    CPU-only jobs use no accelerator, so to them all is.

    Args:
        free_units: (K, G) free thousandths of each device.
        free_cpu: (K,) free cores; infinity where cores do not count.
        servers: (K,) their indices, for the types of accelerators.
        typical: the jobs that usually come.

    >>> half = TypicalJobs(np.array([1]), np.array([500]), np.array([1.0]), (None,), np.array([1.0]))
    >>> free = np.array([[600, 400], [600, 400], [400, 400]], dtype=np.int16)
    >>> fragmented_units(free, np.array([8.0, 0.5, 8.0]), np.arange(3), half).tolist()
    [400.0, 1000.0, 800.0]
    """
    parts = [
        _fragmented(free_units[rows], free_cpu[rows], servers[rows], typical)
        for rows in (slice(at, at + _ROWS_AT_ONCE) for at in range(0, len(servers), _ROWS_AT_ONCE))
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _fragmented(free_units: Shorts, free_cpu: Floats, servers: Ints, typical: TypicalJobs) -> Floats:
    enough_left = free_units[:, None, :] >= typical.units[:, None].astype(np.int16)
    hosts = enough_left.sum(axis=2) >= typical.devices
    # Thousandths of a core, as they are asked for: differences of such fractions carry rounding.
    enough_cores = np.rint(free_cpu * 1000.0)[:, None] >= np.rint(typical.cpu_cores * 1000.0)
    hosts &= enough_cores & (typical.devices > 0)
    for column, mask in enumerate(typical.allowed):
        if mask is not None:
            hosts[:, column] &= mask[servers]
    stranded = np.where(enough_left, np.int16(0), free_units[:, None, :]).sum(axis=2, dtype=np.int64)
    free = free_units.sum(axis=1, dtype=np.int64)[:, None]
    wasted: Floats = (np.where(hosts, stranded, free) * typical.weight).sum(axis=1)
    return wasted
