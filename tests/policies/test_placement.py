"""Each placement policy on views small enough to see the answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.policies import PlacementRequest
from dcsim.policies.placement import BestFit, FirstFit, RackLocal, Spread
from dcsim.testing.strategies import cluster_views, make_cluster_view, placement_requests

#                       server  0  1  2  3  4  5
VIEW = make_cluster_view([8, 8, 8, 8, 8, 8], free=[3, 8, 2, 5, 0, 8], rack=[0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("policy", "width", "expected"),
    [
        (FirstFit, 1, ((0, 1),)),
        (FirstFit, 4, ((1, 4),)),
        (FirstFit, 12, ((0, 3), (1, 8), (2, 1))),
        (BestFit, 1, ((2, 1),)),
        (BestFit, 3, ((0, 3),)),
        (BestFit, 4, ((3, 4),)),
        (BestFit, 16, ((1, 8), (5, 8))),
        # 8 + 8 + 2 more: the rest goes where it fits most tightly.
        (BestFit, 18, ((1, 8), (2, 2), (5, 8))),
        (Spread, 1, ((1, 1),)),
        (Spread, 4, ((0, 1), (1, 1), (3, 1), (5, 1))),
        (Spread, 5, ((0, 1), (1, 1), (2, 1), (3, 1), (5, 1))),
        (Spread, 12, ((0, 2), (1, 3), (2, 2), (3, 2), (5, 3))),
        # The fullest rack that holds it: 7 free in rack 1, 8 in rack 2, 11 in rack 0.
        (RackLocal, 2, ((2, 2),)),
        (RackLocal, 7, ((2, 2), (3, 5))),
        (RackLocal, 8, ((5, 8),)),
        (RackLocal, 9, ((0, 1), (1, 8))),
        # No rack holds 12: racks with most room first.
        (RackLocal, 12, ((0, 3), (1, 8), (5, 1))),
    ],
)
def test_whole_accelerators(policy, width, expected):
    assert policy().place(PlacementRequest(width), VIEW) == expected


@pytest.mark.parametrize("policy", [FirstFit, BestFit, Spread, RackLocal])
def test_more_than_there_is_waits(policy):
    assert policy().place(PlacementRequest(27), VIEW) is None
    assert policy().place(PlacementRequest(9, max_servers=1), VIEW) is None


@pytest.mark.parametrize("policy", [FirstFit, BestFit, Spread, RackLocal])
def test_only_allowed_servers(policy):
    allowed = np.array([False, False, True, False, False, False])
    assert policy().place(PlacementRequest(2, allowed=allowed), VIEW) == ((2, 2),)
    assert policy().place(PlacementRequest(3, allowed=allowed), VIEW) is None


@pytest.mark.parametrize("policy", [FirstFit, BestFit, Spread, RackLocal])
def test_a_limit_on_servers_is_met_where_it_can_be(policy):
    """The first two servers hold 1 + 1; a gang of 3 over at most two servers needs the third."""
    view = make_cluster_view([1, 1, 2], rack=[0, 1, 2])
    placement = policy().place(PlacementRequest(3, max_servers=2), view)
    assert placement is not None
    assert sum(count for _, count in placement) == 3
    assert len(placement) == 2


@pytest.mark.parametrize("policy", [FirstFit, BestFit, Spread, RackLocal])
def test_a_job_without_accelerators_goes_where_its_cores_are(policy):
    view = make_cluster_view([4, 4], free_cpu_cores=[1.0, 8.0], cpu_memory_binding=True)
    assert policy().place(PlacementRequest(0, cpu_cores=4.0), view) == ((1, 0),)
    assert policy().place(PlacementRequest(0, cpu_cores=9.0), view) is None


@pytest.mark.parametrize("policy", [FirstFit, BestFit, Spread, RackLocal])
def test_a_part_of_an_accelerator_goes_where_one_is_shared(policy):
    view = make_cluster_view([4, 4], free=[0, 0], largest_free_share=[0.25, 0.5], cpu_memory_binding=True)
    assert policy().place(PlacementRequest(1, 0.5), view) == ((1, 1),)
    assert policy().place(PlacementRequest(1, 0.75), view) is None


@given(st.data(), st.sampled_from([FirstFit, BestFit, Spread, RackLocal]))
def test_what_fits_is_placed(data, policy):
    """Complete: whenever the roomiest servers the gang may span hold it, it is placed."""
    view = data.draw(cluster_views())
    request = data.draw(placement_requests(view))
    room = np.sort(view.room(request))[::-1]
    if request.accelerators <= 1:
        fits = room[0] >= 1
    else:
        fits = room[: request.max_servers or len(room)].sum() >= request.accelerators
    assert (policy().place(request, view) is not None) == fits


@given(st.data())
def test_best_fit_leaves_the_least_room(data):
    view = data.draw(cluster_views())
    request = data.draw(placement_requests(view))
    placement = BestFit().place(request, view)
    if placement is not None and len(placement) == 1:
        room, need = view.room(request), max(1, request.accelerators)
        assert room[placement[0][0]] == room[room >= need].min()


@given(st.data())
def test_spread_is_as_even_as_room_allows(data):
    view = data.draw(cluster_views(binding=False))
    request = data.draw(placement_requests(view))
    placement = dict(Spread().place(request, view) or ())
    room = view.room(request)
    for server, count in placement.items():
        for other, fewer in placement.items():
            # Nobody has two more than a server that has room for one more.
            assert count <= fewer + 1 or fewer == room[other], (server, other, placement)
