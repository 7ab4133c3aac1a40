"""What the jobs of a run ask for, counted by shape: all that a policy may know of jobs to come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import DemandView

__all__ = ["demand_of"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def demand_of(
    accelerators: Ints,
    accelerator_share: Floats,
    cpu_cores: Floats,
    memory_bytes: Floats,
    types: Ints,
    allowed: Sequence[Bools | None],
) -> DemandView:
    """Return how often each shape of request comes, in order of the shapes' numbers.

    Args:
        accelerators: (N,) whole devices of each job; 0: CPU-only.
        accelerator_share: (N,) 1, or the part wanted of one device.
        cpu_cores: (N,) cores wanted in all.
        memory_bytes: (N,) memory wanted in all.
        types: (N,) which of `allowed` suits each job; -1: the last.
        allowed: (S,) masks of servers; None: all.

    >>> one = np.ones(3)
    >>> demand = demand_of(np.array([1, 2, 1]), one, one, one, np.array([-1, -1, -1]), (None,))
    >>> demand.accelerators.tolist(), demand.jobs.tolist()
    ([1, 2], [2, 1])
    """
    columns = np.column_stack([accelerators, accelerator_share, cpu_cores, memory_bytes, types])
    shapes, jobs = np.unique(columns, axis=0, return_counts=True)
    view = DemandView(
        shapes[:, 0].astype(np.int64),
        shapes[:, 1],
        shapes[:, 2],
        shapes[:, 3],
        tuple(allowed[int(code)] for code in shapes[:, 4]),
        jobs.astype(np.int64),
    )
    for name in ("accelerators", "accelerator_share", "cpu_cores", "memory_bytes", "jobs"):
        getattr(view, name).flags.writeable = False
    return view
