"""What a policy that decides again and again may see and say: the jobs present, and who holds what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.policies.views import JobsView

__all__ = ["ActiveJobs", "Decision", "TenantsView"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TenantsView:
    """The tenants of the run, as columns; index = `JobsView.tenant`."""

    weight: Floats
    """Share of the cluster that is due to a tenant, over the sum of all weights; > 0."""
    guaranteed_accelerators: Ints
    """Devices that others may use only while this tenant does not want them."""


@dataclass(frozen=True, slots=True)
class ActiveJobs:
    """The K jobs that may be placed and have not ended, waiting or running, as columns of length K.

    In order of `row`, which indexes `JobsView`.
    """

    now_s: float
    row: Ints
    width: Ints
    """Accelerators held now; 0: it waits, or runs on CPUs."""
    running: Bools
    """Whether it holds servers."""
    accelerator_type: Ints
    """Index into `type_accelerators` of what it holds; -1: it waits, or runs on CPUs."""
    attained_accelerator_s: Floats
    """Service so far: accelerators times the time they were held."""
    reached_s: Floats
    """(K, Q) the decision at which the service was first seen to be at each of the policy's
    `service_thresholds_accelerator_s`; NaN: not yet."""
    held_s: Floats
    """Time for which it held servers."""
    type_held_s: Floats
    """(K, T) the same, by accelerator type."""
    waiting_since_s: Floats
    """When it came or was last preempted; now while it runs."""
    left_fraction: Floats
    """Part of its work that is left, 0..1; NaN unless the policy has `knows_progress`."""
    startup_left_s: Floats
    """Of its start-up, before it works again: all of it while it waits, nothing while it works."""
    type_accelerators: Ints
    """(T,) accelerators of each type of the cluster."""
    free_accelerators: int
    """Whole devices free in the cluster."""
    total_cpu_cores: float
    """Of the cluster."""
    total_memory_bytes: float
    """Of the cluster."""
    ended_service_accelerator_s: Floats
    """(E,) service of the jobs that have ended, in the order in which they did."""
    tenants: TenantsView
    steps_per_s: Callable[[int, int, int], float]
    """(row, width, type) -> progress in the job's own steps/s on the fewest servers of that type, alone and
    uncapped; 0 where it cannot run there."""

    def __len__(self) -> int:
        return len(self.row)

    def left_s(self, jobs: JobsView) -> Floats:
        """Return (K,) the ideal run time left: of its start-up, if it has to prepare (again), and of its work.

        A job that is stopped has its start-up before it once more, so this grows by `startup_s`. NaN unless the policy
        has `knows_progress`.
        """
        work_s = jobs.estimated_duration_s[self.row] - jobs.startup_s[self.row]
        return np.asarray(self.startup_left_s + work_s * self.left_fraction, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Decision:
    """Who should hold what from now on; positions are those in `ActiveJobs`."""

    order: Ints
    """Positions of the jobs to serve, most urgent first; a running job not among them is stopped."""
    width: Ints
    """(K,) accelerators each is to hold; a running job with another width is stopped and started anew."""
    accelerator_type: Ints | None = None
    """(K,) type each is to run on, -1: any that suits; None: any for all."""
    preempts: bool = True
    """Whether a job that does not fit may push out those that come after it in `order`."""
    again_s: float = float("inf")
    """When to decide again although nothing happens."""
    move: Bools | None = None
    """(K,) running jobs to be placed anew although they keep width and type: one for which the placement policy
    now names other servers is stopped and started there, the others go on; None: nobody."""
