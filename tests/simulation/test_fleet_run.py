"""Whole fleets: savings by closed form, jobs and bytes conserved, home routing the same as each site alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import PolicyError, ScenarioError
from dcsim.policies.routing import Home, RoutingPolicy
from dcsim.results.fleet import ADDITIVE, FLEET_JOBS, FLEET_SUMMARY
from dcsim.simulation import simulate
from dcsim.simulation.fleet_jobs import build_fleet_jobs
from dcsim.simulation.fleet_run import simulate_fleet, site_seed
from dcsim.simulation.fleet_site import make_site
from dcsim.workload.jobs import job_table
from tests.simulation.fleets import CLEAN, COP, DIRTY, HORIZON_S, JOB_W, fleet, router, site

ROUTERS = ("home", "cleanest", "cheapest", "least_cost", "follow_the_sun", "load_balance")


def whole_server_jobs(count=3, duration_s=3_600.0, **columns):
    """Jobs that each take one server, submitted one after the other has long begun."""
    said = {"submit_s": np.arange(count) * 100.0, "duration_s": duration_s, "accelerators": 4}
    return job_table(**(said | columns))


def test_the_saving_of_two_opposite_sites_is_the_closed_form_transfer_included():
    # 3 jobs of 1 h on a whole server each move 1e9 B from the dirty to the clean site at 1e-3 J/B.
    jobs, size_bytes, per_byte_j = whole_server_jobs(3), 1e9, 1e-3
    two = fleet(
        {"dirty": site(DIRTY, servers=4), "clean": site(CLEAN, servers=4)},
        data={"job_bytes": size_bytes},
        wan={"latency_s": 0.0, "energy_j_per_byte": per_byte_j, "price_usd_per_byte": 1e-9},
    )
    home = simulate_fleet(two, jobs=jobs, guards=True).result
    away = simulate_fleet(two, jobs=jobs, routing=router("follow_the_sun")).result
    moved_j = 3 * 3_600.0 * JOB_W * (1.0 + 1.0 / COP)
    network_kg = 3 * size_bytes * per_byte_j * (DIRTY + CLEAN) / 2.0
    assert away.total["jobs_moved"] == 3
    assert away.network["carbon_kg"] == pytest.approx(network_kg, rel=1e-12)
    assert away.network["cost_usd"] == pytest.approx(3.0)
    saved_kg = home.total["carbon_kg"] - away.total["carbon_kg"]
    assert saved_kg == pytest.approx(moved_j * (DIRTY - CLEAN) - network_kg, rel=1e-9)
    saved_j = home.total["energy_facility_j"] - away.total["energy_facility_j"]
    assert saved_j == pytest.approx(-3 * size_bytes * per_byte_j, rel=1e-6)


def test_a_transfer_that_emits_more_than_it_saves_is_not_made():
    saving_kg = 3_600.0 * JOB_W * (1.0 + 1.0 / COP) * (DIRTY - CLEAN)
    break_even_j = saving_kg / ((DIRTY + CLEAN) / 2.0)
    for factor, moved in ((0.99, 1), (1.01, 0)):
        two = fleet(
            {"dirty": site(DIRTY), "clean": site(CLEAN)},
            data={"job_bytes": 1e9},
            wan={"latency_s": 0.0, "energy_j_per_byte": factor * break_even_j / 1e9},
            routing={"name": "follow_the_sun"},
        )
        assert simulate_fleet(two, jobs=whole_server_jobs(1)).result.total["jobs_moved"] == moved


def test_a_carbon_price_moves_a_job_from_where_the_extra_price_is_worth_it():
    dearer = 2e-8
    worth = dearer / (DIRTY - CLEAN)  # USD/kg at which the clean site's dearer energy pays
    two = fleet({"dirty": site(DIRTY, 3e-8), "clean": site(CLEAN, 3e-8 + dearer)})
    for factor, moved in ((0.99, 0), (1.01, 1)):
        priced = router("least_cost", carbon_price_usd_per_kg=factor * worth)
        result = simulate_fleet(two, jobs=whole_server_jobs(1), routing=priced).result
        assert result.total["jobs_moved"] == moved
    energy_j = 3_600.0 * JOB_W * (1.0 + 1.0 / COP)
    priced = router("least_cost", carbon_price_usd_per_kg=0.99 * worth)
    stayed = simulate_fleet(two, jobs=whole_server_jobs(1), routing=priced).result
    extra_usd = result.total["cost_usd"] - stayed.total["cost_usd"]
    assert extra_usd == pytest.approx(energy_j * dearer, rel=1e-9)


@pytest.mark.parametrize("policy", ["easy_backfill", "fifo"])
def test_home_routing_is_each_site_alone(policy):
    rng = np.random.default_rng(5)
    count = 60
    jobs = job_table(
        submit_s=np.sort(rng.uniform(0.0, 20_000.0, count)),
        duration_s=rng.uniform(10.0, 4_000.0, count),
        accelerators=rng.choice([1, 2, 4, 8], count),
        tenant=[f"tenant-{i % 3}" for i in range(count)],
        time_limit_s=5_000.0,
    )
    choice = {"ordering": policy}
    sites = {"east": site(DIRTY, policies=choice), "west": site(CLEAN, policies=choice)}
    homes = [{"name": "tenant-0", "home": "west"}, {"name": "tenant-2", "home": "west"}]
    done = simulate_fleet(fleet(sites, tenants=homes), 7, jobs=jobs).result
    assert done.total["jobs_moved"] == 0
    for name, run, tenants in zip(sites, done.runs, (("tenant-1",), ("tenant-0", "tenant-2")), strict=True):
        mine = np.flatnonzero(np.isin(jobs.texts("tenant"), tenants))
        # Written out anew, as a user would, who knows of no fleet.
        alone = job_table(
            job_id=[jobs.job_id[row] for row in mine],
            submit_s=jobs.submit_s[mine],
            duration_s=jobs.duration_s[mine],
            accelerators=jobs.accelerators[mine],
            tenant=[jobs.texts("tenant")[row] for row in mine],
            time_limit_s=5_000.0,
        )
        single = simulate(sites[name], site_seed(7, name), jobs=alone)
        for table in ("jobs", "events", "series", "links", "tiers"):
            ours, theirs = getattr(run, table), getattr(single, table)
            assert all(np.array_equal(ours[c], theirs[c], equal_nan=ours[c].dtype.kind == "f") for c in ours)
        assert str(run.summary) == str(single.summary)


def random_fleet_jobs(draw, count):
    return job_table(
        submit_s=np.sort(np.array([draw(st.integers(0, 5_000)) for _ in range(count)], dtype=float)),
        duration_s=np.array([draw(st.integers(1, 4_000)) for _ in range(count)], dtype=float),
        accelerators=np.array([draw(st.sampled_from([0, 1, 2, 4, 8])) for _ in range(count)]),
        slack_s=np.array([draw(st.sampled_from([0, 600, 7_200])) for _ in range(count)], dtype=float),
        tenant=[f"tenant-{draw(st.integers(0, 2))}" for _ in range(count)],
    )


@st.composite
def fleets_and_jobs(draw):
    names = ("a", "b", "c")[: draw(st.integers(1, 3))]
    carbon = st.sampled_from([0.0, 1e-8, 1e-7, 3e-7])
    sites = {name: site(draw(carbon), draw(carbon) / 5.0, servers=draw(st.integers(2, 3))) for name in names}
    said = {
        "homes": draw(st.sampled_from(["first_site", "round_robin"])),
        "data": {"job_bytes": draw(st.sampled_from([0.0, 1e6, 5e9]))},
        "wan": {
            "latency_s": draw(st.sampled_from([0.0, 0.1])),
            "bandwidth_bytes_per_s": 1e7,
            "energy_j_per_byte": draw(st.sampled_from([0.0, 1e-4])),
            "price_usd_per_byte": draw(st.sampled_from([0.0, 2e-11])),
        },
        "routing": {"name": draw(st.sampled_from(ROUTERS))},
    }
    return fleet(sites, **said), random_fleet_jobs(draw, draw(st.integers(1, 12)))


@settings(max_examples=25)
@given(fleets_and_jobs())
def test_every_job_is_at_one_site_and_parts_add_up(case):
    loaded, jobs = case
    done = simulate_fleet(loaded, jobs=jobs, guards=True)
    result, columns = done.result, done.result.jobs
    assert sorted(name for table in done.tables for name in table.job_id) == sorted(jobs.job_id)
    for name, table in zip(result.site_names, done.tables, strict=True):
        assert {str(job) for job in columns["job_id"][columns["site"] == name]} == set(table.job_id)
    for column in ADDITIVE:
        parts = [row[column.name] for row in (*result.sites, result.network)]
        assert math.fsum(parts) == result.total[column.name]
    for name in ("transfer_bytes", "transfer_energy_j", "transfer_carbon_kg", "transfer_cost_usd"):
        assert math.fsum(columns[name].tolist()) == result.total[name]
    moved = columns["site"] != columns["home"]
    assert np.all(columns["transfer_bytes"][~moved] == 0.0)
    assert np.all(columns["arrival_s"] >= columns["submit_s"])
    assert np.all(columns["arrival_s"][~moved] == columns["submit_s"][~moved])
    least_s = columns["transfer_bytes"] / loaded.fleet.wan.bandwidth_bytes_per_s
    assert np.all(columns["transfer_s"] >= least_s * (1.0 - 1e-9))
    assert list(columns) == [column.name for column in FLEET_JOBS]
    assert list(result.total) == [column.name for column in FLEET_SUMMARY]
    runs = np.concatenate([run.jobs["energy_j"] for run in result.runs])
    assert math.fsum(runs.tolist()) == pytest.approx(math.fsum(columns["energy_j"].tolist()), rel=1e-12)


@settings(max_examples=15)
@given(st.data())
def test_between_equal_sites_with_a_free_network_routing_costs_no_energy(data):
    jobs = random_fleet_jobs(data.draw, 8)
    equal = {"a": site(DIRTY, servers=3), "b": site(DIRTY, servers=3)}
    home = simulate_fleet(fleet(equal), jobs=jobs).result
    for name in ROUTERS[1:]:
        away = simulate_fleet(fleet(equal), jobs=jobs, routing=router(name)).result
        # All jobs end well before the horizon, and the plant is linear: where they ran does not matter.
        for metric in ("energy_it_j", "energy_facility_j", "carbon_kg", "cost_usd"):
            assert away.total[metric] == pytest.approx(home.total[metric], rel=1e-9)


def test_data_that_may_not_leave_stay():
    two = fleet(
        {"dirty": site(DIRTY), "clean": site(CLEAN)},
        tenants=[{"name": "bank", "home": "dirty", "may_run_at": ["dirty"]}],
        routing={"name": "cleanest"},
    )
    jobs = whole_server_jobs(4, tenant=["bank", "shop", "bank", "shop"])
    columns = simulate_fleet(two, jobs=jobs).result.jobs
    assert columns["site"].tolist() == ["dirty", "clean", "dirty", "clean"]


def test_a_job_goes_only_where_it_fits():
    two = fleet(
        {"clean": site(CLEAN, servers=1), "dirty": site(DIRTY, servers=4)}, routing={"name": "cleanest"}
    )
    jobs = whole_server_jobs(2, accelerators=[16, 4])
    assert simulate_fleet(two, jobs=jobs).result.jobs["site"].tolist() == ["dirty", "clean"]
    with pytest.raises(ScenarioError, match="17 accelerators -> expected a job that fits one of the sites"):
        simulate_fleet(two, jobs=whole_server_jobs(1, accelerators=17))


def test_jobs_that_wait_for_each_other_and_arrays_stay_together():
    two = fleet(
        {"dirty": site(DIRTY, servers=9), "clean": site(CLEAN, servers=9)}, routing={"name": "load_balance"}
    )
    jobs = job_table(
        job_id=["a", "b", "c", "d", "e"],
        submit_s=[0.0, 1.0, 2.0, 3.0, 4.0],
        duration_s=100.0,
        accelerators=4,
        after={"d": ("a",)},
        array=["", "x", "", "", "x"],
    )
    result = simulate_fleet(two, jobs=jobs).result
    at = dict(zip(jobs.job_id, result.jobs["site"].tolist(), strict=True))
    assert at["a"] == at["d"]
    assert at["b"] == at["e"]
    assert len(set(at.values())) == 2
    start = dict(zip(jobs.job_id, result.jobs["start_s"].tolist(), strict=True))
    assert start["d"] == pytest.approx(100.0)


def test_jobs_that_stay_together_go_where_all_of_them_fit():
    two = fleet(
        {"clean": site(CLEAN, servers=1), "dirty": site(DIRTY, servers=4)}, routing={"name": "cleanest"}
    )
    jobs = whole_server_jobs(2, job_id=["small", "wide"], accelerators=[4, 16], after={"wide": ("small",)})
    assert simulate_fleet(two, jobs=jobs).result.jobs["site"].tolist() == ["dirty", "dirty"]


def test_the_whole_run_counts_not_only_its_first_hour():
    day = [1e-8] + [3e-7] * 23  # clean for one hour
    daily = {"carbon": {"kind": "daily", "intensity_kg_per_j": day}}
    two = fleet({"briefly": site(grid=daily), "always": site(1e-7)})
    for duration_s, name, at in (
        (1_800.0, "follow_the_sun", "briefly"),
        (18_000.0, "follow_the_sun", "always"),
        (18_000.0, "cleanest", "briefly"),
    ):
        jobs = whole_server_jobs(1, duration_s=duration_s)
        assert simulate_fleet(two, jobs=jobs, routing=router(name)).result.jobs["site"][0] == at


def test_the_energy_a_router_expects_is_what_jobs_then_draw():
    jobs = job_table(
        submit_s=[0.0, 1e4, 2e4],
        steps=[2e4, 2e4, float("nan")],
        duration_s=[float("nan"), float("nan"), 500.0],
        accelerators=[1, 2, 3],
        profile=["tiny_transformer", "tiny_transformer", ""],
    )
    loaded = fleet({"a": site(), "b": site()})
    built = build_fleet_jobs(loaded, 0, jobs)
    expected = make_site(loaded.sites[0], "a", 0, built, HORIZON_S, 0).it_energy_j
    drawn = simulate_fleet(loaded, jobs=jobs).result.jobs["energy_j"]
    assert drawn.tolist() == pytest.approx(expected, rel=1e-3)


def test_homes_of_jobs_that_belong_together_must_agree():
    two = fleet({"a": site(), "b": site()}, homes="round_robin")
    jobs = whole_server_jobs(2, job_id=["x", "y"], tenant=["one", "two"], after={"y": ("x",)})
    with pytest.raises(ScenarioError, match=r"jobs\.y: at home at b -> expected the home of x"):
        simulate_fleet(two, jobs=jobs)


def test_a_tenant_that_no_job_has_is_a_slip():
    two = fleet({"a": site(), "b": site()}, tenants=[{"name": "tenat", "home": "b"}])
    with pytest.raises(ScenarioError, match=r"tenants\.0\.name: 'tenat' -> .* did you mean 'tenant'"):
        simulate_fleet(two, jobs=whole_server_jobs(1, tenant="tenant"))


def test_slack_is_spent_on_the_transfer_and_the_deadline_kept():
    # 1e9 B at 1e6 B/s: 1,000 s on the way.
    two = fleet(
        {"dirty": site(DIRTY), "clean": site(CLEAN)},
        data={"job_bytes": 1e9},
        wan={"latency_s": 0.0, "bandwidth_bytes_per_s": 1e6},
        routing={"name": "cleanest", "parameters": {"max_delay_s": 0.0}},
    )

    def sent(**columns):
        done = simulate_fleet(two, jobs=whole_server_jobs(1, **columns))
        return done.result.jobs["site"][0], done.tables[1]

    assert sent()[0] == "dirty"
    assert sent(slack_s=999.0)[0] == "dirty"
    at, table = sent(slack_s=1_500.0)
    assert at == "clean"
    assert table.submit_s[0] == pytest.approx(1_000.0)
    assert table.slack_s[0] == pytest.approx(500.0)
    assert sent(slack_s=1_500.0, deadline_s=4_599.0)[0] == "dirty"
    assert sent(slack_s=1_500.0, deadline_s=4_601.0)[0] == "clean"


def test_waiting_counts_from_submission_at_home():
    two = fleet(
        {"dirty": site(DIRTY), "clean": site(CLEAN)},
        data={"job_bytes": 1e9},
        wan={"latency_s": 2.0, "bandwidth_bytes_per_s": 1e7},
        routing={"name": "cleanest", "parameters": {"max_delay_s": 500.0}},
    )
    result = simulate_fleet(two, jobs=whole_server_jobs(1)).result
    assert result.jobs["wait_s"][0] == pytest.approx(102.0)
    assert result.jobs["jct_s"][0] == pytest.approx(3_702.0)
    assert result.total["jct_mean_s"] == pytest.approx(3_702.0)
    assert result.total["wait_estimate_error_s"] == pytest.approx(0.0, abs=1e-6)


def test_who_reads_a_data_set_starts_when_it_is_there():
    storage = {
        "datasets": {"text": {"size_bytes": 1e9}},
        "shared": {"bandwidth_bytes_per_s": 1e12, "power_w": 0.0},
    }
    two = fleet(
        {"dirty": site(DIRTY, storage=storage), "clean": site(CLEAN, storage=storage)},
        data={"checkpoints": False},
        wan={"latency_s": 0.0, "bandwidth_bytes_per_s": 1e7},
        routing={"name": "cleanest", "parameters": {"max_delay_s": 500.0}},
    )
    jobs = job_table(submit_s=[0.0, 40.0], steps=1e5, profile="tiny_transformer", dataset="text")
    columns = simulate_fleet(two, jobs=jobs).result.jobs
    assert columns["site"].tolist() == ["clean", "clean"]
    assert columns["transfer_bytes"].tolist() == [1e9, 0.0]
    assert columns["arrival_s"].tolist() == pytest.approx([100.0, 100.0])
    assert columns["start_s"].tolist() == pytest.approx([100.0, 100.0])


def test_unfinished_transfers_leave_their_jobs_outside():
    two = fleet(
        {"dirty": site(DIRTY), "clean": site(CLEAN)},
        data={"job_bytes": 1e12},
        wan={"latency_s": 0.0, "bandwidth_bytes_per_s": 1e6},
        routing={"name": "cleanest", "parameters": {"max_delay_s": 1e7}},
    )
    result = simulate_fleet(two, jobs=whole_server_jobs(1)).result
    assert result.jobs["status"].tolist() == ["not submitted yet"]
    assert result.jobs["arrival_s"][0] > HORIZON_S
    assert result.total["jobs_completed"] == 0


def test_the_same_fleet_and_seed_give_the_same_bytes():
    mix = [{"profile": "tiny_transformer", "widths": {1: 1, 4: 1}}]
    workload = {"kind": "generated", "jobs": 40, "arrivals": {"load": 0.5}, "mix": mix}
    loaded = fleet(
        {"a": site(DIRTY), "b": site(CLEAN)}, workload=workload, routing={"name": "follow_the_sun"}
    )
    first, second = simulate_fleet(loaded, 3).result, simulate_fleet(loaded, 3).result
    assert str(first.total) == str(second.total)
    for name, values in first.jobs.items():
        assert np.array_equal(values, second.jobs[name], equal_nan=values.dtype.kind == "f")
    assert simulate_fleet(loaded, 4).result.total["energy_it_j"] != first.total["energy_it_j"]


def test_a_router_that_names_no_option_is_refused():
    class Lost(RoutingPolicy):
        name = "lost"
        optimises = source = needs = "-"

        def choose(self, view):
            return 7

    with pytest.raises(
        PolicyError, match=r"lost: site 7 for job job-0 -> expected one of its options: 0 \(a\)"
    ):
        simulate_fleet(fleet({"a": site()}), jobs=whole_server_jobs(1), routing=Lost())


def test_sites_that_describe_one_name_differently_are_refused():
    data = {"datasets": {"d": {"size_bytes": 1e9}}, "shared": {"bandwidth_bytes_per_s": 1e6, "power_w": 0.0}}
    more = {**data, "datasets": {"d": {"size_bytes": 2e9}}}
    with pytest.raises(ScenarioError, match=r"storage\.datasets\.d: another description"):
        simulate_fleet(fleet({"a": site(storage=data), "b": site(storage=more)}), jobs=whole_server_jobs(1))


def test_a_site_without_jobs_still_draws_its_idle_power():
    result = simulate_fleet(
        fleet({"a": site(), "b": site()}), jobs=whole_server_jobs(1), routing=Home()
    ).result
    idle_j = 2 * (300.0 + 4 * 50.0) * HORIZON_S
    assert result.sites[1]["energy_it_j"] == pytest.approx(idle_j, rel=1e-12)
    assert result.sites[1]["jobs"] == 0
    assert math.isnan(result.sites[1]["jct_mean_s"])
