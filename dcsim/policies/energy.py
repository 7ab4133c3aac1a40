"""Energy policies: power caps, sleep of idle servers, and shifting jobs to cleaner or cheaper hours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.views import GridView, JobsView, JobView

__all__ = ["CarbonShift", "NoEnergyPolicy", "PowerCap", "PriceShift", "SleepIdle"]

Floats = npt.NDArray[np.float64]
MeanOf = Callable[[Floats, float], Floats]
BreakpointsOf = Callable[[float, float], Floats]


class NoEnergyPolicy(EnergyPolicy):
    """Full power, always on, at once."""

    name: ClassVar[str] = "none"
    optimises: ClassVar[str] = "nothing: the baseline"
    source: ClassVar[str] = "-"


class PowerCap(EnergyPolicy):
    """Every accelerator capped at a fraction of its peak power; jobs slow down by the cap curve."""

    name: ClassVar[str] = "power_cap"
    optimises: ClassVar[str] = "energy a job (race-to-idle can undo it)"
    source: ClassVar[str] = "You, Chung, Chowdhury, Zeus, NSDI (2023)"

    def __init__(self, *, cap_fraction: float = 0.7) -> None:
        """Take `cap_fraction` of peak power, in (0, 1].

        Raises:
            PolicyError: outside (0, 1].
        """
        if not 0.0 < cap_fraction <= 1.0:
            msg = f"power_cap.cap_fraction: {cap_fraction} -> expected a fraction in (0, 1]"
            raise PolicyError(msg)
        self.cap_fraction = cap_fraction

    def power_cap_fractions(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        """Return the same cap for every job."""
        return np.full(len(jobs), self.cap_fraction)


class SleepIdle(EnergyPolicy):
    """Servers idle for a while are put to sleep; a job placed there waits for the wake-up."""

    name: ClassVar[str] = "sleep_idle"
    optimises: ClassVar[str] = "idle energy"
    source: ClassVar[str] = "Meisner, Gold, Wenisch, PowerNap, ASPLOS (2009)"
    complexity: ClassVar[str] = "O(log servers) each time a server is idle"

    def __init__(self, *, after_s: float = 300.0) -> None:
        """Take `after_s`, the idle time before sleep, > 0.

        Raises:
            PolicyError: not positive, NaN or infinite. (At 0 a server would fall asleep before the
                waiting line, served at the end of the instant, could use it.)
        """
        if not 0.0 < after_s < math.inf:
            msg = f"sleep_idle.after_s: {after_s} -> expected a finite duration in seconds > 0"
            raise PolicyError(msg)
        self.after_s = after_s

    def sleep_after_s(self) -> float | None:
        """Return the idle time before sleep."""
        return self.after_s


class CarbonShift(EnergyPolicy):
    """A deferrable job starts, within its slack, where the forecast is cleanest over its run time."""

    name: ClassVar[str] = "carbon_shift"
    optimises: ClassVar[str] = "operational carbon of deferrable jobs"
    source: ClassVar[str] = "Wiesner et al., Let's Wait Awhile, Middleware (2021)"
    needs: ClassVar[str] = "the forecast of carbon intensity; run times and slack"
    complexity: ClassVar[str] = "O(hours of slack) a job"
    holds_jobs: ClassVar[bool] = True
    reads_forecast: ClassVar[bool] = True

    def _signal(self, grid: GridView) -> tuple[MeanOf, BreakpointsOf]:
        """Return what is to be low in the mean over the run, and where its forecast changes."""
        return grid.carbon_mean_kg_per_j, grid.breakpoints_s

    def eligible_s(self, job: JobView, grid: GridView) -> float:
        """Return the start with the least mean; the earliest of equals.

        The mean over a window is piecewise linear in its start, with kinks only where the start
        or the end meets a change of the series, so the minimum is at one of those points.
        """
        mean, breakpoints = self._signal(grid)
        latest_s = job.submit_s + job.slack_s
        duration_s = max(job.estimated_duration_s, 1.0)
        starts = breakpoints(job.submit_s, latest_s)
        ends = breakpoints(job.submit_s + duration_s, latest_s + duration_s) - duration_s
        inside = np.concatenate([[job.submit_s, latest_s], starts, ends])
        candidates = np.unique(np.clip(inside, job.submit_s, latest_s))
        means = mean(candidates, duration_s)
        # Differences below rounding must not hold a job back; means are differences of integrals from 0.
        rounding = 8.0 * np.finfo(np.float64).eps * (latest_s + duration_s) / duration_s
        return float(candidates[np.argmax(means <= means.min() + rounding * np.abs(means).max())])


class PriceShift(CarbonShift):
    """A deferrable job starts, within its slack, where the forecast is cheapest over its run time."""

    name: ClassVar[str] = "price_shift"
    optimises: ClassVar[str] = "energy cost of deferrable jobs"
    source: ClassVar[str] = (
        "Qureshi et al., Cutting the Electric Bill, SIGCOMM (2009), in time; search as carbon_shift"
    )
    needs: ClassVar[str] = "the forecast of the price; run times and slack"

    def _signal(self, grid: GridView) -> tuple[MeanOf, BreakpointsOf]:
        return grid.price_mean_usd_per_j, grid.price_breakpoints_s
