"""The scenarios of energy, cooling and grid answer the questions that they ask; one seed, so signs only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import dcsim
from dcsim.results.run_result import RunResult
from dcsim.spec import load_scenario

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"


def answers(name: str, changes: dict[str, Any], days: float) -> dict[str, RunResult]:
    """Run the first days of a scenario with each of some changes to it, all with its own seed."""
    said = load_scenario(FOLDER / f"{name}.yaml").scenario.model_dump() | {"horizon_s": days * 86_400.0}
    results = {}
    for label, change in changes.items():
        whole = {key: {**value, **change[key]} if key in change else value for key, value in said.items()}
        results[label] = dcsim.simulate(dcsim.Scenario.model_validate(whole), seed=0)
    return results


def policy(**named: Any) -> dict[str, Any]:
    return {"policies": named}


def test_a_budget_is_kept_but_for_the_latency_and_costs_time() -> None:
    found = answers("energy_budget", {name: policy(energy=name) for name in ("none", "power_budget")}, 1.0)
    free, kept = found["none"], found["power_budget"]
    peak_w = [float(result.series["it_power_w"].max()) for result in (free, kept)]
    # Bins are means of minutes, in which a job that starts is above its share for the latency of 5 s.
    assert peak_w[0] > 115e3 > 1.01 * 110e3 > peak_w[1]
    free_s, kept_s = free.jobs["end_s"], kept.jobs["end_s"]
    done = np.isfinite(free_s) & np.isfinite(kept_s)
    assert done.sum() > 50
    assert kept_s[done].mean() > free_s[done].mean()
    assert kept.account["energy_it_j"] < free.account["energy_it_j"]


def test_a_battery_pays_with_a_target_and_a_greedy_one_does_not() -> None:
    written = {"name": "battery_stacked", "parameters": {"target_w": 70_000.0}}
    changes = {"stacked": written, "idle": "idle", "greedy": "battery_price"}
    found = answers(
        "battery_and_solar", {name: policy(battery=choice) for name, choice in changes.items()}, 31.0
    )
    cost = {name: result.account["cost_usd"] for name, result in found.items()}
    assert cost["stacked"] < cost["idle"] < cost["greedy"]
    assert found["greedy"].account["peak_import_w"] > found["idle"].account["peak_import_w"]
    assert len({result.account["energy_facility_j"] for result in found.values()}) == 1


def test_warm_water_saves_energy_and_water_in_a_hot_place() -> None:
    found = answers(
        "liquid_cooling", {plant: {"cooling": {"plant": plant}} for plant in ("liquid", "chilled_water")}, 3.0
    )
    warm, chilled = found["liquid"].account, found["chilled_water"].account
    assert warm["energy_it_j"] == chilled["energy_it_j"]
    assert warm["pue"] < chilled["pue"] - 0.05
    assert warm["water_l"] < chilled["water_l"]
    assert warm["free_cooling_fraction"] > 0.5 > chilled["free_cooling_fraction"]


def test_waiting_for_clean_hours_saves_carbon_with_a_wrong_forecast_too() -> None:
    found = answers("carbon_shift", {name: policy(energy=name) for name in ("none", "carbon_suspend")}, 8.0)
    at_once, suspended = found["none"], found["carbon_suspend"]
    assert (
        suspended.summary["jobs_completed"] == at_once.summary["jobs_completed"] == len(at_once.jobs["end_s"])
    )
    assert suspended.account["carbon_kg"] < 0.97 * at_once.account["carbon_kg"]


def test_placement_by_recirculation_pays_once_the_supply_follows() -> None:
    arms = [(place, cooling) for place in ("first_fit", "xint") for cooling in ("fixed", "highest_supply")]
    found = answers(
        "thermal_room",
        {f"{place} {cooling}": policy(placement=place, cooling=cooling) for place, cooling in arms},
        2.0,
    )
    energy_j = {name: result.account["energy_cooling_j"] for name, result in found.items()}
    assert energy_j["xint fixed"] / energy_j["first_fit fixed"] > 0.99
    assert energy_j["xint highest_supply"] < 0.85 * energy_j["first_fit highest_supply"]
    hottest = {name: result.series["hottest_inlet_deg_c"].max() for name, result in found.items()}
    assert hottest["xint fixed"] < hottest["first_fit fixed"]
