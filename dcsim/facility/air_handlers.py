"""Air handlers: the fans that move air between the hall and a plant's coils."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.cooling import FLOW_FLOOR

__all__ = ["AirHandlers"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AirHandlers:
    """Fans sized for a peak heat; flow follows the heat, power the cube of flow (fan affinity laws).

    >>> AirHandlers(peak_w=80.0, peak_heat_w=1000.0).power_w(np.array([0.5, 1.0])).tolist()
    [10.0, 80.0]
    """

    peak_w: float
    """At full flow, >= 0."""
    peak_heat_w: float
    """Heat, without their own, at which they run at full flow."""
    least_flow: float = FLOW_FLOOR
    """Over full flow, (0, 1]."""

    def power_w(self, flow_fraction: Floats) -> Floats:
        """Return (N,) their power, W, at a part of full flow, (0, 1]."""
        return np.asarray(self.peak_w * flow_fraction * flow_fraction * flow_fraction)

    def flow_for(self, hall_heat_w: Floats) -> Floats:
        """Return (N,) the part of full flow that keeps the air's rise as at peak, within the bounds."""
        load = hall_heat_w / (self.peak_heat_w or 1.0)
        return np.clip(load, self.least_flow, 1.0)
