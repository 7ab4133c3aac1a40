"""What the thermal state of a hall needs of the rest of a run."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from dcsim.simulation.running import RunningJob

__all__ = ["Caps", "PowerOfRacks", "PowerOfServers"]

Floats = npt.NDArray[np.float64]


class PowerOfRacks(Protocol):
    """What is needed of `RackPowers`."""

    power_w: Floats
    """(R,) what each rack draws, extra power included."""
    dirty: dict[int, None]

    def server_changed(self, server: int, change_w: float) -> None:
        """Take what a server draws more or less."""

    def job_changed(self, running: RunningJob, before_w: float, after_w: float) -> None:
        """Take what a job draws now."""


class Caps(Protocol):
    """What is needed of `Capping`."""

    def set_thermal_cap(self, job: int, fraction: float) -> None:
        """Hold a job to a cap at once; 1: no longer."""


class PowerOfServers(Protocol):
    """What is needed of `ServerStates`."""

    power_w: float
    """Of all servers without their jobs."""
