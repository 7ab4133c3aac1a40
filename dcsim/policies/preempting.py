"""A static order with preemption: the same keys at every decision."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.policies.active import ActiveJobs, Decision
from dcsim.policies.base import DynamicOrdering, OrderingPolicy
from dcsim.policies.views import JobsView

__all__ = ["PreemptingKeys"]


class PreemptingKeys(DynamicOrdering):
    """What a preemptive ordering with static keys becomes when it runs: nobody pushes out an equal."""

    name: ClassVar[str] = "preempting"
    optimises: ClassVar[str] = "what its keys do"
    source: ClassVar[str] = "-"

    def __init__(self, policy: OrderingPolicy, keys: npt.NDArray[np.float64]) -> None:
        """Take the policy and the keys (N,) it gave."""
        super().__init__(skip=policy.skip)
        self._keys = keys

    def keys_now(self, jobs: JobsView, active: ActiveJobs) -> npt.NDArray[np.float64]:
        """Return the static keys of the active jobs."""
        return np.asarray(self._keys[active.row])

    def decide(self, jobs: JobsView, active: ActiveJobs) -> Decision:
        """Return all active jobs in the order of their keys; of equals those that run go first, then by submission."""
        order = np.lexsort((active.row, ~active.running, self.keys_now(jobs, active)))
        return Decision(order, jobs.accelerators[active.row])
