"""Exact integration of the facility over a power log, in chunks: between events everything is closed form.

Within an interval of constant IT power, weather, carbon and price the heat removed from the hall is
q(t) = heat + (q0 - heat) x, x = exp(-t / tau), so every power in the plant and in the chain (whose
losses are quadratic) is a polynomial in x, and the integral of x^k over the interval is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.cooling import rc_seconds_above
from dcsim.facility.grid import Grid
from dcsim.facility.plant import Plant, power_per_heat, water_l_per_heat_j
from dcsim.facility.power import ChainStage, chain_losses_w
from dcsim.facility.weather import WeatherSeries

__all__ = ["PowerLog", "Totals", "integrate"]

Floats = npt.NDArray[np.float64]
Polynomial = Sequence[Floats]
"""Coefficients (N,) of 1, x, x^2, ... for each of N intervals."""

_CHUNK_EVENTS = 65_536
_CHUNK_SPAN_S = 4 * 365 * 86_400.0
"""Bounds the hourly breakpoints of a chunk where events are rare."""

_QUANTITIES = (
    "it_j", "cooling_j", "loss_j", "auxiliary_j", "facility_j", "carbon_kg", "cost_usd", "water_l", "heat_in_j",
    "heat_removed_j", "carbon_intensity_s", "price_s", "hall_temperature_s", "dry_bulb_s", "wet_bulb_s",
)  # fmt: skip


@dataclass(frozen=True)
class PowerLog:
    """IT power that holds from each time to the next, and the bins to sum over."""

    time_s: Floats
    """(N,) non-decreasing, the first 0."""
    it_power_w: Floats
    """(N,)."""
    end_s: float
    edges_s: Floats
    """(B + 1,) ascending from 0 to `end_s`."""


@dataclass
class Totals:
    """Sums over the run, by bin, and extremes."""

    bins: dict[str, Floats]
    """(B,) integrals over each bin."""
    heat_removal_w: float
    """State: heat removed from the hall at the current time."""
    stored_from_w: float
    """The same at t = 0."""
    peak_outputs_w: list[float]
    """By stage of the chain."""
    heat_stored_j: float = 0.0
    peak_facility_w: float = 0.0
    peak_heat_w: float = 0.0
    seconds_above_capacity: float = 0.0


@dataclass(frozen=True)
class _Intervals:
    """Consecutive intervals on which everything outside is constant."""

    duration_s: Floats
    it_w: Floats
    dry_bulb_deg_c: Floats
    wet_bulb_deg_c: Floats
    carbon_kg_per_j: Floats
    price_usd_per_j: Floats
    bin_index: npt.NDArray[np.int64]
    decay: Floats
    """exp(-duration / tau) of the hall."""


def integrate(
    plant: Plant, weather: WeatherSeries, grid: Grid, log: PowerLog, heat_before_w: float
) -> Totals:
    """Return the sums over [0, log.end_s]; `heat_before_w` is removed from the hall at t = 0.

    The log is as checked by `Meter.run`. Memory is bounded by the chunk, time is linear.
    """
    totals = Totals(
        bins={name: np.zeros(len(log.edges_s) - 1) for name in _QUANTITIES},
        heat_removal_w=heat_before_w,
        stored_from_w=heat_before_w,
        peak_outputs_w=[0.0] * len(plant.stages),
    )
    for begins, ends, power in _chunks(weather, grid, log):
        keep = ends > begins
        duration_s, it_w = (ends - begins)[keep], power[keep]
        # The middle, because a breakpoint of a repeating series may be rounded to either side of its step.
        middle_s = begins[keep] + 0.5 * duration_s
        sample = weather.at(middle_s)
        intervals = _Intervals(
            duration_s=duration_s,
            it_w=it_w,
            dry_bulb_deg_c=sample.dry_bulb_deg_c,
            wet_bulb_deg_c=sample.wet_bulb_deg_c,
            carbon_kg_per_j=grid.carbon.at(middle_s),
            price_usd_per_j=grid.price.at(middle_s),
            bin_index=np.searchsorted(log.edges_s, middle_s, side="right") - 1,
            decay=np.exp(-duration_s / plant.time_constant_s),
        )
        _add_chunk(totals, plant, intervals)
    totals.heat_stored_j = plant.time_constant_s * (totals.heat_removal_w - totals.stored_from_w)
    return totals


def _chunks(weather: WeatherSeries, grid: Grid, log: PowerLog) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield (begins, ends, IT power) of the merged intervals, a bounded number at a time."""
    at_s = 0.0
    while at_s < log.end_s:
        # The event that holds at at_s; of simultaneous ones the last, so the next is later.
        first = int(np.searchsorted(log.time_s, at_s, side="right")) - 1
        last = first + _CHUNK_EVENTS
        event_s = float(log.time_s[last]) if last < len(log.time_s) else log.end_s
        until_s = min(event_s, at_s + _CHUNK_SPAN_S)
        events = slice(first, max(int(np.searchsorted(log.time_s, until_s, side="left")), first + 1))
        times, power = log.time_s[events].copy(), log.it_power_w[events]
        times[0] = at_s
        edges = log.edges_s[slice(*np.searchsorted(log.edges_s, [at_s, until_s]).tolist())]
        outside = (weather.breakpoints(at_s, until_s), grid.breakpoints(at_s, until_s), edges)
        merged = np.unique(np.concatenate(outside))
        extra = merged[(merged > at_s) & (merged < until_s)]
        places = np.searchsorted(times, extra, side="right")
        starts = np.insert(times, places, extra)
        yield starts, np.append(starts[1:], until_s), np.insert(power, places, power[places - 1])
        at_s = until_s


def _add_chunk(totals: Totals, plant: Plant, intervals: _Intervals) -> None:
    """Add one chunk to the totals."""
    tau_s = plant.time_constant_s
    dt = intervals.duration_s
    heat_w = plant.hall_heat_w(intervals.it_w)
    removal_w = _relax(totals, heat_w, intervals.decay)
    degree = 1 << sum(1 for stage in plant.above_tap if stage.c2 > 0.0)
    # Integrals of x^k over each interval: dt, tau (1 - x), tau / 2 (1 - x^2), ...
    basis = [dt, *(-tau_s / k * np.expm1(-k * dt / tau_s) for k in range(1, degree + 1))]

    removed: Polynomial = [heat_w, removal_w - heat_w]
    per_heat = power_per_heat(plant.spec, intervals.wet_bulb_deg_c)
    fan_w = plant.fan_w(intervals.it_w)
    cooling: Polynomial = [fan_w + removed[0] * per_heat, removed[1] * per_heat]
    loss_j, facility = _chain(totals, plant, intervals, cooling, basis)

    removed_j = _integral(removed, basis)
    facility_j = _integral(facility, basis)
    hall_deg_c_s = plant.spec.supply_temperature_deg_c * dt + plant.resistance_k_per_w * removed_j
    parts = {
        "it_j": intervals.it_w * dt,
        "cooling_j": _integral(cooling, basis),
        "loss_j": loss_j,
        "auxiliary_j": plant.auxiliary_w * dt,
        "facility_j": facility_j,
        "carbon_kg": facility_j * intervals.carbon_kg_per_j,
        "cost_usd": facility_j * intervals.price_usd_per_j,
        "water_l": removed_j * water_l_per_heat_j(plant.spec, intervals.wet_bulb_deg_c),
        "heat_in_j": heat_w * dt,
        "heat_removed_j": removed_j,
        "carbon_intensity_s": intervals.carbon_kg_per_j * dt,
        "price_s": intervals.price_usd_per_j * dt,
        "hall_temperature_s": hall_deg_c_s,
        "dry_bulb_s": intervals.dry_bulb_deg_c * dt,
        "wet_bulb_s": intervals.wet_bulb_deg_c * dt,
    }
    # The last edge belongs to the last bin.
    bins = len(totals.bins["it_j"])
    index = np.minimum(intervals.bin_index, bins - 1)
    for name, values in parts.items():
        totals.bins[name] += np.bincount(index, weights=values, minlength=bins)
    _watch_capacity(totals, plant, removal_w, heat_w, intervals.duration_s)


def _relax(totals: Totals, heat_w: Floats, decay: Floats) -> Floats:
    """Return (N,) heat removed at the start of each interval; leaves the state at the end of the last."""
    removal = totals.heat_removal_w
    found: list[float] = []
    note = found.append
    for heat, factor in zip(heat_w.tolist(), decay.tolist(), strict=True):
        note(removal)
        removal = heat + (removal - heat) * factor
    totals.heat_removal_w = removal
    return np.array(found)


def _chain(
    totals: Totals, plant: Plant, intervals: _Intervals, cooling: Polynomial, basis: Polynomial
) -> tuple[Floats, Polynomial]:
    """Return (losses of all stages in J, power at the meter as a polynomial), and note peaks."""
    loss_j = np.zeros_like(intervals.duration_s)
    output: Polynomial = [intervals.it_w]
    below = plant.below_tap
    for place, (flow_w, loss_w) in enumerate(chain_losses_w(below, intervals.it_w)):
        totals.peak_outputs_w[place] = max(totals.peak_outputs_w[place], float(flow_w.max()))
        loss_j = loss_j + loss_w * intervals.duration_s
        output = [flow_w + loss_w]
    output = [output[0] + cooling[0], cooling[1]]
    for place, stage in enumerate(plant.above_tap, start=len(below)):
        totals.peak_outputs_w[place] = max(totals.peak_outputs_w[place], _peak(output, intervals.decay))
        loss = _stage_loss(stage, output)
        loss_j = loss_j + _integral(loss, basis)
        output = _sum(output, loss)
    facility = [output[0] + plant.auxiliary_w, *output[1:]]
    totals.peak_facility_w = max(totals.peak_facility_w, _peak(facility, intervals.decay))
    return loss_j, facility


def _stage_loss(stage: ChainStage, output: Polynomial) -> Polynomial:
    """Return rated (c0 + c1 u + c2 u^2) for a polynomial output."""
    linear = [stage.c1 * part for part in output]
    linear[0] = linear[0] + stage.rated_w * stage.c0
    if stage.c2 == 0.0:
        return linear
    square = [np.zeros_like(output[0]) for _ in range(2 * len(output) - 1)]
    for i, left in enumerate(output):
        for j, right in enumerate(output):
            square[i + j] = square[i + j] + left * right
    return _sum(linear, [stage.c2 / stage.rated_w * part for part in square])


def _sum(left: Polynomial, right: Polynomial) -> Polynomial:
    """Return left + right for right at least as long."""
    return [part + left[k] if k < len(left) else part for k, part in enumerate(right)]


def _integral(polynomial: Polynomial, basis: Polynomial) -> Floats:
    """Return the integral over each interval."""
    total = polynomial[0] * basis[0]
    for part, weight in zip(polynomial[1:], basis[1:], strict=False):
        total = total + part * weight
    return total


def _peak(polynomial: Polynomial, decay: Floats) -> float:
    """Return the largest value at either end of any interval; powers are monotone in between."""
    begin = polynomial[0]
    end = polynomial[-1]
    for part in polynomial[1:]:
        begin = begin + part
    for part in reversed(polynomial[:-1]):
        end = end * decay + part
    return float(max(begin.max(), end.max()))


def _watch_capacity(
    totals: Totals, plant: Plant, removal_w: Floats, heat_w: Floats, duration_s: Floats
) -> None:
    """Count how long the plant removed more than it can, and note the peak."""
    peak_w = max(float(removal_w.max()), totals.heat_removal_w)
    totals.peak_heat_w = max(totals.peak_heat_w, peak_w)
    if peak_w > plant.capacity_w:
        above_s = rc_seconds_above(removal_w, heat_w, duration_s, plant.time_constant_s, plant.capacity_w)
        totals.seconds_above_capacity += float(above_s.sum())
