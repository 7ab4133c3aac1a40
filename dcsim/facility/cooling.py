"""Cooling physics: coefficients of performance, economiser, tower water (pure functions)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "CHILLED_WATER_RANGE_K",
    "EVAPORATION_L_PER_J",
    "FLOW_FLOOR",
    "carnot_cop",
    "chiller_cop",
    "crac_cop",
    "economiser_fraction",
    "tower_water_l_per_j",
]

Floats = npt.NDArray[np.float64]

CHILLED_WATER_RANGE_K = 5.56
"""Return minus supply of the chilled water: 44 to 54 degF, the rating condition of AHRI 550/590 (2023)."""

EVAPORATION_L_PER_J = 1.0 / 2.43e6
"""Water evaporated per heat rejected: 1 / h_fg at 30 degC (2,430 kJ/kg), 1 kg = 1 L; 1.48 L/kWh."""

FLOW_FLOOR = 0.4
"""Least flow of the air handlers, over full flow."""

_KELVIN = 273.15


def crac_cop(supply_deg_c: npt.ArrayLike) -> Floats:
    """Return heat removed over compressor work of a CRAC unit supplying air at `supply_deg_c` (10..45).

    0.0068 T^2 + 0.0008 T + 0.458: Moore, Chase, Ranganathan and Sharma, "Making scheduling cool:
    temperature-aware workload placement in data centers", USENIX ATC 2005, section 2.2.

    >>> [round(float(cop), 2) for cop in crac_cop([15.0, 20.0, 25.0])]
    [2.0, 3.19, 4.73]
    """
    supply = np.asarray(supply_deg_c, dtype=np.float64)
    return np.asarray((0.0068 * supply + 0.0008) * supply + 0.458, dtype=np.float64)


def carnot_cop(cold_deg_c: npt.ArrayLike, hot_deg_c: npt.ArrayLike) -> Floats:
    """Return the largest possible COP between two temperatures, T_c / (T_h - T_c); inf where T_h <= T_c.

    >>> float(carnot_cop(6.85, 34.85))
    10.0
    """
    cold_k = np.asarray(cold_deg_c, dtype=np.float64) + _KELVIN
    lift_k = np.asarray(hot_deg_c, dtype=np.float64) + _KELVIN - cold_k
    positive = lift_k > 0.0
    return np.where(positive, cold_k / np.where(positive, lift_k, 1.0), np.inf)


def chiller_cop(
    chilled_deg_c: npt.ArrayLike, condensing_deg_c: npt.ArrayLike, carnot_fraction: float, cop_max: float
) -> Floats:
    """Return the COP of a chiller: a fixed fraction of Carnot's, at most `cop_max`.

    A constant second-law efficiency of 0.4 to 0.6 describes water-cooled chillers (Gordon and Ng,
    "Cool Thermodynamics", Cambridge 2000). Never above Carnot while `carnot_fraction` <= 1.

    >>> float(chiller_cop(6.85, 34.85, 0.5, 12.0))
    5.0
    """
    return np.minimum(carnot_fraction * carnot_cop(chilled_deg_c, condensing_deg_c), cop_max)


def economiser_fraction(
    condenser_water_deg_c: npt.ArrayLike, chilled_deg_c: npt.ArrayLike, range_k: float = CHILLED_WATER_RANGE_K
) -> Floats:
    """Return the part (0..1) of the load that tower water removes before the chiller.

    A water-side economiser in series with the chiller: it cools the return water, chilled + range,
    towards the temperature of the tower water. 1 where that is at or under the chilled-water set
    point, 0 where it is at or over the return, linear in between (an ideal heat exchanger; its
    approach belongs to the tower approach).

    >>> economiser_fraction([12.0, 14.78, 20.0], 12.0).round(6).tolist()
    [1.0, 0.5, 0.0]
    """
    water = np.asarray(condenser_water_deg_c, dtype=np.float64)
    excess = (water - np.asarray(chilled_deg_c, dtype=np.float64)) / range_k
    return np.asarray(1.0 - np.clip(excess, 0.0, 1.0), dtype=np.float64)


def tower_water_l_per_j(cycles_of_concentration: float) -> float:
    """Return make-up water per heat rejected, L/J: evaporation and blow-down = evaporation / (cycles - 1).

    All rejected heat evaporates water: an upper bound, reached in warm weather (ASHRAE Handbook,
    HVAC Systems and Equipment 2020, chapter 40).

    >>> round(tower_water_l_per_j(5.0) * 3.6e6, 2)
    1.85
    """
    return EVAPORATION_L_PER_J * (1.0 + 1.0 / (cycles_of_concentration - 1.0))
