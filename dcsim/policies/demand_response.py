"""Demand response: deferrable jobs pause while the grid asks for less, and the others share what is left."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.active import ActiveJobs
from dcsim.policies.demand_event import DemandEvent
from dcsim.policies.power_budget import PriorityBudget
from dcsim.policies.power_view import PowerView
from dcsim.policies.views import GridView, JobsView

__all__ = ["DemandResponse"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class DemandResponse(PriorityBudget):
    """During an event jobs with time to spare are suspended, and caps keep the others to what may be drawn.

    It acts a little before an event of which it was notified, so that caps are in force when it begins. No job is
    suspended beyond its slack; one that ends before the event, or gains less than `min_pause_s` by it, is not
    either. An event that limits only the import at the meter suspends, but sets no caps: that is the battery's.
    """

    name: ClassVar[str] = "demand_response"
    optimises: ClassVar[str] = (
        "power drawn while the grid asks for less, at little cost to jobs without slack"
    )
    source: ClassVar[str] = (
        "Wierman et al., Opportunities and challenges for data center demand response, IGCC (2014)"
    )
    needs: ClassVar[str] = (
        "notified events; slack, progress and priorities of jobs; speed and power of running jobs at each cap"
    )
    suspends: ClassVar[bool] = True

    def __init__(self, *, lead_s: float = 60.0, min_pause_s: float = 600.0) -> None:
        """Take how long before an event to act, >= 0, and the shortest pause worth a stop, >= 0.

        Raises:
            PolicyError: not finite numbers of seconds >= 0.
        """
        for name, value in (("lead_s", lead_s), ("min_pause_s", min_pause_s)):
            if not 0.0 <= value < math.inf:
                msg = f"{self.name}.{name}: {value} -> expected a finite duration in seconds >= 0"
                raise PolicyError(msg)
        super().__init__()
        self.lead_s = lead_s
        self.min_pause_s = min_pause_s

    def _now(self, grid: GridView) -> tuple[list[DemandEvent], float]:
        """Return the events to act on now, and when that is next different as far as is known."""
        acting = [event for event in grid.events if event.start_s - self.lead_s <= grid.now_s < event.end_s]
        times_s = [time_s for event in grid.events for time_s in (event.start_s - self.lead_s, event.end_s)]
        later_s = (time_s for time_s in (*times_s, grid.news_s) if time_s > grid.now_s)
        return acting, min(later_s, default=math.inf)

    def suspended(self, jobs: JobsView, active: ActiveJobs, grid: GridView) -> tuple[Bools, float]:
        """Return (K,) whether each job pauses for an event, and when the first of them has to go on."""
        suspended = np.zeros(len(active), dtype=bool)
        acting, again_s = self._now(grid)
        if not acting:
            return suspended, again_s
        until_s = max(event.end_s for event in acting)
        whole_s = jobs.estimated_duration_s[active.row]
        left_s = active.left_s(jobs)
        # Who is stopped has to start up again before the work that is left.
        anew_s = jobs.startup_s[active.row] - active.startup_left_s
        latest_s = jobs.submit_s[active.row] + jobs.slack_s[active.row] + whole_s - left_s - anew_s
        pause_s = np.minimum(latest_s, until_s) - grid.now_s
        runs = (active.waiting_since_s == active.now_s) & (active.held_s > 0.0)
        suspended = (jobs.slack_s[active.row] > 0.0) & (pause_s > 0.0)
        suspended &= ~runs | ((pause_s >= self.min_pause_s) & (left_s > self.lead_s))
        resumes_s = (grid.now_s + pause_s)[suspended]
        return suspended, float(min(again_s, resumes_s.min(initial=math.inf)))

    def caps_now(self, jobs: JobsView, power: PowerView, grid: GridView) -> tuple[Floats, float]:
        """Return caps that keep to the budgets and to the events to act on, the most important jobs first."""
        acting, again_s = self._now(grid)
        limit_w = min((event.it_limit_w for event in acting), default=math.inf)
        return self._kept_to(jobs, power, limit_w), min(again_s, power.budget_changes_s)
