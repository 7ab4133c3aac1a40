"""The cooling plant of one hall: what removing heat costs in power and water, for given weather."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.cooling import (
    chiller_cop,
    crac_cop,
    economiser_fraction,
    fan_power_fraction,
    tower_water_l_per_j,
)
from dcsim.facility.power import ChainStage, build_chain, chain_losses_w
from dcsim.spec.cooling import CoolingSpec
from dcsim.spec.power import PowerChainSpec

__all__ = [
    "DESIGN_WET_BULB_DEG_C",
    "HALL_RISE_K",
    "Plant",
    "build_plant",
    "power_per_heat",
    "water_l_per_heat_j",
]

Floats = npt.NDArray[np.float64]

DESIGN_WET_BULB_DEG_C = 30.0
"""Weather for which the electric supply of the plant is sized; about the 20-year extreme of humid tropics."""

HALL_RISE_K = 12.0
"""Return over supply air at peak heat where the scenario gives no thermal resistance."""

_CAPACITY_MARGIN = 1.25


def power_per_heat(spec: CoolingSpec, wet_bulb_deg_c: npt.ArrayLike) -> Floats:
    """Return the plant's power (without air-handler fans) over the heat it removes, at an outdoor wet bulb.

    crac: 1 / COP of Moore et al. 2005 at the supply temperature, whatever the weather. chilled_water:
    the part that the water-side economiser leaves, over the chiller's COP, plus `pump_fraction`.
    """
    wet_bulb = np.asarray(wet_bulb_deg_c, dtype=np.float64)
    if spec.plant == "crac":
        return np.full_like(wet_bulb, 1.0 / float(crac_cop(spec.supply_temperature_deg_c)))
    return _chiller_power_per_heat(spec, wet_bulb) + spec.pump_fraction


def _chiller_power_per_heat(spec: CoolingSpec, wet_bulb_deg_c: Floats) -> Floats:
    chilled_deg_c = spec.supply_temperature_deg_c - spec.approach_k
    water_deg_c = wet_bulb_deg_c + spec.tower_approach_k
    cop = chiller_cop(chilled_deg_c, water_deg_c + spec.condenser_lift_k, spec.carnot_fraction, spec.cop_max)
    return np.asarray((1.0 - economiser_fraction(water_deg_c, chilled_deg_c)) / cop, dtype=np.float64)


def water_l_per_heat_j(spec: CoolingSpec, wet_bulb_deg_c: npt.ArrayLike) -> Floats:
    """Return tower make-up water over the heat removed from the hall, L/J; 0 for a CRAC (air-cooled).

    The tower rejects the heat removed, the chiller's work and that of pumps and tower fans.
    """
    wet_bulb = np.asarray(wet_bulb_deg_c, dtype=np.float64)
    if spec.plant == "crac":
        return np.zeros_like(wet_bulb)
    rejected = 1.0 + power_per_heat(spec, wet_bulb)
    return np.asarray(rejected * tower_water_l_per_j(spec.cycles_of_concentration), dtype=np.float64)


@dataclass(frozen=True)
class Plant:
    """A hall, its plant and its power chain, sized for a peak IT power."""

    spec: CoolingSpec
    stages: tuple[ChainStage, ...]
    auxiliary_w: float
    peak_it_w: float
    fan_peak_w: float
    capacity_w: float
    """Heat the plant can remove, W."""
    resistance_k_per_w: float
    """Hall air over supply air, per heat removed."""
    time_constant_s: float
    """R C of the hall."""

    @property
    def below_tap(self) -> tuple[ChainStage, ...]:
        """Stages that carry IT power only."""
        return tuple(stage for stage in self.stages if not stage.carries_cooling)

    @property
    def above_tap(self) -> tuple[ChainStage, ...]:
        """Stages that carry IT and cooling."""
        return tuple(stage for stage in self.stages if stage.carries_cooling)

    def fan_w(self, it_w: npt.ArrayLike) -> Floats:
        """Return the power of the air handlers, W, while IT draws `it_w`."""
        load = np.asarray(it_w, dtype=np.float64) / (self.peak_it_w or 1.0)
        return np.asarray(self.fan_peak_w * fan_power_fraction(load), dtype=np.float64)

    def hall_heat_w(self, it_w: npt.ArrayLike) -> Floats:
        """Return the heat released in the hall, W: IT, air-handler fans, losses of stages in the hall."""
        heat = np.asarray(it_w, dtype=np.float64) + self.fan_w(it_w)
        for stage, (_, loss) in zip(self.below_tap, chain_losses_w(self.below_tap, it_w), strict=True):
            if stage.heats_hall:
                heat = heat + loss
        return heat


def build_plant(cooling: CoolingSpec, power: PowerChainSpec, peak_it_w: float) -> Plant:
    """Return the plant with everything the scenario leaves open sized for `peak_it_w` (>= 0)."""
    if not 0.0 <= peak_it_w < math.inf:
        raise ValueError(f"peak IT power {peak_it_w!r} W: expected a finite number >= 0")
    fan_peak_w = cooling.fan_fraction * peak_it_w
    # Ratings below the tap do not depend on cooling, so a first chain gives the heat that sizes the rest.
    draft = Plant(
        cooling, build_chain(power, peak_it_w, 0.0), power.auxiliary_power_w, peak_it_w, fan_peak_w,
        math.inf, 0.0, cooling.hall_time_constant_s,
    )  # fmt: skip
    peak_heat_w = float(draft.hall_heat_w(peak_it_w))
    peak_cooling_w = fan_peak_w + peak_heat_w * float(power_per_heat(cooling, DESIGN_WET_BULB_DEG_C))
    return Plant(
        spec=cooling,
        stages=build_chain(power, peak_it_w, peak_cooling_w),
        auxiliary_w=power.auxiliary_power_w,
        peak_it_w=peak_it_w,
        fan_peak_w=fan_peak_w,
        capacity_w=cooling.capacity_w or _CAPACITY_MARGIN * peak_heat_w,
        resistance_k_per_w=cooling.hall_resistance_k_per_w or HALL_RISE_K / (peak_heat_w or 1.0),
        time_constant_s=cooling.hall_time_constant_s,
    )
