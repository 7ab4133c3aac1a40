"""Checkpoints as bytes, followed by hand: every burst, what it crosses, what a restart begins with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dcsim.facility.storage.checkpoint_times import stagger_offset_s
from dcsim.simulation import simulate
from dcsim.simulation.kinds import LogKind
from dcsim.workload.jobs import concat_jobs, job_table
from tests.simulation.conftest import round_profile
from tests.simulation.deciders import spent
from tests.simulation.halls import hall, run
from tests.simulation.stored import (
    FAST,
    PRIORITY,
    SIZE,
    STAR,
    bytes_by_link,
    checkpointing,
    interrupted,
    log,
    periodic,
    simulated,
    stepped,
    storage,
)

ASYNCHRONOUS = {"mode": "asynchronous", "snapshot_bandwidth_bytes_per_s": SIZE / 4}
"""Four accelerators copy 5 MB in 1 s."""


# -- synchronous ---------------------------------------------------------------------------------------


def test_a_job_stands_still_until_its_checkpoint_is_written():
    result = simulated(checkpointing(), stepped(25.0))
    # Works 0-10, writes until 15, works until 25, writes until 30, works until 35.
    assert log(result, LogKind.CHECKPOINT, LogKind.END) == [
        (10.0, "checkpoint", 0),
        (25.0, "checkpoint", 0),
        (35.0, "end", 0),
    ]
    assert result.jobs["checkpoint_s"].tolist() == [10.0]
    assert spent(result, 0) == {"productive": 100.0, "checkpoint": 40.0}
    assert result.jobs["energy_j"].tolist() == [25.0 * 2200.0 + 10.0 * 600.0]  # cores busy, devices idle
    written = bytes_by_link(result)
    assert written["shared file system"] == written["server 0 up"] == 2 * SIZE


def test_latency_is_paid_once_a_burst():
    result = simulated(checkpointing(storage=storage(shared={"latency_s": 0.5})), stepped(25.0))
    assert result.jobs["end_s"].tolist() == [36.0]
    assert result.jobs["checkpoint_s"].tolist() == [11.0]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_coinciding_bursts_take_as_many_times_as_long(count):
    result = simulated(checkpointing(servers=count), stepped([15.0] * count))
    assert result.jobs["checkpoint_s"].tolist() == [count * 5.0] * count
    assert result.jobs["end_s"].tolist() == [15.0 + count * 5.0] * count
    assert bytes_by_link(result)["shared file system"] == pytest.approx(count * SIZE, rel=1e-12)


def test_staggered_bursts_do_not_coincide():
    offsets = [stagger_offset_s(f"job-{n}", 600.0) for n in range(4)]
    apart = np.diff(np.sort(offsets))
    assert apart.min() > 5.0
    jobs = stepped([1500.0] * 4)
    together = simulated(checkpointing(servers=4, preemption=periodic(1000.0)), jobs)
    assert together.jobs["checkpoint_s"].tolist() == [20.0] * 4
    result = simulated(checkpointing({"stagger_s": 600.0}, servers=4, preemption=periodic(1000.0)), jobs)
    wrote = sum(1000.0 + offset < 1500.0 for offset in offsets)
    assert sorted(result.jobs["checkpoint_s"].tolist()) == pytest.approx([0.0] * (4 - wrote) + [5.0] * wrote)
    first = {job: time_s for time_s, _, job in log(result, LogKind.CHECKPOINT)}
    assert first == pytest.approx({n: 1000.0 + o for n, o in enumerate(offsets) if o < 500.0})


def test_an_unsharded_checkpoint_leaves_by_one_server():
    parts: dict[str, Any] = {
        "servers": 2,
        "network": STAR,
        "storage": storage(shared={"bandwidth_bytes_per_s": 1e9}),
    }
    jobs = stepped(15.0, accelerators=8)
    # 15 steps of 1 s and 1 s of exchange; the one checkpoint after 10 s leaves over one link, or over two.
    for sharded, pause_s in ((True, 2.5), (False, 5.0)):
        result = simulated(checkpointing({"sharded": sharded}, **parts, preemption=periodic(20.0)), jobs)
        assert result.jobs["checkpoint_s"].tolist() == pytest.approx([pause_s], rel=1e-12)
        assert result.jobs["end_s"].tolist() == pytest.approx([30.0 + pause_s], rel=1e-12)


def test_parts_are_as_large_as_what_each_server_holds():
    parts: dict[str, Any] = {
        "servers": 2,
        "network": STAR,
        "storage": storage(shared={"bandwidth_bytes_per_s": 1e9}),
    }
    result = simulated(
        checkpointing(**parts, preemption=periodic(20.0)), stepped(15.0, accelerators=5)
    )  # 4 + 1 devices
    up = {name: size for name, size in bytes_by_link(result).items() if name.endswith("up")}
    exchanged = 15 * 1e6
    assert up == pytest.approx({"server 0 up": exchanged + 4e6, "server 1 up": exchanged + 1e6})
    assert result.jobs["checkpoint_s"].tolist() == pytest.approx([4.0])


@pytest.mark.parametrize(
    ("redundancy", "factor"),
    [
        ({"kind": "replication", "copies": 2}, 2.0),
        ({"kind": "replication", "copies": 3}, 3.0),
        ({"kind": "erasure", "data_shards": 4, "parity_shards": 2}, 1.5),
    ],
)
def test_copies_and_parity_are_written_too(redundancy, factor):
    shared = {"data_servers": 6, "redundancy": redundancy}
    result = simulated(checkpointing(storage=storage(shared=shared)), stepped(15.0))
    assert result.jobs["checkpoint_s"].tolist() == pytest.approx([5.0 * factor], rel=1e-12)
    written = bytes_by_link(result)
    assert written["shared file system"] == pytest.approx(factor * SIZE, rel=1e-12)
    assert written["server 0 up"] == pytest.approx(SIZE, rel=1e-12)  # copies are made behind the network


@pytest.mark.parametrize(("write", "pause_s", "link"), [(None, 2.5, "disk"), (0.5e6, 10.0, "disk write")])
def test_a_local_checkpoint_takes_the_disk_and_no_network(write, pause_s, link):
    local = {"bandwidth_bytes_per_s": 2e6, "write_bandwidth_bytes_per_s": write}
    result = simulated(checkpointing({"target": "local"}, storage=storage(local=local)), stepped(15.0))
    assert result.jobs["checkpoint_s"].tolist() == [pause_s]
    written = bytes_by_link(result)
    assert written.pop("server 0 fabric") > 0.0  # the exchange between its devices
    assert written == {f"server 0 {link}": SIZE}


def test_local_disks_are_written_side_by_side():
    local = {"bandwidth_bytes_per_s": 2e6}
    result = simulated(
        checkpointing({"target": "local"}, servers=3, storage=storage(local=local)), stepped([15.0] * 3)
    )
    assert result.jobs["checkpoint_s"].tolist() == [2.5] * 3


def test_an_object_store_takes_so_many_requests_a_second():
    store = {
        "bandwidth_bytes_per_s": 1e6, "latency_s": 0.0, "request_bytes": 1e6, "requests_per_s": 0.5
    }  # fmt: skip
    result = simulated(
        checkpointing({"target": "object"}, storage=storage(object_store=store)), stepped(15.0)
    )
    # Five requests of 1 MB, one in 2 s.
    assert result.jobs["checkpoint_s"].tolist() == pytest.approx([10.0], rel=1e-12)
    crossed = bytes_by_link(result)
    assert crossed["object store requests"] == pytest.approx(5.0, rel=1e-12)
    assert crossed["object store"] == crossed["server 0 up"] == pytest.approx(SIZE, rel=1e-12)


def test_what_a_client_writes_at_most():
    shared = {"bandwidth_bytes_per_s": 1e9, "client_bandwidth_bytes_per_s": 0.25e6}
    for accelerators, pause_s in ((4, 20.0), (8, 10.0)):  # one client, two
        result = simulated(
            checkpointing(servers=2, storage=storage(shared=shared), preemption=periodic(12.0)),
            stepped(15.0, accelerators=accelerators),
        )
        assert result.jobs["checkpoint_s"].tolist() == pytest.approx([pause_s], rel=1e-12)


def test_a_burst_slows_who_reads_meanwhile():
    # The reader takes all of the file system, and has no checkpoint to speak of. From 10 on the other has half
    # of it, for 10 s, in which the reader does 5 steps.
    reader = {"name": "reader", "parameters": 1, "checkpoint_bytes": 1.0, "input_bytes_per_sample": 31_250.0}
    profiles = {
        **round_profile(input_bytes_per_sample=0.0, checkpoint_bytes=SIZE),
        "reader": round_profile(**reader)["round"],
    }
    jobs = concat_jobs(stepped(15.0, job_id=["a"]), stepped(30.0, job_id=["b"], profile="reader"))
    result = run(checkpointing(servers=2), jobs, profiles=profiles)
    assert result.jobs["checkpoint_s"].tolist() == pytest.approx([10.0, 0.0], abs=1e-5)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([0.0, 5.0], abs=1e-5)
    assert result.jobs["end_s"].tolist() == pytest.approx([25.0, 35.0], abs=1e-5)


# -- asynchronous --------------------------------------------------------------------------------------


def test_an_asynchronous_checkpoint_pauses_for_its_snapshot_only():
    result = simulated(checkpointing(ASYNCHRONOUS), stepped(24.0))
    # Works 0-10, copies until 11, writes from then until 16 while it works; copies 21-22, ends at 26.
    assert log(result, LogKind.CHECKPOINT, LogKind.DURABLE, LogKind.END) == [
        (10.0, "checkpoint", 0),
        (16.0, "durable", 0),
        (21.0, "checkpoint", 0),
        (26.0, "end", 0),
    ]
    events = result.events
    assert events["value"][events["kind"] == LogKind.DURABLE].tolist() == [10.0]
    assert result.jobs["checkpoint_s"].tolist() == [2.0]
    # The second was under way when the job ended: 4 of its 5 s.
    assert bytes_by_link(result)["shared file system"] == pytest.approx(SIZE + 4e6, rel=1e-12)


def test_a_checkpoint_is_left_out_while_the_last_is_on_its_way():
    checkpoints = ASYNCHRONOUS | {"snapshot_bandwidth_bytes_per_s": 15e6 / 4}
    result = simulated(checkpointing(checkpoints), stepped(40.0), checkpoint_bytes=15e6)
    # Copied 10-11, on its way until 26; the one due at 21 is left out, that at 31 copied 31-32, then 42 the end.
    assert log(result, LogKind.CHECKPOINT, LogKind.DURABLE, LogKind.END) == [
        (10.0, "checkpoint", 0),
        (26.0, "durable", 0),
        (31.0, "checkpoint", 0),
        (42.0, "end", 0),
    ]


def test_what_is_safe_is_the_state_of_the_snapshot():
    """Though the job's books are brought up to date before the bytes have arrived: an epoch ends meanwhile."""
    store = {"bandwidth_bytes_per_s": 1e6, "latency_s": 0.0}
    kept = storage(
        shared={"bandwidth_bytes_per_s": 0.4e6},
        object_store=store,
        datasets={"a": {"size_bytes": 8e6}},
        cache={"capacity_bytes": 8e6},
    )
    scenario = checkpointing(ASYNCHRONOUS | {"target": "object"}, storage=kept, preemption=periodic(16.0))
    result = simulated(scenario, stepped(20.0, dataset="a"), input_bytes_per_sample=25_000.0)
    # 2 s a step cold: copies 8 steps 16-17, on their way until 22. The epoch of 10 steps ends at 21.
    assert log(result, LogKind.CHECKPOINT, LogKind.DURABLE, LogKind.END) == [
        (16.0, "checkpoint", 0),
        (22.0, "durable", 0),
        (31.0, "end", 0),
    ]
    events = result.events
    assert events["value"][events["kind"] == LogKind.DURABLE].tolist() == [8.0]


@pytest.mark.parametrize(
    ("at_s", "redone", "durable", "restore_s"),
    [
        (14.0, 13.0, 0.0, 0.0),  # the first is not complete yet: all over again, and nothing to read
        (16.0, 5.0, 10.0, 5.0),  # complete at that very instant
        (18.0, 7.0, 10.0, 5.0),
        (25.0, 13.0, 10.0, 5.0),  # the second (of 20 steps) is on its way from 22 to 27
        (28.0, 6.0, 20.0, 5.0),
    ],
)
def test_a_killed_job_begins_after_its_last_complete_checkpoint(at_s, redone, durable, restore_s):
    result = interrupted(at_s, ASYNCHRONOUS)
    jobs = result.jobs
    assert jobs["redone_s"][0] == pytest.approx(redone)
    assert jobs["restore_s"][0] == restore_s
    left = 100.0 - durable
    snapshots = math.ceil(left / 10.0) - 1
    assert jobs["end_s"].tolist() == pytest.approx([at_s + 20.0 + restore_s + left + snapshots, at_s + 20.0])
    assert [row[0] for row in log(result, LogKind.RESTORE)] == [at_s + 20.0] * (restore_s > 0.0)


def test_a_killed_job_begins_after_its_last_synchronous_checkpoint():
    # Works 0-10, writes 10-15, works 15-25, writes from 25 on and is stopped at 28: 3 MB for nothing.
    result = interrupted(28.0, {})
    assert result.jobs["redone_s"][0] == 10.0
    assert result.jobs["restore_s"][0] == 5.0
    # 10 steps are done: from 53 on 90 steps and 8 checkpoints.
    assert result.jobs["end_s"][0] == 53.0 + 90.0 + 8 * 5.0
    assert result.jobs["checkpoint_s"][0] == 5.0 + 3.0 + 8 * 5.0
    crossed = bytes_by_link(result)
    assert crossed["server 0 up"] == pytest.approx(SIZE + 3e6 + 8 * SIZE, rel=1e-12)
    assert crossed["server 0 down"] == pytest.approx(SIZE, rel=1e-12)


@pytest.mark.parametrize("checkpoints", [{}, ASYNCHRONOUS])
def test_a_preempted_job_writes_its_state_and_reads_it_again(checkpoints):
    result = interrupted(40.0, checkpoints, "checkpoint", preemption=periodic(None, start_s=2.0))
    # Starts until 2, works until 40, writes until 45; the other 45-67; starts until 69, reads until 74.
    assert log(result, LogKind.CHECKPOINT, LogKind.PREEMPT, LogKind.RESTORE, LogKind.END) == [
        (0.0, "restore", 0),
        (40.0, "checkpoint", 0),
        (45.0, "preempt", 0),
        (45.0, "restore", 1),
        (67.0, "end", 1),
        (67.0, "restore", 0),
        (69.0, "restore", 0),
        (136.0, "end", 0),
    ]
    assert result.jobs["checkpoint_s"][0] == 5.0
    assert result.jobs["restore_s"][0] == 2.0 + 2.0 + 5.0
    assert spent(result, 0) == {"productive": 400.0, "checkpoint": 20.0, "restore": 36.0}


def test_a_write_under_way_is_given_up_for_the_newer_state():
    """Preempted while an older state is on its way: that one is dropped, the newest is written."""
    result = interrupted(13.0, ASYNCHRONOUS, "checkpoint", preemption=periodic(10.0))
    # Snapshot of 10 steps 10-11, on its way for 2 s; at 13 the state of 12 steps is written, until 18.
    assert log(result, LogKind.DURABLE)[:1] != [(16.0, "durable", 0)]
    assert log(result, LogKind.PREEMPT) == [(18.0, "preempt", 0)]
    assert result.jobs["redone_s"][0] == 0.0
    left = 88.0
    assert result.jobs["end_s"][0] == 38.0 + 5.0 + left + 8.0
    assert bytes_by_link(result)["server 0 down"] == SIZE


def test_first_attempts_read_nothing():
    result = simulated(checkpointing(preemption=periodic(start_s=3.0, restore_s=9.0)), stepped(5.0))
    assert result.jobs["end_s"].tolist() == [8.0]
    assert "server 0 down" not in bytes_by_link(result)


def test_a_local_checkpoint_is_read_from_another_servers_disk():
    jobs = concat_jobs(
        stepped(100.0, job_id=["a"], priority=1.0),
        job_table(submit_s=[0.0], duration_s=50.0, accelerators=4, job_id=["b"], priority=3.0),
        job_table(submit_s=[40.0], duration_s=100.0, accelerators=4, job_id=["c"], priority=2.0),
    )
    scenario = checkpointing(
        {"target": "local"},
        servers=2,
        network=STAR,
        storage=storage(local={"bandwidth_bytes_per_s": 2e6}),
        preemption=periodic(None),
        policies=PRIORITY,
    )
    result = simulated(scenario, jobs)
    # b goes first and has server 0. a is stopped at 40, written to the disk of server 1 by 42.5, where c works
    # then. b is done at 50: server 0 is free, and reads over a link of 1 MB/s what lies on server 1: until 55.
    assert result.jobs["restore_s"][0] == 5.0
    assert result.jobs["end_s"].tolist() == [55.0 + 60.0, 50.0, 142.5]
    crossed = bytes_by_link(result)
    del crossed["server 0 fabric"], crossed["server 1 fabric"]
    assert crossed == {"server 1 disk": 2 * SIZE, "server 1 up": SIZE, "server 0 down": SIZE}


def test_a_gang_finds_a_part_on_its_own_disk():
    """On one of the two servers that wrote it: half lies there, half comes from the other."""
    jobs = concat_jobs(
        stepped(100.0, job_id=["a"], accelerators=4, max_servers=2, priority=0.0),
        job_table(submit_s=[10.0], duration_s=50.0, accelerators=4, job_id=["b"], priority=1.0),
    )
    assert len(jobs) == 2
    scenario = checkpointing(
        {"target": "local"},
        servers=2,
        devices=2,
        network=STAR,
        storage=storage(local={"bandwidth_bytes_per_s": 2e6}),
        preemption=periodic(None),
        policies=PRIORITY,
    )
    result = simulated(scenario, jobs)
    # Two disks write 2.5 MB each in 1.25 s, and both read their own part again: nothing crosses the network
    # but the exchange of 1 MB a step each way.
    assert result.jobs["checkpoint_s"][0] == result.jobs["restore_s"][0] == 1.25
    crossed = bytes_by_link(result)
    assert crossed["server 0 disk"] == crossed["server 1 disk"] == SIZE
    assert crossed["server 0 up"] == pytest.approx(100e6, rel=1e-9)


def test_a_checkpoint_is_read_from_the_data_servers_it_lies_on():
    """Written by one server, read by two: it is one file all the same."""
    jobs = concat_jobs(
        stepped(20.0, job_id=["a"], accelerators=8, priority=0.0),
        job_table(submit_s=[10.0], duration_s=5.0, accelerators=8, job_id=["b"], priority=1.0),
    )
    shared = {"bandwidth_bytes_per_s": 4e6, "data_servers": 4, "stripe_count": 1}
    scenario = checkpointing(
        {"sharded": False},
        servers=2,
        storage=storage(shared=shared),
        preemption=periodic(None),
        policies=PRIORITY,
    )
    result = simulated(scenario, jobs)
    assert result.jobs["checkpoint_s"][0] == result.jobs["restore_s"][0] == pytest.approx(5.0)
    crossed = {name: size for name, size in bytes_by_link(result).items() if name.startswith("data server")}
    assert list(crossed.values()) == [pytest.approx(2 * SIZE)]


# -- books ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("horizon_s", "written"), [(9.0, 0.0), (12.0, 2e6), (15.0, 5e6), (26.5, 6.5e6)])
def test_what_was_written_by_the_horizon_is_told(horizon_s, written):
    result = simulated(checkpointing(horizon_s=horizon_s), stepped(100.0))
    assert bytes_by_link(result).get("shared file system", 0.0) == pytest.approx(written, rel=1e-12)
    assert result.jobs["checkpoint_s"].tolist() == [written / 1e6]


@pytest.mark.parametrize(
    ("action", "until_s", "network"),
    [
        ({"action": "fail"}, 19.0, FAST),  # nothing from 12 to 16
        ({"action": "degrade", "fraction": 0.25}, 18.0, STAR),  # a quarter: 1 of the 3 MB that are left
    ],
)
def test_a_write_goes_on_where_it_stood_when_its_link_is_back(action, until_s, network):
    events = [
        {"at_s": 12.0, "link": "server 0 up", **action},
        {"at_s": 16.0, "link": "server 0 up", "action": "repair"},
    ]
    result = simulated(checkpointing(network=network | {"events": events}), stepped(15.0))
    assert result.jobs["checkpoint_s"].tolist() == pytest.approx([until_s - 10.0], rel=1e-12)
    assert bytes_by_link(result)["server 0 up"] == pytest.approx(SIZE, rel=1e-12)


def test_without_contention_everybody_writes_as_if_alone():
    network = FAST | {"contention": False}
    result = simulated(checkpointing(servers=3, network=network), stepped([15.0] * 3))
    assert result.jobs["checkpoint_s"].tolist() == [5.0] * 3


def test_jobs_of_a_given_run_time_still_pause_for_a_given_time():
    """No profile, no bytes: then `preemption` says how long it takes."""
    rules = periodic(10.0, checkpoint_s=2.0)
    jobs = job_table(submit_s=[0.0], duration_s=25.0, accelerators=4)
    result = run(hall(servers=1, preemption=rules, checkpoints={}), jobs)
    assert result.jobs["end_s"].tolist() == [29.0]


def test_the_same_bytes_twice_and_without_guards():
    jobs = concat_jobs(
        stepped(60.0, job_id=["a"], accelerators=6),
        stepped(40.0, job_id=["b"], submit_s=[3.0], accelerators=2),
        stepped(30.0, job_id=["c"], submit_s=[37.0], accelerators=4, priority=1.0),
    )
    scenario = checkpointing(
        ASYNCHRONOUS, servers=2, policies=PRIORITY, preemption=periodic(7.0, on_preempt="kill")
    )
    profiles = round_profile(checkpoint_bytes=SIZE, input_bytes_per_sample=3_000.0)
    first, *others = (
        simulate(scenario, jobs=jobs, profiles=profiles, guards=guards) for guards in (True, True, False)
    )
    assert first.jobs["restore_s"].sum() > 0.0
    for other in others:
        for name in ("jobs", "events", "series", "links", "tiers"):
            one, two = getattr(first, name), getattr(other, name)
            assert all(_same(one[column], two[column]) for column in one)


def _same(one: Any, other: Any) -> bool:
    if one.dtype == object:
        return bool(one.tolist() == other.tolist())
    return bool(one.tobytes() == other.tobytes())
