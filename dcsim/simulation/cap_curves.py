"""How kinds of running jobs go under each cap: worked out once a kind and cap, for as long as the kind runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dcsim.policies.power_view import KindNotes
from dcsim.simulation.costing import Plan
from dcsim.simulation.gang_plans import GangPlans
from dcsim.simulation.running import RunningJob

__all__ = ["CAP_STEPS", "CapCurves", "CapKind"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Curve = Callable[[Floats], Floats]
_Key = tuple[int, float, int, int]

CAP_STEPS = 1000
"""Caps are set in thousandths of peak power."""
_LINE = CAP_STEPS + 1
_KEPT = 256
"""So many kinds are kept of which no job runs now."""


@dataclass(slots=True, eq=False)
class CapKind:
    """Jobs with the same curves: the same plan without a cap, the same cores, the same least cap and width."""

    key: _Key
    alone: Plan
    """Without a cap; kept, so that no other plan has its id."""
    least: int
    """Thousandths that its accelerators can hold."""
    line: int
    """Of the tables."""
    jobs: int = 0
    """That run now."""
    notes: KindNotes = field(default_factory=dict)
    """What policies keep of it."""


class _Tables:
    """Points of the curves, (kind, thousandth) -> speed and W, end to end; NaN: not worked out yet."""

    __slots__ = ("power_w", "speed")

    def __init__(self, lines: int) -> None:
        self.speed = np.full(lines * _LINE, np.nan)
        self.power_w = np.full(lines * _LINE, np.nan)

    @property
    def lines(self) -> int:
        return len(self.speed) // _LINE


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
        self._tables = _Tables(16)
        self._used = 0

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
            if self._used == self._tables.lines:
                self._make_room()
            kind = self._kinds[key] = CapKind(key, running.alone, least, self._used)
            self._used += 1
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

    def _make_room(self) -> None:
        """Go on in new tables, half empty and without the kinds that are gone: views keep the old ones."""
        old, self._tables = self._tables, _Tables(2 * len(self._kinds) + 16)
        for line, kind in enumerate(self._kinds.values()):
            here, there = _line(line), _line(kind.line)
            self._tables.speed[here] = old.speed[there]
            self._tables.power_w[here] = old.power_w[there]
            kind.line = line
        self._used = len(self._kinds)

    def seen(self, jobs: Sequence[tuple[RunningJob, CapKind]]) -> tuple[Curve, Curve]:
        """Return what tells K jobs' speeds, over those without a cap, and W above idle servers, at (K,) caps."""
        tables, begin = self._tables, np.array([kind.line * _LINE for _, kind in jobs], dtype=np.int64)
        least = np.array([kind.least for _, kind in jobs], dtype=np.int64)

        def points(caps: Floats) -> Ints:
            steps = np.floor(np.asarray(caps) * CAP_STEPS + 1e-9).astype(np.int64)
            at = begin + np.minimum(CAP_STEPS, np.maximum(least, steps))
            unknown = np.isnan(tables.speed.take(at))
            if unknown.any():
                self._work_out(tables, jobs, at, np.flatnonzero(unknown).tolist())
            return np.asarray(at)

        return lambda caps: tables.speed.take(points(caps)), lambda caps: tables.power_w.take(points(caps))

    def _work_out(
        self, tables: _Tables, jobs: Sequence[tuple[RunningJob, CapKind]], at: Ints, places: list[int]
    ) -> None:
        for place in places:
            point = int(at[place])
            if not math.isnan(tables.speed[point]):
                continue  # by another job of the kind
            running, kind = jobs[place]
            cap = point % _LINE / CAP_STEPS
            plan = self._plans.at_cap(running.index, running.placement, running.width, cap)
            tables.speed[point] = plan.rate / kind.alone.rate
            tables.power_w[point] = plan.busy_energy_per_step_j * plan.rate + running.cpu_power_w


def _line(number: int) -> slice:
    return slice(number * _LINE, (number + 1) * _LINE)
