"""Fragmentation against its definition, written out job by job and device by device."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.policies.demand import demand_of
from dcsim.policies.fragmentation import TypicalJobs, fragmented_units, typical_jobs

SHAPES = st.tuples(
    st.integers(0, 4), st.integers(1, 1000), st.integers(0, 640), st.booleans(), st.integers(1, 5)
)


def by_definition(units, cores, suits, jobs):
    """Return what the average job of (devices, units, cores, needs this type, count) cannot use."""
    wasted = total = 0.0
    for devices, wanted, cpu, typed, count in jobs:
        enough = [left for left in units if left >= wanted]
        hosted = devices > 0 and len(enough) >= devices and cores >= cpu and (suits or not typed)
        wasted += count * (sum(units) - (sum(enough) if hosted else 0))
        total += count
    return wasted / total


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.integers(0, 640), st.booleans()),
        max_size=6,
    ),
    st.lists(SHAPES, min_size=1, max_size=6),
)
def test_it_is_what_the_paper_says(servers, jobs):
    suits = np.array([suit for _, _, suit in servers], dtype=bool)
    count = np.array([number for *_, number in jobs], dtype=np.float64)
    typical = TypicalJobs(
        devices=np.array([devices for devices, *_ in jobs]),
        units=np.array([wanted if devices else 0 for devices, wanted, *_ in jobs]),
        cpu_cores=np.array([cpu / 10.0 for _, _, cpu, *_ in jobs]),
        allowed=tuple(suits if typed else None for *_, typed, _ in jobs),
        weight=count / count.sum(),
    )
    units = np.array([row for row, *_ in servers], dtype=np.int16).reshape(-1, 4)
    cores = np.array([cpu / 10.0 for _, cpu, _ in servers])
    got = fragmented_units(units, cores, np.arange(len(servers)), typical)
    wanted = [by_definition(row, cpu, suit, jobs) for row, cpu, suit in servers]
    assert got == pytest.approx(wanted, abs=1e-9)


def test_rounding_of_cores_does_not_count():
    """20 - 11.9 is 8.100000000000001 or 8.099999999999998, and 8.1 cores are free all the same."""
    one = TypicalJobs(np.array([1]), np.array([1000]), np.array([8.1]), (None,), np.array([1.0]))
    free = np.array([[1000], [1000], [1000]], dtype=np.int16)
    cores = np.array([20.0 - 11.9, 30.0 - 21.9, 8.099])
    assert fragmented_units(free, cores, np.arange(3), one).tolist() == [0.0, 0.0, 1000.0]


def test_many_servers_are_looked_at_in_parts():
    one = TypicalJobs(np.array([1]), np.array([500]), np.array([0.0]), (None,), np.array([1.0]))
    free = np.tile(np.array([[1000, 300], [400, 400]], dtype=np.int16), (10_000, 1))
    got = fragmented_units(free, np.ones(20_000), np.arange(20_000), one)
    assert got.tolist() == [300.0, 800.0] * 10_000
    assert len(fragmented_units(free[:0], np.ones(0), np.arange(0), one)) == 0


def test_typical_jobs_are_the_most_frequent_the_larger_first():
    #                  shape 1 x8, 2 x8 (more cores), CPU-only x3, a whole server x1
    devices = np.repeat([1, 1, 0, 8], [8, 8, 3, 1])
    share = np.repeat([0.55, 1.0, 1.0, 1.0], [8, 8, 3, 1])
    cores = np.repeat([4.0, 6.0, 2.0, 96.0], [8, 8, 3, 1])
    memory = np.arange(20.0)  # differs for each, and does not count
    demand = demand_of(devices, share, cores, memory, np.full(20, -1), (None,))
    assert len(demand) == 20
    typical = typical_jobs(demand, 0.95)
    assert typical.units.tolist() == [1000, 550, 0]
    assert typical.devices.tolist() == [1, 1, 0]
    assert typical.weight.tolist() == pytest.approx([8 / 19, 8 / 19, 3 / 19])
    assert typical_jobs(demand, 1.0).devices.tolist() == [1, 1, 0, 8]
    assert typical_jobs(demand, 0.4).units.tolist() == [1000]


def test_jobs_kept_to_other_types_are_other_shapes():
    here, there = np.array([True, False]), np.array([False, True])
    demand = demand_of(
        np.array([1, 1, 1]), np.ones(3), np.ones(3), np.zeros(3), np.array([0, 1, 1]), (here, there, None)
    )
    typical = typical_jobs(demand)
    assert [None if mask is None else mask.tolist() for mask in typical.allowed] == [
        [False, True],
        [True, False],
    ]
    free = np.full((2, 1), 1000, dtype=np.int16)
    got = fragmented_units(free, np.full(2, np.inf), np.arange(2), typical)
    assert got == pytest.approx([2000 / 3, 1000 / 3])
