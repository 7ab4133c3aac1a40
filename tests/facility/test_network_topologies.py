"""What each topology is made of: counts, bisections, path lengths, judged by closed forms and by scipy's graphs."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow, shortest_path

from dcsim.errors import ScenarioError
from dcsim.facility.network import Network
from dcsim.facility.network.dragonfly import global_links
from dcsim.spec.network import TOPOLOGIES, DragonflySpec, NetworkSpec

GBIT = 1.25e8


def _one_rack(servers: int) -> np.ndarray:
    return np.zeros(servers, dtype=np.int64)


def _k_ary(k: int, servers: int | None = None, **more) -> Network:
    spec = NetworkSpec(topology="k_ary_fat_tree", k_ary={"k": k}, **more)
    return Network(spec, _one_rack(k**3 // 4 if servers is None else servers))


def _dragonfly(servers: int | None = None, routing: str | None = None, **shape) -> Network:
    spec = NetworkSpec(topology="dragonfly", dragonfly=shape, routing=routing)
    most = shape["groups"] * shape["routers_per_group"] * shape["servers_per_router"]
    return Network(spec, _one_rack(most if servers is None else servers))


def _torus(*shape: int, routing: str | None = None, servers: int | None = None) -> Network:
    spec = NetworkSpec(topology="torus", torus={"shape": shape}, routing=routing)
    return Network(spec, _one_rack(math.prod(shape) if servers is None else servers))


def _switch_graph(network: Network) -> tuple[dict[str, int], list[tuple[int, int, float]]]:
    """Return the nodes and (from, to, capacity) of links called "X to Y", read from their names alone."""
    node: dict[str, int] = {}
    edges = []
    for name, capacity in zip(network.link_names, network.capacity_bytes_per_s, strict=True):
        found = re.fullmatch(r"(\w+ \d+) to (\w+ \d+)( #\d+)?", name)
        if found:
            ends = [node.setdefault(end, len(node)) for end in found.group(1, 2)]
            edges.append((ends[0], ends[1], capacity))
    return node, edges


# -- three-tier fat-tree -----------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 4, 6, 8])
def test_a_k_ary_fat_tree_has_the_published_counts(k: int) -> None:
    network = _k_ary(k)
    assert network.switches == 5 * k**2 // 4
    assert network.power_w == 600.0 * network.switches
    # k^3/4 links in each of three tiers, each in two directions.
    assert Counter(network.link_tiers) == dict.fromkeys(("server", "edge", "aggregation"), k**3 // 2)
    node, edges = _switch_graph(network)
    ports = Counter(source for source, _, _ in edges)
    for name, number in node.items():
        # Every switch has k ports; half of an edge switch's lead to servers.
        assert ports[number] == (k // 2 if name.startswith("edge") else k)
    assert len(set(network.link_names)) == len(network.link_names)


@pytest.mark.parametrize(("k", "oversubscription"), [(4, 1.0), (6, 1.0), (4, 2.0)])
def test_half_of_a_k_ary_fat_tree_can_send_to_the_other_half_at_full_speed(
    k: int, oversubscription: float
) -> None:
    network = _k_ary(k, server_bandwidth_bytes_per_s=8.0, oversubscription=oversubscription)
    node, edges = _switch_graph(network)
    source, sink = len(node), len(node) + 1
    half = k // 2
    for edge in range(k * half):  # what the servers under each edge switch can send or take
        end = (source, node[f"edge {edge}"]) if edge < k * half // 2 else (node[f"edge {edge}"], sink)
        edges.append((*end, 8.0 * half))
    rows, columns, capacity = zip(*edges, strict=True)
    graph = coo_array((np.array(capacity).astype(np.int32), (rows, columns)), shape=(sink + 1, sink + 1))
    flow = maximum_flow(graph.tocsr(), source, sink).flow_value
    assert flow == k**3 / 8 * 8.0 / oversubscription


@pytest.mark.parametrize("k", [4, 6])
def test_a_k_ary_fat_tree_has_as_many_shortest_ways_as_published(k: int) -> None:
    half = k // 2
    network = _k_ary(k, routing="spread")
    last = k**3 // 4 - 1
    between = network.uses([(0, last, 1.0)])
    tiers = Counter(network.link_tiers[link] for link, _ in between)
    # Up to half aggregation switches, from each to half cores, and down the same way.
    assert tiers == {"server": 2, "edge": 2 * half, "aggregation": 2 * half**2}
    assert min(weight for _, weight in between) == pytest.approx(1 / half**2)
    in_pod = Counter(network.link_tiers[link] for link, _ in network.uses([(0, half**2 - 1, 1.0)]))
    assert in_pod == {"server": 2, "edge": 2 * half}
    assert len(network.uses([(0, half - 1, 1.0)])) == 2


def test_links_between_switches_are_slower_by_the_oversubscription() -> None:
    spec = NetworkSpec(
        topology="k_ary_fat_tree", k_ary={"k": 4, "oversubscription": 4.0}, oversubscription=2.0
    )
    network = Network(spec, _one_rack(16))
    tiers = dict(zip(network.link_tiers, network.capacity_bytes_per_s, strict=True))
    assert tiers == {"server": 50e9, "edge": 12.5e9, "aggregation": 12.5e9}
    assert network.nominal_bandwidth_bytes_per_s == 50e9


# -- leaves and spines -------------------------------------------------------------------------------


def test_hashed_leaves_have_a_link_to_every_spine_and_carry_as_much_as_the_bundle() -> None:
    rack = np.repeat(np.arange(4), 8)
    bundle = Network(NetworkSpec(oversubscription=2.0), rack)
    hashed = Network(NetworkSpec(oversubscription=2.0, routing="ecmp", spines=4), rack)
    assert bundle.is_tree
    assert not hashed.is_tree
    assert (bundle.switches, hashed.switches) == (5, 8)
    of_leaf = [
        capacity
        for name, capacity in zip(hashed.link_names, hashed.capacity_bytes_per_s, strict=True)
        if name.startswith("rack 2 to spine")
    ]
    assert len(of_leaf) == 4
    assert sum(of_leaf) == bundle.capacity_bytes_per_s[bundle.leaf_up[2]] == 8 * 50e9 / 2.0
    assert Counter(hashed.link_tiers[link] for link, _ in hashed.uses([(0, 31, 1.0)])) == {
        "server": 2,
        "leaf": 2,
    }
    assert len(hashed.uses([(0, 7, 1.0)])) == 2


@pytest.mark.parametrize("routing", ["spread", "ecmp", "shortest"])
def test_each_rail_has_its_own_leaf_and_a_transfer_takes_all_rails_alike(routing: str) -> None:
    spec = NetworkSpec(
        topology="rail_optimised", rails={"servers_per_group": 16}, routing=routing, oversubscription=2.0
    )
    network = Network(spec, _one_rack(40), accelerators=8)
    # 3 groups of 8 leaves, and a spine for each 8 of them.
    assert network.switches == 3 * 8 + 3
    assert network.nominal_bandwidth_bytes_per_s == 50e9
    tiers = Counter(network.link_tiers)
    assert tiers["rail"] == 2 * 40 * 8
    assert tiers["leaf"] == 2 * 24 * (1 if routing == "spread" else 3)
    assert tiers["front end"] == 2 * 40

    near = network.uses([(0, 15, 1.0)])
    assert [network.link_names[link] for link, _ in near][:2] == ["server 0 rail 0 up", "server 0 rail 1 up"]
    assert Counter(network.link_tiers[link] for link, _ in near) == {"rail": 16}
    assert {weight for _, weight in near} == {1 / 8}
    assert len(network.own_links(3)) == 8
    far = network.uses([(0, 16, 1.0)])
    assert Counter(network.link_tiers[link] for link, _ in far) == {"rail": 16, "leaf": 16}
    assert {weight for _, weight in far} == {1 / 8}
    # The last group has 8 servers, so its leaves have half the uplinks.
    uplink = dict(zip(network.link_names, network.capacity_bytes_per_s, strict=True))
    first, last = sorted(name for name in uplink if re.match(r"group [02] rail 0 (up|to spine 0)$", name))
    assert uplink[first] == 2 * uplink[last]
    of_leaf = [capacity for name, capacity in uplink.items() if re.match(r"group 0 rail 0 (up|to)", name)]
    assert sum(of_leaf) == pytest.approx(16 * (50e9 / 8) / 2.0)


def test_a_single_group_of_rails_has_no_spines() -> None:
    network = Network(NetworkSpec(topology="rail_optimised", rails={"per_server": 4}), _one_rack(32))
    assert network.switches == 4
    assert set(network.link_tiers) == {"rail", "front end"}
    assert {network.capacity_bytes_per_s[link] for link, _ in network.own_links(0)} == {50e9 / 4}


# -- dragonfly ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrangement", ["palmtree", "consecutive"])
@pytest.mark.parametrize(
    ("groups", "routers", "links"), [(9, 4, 2), (3, 2, 1), (5, 2, None), (4, 3, 2), (1, 4, None), (2, 1, 5)]
)
def test_every_two_groups_of_a_dragonfly_are_joined_alike(
    arrangement: str, groups: int, routers: int, links: int | None
) -> None:
    shape = DragonflySpec.model_validate(
        {
            "groups": groups,
            "routers_per_group": routers,
            "servers_per_router": 1,
            "global_links_per_router": links,
            "arrangement": arrangement,
        }
    )
    source, target = global_links(shape)
    pairs = Counter(zip(source.tolist(), target.tolist(), strict=True))
    assert all(pairs[b, a] == count for (a, b), count in pairs.items()), "each link leads both ways"
    between = Counter((a // routers, b // routers) for a, b in pairs.elements())
    per_router = links or -(-(groups - 1) // routers)
    each = routers * per_router // max(1, groups - 1)
    expected = {(a, b): each for a in range(groups) for b in range(groups) if a != b}
    assert between == expected
    assert max(Counter(source.tolist()).values(), default=0) <= per_router


@pytest.mark.parametrize(
    ("arrangement", "order"),
    [("palmtree", [8, 7, 6, 5, 4, 3, 2, 1]), ("consecutive", [1, 2, 3, 4, 5, 6, 7, 8])],
)
def test_ports_of_the_first_group_lead_where_the_arrangement_says(arrangement: str, order: list[int]) -> None:
    shape = DragonflySpec.model_validate(
        {"groups": 9, "routers_per_group": 4, "servers_per_router": 2, "arrangement": arrangement}
    )
    source, target = global_links(shape)
    assert source[:8].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (target[:8] // 4).tolist() == order


def test_the_dragonfly_of_the_paper_has_three_hops_at_most_and_one_between_groups() -> None:
    # Kim et al., figure 5: a = 4, p = h = 2, g = 9, 72 terminals.
    network = _dragonfly(groups=9, routers_per_group=4, servers_per_router=2)
    assert (len(network.server_up), network.switches) == (72, 36)
    tiers = Counter(network.link_tiers)
    assert (tiers["local"], tiers["global"]) == (9 * 4 * 3, 9 * 8)
    longest = 0
    for target in range(1, 72):
        on_way = Counter(network.link_tiers[link] for link, _ in network.uses([(0, target, 1.0)]))
        assert on_way["global"] == (target >= 8)
        assert on_way["local"] <= 2
        longest = max(longest, on_way["local"] + on_way["global"])
    assert longest == 3
    _, edges = _switch_graph(network)
    rows, columns, capacity = zip(*edges, strict=True)
    hops = shortest_path(
        coo_array((np.ones(len(capacity)), (rows, columns)), shape=(36, 36)), unweighted=True
    )
    assert hops.max() == 3


# -- torus -------------------------------------------------------------------------------------------


def _ring_distance(a: int, b: int, side: int) -> int:
    return min((a - b) % side, (b - a) % side)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 3, 4), (1, 6, 2)])
@pytest.mark.parametrize("routing", ["shortest", "spread", "ecmp"])
def test_torus_hops_are_the_sum_of_the_ways_round_each_ring(shape: tuple[int, ...], routing: str) -> None:
    network = _torus(*shape, routing=routing)
    place = np.array(np.unravel_index(np.arange(math.prod(shape)), shape, order="F")).T
    for source in range(math.prod(shape)):
        for target in range(math.prod(shape)):
            hops = sum(map(_ring_distance, place[source], place[target], shape))
            uses = network.uses([(source, target, 1.0)])
            assert sum(weight for _, weight in uses) == pytest.approx(hops)
            if routing != "spread":
                assert len(uses) == hops


@pytest.mark.parametrize(
    ("shape", "links", "cut"), [((4, 4), 64, 16), ((4, 4, 4), 384, 64), ((3, 3), 36, None), ((2, 2), 8, 4)]
)
def test_torus_links_and_bisection(shape: tuple[int, ...], links: int, cut: int | None) -> None:
    network = _torus(*shape)
    tiers = [tier for tier in network.link_tiers if tier.startswith("torus")]
    assert len(tiers) == links
    if cut is None:
        return
    # k^(n-1) rings are cut twice, in two directions: 4 k^(n-1) links, of a ring of two 2 k^(n-1).
    names = [name for name in network.link_names if name.startswith("node")]
    side, crossing = shape[0], 0
    for name in names:
        x = int(name.split()[1]) % side
        to = (x + (1 if name.endswith("+") else -1)) % side
        crossing += name.split()[2][0] == "x" and (x < side // 2) != (to < side // 2)
    assert crossing == cut


def test_dimension_order_goes_along_x_before_y_before_z() -> None:
    network = _torus(4, 4, 4)
    for source, target in [(0, 63), (5, 58), (21, 42), (63, 0)]:
        way = [network.link_names[link] for link, _ in network.uses([(source, target, 1.0)])]
        y = source // 4 % 4
        for name in way:
            node, axis = int(name.split()[1]), name.split()[2][0]
            if axis == "x":  # y and z are still those of the source
                assert (node // 4 % 4, node // 16) == (y, source // 16)
            elif axis == "y":
                assert (node % 4, node // 16) == (target % 4, source // 16)
            else:
                assert (node % 4, node // 4 % 4) == (target % 4, target // 4 % 4)


def test_spread_in_a_torus_takes_all_shortest_ways_hop_by_hop() -> None:
    # Two hops right and one up in a 5 x 5 torus: at each node half of it goes each way that still leads nearer.
    network = _torus(5, 5, routing="spread")
    uses = {network.link_names[link]: weight for link, weight in network.uses([(0, 7, 1.0)])}
    assert uses == {
        "node 0 x+": 0.5,
        "node 0 y+": 0.5,
        "node 1 x+": 0.25,
        "node 1 y+": 0.25,
        "node 5 x+": 0.5,
        "node 6 x+": 0.75,
        "node 2 y+": 0.25,
    }


# -- all ---------------------------------------------------------------------------------------------

SPECS: dict[str, dict[str, Any]] = {
    "star": {},
    "fat_tree": {},
    "k_ary_fat_tree": {"k_ary": {"k": 20}},
    "rail_optimised": {},
    "dragonfly": {"dragonfly": {"groups": 32, "routers_per_group": 8, "servers_per_router": 8}},
    "torus": {"torus": {"shape": (10, 10, 20)}},
}


def test_these_are_all_topologies_but_files() -> None:
    assert sorted([*SPECS, "graph"]) == sorted(TOPOLOGIES)


@pytest.mark.parametrize("topology", SPECS)
def test_two_thousand_servers_are_wired_in_half_a_second(topology: str) -> None:
    spec = NetworkSpec(topology=topology, **SPECS[topology])
    rack = np.arange(2000) // 32
    began = time.process_time()
    network = Network(spec, rack, fabric=np.full(2000, 1e12), accelerators=8)
    assert time.process_time() - began < 0.5
    assert len(network.link_names) == len(network.link_tiers) == len(network.capacity_bytes_per_s)
    assert len(set(network.link_names)) == len(network.link_names)
    assert network.link_names[-2000:] == [f"server {s} fabric" for s in range(2000)]


@pytest.mark.parametrize(
    ("spec", "servers", "path"),
    [
        ({"topology": "k_ary_fat_tree", "k_ary": {"k": 4}}, 17, r"k_ary\.k: 17 servers .* 16 .*write `k: 6`"),
        ({"topology": "k_ary_fat_tree", "k_ary": {"k": 2}}, 54, r"write `k: 6`"),
        ({"topology": "k_ary_fat_tree", "k_ary": {"k": 2}}, 55, r"write `k: 8`"),
        (
            {"topology": "torus", "torus": {"shape": (2, 3)}},
            7,
            r"torus\.shape: 7 servers .* 6 servers \(2 x 3\)",
        ),
        (
            {
                "topology": "dragonfly",
                "dragonfly": {"groups": 3, "routers_per_group": 2, "servers_per_router": 2},
            },
            13,
            r"dragonfly\.groups: 13 servers -> expected at most 12 servers",
        ),
    ],
)
def test_too_few_ports_are_refused(spec: dict[str, Any], servers: int, path: str) -> None:
    with pytest.raises(ScenarioError, match=rf"hall\.yaml: network\..*{path}"):
        Network(NetworkSpec(**spec), _one_rack(servers), file="hall.yaml")


def test_places_left_empty_carry_traffic_all_the_same() -> None:
    tree = _k_ary(4, servers=3)
    assert tree.switches == 20
    assert Counter(tree.link_tiers[link] for link, _ in tree.uses([(0, 2, 1.0)])) == {"server": 2, "edge": 2}
    network = _torus(3, 3, servers=2)
    assert network.uses([(0, 1, 1.0)]) == [(0, 1.0)]
    lonely = _torus(4, 1, servers=3)
    assert sum(w for _, w in lonely.uses([(0, 2, 1.0)])) == 2
