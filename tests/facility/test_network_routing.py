"""How traffic finds its way: hashes, spreading, failures; judged by scipy's shortest paths and by conservation."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse.csgraph import shortest_path

from dcsim.errors import UnreachableError
from dcsim.facility.network import Network
from dcsim.facility.network.build import wire
from dcsim.facility.network.routing import Routes, flow_hash, mixed
from dcsim.facility.sharing import max_min_rates
from dcsim.spec.network import NetworkSpec
from dcsim.testing.strategies.facilities import networks

Flows = dict[str, float]


def _one_rack(servers: int) -> np.ndarray:
    return np.zeros(servers, dtype=np.int64)


def _k_ary(k: int, routing: str | None = None) -> Network:
    spec = NetworkSpec(topology="k_ary_fat_tree", k_ary={"k": k}, routing=routing)
    return Network(spec, _one_rack(k**3 // 4))


def _torus(*shape: int, routing: str = "shortest") -> Network:
    spec = NetworkSpec(topology="torus", torus={"shape": shape}, routing=routing)
    return Network(spec, _one_rack(math.prod(shape)))


def _named(network: Network, uses: list[tuple[int, float]]) -> Flows:
    return {network.link_names[link - network.first_link]: weight for link, weight in uses}


def _link(network: Network, name: str) -> int:
    return network.first_link + network.link_names.index(name)


# -- hashing -----------------------------------------------------------------------------------------


def test_the_mixer_gives_the_published_numbers() -> None:
    # The first outputs of SplitMix64 from seeds 0 and 1234567, as its authors' code prints them.
    assert mixed(0) == 0xE220A8397B1DCDAF
    assert mixed(1234567) == 6457827717110365317


def test_hashed_ways_are_the_same_in_every_process() -> None:
    program = (
        "import numpy as np\n"
        "from dcsim.facility.network import Network\n"
        "from dcsim.spec.network import NetworkSpec\n"
        "spec = NetworkSpec(topology='k_ary_fat_tree', k_ary={'k': 8})\n"
        "network = Network(spec, np.zeros(128, dtype=np.int64))\n"
        "print([network.uses([(s, 127 - s, 1.0)], key) for s in range(50) for key in range(3)])\n"
    )
    seen = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4711")
    ]
    assert seen[0] == seen[1] != ""


@pytest.mark.parametrize("by", ["source", "target", "key"])
def test_hashed_flows_use_all_ways_alike(by: str) -> None:
    network = _k_ary(8)  # 16 ways between pods: 4 aggregation switches x 4 cores
    ways: Counter[str] = Counter()
    edges: Counter[int] = Counter()
    count = 0
    for i in range(3200):
        source, target, key = {
            "source": (i % 16, 127, i // 16),
            "target": (0, 64 + i % 64, i // 64),
            "key": (0, 127, i),
        }[by]
        way = tuple(link for link, _ in network.uses([(source, target, 1.0)], key))
        up = [link for link in way if "to core" in network.link_names[link]]
        count += 1
        ways[network.link_names[up[0]].split(" to ")[1]] += 1
        edges[int(network.link_names[up[0]].split()[1]) % 4] += 1
    assert count == sum(ways.values())
    assert len(ways) == 16
    # Both digits of the hash are even, and so are the two together: chance says 1e-4 for less.
    assert stats.chisquare(list(ways.values())).pvalue > 1e-4
    assert stats.chisquare(list(edges.values())).pvalue > 1e-4


def test_digits_of_a_hash_do_not_go_together() -> None:
    # A bare CRC is linear: neighbours in one number would take neighbouring ways at every hop.
    pairs = Counter(divmod(flow_hash(s, t, 0) % 16, 4) for s in range(64) for t in range(64) if s != t)
    table = np.array([[pairs[a, b] for b in range(4)] for a in range(4)])
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_another_key_may_take_another_way_and_the_same_key_never_does() -> None:
    network = _k_ary(4)
    ways = {tuple(network.uses([(0, 15, 1.0)], key)) for key in range(64)}
    assert len(ways) == 4
    assert network.uses([(0, 15, 1.0)], 5) == network.uses([(0, 15, 1.0)], 5)


def test_shortest_is_one_way_for_all_and_the_first_laid() -> None:
    network = _k_ary(4, "shortest")
    uses = _named(network, network.uses([(0, 15, 1.0)], 3))
    assert sorted(uses) == [
        "aggregation 0 to core 0",
        "aggregation 6 to edge 7",
        "core 0 to aggregation 6",
        "edge 0 to aggregation 0",
        "server 0 up",
        "server 15 down",
    ]


# -- spreading ---------------------------------------------------------------------------------------


def _imbalance(flows: Flows) -> dict[str, float]:
    """Return what leaves each switch less what enters it, from the names of links."""
    net: dict[str, float] = {}
    for name, weight in flows.items():
        if " to " in name:
            start, end = name.split(" #")[0].split(" to ")
            net[start] = net.get(start, 0.0) + weight
            net[end] = net.get(end, 0.0) - weight
    return {node: left for node, left in net.items() if abs(left) > 1e-12}


def test_what_enters_a_switch_leaves_it() -> None:
    network = _k_ary(6, "spread")
    for source, target in [(0, 53), (0, 3), (17, 40)]:
        flows = _named(network, network.uses([(source, target, 1.0)]))
        assert flows[f"server {source} up"] == flows[f"server {target} down"] == 1.0
        assert _imbalance(flows) == pytest.approx({f"edge {source // 3}": 1.0, f"edge {target // 3}": -1.0})


@given(st.permutations(range(16)))
def test_spread_traffic_of_any_permutation_fills_no_link_of_a_full_fat_tree(order: list[int]) -> None:
    # A folded Clos network is rearrangeably non-blocking, and equal spreading attains it for fluid traffic:
    # what a switch sends up in all is at most what its servers send, in equal parts on as many links.
    network = _k_ary(4, "spread")
    uses = network.uses([(source, target, 1.0) for source, target in enumerate(order)])
    assert max((weight for _, weight in uses), default=0.0) <= 1.0 + 1e-12
    assert network.drain_s_per_byte(uses) <= (1.0 + 1e-12) / 50e9


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(1, 9)), min_size=1, max_size=12)
)
def test_a_full_fat_tree_that_spreads_shares_as_a_star_does(flows: list[tuple[int, int, int]]) -> None:
    # Links between switches carry at most the mean of what their servers send or take: they hold nobody back.
    flows = [flow for flow in flows if flow[0] != flow[1]]
    rates = []
    for spec in (
        NetworkSpec(topology="star"),
        NetworkSpec(topology="k_ary_fat_tree", k_ary={"k": 4}, routing="spread"),
        NetworkSpec(topology="rail_optimised", rails={"per_server": 2, "servers_per_group": 4}),
    ):
        network = Network(spec, _one_rack(16))
        uses = [
            (i, link, part)
            for i, (s, t, weight) in enumerate(flows)
            for link, part in network.uses([(s, t, weight)])
        ]
        rate = max_min_rates(
            np.array(network.capacity_bytes_per_s),
            np.full(len(flows), np.inf),
            np.array([use[0] for use in uses], dtype=np.int64),
            np.array([use[1] for use in uses], dtype=np.int64),
            np.array([use[2] for use in uses], dtype=np.float64),
        )
        rates.append(rate)
    for rate in rates[1:]:
        assert rate == pytest.approx(rates[0], rel=1e-12)


def test_uses_add_up_and_a_server_needs_no_link_to_itself() -> None:
    network = _torus(4, 4)
    one, two = network.uses([(0, 5, 2.0)]), network.uses([(1, 5, 3.0)])
    expected = Counter(dict(one)) + Counter(dict(two))
    assert network.uses([(0, 5, 2.0), (7, 7, 9.0), (1, 5, 3.0)]) == sorted(expected.items())
    assert network.uses([(3, 3, 1.0)]) == []
    assert network.uses([]) == []


def test_a_ring_is_the_sum_of_its_transfers() -> None:
    for network in (_k_ary(4), _torus(4, 4, routing="spread")):
        servers = [1, 4, 5, 11]
        ring = [(a, b, 1.0) for a, b in zip(servers, [4, 5, 11, 1], strict=True)]
        assert network.ring_uses(servers, 7) == network.uses(ring, 7)


# -- storage -----------------------------------------------------------------------------------------


def test_storage_is_behind_all_cores() -> None:
    network = _k_ary(4, "spread")
    down = _named(network, network.read_uses([(0, 1.0), (5, 2.0)]))
    assert down["server 0 down"] == 1.0
    assert down["server 5 down"] == 2.0
    from_cores = {name: weight for name, weight in down.items() if name.startswith("core")}
    assert from_cores == {
        f"core {c} to aggregation {2 * pod + c // 2}": (1.0, 2.0)[pod] / 4 for c in range(4) for pod in (0, 1)
    }
    up = _named(network, network.write_uses([(0, 1.0), (5, 2.0)]))
    assert sum(weight for name, weight in up.items() if "to core" in name) == pytest.approx(3.0)
    assert _imbalance(up) == pytest.approx(
        {"edge 0": 1.0, "edge 2": 2.0} | {f"core {c}": -0.75 for c in range(4)}
    )


@pytest.mark.parametrize("routing", ["ecmp", "shortest"])
def test_other_routing_reads_each_server_over_one_core_but_not_all_over_the_same(routing: str) -> None:
    network = _k_ary(8, routing)
    ways = [_named(network, network.read_uses([(s, 1.0)])) for s in range(128)]
    assert all(len(way) == 3 for way in ways)
    cores = Counter(name.split(" to ")[0] for way in ways for name in way if name.startswith("core"))
    assert len(cores) == 16
    assert stats.chisquare(list(cores.values())).pvalue > 1e-4


def test_direct_networks_have_a_front_end_of_their_own() -> None:
    spec = NetworkSpec(
        topology="torus", torus={"shape": (2, 2)}, storage_link_bandwidth_bytes_per_s="100 Gbit/s"
    )
    network = Network(spec, _one_rack(4), first_link=10)
    uses = network.read_uses([(3, 0.5), (1, 2.0)])
    assert _named(network, uses) == {"server 1 front end down": 2.0, "server 3 front end down": 0.5}
    assert uses == sorted(uses)
    assert network.drain_s_per_byte(uses) == 2.0 / 12.5e9
    assert _named(network, network.write_uses([(3, 1.0)])) == {"server 3 front end up": 1.0}
    assert network.feed_uses([(3, 0.5), (1, 2.0)]) == uses


# -- failures ----------------------------------------------------------------------------------------


def test_traffic_goes_round_a_failed_link_and_back_when_it_is_mended() -> None:
    for routing in ("shortest", "ecmp", "spread"):
        network = _k_ary(4, routing)
        before = network.uses([(0, 15, 1.0)])
        failed = next(link for link, _ in before if "to core" in network.link_names[link])
        version = network.routes_version
        assert network.set_link(failed, 0.0) == 0.0
        assert network.routes_version == version + 1
        after = network.uses([(0, 15, 1.0)])
        assert failed not in dict(after)
        assert _imbalance(_named(network, after)) == pytest.approx({"edge 0": 1.0, "edge 7": -1.0})
        assert network.capacity_bytes_per_s[failed] == 0.0
        assert network.built_bandwidth_bytes_per_s(failed) == 50e9
        assert network.set_link(failed, 1.0) == 50e9
        assert network.uses([(0, 15, 1.0)]) == before


def test_spread_after_a_failure_takes_what_is_left_in_equal_parts_at_each_hop() -> None:
    network = _k_ary(4, "spread")
    network.set_link(_link(network, "aggregation 0 to core 1"), 0.0)
    flows = _named(network, network.uses([(0, 15, 1.0)]))
    # The edge switch does not know: each aggregation switch still gets a half, the first has one core left.
    assert flows["edge 0 to aggregation 0"] == flows["edge 0 to aggregation 1"] == 0.5
    assert flows["aggregation 0 to core 0"] == 0.5
    assert flows["aggregation 1 to core 2"] == flows["aggregation 1 to core 3"] == 0.25


def test_a_longer_way_is_taken_where_no_short_one_is_left() -> None:
    network = _torus(5, 5)
    assert _named(network, network.uses([(0, 1, 1.0)])) == {"node 0 x+": 1.0}
    network.set_link(_link(network, "node 0 x+"), 0.0)
    assert len(network.uses([(0, 1, 1.0)])) == 3
    assert network.latency_s(0, 1) == network.spec.latency_s


def test_storage_passes_nothing_on() -> None:
    network = _k_ary(4, "shortest")
    for name in network.link_names:
        # Pod 0 keeps core 0 only, pod 1 core 2 only.
        out, into = (
            name.startswith(("aggregation 0 to core", "aggregation 1 to core")),
            name.endswith(("to aggregation 2", "to aggregation 3")),
        )
        if (out and name != "aggregation 0 to core 0") or (
            into and name.startswith("core") and name != "core 2 to aggregation 3"
        ):
            network.set_link(_link(network, name), 0.0)
    # Up to core 0, through another pod to core 2, down: not through the storage that both cores lead to.
    assert len(network.uses([(0, 4, 1.0)])) == 2 + 8


def test_a_degraded_link_keeps_its_traffic_and_takes_longer() -> None:
    network = _torus(4, 4)
    before, version = network.uses([(0, 1, 1.0)]), network.routes_version
    assert network.set_link(before[0][0], 0.25) == 12.5e9
    assert network.uses([(0, 1, 1.0)]) == before
    assert network.routes_version == version
    assert network.drain_s_per_byte(before) == 1.0 / 12.5e9


def test_bundles_have_no_other_way() -> None:
    network = Network(NetworkSpec(), np.repeat(np.arange(2), 2))
    uses = network.uses([(0, 3, 1.0)])
    network.set_link(network.leaf_up[0], 0.0)
    assert network.uses([(0, 3, 1.0)]) == uses
    assert network.routes_version == 0
    assert network.drain_s_per_byte(uses) == math.inf
    network.repair_all()
    assert network.drain_s_per_byte(uses) == 1.0 / 50e9


def test_servers_that_are_cut_off_are_named() -> None:
    network = Network(
        NetworkSpec(topology="k_ary_fat_tree", k_ary={"k": 4}),
        _one_rack(16),
        names=[f"n{s}" for s in range(16)],
    )
    network.set_link(network.server_up[3], 0.0)
    network.set_link(network.server_down[9], 0.0)
    with pytest.raises(UnreachableError, match=r"server 3 \(n3\), server 9 \(n9\)$") as raised:
        network.uses([(3, 0, 1.0), (0, 1, 1.0), (0, 9, 1.0)])
    assert raised.value.servers == (3, 9)
    with pytest.raises(UnreachableError) as raised:
        network.write_uses([(0, 1.0), (3, 1.0)])
    assert raised.value.servers == (3,)
    assert network.read_uses([(3, 1.0)]), "what comes down to it still does"
    with pytest.raises(UnreachableError):
        network.ring_uses([0, 3])


def test_a_rail_that_failed_leaves_its_part_to_the_others() -> None:
    spec = NetworkSpec(topology="rail_optimised", rails={"per_server": 4, "servers_per_group": 2})
    network = Network(spec, _one_rack(4))
    network.set_link(_link(network, "server 0 rail 1 up"), 0.0)
    flows = _named(network, network.uses([(0, 3, 1.0)]))
    assert {name: weight for name, weight in flows.items() if name.startswith("server 0")} == pytest.approx(
        {f"server 0 rail {rail} up": 1 / 3 for rail in (0, 2, 3)}
    )
    for rail in (0, 2, 3):
        network.set_link(_link(network, f"server 0 rail {rail} up"), 0.0)
    with pytest.raises(UnreachableError) as raised:
        network.uses([(0, 3, 1.0)])
    assert raised.value.servers == (0,)


def test_rails_that_do_not_meet_are_crossed_above() -> None:
    spec = NetworkSpec(topology="rail_optimised", rails={"per_server": 2, "servers_per_group": 2})
    network = Network(spec, _one_rack(4))
    network.set_link(_link(network, "server 0 rail 0 up"), 0.0)
    network.set_link(_link(network, "server 3 rail 1 down"), 0.0)
    assert _named(network, network.uses([(0, 3, 1.0)])) == {
        "server 0 rail 1 up": 1.0,
        "server 3 rail 0 down": 1.0,
        "group 0 rail 1 up": 1.0,
        "group 1 rail 0 down": 1.0,
    }


@pytest.mark.parametrize(("link", "fraction"), [(-1, 0.5), (10**6, 0.5), (0, 1.5), (0, -0.1), (0, math.nan)])
def test_other_links_and_fractions_are_refused(link: int, fraction: float) -> None:
    with pytest.raises(ValueError, match="expected a link of the network"):
        _torus(3, 3).set_link(link, fraction)


@given(networks(topologies=("fat_tree", "k_ary_fat_tree", "rail_optimised", "torus"), max_servers=30))
def test_formulas_of_distance_are_what_a_search_finds(spec: NetworkSpec) -> None:
    hashed = spec if spec.topology != "fat_tree" else spec.model_copy(update={"routing": "ecmp"})
    wiring = wire(hashed, np.arange(30) // 7, base_dir=Path(), names=(), accelerators=3, file="")
    search = Routes(wiring, "shortest")
    assert wiring.distance is not None
    found = 0
    for router in range(wiring.routers):
        told = wiring.distance(router)
        if told is not None:
            found += 1
            assert told.tolist() == search._distances([router]).tolist()
    homes = {router for plane in wiring.planes for ((router, _, _),) in plane}
    assert found >= len(homes) or len(homes) == wiring.routers


# -- any graph, any failures -------------------------------------------------------------------------


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int, list[int]]:
    """Draw (pairs of switches joined, switches, those that have a server), connected."""
    switches = draw(st.integers(2, 8))
    tree = [(draw(st.integers(0, s - 1)), s) for s in range(1, switches)]
    more = draw(st.lists(st.tuples(st.integers(0, switches - 1), st.integers(0, switches - 1)), max_size=12))
    pairs = dict.fromkeys((min(pair), max(pair)) for pair in [*tree, *more] if pair[0] != pair[1])
    homes = draw(st.lists(st.integers(0, switches - 1), min_size=2, max_size=4))
    return list(pairs), switches, homes


def _graph_network(folder: Path, pairs, switches: int, homes: list[int], routing: str) -> Network:
    nodes: list[dict[str, object]] = [{"id": f"w{s}", "kind": "switch"} for s in range(switches)]
    nodes += [{"id": f"s{s}", "kind": "server"} for s in range(len(homes))]
    nodes.append({"id": "d", "kind": "storage"})
    links: list[dict[str, object]] = [
        {"source": f"w{a}", "target": f"w{b}", "bandwidth": "100 Gbit/s"} for a, b in pairs
    ]
    links += [{"source": f"s{s}", "target": f"w{w}", "bandwidth": 1e9} for s, w in enumerate(homes)]
    links.append({"source": "d", "target": "w0", "bandwidth": 1e9})
    (folder / "graph.json").write_text(json.dumps({"nodes": nodes, "links": links}))
    spec = NetworkSpec(topology="graph", graph="graph.json", routing=routing)
    return Network(spec, _one_rack(len(homes)), base_dir=folder)


@given(data=st.data())
def test_ways_are_shortest_over_what_works_and_conserve_traffic(
    tmp_path_factory, data: st.DataObject
) -> None:
    pairs, switches, homes = data.draw(_graphs())
    routing = data.draw(st.sampled_from(["shortest", "ecmp", "spread"]))
    folder = tmp_path_factory.mktemp("graph")
    network = _graph_network(folder, pairs, switches, homes, routing)
    between = [f"w{a} to w{b}" for pair in pairs for a, b in (pair, pair[::-1])]
    failed = data.draw(st.lists(st.sampled_from(between), unique=True, max_size=6))
    for name in failed:
        network.set_link(_link(network, name), 0.0)
    left = [name for name in between if name not in failed]
    ends = np.array([[int(end[1:]) for end in name.split(" to ")] for name in left], dtype=int)
    ends = ends.reshape(-1, 2)
    joined = np.zeros((switches, switches))
    joined[tuple(ends.T)] = 1.0
    hops = shortest_path(joined, unweighted=True)
    for source, target in [(0, 1), (1, 0)]:
        length = hops[homes[source], homes[target]]
        if math.isinf(length):
            with pytest.raises(UnreachableError):
                network.uses([(source, target, 1.0)])
            continue
        flows = _named(network, network.uses([(source, target, 1.0)], data.draw(st.integers(0, 9))))
        assert not set(failed) & set(flows)
        assert sum(flows.values()) == pytest.approx(2 + length)
        ends_of = {f"w{homes[source]}": 1.0, f"w{homes[target]}": -1.0} if length else {}
        switched = {name: part for name, part in flows.items() if name.startswith("w") and " to w" in name}
        assert _imbalance(switched) == pytest.approx(ends_of)
        if routing != "spread":
            assert set(flows.values()) == {1.0}


# -- speed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "servers"),
    [
        ({"topology": "k_ary_fat_tree", "k_ary": {"k": 20}}, 2000),
        ({"topology": "rail_optimised"}, 2000),
        ({"topology": "dragonfly", "dragonfly": {"groups": 32, "routers_per_group": 8, "servers_per_router": 8}},
         2000),
        ({"topology": "torus", "torus": {"shape": (10, 10, 20)}}, 2000),
    ],
)  # fmt: skip
def test_a_way_is_found_in_a_millisecond_and_kept(spec: dict[str, Any], servers: int) -> None:
    network = Network(NetworkSpec(**spec), _one_rack(servers), accelerators=8)
    pairs = np.random.default_rng(1).permutation(servers)[:400].reshape(-1, 2).tolist()
    first: list[float] = []
    kept: list[float] = []
    for source, target in pairs:
        for took in (first, kept):
            began = time.perf_counter()
            network.uses([(source, target, 1.0)])
            took.append(time.perf_counter() - began)
    assert np.median(first) < 1e-3
    assert np.median(kept) < 10e-6
