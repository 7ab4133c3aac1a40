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

__all__ = ["CarbonSuspend", "Suspending"]

Bools = npt.NDArray[np.bool_]
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

    def __init__(self, *, min_pause_s: float = 600.0) -> None:
        """Take `min_pause_s`: a running job is not stopped for less, >= 0.

        Raises:
            PolicyError: not a finite number of seconds >= 0.
        """
        if not 0.0 <= min_pause_s < math.inf:
            msg = f"carbon_suspend.min_pause_s: {min_pause_s} -> expected a finite duration in seconds >= 0"
            raise PolicyError(msg)
        self.min_pause_s = min_pause_s

    def suspended(self, jobs: JobsView, active: ActiveJobs, grid: GridView) -> tuple[Bools, float]:
        """Return (K,) whether this is no hour for each job, and when the first of them may go on."""
        suspended, again_s = np.zeros(len(active), dtype=bool), math.inf
        deferrable = np.flatnonzero(jobs.slack_s[active.row] > 0.0).tolist()
        for at in deferrable:
            row = int(active.row[at])
            whole_s = float(jobs.estimated_duration_s[row])
            left_s = whole_s * float(active.left_fraction[at])
            latest_s = float(jobs.submit_s[row] + jobs.slack_s[row]) + whole_s
            resume_s, change_s = _resume_s(grid, left_s, latest_s)
            runs = active.waiting_since_s[at] == active.now_s and active.held_s[at] > 0.0
            pause_s = resume_s - grid.now_s
            suspended[at] = pause_s > 0.0 and (pause_s >= self.min_pause_s or not runs)
            again_s = min(again_s, resume_s if suspended[at] else change_s)
        return suspended, again_s


def _resume_s(grid: GridView, left_s: float, latest_s: float) -> tuple[float, float]:
    """Return when the cleanest hours for `left_s` of work until `latest_s` begin, and when the grid next changes.

    The first is now if now is one of them.
    """
    now_s = grid.now_s
    spare_s = latest_s - now_s - left_s
    if spare_s <= _NO_TIME_S:
        return now_s, math.inf
    inside = grid.breakpoints_s(now_s, latest_s)
    starts_s = np.concatenate([[now_s], inside[(inside > now_s) & (inside < latest_s)]])
    ends_s = np.concatenate([starts_s[1:], [latest_s]])
    lengths_s = ends_s - starts_s
    means = np.array(
        [
            float(grid.carbon_mean_kg_per_j(np.array([start_s]), length_s)[0])
            for start_s, length_s in zip(starts_s.tolist(), lengths_s.tolist(), strict=True)
        ]
    )
    # To nine digits, so that equal hours are equal and the earliest of them is taken.
    order = np.argsort([float(f"{mean:.8e}") for mean in means.tolist()], kind="stable")
    enough = int(np.searchsorted(np.cumsum(lengths_s[order]), left_s - _NO_TIME_S)) + 1
    first_s = float(starts_s[order[:enough]].min())
    # By then the work left would only just fit: whatever the grid is like, it has to go on.
    return min(first_s, now_s + spare_s), float(ends_s[0])
