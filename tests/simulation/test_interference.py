"""Jobs over the same links slow each other by what sharing gives: rates, seconds lost and bytes by hand."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from dcsim.errors import GuardError
from dcsim.simulation.cluster_run import ClusterRun
from dcsim.simulation.guards import check_run
from dcsim.simulation.inputs import prepare
from dcsim.simulation.run import simulate
from dcsim.workload.jobs import job_table
from tests.simulation.conftest import round_profile
from tests.simulation.exchanging import both, costs, gang, link_bytes, net, spent, tier_bytes
from tests.simulation.halls import LINK, hall, run

SPREAD = {"placement": "spread"}
ALWAYS = 1e-12
"""A step that computes for so long is always sending."""


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_equal_jobs_across_one_link_get_equal_parts_of_it(jobs):
    # All over both servers, 1 MB out of and into each a step; a step alone computes 0.5 s and sends 1 s.
    table = gang(submit_s=[0.0] * jobs, accelerators=8 // jobs)
    fluid, steps = both(table, costs(0.5), policies=SPREAD)
    # On average each wants 2/3 MB/s and gets 1 / jobs; in bursts, all at once, a step takes 0.5 s + jobs x 1 s.
    fluid_s, steps_s = 10 * max(1.5, jobs), 10 * (0.5 + jobs)
    for result, end_s in ((fluid, fluid_s), (steps, steps_s)):
        assert result.jobs["servers"].tolist() == [2] * jobs
        assert result.jobs["end_s"].tolist() == pytest.approx([end_s] * jobs, rel=1e-9)
        for job in range(jobs):
            lost_s = {"network_stall_s": end_s - 15.0} if end_s > 15.0 else {}
            assert spent(result, job) == pytest.approx({"compute_s": 5.0, "communication_s": 10.0} | lost_s)
        assert link_bytes(result)["server 0 up"] == pytest.approx(jobs * 10 * 1e6)
        assert result.jobs["network_bytes"].tolist() == pytest.approx([2e7] * jobs)


def test_bursts_that_fall_beside_each_other_cost_nothing():
    # One computes while the other sends.
    table = gang(submit_s=[0.0, 1.0], accelerators=4)
    fluid, steps = both(table, costs(1.0), policies=SPREAD)
    assert steps.jobs["end_s"].tolist() == pytest.approx([20.0, 21.0], rel=1e-12)
    assert fluid.jobs["end_s"].tolist() == pytest.approx([20.0, 21.0], rel=1e-9)


@pytest.mark.parametrize("offset_s", [0.0, 0.25, 0.5, 0.9])
def test_bursts_that_meet_stay_as_far_apart_as_they_began(offset_s):
    """Equal jobs, c = m = 1 s, one d later: each burst takes 2 m - d, a step c + 2 m - d, for ever."""
    table = gang(submit_s=[0.0, offset_s], accelerators=4)
    _, steps = both(table, costs(1.0), policies=SPREAD)
    # The first begins its first exchange alone and the second ends its last one alone.
    step_s = 1.0 + 2.0 - offset_s
    assert steps.jobs["end_s"].tolist() == pytest.approx([10 * step_s, 10 * step_s + offset_s], rel=1e-12)


def test_long_exchanges_saturate_their_link_and_agree_with_the_fluid_run():
    # c = 1 s, m = 3 s, 2 s apart: from the second exchange on the link is never idle, 6 s a step for each.
    table = gang(submit_s=[0.0, 2.0], accelerators=4)
    fluid, steps = both(table, costs(1.0, 3e6), policies=SPREAD)
    for one, other in zip(fluid.jobs["end_s"], steps.jobs["end_s"], strict=True):
        assert abs(one - other) < 6.0
    # All bytes over the link, but for the first and last second: 2 x 30 MB.
    assert fluid.jobs["end_s"].max() == pytest.approx(61.0, abs=1.0)
    assert steps.jobs["end_s"].max() == pytest.approx(61.0, abs=1.0)


@pytest.mark.parametrize("share", [2.0, 3.0])
def test_a_tenants_share_of_a_full_link_is_what_it_says(share):
    table = gang(submit_s=[0.0, 0.0], steps=4.0, accelerators=4, tenant=["ann", "bob"])
    tenants = [{"name": "ann", "network_share": share}]
    results = both(table, costs(ALWAYS), policies=SPREAD, tenants=tenants)
    # 4 MB each: ann at share / (share + 1) MB/s, bob at the rest until she is done, then alone.
    first_s = 4.0 * (share + 1.0) / share
    for result in results:
        assert result.jobs["end_s"].tolist() == pytest.approx([first_s, 8.0], rel=1e-9)
        ann = result.tiers["tenant"] == "ann"
        assert result.tiers["bytes"][ann & (result.tiers["tier"] == "server")].sum() == pytest.approx(16e6)


def test_who_asks_for_little_is_not_held_back_by_who_asks_for_much():
    # One computes 9 s and sends 1 s, the other always sends: 0.1 and 0.9 MB/s.
    table = gang(submit_s=[0.0, 0.0], accelerators=[4, 4], steps=[10.0, 90.0], batch_per_accelerator=[8, 1])
    profiles = costs(9.0)
    result = run(hall(2, network=net(), policies=SPREAD), table, profiles=profiles)
    # With one sample a device computing takes 9/8 s: 2.125 s a step, 0.47 MB/s. Together 0.57: nobody waits.
    assert result.jobs["end_s"].tolist() == pytest.approx([100.0, 90 * 2.125], rel=1e-9)


def test_without_contention_everybody_is_alone():
    table = gang(submit_s=[0.0, 0.0], accelerators=4)
    fluid, steps = both(table, costs(0.5), {"contention": False}, policies=SPREAD)
    for result in (fluid, steps):
        assert result.jobs["end_s"].tolist() == pytest.approx([15.0, 15.0], rel=1e-12)


def test_without_contention_a_job_still_reads_no_faster_than_its_own_way_lets_it():
    """Steps of 1 s of computing that read 0.1 MB through a file system of 0.05 MB/s: 2 s each, whoever else reads."""
    table = job_table(submit_s=[0.0, 0.0], accelerators=1, steps=10, profile="round")
    storage = {"shared": {"bandwidth_bytes_per_s": 5e4}}
    result = simulate(
        hall(2, network=net(contention=False), storage=storage, policies=SPREAD),
        0,
        jobs=table,
        profiles=round_profile(),
        guards=True,
    )
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0, 20.0], rel=1e-9)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([10.0, 10.0], rel=1e-9)


# -- inside a server ---------------------------------------------------------------------------------------


def fabric_hall(bandwidth_bytes_per_s, **parts):
    """A single server of four devices with so much inside."""
    scenario = hall(1, **parts)
    rack = scenario.cluster.racks[0]
    server = rack.servers[0].model_copy(update={"fabric_bandwidth_bytes_per_s": bandwidth_bytes_per_s})
    cluster = scenario.cluster.model_copy(update={"racks": (rack.model_copy(update={"servers": (server,)}),)})
    return scenario.model_copy(update={"cluster": cluster})


def tensors():
    """A profile whose pairs of devices reduce 1 MB a step: 16 samples of 62.5 kB."""
    pair = {"dimension": "tensor", "collective": "all_reduce", "bytes_per_sample": 62_500.0}
    return costs(1.0, 0.0, parallel=(pair,))


@pytest.mark.parametrize("traffic", ["fluid", "steps"])
@pytest.mark.parametrize(
    ("fabric", "alone_s", "together_s"),
    [(None, 0.25, 0.25), (16e6, 0.25, 0.25), (4e6, 0.5, 1.0), (1e6, 2.0, 4.0)],
)
def test_two_jobs_inside_one_server_share_its_fabric(traffic, fabric, alone_s, together_s):
    """A pair sends 2 MB a step over a fabric, 1 MB each; by their own links, 4 MB/s, that takes 0.25 s."""
    network = net(traffic=traffic)
    one = gang(accelerators=2, parallelism="tensor=2")
    result = run(fabric_hall(fabric, network=network), one, profiles=tensors())
    assert result.jobs["end_s"].tolist() == pytest.approx([10 * (1.0 + alone_s)], rel=1e-12)
    assert tier_bytes(result, "fabric") == pytest.approx(10 * 2e6)
    assert result.jobs["network_bytes"].tolist() == [0.0]
    two = gang(submit_s=[0.0, 0.0], accelerators=2, parallelism="tensor=2")
    result = run(fabric_hall(fabric, network=network), two, profiles=tensors())
    shared_s = 1.0 + together_s if traffic == "steps" else max(1.0 + alone_s, together_s)
    assert result.jobs["end_s"].tolist() == pytest.approx([10 * shared_s] * 2, rel=1e-9)
    assert tier_bytes(result, "fabric") == pytest.approx(2 * 10 * 2e6)


def test_what_was_measured_inside_a_server_is_told_of_its_fabric_whatever_that_gives():
    # On the device it was measured on the all-reduce is part of computing: 4 devices, 2 x 3/4 x 1 MB each.
    for fabric in (None, 1e6):
        result = run(fabric_hall(fabric, network=net()), gang(accelerators=4), profiles=costs())
        assert result.jobs["end_s"].tolist() == pytest.approx([10.0], rel=1e-12)
        assert tier_bytes(result, "fabric") == pytest.approx(10 * 4 * 1.5e6)


def test_links_are_as_busy_as_their_bytes_say():
    fluid, steps = both(gang(), costs())
    for result in (fluid, steps):
        rows = result.links["link"] == result.listed_links.names.index("server 0 up")
        load = result.links["bytes"][rows] / result.links["duration_s"][rows]
        assert (load <= LINK * (1 + 1e-9)).all()


@pytest.mark.parametrize("network", [{}, {"topology": "rail_optimised", "rails": {"per_server": 2}}], ids=str)
def test_bytes_that_no_link_carried_are_found(network):
    inputs = prepare(hall(2, network=net(**network)), 0, Path(), jobs=gang(), profiles=costs())
    run_of = ClusterRun(inputs, mock.Mock(), guards=True)
    end_s = run_of.run(None)
    check_run(run_of.record, end_s)
    run_of.record.network_bytes[0] += 1.0
    with pytest.raises(GuardError, match="servers sent 20000000"):
        check_run(run_of.record, end_s)
