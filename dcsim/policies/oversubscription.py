"""Oversubscription: more servers than the budget feeds at full power, and thresholds at which jobs are capped."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.cap_search import least_caps
from dcsim.policies.power_view import PowerView
from dcsim.policies.views import GridView, JobsView

__all__ = ["Polca"]

Floats = npt.NDArray[np.float64]
_SAME = 0.0005
"""Caps nearer than half a step are the same."""


class Polca(EnergyPolicy):
    """Two thresholds of the budget: jobs of low priority are capped first, then deeper, then the others.

    Above the first threshold jobs of low priority are slowed a little; above the second more, and once that is
    in force and power is still above it, jobs of high priority too; above the budget itself every job goes as slow as
    its devices can (a power brake). Each step is undone only when power is lower than its threshold by the
    hysteresis, and would stay below it. What is in force is read off the caps of the running jobs, so that decisions wait for the cap latency.
    """

    name: ClassVar[str] = "polca"
    optimises: ClassVar[str] = "servers under a power budget, at little cost to jobs of high priority"
    source: ClassVar[str] = "Patel et al., POLCA, ASPLOS (2024): thresholds of 80 and 89 %, clocks of an A100"
    needs: ClassVar[str] = "priorities; power and budget of the hall, caps in force"
    complexity: ClassVar[str] = "O(n log c) a decision, n jobs running, c caps"
    recaps: ClassVar[bool] = True

    def __init__(
        self,
        *,
        budget_w: float = math.inf,
        first_threshold: float = 0.80,
        second_threshold: float = 0.89,
        hysteresis: float = 0.05,
        low_speed: float = 1275 / 1410,
        lower_speed: float = 1110 / 1410,
        high_speed: float = 1305 / 1410,
        high_priority_from: float = 1.0,
    ) -> None:
        """Take the budget besides the hall's own, W; thresholds over it; speeds over uncapped ones; the least high priority.

        Args:
            budget_w: of all IT equipment, > 0; infinity: the hall's.
            first_threshold: part of the budget above which jobs of low priority go at `low_speed`.
            second_threshold: above which they go at `lower_speed`, and then those of high priority at `high_speed`.
            hysteresis: part of the budget by which power is below a threshold before its step is undone, [0, 1).
            low_speed: relative speed, (0, 1].
            lower_speed: relative speed, (0, `low_speed`].
            high_speed: relative speed, (0, 1].
            high_priority_from: jobs of this priority and more are capped last.

        Raises:
            PolicyError: a number outside its range, or thresholds that do not rise to at most 1.
        """
        if not budget_w > 0.0:
            self._refuse("budget_w", budget_w, "a power in W > 0")
        if not 0.0 < first_threshold < second_threshold <= 1.0:
            expected = f"above first_threshold ({first_threshold}), which is above 0, and at most 1"
            self._refuse("second_threshold", second_threshold, expected)
        if not 0.0 <= hysteresis < first_threshold:
            self._refuse("hysteresis", hysteresis, "a fraction >= 0 and below first_threshold")
        for name, value in (("low_speed", low_speed), ("high_speed", high_speed)):
            if not 0.0 < value <= 1.0:
                self._refuse(name, value, "a relative speed in (0, 1]")
        if not 0.0 < lower_speed <= low_speed:
            self._refuse("lower_speed", lower_speed, f"a relative speed in (0, low_speed ({low_speed:.4g})]")
        if math.isnan(high_priority_from):
            self._refuse("high_priority_from", high_priority_from, "a number")
        self.budget_w = budget_w
        self.first_threshold = first_threshold
        self.second_threshold = second_threshold
        self.hysteresis = hysteresis
        self.low_speed = low_speed
        self.lower_speed = lower_speed
        self.high_speed = high_speed
        self.high_priority_from = high_priority_from

    def _refuse(self, name: str, got: float, expected: str) -> None:
        msg = f"{self.name}.{name}: {got} -> expected {expected}"
        raise PolicyError(msg)

    def caps_now(self, jobs: JobsView, power: PowerView, grid: GridView) -> tuple[Floats, float]:
        """Return the caps of the step that the power calls for; asked again when power or the budget changes."""
        again_s = power.budget_changes_s
        budget_w = min(self.budget_w, power.budget_w)
        if not len(power) or budget_w == math.inf:
            return np.ones(len(power)), again_s
        high = jobs.priority[power.row] >= self.high_priority_from
        steps = [self._step_caps(power, high, step) for step in range(5)]
        rest_w = power.it_power_w - math.fsum(power.power_w.tolist())

        def foreseen(step: int) -> float:
            return (rest_w + math.fsum(power.power_at(steps[step]).tolist())) / budget_w

        all_at, any_at = _step_in_force(power.cap_fraction, steps)
        load = power.it_power_w / budget_w
        step = self._needed_step(load, all_at, any_at)
        return steps[self._released(load, foreseen, max(step, any_at), step)], again_s

    def _needed_step(self, load: float, all_at: int, any_at: int) -> int:
        """Return the step that a load (power over budget) calls for, where some steps are in force.

        0: no caps; 1 and 2: low priority slowed, and more; 3: high priority too; 4: all as slow as can be.
        """
        if load > 1.0:
            return 4
        if load > self.second_threshold:
            # High priority only where all of low priority are down already, and that was not enough.
            return max(3 if all_at >= 2 else 2, any_at)
        return 1 if load > self.first_threshold else 0

    def _released(self, load: float, foreseen: Callable[[int], float], now: int, needed: int) -> int:
        """Return the step to go back to from the one in force, not below the one needed.

        Each is undone where the load is below its threshold by the hysteresis, and would not be above it after.
        """
        undone_below = (self.first_threshold, self.second_threshold, self.second_threshold, 1.0)
        step = now
        while step > needed:
            threshold = undone_below[step - 1]
            if load >= threshold - self.hysteresis or foreseen(step - 1) > threshold:
                break
            step -= 1
        return step

    def _step_caps(self, power: PowerView, high: npt.NDArray[np.bool_], step: int) -> Floats:
        low_speed = (1.0, self.low_speed, self.lower_speed, self.lower_speed, 0.0)[step]
        high_speed = (1.0, 1.0, 1.0, self.high_speed, 0.0)[step]
        speed = np.where(high, high_speed, low_speed)
        caps = least_caps(power.speed_at, power.floor_fraction, speed)
        return np.where(speed < 1.0, caps, 1.0)


def _step_in_force(cap_fraction: Floats, steps: list[Floats]) -> tuple[int, int]:
    """Return (the deepest step that all jobs keep, the deepest that any job shows) of (K,) caps in force.

    A job shows a step if it is capped as deep as that asks for, and that is deeper than the step before.
    """
    all_at = any_at = 0
    for step in range(1, len(steps)):
        deep = cap_fraction <= steps[step] + _SAME
        asks = steps[step] < steps[step - 1] - _SAME
        if deep.all():
            all_at = step
        if (deep & asks).any():
            any_at = step
    return all_at, any_at
