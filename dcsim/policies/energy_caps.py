"""Caps that change while jobs run: least energy a step, or deeper the dirtier or dearer the grid is."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.cap_search import least_caps, least_energy_caps
from dcsim.policies.power_view import PowerView
from dcsim.policies.views import GridView, JobsView

__all__ = ["CarbonCap", "LeastEnergyCap", "PriceCap", "standing"]

Floats = npt.NDArray[np.float64]
_LONGEST_WINDOW_S = 7 * 86_400.0


def standing(values: Floats) -> float:
    """Return where the first of some values stands between the least (0) and the greatest (1); 0 if all are equal.

    >>> standing(np.array([3.0, 1.0, 5.0]))
    0.5
    """
    low, high = float(values.min()), float(values.max())
    spread = high - low
    # Differences below rounding are none.
    return (float(values[0]) - low) / spread if spread > 1e-9 * max(abs(low), abs(high)) else 0.0


class _BoundedCap(EnergyPolicy):
    """What policies share that slow a job by at most a factor."""

    recaps: ClassVar[bool] = True
    complexity: ClassVar[str] = "O(n c) a decision, n jobs running, c caps tried"

    def __init__(self, *, max_slowdown: float, overhead_w: float) -> None:
        if not 1.0 <= max_slowdown < math.inf:
            msg = f"{self.name}.max_slowdown: {max_slowdown} -> expected a finite factor >= 1"
            raise PolicyError(msg)
        if not 0.0 <= overhead_w < math.inf:
            msg = f"{self.name}.overhead_w: {overhead_w} -> expected a finite power in W >= 0"
            raise PolicyError(msg)
        self.max_slowdown = max_slowdown
        self.overhead_w = overhead_w

    def _caps(self, power: PowerView, slowdown: float) -> Floats:
        """Return (K,) the caps of least energy among those that slow a job by at most a factor.

        They follow from a job's curves, floor and width: jobs of a kind that is known are not searched again.
        """
        notes, asked = power.kind_notes, (self.max_slowdown, self.overhead_w, slowdown)
        if notes is None:
            return self._searched(power, slowdown)
        known = [note.get(self.name) for note in notes]
        if any(found is None or found[0] != asked for found in known):
            caps = self._searched(power, slowdown)
            for note, cap in zip(notes, caps.tolist(), strict=True):
                note[self.name] = (asked, cap)
            return caps
        return np.array([found[1] for found in known if found is not None], dtype=np.float64)

    def _searched(self, power: PowerView, slowdown: float) -> Floats:
        ones = np.ones(len(power))
        least = least_caps(power.speed_at, power.floor_fraction, ones / slowdown)
        overhead_w = self.overhead_w * ones * power.width
        return least_energy_caps(power.speed_at, power.power_at, least, overhead_w=overhead_w)


class LeastEnergyCap(_BoundedCap):
    """Each running job at the cap at which its work takes least energy, slowed by at most a factor.

    What counts is what the job draws above idle servers: servers that stay on draw their idle power whether it
    takes long or not. Where they sleep after it, add their idle power by `overhead_w`.
    """

    name: ClassVar[str] = "least_energy_cap"
    optimises: ClassVar[str] = "energy a job, within a bound on its slow-down"
    source: ClassVar[str] = "You, Chung, Chowdhury, Zeus, NSDI (2023); the bound: Perseus, SOSP (2024)"
    needs: ClassVar[str] = "speed and power of running jobs at each cap"

    def __init__(self, *, max_slowdown: float = 1.1, overhead_w: float = 0.0) -> None:
        """Take the greatest run time over that without a cap, >= 1, and W besides each accelerator's own, >= 0.

        Raises:
            PolicyError: not finite numbers in these ranges.
        """
        super().__init__(max_slowdown=max_slowdown, overhead_w=overhead_w)

    def caps_now(self, jobs: JobsView, power: PowerView, grid: GridView) -> tuple[Floats, float]:
        """Return the caps of least energy within the bound; they hold until jobs start or end."""
        return self._caps(power, self.max_slowdown), math.inf


class _GridCap(_BoundedCap):
    """Caps by where the grid stands now in the forecast of a coming while."""

    reads_forecast: ClassVar[bool] = True

    def __init__(
        self, *, max_slowdown: float = 1.2, window_s: float = 86_400.0, overhead_w: float = 0.0
    ) -> None:
        """Take the greatest slow-down, >= 1, how far to look ahead, an hour to a week, and W as `LeastEnergyCap`.

        Raises:
            PolicyError: not finite numbers in these ranges.
        """
        super().__init__(max_slowdown=max_slowdown, overhead_w=overhead_w)
        if not 3600.0 <= window_s <= _LONGEST_WINDOW_S:
            msg = (
                f"{self.name}.window_s: {window_s} -> expected a duration from an hour to a week, in seconds"
            )
            raise PolicyError(msg)
        self.window_s = window_s

    @staticmethod
    @abstractmethod
    def _series(grid: GridView) -> tuple[Callable[[Floats, float], Floats], Callable[[float, float], Floats]]:
        """Return what gives the means, and what gives the times of change, of the series to go by."""

    def caps_now(self, jobs: JobsView, power: PowerView, grid: GridView) -> tuple[Floats, float]:
        """Return caps that slow jobs by as much of the bound as the grid stands above its best; until it changes.

        Slow-down = 1 + (bound - 1) (x - low) / (high - low), x now, low and high those of the coming window.
        """
        now_s = grid.now_s
        mean, changes = self._series(grid)
        inside = changes(now_s, now_s + self.window_s)
        later = inside[inside > now_s]
        values = mean(np.concatenate([[now_s], later]), 0.0)
        slowdown = 1.0 + (self.max_slowdown - 1.0) * standing(values)
        again_s = float(later[0]) if len(later) else math.inf
        if slowdown == 1.0:
            return np.ones(len(power)), again_s
        return self._caps(power, slowdown), again_s


class CarbonCap(_GridCap):
    """Caps deeper the dirtier the grid is now, within the forecast of the coming day; none when it is at its cleanest."""

    name: ClassVar[str] = "carbon_cap"
    optimises: ClassVar[str] = "operational carbon, within a bound on each job's slow-down"
    source: ClassVar[str] = (
        "Radovanovic et al., Carbon-Aware Computing for Datacenters, IEEE Trans. Power Systems 38 (2023), with caps for its capacity curves"
    )
    needs: ClassVar[str] = "speed and power of running jobs at each cap; the forecast of carbon intensity"

    @staticmethod
    def _series(grid: GridView) -> tuple[Callable[[Floats, float], Floats], Callable[[float, float], Floats]]:
        return grid.carbon_mean_kg_per_j, grid.breakpoints_s


class PriceCap(_GridCap):
    """Caps deeper the dearer energy is now, within the forecast of the coming day; none when it is cheapest."""

    name: ClassVar[str] = "price_cap"
    optimises: ClassVar[str] = "cost of energy, within a bound on each job's slow-down"
    source: ClassVar[str] = (
        "Qureshi et al., Cutting the Electric Bill, SIGCOMM (2009), in time in place of space"
    )
    needs: ClassVar[str] = "speed and power of running jobs at each cap; the forecast of the price"

    @staticmethod
    def _series(grid: GridView) -> tuple[Callable[[Floats, float], Floats], Callable[[float, float], Floats]]:
        return grid.price_mean_usd_per_j, grid.price_breakpoints_s
