"""From what a scenario says of an air-side plant to one sized for a hall."""

from __future__ import annotations

import dataclasses

from dcsim.facility.air_side import AirPath, AirSidePlant, Economiser, air_kg_per_s
from dcsim.facility.chilled_water import Chiller, CondenserWater, FanTower
from dcsim.facility.cooling_plant import HeatReuse
from dcsim.facility.evaporative import DirectCooler, IndirectCooler
from dcsim.facility.movers import AFFINITY, Fan, Pump
from dcsim.facility.water_side import WaterSide
from dcsim.spec.air_side import AirSideSpec, DirectCoolerSpec, IndirectCoolerSpec

__all__ = ["AirSideSize", "build_air_side"]

_AIR_J_PER_KG_K = 1006.0
_WATER_J_PER_L_K = 4180.0
_CONDENSER_RANGE_K = 5.6
_CONDENSER_OVER_HEAT = 1.2
"""Heat to the condenser water over heat removed: with a compressor's work at a COP of 5."""
_FAN_EFFICIENCY = 0.6
_SEA_LEVEL_PA = 101_325.0


@dataclasses.dataclass(frozen=True, slots=True)
class AirSideSize:
    """What an air-side plant is sized for."""

    capacity_w: float
    """Heat it must be able to remove."""
    peak_heat_w: float
    """Released in the hall at peak, without air movers; > 0."""
    fan_w: float
    """Of all supply fans at full flow."""
    least_flow: float
    coil_approach_k: float


def build_air_side(
    spec: AirSideSpec, size: AirSideSize, chiller: Chiller, tower: CondenserWater, reuse: HeatReuse
) -> AirSidePlant:
    """Return the plant: fans for the peak heat at its air rise, pumps for the peak with the fans' own heat."""
    flow_m3_per_s = size.peak_heat_w / (
        spec.air_rise_k * _AIR_J_PER_KG_K * float(air_kg_per_s(1.0, _SEA_LEVEL_PA))
    )
    pressure_pa = size.fan_w * _FAN_EFFICIENCY / flow_m3_per_s
    return AirSidePlant(
        capacity_w=size.capacity_w,
        fan=Fan(flow_m3_per_s, pressure_pa, _FAN_EFFICIENCY, AFFINITY, least_flow=0.0),
        air_rise_k=spec.air_rise_k,
        least_flow=size.least_flow,
        economiser=Economiser(
            spec.lowest_dry_bulb_deg_c, spec.highest_dry_bulb_deg_c, spec.highest_dew_point_deg_c
        ),
        paths=(AirPath(1.0, _direct(spec.direct), _indirect(spec.indirect)),),
        water=_water_side(spec, size, chiller, tower),
        coil_approach_k=size.coil_approach_k,
        chilled_water_deg_c=spec.chilled_water_deg_c,
        reuse=reuse,
    )


def _direct(spec: DirectCoolerSpec | None) -> DirectCooler | None:
    return None if spec is None else DirectCooler(**spec.model_dump())


def _indirect(spec: IndirectCoolerSpec | None) -> IndirectCooler | None:
    return None if spec is None else IndirectCooler(**spec.model_dump())


def _water_side(spec: AirSideSpec, size: AirSideSize, chiller: Chiller, tower: CondenserWater) -> WaterSide:
    heat_w = size.peak_heat_w + size.fan_w
    rejected_l_per_s = _CONDENSER_OVER_HEAT * heat_w / (_WATER_J_PER_L_K * _CONDENSER_RANGE_K)
    condenser_l_per_s = tower.tower.water_flow_l_per_s if isinstance(tower, FanTower) else rejected_l_per_s
    return WaterSide(
        chiller=chiller,
        range_k=spec.chilled_water_range_k,
        chilled_pump=Pump(
            heat_w / (_WATER_J_PER_L_K * spec.chilled_water_range_k),
            spec.chilled_pump_head_pa,
            spec.motor_efficiency,
        ),
        condenser_pump=Pump(condenser_l_per_s, spec.condenser_pump_head_pa, spec.motor_efficiency),
        tower=tower,
        idle_fraction=spec.idle_pump_fraction,
        basin_heater_w_per_k=spec.basin_heater_w_per_k,
    )
