"""After a run: what the facility drew, what the site bought, sold and stored, and what that cost and emitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.battery import Wear, battery_wear, build_battery
from dcsim.facility.grid import start_of
from dcsim.facility.meter import Meter, MeterResult
from dcsim.facility.series import StepSeries
from dcsim.facility.set_points import SetPoints
from dcsim.facility.solar import build_solar
from dcsim.policies.views import GridView
from dcsim.simulation.billing import RunBill, demand_of, run_bill
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.record import RunRecord
from dcsim.simulation.site_ledger import ExportRule, SiteFlows, SiteInputs, settle, settlement_edges

__all__ = ["SiteAccount", "account_site"]

Floats = npt.NDArray[np.float64]
_MOST_INTERVALS = 200_000
"""A century is settled by days, not by hours."""


@dataclass(frozen=True)
class SiteAccount:
    """One run at the meter."""

    metered: MeterResult
    flows: SiteFlows
    bill: RunBill
    wear: Wear | None
    """Of the battery."""
    carbon_kg: Floats
    """(M,) of what is bought in each settlement interval, location-based."""
    peak_import_w: float
    """Largest mean over a metering interval (15 min, or the tariff's)."""
    over_limit_j: float
    """Imported above what demand response asked for."""
    other_carbon_kg: Mapping[str, float]
    """market, marginal, lifecycle: of the run; NaN where the scenario gives no such series."""
    notes: tuple[str, ...]

    @property
    def edges_s(self) -> Floats:
        """(M + 1,) of the settlement intervals."""
        return self.flows.edges_s

    @property
    def amounts(self) -> dict[str, Floats]:
        """(M,) what is attributed to jobs, by settlement interval."""
        return {
            "facility_energy_j": self.metered.settled["facility_j"],
            "carbon_kg": self.carbon_kg,
            "cost_usd": self.bill.interval_usd,
            "water_l": self.metered.settled["water_l"],
        }

    def bin_rates(self) -> dict[str, Floats]:
        """Return (B,) means over the bins of the result's series of what the site's flows decide."""
        edges_s = self.metered.bin_edges_s
        widths = np.diff(edges_s)
        middle_s = 0.5 * (self.edges_s[:-1] + self.edges_s[1:])
        bins = np.minimum(np.searchsorted(edges_s, middle_s, side="right") - 1, len(widths) - 1)
        flows, dt = self.flows, self.flows.duration_s

        def mean(amounts: Floats) -> Floats:
            sums = np.bincount(bins, weights=amounts, minlength=len(widths))
            return np.asarray(np.divide(sums, widths, out=np.full(len(widths), np.nan), where=widths > 0.0))

        last = np.searchsorted(self.edges_s, edges_s[1:], side="right") - 1
        return {
            "import_power_w": mean(flows.import_w * dt),
            "solar_power_w": mean(flows.solar_w * dt),
            "battery_power_w": mean((flows.charge_w - flows.discharge_w) * dt),
            "stored_j": flows.stored_j[last],
            "carbon_kg_per_s": mean(self.carbon_kg),
            "cost_usd_per_s": mean(self.bill.interval_usd),
        }


def account_site(
    inputs: RunInputs,
    record: RunRecord,
    meter: Meter,
    view: Callable[[float], GridView],
    edges_s: Floats,
    set_points: SetPoints | None = None,
) -> SiteAccount:
    """Return the account of a finished run.

    Args:
        inputs: of the run.
        record: of the run.
        meter: of its facility.
        view: makes the forecast of the grid at an instant, for the battery's policy.
        edges_s: (B + 1,) bins of the result's series, from 0 to the end of the run.
        set_points: of the hall's air; None: as the scenario says, always.
    """
    end_s, onsite = float(edges_s[-1]), inputs.scenario.onsite
    interval_s = onsite.settlement_interval_s
    interval_s *= max(1.0, math.ceil(end_s / interval_s / _MOST_INTERVALS))
    solar, notes = _solar(inputs)
    marks = [edges_s, meter.grid.breakpoints(0.0, end_s), _limit_changes(inputs, end_s)]
    if solar is not None:
        marks.append(solar.breakpoints(0.0, end_s))
    if meter.grid.tariff is not None:
        marks.append(meter.grid.tariff.edges_s(end_s))
    settlement = settlement_edges(end_s, interval_s, *marks) if end_s > 0.0 else np.array([0.0])
    metered = meter.run(
        np.array(record.power_times_s),
        np.array(record.it_power_w),
        end_s,
        bin_edges_s=edges_s,
        set_points=set_points,
        settlement_edges_s=settlement,
        tree_loss=_tree_loss(record, end_s),
    )
    flows = _flows(inputs, meter, view, metered, solar)
    wear = None
    if onsite.battery is not None and end_s > 0.0:
        wear = battery_wear(onsite.battery, flows.stored_j, flows.edges_s)
    middle_s = 0.5 * (settlement[:-1] + settlement[1:])
    bought_j = flows.import_w * flows.duration_s
    grid = meter.grid
    return SiteAccount(
        metered=metered,
        flows=flows,
        bill=run_bill(grid, onsite, flows, wear.cost_usd if wear is not None else 0.0),
        wear=wear,
        carbon_kg=bought_j * grid.carbon.at(middle_s),
        peak_import_w=_peak_w(demand_of(grid, onsite, settlement)[2], bought_j, flows.duration_s),
        over_limit_j=_over_limit_j(inputs, flows, middle_s),
        other_carbon_kg={
            "market": _sum(bought_j, grid.market_carbon, middle_s),
            "marginal": _sum(bought_j, grid.marginal_carbon, middle_s),
            "lifecycle": _sum(bought_j, grid.lifecycle_carbon, middle_s),
        },
        notes=notes,
    )


def _peak_w(block: npt.NDArray[np.int64], energy_j: Floats, duration_s: Floats) -> float:
    if not len(block):
        return 0.0
    lengths_s = np.bincount(block, weights=duration_s)
    there = lengths_s > 0.0
    return float((np.bincount(block, weights=energy_j)[there] / lengths_s[there]).max())


def _over_limit_j(inputs: RunInputs, flows: SiteFlows, middle_s: Floats) -> float:
    limit_w = np.array([inputs.limits.import_w(time_s) for time_s in middle_s.tolist()])
    return math.fsum((np.maximum(flows.import_w - limit_w, 0.0) * flows.duration_s).tolist())


def _tree_loss(record: RunRecord, end_s: float) -> StepSeries | None:
    """Return what stages in racks and PDUs lose, as each of these is loaded; None without a power tree."""
    if record.tree is None or end_s <= 0.0:
        return None
    energies = record.tree.energies(end_s)
    return StepSeries(energies.time_s, energies.loss_w, name="losses of racks and PDUs")


def _sum(energy_j: Floats, series: StepSeries | None, times_s: Floats) -> float:
    return math.nan if series is None else math.fsum((energy_j * series.at(times_s)).tolist())


def _solar(inputs: RunInputs) -> tuple[StepSeries | None, tuple[str, ...]]:
    scenario = inputs.scenario
    if scenario.onsite.solar is None:
        return None, ()
    start = start_of(scenario.grid)
    return build_solar(scenario.onsite.solar, scenario.weather, start, inputs.base_dir)


def _limit_changes(inputs: RunInputs, end_s: float) -> Floats:
    """Return when demand response begins or ends to ask for less."""
    return np.array([time_s for time_s in inputs.limits.import_times_s if time_s < end_s])


def _flows(
    inputs: RunInputs,
    meter: Meter,
    view: Callable[[float], GridView],
    metered: MeterResult,
    solar: StepSeries | None,
) -> SiteFlows:
    """Let the battery's policy act on what the facility drew."""
    edges_s, onsite = metered.settlement_edges_s, inputs.scenario.onsite
    middle_s, dt = 0.5 * (edges_s[:-1] + edges_s[1:]), np.diff(edges_s)
    load_w = np.maximum(metered.settled["facility_j"], 0.0) / dt if len(dt) else np.zeros(0)
    price, window, block = demand_of(meter.grid, onsite, edges_s)
    site = SiteInputs(
        edges_s=edges_s,
        load_w=load_w,
        solar_w=np.zeros(len(dt)) if solar is None else np.maximum(solar.at(middle_s), 0.0),
        demand_price_usd_per_w=price,
        window=window,
        block=block,
        limit_w=np.array([inputs.limits.import_w(time_s) for time_s in middle_s.tolist()]),
    )
    battery = build_battery(onsite.battery) if onsite.battery is not None else None
    sold = math.inf if onsite.export_limit_w is None else onsite.export_limit_w
    rule = ExportRule(sold if onsite.export == "allow" else 0.0)
    return settle(site, battery, inputs.policies.battery, view, rule)
