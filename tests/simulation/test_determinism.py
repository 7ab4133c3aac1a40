"""Same scenario, seed and version: the same bytes, in every process and under every hash seed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from dcsim.policies import known_policies
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

_SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.simulation.test_determinism import RUNS, digest
from dcsim.simulation import simulate
print(digest(simulate(RUNS[{name!r}](), 7, guards=True)))
"""


def busy_hall(placement, energy):
    """A generated workload that queues, shares and sleeps."""
    workload = {
        "kind": "generated",
        "jobs": 60,
        "arrivals": {"load": 1.5},
        "sizes": {"median_s": 600.0},
        "mix": [{"profile": "tiny_transformer"}, {"profile": "digits_mlp", "widths": {"1": 1.0, "8": 1.0}}],
    }
    policies = {"placement": placement, "energy": energy}
    network = {"server_bandwidth_bytes_per_s": 1e6, "oversubscription": 4.0}
    return hall(2, 4, racks=3, workload=workload, policies=policies, network=network)


def busy_site():
    """The same with all that can stand around it: a room, a tree, a battery, panels, a tariff, forecasts that err."""
    parts = {
        "power": {
            "tree": {"rack_breaker_w": 4e3, "pdus": [{"name": "p", "count": 2, "racks": ["r"]}]},
            "budget_w": 1.2e4,
            "cap_latency_s": 5.0,
            "telemetry_interval_s": 2.0,
        },
        "cooling": {
            "chiller": {"kind": "curves"},
            "tower": {"kind": "york"},
            "heat_reuse": {"fraction": 0.3},
        },
        "weather": {"kind": "site", "site": "phoenix"},
        "room": {},
        "onsite": {
            "battery": {"capacity_j": 3.6e7},
            "solar": {"rated_power_w": 2e4},
            "export": "allow",
        },
        "grid": {
            "forecast": {"kind": "noise"},
            "tariff": {
                "kind": "time_of_use",
                "time_zone": "America/Phoenix",
                "energy": [
                    {"name": "day", "price_usd_per_j": 5e-8, "from_hour": 8, "to_hour": 20},
                    {"name": "night", "price_usd_per_j": 2e-8},
                ],
                "demand": [{"name": "any", "price_usd_per_w": 0.015}],
            },
        },
        "policies": {
            "placement": "min_hr",
            "energy": "power_budget+sleep_forecast",
            "cooling": "weather_reset",
            "battery": "battery_stacked",
        },
    }
    whole = busy_hall("spread", "none").model_dump() | parts | {"horizon_s": 200_000.0}
    server = {
        "fans": {"power_w": 10.0, "full_power_w": 80.0},
        "thermal": {"resistance_k_per_w": 0.15, "leakage_fraction_per_k": 0.001, "throttle_deg_c": 80.0},
        "sleep_latency_s": 5.0,
        "boot_power_w": 500.0,
    }
    whole["cluster"]["racks"][0]["servers"][0].update(server)
    return Scenario.model_validate(whole)


RUNS = {
    "sleeping": lambda: busy_hall("spread", "sleep_idle"),
    "shifting": lambda: busy_hall("rack_local", "carbon_shift"),
    "site": busy_site,
}


def digest(result):
    """SHA-256 over every table and number of a result."""
    found = hashlib.sha256()
    for table in (result.jobs, result.events, result.series, result.links, result.tiers):
        for name, column in table.items():
            found.update(name.encode())
            found.update(repr(column.tolist()).encode() if column.dtype == object else column.tobytes())
    for part in (result.summary, result.account, result.balances, result.warnings, result.provenance):
        found.update(repr(part).encode())
    return found.hexdigest()


@pytest.mark.parametrize("name", RUNS)
def test_hash_seeds_and_processes_leave_the_bytes_alone(repository, name):
    script = _SCRIPT.format(root=str(repository), name=name)
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": str(seed), "TZ": zone, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, zone in ((0, "UTC"), (1, "Asia/Tokyo"), (2, "America/New_York"))
    ]
    digests = {job.communicate()[0].strip() for job in jobs}
    assert digests == {digest(simulate(RUNS[name](), 7))}


@pytest.mark.parametrize("placement", sorted(known_policies("placement")))
def test_guards_and_progress_change_nothing(placement):
    seen = []
    one = simulate(busy_hall(placement, "none"), 3)
    two = simulate(busy_hall(placement, "none"), 3, guards=True, progress=lambda *done: seen.append(done))
    assert digest(one) == digest(two)


def test_another_seed_is_another_run():
    assert digest(simulate(busy_hall("spread", "none"), 1)) != digest(
        simulate(busy_hall("spread", "none"), 2)
    )


def test_all_arms_of_a_seed_see_the_same_jobs():
    arms = [(placement, "none") for placement in known_policies("placement")]
    arms += [("spread", energy) for energy in known_policies("energy")]
    runs = [simulate(busy_hall(*arm), 5) for arm in arms]
    for name in ("submit_s", "accelerators", "job_id", "profile", "tenant", "ideal_s"):
        assert all(np.array_equal(run.jobs[name], runs[0].jobs[name]) for run in runs)


def test_the_seed_of_the_scenario_is_the_default():
    scenario = busy_hall("spread", "none")
    assert digest(simulate(scenario)) == digest(simulate(scenario, scenario.seed))


def test_rows_of_a_trace_may_come_in_any_order():
    submit_s, names = [3.0, 0.0, 1.0, 0.0], ["d", "b", "c", "a"]
    order = [2, 0, 3, 1]
    one = job_table(submit_s=submit_s, duration_s=[1.0, 2.0, 3.0, 4.0], job_id=names)
    two = job_table(
        submit_s=[submit_s[i] for i in order],
        duration_s=[[1.0, 2.0, 3.0, 4.0][i] for i in order],
        job_id=[names[i] for i in order],
    )
    assert digest(run(hall(1, 1), one)) == digest(run(hall(1, 1), two))
