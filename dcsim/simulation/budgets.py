"""What IT equipment may draw: budgets of the hall and of racks, and what demand response asks for."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.spec.demand_response import import_limits, it_limits
from dcsim.spec.scenario import Scenario

__all__ = ["Budgets", "watches_power", "watches_racks"]

Floats = npt.NDArray[np.float64]


class Budgets:
    """Budgets as they change over a run.

    Args:
        scenario: whose `power` and `grid.demand_response` say them.
        racks: of the cluster.
    """

    def __init__(self, scenario: Scenario, racks: int) -> None:
        self.always_w = scenario.power.budget_w or math.inf
        """Of all IT equipment, at any time."""
        self.rack_w: Floats = np.full(racks, math.inf)
        """(R,) of each rack."""
        events = scenario.grid.demand_response
        self._it, self._import = _Windows(it_limits(events)), _Windows(import_limits(events))
        self.times_s = self._it.times_s
        """When what IT equipment may draw changes, ascending, first 0."""
        self.import_times_s = self._import.times_s
        """When what may be imported changes, ascending, first 0."""

    @property
    def any(self) -> bool:
        """Whether there is a budget of all IT equipment at some time."""
        return self.always_w < math.inf or len(self.times_s) > 1

    def at(self, now_s: float) -> tuple[float, float]:
        """Return (W that all IT equipment may draw now, when that is next different)."""
        limit_w, changes_s = self._it.at(now_s)
        return min(self.always_w, limit_w), changes_s

    def import_w(self, now_s: float) -> float:
        """Return what demand response lets be imported at the meter now, W; infinity: anything."""
        return self._import.at(now_s)[0]


class _Windows:
    """Limits that hold from a time until another; where they overlap the least counts."""

    def __init__(self, events: Sequence[tuple[float, float, float]]) -> None:
        self.times_s = sorted({0.0, *(begin for begin, _, _ in events), *(end for _, end, _ in events)})
        self._limits_w = [
            min((limit for begin, end, limit in events if begin <= time_s < end), default=math.inf)
            for time_s in self.times_s
        ]

    def at(self, now_s: float) -> tuple[float, float]:
        """Return (W now, when that is next different)."""
        place = bisect_right(self.times_s, now_s)
        changes_s = self.times_s[place] if place < len(self.times_s) else math.inf
        return self._limits_w[place - 1], changes_s


def watches_power(scenario: Scenario) -> bool:
    """Return whether a run keeps up what IT equipment draws against limits: its racks', or a budget of all of it."""
    limited = any(event.it_limit_w is not None for event in scenario.grid.demand_response)
    return watches_racks(scenario) or scenario.power.budget_w is not None or limited


def watches_racks(scenario: Scenario) -> bool:
    """Return whether a run keeps up what each rack draws: it has a power tree, or air that mixes in a room."""
    return scenario.room is not None or scenario.power.tree is not None
