"""The one row that tells what the facility of a run did, and what of it is due to each job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.facility.embodied import embodied_kg
from dcsim.results import facility_metrics as standard
from dcsim.results.attribution import attribute
from dcsim.results.schema import ACCOUNT, ATTRIBUTED
from dcsim.simulation.gangs import Gangs
from dcsim.simulation.job_powers import job_powers
from dcsim.simulation.record import RunRecord
from dcsim.simulation.site_account import SiteAccount

__all__ = ["account_row", "attributed"]

Floats = npt.NDArray[np.float64]
_ENERGIES = (
    "it",
    "cooling",
    "air_mover",
    "compressor",
    "pump",
    "tower_fan",
    "other_cooling",
    "loss",
    "auxiliary",
    "facility",
)
_FLOWS = {
    "energy_import_j": "import_w",
    "energy_export_j": "export_w",
    "energy_solar_j": "solar_w",
    "energy_curtailed_j": "curtailed_w",
    "energy_charged_j": "charge_w",
    "energy_discharged_j": "discharge_w",
}


def attributed(
    run: RunRecord, account: SiteAccount, gangs: Gangs, events: Mapping[str, npt.NDArray[Any]], end_s: float
) -> dict[str, Floats]:
    """Return (N,) the columns of `schema.ATTRIBUTED`: what of the facility each job answers for."""
    powers = job_powers(run, gangs, events, end_s)
    it_j = account.metered.settled["it_j"]
    return attribute(powers, len(run.inputs.jobs), account.edges_s, it_j, account.amounts)


def account_row(
    run: RunRecord, account: SiteAccount, parts: Mapping[str, Floats], busy_core_s: float
) -> dict[str, float]:
    """Return the row of `schema.ACCOUNT` of a run.

    Args:
        run: what it wrote down.
        account: at the meter.
        parts: what is due to each job.
        busy_core_s: core-seconds granted to jobs.
    """
    metered, flows, bill = account.metered, account.flows, account.bill
    it_j, facility_j = metered.energy_it_j, metered.energy_facility_j
    stored_j = flows.stored_j
    row = {f"energy_{name}_j": float(getattr(metered, f"energy_{name}_j")) for name in _ENERGIES}
    row |= {name: flows.energy_j(flow) for name, flow in _FLOWS.items()}
    row |= {
        "energy_stored_change_j": float(stored_j[-1] - stored_j[0]) if len(stored_j) else 0.0,
        "pue": standard.ratio(facility_j, it_j),
        "ppue_cooling": standard.partial_pue(it_j, metered.energy_cooling_j),
        "ppue_power": standard.partial_pue(it_j, metered.energy_loss_j),
        "wue_l_per_j": standard.wue_l_per_j(metered.water_l, it_j),
        "cue_kg_per_j": standard.cue_kg_per_j(_total(account.carbon_kg), it_j),
        "erf": standard.erf(metered.heat_reused_j, facility_j),
        "ere": standard.ere(facility_j, metered.heat_reused_j, it_j),
        "iteu_sv": standard.iteu_sv(busy_core_s, float(run.inputs.fleet.cpu_cores.sum()), metered.duration_s),
        "free_cooling_fraction": metered.free_cooling_fraction,
        "heat_removed_j": metered.heat_removed_j,
        "heat_rejected_j": metered.heat_rejected_j,
        "heat_reused_j": metered.heat_reused_j,
        "water_l": metered.water_l,
        "evaporated_l": metered.evaporated_l,
        "carbon_kg": _total(account.carbon_kg),
        **{f"carbon_{name}_kg": kg for name, kg in account.other_carbon_kg.items()},
        "carbon_embodied_kg": embodied_kg(run.inputs.scenario, metered.duration_s),
        "cost_usd": bill.total_usd,
        "cost_energy_usd": bill.energy_usd,
        "cost_demand_usd": bill.demand_usd,
        "cost_fixed_usd": bill.fixed_usd,
        "cost_wear_usd": bill.wear_usd,
        "export_credit_usd": bill.export_credit_usd,
        "battery_wear_fraction": account.wear.life_used if account.wear is not None else 0.0,
        "peak_facility_w": metered.peak_facility_w,
        "peak_import_w": account.peak_import_w,
        "energy_over_limit_j": account.over_limit_j,
        "peak_hall_deg_c": metered.peak_hall_deg_c,
        "hottest_inlet_deg_c": math.nan
        if run.heat is None
        else max(run.heat.log_hottest_deg_c, default=math.nan),
        "seconds_above_capacity": metered.seconds_above_capacity,
        "seconds_above_rating": run.tree.ratings.any_s if run.tree is not None else 0.0,
        **_over_budget(run),
    }
    row |= _unattributed(row, parts)
    return {column.name: row[column.name] for column in ACCOUNT}


def _over_budget(run: RunRecord) -> dict[str, float]:
    """Return for how long, and by how much, all IT equipment drew more than its budget."""
    hall = run.hall.stretches if run.hall is not None else None
    energy_j = math.fsum(about.over_j for _, about in hall.worst()) if hall is not None else 0.0
    return {
        "seconds_above_budget": hall.any_s if hall is not None else 0.0,
        "energy_above_budget_j": energy_j,
    }


def _unattributed(row: Mapping[str, float], parts: Mapping[str, Floats]) -> dict[str, float]:
    """Return what no job answers for, by name of the account's columns."""
    totals = {column.name: row[column.name] for column in ATTRIBUTED if column.name in row}
    totals["facility_energy_j"] = row["energy_facility_j"]
    return {f"unattributed_{name}": total - _total(parts[name]) for name, total in totals.items()}


def _total(values: Floats) -> float:
    return math.fsum(values.tolist())
