"""Links that fail, slow down and are mended while jobs run over them: instants and bytes worked out by hand."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from unittest import mock

import pytest

from dcsim.errors import DeadlockError
from dcsim.simulation import deciding, simulate, standstill, time_share
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.kinds import LogKind
from tests.simulation.exchanging import costs, events, gang, link_bytes, net, placed, spent
from tests.simulation.halls import hall, run

# A step of these jobs computes 1 s and exchanges 1 s: 1 MB out of and into each of two servers at 1 MB/s.
TRAFFIC = ("fluid", "steps")
K_ARY = {"topology": "k_ary_fat_tree", "k_ary": {"k": 4}}
FAST_STORE = {"shared": {"bandwidth_bytes_per_s": 1e9, "power_w": 0.0}}
SAVED = {
    "storage": FAST_STORE,
    "checkpoints": {},
    "preemption": {"checkpoint_interval_s": 4.0, "checkpoint_s": 0.0},
}


def over(traffic, told, jobs=None, servers=2, gangs=None, network=None, profiles=None, **parts):
    """Run jobs while links change."""
    base = net(**(network or {}), traffic=traffic, events=events(*told))
    policies = placed(*gangs) if gangs else None
    scenario = hall(servers, network=base, **parts)
    return run(
        scenario, jobs if jobs is not None else gang(), profiles=profiles or costs(), policies=policies
    )


def changes(result):
    """The (time, name of the link, part of its bandwidth) of each change of a link in the log."""
    rows = result.events["kind"] == LogKind.LINK
    names = result.listed_links.names
    table = (result.events[name][rows].tolist() for name in ("time_s", "server", "value"))
    return [(time_s, names[link], value) for time_s, link, value in zip(*table, strict=True)]


# -- the only way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize("link", ["server 0 up", "server 1 up", "server 1 down"])
def test_a_job_stands_still_while_its_servers_only_link_is_down(traffic, link):
    # In steps: at 5.5 s half of the third exchange is there; the rest comes from 12.5 s on.
    result = over(traffic, [(5.5, link, "fail"), (12.5, link, "repair")])
    assert result.jobs["end_s"].tolist() == pytest.approx([27.0], rel=1e-12)
    assert spent(result) == pytest.approx(
        {"compute_s": 10.0, "communication_s": 10.0, "network_stall_s": 7.0}
    )
    assert changes(result) == [(5.5, link, 0.0), (12.5, link, 1.0)]
    assert result.jobs["network_bytes"].tolist() == pytest.approx([2e7])
    assert link_bytes(result)["server 1 up"] == pytest.approx(1e7)


def test_a_link_that_fails_between_exchanges_is_missed_at_the_next():
    # Down from 4.1 s to 4.9 s: the third step computes until 5 s.
    told = [(4.1, "server 0 up", "fail"), (4.9, "server 0 up", "repair")]
    assert over("steps", told).jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-12)
    # The fluid run sends on average all the time, so it stands still for all of it.
    assert over("fluid", told).jobs["end_s"].tolist() == pytest.approx([20.8], rel=1e-12)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_without_a_repair_the_run_ends_and_says_who_stands_still(traffic):
    with pytest.raises(DeadlockError, match="job job-0 stands still on its servers"):
        over(traffic, [(5.5, "server 1 up", "fail")])


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_without_a_repair_a_horizon_ends_the_run(traffic):
    result = over(traffic, [(5.5, "server 1 up", "fail")], horizon_s=50.0)
    assert result.jobs["status"].tolist() == ["running"]
    stood = {"compute_s": 2.75, "communication_s": 2.75, "network_stall_s": 44.5}
    assert spent(result) == pytest.approx(stood)


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize(
    "parts",
    [
        {"preemption": {"checkpoint_interval_s": 1.0, "checkpoint_s": 0.1}},
        {"policies": {"ordering": "elastic"}},
        {"policies": {"ordering": "least_attained_service"}},
        {"policies": {"ordering": "max_min_fairness"}},
        {"policies": {"ordering": {"name": "allox", "parameters": {"whole_steps": 1}}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_job_that_stands_still_for_ever_keeps_no_run_going(monkeypatch, traffic, parts, jobs):
    """Neither checkpoints that are due again and again nor rounds do."""
    monkeypatch.setattr(standstill, "_AT_LEAST", 50)
    monkeypatch.setattr(deciding, "_IDLE_ROUNDS", 20)
    monkeypatch.setattr(time_share, "_STILL_ROUNDS", 20)
    with pytest.raises(DeadlockError, match="job-"):
        over(traffic, [(5.5, "server 1 up", "fail")], jobs=gang(submit_s=[0.0] * jobs), **parts)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_checkpoints_of_who_stands_still_wait_for_a_late_repair(monkeypatch, traffic):
    monkeypatch.setattr(standstill, "_AT_LEAST", 50)
    rules = {"checkpoint_interval_s": 1.0, "checkpoint_s": 0.0}
    told = [(5.5, "server 1 up", "fail"), (2_005.5, "server 1 up", "repair")]
    result = over(traffic, told, preemption=rules)
    assert result.jobs["end_s"].tolist() == pytest.approx([2_020.0], rel=1e-12)
    saved = result.events["time_s"][result.events["kind"] == LogKind.CHECKPOINT]
    # None while it stood still but the one after what it had done since the last.
    assert saved[saved < 2_005.5].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_rack_that_is_cut_off_holds_back_only_who_crosses_its_uplink(traffic):
    network = {"topology": "fat_tree", "spines": 1}
    told = [(5.5, "rack 1 *", "fail"), (12.5, "rack 1 *", "repair")]
    jobs = gang(submit_s=[0.0, 0.0])
    scenario = hall(2, racks=2, network=net(**network, traffic=traffic, events=events(*told)))
    result = run(scenario, jobs, profiles=costs(), policies=placed((0, 1), (2, 3)))
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0, 20.0], rel=1e-12)
    result = run(scenario, jobs, profiles=costs(), policies=placed((0, 2), (1, 3)))
    assert result.jobs["end_s"].tolist() == pytest.approx([27.0, 27.0], rel=1e-12)
    assert [time_s for time_s, *_ in changes(result)] == [5.5, 5.5, 12.5, 12.5]


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_link_that_fails_as_a_job_ends_comes_too_late_for_it(traffic):
    result = over(traffic, [(20.0, "server 1 up", "fail")])
    assert result.jobs["end_s"].tolist() == [20.0]


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_without_contention_no_link_holds_anybody_back_failed_or_not(traffic):
    told = [(2.5, "server 1 up", "degrade", 0.1), (5.5, "server 1 up", "fail")]
    result = over(traffic, told, network={"contention": False})
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-12)
    cut = [(0.0, "edge 0 *", "fail")]
    network = K_ARY | {"contention": False}
    result = over(traffic, cut, servers=8, gangs=[(0, 7)], network=network)
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-12)


# -- slower ----------------------------------------------------------------------------------------------


def test_the_rate_follows_a_degraded_link_at_that_instant():
    told = [(5.5, "server 1 up", "degrade", 0.25), (12.5, "server 1 up", "repair")]
    # Fluid: 0.5 MB/s on average where there are 0.25: half as fast for 7 s.
    assert over("fluid", told).jobs["end_s"].tolist() == pytest.approx([23.5], rel=1e-12)
    # Steps: the half exchange left at 5.5 s takes 2 s; a step of 1 + 4 s ends at 12.5 s as the fourth.
    result = over("steps", told)
    assert result.jobs["end_s"].tolist() == pytest.approx([24.5], rel=1e-12)
    assert spent(result)["network_stall_s"] == pytest.approx(4.5)


def test_a_link_degraded_to_more_than_the_average_load_is_felt_in_bursts_only():
    told = [(0.0, "server 1 up", "degrade", 0.8)]
    assert over("fluid", told).jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-12)
    assert over("steps", told).jobs["end_s"].tolist() == pytest.approx([10 * 2.25], rel=1e-12)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_two_on_a_degraded_link_share_what_is_left(traffic):
    # Without computing each is always sending: half of 1 MB/s each, then half of 0.5 MB/s from 4 s on.
    jobs = gang(submit_s=[0.0, 0.0], steps=4.0, accelerators=4)
    result = over(
        traffic,
        [(4.0, "server 0 up", "degrade", 0.5)],
        jobs=jobs,
        profiles=costs(1e-12),
        policies={"placement": "spread"},
    )
    # 2 MB each by 4 s, the other 2 MB at 0.25 MB/s.
    assert result.jobs["end_s"].tolist() == pytest.approx([12.0, 12.0], rel=1e-9)


# -- other ways ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize("fail_s", [5.5, 4.5])
def test_traffic_takes_another_way_at_once_and_comes_back(traffic, fail_s):
    told = [(fail_s, "edge 0 to aggregation 1", "fail"), (12.5, "edge 0 to aggregation 1", "repair")]
    result = over(traffic, told, servers=8, gangs=[(0, 7)], network=K_ARY)
    plain = over(traffic, [], servers=8, gangs=[(0, 7)], network=K_ARY)
    assert result.jobs["end_s"].tolist() == plain.jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-12)
    assert "edge 0 to aggregation 0" not in link_bytes(plain)
    # 1 MB a step over the other way: in bursts, what was sent from 5.5 s to 12.5 s; on average 0.5 MB/s.
    sent = link_bytes(result)
    away = {("fluid", 5.5): 3.5e6, ("fluid", 4.5): 4e6, ("steps", 5.5): 3.5e6, ("steps", 4.5): 4e6}
    assert sent["edge 0 to aggregation 0"] == pytest.approx(away[traffic, fail_s])
    assert sent["edge 0 to aggregation 1"] == pytest.approx(1e7 - away[traffic, fail_s])


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_all_links_of_a_pattern_change_before_traffic_looks_for_other_ways(traffic):
    told = [(5.5, "edge 0 to *", "fail"), (7.5, "edge 0 to aggregation 0", "repair")]
    with mock.patch.object(Attempts, "reroute", autospec=True, side_effect=Attempts.reroute) as rerouted:
        result = over(traffic, told, servers=8, gangs=[(0, 7)], network=K_ARY)
    assert rerouted.call_count == 2
    # Cut off for two seconds: in bursts the third exchange, half there at 5.5 s, ends at 8 s.
    assert result.jobs["end_s"].tolist() == pytest.approx([22.0], rel=1e-12)
    assert spent(result)["network_stall_s"] == pytest.approx(2.0)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_rail_that_fails_leaves_its_part_to_the_others(traffic):
    network = {"topology": "rail_optimised", "rails": {"per_server": 4}}
    told = [(0.0, "server 0 rail 3 *", "fail")]
    result = over(traffic, told, network=network)
    sent = link_bytes(result)
    # Planes that are whole share it evenly.
    assert [sent.get(f"server 0 rail {rail} up", 0.0) for rail in range(4)] == pytest.approx(
        [1e7 / 3] * 3 + [0.0]
    )
    # A step of 1 s + 1 s on four rails puts 0.5 MB/s on three that give 0.75: in bursts it takes 4/3 s.
    end_s = 20.0 if traffic == "fluid" else 10 * (1.0 + 4 / 3)
    assert result.jobs["end_s"].tolist() == pytest.approx([end_s], rel=1e-12)


def write_ring(folder, direct, detour):
    """Write a graph: switches p and q are joined by a link, and by way of r and s by others."""
    nodes = [{"id": name, "kind": "server"} for name in ("a", "b")]
    nodes += [{"id": name, "kind": "switch"} for name in ("p", "q", "r", "s")]
    pairs = [("a", "p", "1 MB/s"), ("b", "q", "1 MB/s"), ("p", "q", direct)]
    pairs += [("p", "r", detour), ("r", "s", detour), ("s", "q", detour)]
    links = [{"source": a, "target": b, "bandwidth": c} for a, b, c in pairs]
    graph = {"directed": False, "multigraph": False, "nodes": [*nodes, {"id": "st", "kind": "storage"}]}
    graph["links"] = [*links, {"source": "st", "target": "r", "bandwidth": "1 GB/s"}]
    (folder / "net.json").write_text(json.dumps(graph))


@pytest.mark.parametrize(
    ("traffic", "detour", "end_s"),
    [
        ("fluid", "2 MB/s", 20.0),
        ("steps", "2 MB/s", 20.0),
        # Half as fast for 7 s, on average; in bursts half an exchange that was left, then a step of 1 s + 4 s.
        ("fluid", "0.25 MB/s", 23.5),
        ("steps", "0.25 MB/s", 24.5),
    ],
)
def test_a_graph_has_its_own_ways_round(traffic, detour, end_s, tmp_path):
    write_ring(tmp_path, "1 MB/s", detour)
    told = events((5.5, "p to q", "fail"), (12.5, "p to q", "repair"))
    network = net(topology="graph", graph="net.json", traffic=traffic, events=told)
    result = run(hall(2, network=network), gang(), profiles=costs(), base_dir=tmp_path)
    assert result.jobs["end_s"].tolist() == pytest.approx([end_s], rel=1e-12)
    sent = link_bytes(result)
    assert sent["p to q"] + sent["r to s"] == pytest.approx(1e7)
    assert sent["q to p"] == pytest.approx(1e7)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_job_is_no_faster_on_a_detour_than_on_its_own_way(traffic, tmp_path):
    # As built the way is by a link of 0.5 MB/s: 3 s a step. Since that is down all go by links of 1 MB/s.
    write_ring(tmp_path, "0.5 MB/s", "1 MB/s")
    told = events((0.0, "p to q", "fail"), (0.0, "q to p", "fail"))
    network = net(topology="graph", graph="net.json", traffic=traffic, events=told)
    for horizon_s in (None, 2.6, 29.9):
        scenario = hall(2, network=network, horizon_s=horizon_s)
        result = run(scenario, gang(), profiles=costs(), base_dir=tmp_path)
        worked_s = 30.0 if horizon_s is None else horizon_s
        assert result.jobs["compute_s"] + result.jobs["communication_s"] == pytest.approx([worked_s])


# -- who starts meanwhile ----------------------------------------------------------------------------------


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_job_started_on_a_detour_costs_what_it_costs_on_its_own_way(traffic):
    # Between aggregation and core links are half as fast, so that 1 MB takes 2 s: 3 s a step on any way.
    network = {"topology": "k_ary_fat_tree", "k_ary": {"k": 4, "oversubscription": 2.0}}
    told = [(0.0, "edge 0 to aggregation 1", "fail"), (9.0, "edge 0 to aggregation 1", "repair")]
    result = over(traffic, told, servers=8, gangs=[(0, 7)], network=network)
    assert result.jobs["end_s"].tolist() == pytest.approx([30.0], rel=1e-12)
    assert spent(result) == pytest.approx({"compute_s": 10.0, "communication_s": 20.0})


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize("latency_s", [0.0, 0.01])
def test_a_job_started_cut_off_begins_with_the_repair(traffic, latency_s):
    told = [(0.0, "edge 0 to *", "fail"), (7.0, "edge 0 to *", "repair")]
    network = K_ARY | {"latency_s": latency_s}
    result = over(traffic, told, servers=8, gangs=[(0, 7)], network=network)
    # In steps the first second of computing, and the latency of two rounds, are done by then.
    step_s = 2.0 + 2 * latency_s
    begun_s = 0.0 if traffic == "fluid" else 1.0 + 2 * latency_s
    assert result.jobs["end_s"].tolist() == pytest.approx([7.0 + 10 * step_s - begun_s], rel=1e-12)
    assert spent(result) == pytest.approx(
        {"compute_s": 10.0, "communication_s": 10 * (step_s - 1.0), "network_stall_s": 7.0 - begun_s}
    )


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_job_started_on_a_link_that_is_down_begins_with_the_repair(traffic):
    told = [(0.0, "server 1 up", "fail"), (7.0, "server 1 up", "repair")]
    result = over(traffic, told)
    begun_s = 0.0 if traffic == "fluid" else 1.0
    assert result.jobs["end_s"].tolist() == pytest.approx([27.0 - begun_s], rel=1e-12)


# -- storage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize("network", [{}, K_ARY], ids=["star", "k_ary"])
def test_a_job_whose_way_to_storage_is_cut_waits_for_its_input(traffic, network):
    """Its server alone: no exchange. 0.25 MB a device of input each second over 1 MB/s."""
    told = [(3.5, "server 0 down", "fail"), (9.5, "server 0 down", "repair")]
    result = over(
        traffic,
        told,
        servers=2,
        jobs=gang(accelerators=4),
        network=network,
        profiles=costs(input_bytes=1.25e5),
        storage=FAST_STORE,
    )
    # Steps read 0.5 s ahead; the input of the next step, asked for at 3.5 s as a step begins, comes at 10 s.
    # Fluid: 0.5 MB/s all the time, none for 6 s.
    end_s = {"fluid": 16.0, "steps": 0.5 + 4.0 + 6.0 - 0.5 + 6.0}[traffic]
    assert result.jobs["end_s"].tolist() == pytest.approx([end_s], rel=1e-12)
    assert result.jobs["data_stall_s"].tolist() == pytest.approx([end_s - 10.0])


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize("network", [{}, K_ARY], ids=["star", "k_ary"])
def test_a_checkpoint_under_way_waits_for_its_link(traffic, network):
    # 1 MB, half of it from each server: 0.5 s after each 4 s of work; half of the first is there at 4.25 s.
    told = [(4.25, "server 0 up", "fail"), (9.25, "server 0 up", "repair")]
    result = over(traffic, told, servers=8, gangs=[(0, 4)], network=network, **SAVED)
    assert result.jobs["checkpoint_s"].tolist() == pytest.approx([4 * 0.5 + 5.0])
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0 + 4 * 0.5 + 5.0])
    # In four checkpoints and ten steps.
    assert link_bytes(result)["server 0 up"] == pytest.approx(1e7 + 4 * 0.5e6)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_checkpoint_under_way_takes_another_way(traffic):
    there_and_back = {"servers": 8, "gangs": [(0, 4)], "network": K_ARY, **SAVED}
    plain = over(traffic, [], **there_and_back)
    way = next(name for name in link_bytes(plain) if name.startswith("edge 0 to"))
    result = over(traffic, [(4.25, way, "fail")], **there_and_back)
    assert result.jobs["end_s"].tolist() == plain.jobs["end_s"].tolist() == pytest.approx([22.0], rel=1e-12)
    edges = [f"edge 0 to aggregation {number}" for number in range(2)]
    there, all_of = (
        math.fsum(link_bytes(found).get(name, 0.0) for name in edges) for found in (result, plain)
    )
    assert there == pytest.approx(all_of)
    assert link_bytes(result)[way] < link_bytes(plain)[way]


# -- the same bytes ----------------------------------------------------------------------------------------

_SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.simulation.test_links_in_runs import digest_of_hashed_ways
print(digest_of_hashed_ways(guards=False))
"""


def digest_of_hashed_ways(*, guards):
    """SHA-256 over every table of a run over hashed ways that fail, told step by step for a while."""
    network = K_ARY | {"traffic": "steps", "steps_from_s": 3.0, "steps_until_s": 12.0, "collective": "auto"}
    told = events(
        (4.5, "core 0 *", "fail"), (7.5, "core 0 *", "repair"), (9.0, "edge * to *", "degrade", 0.5)
    )
    jobs = gang(submit_s=[0.0, 1.0, 2.5], accelerators=[16, 12, 24])
    scenario = hall(16, network=net(**network, events=told))
    result = simulate(scenario, jobs=jobs, profiles=costs(input_bytes=1e5), guards=guards)
    found = hashlib.sha256()
    for name in ("jobs", "events", "series", "links", "tiers"):
        for column in getattr(result, name).values():
            found.update(repr(column.tolist()).encode() if column.dtype == object else column.tobytes())
    return found.hexdigest()


def test_hash_seeds_processes_and_guards_leave_the_bytes_alone(repository):
    script = _SCRIPT.format(root=str(repository))
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "1")
    ]
    digests = {job.communicate()[0].strip() for job in jobs}
    assert digests == {digest_of_hashed_ways(guards=True)} == {digest_of_hashed_ways(guards=False)}
