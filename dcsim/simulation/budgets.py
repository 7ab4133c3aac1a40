"""What IT equipment may draw: budgets of the hall and of racks, and what demand response asks for."""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from dcsim.spec.scenario import Scenario

__all__ = ["Budgets", "watches_racks"]

Floats = npt.NDArray[np.float64]


class Budgets:
    """Budgets as they change over a run.

    Args:
        scenario: whose `power` says them.
        racks: of the cluster.
    """

    def __init__(self, scenario: Scenario, racks: int) -> None:
        self.always_w = scenario.power.budget_w or math.inf
        """Of all IT equipment, at any time."""
        self.rack_w: Floats = np.full(racks, math.inf)
        """(R,) of each rack."""
        self._times_s: list[float] = [0.0]
        self._limits_w: list[float] = [math.inf]

    def limit(self, events: list[tuple[float, float, float]]) -> None:
        """Take (from, until, W) of windows in which less may be drawn; where they overlap the least counts."""
        times = sorted({0.0, *(begin for begin, _, _ in events), *(end for _, end, _ in events)})
        self._times_s = times
        self._limits_w = [
            min((limit for begin, end, limit in events if begin <= time_s < end), default=math.inf)
            for time_s in times
        ]

    def at(self, now_s: float) -> tuple[float, float]:
        """Return (W that all IT equipment may draw now, when that is next different)."""
        place = bisect_right(self._times_s, now_s)
        changes_s = self._times_s[place] if place < len(self._times_s) else math.inf
        return min(self.always_w, self._limits_w[place - 1]), changes_s


def watches_racks(scenario: Scenario) -> bool:
    """Return whether a run keeps up what each rack draws: it has a power tree, or air that mixes in a room."""
    return getattr(scenario, "room", None) is not None or getattr(scenario.power, "tree", None) is not None
