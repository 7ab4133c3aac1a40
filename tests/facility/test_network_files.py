"""Networks from files: node-link JSON and Slurm's topology.conf, what they become and what is refused."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.errors import ScenarioError, UnreachableError
from dcsim.facility.network import Network
from dcsim.spec.network import NetworkSpec

Record = dict[str, Any]


def _network(folder: Path, text: str, servers: int, **more: Any) -> Network:
    (folder / "net").write_text(text, encoding="utf-8")
    names = more.pop("names", ())
    spec = NetworkSpec(topology="graph", graph="net", **more)
    return Network(spec, np.zeros(servers, dtype=np.int64), 100, base_dir=folder, names=names)


def _graph(nodes: list[Record], links: list[Record], **more: Any) -> str:
    return json.dumps({"nodes": nodes, "links": links, **more})


def _node(ident: int | str, kind: str, **more: Any) -> Record:
    return {"id": ident, "kind": kind, **more}


def _link(source: int | str, target: int | str, bandwidth: object = 8.0, **more: Any) -> Record:
    return {"source": source, "target": target, "bandwidth": bandwidth, **more}


def _named(network: Network, uses: list[tuple[int, float]]) -> dict[str, float]:
    return {network.link_names[link - 100]: weight for link, weight in uses}


NODES = [_node("a", "server"), _node("b", "server"), _node("w", "switch"), _node("d", "storage")]
LINKS = [_link("a", "w", "16 bit/s"), _link("b", "w", 3), _link("d", "w", 40.0)]


# -- node-link JSON ----------------------------------------------------------------------------------


def test_a_link_of_the_file_is_two_directed_ones_in_its_order(tmp_path: Path) -> None:
    network = _network(tmp_path, _graph(NODES, LINKS), 2)
    assert network.link_names == ["a to w", "w to a", "b to w", "w to b", "d to w", "w to d"]
    assert network.link_tiers == ["server"] * 4 + ["storage"] * 2
    assert network.capacity_bytes_per_s == [2.0, 2.0, 3.0, 3.0, 40.0, 40.0]
    assert (network.switches, network.is_tree) == (1, False)
    assert network.nominal_bandwidth_bytes_per_s == 2.0
    assert network.uses([(0, 1, 1.0)]) == [(100, 1.0), (103, 1.0)]
    assert _named(network, network.read_uses([(1, 2.0)])) == {"d to w": 2.0, "w to b": 2.0}
    assert _named(network, network.write_uses([(1, 2.0)])) == {"b to w": 2.0, "w to d": 2.0}
    assert network.own_links(1) == [(102, 103)]


def test_what_networkx_writes_is_read(tmp_path: Path) -> None:
    # As json.dumps(networkx.node_link_data(graph)) of 3.4 prints a multigraph: `edges`, keys, attributes of its own.
    record = {
        "directed": False,
        "multigraph": True,
        "graph": {"name": "lab"},
        "nodes": [
            {"kind": "server", "pos": [0, 1], "id": 0},
            {"kind": "server", "id": 1},
            {"kind": "storage", "id": 2},
            {"kind": "switch", "id": 3},
        ],
        "edges": [
            {"bandwidth": "1 GB/s", "weight": 2, "source": 0, "target": 3, "key": 0},
            {"bandwidth": "1 GB/s", "source": 0, "target": 3, "key": 1},
            {"bandwidth": "1 GB/s", "source": 1, "target": 3, "key": 0},
            {"bandwidth": "1 GB/s", "source": 2, "target": 3, "key": 0},
        ],
    }
    network = _network(tmp_path, json.dumps(record), 2, routing="spread")
    assert network.link_names[:4] == ["0 to 3", "3 to 0", "0 to 3 #2", "3 to 0 #2"]
    assert _named(network, network.uses([(0, 1, 1.0)])) == {"0 to 3": 0.5, "0 to 3 #2": 0.5, "3 to 1": 1.0}
    assert _named(network, network.uses([(1, 0, 1.0)])) == {"1 to 3": 1.0, "3 to 0": 0.5, "3 to 0 #2": 0.5}
    assert network.nominal_bandwidth_bytes_per_s == 1e9  # server 1 has one link


def test_servers_are_found_by_name_where_the_file_knows_names(tmp_path: Path) -> None:
    nodes = [_node(0, "server", name="r/1"), _node(1, "server", name="r/0"), *NODES[2:]]
    links = [_link(0, "w"), _link(1, "w"), _link("d", "w")]
    network = _network(tmp_path, _graph(nodes, links), 2, names=("r/0", "r/1"))
    assert _named(network, network.uses([(0, 1, 1.0)])) == {"r/0 to w": 1.0, "w to r/1": 1.0}
    nodes.append(_node(2, "server", name="spare"))
    links.append(_link(2, "w"))
    assert _network(tmp_path, _graph(nodes, links), 2, names=("r/0", "r/1")).uses([(1, 0, 1.0)])


def test_a_server_with_two_links_uses_the_shorter_way_and_the_other_when_it_fails(tmp_path: Path) -> None:
    nodes = [*NODES, _node("v", "switch")]
    links = [*LINKS, _link("a", "v"), _link("v", "w")]
    for routing in ("shortest", "ecmp", "spread"):
        network = _network(tmp_path, _graph(nodes, links), 2, routing=routing)
        assert _named(network, network.uses([(0, 1, 1.0)])) == {"a to w": 1.0, "w to b": 1.0}
        network.set_link(100, 0.0)
        assert _named(network, network.uses([(0, 1, 1.0)])) == {"a to v": 1.0, "v to w": 1.0, "w to b": 1.0}
        assert _named(network, network.uses([(1, 0, 1.0)])) == {"b to w": 1.0, "w to a": 1.0}
        network.set_link(100 + network.link_names.index("v to w"), 0.0)
        with pytest.raises(UnreachableError):
            network.uses([(0, 1, 1.0)])


def test_servers_pass_traffic_on_only_where_they_say_so(tmp_path: Path) -> None:
    def ring(*, forwards: bool) -> str:
        nodes = [_node(n, "server", **({"forwards": True} if forwards else {})) for n in range(4)]
        nodes.append(_node("d", "storage"))
        links = [_link(n, (n + 1) % 4, 4.0) for n in range(4)]
        return _graph(nodes, [*links, _link("d", 0)])

    network = _network(tmp_path, ring(forwards=True), 4, routing="spread")
    assert _named(network, network.uses([(0, 2, 1.0)])) == {
        "0 to 1": 0.5,
        "1 to 2": 0.5,
        "0 to 3": 0.5,
        "3 to 2": 0.5,
    }
    assert network.nominal_bandwidth_bytes_per_s == 8.0
    assert network.switches == 0
    with pytest.raises(ScenarioError, match=r"server '2' out of reach .*forwards"):
        _network(tmp_path, ring(forwards=False), 4)


@pytest.mark.parametrize("between", [("vx", "xw"), ("vx", "xy", "yw")])
def test_a_server_joined_to_servers_is_no_short_cut_for_others(
    tmp_path: Path, between: tuple[str, ...]
) -> None:
    nodes = [_node(n, "server") for n in ("a", "b", "c", "d")] + [_node(n, "switch") for n in ("v", "w", "x")]
    nodes += [_node("y", "switch"), _node("disk", "storage")]
    ends = ("av", "bw", "cv", "cw", "cd", "dv", *between)
    links = [*(_link(*pair) for pair in ends), _link("disk", "x")]
    network = _network(tmp_path, _graph(nodes, links), 4, routing="spread")
    way = ("a to v", *(f"{pair[0]} to {pair[1]}" for pair in between), "w to b")
    assert _named(network, network.uses([(0, 1, 1.0)])) == dict.fromkeys(way, 1.0)
    assert _named(network, network.uses([(2, 3, 1.0)])) == {"c to d": 1.0}
    assert len(network.own_links(2)) == 3


def test_latencies_of_links_add_up(tmp_path: Path) -> None:
    links = [{**link, "latency": f"{n} us"} for n, link in enumerate(LINKS, start=1)]
    network = _network(tmp_path, _graph(NODES, links), 2)
    assert network.latency_s(0, 1) == pytest.approx(3e-6)
    assert network.latency_s(1, 1) == 0.0
    del links[1]["latency"]
    assert _network(tmp_path, _graph(NODES, links), 2).latency_s(0, 1) == pytest.approx(1e-6)
    with_hops = _network(tmp_path, _graph(NODES, links), 2, hop_latency_s=5e-6)
    assert with_hops.latency_s(0, 1) == pytest.approx(6e-6)
    assert _network(tmp_path, _graph(NODES, LINKS), 2, latency_s=7.0).latency_s(0, 1) == 7.0


def test_links_may_lead_one_way_only(tmp_path: Path) -> None:
    links = [_link(a, b) for a, b in ("aw", "wa", "bw", "wb", "dw", "wd")]
    network = _network(tmp_path, _graph(NODES, links, directed=True), 2)
    assert network.link_names == ["a to w", "w to a", "b to w", "w to b", "d to w", "w to d"]
    with pytest.raises(ScenarioError, match="server 'b' out of reach"):
        _network(tmp_path, _graph(NODES, [link for link in links if link["source"] != "b"], directed=True), 2)


def test_reads_come_from_all_storage_nodes_in_equal_parts(tmp_path: Path) -> None:
    nodes, links = [*NODES, _node("e", "storage")], [*LINKS, _link("e", "w")]
    network = _network(tmp_path, _graph(nodes, links), 2)
    assert _named(network, network.read_uses([(0, 1.0)])) == {"d to w": 0.5, "e to w": 0.5, "w to a": 1.0}
    network.set_link(100 + network.link_names.index("e to w"), 0.0)
    with pytest.raises(UnreachableError):
        network.read_uses([(0, 1.0)])


REFUSED: list[tuple[Any, Any, str]] = [
    (
        [*NODES, _node("a", "switch")],
        LINKS,
        r"nodes\.4\.id: 'a' -> expected an id of its own, .*nodes\.0",
    ),
    ([*NODES, _node("x", "switch", name="a")], LINKS, r"nodes\.4\.name: a -> expected a name of its own"),
    ([*NODES, _node("x", "swich")], LINKS, r"nodes\.4\.kind: 'swich' -> .*did you mean 'switch'"),
    ([*NODES, {"id": "x"}], LINKS, r"nodes\.4\.kind: missing -> expected one of server, switch, storage"),
    ([*NODES, {"kind": "switch"}], LINKS, r"nodes\.4\.id: missing"),
    (
        [*NODES, {"id": [0, 1], "kind": "switch"}],
        LINKS,
        r"nodes\.4\.id: \[0, 1\] -> expected a whole number",
    ),
    ([*NODES, 7], LINKS, r"nodes\.4: a number -> expected a mapping"),
    (
        [*NODES, _node("x", "switch", forwards="yes")],
        LINKS,
        r"nodes\.4\.forwards: yes -> expected true or",
    ),
    (
        [*NODES, _node("x", "switch", forward=True)],
        LINKS,
        r"nodes\.4\.forward: .*did you mean 'forwards'",
    ),
    (NODES, [*LINKS, _link("w", "w")], r"links\.3: a link from 'w' to itself -> expected two nodes"),
    (NODES, [*LINKS, _link("w", "a")], r"links\.3: a second link from w to a -> .*multigraph"),
    (NODES, [*LINKS, _link("w", "q")], r"links\.3\.target: 'q' -> expected the id of a node"),
    (NODES, [*LINKS, {"source": "a"}], r"links\.3\.target: missing"),
    (NODES, [*LINKS, _link("b", "a", 0)], r"links\.3\.bandwidth: 0 -> expected > 0"),
    (NODES, [*LINKS, _link("b", "a", -5)], r"links\.3\.bandwidth: -5 -> expected > 0"),
    (
        NODES,
        [*LINKS, _link("b", "a", 1e30)],
        r"links\.3\.bandwidth: 1e\+30 -> expected > 0 and <= 1e\+21",
    ),
    (NODES, [*LINKS, _link("b", "a", "5 GiB")], r"links\.3\.bandwidth: '5 GiB' -> expected a bandwidth"),
    (NODES, [*LINKS, _link("b", "a", None)], r"links\.3\.bandwidth: None -> expected a bandwidth"),
    (
        NODES,
        [*LINKS, {"source": "b", "target": "a", "bandwith": 1}],
        r"bandwith: .*did you mean 'bandwidth'",
    ),
    (NODES, [*LINKS, _link("b", "a", latency=-1)], r"links\.3\.latency: -1 -> expected >= 0"),
    (
        NODES,
        [*LINKS, _link("b", "a", latency="1 h")],
        r"links\.3\.latency: 1 h -> expected >= 0 and <= 10 s",
    ),
    (NODES, [*LINKS, _link("b", "a", tier="")], r"links\.3\.tier"),
    (NODES, LINKS[1:], r"nodes\.0: server 'a' out of reach -> expected a way to and from 'b'"),
    (NODES, LINKS[:2], r"nodes\.3: storage 'd' out of reach"),
    (NODES[:3], LINKS[:2], r"no node of kind storage -> expected at least one, add"),
    (NODES[2:], LINKS[2:], r"no node of kind server"),
    (
        [*NODES, _node("c", "server")],
        [*LINKS, _link("c", "w")],
        r"3 nodes of kind server -> .*servers \(2\)",
    ),
    (None, LINKS, r"nodes: nothing -> expected a list"),
    (NODES, {}, r"links: a mapping -> expected a list"),
]


@pytest.mark.parametrize(("nodes", "links", "words"), REFUSED)
def test_what_a_graph_cannot_be(tmp_path: Path, nodes: Any, links: Any, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        _network(tmp_path, _graph(nodes, links), 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", r"net: a list -> expected a mapping with nodes and links"),
        ('{"nodes": []}', r"links: missing -> expected a list"),
        ('{"nodes": [], "link": []}', r"links: missing -> expected a list, did you mean 'link'"),
        ('{"nodes": [], "links": [], "directed": 1}', r"directed: 1 -> expected true or false"),
        ('{"nodes": [1', r"net:1: .*is the file cut off"),
        ('{"nodes": [], "nodes": []}', r"nodes: given twice"),
        ('{"nodes": NaN}', r"NaN -> expected finite numbers"),
        ("", r"no switches -> expected SwitchName= or BlockName= lines"),
        ("hello\n", r"net:1: hello -> expected a line that starts with SwitchName="),
    ],
)
def test_what_a_file_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        _network(tmp_path, text, 2)


def test_every_problem_of_a_graph_is_told_at_once(tmp_path: Path) -> None:
    nodes = [_node("a", "serve"), _node("a", "server"), *NODES[1:]]
    links = [*LINKS, _link("d", "d"), _link("b", "z", "much")]
    with pytest.raises(ScenarioError) as raised:
        _network(tmp_path, _graph(nodes, links), 2)
    paths = [problem.path for problem in raised.value.problems]
    assert paths == ["nodes.0.kind", "nodes.1.id", "links.3", "links.4.target", "links.4.bandwidth"]
    assert {problem.file for problem in raised.value.problems} == {str(tmp_path / "net")}


def test_files_elsewhere_missing_or_not_text_are_refused(tmp_path: Path) -> None:
    spec = NetworkSpec(topology="graph", graph="../net")
    with pytest.raises(ScenarioError, match=r"hall: network\.graph: '\.\./net' -> expected"):
        Network(spec, np.zeros(2, dtype=np.int64), base_dir=tmp_path, file="hall")
    (tmp_path / "net").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ScenarioError, match=r"net:1: byte 0xff -> expected UTF-8 text"):
        Network(spec.model_copy(update={"graph": "net"}), np.zeros(2, dtype=np.int64), base_dir=tmp_path)


def test_a_hundred_servers_out_of_reach_are_told_in_twenty_lines(tmp_path: Path) -> None:
    nodes = [*NODES, *(_node(n, "server") for n in range(100))]
    links = [*LINKS, *(_link(n, n + 1) for n in range(98))]
    with pytest.raises(ScenarioError) as raised:
        _network(tmp_path, _graph(nodes, links), 102)
    assert len(raised.value.problems) == 20


# -- topology.conf -----------------------------------------------------------------------------------

TREE = (
    "SwitchName=leaf1 Nodes=n[1-4]\n"
    "SwitchName=leaf2 Nodes=n[5-8]\n"
    "SwitchName=leaf3 Nodes=n[9-10]\n"
    "SwitchName=pod1 Switches=leaf[1-2]\n"
    "SwitchName=pod2 Switches=leaf3\n"
    "SwitchName=top Switches=pod[1-2]\n"
)


def test_all_levels_of_a_slurm_tree_are_kept(tmp_path: Path) -> None:
    network = _network(
        tmp_path, TREE, 10, server_bandwidth_bytes_per_s=12.0, level_oversubscription=(2.0, 3.0)
    )
    capacity = dict(zip(network.link_names, network.capacity_bytes_per_s, strict=True))
    assert network.switches == 6
    assert capacity["server 7 up"] == 12.0
    assert capacity["leaf1 up"] == capacity["leaf2 down"] == 4 * 12.0 / 2
    assert capacity["leaf3 up"] == 2 * 12.0 / 2
    assert capacity["pod1 up"] == 48.0 / 3
    assert capacity["pod2 down"] == 12.0 / 3
    assert "top up" not in capacity
    assert Counter(network.link_tiers) == {"server": 20, "leaf": 6, "level 2": 4}
    assert _named(network, network.uses([(0, 9, 1.0)])) == dict.fromkeys(
        ("server 0 up", "server 9 down", "leaf1 up", "pod1 up", "pod2 down", "leaf3 down"), 1.0
    )
    assert _named(network, network.uses([(4, 3, 1.0)])) == dict.fromkeys(
        ("server 4 up", "server 3 down", "leaf2 up", "leaf1 down"), 1.0
    )
    assert set(_named(network, network.read_uses([(9, 1.0)]))) == {"pod2 down", "leaf3 down", "server 9 down"}
    network.set_link(100 + network.link_names.index("pod2 up"), 0.0)
    with pytest.raises(UnreachableError):
        network.uses([(9, 0, 1.0)])


def test_leaves_are_oversubscribed_as_those_of_a_fat_tree_where_nothing_else_is_said(tmp_path: Path) -> None:
    leaves = "SwitchName=a Nodes=n[1-4]\nSwitchName=b Nodes=n[5-8]\nSwitchName=top Switches=a,b\n"
    network = _network(tmp_path, leaves, 8, oversubscription=2.0)
    tree = Network(NetworkSpec(oversubscription=2.0), np.repeat([0, 1], 4), 100)
    assert network.capacity_bytes_per_s == tree.capacity_bytes_per_s
    for pair in [(0, 1), (2, 6), (7, 0)]:
        assert network.uses([(*pair, 1.0)]) == tree.uses([(*pair, 1.0)])
    assert network.read_uses([(3, 0.5)]) == tree.read_uses([(3, 0.5)])
    assert network.write_uses([(5, 0.5)]) == tree.write_uses([(5, 0.5)])


def test_levels_above_the_leaves_are_not_oversubscribed_where_nothing_is_said(tmp_path: Path) -> None:
    network = _network(tmp_path, TREE, 10, server_bandwidth_bytes_per_s=12.0, oversubscription=2.0)
    capacity = dict(zip(network.link_names, network.capacity_bytes_per_s, strict=True))
    assert capacity["leaf1 up"] == 24.0
    assert capacity["pod1 up"] == 48.0


def test_blocks_are_joined_by_their_sizes_and_in_the_end_by_one_switch(tmp_path: Path) -> None:
    blocks = "".join(f"BlockName=b{b} Nodes=n[{4 * b}-{4 * b + 3}]\n" for b in range(6)) + "BlockSizes=4,8\n"
    network = _network(tmp_path, blocks, 24)
    assert [name for name in network.link_names if name.endswith(" up") and "server" not in name] == [
        "blocks of 8 #0 up",
        "b0 up",
        "b1 up",
        "blocks of 8 #1 up",
        "b2 up",
        "b3 up",
        "blocks of 8 #2 up",
        "b4 up",
        "b5 up",
    ]
    assert network.switches == 6 + 3 + 1
    assert len(network.uses([(0, 7, 1.0)])) == 4
    assert len(network.uses([(0, 8, 1.0)])) == 6
    three = _network(tmp_path, blocks.replace("4,8", "4,8,16"), 24)
    assert [name for name in three.link_names if name.startswith("blocks") and name.endswith("up")] == [
        "blocks of 16 #0 up",
        "blocks of 8 #0 up",
        "blocks of 8 #1 up",
        "blocks of 16 #1 up",
        "blocks of 8 #2 up",
    ]
    one = _network(tmp_path, "BlockName=b Nodes=n[1-4]\n", 4)
    assert len(one.uses([(0, 3, 1.0)])) == 2


@pytest.mark.parametrize(
    ("text", "servers", "more", "words"),
    [
        (TREE, 9, {}, r"net: 10 nodes -> expected as many as the cluster has servers \(9\)"),
        (TREE.replace("SwitchName=top", "#"), 10, {}, r"2 trees, under pod1, pod2 -> expected one tree"),
        (TREE.replace("n[5-8]", "n[4-8]"), 10, {}, r"net:2: leaf2\.Nodes: n4 -> .*it is in leaf1"),
        (
            TREE.replace("leaf[1-2]", "leaf[1-9]"),
            10,
            {},
            r"net:4: pod1\.Switches: leaf4 -> expected a switch",
        ),
        (TREE, 10, {"level_oversubscription": (1.0, 1.0, 1.0)}, r"3 levels -> expected at most 2"),
        (
            "BlockName=b Nodes=n[1-4]\nBlockSizes=4,6\n",
            4,
            {},
            r"net:2: BlockSizes: 4,6 -> expected ascending",
        ),
        ("BlockName=b Nodes=n[1-4]\nBlockSizes=0\n", 4, {}, r"net:2: BlockSizes: 0 -> expected ascending"),
        ("Include x\n", 4, {}, r"net:1: Include"),
    ],
)
def test_what_a_topology_cannot_be(tmp_path: Path, text: str, servers: int, more: Any, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        _network(tmp_path, text, servers, **more)


def test_a_graph_has_bandwidths_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"level_oversubscription: given -> expected nothing with a JSON"):
        _network(tmp_path, _graph(NODES, LINKS), 2, level_oversubscription=(2.0,))


def test_a_graph_of_two_thousand_servers_is_read_in_a_second(tmp_path: Path) -> None:
    import time

    nodes = [_node("core", "switch"), _node("disk", "storage")]
    nodes += [_node(f"leaf{w}", "switch") for w in range(63)] + [
        _node(f"n{s}", "server") for s in range(2000)
    ]
    links = [_link("core", "disk")] + [_link("core", f"leaf{w}", "1 TB/s") for w in range(63)]
    links += [_link(f"n{s}", f"leaf{s // 32}", "400 Gbit/s") for s in range(2000)]
    text = _graph(nodes, links)
    began = time.process_time()
    network = _network(tmp_path, text, 2000)
    assert time.process_time() - began < 0.5
    assert math.isclose(network.nominal_bandwidth_bytes_per_s, 50e9)
