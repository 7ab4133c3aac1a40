"""A chilled-water plant: cooling tower, water-side economiser, chiller and pumps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.air_handlers import AirHandlers
from dcsim.facility.chiller import ChillerCurve, chiller_power_w
from dcsim.facility.cooling import (
    CHILLED_WATER_RANGE_K,
    EVAPORATION_L_PER_J,
    chiller_cop,
    economiser_fraction,
    tower_water_l_per_j,
)
from dcsim.facility.cooling_plant import (
    NO_REUSE,
    CoolingPlant,
    HeatReuse,
    Outdoors,
    PlantLoad,
    PlantOutput,
    closed_output,
)
from dcsim.facility.tower import TowerOutput, YorkTower, operate_tower, tower_leaving_deg_c

__all__ = [
    "ApproachTower",
    "CarnotChiller",
    "ChilledWaterPlant",
    "Chiller",
    "CondenserWater",
    "CurveChiller",
    "FanTower",
]

Floats = npt.NDArray[np.float64]


class Chiller(ABC):
    """What removes the heat that the economiser leaves."""

    condenser_lift_k: float
    """Condensing temperature over the water that enters the condenser."""

    @abstractmethod
    def power_w(self, heat_w: Floats, leaving_deg_c: Floats, entering_condenser_deg_c: Floats) -> Floats:
        """Return (N,) compressor power for heat, W, chilled water leaving, and condenser water entering."""


@dataclass(frozen=True, slots=True)
class CarnotChiller(Chiller):
    """A fixed fraction of Carnot's COP between chilled water and condensing temperature."""

    carnot_fraction: float
    condenser_lift_k: float
    cop_max: float

    def power_w(self, heat_w: Floats, leaving_deg_c: Floats, entering_condenser_deg_c: Floats) -> Floats:
        """Return heat / COP."""
        condensing = entering_condenser_deg_c + self.condenser_lift_k
        return np.asarray(heat_w / chiller_cop(leaving_deg_c, condensing, self.carnot_fraction, self.cop_max))


@dataclass(frozen=True, slots=True)
class CurveChiller(Chiller):
    """A chiller by its curves of temperatures and part load."""

    curve: ChillerCurve
    condenser_lift_k: float = 0.0
    """Its curves tell of the water only."""

    def power_w(self, heat_w: Floats, leaving_deg_c: Floats, entering_condenser_deg_c: Floats) -> Floats:
        """Return what the curves give, never better than Carnot."""
        return chiller_power_w(heat_w, leaving_deg_c, entering_condenser_deg_c, self.curve)


class CondenserWater(ABC):
    """What makes the condenser water, and gives all heat to the surroundings."""

    @abstractmethod
    def leaving_deg_c(self, heat_w: Floats, outdoors: Outdoors) -> Floats:
        """Return (N,) temperature of the water leaving, never below the wet bulb."""

    @abstractmethod
    def reject(self, heat_w: Floats, outdoors: Outdoors) -> TowerOutput:
        """Return the same with fan power and water."""


@dataclass(frozen=True, slots=True)
class ApproachTower(CondenserWater):
    """Water at a fixed approach over the wet bulb; all heat evaporates; fans are counted with the pumps."""

    approach_k: float
    cycles_of_concentration: float

    def leaving_deg_c(self, heat_w: Floats, outdoors: Outdoors) -> Floats:
        """Return wet bulb plus approach."""
        return np.asarray(outdoors.wet_bulb_deg_c + self.approach_k)

    def reject(self, heat_w: Floats, outdoors: Outdoors) -> TowerOutput:
        """Return the water, 1.48 L evaporated for each kWh, and no fan power of its own."""
        return TowerOutput(
            leaving_deg_c=self.leaving_deg_c(heat_w, outdoors),
            fan_w=np.zeros_like(heat_w),
            evaporated_l_per_s=EVAPORATION_L_PER_J * heat_w,
            water_l_per_s=tower_water_l_per_j(self.cycles_of_concentration) * heat_w,
            air_ratio=np.ones_like(heat_w),
        )


@dataclass(frozen=True, slots=True)
class FanTower(CondenserWater):
    """A tower with a variable-speed fan; what evaporates follows from its air."""

    tower: YorkTower

    def leaving_deg_c(self, heat_w: Floats, outdoors: Outdoors) -> Floats:
        """Return the set point or, at full air, wet bulb plus the tower's approach, as `reject` does."""
        return tower_leaving_deg_c(heat_w, outdoors.wet_bulb_deg_c, self.tower)

    def reject(self, heat_w: Floats, outdoors: Outdoors) -> TowerOutput:
        """Return what the tower does."""
        return operate_tower(
            heat_w,
            outdoors.dry_bulb_deg_c,
            outdoors.wet_bulb_deg_c,
            outdoors.humidity_ratio,
            outdoors.pressure_pa,
            self.tower,
        )


@dataclass(frozen=True, slots=True)
class ChilledWaterPlant(CoolingPlant):
    """Tower water cools the return of the chilled water as far as it can, the chiller does what is left."""

    capacity_w: float
    handlers: AirHandlers
    coil_approach_k: float
    """Supply air over the chilled water that makes it."""
    chiller: Chiller
    tower: CondenserWater
    economiser: bool
    pump_fraction: float
    """Pumps (and fans of a tower that has none of its own) over heat removed."""
    reuse: HeatReuse = NO_REUSE

    def air_mover_w(self, hall_heat_w: Floats, flow_fraction: Floats) -> Floats:
        """Return (N,) fan power of the air handlers, W."""
        return self.handlers.power_w(flow_fraction)

    def flow_for(self, hall_heat_w: Floats) -> Floats:
        """Return (N,) the flow that follows the heat."""
        return self.handlers.flow_for(hall_heat_w)

    def operate(self, load: PlantLoad, outdoors: Outdoors) -> PlantOutput:
        """Return powers, water and heat; what the tower rejects all evaporates."""
        heat, chilled = load.heat_w, load.supply_deg_c - self.coil_approach_k
        pump = self.pump_fraction * heat
        # The compressor's work is a part of the tower's load and follows from its water: one step from none.
        water = self.tower.leaving_deg_c(heat + pump, outdoors)
        work = self._compressor_w(heat, chilled, water)
        water = self.tower.leaving_deg_c(heat + pump + work, outdoors)
        compressor = self._compressor_w(heat, chilled, water)
        free = self._free(water, chilled)
        warm = np.where(free < 1.0, water + self.chiller.condenser_lift_k, chilled + CHILLED_WATER_RANGE_K)
        reused = self.reuse.reused_w(heat + compressor + pump, warm)
        rejection = self.tower.reject(np.maximum(heat + compressor + pump - reused, 0.0), outdoors)
        return closed_output(
            heat,
            free_fraction=free,
            compressor_w=compressor,
            pump_w=pump,
            tower_fan_w=rejection.fan_w,
            reused_w=reused,
            evaporated_l_per_s=rejection.evaporated_l_per_s,
            water_l_per_s=rejection.water_l_per_s,
        )

    def _free(self, water_deg_c: Floats, chilled_deg_c: Floats) -> Floats:
        """Return the part of the heat that tower water takes by itself, 0..1."""
        if not self.economiser:
            return np.zeros_like(water_deg_c)
        return economiser_fraction(water_deg_c, chilled_deg_c)

    def _compressor_w(self, heat_w: Floats, chilled_deg_c: Floats, water_deg_c: Floats) -> Floats:
        left_w = heat_w * (1.0 - self._free(water_deg_c, chilled_deg_c))
        return self.chiller.power_w(left_w, chilled_deg_c, water_deg_c)
