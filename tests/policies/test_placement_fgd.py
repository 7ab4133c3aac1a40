"""Fragmentation gradient descent on servers few enough to see the gradients."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.facility.hardware import CATALOGUE
from dcsim.facility.servers import Fleet, share_units
from dcsim.policies import PlacementRequest, make_policy
from dcsim.policies.demand import demand_of
from dcsim.policies.fragmentation import fragmented_units, typical_jobs
from dcsim.policies.placement_fgd import FragmentationGradient
from dcsim.policies.views import ClusterView, FindFree
from dcsim.spec.cluster import ClusterSpec

DEMAND = demand_of(
    np.array([1, 1, 2, 0]),
    np.array([0.5, 0.3, 1.0, 1.0]),
    np.array([4.0, 2.0, 16.0, 8.0]),
    np.zeros(4),
    np.full(4, -1),
    (None,),
)


def fleet_of(*devices, cores=64.0):
    """Return a fleet of servers with so many devices each, and its view."""
    groups = [{"accelerator": "T4", "accelerators": count, "cpu_cores": cores} for count in devices]
    fleet = Fleet(ClusterSpec.model_validate({"racks": [{"name": "r", "servers": groups}]}), CATALOGUE)
    fleet.has_shares = fleet.track_cpu_memory = True
    view = ClusterView(
        **fleet.columns(),
        largest_server=max(devices),
        cpu_memory_binding=True,
        find_free=cast("FindFree", fleet.free_bytes.find),
        demand=DEMAND,
    )
    return fleet, view


def total_fragmentation(view):
    servers = np.arange(len(view.rack))
    return fragmented_units(view.units(), view.free_cpu_cores, servers, typical_jobs(DEMAND)).sum()


def test_a_part_goes_where_parts_are():
    fleet, view = fleet_of(3, 3)
    fleet.take_share(1, 500, 1.0, 1.0, device=1)
    policy, request = FragmentationGradient(), PlacementRequest(1, 0.5, cpu_cores=1.0)
    # Device 1 of server 1 serves no pair any more: taking its rest loses nothing else.
    assert policy.place(request, view) == ((1, 1),)
    assert policy.device(request, view, 1) == 1
    assert policy.device(request, view, 0) == 0
    assert policy.device(PlacementRequest(1), view, 0) == -1


def test_it_leaves_less_fragmentation_than_the_tightest_device():
    """0.3 of a device: the tightest fit leaves 0.2 that nobody uses, FGD leaves 0.5 for a half."""
    fleet, view = fleet_of(2)
    fleet.take_share(0, 500, 1.0, 1.0, device=0)
    fleet.take_share(0, 200, 1.0, 1.0, device=1)
    policy, request = FragmentationGradient(levels=0), PlacementRequest(1, 0.3, cpu_cores=1.0)
    held = fleet.take_share(0, 300, 1.0, 1.0)
    assert held[2] == 0
    tightest = total_fragmentation(view)
    fleet.give_back(held, 300, 1.0, 1.0)
    assert policy.device(request, view, 0) == 1
    fleet.take_share(0, 300, 1.0, 1.0, device=1)
    assert total_fragmentation(view) < tightest


JOBS = st.tuples(st.sampled_from((0, 1, 1, 1, 2, 4)), st.sampled_from((0.3, 0.5, 1.0)), st.integers(0, 16))


@given(st.lists(st.tuples(JOBS, st.booleans()), max_size=25), st.sampled_from((0, 100)), st.randoms())
def test_what_is_remembered_changes_nothing(jobs, levels, order):
    """One policy through a history of starts and ends decides as a fresh one would at each instant.

    And where scores are not rounded its choice is the steepest descent of the cluster's fragmentation.
    """
    fleet, view = fleet_of(2, 4, 1, 4)
    policy, running = FragmentationGradient(levels=levels), []
    for (devices, share, cores), ends in jobs:
        part = share if devices == 1 else 1.0
        request = PlacementRequest(devices, part, 1, float(cores))
        placement, fresh = policy.place(request, view), FragmentationGradient(levels=levels)
        assert placement == fresh.place(request, view)
        if placement is not None:
            server, device = placement[0][0], -1
            if part < 1.0:
                device = policy.device(request, view, server)
                assert device == fresh.device(request, view, server)
            running.append(_start(fleet, request, server, device))
            if levels == 0:
                _nothing_is_better(fleet, view, request, running[-1])
        if ends and running:
            fleet.give_back(*running.pop(order.randrange(len(running))))


def _start(fleet, request, server, device):
    units = share_units(request.accelerator_share)
    if request.accelerator_share < 1.0:
        held = fleet.take_share(server, units, request.cpu_cores, 0.0, device)
    else:
        held = fleet.take(server, request.accelerators, request.cpu_cores, 0.0)
    return held, units, request.cpu_cores, 0.0


def _nothing_is_better(fleet, view, request, chosen):
    reached = total_fragmentation(view)
    fleet.give_back(*chosen)
    room = view.room(request)
    for server in np.flatnonzero(room >= max(1, request.accelerators)).tolist():
        devices = range(int(fleet.total[server])) if request.accelerator_share < 1.0 else [-1]
        for device in devices:
            if device >= 0 and fleet.units[server, device] < chosen[1]:
                continue
            other = _start(fleet, request, server, device)
            assert total_fragmentation(view) >= reached - 1e-6
            fleet.give_back(*other)
    fleet.retake(*chosen)


def test_the_logistic_makes_steps_of_a_hundredth():
    """Two servers whose fragmentation grows by 0.5 and 0.51 devices score the same, the first goes first."""
    _, view = fleet_of(1, 1, 1)
    policy = FragmentationGradient()
    scores = policy.scores(PlacementRequest(1, cpu_cores=1.0), view, np.arange(3))
    assert scores == pytest.approx(np.floor(scores))
    assert len(set(scores.tolist())) == 1
    # A quarter of the jobs is CPU-only and calls all of the device waste, a pair cannot use one.
    wasted = total_fragmentation(view) / 3.0
    assert wasted == pytest.approx(500.0)
    assert scores[0] == np.floor(100.0 / (1.0 + np.exp(-0.5)))


def test_without_word_of_the_demand_the_job_at_hand_stands_for_it():
    fleet, view = fleet_of(2, 2)
    fleet.take_share(1, 700, 1.0, 1.0)
    view = replace(view, demand=None)
    # Taking a device of server 1 would leave 0.3 there as useless as it is.
    assert FragmentationGradient(levels=0).place(PlacementRequest(2, cpu_cores=1.0), view) == ((0, 2),)


def test_cores_that_nobody_counts_do_not_matter():
    _, view = fleet_of(2, 1)
    view = replace(view, cpu_memory_binding=False)
    assert FragmentationGradient().place(PlacementRequest(1, cpu_cores=1e6), view) is not None


def test_it_travels_without_what_it_remembers():
    _, view = fleet_of(2, 2)
    policy = FragmentationGradient(popularity=0.5)
    before, placement = repr(vars(policy)), policy.place(PlacementRequest(1), view)
    assert repr(vars(policy)) == before
    copy = pickle.loads(pickle.dumps(policy))  # noqa: S301  made here
    assert copy.popularity == 0.5
    assert copy.place(PlacementRequest(1), view) == placement


@pytest.mark.parametrize("popularity", [0.0, 1.01, float("nan")])
def test_popularity_is_a_fraction(popularity):
    with pytest.raises(PolicyError, match="popularity"):
        make_policy("placement", "fgd", {"popularity": popularity})
