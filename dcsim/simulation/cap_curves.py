"""How kinds of running jobs go under each cap: worked out once a kind and cap, for as long as the kind runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dcsim.policies.power_view import KindNotes
from dcsim.simulation.costing import Plan
from dcsim.simulation.gang_plans import GangPlans
from dcsim.simulation.running import RunningJob

__all__ = ["CAP_STEPS", "CapCurves", "CapKind"]

Floats = npt.NDArray[np.float64]
_Key = tuple[int, float, int, int]

CAP_STEPS = 1000
"""Caps are set in thousandths of peak power."""
_KEPT = 256
"""So many kinds are kept of which no job runs now."""


def _no_points() -> list[float | None]:
    return [None] * (CAP_STEPS + 1)


@dataclass(slots=True, eq=False)
class CapKind:
    """Jobs with the same curves: the same plan without a cap, the same cores, the same least cap."""

    key: _Key
    alone: Plan
    """Without a cap; kept, so that no other plan has its id."""
    least: int
    """Thousandths that its accelerators can hold."""
    jobs: int = 0
    """That run now."""
    speed: list[float | None] = field(default_factory=_no_points)
    """At each thousandth: own rate over that without a cap; None: not worked out yet."""
    power_w: list[float | None] = field(default_factory=_no_points)
    """At each thousandth: W above idle servers."""
    notes: KindNotes = field(default_factory=dict)
    """What policies keep of it."""


class CapCurves:
    """The kinds of the running jobs.

    Args:
        plans: of gangs under a cap.
    """

    def __init__(self, plans: GangPlans) -> None:
        self._plans = plans
        self._kinds: dict[_Key, CapKind] = {}
        self._left: dict[_Key, None] = {}
        """Kinds of which no job runs now, in the order in which the last one left."""

    def __len__(self) -> int:
        return len(self._kinds)

    def join(self, running: RunningJob, least: int) -> CapKind:
        """Return the kind of a job that starts; `running.alone` is its plan without a cap.

        Args:
            running: the job.
            least: thousandths that its accelerators can hold.
        """
        key = (id(running.alone), running.cpu_power_w, least, running.width)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = CapKind(key, running.alone, least)
        self._left.pop(key, None)
        kind.jobs += 1
        return kind

    def leave(self, kind: CapKind) -> None:
        """A job of a kind ended: the kind is kept for a while, in case that others follow."""
        kind.jobs -= 1
        if kind.jobs == 0:
            self._left[kind.key] = None
            if len(self._left) > _KEPT:
                oldest = next(iter(self._left))
                del self._left[oldest], self._kinds[oldest]

    def speeds(self, jobs: Sequence[tuple[RunningJob, CapKind]], caps: Floats) -> Floats:
        """Return (K,) own rates of jobs under (K,) caps, over those without a cap."""
        steps = self._steps(jobs, caps)
        return np.array([kind.speed[step] for (_, kind), step in zip(jobs, steps, strict=True)], np.float64)

    def powers_w(self, jobs: Sequence[tuple[RunningJob, CapKind]], caps: Floats) -> Floats:
        """Return (K,) W above idle servers of jobs under (K,) caps, at their own rates."""
        steps = self._steps(jobs, caps)
        return np.array([kind.power_w[step] for (_, kind), step in zip(jobs, steps, strict=True)], np.float64)

    def _steps(self, jobs: Sequence[tuple[RunningJob, CapKind]], caps: Floats) -> list[int]:
        """Return the thousandths that hold, with their points worked out."""
        wanted = np.floor(np.broadcast_to(caps, (len(jobs),)) * CAP_STEPS + 1e-9).astype(np.int64).tolist()
        steps = []
        for (running, kind), want in zip(jobs, wanted, strict=True):
            step = min(CAP_STEPS, max(kind.least, want))
            if kind.speed[step] is None:
                self._work_out(running, kind, step)
            steps.append(step)
        return steps

    def _work_out(self, running: RunningJob, kind: CapKind, step: int) -> None:
        plan = self._plans.at_cap(running.index, running.placement, running.width, step / CAP_STEPS)
        kind.speed[step] = plan.rate / kind.alone.rate
        kind.power_w[step] = plan.busy_energy_per_step_j * plan.rate + running.cpu_power_w
