"""Suspension: an energy policy takes jobs off their servers for a while, whatever orders the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs, Decision
from dcsim.policies.base import DecidingPolicy, EnergyPolicy
from dcsim.policies.views import GridView, JobsView

__all__ = ["CarbonSuspend", "PriceSuspend", "Suspending"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
MeanOf = Callable[[Floats, float], Floats]
BreakpointsOf = Callable[[float, float], Floats]
_NO_TIME_S = 1e-3
"""Less than this left to spare is nothing."""


class Suspending(DecidingPolicy):
    """What an ordering policy decides, without the jobs that an energy policy suspends."""

    name: ClassVar[str] = "suspending"
    optimises: ClassVar[str] = "what its two policies do"
    source: ClassVar[str] = "-"
    knows_progress: ClassVar[bool] = True
    in_line: ClassVar[bool] = False

    def __init__(
        self, policy: DecidingPolicy, energy: EnergyPolicy, grid: Callable[[float], GridView]
    ) -> None:
        """Take both policies, and what gives the forecast at an instant."""
        super().__init__(skip=policy.skip)
        self._policy = policy
        self._energy = energy
        self._grid = grid
        self.round_s = policy.round_s
        self.service_thresholds_accelerator_s = policy.service_thresholds_accelerator_s

    def decide(self, jobs: JobsView, active: ActiveJobs) -> Decision:
        """Return the decision with the suspended jobs left out, to be asked again when one may go on.

        Raises:
            PolicyError: the energy policy does not say of each job whether it is suspended.
        """
        said = self._energy.suspended(jobs, active, self._grid(active.now_s))
        suspended, again_s = np.asarray(said[0]), float(said[1])
        if suspended.shape != active.row.shape or suspended.dtype != np.bool_:
            msg = f"{self._energy.name}: suspensions of shape {suspended.shape}, {suspended.dtype}"
            raise PolicyError(f"{msg} -> expected ({len(active)},) truth values")
        seen = active
        if not self._policy.knows_progress:
            seen = replace(active, left_fraction=np.full(len(active), math.nan))
        decision = self._policy.decide(jobs, seen)
        order = np.asarray(decision.order)
        return replace(decision, order=order[~suspended[order]], again_s=min(decision.again_s, again_s))


class CarbonSuspend(EnergyPolicy):
    """A deferrable job works only in the cleanest hours that together suffice before its slack is over.

    It is stopped where the grid is dirtier and goes on where it is cleaner. What stopping and starting
    cost comes on top, so a job may end later than its slack by as much.
    """

    name: ClassVar[str] = "carbon_suspend"
    optimises: ClassVar[str] = "operational carbon of deferrable jobs that can be interrupted"
    source: ClassVar[str] = "Wiesner et al., Let's Wait Awhile, Middleware (2021), interrupting scheduling"
    needs: ClassVar[str] = "run times, slack and progress of jobs, a forecast of the grid"
    complexity: ClassVar[str] = (
        "O(n h log h) a decision, n jobs present, h changes of the forecast in their slack"
    )
    suspends: ClassVar[bool] = True
    reads_forecast: ClassVar[bool] = True

    def __init__(self, *, min_pause_s: float = 600.0) -> None:
        """Take `min_pause_s`: a running job is not stopped for less, >= 0.

        Raises:
            PolicyError: not a finite number of seconds >= 0.
        """
        if not 0.0 <= min_pause_s < math.inf:
            msg = f"{self.name}.min_pause_s: {min_pause_s} -> expected a finite duration in seconds >= 0"
            raise PolicyError(msg)
        self.min_pause_s = min_pause_s

    def _signal(self, grid: GridView) -> tuple[MeanOf, BreakpointsOf]:
        """Return what is to be low while jobs work, and where its forecast changes."""
        return grid.carbon_mean_kg_per_j, grid.breakpoints_s

    def suspended(self, jobs: JobsView, active: ActiveJobs, grid: GridView) -> tuple[Bools, float]:
        """Return (K,) whether this is no hour for each job, and when the first of them may go on."""
        suspended, again_s = np.zeros(len(active), dtype=bool), math.inf
        deferrable = np.flatnonzero(jobs.slack_s[active.row] > 0.0).tolist()
        signal, lefts_s = self._signal(grid), active.left_s(jobs)
        for at in deferrable:
            row = int(active.row[at])
            whole_s = float(jobs.estimated_duration_s[row])
            left_s = float(lefts_s[at])
            latest_s = float(jobs.submit_s[row] + jobs.slack_s[row]) + whole_s
            runs = active.waiting_since_s[at] == active.now_s and active.held_s[at] > 0.0
            resume_s, change_s = _plan(signal, grid.now_s, left_s, latest_s, runs=bool(runs))
            anew_s = float(jobs.startup_s[row] - active.startup_left_s[at])
            if anew_s > 0.0:  # who is stopped has to start up again before the work that is left
                resume_s = min(resume_s, latest_s - left_s - anew_s)
            pause_s = resume_s - grid.now_s
            suspended[at] = pause_s > 0.0 and (pause_s >= self.min_pause_s or not runs)
            again_s = min(again_s, resume_s if suspended[at] else change_s)
        return suspended, again_s


class PriceSuspend(CarbonSuspend):
    """A deferrable job works only in the cheapest hours that together suffice before its slack is over.

    As `CarbonSuspend`, by the price of energy.
    """

    name: ClassVar[str] = "price_suspend"
    optimises: ClassVar[str] = "energy cost of deferrable jobs that can be interrupted"
    needs: ClassVar[str] = "run times, slack and progress of jobs, a forecast of the price"

    def _signal(self, grid: GridView) -> tuple[MeanOf, BreakpointsOf]:
        return grid.price_mean_usd_per_j, grid.price_breakpoints_s


def _plan(
    signal: tuple[MeanOf, BreakpointsOf], now_s: float, left_s: float, latest_s: float, *, runs: bool
) -> tuple[float, float]:
    """Return when the best steps for `left_s` of work until `latest_s` begin, and when to look again.

    The first is now if now is one of them. Of the worst step that is still needed only a part may be:
    a job that runs takes its beginning, one that waits its end, so that neither is stopped twice.
    """
    spare_s = latest_s - now_s - left_s
    if spare_s <= _NO_TIME_S:
        return now_s, math.inf
    mean, breakpoints = signal
    inside = breakpoints(now_s, latest_s)
    starts_s = np.concatenate([[now_s], inside[(inside > now_s) & (inside < latest_s)]])
    ends_s = np.concatenate([starts_s[1:], [latest_s]])
    lengths_s = ends_s - starts_s
    # To nine digits, so that equal steps are equal and the earliest of them is taken.
    order = np.argsort(_nine_digits(mean(starts_s, 0.0)), kind="stable")
    filled_s = np.cumsum(lengths_s[order])
    last = int(np.searchsorted(filled_s, left_s - _NO_TIME_S))
    chosen = order[: last + 1]
    first = int(chosen.min())
    resume_s, change_s = float(starts_s[first]), float(ends_s[0])
    if first == chosen[-1]:
        unneeded_s = float(filled_s[last]) - left_s
        if unneeded_s > _NO_TIME_S and first == 0 and runs:
            change_s -= unneeded_s
        elif unneeded_s > _NO_TIME_S:
            resume_s += unneeded_s
    # By then the work left would only just fit: whatever the grid is like, it has to go on.
    return min(resume_s, now_s + spare_s), change_s


def _nine_digits(values: Floats) -> Floats:
    """Return values (K,) rounded to nine significant digits of the largest."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return values
    return np.asarray(np.round(values / largest, 9), dtype=np.float64)
