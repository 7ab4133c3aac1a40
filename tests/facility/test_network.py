"""The network as other rooms see it: numbers of links, star and fat-tree by hand, fabric, latency, events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import ScenarioError
from dcsim.facility.network import (
    RACKS_PER_SPINE,
    LinkEvent,
    Network,
    ring_bytes,
)
from dcsim.spec.network import TOPOLOGIES, NetworkSpec
from dcsim.spec.network_size import switch_count
from dcsim.testing.strategies.facilities import networks

RACKS = np.array([0, 0, 0, 1, 1, 2])
DRAWN = tuple(topology for topology in TOPOLOGIES if topology != "graph")


def test_a_fat_tree_by_hand() -> None:
    network = Network(NetworkSpec(server_bandwidth_bytes_per_s=12.0, oversubscription=4.0), RACKS, 10)
    assert network.server_up == range(10, 16)
    assert network.server_down == range(16, 22)
    assert network.leaf_up == range(22, 25)
    assert network.leaf_down == range(25, 28)
    assert network.capacity_bytes_per_s == [12.0] * 12 + [9.0, 6.0, 3.0] * 2
    assert network.link_names[0] == "server 0 up"
    assert network.link_names[-1] == "rack 2 down"
    assert network.link_tiers == ["server"] * 12 + ["leaf"] * 6
    assert (network.tiers, network.switches, network.power_w) == (2, 4, 2400.0)
    assert network.nominal_bandwidth_bytes_per_s == 12.0
    assert network.is_tree

    assert network.uses([(0, 4, 2.0), (1, 2, 1.0)]) == [
        (10, 2.0), (11, 1.0), (18, 1.0), (20, 2.0), (22, 2.0), (26, 2.0)
    ]  # fmt: skip
    assert network.ring_uses([0, 1, 5]) == [
        (10, 1.0), (11, 1.0), (15, 1.0), (16, 1.0), (17, 1.0), (21, 1.0),
        (22, 1.0), (24, 1.0), (25, 1.0), (27, 1.0),
    ]  # fmt: skip
    assert network.feed_uses([(5, 1.0), (0, 0.5), (1, 0.25)]) == [
        (21, 1.0), (16, 0.5), (17, 0.25), (27, 1.0), (25, 0.75)
    ]  # fmt: skip
    assert network.read_uses([(5, 1.0), (0, 0.5)]) == [(16, 0.5), (21, 1.0), (25, 0.5), (27, 1.0)]
    assert network.write_uses([(5, 1.0), (0, 0.5)]) == [(10, 0.5), (15, 1.0), (22, 0.5), (24, 1.0)]
    assert network.drain_s_per_byte(network.uses([(0, 4, 2.0), (1, 2, 1.0)])) == 2.0 / 6.0


def test_a_star_by_hand() -> None:
    network = Network(NetworkSpec(topology="star", server_bandwidth_bytes_per_s=12.0), RACKS)
    assert network.capacity_bytes_per_s == [12.0] * 12
    assert (network.tiers, network.switches, len(network.leaf_up)) == (1, 1, 0)
    assert network.uses([(0, 5, 1.0)]) == [*network.ring_uses([0, 5])[:1], (11, 1.0)]
    assert network.read_uses([(2, 1.0)]) == [(8, 1.0)]
    assert network.own_links(2) == [(2, 8)]


@given(st.data())
def test_the_ring_of_a_tree_is_the_sum_of_its_transfers(data: st.DataObject) -> None:
    network = Network(data.draw(networks()), np.sort(data.draw(_racks())))
    servers = sorted(data.draw(st.sets(st.integers(0, len(network.server_up) - 1), min_size=2)))
    ring = [(a, b, 1.0) for a, b in zip(servers, [*servers[1:], servers[0]], strict=True)]
    assert network.uses(ring) == sorted(network.ring_uses(servers))


def _racks() -> st.SearchStrategy[list[int]]:
    """Draw the racks of 2 to 20 servers, none empty."""
    sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 1)
    return sizes.map(lambda sizes: [rack for rack, size in enumerate(sizes) for _ in range(size)])


@given(st.data())
def test_bytes_that_leave_a_server_arrive_in_any_topology(data: st.DataObject) -> None:
    spec = data.draw(networks(topologies=DRAWN, max_servers=20))
    racks = np.array(data.draw(_racks()))
    network = Network(spec, racks, 7, fabric=np.full(len(racks), 1e12), accelerators=3)
    count = len(racks)
    transfers = data.draw(
        st.lists(
            st.tuples(
                st.integers(0, count - 1), st.integers(0, count - 1), st.sampled_from([1.0, 0.25, 3.0])
            ),
            max_size=8,
        )
    )
    uses = dict(network.uses(transfers, data.draw(st.integers(0, 3))))
    assert list(uses) == sorted(uses)
    for server in range(count):
        links = network.own_links(server)
        left = sum(uses.get(out, 0.0) for out, _ in links) - sum(uses.get(into, 0.0) for _, into in links)
        sent = sum(weight for s, t, weight in transfers if s == server != t)
        taken = sum(weight for s, t, weight in transfers if t == server != s)
        # In a torus what passes through a server comes in and goes out.
        assert left == pytest.approx(sent - taken)
    assert network.inside_use(0) not in uses
    reads, writes = network.read_uses([(0, 2.0)]), network.write_uses([(0, 2.0)])
    assert {weight for _, weight in (*reads, *writes)} <= {2.0} or spec.route == "spread"
    assert not {link for link, _ in reads} & {link for link, _ in writes}


@given(networks(topologies=DRAWN, max_servers=6))
def test_switches_are_counted_before_anything_is_built(spec: NetworkSpec) -> None:
    racks = np.array([0, 0, 0, 1, 1, 2])
    assert switch_count(spec, 6, 3, 4) == Network(spec, racks, accelerators=4).switches


def test_spines_are_counted_and_asked_for() -> None:
    racks = np.arange(RACKS_PER_SPINE + 1)
    assert Network(NetworkSpec(), racks).switches == 9 + 2
    assert Network(NetworkSpec(spines=5), racks).switches == 9 + 5


def test_a_ring_of_one_sends_nothing() -> None:
    assert ring_bytes(1, 100.0) == 0.0


# -- the inside of servers ---------------------------------------------------------------------------


def test_fabric_links_are_numbered_last_and_only_where_there_are_accelerators() -> None:
    racks, fabric = np.zeros(4, dtype=np.int64), np.array([3.6e12, 3.6e12, 0.0, 1e12])
    for spec in (NetworkSpec(), NetworkSpec(topology="torus", torus={"shape": (2, 2)})):
        plain, network = Network(spec, racks, 3), Network(spec, racks, 3, fabric=fabric)
        assert network.link_names[:-3] == plain.link_names
        assert network.link_names[-3:] == ["server 0 fabric", "server 1 fabric", "server 3 fabric"]
        assert network.link_tiers[-3:] == ["fabric"] * 3
        last = 3 + len(network.link_names)
        assert [network.inside_use(server) for server in (0, 1, 3)] == [last - 3, last - 2, last - 1]
        assert network.built_bandwidth_bytes_per_s(last - 1) == 1e12
        assert [network.has_inside(server) for server in range(4)] == [True, True, False, True]
        with pytest.raises(ValueError, match="server 2 has no fabric"):
            network.inside_use(2)
        assert not plain.has_inside(0)


# -- latency -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", ["star", "fat_tree"])
def test_all_servers_are_as_far_from_each_other_unless_hops_count(topology: str) -> None:
    network = Network(NetworkSpec(topology=topology, latency_s=3e-6), RACKS)
    assert network.latency_s(0, 1) == network.latency_s(0, 5) == 3e-6
    assert network.latency_s(4, 4) == 0.0
    counted = Network(NetworkSpec(topology=topology, hop_latency_s=1e-6), RACKS)
    assert counted.latency_s(0, 1) == 2e-6
    assert counted.latency_s(0, 5) == pytest.approx(2e-6 if topology == "star" else 4e-6)


@pytest.mark.parametrize("routing", ["ecmp", "spread"])
def test_hops_between_pods_are_six(routing: str) -> None:
    spec = NetworkSpec(topology="k_ary_fat_tree", k_ary={"k": 4}, hop_latency_s=1.0, routing=routing)
    network = Network(spec, np.zeros(16, dtype=np.int64))
    assert [network.latency_s(0, target) for target in (1, 3, 15)] == pytest.approx([2.0, 4.0, 6.0])


# -- events ------------------------------------------------------------------------------------------


def _events(*events: dict[str, Any], **more: Any) -> list[LinkEvent]:
    return Network(NetworkSpec(events=events, **more), RACKS, 10, file="hall").events


def test_events_are_resolved_to_links_and_sorted_by_time() -> None:
    assert _events(
        {"at_s": "1 h", "link": "rack 1 up", "action": "repair"},
        {"at_s": 60, "link": "rack * up", "action": "degrade", "fraction": 0.5},
        {"at_s": 60, "link": "rack 1 up", "action": "fail"},
        {"at_s": 60, "link": "server 2 down", "action": "degrade", "fraction": "25 %"},
    ) == [
        (60.0, 22, 0.5),
        (60.0, 23, 0.5),
        (60.0, 24, 0.5),
        (60.0, 23, 0.0),
        (60.0, 18, 0.25),
        (3600.0, 23, 1.0),
    ]


def test_a_pattern_takes_any_letters_and_nothing_else() -> None:
    fail = {"at_s": 0, "action": "fail"}
    assert len(_events({**fail, "link": "*"})) == 18
    assert [event.link for event in _events({**fail, "link": "*2*"})] == [12, 18, 24, 27]
    assert [event.link for event in _events({**fail, "link": "**rack**0*up"})] == [22]
    for pattern in ("server ? up", "server [0-2] up", "server 0", ".*"):
        with pytest.raises(ScenarioError, match=r"hall: network\.events\.0\.link: "):
            _events({**fail, "link": pattern})


def test_unknown_links_are_refused_all_at_once_with_the_nearest_name() -> None:
    fail = {"at_s": 0, "action": "fail"}
    with pytest.raises(ScenarioError) as raised:
        _events({**fail, "link": "rack 1 upp"}, {**fail, "link": "rack 2 up"}, {**fail, "link": "leaf *"})
    first, second = raised.value.problems
    assert (first.path, first.got) == ("network.events.0.link", "'rack 1 upp'")
    assert first.hint == "did you mean 'rack 1 up'?"
    assert "18 links" in first.expected
    assert second.path == "network.events.2.link"


def test_more_changes_than_a_run_can_take_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcsim.facility.network.events._MAX_CHANGES", 35)
    fail = {"at_s": 0, "link": "*", "action": "fail"}
    assert len(_events(fail)) == 18
    with pytest.raises(
        ScenarioError, match=r"events\.1\.link: '\*' and those before it .* at most 35 changes"
    ):
        _events(fail, fail)
