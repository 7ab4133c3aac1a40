"""Chiller, tower and pumps as one: what it takes to make chilled water for a heat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.facility.chilled_water import Chiller, CondenserWater
from dcsim.facility.cooling_plant import Outdoors
from dcsim.facility.movers import Pump, pump_w

__all__ = ["WaterSide", "WaterSideOutput"]

Floats = npt.NDArray[np.float64]

_WATER_J_PER_L_K = 4180.0
_LEAST_W = 1.0
"""Less heat than this is rounding, not a load."""


class WaterSideOutput(NamedTuple):
    """What the water side draws and evaporates; arrays (N,)."""

    compressor_w: Floats
    pump_w: Floats
    tower_fan_w: Floats
    heater_w: Floats
    """Of the tower's basin, in frost."""
    evaporated_l_per_s: Floats
    water_l_per_s: Floats
    warm_deg_c: Floats
    """Water from the condenser to the tower."""


@dataclass(frozen=True, slots=True)
class WaterSide:
    """A chiller with a variable-speed chilled-water pump, a constant-speed condenser pump and a tower."""

    chiller: Chiller
    range_k: float
    """Chilled water returning minus leaving."""
    chilled_pump: Pump
    condenser_pump: Pump
    tower: CondenserWater
    idle_fraction: float = 0.0
    """Part of the time in which the condenser pump runs although there is nothing to cool, 0..1."""
    basin_heater_w_per_k: float = 0.0
    """Of a heater that keeps the water of a tower at rest from freezing, for each kelvin outdoors below:"""
    basin_set_point_deg_c: float = 4.5

    def operate(self, heat_w: Floats, leaving_deg_c: Floats, outdoors: Outdoors) -> WaterSideOutput:
        """Return what it takes to remove heat from the coils; the pump's heat is in the water, too.

        Args:
            heat_w: (N,) >= 0.
            leaving_deg_c: (N,) chilled water.
            outdoors: Weather.
        """
        running = heat_w > _LEAST_W
        flow = heat_w / (_WATER_J_PER_L_K * self.range_k * self.chilled_pump.flow_l_per_s)
        chilled_pump = np.where(running, pump_w(flow, self.chilled_pump), 0.0)
        load = np.where(running, heat_w + chilled_pump, 0.0)
        full = self.condenser_pump.full_w
        # The compressor's work is a part of the tower's load and follows from its water: two steps from none.
        work = np.zeros_like(load)
        for _ in range(2):
            water = self.tower.leaving_deg_c(np.where(running, load + work + full, 0.0), outdoors)
            work = np.where(running, self.chiller.power_w(load, leaving_deg_c, water), 0.0)
        tower = self.tower.reject(np.where(running, load + work + full, 0.0), outdoors)
        frost_k = np.maximum(self.basin_set_point_deg_c - outdoors.dry_bulb_deg_c, 0.0)
        duty = np.where(running, 1.0, self.idle_fraction)
        return WaterSideOutput(
            compressor_w=work,
            pump_w=np.asarray(chilled_pump + duty * full),
            tower_fan_w=tower.fan_w,
            heater_w=np.where(running, 0.0, self.basin_heater_w_per_k * frost_k),
            evaporated_l_per_s=tower.evaporated_l_per_s,
            water_l_per_s=tower.water_l_per_s,
            warm_deg_c=np.asarray(tower.leaving_deg_c + self.chiller.condenser_lift_k),
        )
