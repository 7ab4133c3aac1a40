"""What a power cap does to work on an accelerator: its speed and its power, told once for each kind of work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.facility.cap_curve import response
from dcsim.facility.hardware import Accelerator
from dcsim.workload.cost import StepCost
from dcsim.workload.profile import CostProfile

__all__ = ["CapResponses", "WorkPower", "work_power"]

_STEPS = 1000
"""Policies and the hall set caps in thousandths of peak power."""


@dataclass(frozen=True, slots=True)
class WorkPower:
    """What decides how work responds to a cap."""

    power_fraction: float = 1.0
    """Mean power of a device while it computes, uncapped, over its peak power, (0, 1]; 1 where it is not known."""
    overhead_fraction: float = 0.0
    """Part of the time of computing that does not grow with the batch, 0..1."""


def work_power(
    profile: CostProfile, cost: StepCost, accelerator: Accelerator, measured_on: Accelerator | None
) -> WorkPower:
    """Return how a profile's work responds to caps on an accelerator.

    Its power is as large a part of the peak as on the device where it was measured; where none was measured it
    is the peak, as of a device that computes without a pause. The overhead is the constant of its fitted time.
    """
    power_fraction, power_w = 1.0, profile.energy.power_w
    if power_w is not None and measured_on is not None:
        least = accelerator.idle_power_w / accelerator.peak_power_w
        power_fraction = min(1.0, max(least, power_w / measured_on.peak_power_w))
    computing_s = cost.compute_s * cost.utilisation
    return WorkPower(power_fraction, min(1.0, profile.fit.overhead_s / computing_s))


class CapResponses:
    """Responses by accelerator, cap and work; those at whole thousandths are told once, all together."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, WorkPower], tuple[list[float], list[float]]] = {}

    def at(self, accelerator: Accelerator, cap_fraction: float, work: WorkPower) -> tuple[float, float]:
        """Return (speed over that without a cap, W that a device draws while it computes).

        Args:
            accelerator: of the catalogue.
            cap_fraction: over its peak power, > 0; 1 and more: none.
            work: that it does.

        Raises:
            PolicyError: the accelerator cannot hold a cap that low.
        """
        if cap_fraction >= 1.0:
            return 1.0, work.power_fraction * accelerator.peak_power_w
        if cap_fraction < accelerator.least_cap:
            raise PolicyError(_cannot_hold(accelerator, cap_fraction))
        step = round(cap_fraction * _STEPS)
        if step / _STEPS != cap_fraction:
            speed, power_w = _respond(accelerator, np.array([cap_fraction]), work)
            return speed[0], power_w[0]
        key = (accelerator.name, work)
        if key not in self._tables:
            self._tables[key] = _respond(accelerator, np.arange(_STEPS + 1) / _STEPS, work)
        speed, power_w = self._tables[key]
        return speed[step], power_w[step]


def _respond(
    accelerator: Accelerator, caps: npt.NDArray[np.float64], work: WorkPower
) -> tuple[list[float], list[float]]:
    speed, power = response(
        accelerator.cap_curve,
        caps,
        power_fraction=work.power_fraction,
        overhead_fraction=work.overhead_fraction,
    )
    return speed.tolist(), (power * accelerator.peak_power_w).tolist()


def _cannot_hold(accelerator: Accelerator, cap_fraction: float) -> str:
    least = accelerator.least_cap
    idle = accelerator.idle_power_w / accelerator.peak_power_w
    why = (
        f"its idle power is {idle:.3g} of its peak"
        if cap_fraction <= idle
        else f"it holds {least:.3g} and more"
    )
    return f"{accelerator.name} cannot hold a power cap of {cap_fraction:g}: {why}"
