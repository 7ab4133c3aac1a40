"""A run at the meter: set points, site and bill by hand, and what jobs answer for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dcsim.simulation import simulate
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall

HOUR = 3_600.0
BARE: dict[str, Any] = {
    "power": {"stages": []},
    "cooling": {"plant": "crac", "fan_fraction": 0.0, "supply_temperature_deg_c": 20.0},
}
"""All the facility adds is the CRAC's power: heat over its COP at 20 degC, 3.194."""
COP = 0.0068 * 400.0 + 0.0008 * 20.0 + 0.458


def two_jobs():
    return job_table(submit_s=[0.0, HOUR], duration_s=[HOUR, HOUR], accelerators=[4, 4], job_id=["a", "b"])


def daily(values):
    return {"kind": "daily", "intensity_kg_per_j": values}


def test_a_job_of_the_clean_hour_answers_for_clean_energy():
    """Equal jobs in hours of 1 and 3 kg/J: each answers for its energy at the intensity of its hour."""
    grid = {"carbon": daily([1e-7, 3e-7] + [0.0] * 22)}
    result = simulate(hall(1, 4, grid=grid, **BARE), jobs=two_jobs())
    jobs, account = result.jobs, result.account
    # In balance from the start but for the jump from idle to busy; compare through the account.
    assert jobs["carbon_kg"][1] / jobs["carbon_kg"][0] == pytest.approx(
        3.0 * jobs["facility_energy_j"][1] / jobs["facility_energy_j"][0], rel=1e-9
    )
    for column, total in (
        ("facility_energy_j", account["energy_facility_j"]),
        ("carbon_kg", account["carbon_kg"]),
        ("cost_usd", account["cost_usd"]),
        ("water_l", account["water_l"]),
    ):
        parts = math.fsum(jobs[column].tolist()) + account[f"unattributed_{column}"]
        assert parts == pytest.approx(total, rel=1e-12, abs=1e-12)


def test_demand_charges_fall_on_whoever_sets_the_peak():
    """A tariff with nothing but a demand charge: the job that draws most pays, the other nothing."""
    tariff = {
        "kind": "time_of_use",
        "time_zone": "UTC",
        "energy": [{"name": "free", "price_usd_per_j": 0.0}],
        "demand": [{"name": "peak", "price_usd_per_w": 0.01}],
    }
    jobs = job_table(submit_s=[0.0, 2 * HOUR], duration_s=[HOUR, HOUR], accelerators=[1, 4])
    result = simulate(hall(1, 4, grid={"tariff": tariff}, **BARE), jobs=jobs)
    account = result.account
    month = 31 * 86_400.0
    share = result.series["time_s"][-1] + result.series["duration_s"][-1]
    assert account["cost_usd"] == account["cost_demand_usd"]
    assert account["cost_demand_usd"] == pytest.approx(
        account["peak_import_w"] * 0.01 * share / month, rel=1e-9
    )
    assert result.jobs["cost_usd"][0] == 0.0
    assert result.jobs["cost_usd"][1] > 0.0


def test_sun_covers_what_it_can_and_the_rest_is_curtailed():
    scenario = hall(
        1, 4, weather={"kind": "site", "site": "phoenix"}, onsite={"solar": {"rated_power_w": 1e6}},
        horizon_s=86_400.0, **BARE,
    )  # fmt: skip
    result = simulate(scenario, jobs=job_table(submit_s=[], duration_s=[]))
    account = result.account
    assert account["energy_solar_j"] > account["energy_facility_j"] > account["energy_import_j"] > 0.0
    balance = account["energy_import_j"] + account["energy_solar_j"]
    assert balance == pytest.approx(account["energy_facility_j"] + account["energy_curtailed_j"], rel=1e-12)
    assert account["energy_export_j"] == 0.0
    assert result.balances["site_power"] <= 1e-12


def test_reused_heat_lowers_ere_and_not_pue():
    cooling = BARE["cooling"] | {"heat_reuse": {"fraction": 0.5}}
    plain = simulate(hall(1, 4, **BARE), jobs=two_jobs()).account
    reuse = simulate(hall(1, 4, **BARE | {"cooling": cooling}), jobs=two_jobs()).account
    assert reuse["pue"] == plain["pue"]
    assert reuse["erf"] == pytest.approx(reuse["heat_reused_j"] / reuse["energy_facility_j"])
    assert reuse["ere"] == pytest.approx(reuse["pue"] * (1.0 - reuse["erf"]), rel=1e-12)
    assert reuse["heat_rejected_j"] + reuse["heat_reused_j"] == pytest.approx(
        plain["heat_rejected_j"], rel=1e-12
    )


def test_a_hotter_supply_saves_as_the_cop_says():
    """`highest_supply` in a hall without a room goes to the envelope's 27 degC, no faster than its ramp."""
    cooling = BARE["cooling"] | {"supply_ramp_k_per_s": 7.0 / HOUR}
    jobs = job_table(submit_s=[0.0], duration_s=[100 * HOUR], accelerators=[4])
    policies = {"placement": "best_fit", "cooling": "highest_supply"}
    fixed = simulate(hall(1, 4, **BARE), jobs=jobs)
    warm = simulate(hall(1, 4, policies=policies, **BARE | {"cooling": cooling}), jobs=jobs)
    supply = warm.series["supply_temperature_deg_c"]
    assert (
        fixed.series["supply_temperature_deg_c"].min()
        == fixed.series["supply_temperature_deg_c"].max()
        == 20.0
    )
    assert supply.max() == pytest.approx(27.0)
    assert (np.diff(supply) <= 7.0 + 1e-9).all()
    cop_27 = 0.0068 * 27.0**2 + 0.0008 * 27.0 + 0.458
    ratio = warm.series["cooling_power_w"][-1] / fixed.series["cooling_power_w"][-1]
    assert ratio == pytest.approx(COP / cop_27, rel=1e-6)
    assert warm.summary["jct_mean_s"] == fixed.summary["jct_mean_s"]


def test_nothing_at_all_has_an_account():
    result = simulate(hall(1, 4, **BARE), jobs=job_table(submit_s=[], duration_s=[]))
    assert result.account["energy_facility_j"] == result.account["cost_usd"] == 0.0
    assert math.isnan(result.account["pue"])
