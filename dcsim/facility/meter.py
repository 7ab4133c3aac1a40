"""The meter: exact energy, carbon, cost, water and heat of a run from its IT power log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError
from dcsim.facility.grid import Grid, build_grid, start_of
from dcsim.facility.integrate import PowerLog, Totals, integrate
from dcsim.facility.plant import Plant, build_plant, power_per_heat
from dcsim.facility.power import chain_input_w
from dcsim.facility.weather import WeatherSeries, build_weather
from dcsim.spec.scenario import Scenario

__all__ = ["BALANCE_TOLERANCE", "Meter", "MeterResult"]

Floats = npt.NDArray[np.float64]

BALANCE_TOLERANCE = 1e-9
"""Largest relative residual of a balance that is rounding; more is a bug."""


@dataclass(frozen=True)
class MeterResult:
    """What a run drew, removed and cost; energies in J at the meter unless said otherwise."""

    duration_s: float
    energy_it_j: float
    energy_cooling_j: float
    """Chillers, air handlers, pumps and tower fans."""
    energy_loss_j: float
    """Of all stages of the power chain."""
    energy_auxiliary_j: float
    energy_facility_j: float
    carbon_kg: float
    """Location-based, operational."""
    cost_usd: float
    water_l: float
    heat_in_j: float
    """Released in the hall."""
    heat_removed_j: float
    """By the plant."""
    heat_stored_j: float
    """Change of the heat held by the hall's air and metal; negative where it cooled."""
    peak_facility_w: float
    seconds_above_capacity: float
    """For how long the plant removed more than its capacity."""
    balances: Mapping[str, float]
    """Relative residuals it_energy, facility_energy and heat; rounding only."""
    warnings: tuple[str, ...]
    """Capacity or ratings exceeded, gaps filled, series read outside their calendar."""
    bin_edges_s: Floats
    """(B + 1,)."""
    bins: Mapping[str, Floats]
    """(B,) exact means over each bin of the columns of `results.schema.SERIES` that the meter owns."""

    def sample(self) -> dict[str, Floats]:
        """Return the bin means as a new dict of arrays (B,)."""
        return dict(self.bins)


class Meter:
    """The facility around the IT equipment of one scenario: weather, plant, power chain, grid.

    `peak_it_w` sizes what the scenario leaves open; before t = 0 the hall is in equilibrium with
    `idle_it_w`. `base_dir` is the folder that relative paths of the scenario start from. Raises
    `SeriesError` for weather, carbon or price files that cannot be used.
    """

    def __init__(self, scenario: Scenario, peak_it_w: float, idle_it_w: float, base_dir: Path) -> None:
        start = start_of(scenario.grid)
        self.plant: Plant = build_plant(scenario.cooling, scenario.power, peak_it_w)
        self.weather: WeatherSeries = build_weather(scenario.weather, start, base_dir)
        self.grid: Grid = build_grid(scenario.grid, base_dir)
        self.idle_it_w = idle_it_w
        self.notes: tuple[str, ...] = (*self.weather.notes, *self.grid.notes)
        """What was assumed about the series; part of every result's warnings."""

    def __repr__(self) -> str:
        return f"<Meter of a hall of {self.plant.peak_it_w:.0f} W peak IT power>"

    def facility_power_w(self, time_s: float, it_power_w: float) -> float:
        """Return the power at the meter, W, if the hall were in equilibrium with this IT power at `time_s`."""
        plant = self.plant
        per_heat = float(power_per_heat(plant.spec, self.weather.at(time_s).wet_bulb_deg_c))
        cooling_w = float(plant.fan_w(it_power_w)) + float(plant.hall_heat_w(it_power_w)) * per_heat
        return float(chain_input_w(plant.stages, it_power_w, cooling_w)) + plant.auxiliary_w

    def run(
        self,
        time_s: npt.ArrayLike,
        it_power_w: npt.ArrayLike,
        end_s: float,
        bin_edges_s: npt.ArrayLike | None = None,
    ) -> MeterResult:
        """Return the exact integrals over [0, end_s] of a piecewise-constant IT power log.

        `time_s` (N,) starts at 0 and never decreases; `it_power_w` (N,) >= 0 holds from its time to
        the next; of equal times the last counts. `bin_edges_s` (B + 1,) ascend from 0 to `end_s`;
        None is one bin. Raises `GuardError` for a log that breaks this, or a balance that does not close.
        """
        times = np.ascontiguousarray(time_s, dtype=np.float64)
        power = np.ascontiguousarray(it_power_w, dtype=np.float64)
        edges = np.array([0.0, end_s]) if bin_edges_s is None else np.array(bin_edges_s, dtype=np.float64)
        _check_log(times, power, end_s, edges)
        heat_before_w = float(self.plant.hall_heat_w(self.idle_it_w))
        log = PowerLog(times, power, end_s, edges)
        return self._result(log, integrate(self.plant, self.weather, self.grid, log, heat_before_w))

    def _result(self, log: PowerLog, totals: Totals) -> MeterResult:
        sums = {name: math.fsum(values.tolist()) for name, values in totals.bins.items()}
        # The log itself, neither merged with other breakpoints nor binned.
        raw_it_j = math.fsum((log.it_power_w * np.diff(np.append(log.time_s, log.end_s))).tolist())
        parts_j = sums["it_j"] + sums["cooling_j"] + sums["loss_j"] + sums["auxiliary_j"]
        # Heat held is a stock: its change is only known to the rounding of the stock itself.
        held_j = self.plant.time_constant_s * max(totals.stored_from_w, totals.heat_removal_w)
        heat_out_j = sums["heat_removed_j"] + totals.heat_stored_j
        balances = {
            "it_energy": _residual(sums["it_j"], raw_it_j),
            "facility_energy": _residual(sums["facility_j"], parts_j),
            "heat": _residual(sums["heat_in_j"], heat_out_j, held_j),
        }
        for name, residual in balances.items():
            if not residual <= BALANCE_TOLERANCE:
                raise GuardError(f"{name} does not balance: relative residual {residual:.3g}")
        return MeterResult(
            duration_s=log.end_s,
            energy_it_j=sums["it_j"],
            energy_cooling_j=sums["cooling_j"],
            energy_loss_j=sums["loss_j"],
            energy_auxiliary_j=sums["auxiliary_j"],
            energy_facility_j=sums["facility_j"],
            carbon_kg=sums["carbon_kg"],
            cost_usd=sums["cost_usd"],
            water_l=sums["water_l"],
            heat_in_j=sums["heat_in_j"],
            heat_removed_j=sums["heat_removed_j"],
            heat_stored_j=totals.heat_stored_j,
            peak_facility_w=totals.peak_facility_w,
            seconds_above_capacity=totals.seconds_above_capacity,
            balances=balances,
            warnings=(*self.notes, *self._violations(totals)),
            bin_edges_s=log.edges_s,
            bins=_bin_means(totals, log.edges_s),
        )

    def _violations(self, totals: Totals) -> list[str]:
        """Return what was overloaded, in words."""
        plant = self.plant
        found = []
        if totals.seconds_above_capacity > 0.0:
            found.append(
                f"cooling: the heat removed was above the capacity of {plant.capacity_w:.0f} W "
                f"for {totals.seconds_above_capacity:.0f} s (peak {totals.peak_heat_w:.0f} W)"
            )
        for stage, peak_w in zip(plant.stages, totals.peak_outputs_w, strict=True):
            if peak_w > stage.rated_w * (1.0 + 1e-12):
                found.append(
                    f"power: {stage.name} delivered up to {peak_w:.0f} W, rated {stage.rated_w:.0f} W"
                )
        return found


def _check_log(times: Floats, power: Floats, end_s: float, edges: Floats) -> None:
    """Raise `GuardError` for a log or bins that break the contract of `Meter.run`."""
    if times.ndim != 1 or times.shape != power.shape or len(times) == 0 or times[0] != 0.0:
        raise GuardError("power log: expected as many powers as times, the first time 0")
    if not (np.all(np.diff(times) >= 0.0) and times[-1] <= end_s < math.inf):
        raise GuardError(f"power log: expected non-decreasing times up to the end {end_s:g} s")
    if not (np.all(power >= 0.0) and np.all(np.isfinite(power))):
        raise GuardError(f"power log: {np.min(power):g} W -> expected finite powers >= 0")
    if len(edges) < 1 or edges[0] != 0.0 or edges[-1] != end_s or not np.all(np.diff(edges) >= 0.0):
        raise GuardError(f"bins: expected ascending edges from 0 to the end {end_s:g} s")


def _residual(value: float, other: float, scale: float = 0.0) -> float:
    """Return the difference over the largest magnitude involved, 0 for 0."""
    largest = max(abs(value), abs(other), abs(scale))
    return abs(value - other) / largest if largest > 0.0 else 0.0


_RATES = {
    "it_power_w": "it_j",
    "cooling_power_w": "cooling_j",
    "loss_power_w": "loss_j",
    "facility_power_w": "facility_j",
    "carbon_kg_per_s": "carbon_kg",
    "carbon_intensity_kg_per_j": "carbon_intensity_s",
    "price_usd_per_j": "price_s",
    "cost_usd_per_s": "cost_usd",
    "water_l_per_s": "water_l",
    "hall_temperature_deg_c": "hall_temperature_s",
    "dry_bulb_deg_c": "dry_bulb_s",
    "wet_bulb_deg_c": "wet_bulb_s",
}
"""Column of the series: integral whose mean over the bin it is."""


def _bin_means(totals: Totals, edges: Floats) -> dict[str, Floats]:
    """Return bin means; NaN in a bin of no width, and PUE NaN where IT drew nothing."""
    widths = np.diff(edges)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        means = {
            column: np.where(widths > 0.0, totals.bins[integral] / widths, np.nan)
            for column, integral in _RATES.items()
        }
        energy = totals.bins["it_j"]
        means["pue"] = np.where(energy > 0.0, totals.bins["facility_j"] / energy, np.nan)
    return means
