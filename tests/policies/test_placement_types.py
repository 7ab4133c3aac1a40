"""The fastest accelerators first, and the least loaded links."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dcsim.policies import PlacementRequest
from dcsim.policies.placement_types import FastestFirst, LeastContended
from dcsim.testing.strategies import make_cluster_view

TYPES = np.array([0, 0, 1, 1, 2])
VIEW = replace(make_cluster_view([4] * 5, free=[4, 2, 3, 4, 4], rack=[0, 0, 1, 1, 2]), accelerator_type=TYPES)
SPEED = np.array([0.2, 0.2, 1.0, 1.0, 0.5])


def test_the_fastest_type_that_holds_the_gang():
    def placed(width, **more):
        return FastestFirst().place(PlacementRequest(width, speed=SPEED, **more), VIEW)

    assert placed(1) == ((2, 1),)
    assert placed(4) == ((3, 4),)
    assert placed(7) == ((2, 3), (3, 4))
    assert placed(8) is None  # no type has 8
    assert placed(5, max_servers=1) is None
    assert placed(1, allowed=np.array([True, True, False, False, True])) == ((4, 1),)
    # The fastest type is full for 6 on two servers only where the limit says one.
    assert placed(4, max_servers=1, allowed=np.array([True, True, True, False, False])) == ((0, 4),)


def test_without_speeds_the_types_are_tried_in_turn():
    assert FastestFirst().place(PlacementRequest(3), VIEW) == ((0, 3),)
    assert FastestFirst().place(PlacementRequest(2), make_cluster_view([4, 4], free=[4, 2])) == ((1, 2),)


def contended(server_load, rack_load):
    loads = (np.array(server_load), np.array(rack_load))
    view = make_cluster_view([4] * 6, free=[4, 4, 4, 4, 2, 3], rack=[0, 0, 1, 1, 2, 2])
    return replace(view, link_loads=lambda: loads)


def test_the_least_loaded_server_then_rack_then_uplinks():
    view = contended([0.5, 0.0, 0.2, 0.1, 0.0, 0.0], [0.9, 0.0, 0.3])
    policy = LeastContended()
    # Server 1 is idle, its rack's uplink is not; 3 carries 0.1.
    assert policy.place(PlacementRequest(2), view) == ((3, 2),)
    # In rack 2 the links are idle.
    assert policy.place(PlacementRequest(5), view) == ((4, 2), (5, 3))
    assert policy.place(PlacementRequest(6), view) == ((2, 2), (3, 4))
    # Rack 1's uplink, then rack 2's.
    assert policy.place(PlacementRequest(10), view) == ((2, 4), (3, 4), (5, 2))
    assert policy.place(PlacementRequest(22), view) is None
    assert policy.place(PlacementRequest(5, max_servers=1), view) is None


def test_without_loads_it_is_the_tightest():
    view = make_cluster_view([4, 4, 4], free=[4, 2, 3])
    assert LeastContended().place(PlacementRequest(2), view) == ((1, 2),)
