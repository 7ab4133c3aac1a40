"""Elastic jobs that are wide while the grid is clean, narrow while it is not, and stopped while it is dirty.

With r_m the progress of a job at width m, in units of that at the width it asked for, a plan over slots i of
constant intensity c_i is

    minimise  sum_i c_i sum_m m t_im   such that   sum_m t_im <= length_i,   sum_im r_m t_im >= work

carbon being in proportion to accelerators times time. Where r is concave (on its least concave curve from
nothing on, otherwise) the greedy step is optimal: always the piece with the least carbon for its progress.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.elastic_goodput import concave_corners
from dcsim.policies.views import GridView, JobsView

__all__ = ["CarbonScale", "ScalingPlan", "cheapest_plan"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_DEAR = 1e30
"""Carbon of what there is no room for."""
_NO_TIME_S = 1e-3
"""Less than this left to spare, or to do, is nothing."""


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """When a job is how wide, slot by slot."""

    first_width: int
    """At the start of the first slot."""
    first_s: float
    """For how long, at most the first slot's length."""
    carbon: float
    """Accelerators times time times intensity, over all slots."""
    short: float
    """Work that does not fit however wide the job is."""
    width: Ints
    """(I,) the most it holds in each slot."""


def cheapest_plan(
    work_s: float,
    length_s: Floats,
    intensity: Floats,
    width: Sequence[int],
    rate: Sequence[float],
    room: Ints | None = None,
) -> ScalingPlan:
    """Return the plan with the least carbon.

    Args:
        work_s: to do, in seconds at rate 1, >= 0.
        length_s: (I,) of the slots, > 0.
        intensity: (I,) of the grid, >= 0.
        width: possible ones, ascending, > 0.
        rate: of progress at each, > 0.
        room: (I,) widest that there is room for in each slot; None: any.

    >>> hours = np.array([1.0, 1.0])
    >>> plan = cheapest_plan(2.0, hours, np.array([3.0, 1.0]), [1, 2], [1.0, 1.8])
    >>> plan.first_width, round(plan.first_s, 3), round(plan.carbon, 3)  # two wide in the second, the rest before
    (1, 0.2, 2.6)
    """
    corners = concave_corners([0, *width], [0.0, *rate])
    widths = np.array([0, *width], dtype=np.int64)[corners]
    rates = np.array([0.0, *rate])[corners]
    wider, faster = np.diff(widths), np.diff(rates)
    amount = length_s[:, None] * faster
    if room is not None:
        amount = np.where(widths[1:] <= room[:, None], amount, 0.0)
    # To nine digits, so that equal prices are equal: the earliest slot and the narrowest piece go first.
    price = np.where(amount > 0.0, intensity[:, None] * (wider / faster), _DEAR)
    digits = np.power(10.0, 9.0 - np.ceil(np.log10(np.where(price > 0.0, price, 1.0))))
    order = np.argsort(np.rint(price * digits) / digits, axis=None, kind="stable")
    reached = np.cumsum(amount.ravel()[order])
    whole = int(np.searchsorted(reached, work_s - _NO_TIME_S * 1e-3, side="left"))
    taken = np.zeros(amount.size)
    taken[order[:whole]] = 1.0
    short = 0.0
    if whole < len(order):
        before = float(reached[whole - 1]) if whole else 0.0
        taken[order[whole]] = max(0.0, work_s - before) / amount.ravel()[order[whole]]
    else:
        short = max(0.0, work_s - (float(reached[-1]) if len(reached) else 0.0))
    part = taken.reshape(amount.shape)
    carbon = float((part * length_s[:, None] * intensity[:, None] * wider).sum())
    full, least = part[0] >= 1.0, part[0] > 0.0
    first_s = float(length_s[0])
    if (least & ~full).any():
        first_s *= float(part[0][least & ~full][0])
    return ScalingPlan(
        first_width=int(wider[least].sum()),
        first_s=first_s,
        carbon=carbon,
        short=short,
        width=((part > 0.0) * wider).sum(axis=1),
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """What a decision on one job starts from."""

    left_s: float
    """Work left, in seconds at the width asked for."""
    length_s: Floats
    intensity: Floats
    width: list[int]
    rate: list[float]
    now: int
    """Accelerators held."""
    room: Ints
    """(I,) accelerators that jobs planned before leave in each slot."""
    restart_s: float
    """What a stop and a start are thought to take."""

    def plan(self) -> ScalingPlan:
        """Return the cleanest plan within the room, or without regard to it where the work does not fit in."""
        plan = cheapest_plan(self.left_s, self.length_s, self.intensity, self.width, self.rate, self.room)
        if plan.short <= _NO_TIME_S:
            return plan
        return cheapest_plan(self.left_s, self.length_s, self.intensity, self.width, self.rate)

    def with_first(self, width: int) -> float:
        """Return the carbon of holding a width through the first slot and of the best plan for the rest.

        Infinity where the rest would not fit.
        """
        rate = self.rate[self.width.index(width)] if width else 0.0
        length_s = float(self.length_s[0])
        rest_s = self.left_s - rate * length_s
        carbon = float(self.intensity[0]) * width
        if rest_s <= 0.0:
            return carbon * self.left_s / rate
        if len(self.length_s) == 1:
            return math.inf
        rest = cheapest_plan(
            rest_s, self.length_s[1:], self.intensity[1:], self.width, self.rate, self.room[1:]
        )
        return math.inf if rest.short > _NO_TIME_S else carbon * length_s + rest.carbon


class CarbonScale(EnergyPolicy):
    """Each deferrable job as wide, hour by hour, as makes its work cleanest before its slack is over.

    An elastic job is widened where the grid is clean and narrowed or stopped where it is not, by the carbon of
    each further accelerator's progress; one of fixed width is stopped and goes on, as under
    `carbon_suspend`. Jobs are planned one after another, those with least time to spare first, each within what the
    others and the running jobs without slack leave of the cluster. A change costs a stop and a start: it is made only where it saves more than
    `restart_s` at work would emit, or its start-up if that is longer. What further stops and starts take comes on top, so a
    job may end later than its slack by that.
    """

    name: ClassVar[str] = "carbon_scale"
    optimises: ClassVar[str] = "operational carbon of deferrable elastic jobs"
    source: ClassVar[str] = "Hanafy et al., CarbonScaler, SIGMETRICS (2024), algorithm 1"
    needs: ClassVar[str] = "progress at each width, slack and progress of jobs, a forecast of the grid"
    complexity: ClassVar[str] = (
        "O(n h w log(h w)) a decision, n jobs present, h changes of the forecast in their slack, w widths"
    )
    suspends: ClassVar[bool] = True
    scales: ClassVar[bool] = True
    reads_forecast: ClassVar[bool] = True

    def __init__(self, *, restart_s: float = 120.0) -> None:
        """Take what a stop and a start are thought to take together, >= 0.

        Raises:
            PolicyError: not a finite number of seconds >= 0.
        """
        if not 0.0 <= restart_s < math.inf:
            msg = f"{self.name}.restart_s: {restart_s} -> expected a finite duration in seconds >= 0"
            raise PolicyError(msg)
        self.restart_s = restart_s

    def widths(self, jobs: JobsView, active: ActiveJobs, grid: GridView) -> tuple[Ints, float]:
        """Return (K,) widths of deferrable jobs, 0: none for now, -1: not its to say; and when to ask again."""
        said, again_s = np.full(len(active), -1, dtype=np.int64), math.inf
        rows = active.row
        deferrable = (jobs.slack_s[rows] > 0.0) & (jobs.accelerators[rows] > 0)
        if not deferrable.any():
            return said, again_s
        restart_s = np.maximum(self.restart_s, jobs.startup_s[rows])
        latest_s = jobs.submit_s[rows] + jobs.slack_s[rows] + jobs.estimated_duration_s[rows] - restart_s
        left_s = active.left_s(jobs)
        starts_s = _slots(grid, max(grid.now_s, float(latest_s[deferrable].max())))
        intensity = grid.carbon_mean_kg_per_j(starts_s, 0.0)
        others = int(active.width[active.running & ~deferrable].sum())
        room = np.full(len(starts_s), int(active.type_accelerators.sum()) - others, dtype=np.int64)
        # Who has least time to spare is planned first; the others plan with what it leaves.
        for at in np.lexsort((rows, latest_s - left_s)).tolist():
            width, rate = _curve(jobs, active, at) if deferrable[at] else ([], [])
            if not width or left_s[at] <= _NO_TIME_S:
                continue
            length_s = _lengths(starts_s, grid.now_s, float(latest_s[at]), float(left_s[at]))
            slots = len(length_s)
            left, now = float(left_s[at]), int(active.width[at])
            job = _Job(
                left, length_s, intensity[:slots], width, rate, now, room[:slots], float(restart_s[at])
            )
            plan = job.plan()
            said[at], lasts_s = self._width(job, plan)
            if latest_s[at] - grid.now_s > _NO_TIME_S:  # who is too late goes as fast as it can, to its end
                again_s = min(again_s, grid.now_s + lasts_s)
            room[:slots] -= np.maximum(plan.width, 0)
            room[0] -= max(0, int(said[at]) - int(plan.width[0]))
        return said, again_s

    @staticmethod
    def _width(job: _Job, plan: ScalingPlan) -> tuple[int, float]:
        """Return the width that a job is to hold now, and for how long at most."""
        slot_s = float(job.length_s[0])
        if plan.short > _NO_TIME_S:
            return job.width[int(np.argmax(job.rate))], slot_s
        if job.now in {plan.first_width, 0}:
            brief = 0.0 < plan.first_s < job.restart_s and plan.first_width > job.now
            if brief and job.with_first(job.now) < math.inf:
                return job.now, slot_s
            return plan.first_width, plan.first_s if plan.first_width else slot_s
        if job.now not in job.width:
            return plan.first_width, plan.first_s
        restart = float(job.intensity[0]) * max(plan.first_width, job.now) * job.restart_s
        stays = job.with_first(job.now) <= plan.carbon + restart
        return (job.now, slot_s) if stays else (plan.first_width, plan.first_s)


def _slots(grid: GridView, until_s: float) -> Floats:
    """Return (I,) the starts of the slots of constant intensity from now on, the first of them now."""
    inside = grid.breakpoints_s(grid.now_s, until_s)
    return np.concatenate([[grid.now_s], inside[(inside > grid.now_s) & (inside < until_s)]])


def _lengths(starts_s: Floats, now_s: float, latest_s: float, left_s: float) -> Floats:
    """Return the lengths of a job's slots until its work has to be done; where it is too late for that, one."""
    if latest_s - now_s <= _NO_TIME_S:
        return np.array([left_s])
    starts_s = starts_s[starts_s < latest_s]
    return np.diff(np.append(starts_s, latest_s))


def _curve(jobs: JobsView, active: ActiveJobs, at: int) -> tuple[list[int], list[float]]:
    """Return the widths a job can have and its progress at each, over that at the width it asked for.

    On the type it is on, or else where it does best.
    """
    row, asked = int(active.row[at]), int(jobs.accelerators[active.row[at]])
    kinds = range(len(active.type_accelerators))
    usual = max(kinds, key=lambda kind: (active.steps_per_s(row, asked, kind), -kind))
    base = active.steps_per_s(row, asked, usual)
    held = int(active.accelerator_type[at])
    kind = usual if held < 0 else held
    if base <= 0.0:
        return [], []
    least = int(jobs.min_accelerators[row]) or asked
    most = int(jobs.max_accelerators[row]) or asked
    rates = {width: active.steps_per_s(row, width, kind) / base for width in range(least, most + 1)}
    width = [number for number, rate in rates.items() if rate > 0.0]
    return width, [rates[number] for number in width]
