"""Sleep with a reserve: as many servers stay awake without a job as are likely to be wanted while one wakes.

Whether servers become empty at all, and which of them are taken, is up to the placement: `awake_first` packs jobs and
leaves sleepers alone, `best_fit`, `gpu_packing`, `fgd` and `first_fit` pack them whoever sleeps, `spread` and
`worst_fit` keep all servers in use.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.power_view import IdleView

__all__ = ["SleepForecast", "arrival_rate_per_s", "demand_quantile"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_FORGOTTEN = 12.0
"""After so many memories an arrival counts less than a hundred-thousandth."""
_EXACT_UP_TO = 200.0
"""Mean demand, in accelerators, from which on the normal distribution stands in for the exact one."""


def arrival_rate_per_s(arrivals_s: Floats, now_s: float, memory_s: float) -> float:
    """Return an estimate of the rate of arrivals now: each counts exp(-age / memory) / memory.

    Divided by 1 - exp(-now / memory), for nothing is known of the time before 0: unbiased for a Poisson process of
    constant rate, from an eighth of the memory on. Before that it is too low: one arrival in the first second
    does not make a rush.

    Args:
        arrivals_s: (A,) ascending, at most `now_s`.
        now_s: >= 0.
        memory_s: > 0.

    >>> round(arrival_rate_per_s(np.arange(0.0, 36000.0, 10.0), 36000.0, 3600.0), 3)
    0.1
    """
    if now_s <= 0.0 or not len(arrivals_s):
        return 0.0
    weights = np.exp((arrivals_s - now_s) / memory_s)
    seen = -math.expm1(-max(now_s / memory_s, 0.125))
    return float(weights.sum() / memory_s / seen)


def demand_quantile(expected_jobs: float, widths: Ints, weights: Floats, quantile: float) -> int:
    """Return the least number of accelerators that suffices with a probability for a Poisson number of jobs.

    The sum is compound Poisson; exact by the recursion of Panjer, ASTIN Bulletin 12 (1981) 22-26,

        g_0 = exp(-m (1 - f_0)),    g_n = m / n  sum_k k f_k g_(n-k)

    with f_k the part of jobs of width k; by the normal distribution where the mean is above 200.

    Args:
        expected_jobs: m, >= 0.
        widths: (A,) of jobs seen, >= 0.
        weights: (A,) what each counts, >= 0.
        quantile: (0, 1).

    >>> demand_quantile(2.0, np.array([1]), np.array([1.0]), 0.95)
    5
    """
    total = float(weights.sum())
    if expected_jobs <= 0.0 or total <= 0.0:
        return 0
    mean = expected_jobs * float((weights * widths).sum()) / total
    if mean > _EXACT_UP_TO:
        second = expected_jobs * float((weights * widths**2).sum()) / total
        return math.ceil(mean + NormalDist().inv_cdf(quantile) * math.sqrt(second))
    part = np.bincount(widths, weights=weights) / total
    jumps = expected_jobs * part * np.arange(len(part))
    chances = [math.exp(-expected_jobs * (1.0 - float(part[0])))]
    below = chances[0]
    while below < quantile:
        number = len(chances)
        if number > 100.0 * _EXACT_UP_TO:  # the rest is rounding
            break
        reach = min(number, len(jumps) - 1)
        recent = chances[-1 : -reach - 1 : -1]
        chances.append(float(np.dot(jumps[1 : reach + 1], recent)) / number)
        below += chances[-1]
    return len(chances) - 1


class SleepForecast(EnergyPolicy):
    """Idle servers sleep after a while, but for a reserve that suffices for the jobs likely to come while one wakes.

    The rate of arrivals and their widths are weighted exponentially by age; demand in a wake latency is compound
    Poisson, and its quantile is kept awake.
    """

    name: ClassVar[str] = "sleep_forecast"
    optimises: ClassVar[str] = "idle energy, with few jobs that wait for servers to wake"
    source: ClassVar[str] = (
        "Gandhi et al., AutoScale, ACM TOCS 30 (2012), its t_wait; with a reserve by quantile"
    )
    needs: ClassVar[str] = "arrivals and widths so far, idle and sleeping servers, the wake latency"
    complexity: ClassVar[str] = (
        "O(a + d w) each time jobs come, start or end, a arrivals remembered, d demand, w widths"
    )
    reserves: ClassVar[bool] = True

    def __init__(
        self, *, after_s: float = 300.0, quantile: float = 0.95, memory_s: float = 3600.0, spare: float = 0.0
    ) -> None:
        """Take the idle time before sleep, > 0, the chance that the reserve suffices, how long arrivals count, more servers.

        Args:
            after_s: s, > 0, AutoScale's t_wait.
            quantile: (0, 1).
            memory_s: time after which an arrival counts 1/e, a minute or more.
            spare: servers kept awake besides, >= 0.

        Raises:
            PolicyError: a number outside its range.
        """
        for name, value, fits, expected in (
            ("after_s", after_s, 0.0 < after_s < math.inf, "a finite duration in seconds > 0"),
            ("quantile", quantile, 0.0 < quantile < 1.0, "a probability in (0, 1)"),
            ("memory_s", memory_s, 60.0 <= memory_s < math.inf, "a finite duration in seconds >= 60"),
            ("spare", spare, 0.0 <= spare < math.inf and spare == int(spare), "a whole number >= 0"),
        ):
            if not fits:
                msg = f"{self.name}.{name}: {value} -> expected {expected}"
                raise PolicyError(msg)
        self.after_s = after_s
        self.quantile = quantile
        self.memory_s = memory_s
        self.spare = int(spare)

    def sleep_after_s(self) -> float | None:
        """Return the idle time before sleep."""
        return self.after_s

    def awake_reserve(self, idle: IdleView) -> tuple[int, float]:
        """Return the reserve, and when to look again at a rate that fades: after an eighth of the memory."""
        wanted = self.spare + self._expected_servers(idle)
        # Without arrivals it stays as it is, and nothing needs to be looked at.
        again_s = idle.now_s + self.memory_s / 8.0 if wanted > self.spare else math.inf
        return min(wanted, idle.servers), again_s

    def _expected_servers(self, idle: IdleView) -> int:
        if idle.wake_latency_s <= 0.0 or idle.accelerators_per_server <= 0.0:
            return 0
        since_s = idle.now_s - _FORGOTTEN * self.memory_s
        first = int(np.searchsorted(idle.arrivals_s, since_s))
        arrivals_s, widths = idle.arrivals_s[first:], idle.arrived_accelerators[first:]
        rate = arrival_rate_per_s(arrivals_s, idle.now_s, self.memory_s)
        weights = np.exp((arrivals_s - idle.now_s) / self.memory_s)
        demand = demand_quantile(rate * idle.wake_latency_s, widths, weights, self.quantile)
        return math.ceil(demand / idle.accelerators_per_server)
