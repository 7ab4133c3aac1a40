"""Gangs in racks and pods: consolidated takes the fewest servers, topology-aware the smallest subtree."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.policies import PlacementRequest, make_policy
from dcsim.policies.placement_topology import Consolidated, TopologyAware
from dcsim.testing.strategies import cluster_views, make_cluster_view

#               rack 0        rack 1     rack 2        rack 3
FREE = [4, 4, 4, 8, 0, 8, 8, 2, 2, 8, 6]
RACK = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3]
VIEW = make_cluster_view([8] * 11, free=FREE, rack=RACK)


@pytest.mark.parametrize(
    ("policy", "width", "expected"),
    [
        (Consolidated(), 3, ((0, 3),)),
        (Consolidated(), 5, ((10, 5),)),
        # Two servers: rack 3 holds 14, rack 2 holds 20 and 16 on its best two.
        (Consolidated(), 12, ((9, 8), (10, 4))),
        (Consolidated(), 16, ((5, 8), (6, 8))),
        # Four servers of rack 2 hold 20, but three of two racks do as well.
        (Consolidated(), 20, ((5, 8), (6, 8), (10, 4))),
        (TopologyAware(), 3, ((0, 3),)),
        # One rack, and the fullest that holds it: rack 0 has 12 left on three servers.
        (TopologyAware(), 12, ((0, 4), (1, 4), (2, 4))),
        (TopologyAware(), 20, ((5, 8), (6, 8), (7, 2), (8, 2))),
        # No rack holds 21; racks 2 and 3 do.
        (TopologyAware(), 21, ((5, 8), (6, 8), (10, 5))),
    ],
)
def test_by_hand(policy, width, expected):
    assert policy.place(PlacementRequest(width), VIEW) == expected


def test_a_gang_over_racks_stays_in_one_pod_if_it_can():
    """Racks of one server: pods of two racks hold 8, 6 and 12."""
    view = make_cluster_view([8] * 6, free=[4, 4, 3, 3, 6, 6], rack=[0, 1, 2, 3, 4, 5])
    for policy in (Consolidated, TopologyAware):
        assert policy(racks_per_pod=2).place(PlacementRequest(8), view) == ((0, 4), (1, 4))
        # In one pod of all racks: those with most room.
        assert policy(racks_per_pod=6).place(PlacementRequest(8), view) == ((4, 6), (5, 2))
        # No pod of two racks holds 20.
        assert policy(racks_per_pod=2).place(PlacementRequest(20), view) == ((0, 4), (1, 4), (4, 6), (5, 6))


def spans(placement, rack):
    """Return (servers, racks) of a placement."""
    return len(placement), len({int(rack[server]) for server, _ in placement})


@given(st.data())
def test_consolidated_takes_the_fewest_servers_and_one_rack_if_that_many_there_hold_it(data):
    view = data.draw(cluster_views(binding=False))
    request = PlacementRequest(data.draw(st.integers(1, 40)))
    placement, room = Consolidated().place(request, view), view.room(request)
    if placement is None:
        assert room.sum() < request.accelerators
        return
    ways = [
        chosen
        for size in range(1, len(room) + 1)
        for chosen in combinations(range(len(room)), size)
        if room[list(chosen)].sum() >= request.accelerators
    ]
    fewest = min(len(chosen) for chosen in ways)
    racks = min(len({int(view.rack[s]) for s in chosen}) for chosen in ways if len(chosen) == fewest)
    servers_taken, racks_taken = spans(placement, view.rack)
    assert servers_taken == fewest
    assert racks_taken == racks or (racks > 1 and racks_taken > 1)


@given(st.data())
def test_topology_aware_stays_in_a_rack_that_holds_it(data):
    view = data.draw(cluster_views(binding=False))
    request = PlacementRequest(data.draw(st.integers(1, 40)))
    placement, room = TopologyAware().place(request, view), view.room(request)
    by_rack = np.bincount(view.rack, weights=room)
    if (by_rack >= request.accelerators).any():
        assert spans(placement, view.rack)[1] == 1
    elif placement is not None:
        assert spans(placement, view.rack)[1] > 1


@pytest.mark.parametrize("racks", [0, 1.5, float("nan")])
def test_racks_per_pod_is_a_whole_number(racks):
    with pytest.raises(PolicyError, match="racks_per_pod"):
        make_policy("placement", "consolidated", {"racks_per_pod": racks})
