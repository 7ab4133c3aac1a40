"""What a step exchanges over each topology: times alone and bytes on links by hand, alone and where jobs meet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dcsim.simulation.inputs import prepare
from dcsim.workload.parallel import Layout
from dcsim.workload.profile import CollectiveTraffic
from tests.simulation.exchanging import both, costs, gang, link_bytes, net
from tests.simulation.halls import hall

ALWAYS = 1e-12
"""A step that computes for so long is always sending."""
PLAIN = Layout()
REDUCED = CollectiveTraffic(all_reduce_bytes=1e6, all_reduce_count=1)


def alone(
    network: dict[str, Any], servers: int, gang_on: Sequence[int], profiles: Any = None, **parts: Any
) -> Any:
    """Run one gang on all devices of some servers in both ways of telling; returns its seconds a step and the results."""
    jobs = gang(accelerators=4 * len(gang_on))
    results = both(jobs, profiles or costs(), network, servers=servers, gangs=[gang_on], **parts)
    ends = [float(result.jobs["end_s"][0]) / 10 for result in results]
    assert ends[1] == pytest.approx(ends[0], rel=1e-9)
    for name, size in link_bytes(results[0]).items():
        assert link_bytes(results[1])[name] == pytest.approx(size, rel=1e-9)
    return ends[0], results[0]


# A step computes 1 s. Between s servers, all 4 devices of each, an all-reduce of 1 MB by rings between devices
# of equal index puts 2 (s - 1) / s MB on the links out of and into each server.


ALONE: list[tuple[dict[str, Any], int, tuple[int, ...], float]] = [
    ({"topology": "star"}, 4, (0, 1), 2.0),
    ({"topology": "star"}, 4, (0, 1, 2, 3), 2.5),
    ({"topology": "star", "collective": "in_network"}, 4, (0, 1, 2, 3), 2.0),
    # k = 4: servers 0 and 1 on one edge switch, 2 and 3 on another of the pod, 4 in the next pod.
    ({"topology": "k_ary_fat_tree", "k_ary": {"k": 4}}, 8, (0, 7), 2.0),
    ({"topology": "k_ary_fat_tree", "k_ary": {"k": 4, "oversubscription": 4.0}}, 8, (0, 1), 2.0),
    ({"topology": "k_ary_fat_tree", "k_ary": {"k": 4, "oversubscription": 4.0}}, 8, (0, 2), 5.0),
    ({"topology": "k_ary_fat_tree", "k_ary": {"k": 4, "oversubscription": 4.0}}, 8, (0, 7), 5.0),
    # Over two equal ways at once half of it on each.
    (
        {"topology": "k_ary_fat_tree", "k_ary": {"k": 4, "oversubscription": 4.0}, "routing": "spread"},
        8,
        (0, 2),
        3.0,
    ),
    (
        {"topology": "k_ary_fat_tree", "k_ary": {"k": 4, "oversubscription": 4.0}, "routing": "spread"},
        8,
        (0, 7),
        3.0,
    ),
    # Four rails of 0.25 MB/s; between groups of one server each rail leaf has an uplink of its rail's speed.
    ({"topology": "rail_optimised", "rails": {"per_server": 4}}, 4, (0, 1), 2.0),
    ({"topology": "rail_optimised", "rails": {"per_server": 4, "servers_per_group": 1}}, 4, (0, 1), 2.0),
    (
        {
            "topology": "rail_optimised",
            "rails": {"per_server": 4, "servers_per_group": 1, "oversubscription": 2.0},
        },
        4,
        (0, 1),
        3.0,
    ),
    # A server a router, two routers a group, one link between any two groups.
    (
        {
            "topology": "dragonfly",
            "dragonfly": {"groups": 3, "routers_per_group": 2, "servers_per_router": 1},
        },
        6,
        (0, 1),
        2.0,
    ),
    (
        {
            "topology": "dragonfly",
            "dragonfly": {
                "groups": 3,
                "routers_per_group": 2,
                "servers_per_router": 1,
                "local_bandwidth_bytes_per_s": 5e5,
                "global_bandwidth_bytes_per_s": 2.5e5,
            },
        },
        6,
        (0, 1),
        3.0,
    ),
    (
        {
            "topology": "dragonfly",
            "dragonfly": {
                "groups": 3,
                "routers_per_group": 2,
                "servers_per_router": 1,
                "global_bandwidth_bytes_per_s": 2.5e5,
            },
        },
        6,
        (0, 5),
        5.0,
    ),
    # Neighbours in a torus, all of a ring, all of a plane: every link of the ring of servers is its own.
    ({"topology": "torus", "torus": {"shape": (3, 2)}}, 6, (0, 1), 2.0),
    ({"topology": "torus", "torus": {"shape": (4, 1)}}, 4, (0, 1, 2, 3), 2.5),
    ({"topology": "torus", "torus": {"shape": (2, 2)}}, 4, (0, 1, 2, 3), 2.5),
    ({"topology": "torus", "torus": {"shape": (2, 2, 2)}}, 8, tuple(range(8)), 2.75),
    (
        {"topology": "torus", "torus": {"shape": (2, 2, 2), "link_bandwidth_bytes_per_s": 5e5}},
        8,
        tuple(range(8)),
        4.5,
    ),
]
"""(network, servers, servers of the gang, seconds a step)."""


@pytest.mark.parametrize(("network", "servers", "gang_on", "step_s"), ALONE, ids=str)
def test_a_lone_job_takes_its_computing_and_its_bytes_over_the_slowest_link(
    network, servers, gang_on, step_s
):
    found_s, result = alone(network, servers, gang_on)
    assert found_s == pytest.approx(step_s, rel=1e-12)
    size = len(gang_on)
    sent = 1e6 if network.get("collective") == "in_network" else 2e6 * (size - 1) / size
    assert result.jobs["network_bytes"].tolist() == pytest.approx([10 * size * sent])


@pytest.mark.parametrize(
    ("gang_on", "sent", "slowest"), [((0, 1), 2e6, 1e6), ((0, 2), 2e6, 5e5), ((0, 1, 2, 3), 3e6, 5e5)]
)
def test_a_ring_crosses_the_uplink_of_a_rack_once(gang_on, sent, slowest):
    # Racks of two servers, four times oversubscribed: 0.5 MB/s up and down. An all-reduce of 2 MB.
    network = {"topology": "fat_tree", "oversubscription": 4.0, "spines": 1}
    jobs = gang(accelerators=4 * len(gang_on))
    for result in both(jobs, costs(1.0, 2e6), network, servers=2, racks=2, gangs=[gang_on]):
        assert result.jobs["end_s"].tolist() == pytest.approx([10 * (1.0 + sent / slowest)], rel=1e-12)
        crossed = {name: link_bytes(result).get(name, 0.0) for name in ("rack 0 up", "rack 1 down")}
        expected = 0.0 if gang_on == (0, 1) else 10 * sent
        assert crossed == pytest.approx({"rack 0 up": expected, "rack 1 down": expected})


@pytest.mark.parametrize("collective", ["ring", "tree", "hierarchical", "in_network", "auto"])
def test_latency_is_paid_for_each_round_and_each_hop(collective):
    # Two servers, four devices each: a ring of eight in 14 rounds, a double tree of two servers or rings between
    # them, or switches, in 2.
    rounds = {"ring": 14}.get(collective, 2)
    sent = {"ring": 1.75e6}.get(collective, 1e6)
    for changes, hop_s in (({"latency_s": 0.01}, 0.01), ({"hop_latency_s": 0.01, "latency_s": 5.0}, 0.02)):
        jobs = gang()
        for result in both(jobs, costs(), {"collective": collective} | changes, servers=3, gangs=[(0, 1)]):
            if collective == "auto" and "hop_latency_s" in changes:
                continue  # it goes by latency_s, and so may choose otherwise
            expected = 10 * (1.0 + sent / 1e6 + rounds * hop_s)
            assert result.jobs["end_s"].tolist() == pytest.approx([expected], rel=1e-12)


def test_a_message_of_nothing_is_not_sent():
    jobs = gang(parallelism="tensor=2")
    nothing = {"dimension": "tensor", "collective": "all_reduce"}
    for result in both(jobs, costs(1.0, 0.0, parallel=(nothing,)), {"latency_s": 0.25}):
        assert result.jobs["end_s"].tolist() == pytest.approx([10.0], rel=1e-12)


# -- where jobs meet ---------------------------------------------------------------------------------------


def ring_of(network: Any, gang_on: Sequence[int], flow: int) -> dict[int, float]:
    """Return {link: weight} of what a gang's ring crosses."""
    return dict(network.ring_uses(gang_on, flow))


@pytest.mark.parametrize("oversubscription", [1.0, 2.0])
def test_hashed_ways_that_meet_share_a_link_and_others_do_not(oversubscription):
    """Of two jobs between pods of a k-ary tree, which always send: half as fast if their hashes take one link."""
    network = {"topology": "k_ary_fat_tree", "k_ary": {"k": 4, "oversubscription": oversubscription}}
    routes = hall_of(16, **network).network
    seen = set()
    for first, second in combinations([(a, b) for a in range(4) for b in range(8, 12)], 2):
        if set(first) & set(second):
            continue
        shared = set(ring_of(routes, first, 0)) & set(ring_of(routes, second, 1))
        if bool(shared) in seen:
            continue
        seen.add(bool(shared))
        jobs = gang(submit_s=[0.0, 0.0])
        for result in both(jobs, costs(ALWAYS), network, servers=16, gangs=[first, second]):
            expected = 10 * oversubscription * (2.0 if shared else 1.0)
            assert result.jobs["end_s"].tolist() == pytest.approx([expected] * 2, rel=1e-9)
    assert seen == {True, False}


def test_rings_that_interleave_on_a_torus_share_its_links():
    # On a ring of four nodes 0 and 2 exchange both ways round by x+ (the first of equals), and so do 1 and 3.
    network = {"topology": "torus", "torus": {"shape": (4, 1)}}
    jobs = gang(submit_s=[0.0, 0.0])
    for result in both(jobs, costs(ALWAYS), network, servers=4, gangs=[(0, 2), (1, 3)]):
        assert result.jobs["end_s"].tolist() == pytest.approx([20.0, 20.0], rel=1e-9)
        assert link_bytes(result)["node 0 x+"] == pytest.approx(2 * 10 * 1e6)
    for result in both(jobs, costs(ALWAYS), network, servers=4, gangs=[(0, 1), (2, 3)]):
        assert result.jobs["end_s"].tolist() == pytest.approx([10.0, 10.0], rel=1e-9)


# -- what is known once --------------------------------------------------------------------------------------


def hall_of(servers: int = 4, **network: Any) -> Any:
    """Return all that a run in a hall starts from."""
    return prepare(hall(servers, network=net(**network)), 0, Path(), jobs=gang(), profiles=costs())


def placed(inputs: Any, gang_on: Sequence[int], layout: Layout = PLAIN, **arguments: Any) -> Any:
    """Return what a gang on all four devices of some servers exchanges: an all-reduce of 1 MB."""
    placement = tuple((server, 4) for server in gang_on)
    device = inputs.catalogue["D"]
    known = {"inside_measured": True, "flow": 0} | arguments
    return inputs.links.exchanges.placed(REDUCED, layout, 8, placement, device, **known)


def test_where_a_tree_is_uniform_the_bandwidth_of_a_server_says_all():
    inputs = hall_of()
    assert inputs.links.exchanges.always_nominal(PLAIN)
    assert not inputs.links.exchanges.always_nominal(Layout(tensor=2))
    for network in (
        {"collective": "tree"},
        {"hop_latency_s": 1e-6},
        {"topology": "fat_tree", "oversubscription": 8.0},
        {"topology": "torus", "torus": {"shape": (2, 2)}},
    ):
        assert not hall_of(**network).links.exchanges.always_nominal(PLAIN)
    device = inputs.catalogue["D"]
    nominal = inputs.links.exchanges.nominal(REDUCED, PLAIN, 8, (4, 4, 4), device, inside_measured=True)
    found = placed(inputs, (0, 1, 3))
    assert nominal.times[0] == pytest.approx(found.times[0])
    assert nominal.busiest_bytes == pytest.approx(found.busiest_bytes)
    assert nominal.sent_bytes == found.sent_bytes == pytest.approx(4e6)


def test_a_gang_inside_one_server_puts_nothing_between_servers():
    inputs = hall_of()
    found = placed(inputs, (2,), inside_measured=False)
    assert (found.busiest_bytes, found.sent_bytes) == (0.0, 0.0)
    assert found.times == ((pytest.approx(1.5e6 / 4e6), 0.0),)
    assert found is placed(inputs, (2,), inside_measured=False)


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("topology", ["star", "fat_tree", "rail_optimised"])
def test_switches_that_reduce_leave_each_server_what_it_sends_and_receives(stage, topology):
    """All-reduce: 1 MB up and down everywhere. Scattered and gathered: up 1 - 1/3, then 1/3; down the reverse."""
    inputs = hall_of(topology=topology, collective="in_network")
    found, network = placed(inputs, (0, 1, 3), Layout(zero_stage=stage)), inputs.network
    uses, reference = found.together
    on = {link: weight * reference for link, weight in uses}
    for server in (0, 1, 3):
        sent = sum(on[up] for up, _ in network.own_links(server))
        received = sum(on[down] for _, down in network.own_links(server))
        assert (sent, received) == (pytest.approx(1e6), pytest.approx(1e6))
    assert found.sent_bytes == pytest.approx(3e6)


@pytest.mark.parametrize("latency_s", [0.0, 0.25])
def test_who_is_cut_off_would_take_as_long_as_over_a_servers_own_link(latency_s):
    inputs = hall_of(8, topology="k_ary_fat_tree", k_ary={"k": 4}, latency_s=latency_s)
    network, whole = inputs.network, placed(inputs, (0, 7))
    for name in ("edge 0 to aggregation 0", "edge 0 to aggregation 1"):
        network.set_link(network.first_link + network.link_names.index(name), 0.0)
    cut = placed(inputs, (0, 7))
    assert [link for part in cut.parts for link, _ in part.uses] == [inputs.links.ways.dead_end]
    assert cut.times[0] == pytest.approx(whole.times[0])
    assert cut.busiest_bytes == whole.busiest_bytes == 1e6
    built = placed(inputs, (0, 7), as_built=True)
    assert [part.uses for part in built.parts] == [part.uses for part in whole.parts]
    network.repair_all()
    assert placed(inputs, (0, 7)).parts[0].uses == whole.parts[0].uses
