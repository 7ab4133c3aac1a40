"""Who goes by the forecast of the grid says so, and nobody else does: found by listening to what is asked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dcsim.policies import known_policies, make_policy
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.facility import BatteryPolicy, BatteryView
from dcsim.policies.views import GridView, JobView
from dcsim.testing.isolation import (
    sample_active_jobs,
    sample_grid_view,
    sample_jobs_view,
    sample_power_view,
)

JOBS = sample_jobs_view(30)
ENERGY = sorted(
    name for name, kind in known_policies("energy").items() if kind.__module__.startswith("dcsim.")
)
BATTERY = sorted(
    name for name, kind in known_policies("battery").items() if kind.__module__.startswith("dcsim.")
)


def overheard(now_s: float) -> tuple[GridView, list[str]]:
    """Return a forecast, and the list to which it adds what it is asked."""
    asked: list[str] = []
    view = sample_grid_view(now_s)

    def listened(name: str):
        told = getattr(view, name)

        def ask(*arguments):
            asked.append(name)
            return told(*arguments)

        return ask

    names = ("carbon_mean_kg_per_j", "price_mean_usd_per_j", "breakpoints_s", "price_breakpoints_s")
    return replace(view, **{name: listened(name) for name in names}), asked


@pytest.mark.parametrize("name", ENERGY)
def test_an_energy_policy_asks_for_the_forecast_if_it_says_so(name: str) -> None:
    policy = make_policy("energy", name)
    assert isinstance(policy, EnergyPolicy)
    power = sample_power_view(JOBS, 10)
    active = sample_active_jobs(JOBS, 20, knows_progress=True)
    grid, asked = overheard(max(power.now_s, active.now_s))
    if policy.holds_jobs:
        policy.eligible_s(JobView(0, grid.now_s, 1, 3600.0, 7200.0, 0), grid)
    if policy.suspends:
        policy.suspended(JOBS, active, grid)
    if policy.scales:
        policy.widths(JOBS, active, grid)
    if policy.recaps:
        policy.caps_now(JOBS, power, grid)
    assert bool(asked) == policy.reads_forecast


@pytest.mark.parametrize("name", BATTERY)
def test_a_battery_policy_asks_for_the_forecast_if_it_says_so(name: str) -> None:
    policy = make_policy("battery", name)
    assert isinstance(policy, BatteryPolicy)
    grid, asked = overheard(0.0)
    day = np.full(96, 900.0)
    policy.power_w(
        BatteryView(
            now_s=0.0,
            duration_s=900.0,
            load_w=1e5,
            stored_j=5e8,
            capacity_j=1e9,
            most_charge_w=1e5,
            most_discharge_w=1e5,
            efficiency=0.85,
            peak_import_w=1e5,
            grid=grid,
            demand_price_usd_per_w=0.01,
            limit_w=math.inf,
            charge_limit_w=1e5,
            discharge_limit_w=1e5,
            lowest_j=1e8,
            highest_j=9e8,
            charge_efficiency=0.92,
            past_load_w=1e5 + 0.0 * day,
            past_duration_s=day,
        )
    )
    assert bool(asked) == policy.reads_forecast


def test_policies_together_read_what_one_of_them_reads() -> None:
    for name, reads in (
        ("sleep_idle+carbon_suspend", True),
        ("power_cap+price_shift", True),
        ("power_cap+sleep_idle", False),
    ):
        policy = make_policy("energy", name)
        assert isinstance(policy, EnergyPolicy)
        assert policy.reads_forecast is reads
