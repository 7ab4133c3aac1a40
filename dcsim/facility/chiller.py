"""Chillers by their curves: capacity and power over temperatures and part load (pure functions)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dcsim.facility.cooling import carnot_cop

__all__ = [
    "CENTRIFUGAL",
    "RISE",
    "BiquadraticModifiers",
    "ChillerCurve",
    "RiseModifiers",
    "chiller_capacity_w",
    "chiller_curve_cop",
    "chiller_power_w",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BiquadraticModifiers:
    """Capacity and energy input ratio over rating, by chilled water leaving x and condenser water entering y.

    c0 + c1 x + c2 x2 + c3 y + c4 y2 + c5 x y, in degC, held at the ends of the fitted ranges: the form of
    DOE-2 (Hydeman and Gillespie, "Tools and techniques to calibrate electric chiller component models",
    ASHRAE Transactions 108(1), 2002) and of EnergyPlus' Chiller:Electric:EIR.
    """

    capacity: tuple[float, float, float, float, float, float]
    energy_input_ratio: tuple[float, float, float, float, float, float]
    leaving_range_deg_c: tuple[float, float]
    entering_range_deg_c: tuple[float, float]

    def ratios(self, leaving_deg_c: Floats, entering_deg_c: Floats) -> tuple[Floats, Floats]:
        """Return capacity and energy input ratio, both over their value at rating, each > 0."""
        x = np.clip(leaving_deg_c, *self.leaving_range_deg_c)
        y = np.clip(entering_deg_c, *self.entering_range_deg_c)
        capacity = _biquadratic(self.capacity, x, y)
        ratio = _biquadratic(self.energy_input_ratio, x, y)
        return np.maximum(capacity, _LEAST_RATIO), np.maximum(ratio, _LEAST_RATIO)


@dataclass(frozen=True, slots=True)
class RiseModifiers:
    """The same two ratios by one temperature difference: EnergyPlus' Chiller:Electric, from BLAST.

    d = (y - y_rated) / rise - (x - x_rated): `temperature_rise` kelvin of warmer condenser water cost as much
    capacity as one kelvin of colder chilled water. Capacity ratio r = a0 + a1 d + a2 d2; full-load power
    over capacity, over its value at rating, p0 + p1 r + p2 r2 (Engineering Reference, "Electric chillers").
    """

    capacity: tuple[float, float, float]
    power: tuple[float, float, float]
    temperature_rise: float
    rated_leaving_deg_c: float
    rated_entering_deg_c: float
    leaving_range_deg_c: tuple[float, float]
    entering_range_deg_c: tuple[float, float]

    def ratios(self, leaving_deg_c: Floats, entering_deg_c: Floats) -> tuple[Floats, Floats]:
        """Return capacity and energy input ratio, both over their value at rating, each > 0."""
        x = np.clip(leaving_deg_c, *self.leaving_range_deg_c)
        y = np.clip(entering_deg_c, *self.entering_range_deg_c)
        d = (y - self.rated_entering_deg_c) / self.temperature_rise - (x - self.rated_leaving_deg_c)
        capacity = np.maximum(_polynomial(self.capacity, d), _LEAST_RATIO)
        return capacity, np.maximum(_polynomial(self.power, capacity), _LEAST_RATIO)


_LEAST_RATIO = 0.05
"""No fitted curve is trusted below this: a polynomial's zero is no free cooling."""


@dataclass(frozen=True, slots=True)
class ChillerCurve:
    """A chiller: rating, what temperatures do to it, what part load does to it.

    >>> round(float(chiller_curve_cop(1e6, 6.67, 29.44, CENTRIFUGAL.sized(1e6))), 2)
    5.5
    """

    rated_capacity_w: float
    """Heat removed at the rated temperatures."""
    rated_cop: float
    """There, at full load; > 1."""
    modifiers: BiquadraticModifiers | RiseModifiers
    part_load: tuple[float, float, float]
    """Power over full-load power at the same temperatures: c0 + c1 p + c2 p2, p the part-load ratio."""
    least_part_load: float = 0.15
    """Below this the chiller cycles: it draws the power of this part load for the fraction of time it runs."""
    largest_part_load: float = 1.0
    """Of the capacity at the temperatures of the hour."""
    carnot_limit: float = 0.75
    """No better than this part of Carnot's COP between the two waters, wherever the curves lead."""

    def sized(self, rated_capacity_w: float) -> ChillerCurve:
        """Return the same chiller at another rated capacity, W > 0."""
        return replace(self, rated_capacity_w=rated_capacity_w)


def chiller_capacity_w(
    leaving_deg_c: npt.ArrayLike, entering_condenser_deg_c: npt.ArrayLike, curve: ChillerCurve
) -> Floats:
    """Return the heat, W, that the chiller can remove at water temperatures, at its largest part load.

    Args:
        leaving_deg_c: Chilled water leaving the evaporator.
        entering_condenser_deg_c: Water entering the condenser.
        curve: The chiller.

    >>> round(float(chiller_capacity_w(6.67, 29.44, CENTRIFUGAL.sized(1e6))) / 1e6, 2)
    1.0
    """
    leaving, entering = _pair(leaving_deg_c, entering_condenser_deg_c)
    ratio, _ = curve.modifiers.ratios(leaving, entering)
    return np.asarray(curve.rated_capacity_w * curve.largest_part_load * ratio, dtype=np.float64)


def chiller_power_w(
    heat_w: npt.ArrayLike,
    leaving_deg_c: npt.ArrayLike,
    entering_condenser_deg_c: npt.ArrayLike,
    curve: ChillerCurve,
) -> Floats:
    """Return the electric power, W, of a chiller that removes heat; arrays of one shape (or scalars).

    P = capacity(T) / COP_rated * EIR(T) * EIR(part load); below the least part load it cycles, so that power
    is then proportional to heat. Heat beyond its largest part load is charged at the COP of that load.
    Never less than Carnot's work between the leaving chilled and the entering condenser water, over
    `carnot_limit`. EnergyPlus 25.2 Engineering Reference, "Electric chiller model based on ... EIR".

    Args:
        heat_w: Heat removed at the evaporator, >= 0.
        leaving_deg_c: Chilled water leaving the evaporator.
        entering_condenser_deg_c: Water entering the condenser.
        curve: The chiller.

    >>> half, full = chiller_power_w([5e5, 1e6], 6.67, 29.44, CENTRIFUGAL.sized(1e6))
    >>> round(float(half / full), 2)
    0.5
    """
    heat = np.asarray(heat_w, dtype=np.float64)
    leaving, entering = _pair(leaving_deg_c, entering_condenser_deg_c)
    capacity_ratio, input_ratio = curve.modifiers.ratios(leaving, entering)
    capacity = curve.rated_capacity_w * capacity_ratio
    load = heat / capacity
    running = np.clip(load, curve.least_part_load, curve.largest_part_load)
    # 1 within the bounds; the share of time below them; the number of such machines above them.
    machines = load / running
    part = np.maximum(_polynomial(curve.part_load, running), _LEAST_RATIO * running)
    by_curve = capacity / curve.rated_cop * input_ratio * part * machines
    least = heat / (curve.carnot_limit * carnot_cop(leaving, entering))
    return np.asarray(np.maximum(by_curve, least), dtype=np.float64)


def chiller_curve_cop(
    heat_w: npt.ArrayLike,
    leaving_deg_c: npt.ArrayLike,
    entering_condenser_deg_c: npt.ArrayLike,
    curve: ChillerCurve,
) -> Floats:
    """Return heat > 0 over power of the same chiller."""
    heat = np.asarray(heat_w, dtype=np.float64)
    return np.asarray(heat / chiller_power_w(heat, leaving_deg_c, entering_condenser_deg_c, curve))


def _polynomial(coefficients: tuple[float, float, float], x: Floats) -> Floats:
    return np.asarray(coefficients[0] + x * (coefficients[1] + x * coefficients[2]), dtype=np.float64)


def _biquadratic(c: tuple[float, float, float, float, float, float], x: Floats, y: Floats) -> Floats:
    return np.asarray(c[0] + x * (c[1] + x * c[2] + y * c[5]) + y * (c[3] + y * c[4]), dtype=np.float64)


def _pair(leaving_deg_c: npt.ArrayLike, entering_deg_c: npt.ArrayLike) -> tuple[Floats, Floats]:
    return np.asarray(leaving_deg_c, np.float64), np.asarray(entering_deg_c, np.float64)


CENTRIFUGAL = ChillerCurve(
    rated_capacity_w=1e6,
    rated_cop=5.5,
    modifiers=BiquadraticModifiers(
        capacity=(0.257896, 0.0389016, -0.00021708, 0.0468684, -0.00094284, -0.00034344),
        energy_input_ratio=(0.933884, -0.058212, 0.00450036, 0.00243, 0.000486, -0.001215),
        leaving_range_deg_c=(5.0, 10.0),
        entering_range_deg_c=(24.0, 35.0),
    ),
    part_load=(0.222903, 0.313387, 0.46371),
)
"""A centrifugal chiller, open or hermetic: DOE-2.1E's curves in EnergyPlus' data set of chillers, with their bounds."""

RISE = ChillerCurve(
    rated_capacity_w=1e6,
    rated_cop=5.0,
    modifiers=RiseModifiers(
        capacity=(0.94483600, -0.05700880, -0.00185486),
        power=(1.907846, -1.20498700, 0.26346230),
        temperature_rise=2.682759,
        rated_leaving_deg_c=6.67,
        rated_entering_deg_c=29.44,
        leaving_range_deg_c=(5.0, 25.0),
        entering_range_deg_c=(10.0, 40.0),
    ),
    part_load=(0.03303, 0.6852, 0.2818),
)
"""The chiller of EnergyPlus' Chiller:Electric examples (BLAST's coefficients)."""
