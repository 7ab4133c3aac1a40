"""Jobs held back by something else than their accelerators need not run these at full clock."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.cap_search import least_caps
from dcsim.policies.power_view import PowerView
from dcsim.policies.views import GridView, JobsView

__all__ = ["StragglerScaling"]

Floats = npt.NDArray[np.float64]
_AT_ITS_OWN = 1e-6
"""A job that is this near its own rate is not held back."""


class StragglerScaling(EnergyPolicy):
    """A job held back by its input, its exchange or a hot member gets the least cap at which it would still be so.

    It then waits less, and computes longer, at a lower power. A margin is left, by which it is seen that
    it is still held back; when it no longer is, the cap is lifted, and set anew when it is held back again.
    """

    name: ClassVar[str] = "straggler_scaling"
    optimises: ClassVar[str] = "energy, at no cost in time"
    source: ClassVar[str] = (
        "Chung et al., Reducing Energy Bloat in Large Model Training (Perseus), SOSP (2024)"
    )
    needs: ClassVar[str] = "progress of running jobs against their own rate; speed at each cap"
    complexity: ClassVar[str] = "O(n log c) a decision, n jobs running, c caps"
    recaps: ClassVar[bool] = True

    def __init__(self, *, margin: float = 0.02, recheck_s: float = 3600.0) -> None:
        """Take by how much a capped job could go faster than it does, (0, 1], and how often caps are looked at anew.

        Raises:
            PolicyError: `margin` outside (0, 1], or `recheck_s` not a duration of at least a second.
        """
        if not 0.0 < margin <= 1.0:
            msg = f"{self.name}.margin: {margin} -> expected a fraction in (0, 1]"
            raise PolicyError(msg)
        if not recheck_s >= 1.0:
            msg = f"{self.name}.recheck_s: {recheck_s} -> expected a duration in seconds >= 1"
            raise PolicyError(msg)
        self.margin = margin
        self.recheck_s = recheck_s

    def caps_now(self, jobs: JobsView, power: PowerView, grid: GridView) -> tuple[Floats, float]:
        """Return 1 for jobs at their own rate, and for others the least cap that keeps their progress."""
        held = power.progress_fraction < 1.0 - _AT_ITS_OWN
        if not held.any():
            return np.ones(len(power)), math.inf
        going = power.progress_fraction * power.speed_at(power.cap_fraction)
        wanted = np.minimum(1.0, np.where(held, going * (1.0 + self.margin), 1.0))
        caps = least_caps(power.speed_at, power.floor_fraction, wanted)
        # Links may be freed without any change of power that would tell.
        return np.where(held, caps, 1.0), power.now_s + self.recheck_s
