"""Random placement: one answer to a question, and every answer as likely as the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from dcsim.policies import PlacementRequest
from dcsim.policies.placement_random import RandomFit
from dcsim.rng import stream
from dcsim.testing.strategies import make_cluster_view

DRAWS = stream(0, "tests", "placement").random(6_000).tolist()
LEAST_P = 1e-4


def placed(request, view):
    """Return where a request that fits goes."""
    placement = RandomFit().place(request, view)
    assert placement is not None
    return placement


def share_of_chance(chosen, kinds):
    """Return the p-value of chosen numbers under equal chances."""
    return stats.chisquare(np.bincount(chosen, minlength=kinds)).pvalue


def test_each_server_that_fits_is_as_likely():
    view = make_cluster_view([4] * 7, free=[4, 1, 3, 2, 4, 0, 2])
    chosen = [placed(PlacementRequest(2, draw=draw), view)[0][0] for draw in DRAWS]
    fitting = [0, 2, 3, 4, 6]
    assert sorted(set(chosen)) == fitting
    assert share_of_chance([fitting.index(server) for server in chosen], 5) > LEAST_P


def test_each_device_with_enough_is_as_likely_and_no_server_has_a_favourite():
    units = np.array([[700, 300, 1000, 500, 600]] * 2, dtype=np.int16)
    view = replace(make_cluster_view([5, 5]), free_units=units)
    request = PlacementRequest(1, 0.5)
    chosen = [
        [RandomFit().device(replace(request, draw=draw), view, server) for draw in DRAWS[:3_000]]
        for server in (0, 1)
    ]
    for devices in chosen:
        assert sorted(set(devices)) == [0, 2, 3, 4]
        assert share_of_chance([[0, 2, 3, 4].index(device) for device in devices], 4) > LEAST_P
    same = np.mean(np.array(chosen[0]) == np.array(chosen[1]))
    assert abs(same - 0.25) < 0.04


def test_the_device_does_not_depend_on_the_server_having_been_drawn():
    view = replace(make_cluster_view([4] * 300), free_units=np.full((300, 4), 900, dtype=np.int16))
    devices = []
    for draw in DRAWS[:4_000]:
        request = PlacementRequest(1, 0.5, draw=draw)
        ((server, _),) = placed(request, view)
        devices.append(RandomFit().device(request, view, server))
    assert share_of_chance(devices, 4) > LEAST_P


def test_a_wide_gang_takes_servers_in_a_random_order():
    view = make_cluster_view([2] * 6)
    chosen = [placed(PlacementRequest(3, draw=draw), view) for draw in DRAWS]
    assert {len(placement) for placement in chosen} == {2}
    pairs = sorted({tuple(server for server, _ in placement) for placement in chosen})
    assert len(pairs) == 15
    assert (
        share_of_chance([pairs.index(tuple(s for s, _ in placement)) for placement in chosen], 15) > LEAST_P
    )


def test_a_limit_on_servers_is_met_where_it_can_be():
    view = make_cluster_view([1, 1, 1, 8, 8, 6])
    for draw in DRAWS[:200]:
        assert RandomFit().place(PlacementRequest(14, max_servers=2, draw=draw), view) is not None
        assert RandomFit().place(PlacementRequest(16, max_servers=2, draw=draw), view) == ((3, 8), (4, 8))
        assert RandomFit().place(PlacementRequest(17, max_servers=2, draw=draw), view) is None


def test_the_same_draw_is_the_same_answer():
    view = make_cluster_view([4] * 50)
    first, second = (RandomFit().place(PlacementRequest(2, draw=0.625), view) for _ in range(2))
    assert first == second
