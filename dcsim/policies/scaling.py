"""Widths by an energy policy: it says how wide jobs are for a while, whatever orders them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs, Decision
from dcsim.policies.suspending import Suspending
from dcsim.policies.views import JobsView

__all__ = ["Scaling"]

Ints = npt.NDArray[np.int64]


class Scaling(Suspending):
    """What an ordering policy decides, at the widths that an energy policy says, as far as there is room.

    A job that is to be wider than there is room for gets what is free, at least its least width; one that
    is to hold nothing is left out.
    """

    name: ClassVar[str] = "scaling"

    def decide(self, jobs: JobsView, active: ActiveJobs) -> Decision:
        """Return the decision at other widths, to be asked again when one of them changes.

        Raises:
            PolicyError: the energy policy does not say a width for each job.
        """
        said = self._energy.widths(jobs, active, self._grid(active.now_s))
        widths, again_s = np.asarray(said[0]), float(said[1])
        if widths.shape != active.row.shape or widths.dtype.kind not in "iu":
            msg = f"{self._energy.name}: widths of shape {widths.shape}, {widths.dtype}"
            raise PolicyError(f"{msg} -> expected ({len(active)},) whole numbers")
        decision = self._policy.decide(jobs, active)
        order, width = self._fitted(jobs, active, decision, widths)
        return replace(decision, order=order, width=width, again_s=min(decision.again_s, again_s))

    @staticmethod
    def _fitted(jobs: JobsView, active: ActiveJobs, decision: Decision, widths: Ints) -> tuple[Ints, Ints]:
        """Return the order without jobs that are to hold nothing, and the widths that there is room for."""
        rows, given = active.row, np.array(decision.width, dtype=np.int64)
        least = np.where(
            jobs.min_accelerators[rows] > 0, jobs.min_accelerators[rows], jobs.accelerators[rows]
        )
        room = active.free_accelerators + int(active.width[(widths >= 0) & active.running].sum())
        order = []
        for at in np.asarray(decision.order).tolist():
            if widths[at] == 0:
                continue
            order.append(at)
            if widths[at] > 0:
                given[at] = max(int(least[at]), min(int(widths[at]), room))
            elif active.running[at]:
                continue  # it has its own
            if given[at] <= room:
                room -= int(given[at])
        return np.array(order, dtype=np.int64), given
