"""A hall of CRAC units: direct expansion, air-cooled condensers, HP's measured efficiency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.air_handlers import AirHandlers
from dcsim.facility.cooling import crac_cop
from dcsim.facility.cooling_plant import (
    NO_REUSE,
    CoolingPlant,
    HeatReuse,
    Outdoors,
    PlantLoad,
    PlantOutput,
    closed_output,
)

__all__ = ["CracPlant"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CracPlant(CoolingPlant):
    """COP by the supply temperature alone (Moore et al., USENIX ATC 2005), whatever the weather; no water.

    The fit says nothing of the condensers' temperature, so a user of the heat with a lowest temperature gets none.
    """

    capacity_w: float
    handlers: AirHandlers
    reuse: HeatReuse = NO_REUSE

    def air_mover_w(self, hall_heat_w: Floats, flow_fraction: Floats) -> Floats:
        """Return (N,) fan power of the units, W."""
        return self.handlers.power_w(flow_fraction)

    def flow_for(self, hall_heat_w: Floats) -> Floats:
        """Return (N,) the flow that follows the heat."""
        return self.handlers.flow_for(hall_heat_w)

    def operate(self, load: PlantLoad, outdoors: Outdoors) -> PlantOutput:
        """Return compressor work heat / COP; nothing leaves without the compressor."""
        compressor = load.heat_w / crac_cop(load.supply_deg_c)
        unknown = np.full_like(compressor, -np.inf)
        return closed_output(
            load.heat_w,
            free_fraction=np.zeros_like(compressor),
            compressor_w=compressor,
            reused_w=self.reuse.reused_w(load.heat_w + compressor, unknown),
        )
