"""Cooling towers: water temperature, fan and water of a variable-speed counterflow tower (pure functions)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.facility.psychrometrics import (
    air_density_kg_per_m3,
    enthalpy_j_per_kg,
    saturated_humidity_ratio,
    saturated_temperature_deg_c,
)

__all__ = [
    "TowerOutput",
    "YorkTower",
    "operate_tower",
    "tower_leaving_deg_c",
    "tower_water_l_per_s",
    "york_approach_k",
    "york_liquid_gas_ratio",
]

Floats = npt.NDArray[np.float64]

_WATER_J_PER_L_K = 4180.0
_YORK = (
    # Rows: powers 0, 1, 2 of the liquid-to-gas ratio; each a 3 x 3 of range (down) by wet bulb (across).
    ((-0.359741205, -0.055053608, 0.0023850432),
     (0.173926877, -0.0248473764, 0.00048430224),
     (-0.005589849456, 0.0005770079712, -0.00001342427256)),
    ((2.84765801111111, -0.121765149, 0.0014599242),
     (1.680428651, -0.0166920786, -0.0007190532),
     (-0.025485194448, 0.0000487491696, 0.00002719234152)),
    ((-0.0653766255555556, -0.002278167, 0.0002500254),
     (-0.0910565458, 0.00318176316, 0.000038621772),
     (-0.0034285382352, 0.00000856589904, -0.000001516821552)),
)  # fmt: skip
_WET_BULB_DEG_C = (-34.4, 29.4444)
_RANGE_K = (1.1111, 22.2222)
_APPROACH_K = (1.1111, 40.0)
_LIQUID_GAS = (0.01, 8.0)


@dataclass(frozen=True, slots=True)
class YorkTower:
    """A tower with a variable-speed fan, constant water flow and a leaving-water set point.

    The defaults are those of EnergyPlus' CoolingTower:VariableSpeed; a cell is one of these.
    """

    water_flow_l_per_s: float
    """Of the condenser water, at design and in operation."""
    fan_w: float
    """At full air flow."""
    air_flow_m3_per_s: float
    """At full speed."""
    design_wet_bulb_deg_c: float = 25.6
    design_approach_k: float = 3.9
    design_range_k: float = 5.6
    fan_curve: tuple[float, float, float, float] = (-0.00931516, 0.0512333966, -0.0838364671, 1.0419182336)
    """Fan power over full power: a cubic in air flow over full flow (close to the cube law)."""
    least_air_ratio: float = 0.2
    """Below this the fan switches on and off."""
    free_convection: float = 0.125
    """Part of its cooling that the tower gives with the fan off."""
    follows_wet_bulb_k: float = 0.0
    """Set point of the leaving water over outdoor wet bulb."""
    least_leaving_deg_c: float = 10.0
    """And never below this."""
    drift: float = 0.0005
    """Of the water flow, carried away as drops."""
    cycles_of_concentration: float = 4.0

    @classmethod
    def for_heat(cls, heat_w: float, *, range_k: float = 5.6, fan_fraction: float = 0.0105) -> YorkTower:
        """Return a tower for a design heat, W > 0: water at `range_k`, fan at a part of the heat.

        EnergyPlus sizes this tower so: 0.0105 W of fan for each W, air by half of the fan power over 190 Pa.
        """
        flow = heat_w / (_WATER_J_PER_L_K * range_k)
        fan = fan_fraction * heat_w
        return cls(flow, fan, air_flow_m3_per_s=0.5 * fan / 190.0, design_range_k=range_k)


class TowerOutput(NamedTuple):
    """What a tower does on N intervals; arrays (N,)."""

    leaving_deg_c: Floats
    """Water to the condenser."""
    fan_w: Floats
    evaporated_l_per_s: Floats
    water_l_per_s: Floats
    """Make-up: evaporation, and blow-down or drift, whichever is more."""
    air_ratio: Floats
    """Air flow over full flow; 0..1, time mean."""


def york_approach_k(
    wet_bulb_deg_c: npt.ArrayLike, range_k: npt.ArrayLike, liquid_gas_ratio: npt.ArrayLike
) -> Floats:
    """Return leaving water over wet bulb, K, of York's counterflow tower.

    A polynomial of 27 terms in wet bulb, range and the ratio of water to air flow, each over its design
    value; fitted for -34.4..29.4 degC, 1.1..22.2 K and ratios up to 8, and held at those ends, but
    below the smallest range in proportion to it: no heat, no approach (York International, YORKcalc, 2002; EnergyPlus Engineering Reference, "Variable speed cooling
    towers", table of approach temperature correlation coefficients).

    >>> round(float(york_approach_k(25.6, 5.6, 1.0)), 1)
    3.9
    """
    c0, c1, c2 = _york_terms(wet_bulb_deg_c, range_k)
    ratio = np.clip(liquid_gas_ratio, *_LIQUID_GAS)
    fitted = np.clip(c0 + ratio * (c1 + ratio * c2), *_APPROACH_K)
    return np.asarray(fitted * _small_range(range_k), dtype=np.float64)


def york_liquid_gas_ratio(
    wet_bulb_deg_c: npt.ArrayLike, range_k: npt.ArrayLike, approach_k: npt.ArrayLike
) -> Floats:
    """Return the least ratio of water to air, 0.01..8, at which the approach is `approach_k`: the inverse.

    The approach is a quadratic in the ratio, so this is its smaller root. 8 where no ratio gives so much
    (less air is not in the fit), 0.01 where even that much air gives no approach so small.

    >>> ratio = york_liquid_gas_ratio(20.0, 5.0, 6.0)
    >>> round(float(york_approach_k(20.0, 5.0, ratio)), 6)
    6.0
    """
    c0, c1, c2 = _york_terms(wet_bulb_deg_c, range_k)
    short = c0 - np.asarray(approach_k, np.float64) / np.maximum(_small_range(range_k), 1e-12)
    root = np.sqrt(np.maximum(c1 * c1 - 4.0 * c2 * short, 0.0))
    # 2c / (-b - sqrt) is the root that stays exact as c2 -> 0; c1 > 0 over the fitted range.
    least = -2.0 * short / (c1 + root)
    reachable = c1 * c1 >= 4.0 * c2 * short
    return np.asarray(np.clip(np.where(reachable, least, _LIQUID_GAS[1]), *_LIQUID_GAS), dtype=np.float64)


def operate_tower(
    heat_w: npt.ArrayLike,
    dry_bulb_deg_c: npt.ArrayLike,
    wet_bulb_deg_c: npt.ArrayLike,
    humidity_ratio: npt.ArrayLike,
    pressure_pa: npt.ArrayLike,
    tower: YorkTower,
) -> TowerOutput:
    """Return leaving water, fan power and water of a tower that rejects heat, W >= 0, at constant water flow.

    Range = heat / (flow c). The fan runs as fast as the set point needs: full where York's approach at full
    air exceeds it, off where free convection reaches it, cycling below the least air flow. Water leaves at
    the set point or, at full air, at wet bulb + approach.
    """
    heat, dry, wet, moist, pressure = np.broadcast_arrays(
        *(
            np.asarray(a, np.float64)
            for a in (heat_w, dry_bulb_deg_c, wet_bulb_deg_c, humidity_ratio, pressure_pa)
        )
    )
    set_point, at_full, range_k, full = _temperatures(heat, wet, tower)
    air = _air_ratio(set_point - wet, wet, range_k, at_full - wet, tower, full)
    leaving = np.maximum(at_full, set_point)
    running = heat > 0.0
    fan = tower.fan_w * _fan_fraction(air, tower) * running
    evaporated, water = tower_water_l_per_s(
        heat, dry, moist, pressure, np.maximum(air, tower.least_air_ratio), tower
    )
    return TowerOutput(leaving, np.asarray(fan), evaporated, water, np.asarray(air * running))


def tower_leaving_deg_c(heat_w: npt.ArrayLike, wet_bulb_deg_c: npt.ArrayLike, tower: YorkTower) -> Floats:
    """Return only the temperature of the water that leaves, degC: the same as `operate_tower`'s, in less time."""
    heat, wet = np.asarray(heat_w, np.float64), np.asarray(wet_bulb_deg_c, np.float64)
    set_point, at_full, _, _ = _temperatures(heat, wet, tower)
    return np.maximum(at_full, set_point)


def tower_water_l_per_s(
    heat_w: npt.ArrayLike,
    dry_bulb_deg_c: npt.ArrayLike,
    humidity_ratio: npt.ArrayLike,
    pressure_pa: npt.ArrayLike,
    air_ratio: npt.ArrayLike,
    tower: YorkTower,
) -> tuple[Floats, Floats]:
    """Return (evaporated, make-up) water, L/s: outdoor air leaves the tower saturated with the heat in it.

    Enthalpy out = enthalpy in + heat / dry air; evaporation = dry air times the gain in humidity ratio.
    In cold air much of the heat leaves dry, in hot dry air more evaporates than the heat alone would
    (EnergyPlus, "Saturated exit"). Blow-down keeps the cycles of concentration: evaporation / (cycles - 1),
    of which drift is a part; make-up = evaporation + the larger of the two. Zero where there is no heat.
    """
    heat, dry, moist, pressure, ratio = np.broadcast_arrays(
        *(np.asarray(a, np.float64) for a in (heat_w, dry_bulb_deg_c, humidity_ratio, pressure_pa, air_ratio))
    )
    evaporated, on = np.zeros(heat.shape), heat > 0.0
    volume = tower.air_flow_m3_per_s * ratio[on]
    air_kg = volume * air_density_kg_per_m3(dry[on], moist[on], pressure[on])
    leaving = enthalpy_j_per_kg(dry[on], moist[on]) + heat[on] / air_kg
    full = saturated_humidity_ratio(saturated_temperature_deg_c(leaving, pressure[on]), pressure[on])
    evaporated[on] = air_kg * np.maximum(full - moist[on], 0.0)
    blown = evaporated / (tower.cycles_of_concentration - 1.0)
    drift = np.where(on, tower.drift * tower.water_flow_l_per_s, 0.0)
    return evaporated, evaporated + np.maximum(blown, drift)


def _temperatures(heat: Floats, wet: Floats, tower: YorkTower) -> tuple[Floats, Floats, Floats, float]:
    """Return the set point of the water, where it leaves at full air, its range, and the design's water over air."""
    range_k = heat / (tower.water_flow_l_per_s * _WATER_J_PER_L_K)
    set_point = np.maximum(wet + tower.follows_wet_bulb_k, tower.least_leaving_deg_c)
    full = _design_liquid_gas(tower)
    return set_point, np.asarray(wet + york_approach_k(wet, range_k, full)), range_k, full


def _york_terms(wet_bulb_deg_c: npt.ArrayLike, range_k: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the coefficients of the approach as a quadratic in the liquid-to-gas ratio."""
    wet = np.clip(wet_bulb_deg_c, *_WET_BULB_DEG_C)
    span = np.clip(range_k, *_RANGE_K)
    terms = []
    for table in _YORK:
        rows = [row[0] + wet * (row[1] + wet * row[2]) for row in table]
        terms.append(np.asarray(rows[0] + span * (rows[1] + span * rows[2]), dtype=np.float64))
    return terms[0], terms[1], terms[2]


def _small_range(range_k: npt.ArrayLike) -> Floats:
    """Return the range over the least that was fitted, at most 1."""
    return np.clip(np.asarray(range_k, np.float64) / _RANGE_K[0], 0.0, 1.0)


def _design_liquid_gas(tower: YorkTower) -> float:
    """Return the ratio at which York's tower has this tower's design approach: its size, in York's terms."""
    return float(
        york_liquid_gas_ratio(tower.design_wet_bulb_deg_c, tower.design_range_k, tower.design_approach_k)
    )


def _air_ratio(
    wanted_k: Floats, wet: Floats, range_k: Floats, at_full_k: Floats, tower: YorkTower, full: float
) -> Floats:
    """Return the time mean of the air flow over full flow that gives the approach `wanted_k`, 0..1."""
    # Water enters at leaving + range; free convection cools it by a part of what full air would.
    without_fan_k = wanted_k + range_k - tower.free_convection * (wanted_k + range_k - at_full_k)
    at_least_k = york_approach_k(wet, range_k, full / tower.least_air_ratio)
    needed = full / york_liquid_gas_ratio(wet, range_k, wanted_k)
    # Cycling between off and the least speed: linear in the temperatures reached.
    reach = np.maximum(without_fan_k - at_least_k, 1e-9)
    cycling = np.clip((without_fan_k - wanted_k) / reach, 0.0, 1.0) * tower.least_air_ratio
    ratio = np.where(at_least_k <= wanted_k, cycling, np.clip(needed, tower.least_air_ratio, 1.0))
    return np.asarray(np.where(at_full_k >= wanted_k, 1.0, ratio), dtype=np.float64)


def _fan_fraction(air: Floats, tower: YorkTower) -> Floats:
    """Return fan power over full power; linear in time below the least flow, where the fan cycles."""
    x = np.maximum(air, tower.least_air_ratio)
    c = tower.fan_curve
    power = c[0] + x * (c[1] + x * (c[2] + x * c[3]))
    return np.asarray(np.maximum(power, 0.0) * np.minimum(air / tower.least_air_ratio, 1.0), dtype=np.float64)
