"""Caps chosen once for each job: the least energy for its work, with or without a bound on its slow-down."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.cap_search import least_caps, least_energy_caps
from dcsim.policies.cap_view import CapView
from dcsim.policies.views import JobsView

__all__ = ["BoundedSlowdownCap", "EnergyOptimalCap"]

Floats = npt.NDArray[np.float64]

_LEVELS = 129
"""Caps tried for each job: the energy found is within 0.2 % of the least."""


class EnergyOptimalCap(EnergyPolicy):
    """Each job at the cap at which its work takes the least energy, however long it then takes.

    Energy for a unit of work is (power above idle + part of idle power) / speed. With `idle_share` 0 only what the job
    adds to servers counts, as where they stay on anyway; with 1 all that its part of them draws, as
    where they would otherwise sleep or be off. A larger share gives higher caps: haste saves idle energy.
    """

    name: ClassVar[str] = "energy_optimal_cap"
    optimises: ClassVar[str] = "energy of each job"
    source: ClassVar[str] = "You, Chung, Chowdhury, Zeus, NSDI (2023), eta = 1"
    needs: ClassVar[str] = (
        "speed and power of each job under caps, as its profile and the device's curve give them"
    )
    complexity: ClassVar[str] = "O(129) plans a kind of job"
    weighs_caps: ClassVar[bool] = True

    def __init__(self, *, idle_share: float = 0.0) -> None:
        """Take `idle_share`, the part of idle power that counts as the job's, [0, 1].

        Raises:
            PolicyError: outside [0, 1].
        """
        if not 0.0 <= idle_share <= 1.0:
            msg = f"{self.name}.idle_share: {idle_share} -> expected a fraction in [0, 1]"
            raise PolicyError(msg)
        self.idle_share = idle_share

    def static_caps(self, jobs: JobsView, caps: CapView) -> Floats:
        """Return (N,) the caps of least energy."""
        return self._least(caps, caps.floor_fraction)

    def _least(self, caps: CapView, floor: Floats) -> Floats:
        return least_energy_caps(
            caps.speed_at,
            caps.power_at,
            floor,
            overhead_w=self.idle_share * caps.idle_power_w,
            levels=_LEVELS,
        )


class BoundedSlowdownCap(EnergyOptimalCap):
    """Each job at the cap of least energy among those that slow it by at most a factor."""

    name: ClassVar[str] = "bounded_slowdown_cap"
    optimises: ClassVar[str] = "energy of each job, within a bound on its slow-down"
    source: ClassVar[str] = (
        "You, Chung, Chowdhury, Zeus, NSDI (2023); the bound: Chung et al., Perseus, SOSP (2024)"
    )

    def __init__(self, *, max_slowdown: float = 1.05, idle_share: float = 0.0) -> None:
        """Take the greatest run time over that without a cap, >= 1, and `idle_share` as `EnergyOptimalCap`.

        Raises:
            PolicyError: not finite numbers in these ranges.
        """
        super().__init__(idle_share=idle_share)
        if not 1.0 <= max_slowdown < math.inf:
            msg = f"{self.name}.max_slowdown: {max_slowdown} -> expected a finite factor >= 1"
            raise PolicyError(msg)
        self.max_slowdown = max_slowdown

    def static_caps(self, jobs: JobsView, caps: CapView) -> Floats:
        """Return (N,) the caps of least energy within the bound."""
        wanted = np.full(len(caps), 1.0 / self.max_slowdown)
        return self._least(caps, least_caps(caps.speed_at, caps.floor_fraction, wanted))
