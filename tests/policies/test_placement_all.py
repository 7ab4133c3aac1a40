"""What every built-in placement policy keeps, on random clusters with parts of devices, cores and memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.policies import PlacementRequest, known_policies
from dcsim.policies.demand import demand_of
from dcsim.testing.strategies import cluster_views, make_cluster_view, placement_requests

CLASSES: dict[str, Any] = dict(known_policies("placement"))
NAMES = sorted(name for name, kind in CLASSES.items() if kind.__module__.startswith("dcsim."))


@st.composite
def told_views(draw):
    """Return a view with everything a policy may be told."""
    view = draw(cluster_views())
    servers = len(view.rack)
    units = np.zeros((servers, view.largest_server), dtype=np.int16)
    largest = np.zeros(servers)
    for server in range(servers):
        total, free = int(view.total_accelerators[server]), int(view.free_accelerators[server])
        row = [1000] * free + [draw(st.sampled_from((0, 250, 500, 999))) for _ in range(total - free)]
        units[server, :total] = draw(st.permutations(row))
        largest[server] = units[server].max(initial=0) / 1000.0
    types = np.array([draw(st.integers(0, 2)) for _ in range(servers)])
    loads = (np.array([draw(st.floats(0.0, 1.0)) for _ in range(servers)]), np.zeros(len(view.rack_start)))
    kinds = np.array([draw(st.integers(0, 0b1011)) for _ in range(servers)], dtype=np.uint64)
    for column in (units, largest, types, kinds):
        column.flags.writeable = False
    return replace(
        view,
        free_units=units,
        largest_free_share=largest,
        accelerator_type=types,
        job_kinds=kinds,
        cpu_cores=np.maximum(view.free_cpu_cores, 64.0),
        link_loads=lambda: loads,
        demand=demand_of(
            np.array([1, 1, 2, 0]),
            np.array([1.0, 0.25, 1.0, 1.0]),
            np.array([4.0, 2.0, 8.0, 1.0]),
            np.zeros(4),
            np.full(4, -1),
            (None,),
        ),
    )


@st.composite
def questions(draw):
    """Return a view and a request for servers of one accelerator type."""
    view = draw(told_views())
    request = draw(placement_requests(view))
    one_type = view.accelerator_type == view.accelerator_type[0]
    allowed = one_type if request.allowed is None else request.allowed & one_type
    speed = np.array([draw(st.sampled_from((0.25, 1.0))) for _ in range(len(view.rack))])
    if request.accelerators == 0:
        allowed = None
    return view, replace(
        request, allowed=allowed, draw=draw(st.floats(0.0, 1.0, exclude_max=True)), speed=speed
    )


@pytest.mark.parametrize("name", NAMES)
@given(question=questions())
def test_what_fits_is_placed_whole_within_what_is_free(name, question):
    """A gang waits only if the roomiest servers it may span do not hold it; else all of it is placed."""
    view, request = question
    policy = CLASSES[name]()
    placement = policy.place(request, view)
    assert placement == CLASSES[name]().place(request, view)
    room = view.room(request)
    span = 1 if request.accelerators <= 1 else request.max_servers or len(room)
    fits = np.sort(room)[::-1][:span].sum() >= max(1, request.accelerators)
    assert (placement is not None) == fits
    if placement is None:
        return
    servers, counts = zip(*placement, strict=True)
    assert all(type(number) is int for number in (*servers, *counts))
    assert list(servers) == sorted(set(servers))
    assert sum(counts) == request.accelerators
    assert len(servers) <= (request.max_servers or len(servers))
    assert all(max(1, count) <= room[server] for server, count in placement)
    _check_device(policy.device(request, view, servers[0]), request, view, servers[0])


def _check_device(device, request, view, server):
    """Refuse a device without what is wanted, or one named for whole devices."""
    assert type(device) is int
    if request.accelerator_share == 1.0:
        assert device == -1
    elif device >= 0:
        assert view.units()[server, device] >= request.accelerator_share * 1000.0


@pytest.mark.parametrize("name", [name for name in NAMES if CLASSES[name].weighs_types])
def test_a_gang_stays_on_one_accelerator_type(name):
    """Two servers of each of two types: three devices of one type and two of the other are free."""
    policy = CLASSES[name]()
    view = replace(
        make_cluster_view([2, 2, 2, 2], free=[1, 2, 1, 1]), accelerator_type=np.array([0, 1, 0, 1])
    )
    assert policy.place(PlacementRequest(3), view) == ((1, 2), (3, 1))
    assert policy.place(PlacementRequest(4), view) is None


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_needs_and_costs(name):
    policy = CLASSES[name]
    for text in (policy.optimises, policy.source, policy.needs, policy.complexity):
        assert text.strip() == text != ""
    assert "O(" in policy.complexity
    assert "needs" in vars(policy) or any("needs" in vars(base) for base in policy.__mro__[1:-2])
