"""The fit of the EnergyPlus hall: sizes read off maxima, the few scalars left by least squares on their own columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dcsim.facility.chiller import RISE, chiller_power_w
from dcsim.facility.evaporative import cool_directly
from dcsim.facility.movers import VARIABLE_VOLUME, part_load_fraction
from dcsim.facility.tower import operate_tower
from tests.oracles.energyplus import (
    IMPELLER,
    TOWER_FAN_W_PER_W,
    WATER_J_PER_L_K,
    ZONES,
    Fitted,
    Hall,
    Sizes,
    Year,
    hall_load,
    plant_of,
    tower_of,
)

Floats = npt.NDArray[np.float64]


def fit(year: Year) -> Fitted:
    """Return the parameters, from some hours only, each from the columns that it governs."""
    heater, frost = _fit_basin(year)
    base = Fitted(_read_sizes(year), _fit_hall(year), _fit_range(year), _idle(year), heater, frost)
    base = replace(base, wet_bulb_limit_deg_c=_fit_wet_bulb_limits(year, base))
    base = replace(base, tower_follows_k=_fit_tower(year, base))
    return replace(base, chiller_leaving_deg_c=_fit_leaving(year, base))


def _read_sizes(year: Year) -> Sizes:
    at_full = float(part_load_fraction(1.0, VARIABLE_VOLUME))
    east, west = (float(year.of(f"{zone} ZONE SUPPLY FAN").max()) * 0.7 / (300.0 * at_full) for zone in ZONES)
    plates = [float(year.of(f"{zone} DATA CENTER IEC:Evaporative Cooler Elec").max()) for zone in ZONES]
    dry = plates[0] / east
    tower_w = float(year.of("Tower Fan").max()) / TOWER_FAN_W_PER_W
    return Sizes(
        zone_flow_m3_per_s=(east, west),
        secondary_fan_w_per_m3_per_s=dry,
        secondary_pump_w_per_m3_per_s=plates[1] / west - dry,
        condenser_l_per_s=float(year.of("COND CIRC").max()) * 0.9 * IMPELLER / 140.0,
        tower_heat_w=tower_w,
        chiller_w=tower_w / (1.0 + 1.0 / 5.0),
    )


def _fit_hall(year: Year) -> Hall:
    dry = year.outdoors.dry_bulb_deg_c
    zones = year.of(*(f"{zone} ZONE:Zone Mean Air" for zone in ZONES)) / 2.0
    at_zero, by_dry, by_it = _least_squares(zones, dry, year.it_w)
    fans = year.of(*(f"{zone} ZONE SUPPLY FAN" for zone in ZONES))
    lights = float(np.mean(year.facility_w - year.it_w - year.of("Total HVAC")))
    # Above 26 degC nothing but the chiller cools, so what it removes beyond IT, lights and fans came through walls.
    closed = dry > 26.0
    gain = (year.of("Evaporator") - year.of("CW CIRC") - year.it_w - fans - lights)[closed]
    constant, slope = _least_squares(gain, dry[closed])
    return Hall((at_zero, by_dry, by_it), slope, -constant / slope, lights)


def _fit_range(year: Year) -> float:
    """Pump power = heat / (c range) head / efficiency."""
    busy = year.of("Evaporator") > 20e3
    flow_l = year.of("CW CIRC")[busy].sum() * 0.87 * IMPELLER / 160.0
    return float(year.of("Evaporator")[busy].sum() / (WATER_J_PER_L_K * flow_l))


def _idle(year: Year) -> float:
    pump = year.of("COND CIRC")
    return float(pump[year.outdoors.dry_bulb_deg_c < 10.0].mean() / pump.max())


def _fit_basin(year: Year) -> tuple[float, float]:
    """Return its power for each kelvin, and where it begins."""
    named = [name for name in year.columns if "Electricity Rate" in name and "ITE" not in name]
    rest = year.of("Total HVAC") - np.sum([year.columns[name] for name in named], axis=0)
    frost = (year.outdoors.dry_bulb_deg_c < 0.0) & (rest > 0.0)
    constant, slope = _least_squares(rest[frost], year.outdoors.dry_bulb_deg_c[frost])
    return -slope, -constant / slope


def _fit_wet_bulb_limits(year: Year, base: Fitted) -> tuple[float, float]:
    """Return, for each direct cooler, the limit (to 0.25 K) at which its pump's power is nearest to the year's."""
    limits = []
    for index, zone in enumerate(ZONES):
        measured = year.of(f"{zone} DATA CENTER DEC:Evaporative Cooler Elec")
        errors = {}
        for limit in np.arange(16.0, 22.1, 0.25).tolist():
            plant = plant_of(replace(base, wet_bulb_limit_deg_c=(limit, limit)))
            load, _ = hall_load(base, plant, year.it_w, year.outdoors)
            path = plant.paths[index]
            air = plant._air(path, load, year.outdoors)
            assert path.direct is not None
            cooled = cool_directly(
                air.entering_deg_c,
                air.humidity_ratio,
                year.outdoors.pressure_pa,
                air.supply_deg_c,
                air.kg_per_s,
                path.direct,
            )
            errors[limit] = float(np.sum((cooled.power_w - measured) ** 2))
        best = min(errors.values())
        # Between states that occur all limits fit alike; the middle is as good as any.
        alike = [limit for limit, error in errors.items() if error <= best * (1.0 + 1e-9)]
        limits.append(alike[len(alike) // 2])
    return limits[0], limits[1]


def _fit_tower(year: Year, base: Fitted) -> float:
    """Return the set point over wet bulb (to 0.1 K) at which the tower's fan uses the measured energy."""
    heat = np.maximum(year.of("Cooling Tower Heat"), 0.0)
    measured = float(year.of("Tower Fan").sum())
    steps = np.arange(0.0, 3.01, 0.1).tolist()
    return min(
        steps,
        key=lambda k: abs(float(_reject(year, replace(base, tower_follows_k=k), heat)[1].sum()) - measured),
    )


def _fit_leaving(year: Year, base: Fitted) -> float:
    """Return the temperature (to 0.05 K) at which the curves give the measured energy for the measured heat."""
    heat = year.of("Evaporator")
    busy = heat > 60e3
    water = _reject(year, base, np.maximum(year.of("Cooling Tower Heat"), 0.0))[0]
    curve = RISE.sized(base.sizes.chiller_w)
    measured = float(year.of("Chiller Elec")[busy].sum())
    steps = np.arange(5.0, 20.01, 0.05).tolist()
    return min(
        steps, key=lambda t: abs(float(chiller_power_w(heat[busy], t, water[busy], curve).sum()) - measured)
    )


def _reject(year: Year, fitted: Fitted, heat_w: Floats) -> tuple[Floats, Floats]:
    out = year.outdoors
    done = operate_tower(
        heat_w, out.dry_bulb_deg_c, out.wet_bulb_deg_c, out.humidity_ratio, out.pressure_pa, tower_of(fitted)
    )
    return done.leaving_deg_c, done.fan_w


def _least_squares(values: Floats, *by: Floats) -> list[float]:
    """Return constant and slopes."""
    columns = np.column_stack([np.ones(len(values)), *by])
    return [float(x) for x in np.linalg.lstsq(columns, values, rcond=None)[0]]
