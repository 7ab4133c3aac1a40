"""Thermal-aware placement: each policy's choice against a search over all servers, gangs, and ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.policies import PlacementRequest
from dcsim.policies.placement_thermal import CoolestInlet, LeastRecirculation, MinimalHottest
from dcsim.testing.strategies import cluster_views, make_cluster_view, placement_requests

ALL = (CoolestInlet, LeastRecirculation, MinimalHottest)


def with_heat(view, **changes):
    """Return a view whose heat is otherwise."""
    assert view.heat is not None
    return replace(view, heat=replace(view.heat, **changes))


def fits(request, view):
    return np.flatnonzero(view.room(request) >= max(1, request.accelerators))


def added_w(request, view, server):
    heat = view.heat
    if request.accelerators == 0:
        return request.cpu_cores * heat.core_power_w[server]
    return request.accelerators * request.accelerator_share * heat.busy_power_w[server]


def hottest_with(request, view, server):
    """Return the hottest inlet of the hall, over supply, with the job on that server."""
    power = view.heat.power_w()
    power[view.heat.node[server]] += added_w(request, view, server)
    return float((view.heat.rise_k_per_w @ power).max())


def came_back_with(request, view, server):
    """Return the heat that all nodes breathe because of the job on that server."""
    power = np.zeros(len(view.heat))
    power[view.heat.node[server]] = added_w(request, view, server)
    return float(view.heat.heat_rate_w_per_k @ (view.heat.rise_k_per_w @ power))


@st.composite
def questions(draw):
    view = draw(cluster_views(max_servers=24))
    return view, draw(placement_requests(view))


@given(questions())
def test_each_takes_the_best_of_all_servers(question):
    view, request = question
    servers = fits(request, view)
    if not len(servers):
        return
    inlet = view.heat.inlet_deg_c()[view.heat.node]
    scores = {
        CoolestInlet: [float(inlet[s]) for s in servers],
        LeastRecirculation: [came_back_with(request, view, s) for s in servers],
        MinimalHottest: [hottest_with(request, view, s) for s in servers],
    }
    for policy, score in scores.items():
        placement = policy().place(request, view)
        assert placement is not None
        chosen = score[servers.tolist().index(placement[0][0])]
        # XInt breaks ties by what comes back, so equals may differ by a millionth of a kelvin.
        assert chosen <= min(score) * (1.0 + 1e-9) + 2e-6


def test_uniform_outlets_weigh_a_rack_s_own_heat():
    """Two racks breathe the same; the one that works already gives warmer air, and would give warmer still."""
    view = make_cluster_view([8, 8], free=[2, 8], rack=[0, 1])
    view = with_heat(view, inlet_deg_c=lambda: np.array([24.0, 24.0]))
    assert CoolestInlet().place(PlacementRequest(1), view) == ((0, 1),)
    assert CoolestInlet(outlet_weight=1.0).place(PlacementRequest(1), view) == ((1, 1),)


def test_a_gang_over_servers_goes_where_it_is_coolest():
    racks = [0, 0, 1, 1, 2, 2]
    view = make_cluster_view([8] * 6, rack=racks)
    warm = with_heat(view, inlet_deg_c=lambda: np.array([27.0, 24.0, 25.0]))
    placement = CoolestInlet().place(PlacementRequest(20), warm)
    assert placement == ((2, 8), (3, 8), (4, 4))


def test_xint_spreads_a_gang_as_each_choice_warms_the_next():
    """Three equal racks that breathe their own exhaust only: one server in each, before any gets a second."""
    view = make_cluster_view([8] * 6, rack=[0, 0, 1, 1, 2, 2])
    own = with_heat(
        view,
        rise_k_per_w=np.eye(3) * 1e-3,
        recirculation_factor=np.full(3, 0.1),
        power_w=lambda: np.full(3, 1_000.0),
    )
    request = PlacementRequest(24)
    placement = MinimalHottest().place(request, own)
    assert placement == ((0, 8), (2, 8), (4, 8))
    assert LeastRecirculation().place(request, own) == ((0, 8), (1, 8), (2, 8))


@pytest.mark.parametrize("policy", ALL)
def test_a_limit_on_servers_is_kept_and_met_where_it_can_be(policy):
    view = make_cluster_view([8] * 6, free=[1, 8, 2, 8, 3, 1], rack=[0, 0, 1, 1, 2, 2])
    placement = policy().place(PlacementRequest(12, max_servers=2), view)
    assert placement is not None
    assert {server for server, _ in placement} == {1, 3}
    assert policy().place(PlacementRequest(17, max_servers=2), view) is None
    assert policy().place(PlacementRequest(9, max_servers=1), view) is None


@pytest.mark.parametrize("policy", ALL)
def test_only_allowed_servers_with_memory_are_taken(policy):
    memory = [2.0**30 * gib for gib in (1, 64, 64, 64)]
    view = make_cluster_view([8] * 4, rack=[0, 1, 2, 3], free_memory_bytes=memory, cpu_memory_binding=True)
    allowed = np.array([True, False, True, False])
    request = PlacementRequest(4, memory_bytes=2.0**33, allowed=allowed)
    assert policy().place(request, view) == ((2, 4),)


@pytest.mark.parametrize("policy", ALL)
def test_a_view_without_heat_is_refused(policy):
    view = replace(make_cluster_view([8, 8]), heat=None)
    with pytest.raises(PolicyError, match="needs a room"):
        policy().place(PlacementRequest(1), view)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_0_to_1_is_refused(weight):
    with pytest.raises(PolicyError, match="outlet_weight"):
        CoolestInlet(outlet_weight=weight)
