"""The scoring policies on servers few enough to work their scores out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcsim.errors import PolicyError
from dcsim.policies import PlacementRequest, make_policy
from dcsim.policies.placement import BestFit, WorstFit
from dcsim.policies.placement_scores import BestFitVector, DotProduct, GpuClustering, GpuPacking
from dcsim.testing.strategies import make_cluster_view


def view_of(units, cores, *, total=None, kinds=None, largest=8):
    """Return servers with these free thousandths of devices and cores; the largest has 100 cores."""
    wide = np.zeros((len(units), largest), dtype=np.int16)
    for server, row in enumerate(units):
        wide[server, : len(row)] = row
    view = make_cluster_view(
        [len(row) for row in units] if total is None else total,
        free=[row.count(1000) for row in units],
        free_cpu_cores=cores,
        largest_free_share=[max(row, default=0) / 1000.0 for row in units],
        cpu_memory_binding=True,
    )
    return replace(
        view,
        free_units=wide,
        cpu_cores=np.array([100.0] * len(units)),
        largest_server=largest,
        job_kinds=None if kinds is None else np.array(kinds, dtype=np.uint64),
    )


def test_best_fit_vector_weighs_cores_and_accelerators():
    view = view_of([[1000] * 8, [1000] * 4, [1000] * 2], [10.0, 40.0, 90.0])
    # After one device and 10 cores: 7/8 + 0, 3/8 + 0.3, 1/8 + 0.8 are left of the largest server.
    request = PlacementRequest(1, cpu_cores=10.0)
    scores = BestFitVector(levels=0).scores(request, view, np.arange(3))
    assert scores == pytest.approx([1 - 0.4375, 1 - 0.3375, 1 - 0.4625])
    assert BestFitVector().scores(request, view, np.arange(3)).tolist() == [56.0, 66.0, 53.0]
    assert BestFitVector().place(request, view) == ((1, 1),)
    # In accelerators alone the last is the tightest.
    assert BestFit().place(PlacementRequest(1), view) == ((2, 1),)


def test_dot_product_keeps_what_is_large_in_what_is_wanted():
    view = view_of([[1000] * 8, [1000] * 4, [1000] * 2], [10.0, 40.0, 90.0])
    request = PlacementRequest(2, cpu_cores=8.0)
    scores = DotProduct(levels=0).scores(request, view, np.arange(3))
    assert scores == pytest.approx(1 - np.array([0.25 + 0.008, 0.125 + 0.032, 0.0625 + 0.072]) / 2)
    assert DotProduct().scores(request, view, np.arange(3)).tolist() == [87.0, 92.0, 93.0]
    assert DotProduct().place(request, view) == ((2, 2),)
    # A job of cores alone stays away from where cores are free.
    assert DotProduct().place(PlacementRequest(0, cpu_cores=8.0), view) == ((0, 0),)


def test_whole_numbers_make_equals_of_near_equals():
    view = view_of([[1000] * 8, [1000] * 8], [21.0, 20.2])
    request = PlacementRequest(1, cpu_cores=1.0)
    assert BestFitVector(levels=0).place(request, view) == ((1, 1),)
    assert BestFitVector(levels=100).place(request, view) == ((0, 1),)


def test_gpu_clustering_prefers_its_like_alone_then_among_others_then_empty_servers():
    units = [[0, 1000], [0, 0, 500, 1000], [500, 1000], [1000, 1000], [200, 1000]]
    kinds = [0b10, 0b11, 0b01, 0b00, 0b01]
    view = view_of(units, [50.0] * 5, kinds=kinds)
    whole, part = PlacementRequest(1), PlacementRequest(1, 0.1)
    # Within a class up to 24 for how much of 8 devices is not free here.
    assert GpuClustering().scores(whole, view, np.arange(5)).tolist() == [96.0, 70.0, 20.0, 43.0, 21.0]
    assert GpuClustering().scores(part, view, np.arange(5)).tolist() == [21.0, 70.0, 95.0, 43.0, 96.0]
    assert GpuClustering().place(whole, view) == ((0, 1),)
    assert GpuClustering().place(part, view) == ((4, 1),)
    # Two at once: nobody holds such a job, an empty server is better than one of another kind.
    assert GpuClustering().place(PlacementRequest(2), view) == ((3, 2),)
    assert GpuClustering().place(PlacementRequest(0, cpu_cores=1.0), view) == ((0, 0),)


def test_gpu_packing_uses_used_devices_then_used_servers_then_small_empty_ones():
    units = [[1000] * 8, [1000, 1000], [1000, 1000, 0], [600, 400, 1000], [1000, 300]]
    view = view_of(units, [50.0] * 5)
    part = PlacementRequest(1, 0.3)
    # Empty: 33 - devices. In use: 50 - whole ones used. Shared: 100 - tenths of devices left open.
    assert GpuPacking().scores(part, view, np.arange(5)).tolist() == [25, 31, 49, 96, 97]
    assert GpuPacking().place(part, view) == ((4, 1),)
    two = PlacementRequest(2)
    assert GpuPacking().scores(two, view, np.arange(3)).tolist() == [25, 31, 48]
    assert GpuPacking().place(two, view) == ((2, 2),)
    assert GpuPacking().place(PlacementRequest(8), view) == ((0, 8),)


def test_a_gang_wider_than_any_server_goes_on_the_fewest():
    view = view_of([[1000] * 8, [1000] * 2, [1000] * 4], [50.0] * 3)
    for policy in (BestFitVector, DotProduct, GpuClustering, GpuPacking):
        assert policy().place(PlacementRequest(12), view) == ((0, 8), (2, 4))


def test_worst_fit_takes_the_roomiest():
    view = view_of([[1000] * 3 + [0], [1000] * 4, [0, 900]], [10.0, 20.0, 30.0])
    assert WorstFit().place(PlacementRequest(2), view) == ((1, 2),)
    assert WorstFit().place(PlacementRequest(1, 0.5), view) == ((1, 1),)
    assert WorstFit().place(PlacementRequest(0, cpu_cores=1.0), view) == ((2, 0),)
    plain = make_cluster_view([4, 8, 8], free=[4, 5, 5])
    assert WorstFit().place(PlacementRequest(3), plain) == ((1, 3),)
    assert WorstFit().place(PlacementRequest(9), plain) == ((1, 5), (2, 4))


@pytest.mark.parametrize("levels", [-1, 0.5, 2_000_000])
def test_levels_are_a_whole_number(levels):
    with pytest.raises(PolicyError, match="whole number"):
        make_policy("placement", "best_fit_vector", {"levels": levels})
