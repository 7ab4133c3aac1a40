"""From what a scenario says of its cooling to a plant sized for a hall."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dcsim.facility.air_handlers import AirHandlers
from dcsim.facility.air_side import AirSidePlant
from dcsim.facility.air_side_build import AirSideSize, build_air_side
from dcsim.facility.chilled_water import (
    ApproachTower,
    CarnotChiller,
    ChilledWaterPlant,
    Chiller,
    CondenserWater,
    CurveChiller,
    FanTower,
)
from dcsim.facility.chiller import CENTRIFUGAL, RISE
from dcsim.facility.cooling_plant import CoolingPlant, HeatReuse, Outdoors, PlantLoad
from dcsim.facility.crac import CracPlant
from dcsim.facility.hybrid_cooling import HybridPlant
from dcsim.facility.liquid_cooling import LiquidLoop, LiquidPlant
from dcsim.facility.plant_fmu import open_fmu
from dcsim.facility.tower import YorkTower
from dcsim.spec.chilled_water import CurveChillerSpec, YorkTowerSpec
from dcsim.spec.cooling import CoolingSpec
from dcsim.spec.liquid import WATER_CLASSES_DEG_C

__all__ = ["CAPACITY_MARGIN", "DESIGN_OUTDOORS", "build_cooling_plant", "design_power_w"]

CAPACITY_MARGIN = 1.25
"""Heat that a plant can remove over the peak heat, where the scenario does not say."""

DESIGN_OUTDOORS = Outdoors(
    dry_bulb_deg_c=np.array([45.0]),
    wet_bulb_deg_c=np.array([30.0]),
    humidity_ratio=np.array([0.0208]),
    pressure_pa=np.array([101_325.0]),
)
"""Weather for which the electric supply of the plant is sized: about the 20-year extremes of hot deserts (dry
bulb) and humid tropics (wet bulb)."""

_TOWER_OVER_HEAT = 1.2
"""Heat that a tower is sized for over the heat removed: with a compressor's work at a COP of 5."""

_MACHINES = {"centrifugal": CENTRIFUGAL, "rise": RISE}


@dataclass(frozen=True, slots=True)
class _Duty:
    """What a plant, or a part of one, is sized for, W."""

    peak_heat_w: float
    """Released in the hall without air movers."""
    peak_it_w: float
    """Of that, by IT."""


def build_cooling_plant(
    spec: CoolingSpec,
    peak_heat_w: float,
    *,
    peak_it_w: float | None = None,
    base_dir: Path = Path(),
    allow_fmu: bool = False,
) -> CoolingPlant:
    """Return the plant of a scenario, with everything it leaves open sized for a peak.

    Args:
        spec: what the scenario says of cooling.
        peak_heat_w: released in the hall at peak, air movers left out, >= 0.
        peak_it_w: of that, by IT; None: all.
        base_dir: folder of the scenario file, where the path of an FMU starts.
        allow_fmu: whether an FMU, which is native code, may be loaded.

    Raises:
        ValueError: a peak that is negative or not finite, or IT above all heat.
        ScenarioError: an FMU that may not or cannot be used.
        MissingExtraError: an FMU without fmpy.

    >>> build_cooling_plant(CoolingSpec(fan_fraction=0.0), 1e6).capacity_w
    1250000.0
    """
    it_w = peak_heat_w if peak_it_w is None else peak_it_w
    if not (0.0 <= it_w <= peak_heat_w < math.inf):
        raise ValueError(
            f"peak heat {peak_heat_w!r} W, of IT {it_w!r} W: expected 0 <= IT <= heat < infinity"
        )
    duty = _Duty(peak_heat_w, it_w)
    if spec.plant == "hybrid":
        return _hybrid(spec, duty)
    if spec.plant == "fmu" and spec.fmu is not None:
        handlers, capacity_w = _handlers(spec, duty), _capacity_w(spec, duty)
        return open_fmu(spec.fmu, capacity_w, handlers, base_dir, allowed=allow_fmu)
    return _simple(spec, spec.plant, duty)


def design_power_w(
    plant: CoolingPlant,
    peak_heat_w: float,
    supply_deg_c: float,
    *,
    it_fraction: float = 1.0,
    outdoors: Outdoors = DESIGN_OUTDOORS,
) -> float:
    """Return the power, W, of plant and air movers at peak heat, full flow and design weather.

    Args:
        plant: the plant.
        peak_heat_w: released in the hall, air movers left out.
        supply_deg_c: set point of the air.
        it_fraction: of the heat, by IT.
        outdoors: one interval of weather.
    """
    heat, full = np.array([peak_heat_w]), np.ones(1)
    movers = plant.air_mover_w(heat, full)
    load = PlantLoad(
        heat_w=heat + movers,
        it_fraction=np.full(1, it_fraction * peak_heat_w / (peak_heat_w + movers[0] or 1.0)),
        supply_deg_c=np.full(1, supply_deg_c),
        flow_fraction=full,
    )
    return float(movers[0] + plant.operate(load, outdoors).power_w[0])


def _simple(spec: CoolingSpec, name: str, duty: _Duty) -> CoolingPlant:
    """Return one plant by its name, sized for its part of the heat."""
    if name == "liquid":
        return _liquid(spec, duty)
    if name == "chilled_water":
        return _chilled_water(spec, duty)
    if name == "air_side":
        return _air_side(spec, duty)
    return CracPlant(_capacity_w(spec, duty), _handlers(spec, duty), _reuse(spec))


def _chilled_water(spec: CoolingSpec, duty: _Duty) -> ChilledWaterPlant:
    return ChilledWaterPlant(
        capacity_w=_capacity_w(spec, duty),
        handlers=_handlers(spec, duty),
        coil_approach_k=spec.approach_k,
        chiller=_chiller(spec, duty),
        tower=_tower(spec, duty),
        economiser=spec.water_side_economiser,
        pump_fraction=spec.pump_fraction,
        reuse=_reuse(spec),
    )


def _air_side(spec: CoolingSpec, duty: _Duty) -> AirSidePlant:
    size = AirSideSize(
        capacity_w=_capacity_w(spec, duty),
        peak_heat_w=duty.peak_heat_w or 1.0,
        fan_w=spec.fan_fraction * duty.peak_it_w,
        least_flow=spec.least_flow,
        coil_approach_k=spec.approach_k,
    )
    return build_air_side(spec.air_side, size, _chiller(spec, duty), _tower(spec, duty), _reuse(spec))


def _chiller(spec: CoolingSpec, duty: _Duty) -> Chiller:
    about = spec.chiller
    if not isinstance(about, CurveChillerSpec):
        return CarnotChiller(spec.carnot_fraction, spec.condenser_lift_k, spec.cop_max)
    machine = _MACHINES[about.machine]
    return CurveChiller(
        replace(
            machine,
            rated_capacity_w=about.oversize * _peak_with_movers_w(spec, duty) or 1.0,
            rated_cop=about.rated_cop or machine.rated_cop,
            least_part_load=about.least_part_load,
        )
    )


def _tower(spec: CoolingSpec, duty: _Duty) -> CondenserWater:
    about = spec.tower
    if not isinstance(about, YorkTowerSpec):
        return ApproachTower(spec.tower_approach_k, spec.cycles_of_concentration)
    rejected_w = _TOWER_OVER_HEAT * _peak_with_movers_w(spec, duty) or 1.0
    tower = YorkTower.for_heat(rejected_w, range_k=about.range_k, fan_fraction=about.fan_fraction)
    return FanTower(
        replace(
            tower,
            follows_wet_bulb_k=about.follows_wet_bulb_k,
            least_leaving_deg_c=about.least_water_deg_c,
            drift=about.drift_fraction,
            cycles_of_concentration=spec.cycles_of_concentration,
        )
    )


def _liquid(spec: CoolingSpec, duty: _Duty) -> LiquidPlant:
    about = spec.liquid
    captured_w = about.captured_fraction * duty.peak_it_w
    limit = WATER_CLASSES_DEG_C[about.water_class]
    loop = LiquidLoop(
        peak_heat_w=captured_w or 1.0,
        supply_deg_c=limit + about.cdu_approach_k if about.supply_deg_c is None else about.supply_deg_c,
        rise_k=about.rise_k,
        flow_ratio=about.facility_flow_ratio,
        cdu_effectiveness=about.cdu_effectiveness,
        class_limit_deg_c=limit,
        least_flow=about.least_flow,
        pump_peak_w=(about.pump_fraction + about.facility_pump_fraction) * captured_w,
        evaporates=about.cooler == "tower",
        cooler_approach_k=about.cooler_approach_k,
        cooler_fan_peak_w=about.cooler_fan_fraction * captured_w,
        carnot_fraction=spec.carnot_fraction,
        condenser_lift_k=spec.condenser_lift_k,
        cop_max=spec.cop_max,
        cycles_of_concentration=spec.cycles_of_concentration,
        reuse=_reuse(spec),
    )
    left = _Duty(duty.peak_heat_w - captured_w, duty.peak_it_w - captured_w)
    air = _simple(spec, about.air, left)
    capacity_w = spec.capacity_w or CAPACITY_MARGIN * (captured_w + _peak_with_movers_w(spec, left))
    return LiquidPlant(capacity_w, about.captured_fraction, loop, air)


def _hybrid(spec: CoolingSpec, duty: _Duty) -> HybridPlant:
    parts = tuple(
        (
            part.heat_fraction,
            _simple(
                spec,
                part.plant,
                _Duty(part.heat_fraction * duty.peak_heat_w, part.heat_fraction * duty.peak_it_w),
            ),
        )
        for part in spec.hybrid
    )
    capacity_w = spec.capacity_w or min(plant.capacity_w / fraction for fraction, plant in parts)
    return HybridPlant(capacity_w, parts)


def _handlers(spec: CoolingSpec, duty: _Duty) -> AirHandlers:
    return AirHandlers(spec.fan_fraction * duty.peak_it_w, duty.peak_heat_w, spec.least_flow)


def _peak_with_movers_w(spec: CoolingSpec, duty: _Duty) -> float:
    return duty.peak_heat_w + spec.fan_fraction * duty.peak_it_w


def _capacity_w(spec: CoolingSpec, duty: _Duty) -> float:
    return spec.capacity_w or CAPACITY_MARGIN * _peak_with_movers_w(spec, duty)


def _reuse(spec: CoolingSpec) -> HeatReuse:
    user = spec.heat_reuse
    if user is None:
        return HeatReuse()
    return HeatReuse(user.fraction, -math.inf if user.temperature_deg_c is None else user.temperature_deg_c)
