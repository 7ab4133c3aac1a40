"""The meter: exact energy, carbon, cost, water and heat of a run from its IT power log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError
from dcsim.facility.building import Building, build_building
from dcsim.facility.cooling_plant import PlantLoad
from dcsim.facility.grid import Grid, build_grid, start_of
from dcsim.facility.integrate import PowerLog, Totals, integrate
from dcsim.facility.power import chain_input_w
from dcsim.facility.series import StepSeries
from dcsim.facility.set_points import SetPoints
from dcsim.facility.weather import WeatherSeries, build_weather
from dcsim.spec.scenario import Scenario

__all__ = ["BALANCE_TOLERANCE", "Meter", "MeterResult"]

Floats = npt.NDArray[np.float64]

BALANCE_TOLERANCE = 1e-9
"""Largest relative residual of a balance that is rounding; more is a bug."""
_HOT_RETURN_K = 20.0
"""Air that goes back to the plant so much warmer than any inlet should be is named."""


@dataclass(frozen=True)
class MeterResult:
    """What a run drew, removed and cost; energies in J at the meter unless said otherwise."""

    duration_s: float
    energy_it_j: float
    energy_cooling_j: float
    """Air movers and plant: the five that follow."""
    energy_air_mover_j: float
    energy_compressor_j: float
    energy_pump_j: float
    energy_tower_fan_j: float
    energy_other_cooling_j: float
    energy_loss_j: float
    """Of all stages of the power chain."""
    stage_losses_j: Mapping[str, float]
    """Of each stage by name, from the servers up."""
    energy_auxiliary_j: float
    energy_facility_j: float
    carbon_kg: float
    """Location-based, operational, of all the facility draws."""
    cost_usd: float
    """Of all the facility draws, at the price series."""
    water_l: float
    """Make-up of towers and sprays: evaporated, blown down, drifted away."""
    evaporated_l: float
    heat_in_j: float
    """Released in the hall."""
    heat_removed_j: float
    """By the plant."""
    heat_stored_j: float
    """Change of the heat held by the hall's air and metal; negative where it cooled."""
    heat_rejected_j: float
    """To the surroundings."""
    heat_reused_j: float
    """By somebody who has use for it."""
    free_cooling_fraction: float
    """Part of the time, weighted with nothing, in which heat left without a compressor."""
    peak_facility_w: float
    peak_hall_deg_c: float
    """Of the air on its way back to the plant."""
    seconds_above_capacity: float
    """For how long the plant removed all it can, and the hall warmed up for what it could not."""
    balances: Mapping[str, float]
    """Relative residuals it_energy, facility_energy, heat and plant_heat; rounding only."""
    warnings: tuple[str, ...]
    """Capacity or ratings exceeded, gaps filled, series read outside their calendar."""
    bin_edges_s: Floats
    """(B + 1,)."""
    bins: Mapping[str, Floats]
    """(B,) exact means over each bin of the columns of `results.schema.SERIES` that the meter owns."""
    settlement_edges_s: Floats
    """(M + 1,)."""
    settled: Mapping[str, Floats]
    """(M,) integrals of `integrate.SETTLED` over each settlement interval."""

    def sample(self) -> dict[str, Floats]:
        """Return the bin means as a new dict of arrays (B,)."""
        return dict(self.bins)


class Meter:
    """The facility around the IT equipment of one scenario: weather, plant, power chain, grid.

    `peak_it_w` sizes what the scenario leaves open; before t = 0 the hall is in equilibrium with
    `idle_it_w`. `base_dir` is the folder that relative paths of the scenario start from. Raises
    `SeriesError` for weather, carbon or price files that cannot be used.
    """

    def __init__(
        self,
        scenario: Scenario,
        peak_it_w: float,
        idle_it_w: float,
        base_dir: Path,
        *,
        allow_fmu: bool = False,
    ) -> None:
        start = start_of(scenario.grid)
        self.building: Building = build_building(
            scenario.cooling, scenario.power, peak_it_w, base_dir=base_dir, allow_fmu=allow_fmu
        )
        self.weather: WeatherSeries = build_weather(scenario.weather, start, base_dir, scenario.horizon_s)
        self.grid: Grid = build_grid(scenario.grid, base_dir, scenario.horizon_s)
        self.idle_it_w = idle_it_w
        self._hot_deg_c = scenario.cooling.highest_inlet_deg_c + _HOT_RETURN_K
        self._has_room = scenario.room is not None
        self.notes: tuple[str, ...] = (*self.weather.notes, *self.grid.notes)
        """What was assumed about the series; part of every result's warnings."""

    def __repr__(self) -> str:
        return f"<Meter of a hall of {self.building.peak_it_w:.0f} W peak IT power>"

    def facility_power_w(self, time_s: float, it_power_w: float) -> float:
        """Return the power at the meter, W, if the hall were in equilibrium with this IT power at `time_s`."""
        building = self.building
        plant = building.plant
        released = np.array([float(building.released_w(it_power_w))])
        flow = plant.flow_for(released)
        air_mover = plant.air_mover_w(released, flow)
        heat = np.minimum(released + air_mover, plant.capacity_w)
        part = np.array([it_power_w / heat[0] if heat[0] > 0.0 else 0.0])
        load = PlantLoad(heat, np.minimum(part, 1.0), np.array([building.supply_deg_c]), flow)
        output = plant.operate(load, self.weather.outdoors(np.array([time_s])))
        cooling_w = float((output.power_w + air_mover)[0])
        return float(chain_input_w(building.stages, it_power_w, cooling_w)) + building.auxiliary_w

    def run(
        self,
        time_s: npt.ArrayLike,
        it_power_w: npt.ArrayLike,
        end_s: float,
        bin_edges_s: npt.ArrayLike | None = None,
        *,
        set_points: SetPoints | None = None,
        settlement_edges_s: Floats | None = None,
        tree_loss: StepSeries | None = None,
    ) -> MeterResult:
        """Return the exact integrals over [0, end_s] of a piecewise-constant IT power log.

        `time_s` (N,) starts at 0 and never decreases; `it_power_w` (N,) >= 0 holds from its time to
        the next; of equal times the last counts. `bin_edges_s` (B + 1,) ascend from 0 to `end_s`;
        None is one bin. `set_points` of the hall's air; None: as the scenario says, always. What is settled
        is also summed between `settlement_edges_s` (M + 1,), from 0 to `end_s`; None: over all of it.
        `tree_loss` are the losses (W) of stages in racks and PDUs; None: as if these were evenly loaded.
        Raises `GuardError` for a log that breaks this, or a balance that does not close.
        """
        times = np.ascontiguousarray(time_s, dtype=np.float64)
        power = np.ascontiguousarray(it_power_w, dtype=np.float64)
        edges = np.array([0.0, end_s]) if bin_edges_s is None else np.array(bin_edges_s, dtype=np.float64)
        _check_log(times, power, end_s, edges)
        settled = np.array([0.0, end_s]) if settlement_edges_s is None else settlement_edges_s
        fixed = SetPoints.fixed(self.building.supply_deg_c)
        log = PowerLog(times, power, end_s, edges, set_points or fixed, tree_loss, settled)
        start_deg_c = self.building.steady_deg_c(self.idle_it_w)
        return self._result(log, integrate(self.building, self.weather, self.grid, log, start_deg_c))

    def _result(self, log: PowerLog, totals: Totals) -> MeterResult:
        sums = {name: math.fsum(values.tolist()) for name, values in totals.bins.items()}
        # The log itself, neither merged with other breakpoints nor binned.
        raw_it_j = math.fsum((log.it_power_w * np.diff(np.append(log.time_s, log.end_s))).tolist())
        parts_j = sums["it_j"] + sums["cooling_j"] + sums["loss_j"] + sums["auxiliary_j"]
        # Heat held is a stock: its change is only known to the rounding of the stock itself.
        capacity = self.building.hall.heat_capacity_j_per_k
        stored_j = capacity * (totals.hall_deg_c - totals.start_deg_c)
        held_j = capacity * max(abs(totals.hall_deg_c), abs(totals.start_deg_c), 1.0)
        plant_j = [sums[f"{part}_j"] for part in ("compressor", "pump", "tower_fan", "other_cooling")]
        given_off_j = sums["rejected_j"] + sums["reused_j"]
        balances = {
            "it_energy": _residual(sums["it_j"], raw_it_j),
            "facility_energy": _residual(sums["facility_j"], parts_j),
            "cooling_energy": _residual(sums["cooling_j"], math.fsum([*plant_j, sums["air_mover_j"]])),
            "heat": _residual(sums["heat_in_j"], sums["heat_removed_j"] + stored_j, held_j),
            "plant_heat": _residual(given_off_j, math.fsum([*plant_j, sums["heat_removed_j"]])),
        }
        for name, residual in balances.items():
            if not residual <= BALANCE_TOLERANCE:
                raise GuardError(f"{name} does not balance: relative residual {residual:.3g}")
        names = [stage.name for stage in self.building.stages]
        return MeterResult(
            duration_s=log.end_s,
            energy_it_j=sums["it_j"],
            energy_cooling_j=sums["cooling_j"],
            energy_air_mover_j=sums["air_mover_j"],
            energy_compressor_j=sums["compressor_j"],
            energy_pump_j=sums["pump_j"],
            energy_tower_fan_j=sums["tower_fan_j"],
            energy_other_cooling_j=sums["other_cooling_j"],
            energy_loss_j=sums["loss_j"],
            stage_losses_j=dict(zip(names, totals.stage_losses_j.tolist(), strict=True)),
            energy_auxiliary_j=sums["auxiliary_j"],
            energy_facility_j=sums["facility_j"],
            carbon_kg=sums["carbon_kg"],
            cost_usd=sums["cost_usd"],
            water_l=sums["water_l"],
            evaporated_l=sums["evaporated_l"],
            heat_in_j=sums["heat_in_j"],
            heat_removed_j=sums["heat_removed_j"],
            heat_stored_j=stored_j,
            heat_rejected_j=sums["rejected_j"],
            heat_reused_j=sums["reused_j"],
            free_cooling_fraction=sums["free_s"] / log.end_s if log.end_s > 0.0 else 0.0,
            peak_facility_w=totals.peak_facility_w,
            peak_hall_deg_c=totals.peak_hall_deg_c,
            seconds_above_capacity=totals.seconds_above_capacity,
            balances=balances,
            warnings=(*self.notes, *self._violations(totals)),
            bin_edges_s=log.edges_s,
            bins=_bin_means(totals, log.edges_s),
            settlement_edges_s=log.settlement_edges_s,
            settled=totals.settled,
        )

    def _violations(self, totals: Totals) -> list[str]:
        """Return what was overloaded, in words."""
        building, found = self.building, []
        if totals.seconds_above_capacity > 0.0:
            found.append(
                f"cooling: more heat than the capacity of {building.plant.capacity_w:.0f} W for "
                f"{totals.seconds_above_capacity:.0f} s (peak {totals.peak_heat_w:.0f} W); the hall's air rose to "
                f"{totals.peak_hall_deg_c:.1f} degC"
                + (
                    ", which racks in the room do not feel: they go on at the set supply"
                    if self._has_room
                    else ""
                )
            )
        elif totals.peak_hall_deg_c > self._hot_deg_c:
            found.append(
                f"cooling: air went back to the plant at up to {totals.peak_hall_deg_c:.1f} degC, more than 20 K over "
                "the highest inlet: too little flow for the heat"
            )
        for stage, peak_w in zip(building.stages, totals.peak_outputs_w.tolist(), strict=True):
            if peak_w > stage.usable_w * (1.0 + 1e-12):
                found.append(
                    f"power: {stage.name} delivered up to {peak_w:.0f} W, rated {stage.usable_w:.0f} W"
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
    "supply_temperature_deg_c": "supply_temperature_s",
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
