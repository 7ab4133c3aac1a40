"""A battery: what a constant power does to its charge, exactly, and what cycles and time do to its cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dcsim.spec.onsite import BatterySpec

__all__ = ["Battery", "Wear", "battery_wear", "build_battery", "capacity_lost", "rainflow"]

Floats = npt.NDArray[np.float64]

_DAY_S = 86_400.0
_HOUR_S = 3_600.0

# Xu, Oudalov, Ulbig, Andersson and Kirschen 2018, table I (lithium manganese oxide cells).
_SEI_PART, _SEI_RATE = 5.75e-2, 121.0
_DEPTH_1, _DEPTH_2, _DEPTH_3 = 1.40e5, -5.01e-1, -1.23e5
_CHARGE_RATE, _CHARGE_REFERENCE = 1.04, 0.50
_HEAT_RATE_PER_K, _HEAT_REFERENCE_DEG_C = 6.93e-2, 25.0
_TIME_RATE_PER_S = 4.14e-10


@dataclass(frozen=True, slots=True)
class Battery:
    """Energy in store E follows dE/dt = eta_c P (charging) or -P / eta_d (discharging), less k E.

    k is the self-discharge. Powers are at the terminals and >= 0 where named charge or discharge.
    """

    capacity_j: float
    lowest_j: float
    """Discharging stops here; self-discharge goes on."""
    highest_j: float
    """Charging stops here."""
    initial_j: float
    charge_limit_w: float
    discharge_limit_w: float
    charge_efficiency: float
    discharge_efficiency: float
    self_discharge_per_s: float
    """k, >= 0."""

    @property
    def round_trip(self) -> float:
        """Energy given over energy taken, without self-discharge."""
        return self.charge_efficiency * self.discharge_efficiency

    def _decay(self, duration_s: float) -> tuple[float, float]:
        """Return (part of E left after a time, effective time in which a constant power adds to it)."""
        rate = self.self_discharge_per_s
        if rate * duration_s < 1e-12:  # its effect is below rounding, and the quotient would lose digits
            return 1.0, duration_s
        lost = -math.expm1(-rate * duration_s)
        return 1.0 - lost, lost / rate

    def most_charge_w(self, stored_j: float, duration_s: float) -> float:
        """Return the largest constant charge, W, that a time of `duration_s` > 0 has room for."""
        left, effective_s = self._decay(duration_s)
        room_w = (self.highest_j - stored_j * left) / (effective_s * self.charge_efficiency)
        return min(self.charge_limit_w, max(room_w, 0.0))

    def most_discharge_w(self, stored_j: float, duration_s: float) -> float:
        """Return the largest constant discharge, W, that the store can keep up for `duration_s` > 0."""
        left, effective_s = self._decay(duration_s)
        room_w = (stored_j * left - self.lowest_j) * self.discharge_efficiency / effective_s
        return min(self.discharge_limit_w, max(room_w, 0.0))

    def after_j(self, stored_j: float, charge_w: float, discharge_w: float, duration_s: float) -> float:
        """Return the energy in store after constant powers, one of which is 0; exact.

        Within 0..capacity for powers that `most_charge_w` and `most_discharge_w` allow.

        >>> battery = build_battery(BatterySpec(capacity_j=1000.0, charge_efficiency=0.9, self_discharge_per_day=0))
        >>> battery.after_j(500.0, 10.0, 0.0, 10.0)
        590.0
        """
        left, effective_s = self._decay(duration_s)
        net_w = charge_w * self.charge_efficiency - discharge_w / self.discharge_efficiency
        return min(max(stored_j * left + net_w * effective_s, 0.0), self.capacity_j)


def build_battery(spec: BatterySpec) -> Battery:
    """Return the battery of a scenario, powers left open by its C-rate."""
    by_rate_w = spec.c_rate * spec.capacity_j / _HOUR_S
    return Battery(
        capacity_j=spec.capacity_j,
        lowest_j=spec.lowest_charge * spec.capacity_j,
        highest_j=spec.highest_charge * spec.capacity_j,
        initial_j=spec.initial_charge * spec.capacity_j,
        charge_limit_w=spec.charge_power_w or by_rate_w,
        discharge_limit_w=spec.discharge_power_w or by_rate_w,
        charge_efficiency=spec.charge_efficiency,
        discharge_efficiency=spec.discharge_efficiency,
        self_discharge_per_s=-math.log1p(-spec.self_discharge_per_day) / _DAY_S,
    )


@dataclass(frozen=True, slots=True)
class Wear:
    """What a run did to the cells."""

    full_cycles: float
    """Half of all the energy moved in and out of the cells, over the capacity."""
    cycle_stress: float
    calendar_stress: float
    """Both in the units of f_d of Xu et al. 2018."""
    capacity_lost: float
    """Part of the capacity of new cells that this stress takes, 0..1."""
    life_used: float
    """Part of the stress that ends the cells' life."""
    cost_usd: float
    """That part of the replacement."""


def rainflow(charge: Sequence[float]) -> list[tuple[float, float, float]]:
    """Return (depth, mean, count) of the cycles in a history, count 1 or 0.5: ASTM E1049-85, 5.4.4.

    `charge` are states of charge in order; monotone stretches count by their ends only.

    >>> rainflow([0.5, 0.9, 0.5])
    [(0.4, 0.7, 0.5), (0.4, 0.7, 0.5)]
    """
    cycles: list[tuple[float, float, float]] = []
    stack: list[float] = []
    for point in _turning_points(charge):
        stack.append(point)
        while len(stack) >= 3:
            newest, before = abs(stack[-1] - stack[-2]), abs(stack[-2] - stack[-3])
            if newest < before:
                break
            mean = 0.5 * (stack[-2] + stack[-3])
            if len(stack) == 3:
                cycles.append((before, mean, 0.5))
                stack.pop(0)
            else:
                cycles.append((before, mean, 1.0))
                del stack[-3:-1]
    cycles += [(abs(right - left), 0.5 * (left + right), 0.5) for left, right in pairwise(stack)]
    return cycles


def _turning_points(charge: Sequence[float]) -> list[float]:
    """Return the first and last value and the extremes between them."""
    values = np.asarray(charge, dtype=np.float64)
    values = values[np.concatenate([[True], np.diff(values) != 0.0])] if len(values) else values
    if len(values) < 3:
        return [float(value) for value in values]
    steps = np.sign(np.diff(values))
    inner = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    return [float(values[i]) for i in (0, *inner.tolist(), len(values) - 1)]


def _charge_stress(mean_charge: npt.ArrayLike) -> Floats:
    return np.asarray(np.exp(_CHARGE_RATE * (np.asarray(mean_charge) - _CHARGE_REFERENCE)), dtype=np.float64)


def _heat_stress(cell_deg_c: float) -> float:
    ratio = (_HEAT_REFERENCE_DEG_C + 273.15) / (cell_deg_c + 273.15)
    return math.exp(_HEAT_RATE_PER_K * (cell_deg_c - _HEAT_REFERENCE_DEG_C) * ratio)


def capacity_lost(stress: float) -> float:
    """Return the part of a new battery's capacity that a stress f_d >= 0 has taken, 0..1.

    1 - a exp(-b f) - (1 - a) exp(-f), a = 0.0575, b = 121: Xu et al. 2018, equation 22; the first
    term is the film that grows on the anode while the cells are young.

    >>> capacity_lost(0.0)
    0.0
    """
    young = _SEI_PART * math.exp(-_SEI_RATE * stress)
    return max(1.0 - young - (1.0 - _SEI_PART) * math.exp(-stress), 0.0)


def battery_wear(spec: BatterySpec, stored_j: npt.ArrayLike, edges_s: npt.ArrayLike) -> Wear:
    """Return the wear of a history: energy in store `stored_j` (N + 1,) at the times `edges_s` (N + 1,).

    Each rainflow cycle of depth d stresses the cells by 1 / (k1 d^k2 + k3), time by k_t t, both times
    exp(1.04 (mean charge - 0.5)) and the temperature's factor: Xu, Oudalov, Ulbig, Andersson and
    Kirschen, "Modeling of lithium-ion battery degradation for cell life assessment", IEEE
    Transactions on Smart Grid 9(2), 2018. The cells die at `end_of_life_fraction` of their capacity.
    """
    charge = np.asarray(stored_j, dtype=np.float64) / spec.capacity_j
    duration_s = np.diff(np.asarray(edges_s, dtype=np.float64))
    heat = _heat_stress(spec.temperature_deg_c)
    table = np.array(rainflow(charge.tolist()), dtype=np.float64).reshape(-1, 3)
    depth, mean, count = table[table[:, 0] > 1e-9].T
    cycle = float(np.sum(count * _charge_stress(mean) / (_DEPTH_1 * depth**_DEPTH_2 + _DEPTH_3))) * heat
    total_s = float(duration_s.sum())
    mean_charge = float(np.sum(0.5 * (charge[1:] + charge[:-1]) * duration_s)) / total_s if total_s else 0.0
    calendar = _TIME_RATE_PER_S * total_s * float(_charge_stress(mean_charge)) * heat
    stress = cycle + calendar
    used = stress / _stress_of_life(1.0 - spec.end_of_life_fraction)
    full_cycles = 0.5 * float(np.abs(np.diff(charge)).sum())
    return Wear(full_cycles, cycle, calendar, capacity_lost(stress), used, used * spec.replacement_cost_usd)


def _stress_of_life(lost: float) -> float:
    """Return the stress that takes the part `lost` (0, 1) of the capacity, by bisection."""
    low, high = 0.0, 50.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if capacity_lost(middle) < lost else (low, middle)
    return high
