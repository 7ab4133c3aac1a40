"""Input that comes too late, followed by hand: by bandwidth, by files, by requests, by where the stripes lie.

Unless said otherwise a job of four accelerators reads 0.8 MB a step of 1 s, and a data set has 8 MB.
"""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.facility.storage.stripes import stripe_data_servers
from dcsim.workload.jobs import JobTable, concat_jobs
from dcsim.workload.profile import CollectiveTraffic
from tests.simulation.conftest import round_profile
from tests.simulation.deciders import spent
from tests.simulation.halls import run
from tests.simulation.stored import FAST, bytes_by_link, made, stepped, storage

SET = 8e6
PROFILE = {
    "input_bytes_per_sample": 25_000.0,
    "dataset_bytes": SET,
    "collectives": CollectiveTraffic(all_reduce_bytes=0.0, all_reduce_count=0),
}


def told(scenario: Any, jobs: JobTable, **changes: Any) -> Any:
    return run(scenario, jobs, profiles=round_profile(**(PROFILE | changes)))


@pytest.mark.parametrize("jobs", [1, 2, 4, 8])
@pytest.mark.parametrize("local", [False, True])
def test_a_search_on_one_server_stalls_on_what_it_reads_from(jobs, local):
    """Single accelerators that want 0.7125 of the bandwidth each: 5.7 times slower when there are eight."""
    bandwidth = 0.2e6 / 0.7125
    shared = {"bandwidth_bytes_per_s": 1e9 if local else bandwidth}
    kept = {"feed": "local", "local": {"bandwidth_bytes_per_s": bandwidth}} if local else {}
    scenario = made(servers=1, devices=8, storage=storage(shared=shared, **kept))
    result = told(scenario, stepped([20.0] * jobs, accelerators=1))
    factor = max(1.0, 0.7125 * jobs)
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0 * factor] * jobs, rel=1e-9)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([20.0 * (factor - 1.0)] * jobs, abs=1e-9)
    assert result.jobs["compute_s"].tolist() == pytest.approx([20.0] * jobs, rel=1e-12)
    link = "server 0 disk" if local else "shared file system"
    assert bytes_by_link(result)[link] == pytest.approx(jobs * 20.0 * 0.2e6, rel=1e-9)


def test_a_search_over_servers_has_a_disk_in_each():
    kept = {"feed": "local", "local": {"bandwidth_bytes_per_s": 0.4e6}}
    scenario = made(servers=2, devices=4, storage=storage(**kept))
    result = told(scenario, stepped([10.0] * 8, accelerators=1))
    # Four of 0.2 MB/s on each disk: half as fast.
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0] * 8, rel=1e-9)


def test_a_stall_goes_to_the_books_as_such():
    scenario = made(servers=1, storage=storage(shared={"bandwidth_bytes_per_s": 0.4e6}))
    result = told(scenario, stepped(10.0))
    assert spent(result, 0) == pytest.approx({"productive": 40.0, "stalled": 40.0})
    assert result.jobs["network_stall_s"].tolist() == [0.0]
    # Devices that wait for input draw nothing beyond idle.
    assert result.jobs["energy_j"].tolist() == pytest.approx([10.0 * 4 * 400.0 + 20.0 * 600.0], rel=1e-6)


def test_a_tenant_of_twice_the_share_reads_twice_as_fast():
    tenants = [{"name": "ann", "network_share": 2.0}, {"name": "bob"}]
    scenario = made(servers=2, storage=storage(shared={"bandwidth_bytes_per_s": 0.6e6}), tenants=tenants)
    result = told(scenario, stepped([10.0, 10.0], tenant=["ann", "bob"]))
    # 0.4 and 0.2 MB/s of 0.8 wanted: ann is done at 20, bob has 5 steps by then, and 0.6 MB/s for the others.
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0, 20.0 + 5.0 / 0.75], rel=1e-9)


def test_neighbours_and_input_are_told_apart():
    """Two jobs on one device at half their rate beside each other, that read 0.2 MB a step and nothing ahead."""
    kept = {
        "datasets": {"a": {"size_bytes": SET}},
        "cache": {"where": "none", "prefetch_bytes": 0.0},
    }
    scenario = made(
        servers=1,
        devices=1,
        storage=storage(shared={"bandwidth_bytes_per_s": 0.08e6}, **kept),
        colocation=[{"profiles": ["round", "round"], "relative_throughput": [0.5, 0.5]}],
    )
    result = told(scenario, stepped([10.0, 10.0], accelerators=1, accelerator_share=0.5, dataset="a"))
    # 2 s to compute, 2.5 s to read alone; both want 0.2 MB / 4.5 s then, and get 0.04 MB/s: 5 s a step.
    assert result.jobs["end_s"].tolist() == pytest.approx([50.0, 50.0], rel=1e-9)
    assert result.jobs["neighbour_stall_s"].tolist() == pytest.approx([10.0, 10.0], rel=1e-9)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([30.0, 30.0], rel=1e-9)


def test_a_server_s_link_can_be_what_holds_its_input_back():
    network = FAST | {"server_bandwidth_bytes_per_s": 0.5e6}
    result = told(
        made(servers=1, network=network, storage=storage(shared={"bandwidth_bytes_per_s": 1e9})),
        stepped(10.0),
    )
    assert result.jobs["end_s"].tolist() == pytest.approx([16.0], rel=1e-9)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([6.0], rel=1e-9)


# -- files and requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "step_s"), [(16.0, 1.0), (8.0, 2.0), (1.6, 10.0)])
def test_small_files_wait_for_the_metadata_servers(limit, step_s):
    """Eight files of 100 kB a step, each opened and closed."""
    shared = {"bandwidth_bytes_per_s": 1e9, "metadata_operations_per_s": limit, "file_bytes": 1e5}
    result = told(made(servers=1, storage=storage(shared=shared)), stepped(10.0))
    assert result.jobs["end_s"].tolist() == pytest.approx([10.0 * step_s], rel=1e-9)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([10.0 * (step_s - 1.0)], abs=1e-9)
    assert bytes_by_link(result)["metadata servers"] == pytest.approx(160.0, rel=1e-9)


def test_metadata_servers_are_one_for_all():
    shared = {"bandwidth_bytes_per_s": 1e9, "metadata_operations_per_s": 16.0, "file_bytes": 1e5}
    result = told(made(servers=2, storage=storage(shared=shared)), stepped([10.0, 10.0]))
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0, 20.0], rel=1e-9)


def test_a_data_set_says_how_large_its_files_are():
    shared = {"bandwidth_bytes_per_s": 1e9, "metadata_operations_per_s": 8.0}
    sets = {"small": {"size_bytes": SET, "file_bytes": 1e5}, "large": {"size_bytes": SET, "file_bytes": SET}}
    for name, end_s in (("small", 20.0), ("large", 10.0)):
        result = told(
            made(servers=1, storage=storage(shared=shared, datasets=sets)), stepped(10.0, dataset=name)
        )
        assert result.jobs["end_s"].tolist() == pytest.approx([end_s], rel=1e-9)


def test_a_warm_cache_spares_the_metadata_servers():
    shared = {"bandwidth_bytes_per_s": 1e9, "metadata_operations_per_s": 8.0, "file_bytes": 1e5}
    kept = {"datasets": {"a": {"size_bytes": SET}}, "cache": {"capacity_bytes": SET}}
    result = told(made(servers=1, storage=storage(shared=shared, **kept)), stepped(20.0, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([30.0], rel=1e-9)
    assert bytes_by_link(result)["metadata servers"] == pytest.approx(160.0, rel=1e-9)


def test_a_disk_takes_so_many_reads_a_second():
    # Files of 100 kB, read in one request each: 8 a step.
    shared, local = {"file_bytes": 1e5}, {"bandwidth_bytes_per_s": 1e9, "read_operations_per_s": 4.0}
    scenario = made(servers=1, storage=storage(shared=shared, local=local, feed="local"))
    result = told(scenario, stepped(10.0))
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-9)


def test_an_object_store_is_asked_by_requests():
    store = {"bandwidth_bytes_per_s": 1e9, "latency_s": 0.0, "request_bytes": 4e5, "requests_per_s": 0.5}
    sets = {"a": {"size_bytes": SET, "place": "object"}}
    result = told(
        made(servers=1, storage=storage(object_store=store, datasets=sets)), stepped(10.0, dataset="a")
    )
    # Two ranges of 0.4 MB a step, one in 2 s.
    assert result.jobs["end_s"].tolist() == pytest.approx([40.0], rel=1e-9)
    assert bytes_by_link(result)["object store requests"] == pytest.approx(20.0, rel=1e-9)


# -- stripes ---------------------------------------------------------------------------------------------

STRIPED = {"bandwidth_bytes_per_s": 1.6e6, "data_servers": 4, "stripe_count": 1}
"""Four data servers of 0.4 MB/s."""


@pytest.mark.parametrize(
    ("file_bytes", "stripes", "step_s"),
    [(SET, 1, 2.0), (SET, 2, 1.0), (SET / 2, 1, 1.0), (1e5, 1, 1.0), (SET, 4, 1.0)],
)
def test_a_file_on_few_data_servers_is_a_hot_spot(file_bytes, stripes, step_s):
    shared = STRIPED | {"stripe_count": stripes}
    sets = {"a": {"size_bytes": SET, "file_bytes": file_bytes}}
    result = told(made(servers=1, storage=storage(shared=shared, datasets=sets)), stepped(10.0, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([10.0 * step_s], rel=1e-9)


def test_files_on_one_data_server_hinder_each_other_and_no_others():
    on = {name: stripe_data_servers(name, 1, 4)[0] for name in "abcdefgh"}
    same = next((a, b) for a in on for b in on if a < b and on[a] == on[b])
    apart = next((a, b) for a in on for b in on if on[a] != on[b])
    sets = {name: {"size_bytes": SET, "file_bytes": SET} for name in on}
    scenario = made(servers=2, storage=storage(shared=STRIPED, datasets=sets))
    for pair, end_s in ((same, 40.0), (apart, 20.0)):
        result = told(scenario, stepped([10.0, 10.0], dataset=list(pair)))
        assert result.jobs["end_s"].tolist() == pytest.approx([end_s] * 2, rel=1e-9)
        crossed = bytes_by_link(result)
        for name in pair:
            read = 2 * SET if pair == same else SET
            assert crossed[f"data server {on[name]}"] == pytest.approx(read, rel=1e-9)


# -- links add up ----------------------------------------------------------------------------------------


def test_what_crosses_links_is_what_jobs_read_however_often_rates_change():
    """Jobs come and go on a full file system, with caches that warm: every byte once, on each link it crosses."""
    jobs = concat_jobs(
        *(
            stepped(
                float(11 + 7 * n), job_id=[f"j{n}"], accelerators=1 + n % 3, submit_s=[3.7 * n], dataset="ab"[n % 2]
            )
            for n in range(9)
        )
    )  # fmt: skip
    kept = {
        "datasets": {"a": {"size_bytes": SET}, "b": {"size_bytes": 1e6}},
        "cache": {"capacity_bytes": 3e6},
    }
    scenario = made(servers=3, storage=storage(shared={"bandwidth_bytes_per_s": 0.5e6}, **kept))
    result = told(scenario, jobs)
    crossed = bytes_by_link(result)
    read = sum(result.jobs["input_bytes"].tolist())
    assert read == pytest.approx(sum(0.2e6 * (1 + n % 3) * (11 + 7 * n) for n in range(9)), rel=1e-12)
    down = sum(size for name, size in crossed.items() if name.endswith("down"))
    assert down == pytest.approx(crossed["shared file system"], rel=1e-9)
    # What hit came from the disks; the rest of what crossed these was brought in.
    disks = sum(size for name, size in crossed.items() if name.endswith("disk"))
    assert read > down
    assert disks > read - down
    tiers = result.tiers
    by_tier = {
        tier: float(tiers["bytes"][tiers["tier"] == tier].sum())
        for tier in sorted(set(tiers["tier"].tolist()))
    }
    assert by_tier["shared file system"] == pytest.approx(crossed["shared file system"], rel=1e-9)
    assert by_tier["local disk"] == pytest.approx(disks, rel=1e-9)
