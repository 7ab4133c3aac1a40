"""What a change of the input must do to the output, on random scenarios with all guards on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.facility.hardware import CATALOGUE
from dcsim.policies import known_policies
from dcsim.rng import stream
from dcsim.simulation import simulate
from dcsim.spec import check_scenario
from dcsim.testing import strategies as dst
from dcsim.testing.whole_run import scenario_of
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

FEW = settings(max_examples=15)


@settings(max_examples=20)
@given(dst.scenarios(max_jobs=6))
def test_whole_scenarios_are_valid_and_run(scenario):
    assert check_scenario(scenario, Path(), catalogue=CATALOGUE) == ()
    result = simulate(scenario, guards=True)
    assert result.summary["jobs_completed"] == scenario.workload.jobs
    assert float(result.summary["energy_facility_j"]) >= float(result.summary["energy_it_j"]) > 0.0
    assert max(result.balances.values()) <= 1e-9
    jct_s = result.jobs["jct_s"]
    # The mean is rounded once more than its terms.
    assert jct_s.min() * (1 - 1e-12) <= result.summary["jct_mean_s"] <= jct_s.max() * (1 + 1e-12)
    assert result.summary["jct_p95_s"] <= jct_s.max() * (1 + 1e-12)


@given(st.data(), dst.loaded_profiles())
def test_jobs_of_every_sort_complete(data, profiles):
    cluster = data.draw(dst.clusters(max_servers=5, cpu_servers=True))
    jobs = data.draw(dst.job_tables(cluster, max_slack_s=10, profiles=("drawn",)))
    policies = {
        kind: data.draw(st.sampled_from(sorted(known_policies(kind))))
        for kind in ("ordering", "placement", "energy")
    }
    suspends = getattr(known_policies("energy")[policies["energy"]], "suspends", False)
    if suspends and not getattr(known_policies("ordering")[policies["ordering"]], "suspendable", True):
        policies["energy"] = "none"
    scenario = scenario_of(
        cluster,
        network=data.draw(dst.networks(starved=False)),
        storage=data.draw(dst.storages(starved=False)),
        policies=policies,
    )
    result = simulate(scenario, jobs=jobs, guards=True, profiles=profiles)
    assert result.summary["jobs_completed"] == len(jobs)
    ran_s, ideal_s = result.jobs["end_s"] - result.jobs["start_s"], result.jobs["ideal_s"]
    # A gang with traffic counts as ideal on the fewest servers; another split can be a little faster.
    alone = (result.jobs["profile"] == "") | (result.jobs["accelerators"] <= 1)
    assert (ran_s >= ideal_s * (1 - 1e-9) - 1e-9)[alone].all()


@FEW
@given(st.data(), st.integers(-3, 6))
def test_scaling_time_by_a_power_of_two_scales_every_bit(data, power):
    """Plain run times, no energy policy, no weather: all instants and energies scale exactly."""
    factor = 2.0**power
    cluster = data.draw(dst.clusters(max_servers=4))
    jobs = data.draw(dst.job_tables(cluster, min_jobs=1, plain=True))
    scaled = replace(jobs, submit_s=jobs.submit_s * factor, duration_s=jobs.duration_s * factor)
    one, two = (simulate(scenario_of(cluster), jobs=table, guards=True) for table in (jobs, scaled))
    for name in ("start_s", "end_s", "wait_s", "energy_j"):
        assert np.array_equal(one.jobs[name] * factor, two.jobs[name])
    assert np.array_equal(one.events["time_s"] * factor, two.events["time_s"])
    assert one.summary["energy_it_j"] * factor == two.summary["energy_it_j"]


@FEW
@given(dst.scenarios(max_servers=3, max_jobs=5, default_facility=True), st.integers(1, 5))
def test_a_dirtier_grid_scales_carbon_and_nothing_else(scenario, factor):
    """No built-in policy but carbon_shift reads the grid; a price changes cost alone (30, 31)."""
    blind = scenario.policies.model_copy(update={"energy": type(scenario.policies.energy)(name="none")})
    grids = [
        {
            "carbon": {"kind": "constant", "intensity_kg_per_j": k * 2.0**-24},
            "price": {"kind": "constant", "price_usd_per_j": k * 2.0**-25},
        }
        for k in (1, factor)
    ]
    one, two = (
        simulate(
            type(scenario).model_validate(scenario.model_dump() | {"grid": grid, "policies": blind}),
            guards=True,
        )
        for grid in grids
    )
    assert all(np.array_equal(one.events[name], two.events[name]) for name in one.events)
    assert two.summary["carbon_kg"] == pytest.approx(factor * one.summary["carbon_kg"], rel=1e-12)
    assert two.summary["cost_usd"] == pytest.approx(factor * one.summary["cost_usd"], rel=1e-12)
    assert two.summary["energy_facility_j"] == one.summary["energy_facility_j"]


def test_a_clean_grid_emits_nothing():
    scenario = hall(grid={"carbon": {"kind": "constant", "intensity_kg_per_j": 0.0}})
    assert run(scenario, job_table(submit_s=0.0, duration_s=9.0)).summary["carbon_kg"] == 0.0


@FEW
@given(st.data())
def test_an_idle_server_more_costs_exactly_its_idle_energy(data):
    """Strict order, first fit: a server behind all others, with the schedule unchanged."""
    count = data.draw(st.integers(1, 6))
    submit_s = [float(data.draw(st.integers(0, 20))) for _ in range(count)]
    widths = [data.draw(st.integers(1, 4)) for _ in range(count)]
    jobs = job_table(submit_s=submit_s, duration_s=3.0, accelerators=widths, max_servers=1)
    one, two = (run(hall(servers, 4, horizon_s=200.0), jobs) for servers in (6, 7))
    assert np.array_equal(one.jobs["end_s"], two.jobs["end_s"])
    assert two.summary["energy_it_j"] == one.summary["energy_it_j"] + 200.0 * (300.0 + 4 * 50.0)


@FEW
@given(st.data(), st.integers(1, 40))
def test_a_run_cut_at_a_horizon_is_the_beginning_of_the_whole(data, horizon_s):
    cluster = data.draw(dst.clusters(max_servers=4))
    jobs = data.draw(dst.job_tables(cluster, min_jobs=1))
    policies = {"energy": {"name": "sleep_idle", "parameters": {"after_s": 5.0}}}
    whole = simulate(scenario_of(cluster, policies=policies, horizon_s=5000.0), jobs=jobs, guards=True)
    cut = simulate(
        scenario_of(cluster, policies=policies, horizon_s=float(horizon_s)), jobs=jobs, guards=True
    )
    rows = len(cut.events["time_s"])
    for name in whole.events:
        assert np.array_equal(whole.events[name][:rows], cut.events[name])
    assert (whole.events["time_s"][rows:] > horizon_s).all()


@given(st.integers(0, 2**63 - 1), st.lists(st.sampled_from(["a", "b", 1, 2]), min_size=1, max_size=3))
def test_streams_depend_on_their_own_name_only(seed, path):
    first = stream(seed, *path).random(4)
    stream(seed, "another").random(100)
    assert np.array_equal(first, stream(seed, *path).random(4))
    assert not np.array_equal(first, stream(seed, *path, "below").random(4))
    assert not np.array_equal(first, stream(seed ^ 1, *path).random(4))


def test_a_number_and_its_text_name_different_streams():
    assert stream(0, "1").random() != stream(0, 1).random()


@FEW
@given(st.data())
def test_two_halves_that_share_nothing_add_up(data):
    """Two accelerator types, each with its own jobs: the union runs as the halves do (66)."""
    halves = []
    for name, low in (("V100", 0), ("T4", 1)):
        cluster = data.draw(dst.clusters(max_servers=2, models=(name,), uniform=True))
        table = data.draw(dst.job_tables(cluster, min_jobs=1, plain=True, types=True))
        ids = tuple(f"{low}-{i}" for i in range(len(table)))
        halves.append((cluster, replace(table, job_id=ids)))
    from dcsim.spec.cluster import ClusterSpec
    from dcsim.workload.jobs import concat_jobs

    racks = tuple(
        rack.model_copy(update={"name": f"half-{i}-{rack.name}"})
        for i, (cluster, _) in enumerate(halves)
        for rack in cluster.racks
    )
    skip = {"ordering": {"name": "fifo", "parameters": {"skip": 100}}}
    whole = simulate(
        scenario_of(ClusterSpec(racks=racks), policies=skip),
        jobs=concat_jobs(*(t for _, t in halves)),
        guards=True,
    )
    for cluster, table in halves:
        part = simulate(scenario_of(cluster, policies=skip), jobs=table, guards=True)
        mine = np.isin(whole.jobs["job_id"], table.job_id)
        assert np.array_equal(whole.jobs["end_s"][mine], part.jobs["end_s"])


@pytest.mark.deep
@settings(max_examples=1_000)
@given(dst.scenarios(max_servers=12, max_jobs=60))
def test_larger_scenarios_run(scenario):
    assert simulate(scenario, guards=True).summary["jobs_completed"] == scenario.workload.jobs
