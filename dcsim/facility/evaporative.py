"""Evaporative coolers: water that cools the supply air itself, or the air on the other side of a plate (pure functions)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.facility.psychrometrics import (
    humidity_ratio_at_wet_bulb,
    specific_heat_j_per_kg_k,
    wet_bulb_of_state_deg_c,
)

__all__ = ["DirectCooler", "Evaporated", "IndirectCooler", "cool_directly", "cool_indirectly"]

Floats = npt.NDArray[np.float64]

_ROUNDING_K = 1e-9
"""Air that is mixed to a set point misses it by rounding, which no cooler should answer."""


@dataclass(frozen=True, slots=True)
class DirectCooler:
    """Wet media in the supply air."""

    effectiveness: float = 0.85
    """Of the way from dry bulb to wet bulb, 0..1."""
    pump_w: float = 0.0
    """At full duty."""
    least_entering_deg_c: float = 16.0
    """Off where colder air enters."""
    highest_wet_bulb_deg_c: float = 24.0
    """Off where the entering air's wet bulb is higher."""
    cycles_of_concentration: float = 3.0


@dataclass(frozen=True, slots=True)
class IndirectCooler:
    """A plate exchanger between the supply air and outdoor air, which is wetted when it is warm."""

    dry_effectiveness: float = 0.72
    """Of the way to the outdoor dry bulb, without water."""
    wet_effectiveness: float = 0.7
    """Of the way to the outdoor wet bulb, with water."""
    secondary_flow_ratio: float = 1.4
    """Outdoor air over supply air."""
    fan_w_per_m3_per_s: float = 200.0
    """Of the secondary flow, at full speed."""
    pump_w_per_m3_per_s: float = 150.0
    """Of the secondary flow, while wet."""
    wet_from_deg_c: float = 20.0
    """Outdoor dry bulb from which water runs; below, frost and scale are avoided and it runs dry."""
    highest_wet_bulb_deg_c: float = 24.0
    """No water above this outdoor wet bulb."""
    only_below_entering: bool = True
    """Off where outdoors is warmer (dry bulb) than the air it should cool, even if its wet bulb is lower."""
    cycles_of_concentration: float = np.inf
    """Infinite: no blow-down."""


class Evaporated(NamedTuple):
    """Air that left a cooler, and what that took; arrays (N,)."""

    dry_bulb_deg_c: Floats
    humidity_ratio: Floats
    power_w: Floats
    evaporated_kg_per_s: Floats
    water_kg_per_s: Floats
    """Make-up: evaporation and blow-down."""


def cool_directly(
    dry_bulb_deg_c: npt.ArrayLike,
    humidity_ratio: npt.ArrayLike,
    pressure_pa: npt.ArrayLike,
    set_point_deg_c: npt.ArrayLike,
    air_kg_per_s: npt.ArrayLike,
    cooler: DirectCooler,
) -> Evaporated:
    """Return air after wet media that cool it along its wet-bulb line, no further than a set point.

    T_out = T - effectiveness (T - T_wb); the thermodynamic wet bulb is the same before and after (ASHRAE
    Handbook, HVAC Systems and Equipment 2020, chapter 41). Off, and then exactly the air that entered,
    where the air is cold enough already or outside of the cooler's limits.
    """
    dry, moist, pressure, wanted, air = _arrays(
        dry_bulb_deg_c, humidity_ratio, pressure_pa, set_point_deg_c, air_kg_per_s
    )
    drop, most, left = np.zeros(dry.shape), np.zeros(dry.shape), moist.copy()
    warm = (dry > wanted + _ROUNDING_K) & (dry >= cooler.least_entering_deg_c)
    # Wet bulbs cost more than all the rest: only where they decide something.
    wet = wet_bulb_of_state_deg_c(dry[warm], moist[warm], pressure[warm])
    most[warm] = np.where(wet <= cooler.highest_wet_bulb_deg_c, cooler.effectiveness * (dry[warm] - wet), 0.0)
    drop[warm] = np.clip(dry[warm] - wanted[warm], 0.0, most[warm])
    wetted = humidity_ratio_at_wet_bulb(dry[warm] - drop[warm], wet, pressure[warm])
    left[warm] = np.where(drop[warm] > 0.0, np.maximum(wetted, moist[warm]), moist[warm])
    evaporated = air * (left - moist)
    duty = np.where(drop > 0.0, drop / np.where(most > 0.0, most, 1.0), 0.0)
    return Evaporated(
        dry - drop,
        left,
        np.asarray(cooler.pump_w * duty),
        np.asarray(evaporated),
        np.asarray(evaporated * _make_up(cooler.cycles_of_concentration)),
    )


def cool_indirectly(
    entering: tuple[npt.ArrayLike, npt.ArrayLike],
    outdoors: tuple[npt.ArrayLike, npt.ArrayLike],
    set_point_deg_c: npt.ArrayLike,
    air_kg_per_s: npt.ArrayLike,
    air_m3_per_s: npt.ArrayLike,
    cooler: IndirectCooler,
) -> Evaporated:
    """Return supply air after a plate exchanger with outdoor air, no further than a set point.

    Dry: T_out = T - effectiveness (T - T_outdoors); wet: the same with the outdoor wet bulb. Humidity stays.
    The secondary fan slows with what is needed, by the cube law. Where water runs, all heat leaves as vapour,
    at the latent heat of the wet bulb (EnergyPlus Engineering Reference, "Indirect evaporative cooler
    special research model", in its main lines).

    Args:
        entering: Dry bulb and humidity ratio of the supply air.
        outdoors: Dry bulb and wet bulb.
        set_point_deg_c: Wanted of the air that leaves.
        air_kg_per_s: Supply air, dry.
        air_m3_per_s: The same as volume, which sizes fan and pump.
        cooler: The exchanger.
    """
    dry, moist, wanted, air, volume = _arrays(*entering, set_point_deg_c, air_kg_per_s, air_m3_per_s)
    outside, wet_bulb = _arrays(*outdoors)
    wet = (outside >= cooler.wet_from_deg_c) & (wet_bulb <= cooler.highest_wet_bulb_deg_c)
    most = np.where(
        wet, cooler.wet_effectiveness * (dry - wet_bulb), cooler.dry_effectiveness * (dry - outside)
    )
    if cooler.only_below_entering:
        most = np.where(outside < dry, most, 0.0)
    drop = np.clip(np.where(dry > wanted + _ROUNDING_K, dry - wanted, 0.0), 0.0, np.maximum(most, 0.0))
    duty = np.where(drop > 0.0, drop / np.where(most > 0.0, most, 1.0), 0.0)
    secondary = cooler.secondary_flow_ratio
    power = (
        secondary
        * volume
        * (cooler.fan_w_per_m3_per_s * duty**3 + cooler.pump_w_per_m3_per_s * wet * (duty > 0.0))
    )
    heat = air * specific_heat_j_per_kg_k(moist) * drop
    latent = 2.501e6 - 2_381.0 * wet_bulb
    evaporated = np.where(wet & (duty > 0.0), heat / latent, 0.0)
    return Evaporated(
        dry - drop,
        moist,
        np.asarray(power),
        evaporated,
        evaporated * _make_up(cooler.cycles_of_concentration),
    )


def _make_up(cycles_of_concentration: float) -> float:
    """Return make-up over evaporated water: blow-down is evaporation / (cycles - 1)."""
    return 1.0 + 1.0 / (cycles_of_concentration - 1.0)


def _arrays(*values: npt.ArrayLike) -> tuple[Floats, ...]:
    """Return the values as float arrays of one shape."""
    return tuple(np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values)))
