"""A power budget kept by caps: one cap for all, the most progress a watt, or the most important first."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.cap_search import CAP_STEPS, greatest_caps, level_caps
from dcsim.policies.power_view import PowerView
from dcsim.policies.views import GridView, JobsView
from dcsim.policies.water_filling import Limits, fill_water

__all__ = ["PowerBudget", "PriorityBudget", "UniformBudget", "job_limits", "uniform_caps"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_LEVELS = 33
"""Caps at which each curve is looked at; between them it is taken as straight."""
_ROUNDING_W = 2.0**-21
"""Kept free for each job: powers are rounded to a millionth of a watt."""


def job_limits(power: PowerView, budget_w: float, headroom_fraction: float = 0.0) -> Limits:
    """Return what the running jobs may draw above idle servers, of the budgets of hall, PDUs and racks.

    Args:
        power: the view.
        budget_w: of all IT equipment; the view's own holds, too.
        headroom_fraction: of each budget, to keep free, [0, 1).
    """
    job, group, part = _groups(power)
    count, kept = len(power), 1.0 - headroom_fraction
    hall_w = kept * min(budget_w, power.budget_w) - (power.it_power_w - math.fsum(power.power_w.tolist()))
    may_w = np.concatenate([power.rack_budget_w, power.pdu_budget_w])
    draws_w = np.nan_to_num(np.concatenate([power.rack_power_w, power.pdu_power_w]))
    jobs_w = np.bincount(group, weights=power.power_w[job] * part, minlength=len(may_w))
    group_w = kept * may_w - (draws_w - jobs_w) - _ROUNDING_W * count
    return Limits(hall_w - _ROUNDING_W * count, group_w, job, group, part)


def _groups(power: PowerView) -> tuple[Ints, Ints, Floats]:
    """Return (job, group, part of its power) columns: R racks, and after them the PDUs that feed them."""
    job, rack, part = power.parts or (np.arange(len(power)), power.rack, np.ones(len(power)))
    pdu = power.pdu_of_rack[rack]
    fed = pdu >= 0
    return (
        np.concatenate([job, job[fed]]),
        np.concatenate([rack, len(power.rack_budget_w) + pdu[fed]]),
        np.concatenate([part, part[fed]]),
    )


def uniform_caps(power: PowerView, limits: Limits) -> Floats:
    """Return (K,) caps, the same for all jobs of a rack, the greatest at which all limits are kept.

    First each rack's own cap, then each PDU's for its racks, and the hall's for all: a job has the least of them,
    and never less than its floor.
    """
    racks, groups = len(power.rack_budget_w), len(limits.group_w)
    each = np.ones(len(power))
    for first, last in ((0, racks), (racks, groups)):
        if np.isfinite(limits.group_w[first:last]).any():
            each = _within_groups(power, limits, each, slice(first, last))

    def fits(cap: Floats) -> Bools:
        drawn_w = power.power_at(np.maximum(np.minimum(each, cap[0]), power.floor_fraction))
        return np.array([math.fsum(drawn_w.tolist()) <= limits.hall_w])

    return np.asarray(np.maximum(np.minimum(each, _greatest(1, fits)[0]), power.floor_fraction))


def _within_groups(power: PowerView, limits: Limits, each: Floats, chosen: slice) -> Floats:
    """Return (K,) caps lowered to one cap for each of some groups, where those were too much."""
    inside = (limits.group >= chosen.start) & (limits.group < chosen.stop)
    job, group = limits.job[inside], limits.group[inside] - chosen.start

    def lowered(cap: Floats) -> Floats:
        caps = each.copy()
        np.minimum.at(caps, job, cap[group])
        return np.maximum(caps, power.floor_fraction)

    def fits(cap: Floats) -> Bools:
        drawn_w = limits.group_sums(power.power_at(lowered(cap)))
        return np.asarray(drawn_w[chosen] <= limits.group_w[chosen])

    return lowered(_greatest(chosen.stop - chosen.start, fits))


def _greatest(count: int, fits: Callable[[Floats], Bools]) -> Floats:
    """Return (count,) the greatest caps that fit, each by bisection; the least cap there is where none does."""
    low, high = np.ones(count), np.full(count, float(CAP_STEPS))
    whole = fits(high / CAP_STEPS)
    low = np.where(whole, high, low)
    while (low < high - 1.0).any():
        middle = np.where(low < high - 1.0, np.floor((low + high) / 2.0), low)
        inside = fits(middle / CAP_STEPS)
        low, high = np.where(inside, middle, low), np.where(inside, high, np.maximum(middle, low))
    return low / CAP_STEPS


class _Budget(EnergyPolicy):
    """What policies share that keep to a budget."""

    recaps: ClassVar[bool] = True
    needs: ClassVar[str] = (
        "speed and power of running jobs at each cap; power and budgets of hall, PDUs and racks"
    )
    complexity: ClassVar[str] = "O(n c log n) a decision, n jobs running, c caps tried"

    def __init__(
        self,
        *,
        budget_w: float = math.inf,
        headroom_fraction: float = 0.0,
        start_cap_fraction: float = 1.0,
    ) -> None:
        """Take the budget of all IT equipment besides the hall's own, the part of it kept free, and the first cap.

        Raises:
            PolicyError: not numbers > 0, in [0, 1), in (0, 1].
        """
        if not budget_w > 0.0:
            msg = f"{self.name}.budget_w: {budget_w} -> expected a power in W > 0"
            raise PolicyError(msg)
        if not 0.0 <= headroom_fraction < 1.0:
            msg = f"{self.name}.headroom_fraction: {headroom_fraction} -> expected a fraction in [0, 1)"
            raise PolicyError(msg)
        if not 0.0 < start_cap_fraction <= 1.0:
            msg = f"{self.name}.start_cap_fraction: {start_cap_fraction} -> expected a fraction in (0, 1]"
            raise PolicyError(msg)
        self.budget_w = budget_w
        self.headroom_fraction = headroom_fraction
        self.start_cap_fraction = start_cap_fraction

    def power_cap_fractions(self, jobs: JobsView) -> Floats:
        """Return the cap under which every job starts, until its share of the budget is in force."""
        return np.full(len(jobs), self.start_cap_fraction)

    def caps_now(self, jobs: JobsView, power: PowerView, grid: GridView) -> tuple[Floats, float]:
        """Return caps whose powers keep to all budgets, as far as floors allow; asked again when a budget changes."""
        return self._kept_to(jobs, power, self.budget_w), power.budget_changes_s

    def _kept_to(self, jobs: JobsView, power: PowerView, budget_w: float) -> Floats:
        """Return (K,) caps that keep to a budget of all IT equipment, and to those of the view."""
        limits = job_limits(power, budget_w, self.headroom_fraction)
        most_w = power.power_at(np.ones(len(power)))
        if not len(power) or limits.are_kept(most_w, tolerance_w=0.0):
            return np.ones(len(power))
        return self._share(jobs, power, limits)

    @abstractmethod
    def _share(self, jobs: JobsView, power: PowerView, limits: Limits) -> Floats:
        """Return (K,) caps that keep to the limits, which are less than what all jobs draw uncapped."""


class UniformBudget(_Budget):
    """One cap for all running jobs, the greatest that the budget allows; a rack or PDU with a budget of its own may have a lower one."""

    name: ClassVar[str] = "power_budget_uniform"
    optimises: ClassVar[str] = "equal treatment under a power budget"
    source: ClassVar[str] = "Wu et al., Dynamo, ISCA (2016), with one cap for all in place of its buckets"
    complexity: ClassVar[str] = "O(n log c) a decision, n jobs running, c caps"

    def _share(self, jobs: JobsView, power: PowerView, limits: Limits) -> Floats:
        return uniform_caps(power, limits)


class PowerBudget(_Budget):
    """Each watt of the budget where it adds most: to the job with the greatest marginal speed of its accelerators."""

    name: ClassVar[str] = "power_budget"
    optimises: ClassVar[str] = "accelerators' speed summed over running jobs, under a power budget"
    source: ClassVar[str] = (
        "Federgruen, Groenevelt, Operations Research 34 (1986) 909-918; Zhan, Reda, DAC (2013) for power"
    )

    def _share(self, jobs: JobsView, power: PowerView, limits: Limits) -> Floats:
        return _filled_caps(power, limits, None)


class PriorityBudget(_Budget):
    """The budget goes to the jobs of the highest priority first, and among equals where a watt adds most."""

    name: ClassVar[str] = "power_budget_priority"
    optimises: ClassVar[str] = "speed of important jobs under a power budget"
    source: ClassVar[str] = (
        "Li et al., CapMaestro, HPCA (2019): priorities first, then shares, up the power tree"
    )
    needs: ClassVar[str] = (
        "priorities; speed and power of running jobs at each cap; power and budgets of hall, PDUs and racks"
    )

    def _share(self, jobs: JobsView, power: PowerView, limits: Limits) -> Floats:
        return _filled_caps(power, limits, -jobs.priority[power.row])


def _filled_caps(power: PowerView, limits: Limits, first: Floats | None) -> Floats:
    """Return (K,) the greatest caps within the powers that filling gives each job."""
    caps = level_caps(power.floor_fraction, _LEVELS)
    columns = caps.T
    watts = np.array([power.power_at(column) for column in columns]).T
    speed = np.array([power.speed_at(column) for column in columns]).T
    given_w = fill_water(watts, speed * power.width[:, None], limits, first)
    # Power may fall before it rises, near the floor: the search starts where it is known to be kept.
    kept = np.where(watts <= given_w[:, None], caps, 0.0).max(axis=1, initial=0.0)
    return greatest_caps(power.power_at, kept, given_w)
