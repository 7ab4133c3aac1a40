"""A result says who saw a perfect forecast, whatever the policy does with it."""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.policies import make_policy
from dcsim.simulation import simulate
from dcsim.spec.policy import PolicySpec
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import preemption
from tests.simulation.halls import hall

HOUR = 3_600.0
BATTERY = {"onsite": {"battery": {"capacity_j": "10 kWh"}}}


def seen(**parts: Any) -> list[str]:
    jobs = job_table(submit_s=0.0, duration_s=HOUR, accelerators=4, slack_s=4 * HOUR)
    result = simulate(hall(preemption=preemption(), **parts), jobs=jobs)
    return [warning for warning in result.warnings if "perfect forecast" in warning]


def chosen(energy: str = "none", battery: str = "idle") -> PolicySpec:
    return PolicySpec.model_validate({"energy": energy, "battery": battery})


@pytest.mark.parametrize(
    "energy",
    ["carbon_shift", "price_suspend", "carbon_scale", "carbon_cap", "power_cap+carbon_suspend"],
)
def test_whoever_reads_a_perfect_forecast_is_named(energy: str) -> None:
    expected = f"{make_policy('energy', energy).name} sees a perfect forecast of the grid (grid.forecast)"
    assert seen(policies=chosen(energy)) == [expected]
    assert seen(policies=chosen(energy), grid={"forecast": {"kind": "persistence"}}) == []


def test_batteries_too_and_nobody_else() -> None:
    assert seen(policies=chosen("carbon_shift", "battery_price"), **BATTERY) == [
        "carbon_shift sees a perfect forecast of the grid (grid.forecast)",
        "battery_price sees a perfect forecast of the grid (grid.forecast)",
    ]
    assert seen(policies=chosen("sleep_idle", "peak_shaving"), **BATTERY) == []
