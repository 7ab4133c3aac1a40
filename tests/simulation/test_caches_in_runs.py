"""Caches while jobs run, followed by hand: cold and warm epochs, who shares, who makes room, how far is read ahead.

Unless said otherwise a job of four accelerators reads 0.8 MB a step of 1 s from a file system of 0.4 MB/s: cold
it takes 2 s a step. Its data set of 8 MB is an epoch of 10 steps.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from dcsim.errors import TraceError
from dcsim.facility.storage.hit_rates import Reader, competing_lru_hit_rates, lru_hit_rate
from dcsim.simulation import simulate
from dcsim.simulation.kinds import LogKind
from dcsim.workload.jobs import JobTable, concat_jobs, job_table
from dcsim.workload.profile import CollectiveTraffic
from tests.simulation.conftest import round_profile
from tests.simulation.deciders import preemption
from tests.simulation.halls import run
from tests.simulation.stored import bytes_by_link, log, made, periodic, stepped, storage

SET = 8e6
"""Of the data set, in bytes."""
PROFILE = {
    "input_bytes_per_sample": 25_000.0,
    "dataset_bytes": SET,
    "checkpoint_bytes": 1.0,
    "parameters": 1,
    "collectives": CollectiveTraffic(all_reduce_bytes=0.0, all_reduce_count=0),
}
SETS = {"a": {"size_bytes": SET}, "b": {"size_bytes": SET}}


def reading(cache: dict[str, Any] | None, **parts: Any) -> Any:
    """A hall of one server, with named data sets, read through a cache."""
    shared = {"bandwidth_bytes_per_s": 0.4e6} | parts.pop("shared", {})
    kept = {"datasets": SETS} | ({} if cache is None else {"cache": cache}) | parts.pop("store", {})
    return made(**({"servers": 1, "storage": storage(shared=shared, **kept)} | parts))


def told(scenario: Any, jobs: JobTable, **changes: Any) -> Any:
    return run(scenario, jobs, profiles=round_profile(**(PROFILE | changes)))


# -- one job -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 2, 5])
@pytest.mark.parametrize(
    ("policy", "part", "hit"),
    [
        ("no_eviction", 0.25, 0.25),
        ("no_eviction", 1.0, 1.0),
        ("lru", 0.5, 0.5 + 0.5 * math.log(0.5)),
        ("lru", 0.3, 0.3 + 0.7 * math.log(0.7)),
        ("lru", 1.0, 1.0),
    ],
)
def test_a_cold_epoch_misses_and_later_ones_hit(policy, part, hit, epochs):
    cache = {"policy": policy, "capacity_bytes": part * SET}
    result = told(reading(cache), stepped(10.0 * epochs, dataset="a"))
    later_s = max(1.0, 2.0 * (1.0 - hit))
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0 + 10.0 * later_s * (epochs - 1)], rel=2e-4)
    assert result.jobs["data_stall_s"][0] == pytest.approx(
        10.0 + 10.0 * (later_s - 1.0) * (epochs - 1), rel=3e-4
    )
    crossed = bytes_by_link(result)
    missed = SET * (1.0 + (1.0 - hit) * (epochs - 1))
    assert crossed["shared file system"] == pytest.approx(missed, rel=2e-4)
    assert crossed["server 0 down"] == crossed["shared file system"]
    # Without eviction only what stays is written; LRU takes in all that it misses.
    filled = part * SET if policy == "no_eviction" else missed
    disk = filled + hit * SET * (epochs - 1)
    assert crossed["server 0 disk"] == pytest.approx(disk, rel=2e-4)
    assert result.jobs["input_bytes"].tolist() == pytest.approx([SET * epochs], rel=1e-12)


def test_a_cache_that_is_warm_from_the_start():
    cache = {"capacity_bytes": 0.25 * SET, "cold": False}
    result = told(reading(cache), stepped(30.0, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([45.0], rel=1e-12)


def test_a_fixed_part_is_cached_where_no_cache_is_described():
    """`feed: cached` alone is as it was: the part that fits the disk hits from the first step on."""
    scenario = made(
        servers=1,
        storage=storage(
            shared={"bandwidth_bytes_per_s": 0.4e6}, feed="cached", local={"capacity_bytes": 0.25 * SET}
        ),
    )
    result = told(scenario, stepped(30.0))
    assert result.jobs["end_s"].tolist() == pytest.approx([45.0], rel=1e-12)
    crossed = bytes_by_link(result)
    assert crossed["shared file system"] == pytest.approx(0.75 * 3 * SET, rel=1e-12)
    assert crossed["server 0 disk"] == pytest.approx(0.25 * 3 * SET, rel=1e-12)


def test_the_input_of_a_profile_is_cached_under_feed_cached():
    scenario = reading({"capacity_bytes": 0.25 * SET}, store={"feed": "cached"})
    named, unnamed = (told(scenario, stepped(30.0, dataset=name)) for name in ("a", ""))
    assert named.jobs["end_s"].tolist() == unnamed.jobs["end_s"].tolist() == pytest.approx([50.0])


def test_without_a_data_set_a_named_one_s_cache_is_of_no_use():
    result = told(reading({"capacity_bytes": SET}), stepped(30.0))
    assert result.jobs["end_s"].tolist() == pytest.approx([60.0], rel=1e-12)


@pytest.mark.parametrize("place", ["local", "object"])
def test_data_sets_lie_where_the_scenario_says(place):
    store = {"bandwidth_bytes_per_s": 0.2e6, "latency_s": 0.0}
    kept = {
        "datasets": {"a": {"size_bytes": SET, "place": place}},
        "object_store": store,
        "local": {"bandwidth_bytes_per_s": 0.1e6},
    }
    result = told(reading(None, store=kept), stepped(10.0, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([80.0 if place == "local" else 40.0], rel=1e-12)
    crossed = bytes_by_link(result)
    assert crossed["server 0 disk" if place == "local" else "object store"] == pytest.approx(SET, rel=1e-12)
    assert "shared file system" not in crossed


# -- several jobs ----------------------------------------------------------------------------------------


def test_the_second_job_on_a_server_finds_it_warm():
    jobs = concat_jobs(
        stepped(20.0, job_id=["one"], dataset="a"),
        stepped(20.0, job_id=["two"], dataset="a"),
        stepped(20.0, job_id=["three"], dataset="b"),
    )
    result = told(reading({"capacity_bytes": 2 * SET}), jobs)
    # One after the other, by name: 30 s cold; another data set, cold too; and what is there already.
    assert result.jobs["job_id"].tolist() == ["one", "three", "two"]
    assert result.jobs["end_s"].tolist() == pytest.approx([30.0, 60.0, 80.0], rel=1e-12)


def test_another_server_s_cache_is_of_no_use_but_a_shared_one_is():
    jobs = concat_jobs(
        stepped(20.0, job_id=["a"], dataset="a"),
        stepped(20.0, job_id=["b"], dataset="a", submit_s=[1000.0]),
        job_table(submit_s=[999.0], duration_s=500.0, accelerators=4, job_id=["filler"]),
    )
    for where, later_s in (("node", 30.0), ("shared", 20.0)):
        result = told(reading({"where": where, "capacity_bytes": SET}, servers=2), jobs)
        assert result.jobs["job_id"].tolist() == ["a", "filler", "b"]
        assert result.jobs["first_server"].tolist() == [0, 0, 1]
        assert result.jobs["end_s"].tolist() == pytest.approx([30.0, 1499.0, 1000.0 + later_s], rel=1e-12)


def test_a_shared_cache_is_a_link_and_the_network_carries_all():
    cache = {"where": "shared", "capacity_bytes": 0.25 * SET, "bandwidth_bytes_per_s": 1e6}
    result = told(reading(cache), stepped(30.0, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([50.0], rel=1e-12)
    crossed = bytes_by_link(result)
    assert crossed["shared file system"] == pytest.approx(SET * 2.5, rel=1e-12)
    assert crossed["server 0 down"] == pytest.approx(SET * 3, rel=1e-12)
    assert crossed["shared cache"] == pytest.approx(SET * (0.25 + 2 * 0.25), rel=1e-12)
    assert "server 0 disk" not in crossed


def test_a_slow_shared_cache_holds_its_readers_back():
    cache = {"where": "shared", "capacity_bytes": SET, "bandwidth_bytes_per_s": 0.5e6, "cold": False}
    result = told(reading(cache), stepped(10.0, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([16.0], rel=1e-12)


def test_a_gang_reads_once_through_a_shared_cache():
    # 1.6 MB a step of 1 s, an epoch of 5 steps; cold 4 s a step.
    cache = {"where": "shared", "capacity_bytes": 0.5 * SET, "bandwidth_bytes_per_s": 1e9}
    result = told(reading(cache, servers=2), stepped(10.0, accelerators=8, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0 + 10.0], rel=1e-9)


def test_each_server_of_a_gang_brings_in_what_it_reads():
    """Two servers read half of every epoch each, drawn anew: what they miss halves from epoch to epoch."""
    result = told(
        reading({"capacity_bytes": SET}, servers=2, shared={"bandwidth_bytes_per_s": 0.2e6}),
        stepped(25.0, accelerators=8, dataset="a"),
    )
    # 1.6 MB a step, 8 s cold: epochs of 5 steps at 8, 4, 2, 1, 1 s.
    assert result.jobs["end_s"].tolist() == pytest.approx([5 * (8 + 4 + 2 + 1 + 1)], rel=1e-6)
    missed = SET * (1 + 0.5 + 0.25 + 0.125 + 0.0625)
    assert bytes_by_link(result)["shared file system"] == pytest.approx(missed, rel=1e-6)


def test_two_jobs_that_read_the_same_side_by_side():
    """Each of two accelerators: 0.4 MB a step, an epoch of 20 steps. Cold, they share the file system."""
    jobs = stepped([40.0, 40.0], accelerators=2, dataset="a")
    result = told(reading({"capacity_bytes": SET}), jobs)
    # Both cold at 2 s a step until 40; then all is there for both.
    assert result.jobs["end_s"].tolist() == pytest.approx([60.0, 60.0], rel=1e-9)
    crossed = bytes_by_link(result)
    assert crossed["shared file system"] == pytest.approx(2 * SET, rel=1e-9)
    # Brought in once, and then read by both.
    assert crossed["server 0 disk"] == pytest.approx(SET + 2 * SET, rel=1e-9)


def test_one_job_warms_the_cache_for_another():
    jobs = concat_jobs(
        stepped(60.0, job_id=["a"], accelerators=2, dataset="a"),
        stepped(30.0, job_id=["b"], accelerators=2, dataset="a", submit_s=[10.0]),
    )
    result = told(reading({"capacity_bytes": SET}), jobs)
    # a alone at 1 s a step until 10; both at 2 s until a has read all, at 30; then nobody misses anything.
    assert result.jobs["end_s"].tolist() == pytest.approx([30.0 + 40.0, 30.0 + 20.0], rel=1e-9)


SMALL = {"shared": {"bandwidth_bytes_per_s": 0.2e6}, "store": {"datasets": {
    "a": {"size_bytes": 4e6}, "b": {"size_bytes": 4e6}
}}}  # fmt: skip
"""Of two accelerators a job reads 0.4 MB a step, an epoch of 10 steps, 2 s a step cold."""


def test_what_is_held_without_eviction_stays_until_its_reader_goes():
    jobs = concat_jobs(
        stepped(40.0, job_id=["a"], accelerators=2, dataset="a"),
        stepped(40.0, job_id=["b"], accelerators=2, dataset="b", submit_s=[20.0]),
    )
    result = told(reading({"capacity_bytes": 4e6}, **SMALL), jobs)
    # a: 20 s cold, 30 s warm. b: no room until 50, 15 steps by then; one more epoch at 2 s brings it in.
    assert result.jobs["end_s"].tolist() == pytest.approx([50.0, 50.0 + 20.0 + 15.0], rel=1e-9)


def test_only_what_is_read_once_there_is_room_is_brought_in():
    jobs = concat_jobs(
        stepped(40.0, job_id=["a"], accelerators=2, dataset="a"),
        stepped(20.0, job_id=["b"], accelerators=2, dataset="b", submit_s=[20.0]),
        stepped(10.0, job_id=["c"], accelerators=2, dataset="b", submit_s=[100.0]),
    )
    result = told(reading({"capacity_bytes": 4e6}, **SMALL), jobs)
    # As before there is room from 50 on, for the last 5 steps of b: half an epoch. c misses the other half.
    assert result.jobs["end_s"].tolist() == pytest.approx([50.0, 60.0, 110.0], rel=1e-9)
    assert bytes_by_link(result)["shared file system"] == pytest.approx(4e6 + 8e6 + 2e6, rel=1e-9)


def test_two_data_sets_compete_in_an_lru_cache():
    jobs = concat_jobs(
        stepped(100.0, job_id=["a"], accelerators=2, dataset="a"),
        stepped(20.0, job_id=["b"], accelerators=2, dataset="b"),
    )
    parts = {**SMALL, "shared": {"bandwidth_bytes_per_s": 0.8e6}}
    result = told(reading({"policy": "lru", "capacity_bytes": 3.2e6}, **parts), jobs)
    # Each at 1 s a step cold: the file system just feeds both. The second epoch hits what two in 3.2 MB do.
    assert result.jobs["end_s"].tolist() == pytest.approx([100.0, 20.0])
    (beside, _) = competing_lru_hit_rates([4e6, 4e6], [Reader(0, 10.0), Reader(1, 10.0)], 3.2e6)
    both = 4e6 * 2 + 2 * 4e6 * (1.0 - beside)
    # Once b is gone a needs an epoch to have 0.8 of its set in the cache. While it has but half of that, it hits
    # half as often as then.
    alone = lru_hit_rate(0.8)
    rest = 4e6 * ((1.0 - alone * 0.5) + 7 * (1.0 - alone))
    assert bytes_by_link(result)["shared file system"] == pytest.approx(both + rest, rel=1e-3)


# -- pauses and room -------------------------------------------------------------------------------------


def test_a_pause_for_a_checkpoint_does_not_begin_an_epoch_anew():
    scenario = reading({"capacity_bytes": SET}, preemption=periodic(3.0), checkpoints={})
    result = told(scenario, stepped(30.0, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([40.0], abs=1e-3)  # 1 byte is written in no time
    assert len(log(result, LogKind.CHECKPOINT)) == 13


def test_a_preempted_job_finds_what_it_had_brought_in():
    jobs = concat_jobs(
        stepped(20.0, job_id=["a"], dataset="a", priority=0.0),
        job_table(submit_s=[10.0], duration_s=5.0, accelerators=4, job_id=["b"], priority=1.0),
    )
    policies = {"ordering": {"name": "priority", "parameters": {"preemptive": 1, "skip": 9}}}
    scenario = reading({"capacity_bytes": SET}, policies=policies, preemption=preemption())
    result = told(scenario, jobs)
    # Half an epoch by 10. From 15 on half of its reads hit: 1 s a step, for the 15 left.
    assert result.jobs["end_s"].tolist() == pytest.approx([30.0, 15.0], rel=1e-9)


def test_checkpoints_on_the_disk_take_room_from_its_cache():
    # Cold 4 s a step until 40, then 1 s: 35 steps by 65. 5 of the disk's 10 MB go to the checkpoint: what stays
    # in the cache is 5 of 8, and 3/8 of 0.8 MB at 0.2 MB/s are 1.5 s a step.
    kept = {"local": {"bandwidth_bytes_per_s": 1e9, "capacity_bytes": 10e6}}
    scenario = reading(
        {"where": "node"},
        shared={"bandwidth_bytes_per_s": 0.2e6},
        store=kept,
        preemption=periodic(65.0),
        checkpoints={"target": "local"},
    )
    result = told(scenario, stepped(45.0, dataset="a"), checkpoint_bytes=5e6)
    assert result.jobs["end_s"].tolist() == pytest.approx([65.0 + 0.005 + 15.0], rel=1e-9)


def test_room_that_comes_back_is_filled_again():
    # a, of two accelerators: 0.4 MB a step, an epoch of 20 steps at 4 s cold: until 80, then 1 s. b saves 5 MB
    # at 90: a has 5/8 in the cache, 1.5 s a step, until b is done at 100.005. An epoch later all is there again.
    kept = {"local": {"bandwidth_bytes_per_s": 1e9, "capacity_bytes": 10e6}}
    scenario = reading(
        {"where": "node"},
        shared={"bandwidth_bytes_per_s": 0.1e6},
        store=kept,
        preemption=periodic(90.0),
        checkpoints={"target": "local"},
    )
    profiles = round_profile(**PROFILE) | {
        "saver": round_profile(**(PROFILE | {
            "name": "saver", "input_bytes_per_sample": 0.0, "checkpoint_bytes": 5e6
        }))["round"]
    }  # fmt: skip
    jobs = concat_jobs(
        stepped(70.0, job_id=["a"], accelerators=2, dataset="a"),
        stepped(100.0, job_id=["b"], accelerators=2, profile="saver"),
    )
    result = run(scenario, jobs, profiles=profiles)
    done = 20.0 + 10.0 + 10.005 / 1.5
    expected_s = 100.005 + 20.0 * 1.5 + (70.0 - done - 20.0)
    assert result.jobs["end_s"].tolist() == pytest.approx([expected_s, 100.005], abs=1e-4)


# -- reading ahead ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "latency_s", "step_s"),
    [
        (None, 0.0, 2.0),
        (0.8e6, 0.0, 2.0),
        (0.2e6, 0.0, 2.5),  # a quarter overlaps: max(1, 0.5) + 1.5
        (0.0, 0.0, 3.0),  # computes or waits
        (0.8e6, 4.0, 4.0),  # never more than 0.8 MB in 4 s
    ],
)
def test_how_far_is_read_ahead(ahead, latency_s, step_s):
    cache = {"where": "none", "prefetch_bytes": ahead}
    shared = {"latency_s": latency_s}
    result = told(reading(cache, shared=shared), stepped(10.0, dataset="a"))
    assert result.jobs["end_s"].tolist() == pytest.approx([10.0 * step_s], rel=1e-12)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([10.0 * (step_s - 1.0)], rel=1e-12)
    assert bytes_by_link(result)["shared file system"] == pytest.approx(SET, rel=1e-12)


def test_a_job_that_does_not_read_ahead_is_faster_once_its_cache_is_warm():
    cache = {"capacity_bytes": SET, "prefetch_bytes": 0.0}
    kept = {"local": {"bandwidth_bytes_per_s": 8e6}}
    result = told(reading(cache, store=kept), stepped(20.0, dataset="a"))
    # 1 s and 2 s from the file system; then 1 s and 0.1 s from the disk.
    assert result.jobs["end_s"].tolist() == pytest.approx([30.0 + 11.0], rel=1e-9)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([20.0 + 1.0], rel=1e-9)
    assert result.jobs["compute_s"].tolist() == pytest.approx([20.0], rel=1e-12)


def test_what_hits_is_not_asked_of_the_file_system_s_client():
    cache = {"capacity_bytes": 0.5 * SET}
    shared = {"bandwidth_bytes_per_s": 1e9, "client_bandwidth_bytes_per_s": 0.2e6}
    result = told(reading(cache, shared=shared), stepped(20.0, dataset="a"))
    # 4 s a step cold, then half of it.
    assert result.jobs["end_s"].tolist() == pytest.approx([40.0 + 20.0], rel=1e-9)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([30.0 + 10.0], rel=1e-9)


# -- names -----------------------------------------------------------------------------------------------


def test_jobs_of_a_generated_mix_read_the_data_sets_they_name():
    kinds = [
        {"profile": "round", "widths": {4: 1.0}, "dataset": name, "batch_per_accelerator": 8} for name in "ab"
    ]
    workload = {
        "kind": "generated",
        "jobs": 6,
        "mix": kinds,
        "sizes": {"median_s": 100.0, "sigma": 0.0},
        "arrivals": {"rate_per_s": 1e-4, "load": None},
    }
    scenario = reading({"capacity_bytes": 2 * SET}, workload=workload)
    result = simulate(scenario, profiles=round_profile(**PROFILE), guards=True)
    stalls = sorted(result.jobs["data_stall_s"].tolist())
    # Far apart, one after the other: the first job of each data set stalls for its first epoch, no other does.
    assert stalls == pytest.approx([0.0] * 4 + [10.0] * 2, abs=1e-6)


def test_jobs_of_a_trace_read_the_data_set_given_to_all(tmp_path):
    rows = ["job_id,submit_s,steps,accelerators,profile,dataset", "x,0,10,4,round,", "y,500,10,4,round,b"]
    (tmp_path / "jobs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    kept = {"datasets": {
        "a": {"size_bytes": SET, "place": "object"}, "b": {"size_bytes": SET}
    }, "object_store": {"bandwidth_bytes_per_s": 0.1e6, "latency_s": 0.0}}  # fmt: skip
    workload = {"kind": "trace", "path": "jobs.csv", "dataset": "a"}
    scenario = reading(None, store=kept, workload=workload)
    result = simulate(scenario, profiles=round_profile(**PROFILE), base_dir=tmp_path, guards=True)
    assert result.jobs["end_s"].tolist() == pytest.approx([80.0, 520.0], rel=1e-12)


def test_unknown_data_sets_are_refused(tmp_path):
    imagenet = {"datasets": {"imagenet": {"size_bytes": SET}}}
    mix = [{"profile": "round", "dataset": "imagenet"}, {"profile": "round", "dataset": "imagnet"}]
    with pytest.raises(ValueError, match=r"mix.1.dataset: 'imagnet' -> .*did you mean 'imagenet'"):
        made(storage=storage(**imagenet), workload={"kind": "generated", "jobs": 1, "mix": mix})
    with pytest.raises(ValueError, match=r"dataset: 'coco' -> expected one of `storage.datasets`"):
        made(storage=storage(**imagenet), workload={"kind": "trace", "path": "jobs.csv", "dataset": "coco"})
    rows = [
        "job_id,submit_s,steps,accelerators,profile,dataset",
        *(f"j{n},0,1,1,round,imagnet" for n in range(5)),
    ]
    (tmp_path / "jobs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    scenario = made(storage=storage(**imagenet), workload={"kind": "trace", "path": "jobs.csv"})
    with pytest.raises(
        TraceError, match=r"jobs.csv: dataset: 'imagnet' \(5 jobs: j0, j1, j2, ...\)"
    ) as caught:
        simulate(scenario, profiles=round_profile(), base_dir=tmp_path)
    assert "did you mean 'imagenet'?" in str(caught.value)
    with pytest.raises(TraceError, match="dataset: 'imagnet'"):
        simulate(scenario, jobs=stepped(1.0, dataset="imagnet"), profiles=round_profile())
