"""What an energy policy may see of jobs under power caps before any of them runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CapView"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CapView:
    """N jobs, each alone on the accelerators on which its run time counts as ideal."""

    floor_fraction: Floats
    """(N,) least caps that their accelerators can hold, over peak power; 1 for jobs without accelerators."""
    idle_power_w: Floats
    """(N,) of the part of its servers that each job holds, as it is without any job."""
    speed_at: Callable[[Floats], Floats]
    """(N,) caps -> (N,) each job's rate (exchange included) over that without a cap, (0, 1]."""
    power_at: Callable[[Floats], Floats]
    """(N,) caps -> (N,) W above idle servers, mean over a step."""

    def __len__(self) -> int:
        return len(self.floor_fraction)
