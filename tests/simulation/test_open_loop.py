"""The open loop gives the bytes of the event loop, and knows the runs it cannot tell."""

from __future__ import annotations

import math
from array import array
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.free_index import FreeIndex
from dcsim.facility.servers import quantised_w
from dcsim.facility.sharing import SharedLinks
from dcsim.policies import known_policies
from dcsim.policies.energy import NoEnergyPolicy, PowerCap
from dcsim.policies.ordering import Fifo, ShortestFirst
from dcsim.policies.placement import BestFit, FirstFit, Spread, WorstFit
from dcsim.policies.views import PlacementRequest
from dcsim.simulation import Policies, simulate
from dcsim.simulation.bins import bin_edges_s
from dcsim.simulation.cluster_run import ClusterRun
from dcsim.simulation.inputs import prepare
from dcsim.simulation.open_loop import open_loop_applies
from dcsim.simulation.open_loop_placing import indexed_placement
from dcsim.simulation.open_loop_record import run_open_loop
from dcsim.testing.strategies import (
    clusters,
    job_tables,
    loaded_profiles,
    make_cluster_view,
    networks,
    storages,
)
from dcsim.testing.whole_run import scenario_of
from dcsim.workload.jobs import job_table
from dcsim.workload.layouts import divides
from dcsim.workload.profile import CollectiveTraffic, DimensionTraffic
from tests.simulation.conftest import round_profile
from tests.simulation.halls import hall

PLACEMENTS: dict[str, Any] = {policy.name: policy for policy in (BestFit, FirstFit, Spread, WorstFit)}


def fields_of(record):
    """Every column and row of a record, as bytes."""
    fields: dict[str, Any] = {}
    for name, value in vars(record).items():
        if name == "log":
            fields |= {f"log.{column}": rows.tobytes() for column, rows in value.columns().items()}
        elif name == "traffic":
            fields |= traffic_of(record)
        elif name != "inputs":
            kind = value.typecode if isinstance(value, array) else type(value).__name__
            fields[name] = (kind, np.asarray(value).tobytes())
    return fields


def traffic_of(record):
    """What crossed the links, in bins, as bytes."""
    inputs = record.inputs
    found = record.traffic.tables(
        bin_edges_s(record.now_s),
        inputs.links.tiers,
        [bandwidth or math.inf for bandwidth in inputs.links.bandwidths],
        inputs.jobs.tenant_names,
        names=inputs.links.names,
    )
    tables = {"links": found.links, "tiers": found.tiers}
    return {
        f"{table}.{name}": values.tolist() if values.dtype == object else values.tobytes()
        for table, columns in tables.items()
        for name, values in columns.items()
    } | {"links.names": found.listed.names}


def overbooked_links(scenario, **arguments):
    """Run the event loop; return its record and whether a link was ever overbooked when shared."""
    over = []
    original = SharedLinks._flip

    def flip(links, link):
        over.append(links.booked[link] > links.capacity[link])
        return original(links, link)

    inputs = prepare(scenario, 0, Path(), **arguments)
    with mock.patch.object(SharedLinks, "_flip", flip):
        run = ClusterRun(inputs, mock.Mock())
        run.run(scenario.horizon_s)
    return run.record, any(over)


def compare(scenario, **arguments):
    """Compare the two loops; returns whether the open loop told the run."""
    inputs = prepare(scenario, 0, Path(), **arguments)
    assert open_loop_applies(inputs)
    free = inputs.fleet.free.copy()
    told = run_open_loop(inputs, scenario.horizon_s)
    assert (inputs.fleet.free == free).all()
    record, over = overbooked_links(scenario, **arguments)
    assert (told is None) == over
    if told is not None:
        assert fields_of(told) == fields_of(record)
        assert [inputs.costs.used_on(p) for p in range(len(inputs.jobs.profile_names))] == [
            record.inputs.costs.used_on(p) for p in range(len(inputs.jobs.profile_names))
        ]
    return told is not None


@st.composite
def policies(draw):
    """A static order, a placement that is decided on an index, full or capped power."""
    ordering = draw(st.sampled_from((Fifo, ShortestFirst)))
    placement = PLACEMENTS[draw(st.sampled_from(sorted(PLACEMENTS)))]
    energy = draw(st.sampled_from((NoEnergyPolicy, PowerCap)))
    return Policies(ordering(skip=draw(st.sampled_from((0, 0, 1, 2, 5)))), placement(), energy())


@given(data=st.data(), deciders=policies())
def test_random_runs_have_the_same_bytes(data, deciders):
    cluster = data.draw(clusters(max_servers=9, max_accelerators=data.draw(st.sampled_from((2, 8)))))
    jobs = data.draw(job_tables(cluster, min_jobs=1, max_jobs=25, plain=True, profiles=("drawn",)))
    scenario = scenario_of(
        cluster,
        network=data.draw(networks(starved=False)),
        storage=data.draw(storages(starved=False)),
        horizon_s=data.draw(st.sampled_from((None, None, 7.0, 30.0, 1_000.0))),
    )
    compare(scenario, jobs=jobs, policies=deciders, profiles=data.draw(loaded_profiles()))


@given(
    seed=st.integers(0, 2**32 - 1),
    placement=st.sampled_from(sorted(PLACEMENTS)),
    ordering=st.sampled_from(("fifo", "shortest_first")),
    skip=st.sampled_from((0, 0, 1, 3, 1_000_000_000)),
    file_system=st.sampled_from((1e8, 3e6, 1e6)),
    server=st.sampled_from((1e8, 1e7, 4e6)),
    disk=st.sampled_from((1e8, 4e5)),
    leaf=st.sampled_from((1.0, 4.0, 16.0)),
    feed=st.sampled_from(("shared", "local", "cached")),
    horizon_s=st.sampled_from((None, 40.0)),
)
def test_gangs_that_share_links_have_the_same_bytes(
    seed, placement, ordering, skip, file_system, server, disk, leaf, feed, horizon_s
):
    draws = np.random.Generator(np.random.PCG64(seed))
    count = 40
    profiled = draws.random(count) < 0.7
    jobs = job_table(
        submit_s=np.round(np.cumsum(draws.exponential(1.0, count)), 1),
        accelerators=draws.choice([1, 1, 2, 3, 4, 6, 9, 12], count),
        max_servers=draws.choice([0, 0, 0, 3], count) * 2,
        steps=np.where(profiled, draws.integers(0, 9, count), np.nan),
        duration_s=np.where(profiled, np.nan, draws.integers(0, 9, count) * 0.7),
        profile=["round" if named else "" for named in profiled],
        cpu_cores=draws.choice([0.0, 0.0, 0.3], count),
        slack_s=draws.choice([0.0, 5.0], count),
        time_limit_s=draws.choice([np.nan, 1.0], count),
    )
    scenario = hall(
        3,
        4,
        racks=3,
        network={"topology": "fat_tree", "server_bandwidth_bytes_per_s": server, "oversubscription": leaf},
        storage={
            "feed": feed,
            "shared": {"bandwidth_bytes_per_s": file_system},
            "local": {"bandwidth_bytes_per_s": disk, "capacity_bytes": 3e8},
        },
        preemption={"enforce_time_limits": False},
        policies={
            "ordering": {"name": ordering, "parameters": {"skip": skip}},
            "placement": placement,
        },
        horizon_s=horizon_s,
    )
    compare(scenario, jobs=jobs, profiles=round_profile())


def test_whole_results_have_the_same_bytes_and_the_open_loop_made_them(monkeypatch):
    import dcsim.simulation.run as way_in

    told = []

    def watched(*arguments):
        told.append(run_open_loop(*arguments))
        return told[-1]

    monkeypatch.setattr(way_in, "run_open_loop", watched)
    scenario = hall(
        4, 8, racks=2, policies={"placement": "best_fit"}, workload=MANY, network=WIDE, storage=FAST
    )
    done = []
    one, two = (
        simulate(scenario, 3, guards=guards, progress=lambda *now: done.append(now))
        for guards in (False, True)
    )
    assert [record is not None for record in told] == [True]  # guards are for the event loop
    assert digest(one) == digest(two)


WIDE = {"server_bandwidth_bytes_per_s": 1e10}
FAST = {"shared": {"bandwidth_bytes_per_s": 1e10}}
MANY = {
    "kind": "generated",
    "jobs": 400,
    "arrivals": {"load": 1.1},
    "sizes": {"median_s": 600.0},
    "mix": [{"profile": "tiny_transformer", "widths": {1: 4.0, 4: 2.0, 12: 1.0}}, {"profile": "digits_mlp"}],
}


def digest(result):
    """Every table and number of a result."""
    tables = [
        repr(column.tolist()) if column.dtype == object else column.tobytes()
        for table in (result.jobs, result.events, result.series)
        for column in table.values()
    ]
    return (tables, repr((result.summary, result.balances, result.warnings, result.provenance)))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("ordering", "placement", "energy") for name in sorted(known_policies(kind))],
)
def test_under_every_policy_a_run_with_guards_has_the_bytes_of_one_without(kind, name):
    # Guards are for the event loop, so this compares the two wherever the open loop may be tried.
    choice = {"ordering": "fifo", "placement": "best_fit", "energy": "none"} | {kind: name}
    room: dict[str, Any] = {"room": {}} if getattr(known_policies(kind)[name], "knows_heat", False) else {}
    scenario = hall(2, 8, racks=2, policies=choice, preemption={"enforce_time_limits": False}, **room)
    jobs = long_line()
    assert digest(simulate(scenario, jobs=jobs)) == digest(simulate(scenario, jobs=jobs, guards=True))


def long_line():
    """Jobs of all shapes that wait for each other, so that every order of them is another run."""
    draws = np.random.Generator(np.random.PCG64(8))
    count = 40
    run_s = draws.integers(1, 60, count)
    return job_table(
        submit_s=np.sort(draws.integers(0, 40, count)),
        duration_s=run_s,
        accelerators=draws.choice([1, 2, 4, 8, 12, 20], count),
        time_limit_s=run_s * draws.choice([1.0, 1.5, 3.0], count),
        tenant=[("ann", "bob", "cyd")[number] for number in draws.integers(0, 3, count)],
        priority=draws.integers(0, 3, count),
        deadline_s=draws.integers(50, 500, count),
    )


def test_the_line_is_long_enough_to_tell_orders_apart():
    orders = ("fifo", "shortest_first", "smallest_first", "priority", "earliest_deadline", "easy_backfill")
    runs = [
        simulate(hall(2, 8, racks=2, policies={"ordering": name}), jobs=long_line()).events["job"].tobytes()
        for name in (*orders, "conservative_backfill")
    ]
    assert len(set(runs)) == len(runs)


def test_progress_is_told(monkeypatch):
    import dcsim.simulation.open_loop as loop

    monkeypatch.setattr(loop, "_JOBS_BETWEEN_PROGRESS", 2)
    seen = []
    jobs = job_table(submit_s=[0.0] * 5, duration_s=1.0)
    simulate(hall(1, 8), jobs=jobs, progress=lambda *now: seen.append(now))
    assert seen == [(2, 5), (4, 5)]


@pytest.mark.parametrize("placement", sorted(PLACEMENTS))
@given(data=st.data())
def test_decisions_on_an_index_are_the_policies_own(placement, data):
    policy = PLACEMENTS[placement]()
    decide = indexed_placement(policy)
    assert decide is not None
    total = data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=12))
    free = [data.draw(st.integers(0, devices)) for devices in total]
    need, limit = data.draw(st.integers(1, 20)), data.draw(st.integers(0, 4))
    index = FreeIndex(free)
    server = decide.single(index, need)
    gang = decide.gang(index, need, limit) if need > 1 else None
    found = ((server, need),) if server >= 0 else gang
    view = make_cluster_view(total, free)
    assert found == policy.place(PlacementRequest(need, max_servers=limit), view)
    mask = np.ones(len(total), dtype=bool)
    assert found == policy.place(PlacementRequest(need, max_servers=limit, allowed=mask), view)


def refuses(change=None, jobs=None, **parts):
    """Whether the open loop refuses a hall's jobs from the start."""
    table = jobs if jobs is not None else job_table(submit_s=[0.0, 1.0], duration_s=5.0, **(change or {}))
    return not open_loop_applies(prepare(hall(1, 4, **parts), 0, Path(), jobs=table))


UNEVEN: list[dict[str, Any]] = [
    {"name": "a", "servers": [{"count": 2, "accelerators": 4}]},
    {"name": "b", "servers": [{"count": 1, "accelerators": 3}, {"count": 4, "accelerators": 4}]},
    {"name": "c", "count": 2, "servers": [{"count": 1, "accelerators": 2}]},
]
"""Racks of 2, 5, 1 and 1 servers of 2 to 4 devices."""
LAYOUTS = (
    "",
    "",
    "tensor=2",
    "pipeline=2",
    "pipeline=3 micro_batches=6",
    "tensor=2 pipeline=2",
    "zero_stage=1",
)


@given(
    seed=st.integers(0, 2**32 - 1),
    collective=st.sampled_from(("ring", "tree", "hierarchical", "in_network", "auto")),
    topology=st.sampled_from(("fat_tree", "star")),
    server=st.sampled_from((1e9, 2e7, 4e6)),
    leaf=st.sampled_from((1.0, 4.0)),
    overlap=st.sampled_from((0.0, 0.5, 1.0)),
    latency=st.sampled_from(({}, {"latency_s": 0.05}, {"hop_latency_s": 0.01})),
    device=st.sampled_from(("D", "T4")),
    placement=st.sampled_from(sorted(PLACEMENTS)),
)
def test_every_exchange_in_a_tree_has_the_same_bytes(
    seed, collective, topology, server, leaf, overlap, latency, device, placement
):
    draws = np.random.Generator(np.random.PCG64(seed))
    count = 30
    width = draws.choice([1, 2, 4, 6, 8, 12], count)
    layouts = [
        text if divides(text, each) else ""
        for text, each in zip(draws.choice(LAYOUTS, count), width, strict=True)
    ]
    jobs = job_table(
        submit_s=np.round(np.cumsum(draws.exponential(3.0, count)), 1),
        accelerators=width,
        steps=draws.integers(1, 9, count),
        duration_s=np.nan,
        profile="round",
        parallelism=layouts,
        tenant=[("ann", "bob")[number] for number in draws.integers(0, 2, count)],
    )
    server_parts = {"accelerator": device, "cpu_cores": 64.0, "idle_power_w": 300.0, "peak_power_w": 900.0}
    racks = [{**rack, "servers": [{**part, **server_parts} for part in rack["servers"]]} for rack in UNEVEN]
    scenario = hall(
        cluster={"racks": racks},
        network={
            "topology": topology,
            "server_bandwidth_bytes_per_s": server,
            "oversubscription": leaf if topology == "fat_tree" else 1.0,
            "collective": collective,
            **latency,
        },
        storage={"shared": {"bandwidth_bytes_per_s": 1e9}},
        tenants=[{"name": "ann", "network_share": 2.0}],
        policies={"placement": placement},
    )
    parallel = (
        DimensionTraffic(
            dimension="tensor", collective="all_reduce", bytes_per_sample=5e4, overlap_fraction=0.25
        ),
        DimensionTraffic(dimension="pipeline", collective="send_recv", bytes_per_sample=3e4),
    )
    traffic = CollectiveTraffic(
        all_reduce_bytes=1e6, all_reduce_count=2, overlap_fraction=overlap, parallel=parallel
    )
    compare(scenario, jobs=jobs, profiles=round_profile(collectives=traffic))


def test_what_can_change_a_running_job_is_refused():
    assert not refuses()
    assert refuses({"accelerator_share": 0.5})
    assert refuses({"accelerators": 0})
    assert refuses({"cpu_cores": 60.0})
    assert refuses({"time_limit_s": 3.0})
    assert not refuses({"time_limit_s": 3.0}, preemption={"enforce_time_limits": False})
    assert refuses({"after": {"job-1": ("job-0",)}})
    assert refuses({"array": "a", "array_limit": 1})
    assert not refuses({"array": "a"})
    assert refuses({"min_accelerators": 1, "max_accelerators": 2})
    assert refuses(preemption={"checkpoint_interval_s": 60.0})
    assert refuses(preemption={"start_s": 10.0})
    assert refuses({"slack_s": 9.0}, policies={"energy": "carbon_shift"})
    assert not refuses(policies={"energy": "carbon_shift"})
    assert refuses(policies={"energy": "sleep_idle"})
    assert refuses(policies={"placement": "rack_local"})
    assert refuses(policies={"ordering": "shortest_remaining"})
    assert refuses(jobs=job_table(submit_s=np.empty(0), duration_s=np.empty(0)))


def test_a_policy_made_from_a_built_in_one_is_asked_itself():
    class Own(BestFit):
        def place(self, request, view):
            return super().place(request, view)

    assert indexed_placement(Own()) is None


def test_a_dropped_run_leaves_no_trace_in_the_provenance():
    # The third job overbooks the file system: 12,500 B x 8 a second each.
    jobs = job_table(submit_s=[0.0, 1.0, 2.0], steps=10.0, profile="round")
    scenario = hall(3, 1, storage={"shared": {"bandwidth_bytes_per_s": 250_000.0}})
    inputs = prepare(scenario, 0, Path(), jobs=jobs, profiles=round_profile())
    assert run_open_loop(inputs, None) is None
    assert inputs.costs.used_on(0) == []


def test_jobs_that_never_start_are_left_to_the_event_loop_to_name():
    jobs = job_table(submit_s=0.0, duration_s=[1.0], accelerators=4)
    inputs = prepare(hall(1, 4), 0, Path(), jobs=jobs)
    with mock.patch.dict("dcsim.simulation.open_loop_placing._INDEXED", clear=False) as known:
        policy = type(inputs.policies.placement)
        known[policy] = type(known[policy])(lambda index, need: -1, lambda index, need, limit: None)
        assert run_open_loop(inputs, None) is None


def test_powers_are_counted_in_the_steps_they_are_rounded_to():
    from dcsim.simulation.open_loop_record import _STEPS_PER_W

    step_w = 1.0 / _STEPS_PER_W
    assert quantised_w(step_w) == step_w
    assert quantised_w(step_w * 0.75) == step_w
