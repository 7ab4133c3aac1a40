"""Moist air in closed form, on arrays: saturation, humidity ratio, enthalpy, dew point, wet bulb."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = [
    "air_density_kg_per_m3",
    "dew_point_deg_c",
    "enthalpy_j_per_kg",
    "humidity_ratio_at_wet_bulb",
    "humidity_ratio_of_vapour",
    "saturated_humidity_ratio",
    "saturated_temperature_deg_c",
    "saturation_pressure_pa",
    "specific_heat_j_per_kg_k",
    "wet_bulb_of_state_deg_c",
]

Floats = npt.NDArray[np.float64]

_KELVIN = 273.15
_MASS_RATIO = 0.621945
"""Molar mass of water over that of dry air."""
_DRY_AIR_J_PER_KG_K = 287.042
_TRIPLE_POINT_DEG_C = 0.01
_ICE = (-5.6745359e3, 6.3925247, -9.677843e-3, 6.2215701e-7, 2.0747825e-9, -9.484024e-13, 4.1635019)
_WATER = (-5.8002206e3, 1.3914993, -4.8640239e-2, 4.1764768e-5, -1.4452093e-8, 0.0, 6.5459673)
_STEPS = 10
"""Newton steps with a slope that is right to a per cent: 1e-9 K over all weather, from the dry bulb."""


def saturation_pressure_pa(temperature_deg_c: npt.ArrayLike) -> Floats:
    """Return the pressure of saturated water vapour, Pa, over ice up to 0.01 degC and over water above.

    Hyland and Wexler, equations 5 and 6 of ASHRAE Handbook, Fundamentals 2017, chapter 1; -100..200 degC.

    >>> saturation_pressure_pa([-10.0, 20.0]).round(1).tolist()
    [259.9, 2338.8]
    """
    celsius = np.asarray(temperature_deg_c, dtype=np.float64)
    kelvin = celsius + _KELVIN
    c = [
        np.where(celsius <= _TRIPLE_POINT_DEG_C, ice, water) for ice, water in zip(_ICE, _WATER, strict=True)
    ]
    polynomial = c[1] + kelvin * (c[2] + kelvin * (c[3] + kelvin * (c[4] + kelvin * c[5])))
    return np.asarray(np.exp(c[0] / kelvin + polynomial + c[6] * np.log(kelvin)), dtype=np.float64)


def saturated_humidity_ratio(temperature_deg_c: npt.ArrayLike, pressure_pa: npt.ArrayLike) -> Floats:
    """Return kg of water for each kg of dry air in saturated air at a pressure, Pa, well below boiling.

    >>> float(saturated_humidity_ratio(20.0, 101_325.0).round(5))
    0.0147
    """
    vapour = saturation_pressure_pa(temperature_deg_c)
    return np.asarray(_MASS_RATIO * vapour / (np.asarray(pressure_pa) - vapour), dtype=np.float64)


def humidity_ratio_of_vapour(vapour_pa: npt.ArrayLike, pressure_pa: npt.ArrayLike) -> Floats:
    """Return kg of water for each kg of dry air in air whose vapour has a partial pressure, Pa.

    >>> float(humidity_ratio_of_vapour(1_000.0, 101_325.0).round(6))
    0.006199
    """
    vapour = np.asarray(vapour_pa, dtype=np.float64)
    return np.asarray(_MASS_RATIO * vapour / (np.asarray(pressure_pa) - vapour), dtype=np.float64)


def enthalpy_j_per_kg(temperature_deg_c: npt.ArrayLike, humidity_ratio: npt.ArrayLike) -> Floats:
    """Return the enthalpy of moist air, J for each kg of dry air, 0 for dry air at 0 degC (ASHRAE, equation 30).

    >>> float(enthalpy_j_per_kg(20.0, 0.01))
    45502.0
    """
    celsius, ratio = np.asarray(temperature_deg_c, np.float64), np.asarray(humidity_ratio, np.float64)
    return np.asarray(1006.0 * celsius + ratio * (2.501e6 + 1860.0 * celsius), dtype=np.float64)


def specific_heat_j_per_kg_k(humidity_ratio: npt.ArrayLike) -> Floats:
    """Return the heat capacity of moist air, J/(K kg of dry air): the slope of its enthalpy."""
    return np.asarray(1006.0 + 1860.0 * np.asarray(humidity_ratio, np.float64), dtype=np.float64)


def air_density_kg_per_m3(
    temperature_deg_c: npt.ArrayLike, humidity_ratio: npt.ArrayLike, pressure_pa: npt.ArrayLike
) -> Floats:
    """Return kg of dry air in a m3 of moist air (ASHRAE, equation 26).

    >>> float(air_density_kg_per_m3(20.0, 0.0, 101_325.0).round(4))
    1.2042
    """
    kelvin = np.asarray(temperature_deg_c, np.float64) + _KELVIN
    ratio = np.asarray(humidity_ratio, np.float64)
    return np.asarray(
        np.asarray(pressure_pa) / (_DRY_AIR_J_PER_KG_K * kelvin * (1.0 + ratio / _MASS_RATIO)), np.float64
    )


def dew_point_deg_c(humidity_ratio: npt.ArrayLike, pressure_pa: npt.ArrayLike) -> Floats:
    """Return the temperature at which air of a humidity ratio > 0 is saturated, degC.

    >>> float(dew_point_deg_c(0.014699, 101_325.0).round(1))
    20.0
    """
    ratio = np.asarray(humidity_ratio, np.float64)
    log_vapour = np.log(np.asarray(pressure_pa) * ratio / (_MASS_RATIO + ratio))
    # Newton on ln p, nearly linear in 1/T: from Magnus' formula it converges in a few steps.
    magnus = np.log(np.exp(log_vapour) / 611.2)
    celsius = 243.12 * magnus / (17.62 - magnus)
    for _ in range(4):
        step = 1e-3
        here = np.log(saturation_pressure_pa(celsius))
        slope = (np.log(saturation_pressure_pa(celsius + step)) - here) / step
        celsius = celsius + (log_vapour - here) / slope
    return np.asarray(celsius, dtype=np.float64)


def humidity_ratio_at_wet_bulb(
    dry_bulb_deg_c: npt.ArrayLike, wet_bulb_deg_c: npt.ArrayLike, pressure_pa: npt.ArrayLike
) -> Floats:
    """Return the humidity ratio, kg/kg, >= 0, of air from its two temperatures, degC (ASHRAE, equations 33 and 35).

    >>> float(humidity_ratio_at_wet_bulb(35.0, 23.934, 101_325.0).round(4))
    0.0141
    """
    dry, wet = np.asarray(dry_bulb_deg_c, np.float64), np.asarray(wet_bulb_deg_c, np.float64)
    full = saturated_humidity_ratio(wet, pressure_pa)
    water = ((2501.0 - 2.326 * wet) * full - 1.006 * (dry - wet)) / (2501.0 + 1.86 * dry - 4.186 * wet)
    ice = ((2830.0 - 0.24 * wet) * full - 1.006 * (dry - wet)) / (2830.0 + 1.86 * dry - 2.1 * wet)
    return np.maximum(np.where(wet >= 0.0, water, ice), 0.0)


def wet_bulb_of_state_deg_c(
    dry_bulb_deg_c: npt.ArrayLike, humidity_ratio: npt.ArrayLike, pressure_pa: npt.ArrayLike
) -> Floats:
    """Return the thermodynamic wet bulb, degC, at most the dry bulb: the root of the equations above.

    Between about -0.6 and 0.4 degC wet bulbs over ice and over water both solve them; this is one of the two.

    >>> float(wet_bulb_of_state_deg_c(35.0, 0.01405, 101_325.0).round(1))
    23.9
    """
    dry, ratio, pressure = np.broadcast_arrays(
        np.asarray(dry_bulb_deg_c, np.float64),
        np.asarray(humidity_ratio, np.float64),
        np.asarray(pressure_pa),
    )
    if not dry.size:
        return np.zeros(dry.shape)

    def excess(wet: Floats) -> Floats:
        return np.asarray(humidity_ratio_at_wet_bulb(dry, wet, pressure) - ratio)

    def slope(wet: Floats) -> Floats:
        return np.asarray(_saturation_slope(wet, pressure) + 4.0e-4)

    # From the dry bulb, where the excess is positive, Newton's steps on a convex function do not overshoot.
    root = _root(excess, slope, dry - 100.0, dry.astype(np.float64), dry)
    return np.asarray(np.minimum(root, dry), dtype=np.float64)


def saturated_temperature_deg_c(enthalpy: npt.ArrayLike, pressure_pa: npt.ArrayLike) -> Floats:
    """Return the temperature, degC, of saturated air with an enthalpy in J/kg of dry air (-50..80 degC).

    >>> float(saturated_temperature_deg_c(57_430.0, 101_325.0).round(1))
    20.0
    """
    wanted, pressure = np.broadcast_arrays(
        np.asarray(enthalpy, np.float64), np.asarray(pressure_pa, np.float64)
    )

    def excess(celsius: Floats) -> Floats:
        return np.asarray(enthalpy_j_per_kg(celsius, saturated_humidity_ratio(celsius, pressure)) - wanted)

    def slope(celsius: Floats) -> Floats:
        return np.asarray(1006.0 + 2.5e6 * _saturation_slope(celsius, pressure))

    low, high = np.full(wanted.shape, -50.0), np.full(wanted.shape, 80.0)
    return _root(excess, slope, low, high, np.full(wanted.shape, 20.0))


def _saturation_slope(celsius: Floats, pressure_pa: Floats) -> Floats:
    """Return about d(saturated humidity ratio)/dT, 1/K, by Clausius and Clapeyron."""
    full = saturated_humidity_ratio(celsius, pressure_pa)
    return np.asarray(full * (1.0 + full / _MASS_RATIO) * 5_400.0 / (celsius + _KELVIN) ** 2)


def _root(
    excess: Callable[[Floats], Floats],
    slope: Callable[[Floats], Floats],
    low: Floats,
    high: Floats,
    start: Floats,
) -> Floats:
    """Return where an increasing function crosses zero between `low` and `high`: Newton, kept in a bracket."""
    x = np.clip(start, low, high)
    for _ in range(_STEPS):
        value = excess(x)
        low, high = np.where(value < 0.0, x, low), np.where(value < 0.0, high, x)
        step = x - value / slope(x)
        x = np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
    return np.asarray(x, dtype=np.float64)
