"""An air-side plant: outdoor air where it serves, evaporative coolers, and chilled water for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.facility.cooling_plant import (
    NO_REUSE,
    CoolingPlant,
    HeatReuse,
    Outdoors,
    PlantLoad,
    PlantOutput,
    closed_output,
)
from dcsim.facility.evaporative import DirectCooler, IndirectCooler, cool_directly, cool_indirectly
from dcsim.facility.movers import Fan, fan_w
from dcsim.facility.psychrometrics import (
    air_density_kg_per_m3,
    dew_point_deg_c,
    enthalpy_j_per_kg,
    saturated_humidity_ratio,
    specific_heat_j_per_kg_k,
)
from dcsim.facility.water_side import WaterSide

__all__ = ["AirPath", "AirSidePlant", "Economiser", "air_kg_per_s", "outdoor_fraction"]

Floats = npt.NDArray[np.float64]

_FAN_AIR_DEG_C = 20.0
"""Fans move volume: mass flow is that of dry air at this temperature."""
_LEAST_DROP_K = 1e-6


@dataclass(frozen=True, slots=True)
class Economiser:
    """When outdoor air may be let into the hall."""

    lowest_dry_bulb_deg_c: float = -20.0
    highest_dry_bulb_deg_c: float = 24.0
    highest_dew_point_deg_c: float = 15.0

    def allowed(self, outdoors: Outdoors, return_deg_c: Floats) -> npt.NDArray[np.bool_]:
        """Return (N,) whether outdoor air is within the limits, and colder than the return."""
        dry = outdoors.dry_bulb_deg_c
        dew = dew_point_deg_c(np.maximum(outdoors.humidity_ratio, 1e-6), outdoors.pressure_pa)
        within = (dry >= self.lowest_dry_bulb_deg_c) & (dry <= self.highest_dry_bulb_deg_c)
        return np.asarray(within & (dew <= self.highest_dew_point_deg_c) & (dry < return_deg_c))


@dataclass(frozen=True, slots=True)
class AirPath:
    """A part of the hall's air, and what it passes on its way back to the servers."""

    share: float = 1.0
    """Of the air and of the heat; the shares of a plant add up to 1."""
    direct: DirectCooler | None = None
    indirect: IndirectCooler | None = None


class _Air(NamedTuple):
    """Supply air of one path, before its coolers, and what it must become; arrays (N,)."""

    entering_deg_c: Floats
    humidity_ratio: Floats
    supply_deg_c: Floats
    coil_humidity_ratio: Floats
    """Most that air holds when it leaves the coil at the set point."""
    kg_per_s: Floats
    m3_per_s: Floats


class _PathOutput(NamedTuple):
    """What one path takes; arrays (N,)."""

    chilled_w: Floats
    """Heat left to the chilled water."""
    power_w: Floats
    evaporated_l_per_s: Floats
    water_l_per_s: Floats


@dataclass(frozen=True, slots=True)
class AirSidePlant(CoolingPlant):
    """Outdoor air, evaporative coolers and a chilled-water coil in series, in each of its air paths."""

    capacity_w: float
    fan: Fan
    """All supply fans as one."""
    air_rise_k: float
    """Of the air through the servers, that flow is controlled to."""
    least_flow: float
    """Over full flow, (0, 1]."""
    economiser: Economiser
    paths: tuple[AirPath, ...]
    water: WaterSide
    coil_approach_k: float
    """Supply air over the chilled water."""
    chilled_water_deg_c: float | None = None
    """Its temperature, whatever the supply's; None: it follows the supply."""
    coil_saturation: float = 0.985
    """Humidity ratio of air that leaves a wet coil, over saturation."""
    reuse: HeatReuse = NO_REUSE

    def air_mover_w(self, hall_heat_w: Floats, flow_fraction: Floats) -> Floats:
        """Return (N,) fan power, W."""
        return fan_w(flow_fraction, self.fan)

    def flow_for(self, hall_heat_w: Floats) -> Floats:
        """Return (N,) the flow at which the air rises by `air_rise_k`, within the bounds."""
        full_w = air_kg_per_s(self.fan.flow_m3_per_s, 101_325.0) * 1006.0 * self.air_rise_k
        return np.clip(hall_heat_w / full_w, self.least_flow, 1.0)

    def operate(self, load: PlantLoad, outdoors: Outdoors) -> PlantOutput:
        """Return powers, water and heat; outdoor air and indirect coolers take what they can, chilled water the rest."""
        paths = [(path, self._air(path, load, outdoors)) for path in self.paths]
        taken = [_through(path, air, outdoors) for path, air in paths]
        total = _PathOutput(*(np.asarray(np.sum(column, axis=0)) for column in zip(*taken, strict=True)))
        follows = load.supply_deg_c - self.coil_approach_k
        fixed = self.chilled_water_deg_c
        leaving = follows if fixed is None else np.full_like(follows, fixed)
        side = self.water.operate(total.chilled_w, leaving, outdoors)
        condenser_w = total.chilled_w + side.compressor_w + side.pump_w
        reused = self.reuse.reused_w(np.where(total.chilled_w > 0.0, condenser_w, 0.0), side.warm_deg_c)
        return closed_output(
            load.heat_w,
            free_fraction=np.clip(
                1.0 - total.chilled_w / np.where(load.heat_w > 0.0, load.heat_w, 1.0), 0.0, 1.0
            ),
            compressor_w=side.compressor_w,
            pump_w=side.pump_w,
            tower_fan_w=side.tower_fan_w,
            other_w=total.power_w + side.heater_w,
            reused_w=np.minimum(reused, load.heat_w),
            evaporated_l_per_s=total.evaporated_l_per_s + side.evaporated_l_per_s,
            water_l_per_s=total.water_l_per_s + side.water_l_per_s,
        )

    def _air(self, path: AirPath, load: PlantLoad, outdoors: Outdoors) -> _Air:
        """Return the air after mixing box and fan: return air, outdoor air, or both."""
        volume = path.share * self.fan.flow_m3_per_s * load.flow_fraction
        air = air_kg_per_s(volume, outdoors.pressure_pa)
        moist_heat = air * specific_heat_j_per_kg_k(outdoors.humidity_ratio)
        fan_rise = path.share * self.air_mover_w(load.heat_w, load.flow_fraction) / moist_heat
        # All heat, the fan's with it, is in the air that comes back through the fan.
        back = load.supply_deg_c + path.share * load.heat_w / moist_heat
        allowed = self.economiser.allowed(outdoors, back - fan_rise)
        fraction = outdoor_fraction(outdoors.dry_bulb_deg_c + fan_rise, back, load.supply_deg_c)
        fraction = np.where(allowed, fraction, 0.0)
        full = self.coil_saturation * saturated_humidity_ratio(load.supply_deg_c, outdoors.pressure_pa)
        # Return air has left a coil whose air was at most saturated; outdoor air brings its own moisture, and
        # air that mixes both without a wet coil has that, too: nothing in a hall gives or takes water.
        moist = np.where(
            allowed, outdoors.humidity_ratio, np.minimum(full, self._moistest(path, outdoors, full))
        )
        entering = fraction * (outdoors.dry_bulb_deg_c + fan_rise) + (1.0 - fraction) * back
        return _Air(np.asarray(entering), moist, load.supply_deg_c, full, air, volume)

    @staticmethod
    def _moistest(path: AirPath, outdoors: Outdoors, full: Floats) -> Floats:
        """Return the humidity of air that only circulates: wetted media bring it to what the coil dries it to."""
        return full if path.direct is not None else outdoors.humidity_ratio


def air_kg_per_s(volume_m3_per_s: npt.ArrayLike, pressure_pa: npt.ArrayLike) -> Floats:
    """Return dry air, kg/s, that fans move as a volume, m3/s, of air at 20 degC and a pressure in Pa."""
    return np.asarray(
        np.asarray(volume_m3_per_s, np.float64) * air_density_kg_per_m3(_FAN_AIR_DEG_C, 0.0, pressure_pa)
    )


def outdoor_fraction(
    outdoor_deg_c: npt.ArrayLike, return_deg_c: npt.ArrayLike, supply_deg_c: npt.ArrayLike
) -> Floats:
    """Return the part of outdoor air, 0..1, in a mixture as near to the supply temperature as it can be.

    All outdoor air where that is warmer than the supply; else what mixes with the (warmer) return.

    >>> outdoor_fraction([20.0, 15.0, 5.0], 25.0, 15.0).tolist()
    [1.0, 1.0, 0.5]
    """
    outside, back = np.asarray(outdoor_deg_c, np.float64), np.asarray(return_deg_c, np.float64)
    span = back - outside
    mixed = (back - np.asarray(supply_deg_c)) / np.where(span > 0.0, span, 1.0)
    return np.asarray(np.clip(np.where(span > 0.0, mixed, 1.0), 0.0, 1.0), dtype=np.float64)


def _through(path: AirPath, air: _Air, outdoors: Outdoors) -> _PathOutput:
    """Return what the coolers of a path take, in the order direct, indirect, coil."""
    dry, moist = air.entering_deg_c, air.humidity_ratio
    none = np.zeros_like(dry)
    power, evaporated, water = none, none, none
    if path.direct is not None:
        wetted = cool_directly(dry, moist, outdoors.pressure_pa, air.supply_deg_c, air.kg_per_s, path.direct)
        dry, moist = wetted.dry_bulb_deg_c, wetted.humidity_ratio
        power, evaporated, water = wetted.power_w, wetted.evaporated_kg_per_s, wetted.water_kg_per_s
    if path.indirect is not None:
        outside = (outdoors.dry_bulb_deg_c, outdoors.wet_bulb_deg_c)
        plate = cool_indirectly(
            (dry, moist), outside, air.supply_deg_c, air.kg_per_s, air.m3_per_s, path.indirect
        )
        dry = plate.dry_bulb_deg_c
        power = power + plate.power_w
        evaporated, water = evaporated + plate.evaporated_kg_per_s, water + plate.water_kg_per_s
    left = np.minimum(moist, air.coil_humidity_ratio)
    gain = enthalpy_j_per_kg(dry, moist) - enthalpy_j_per_kg(air.supply_deg_c, left)
    chilled = np.where(dry > air.supply_deg_c + _LEAST_DROP_K, np.maximum(air.kg_per_s * gain, 0.0), 0.0)
    return _PathOutput(chilled, power, evaporated, water)
