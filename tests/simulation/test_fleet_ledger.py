"""The router's picture of a queue: exact for one strict queue of equal slots, sensible for jobs on their way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.simulation.fleet_ledger import SiteLedger

JOBS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5), st.integers(0, 9)), max_size=25)


@given(st.integers(1, 5), JOBS)
def test_starts_are_those_of_a_strict_queue(slots, jobs):
    # Kiefer and Wolfowitz: the sorted instants at which each slot is free, S = max(A, S before, k-th of them).
    ledger, free_s, last_s, now_s = SiteLedger(slots), [0.0] * slots, 0.0, 0.0
    for gap_s, wanted, run_s in jobs:
        now_s += gap_s
        width = min(wanted, slots)
        ledger.advance(now_s)
        free_s.sort()
        start_s = max(now_s, last_s, free_s[width - 1])
        assert ledger.start_s(now_s, width) == start_s
        free_now = sum(instant <= now_s for instant in free_s)
        assert ledger.free() == (free_now if last_s <= now_s else 0.0)
        free_s[:width] = [start_s + run_s] * width
        last_s = start_s
        ledger.send(now_s, width, run_s)


def test_asking_changes_nothing():
    ledger = SiteLedger(2)
    ledger.send(0.0, 2, 50.0)
    ledger.advance(1.0)
    assert [ledger.start_s(1.0, 1), ledger.start_s(30.0, 2), ledger.start_s(1.0, 1)] == [50.0, 50.0, 50.0]


def test_who_comes_later_counts_for_who_comes_after_it():
    ledger = SiteLedger(4)
    ledger.send(100.0, 4, 1_000.0)  # on its way, promised all slots
    ledger.advance(10.0)
    assert ledger.free() == 0.0
    assert ledger.start_s(20.0, 1) > 20.0
    ledger.advance(200.0)
    assert ledger.start_s(200.0, 1) == 1_100.0


def test_what_is_on_its_way_beyond_the_first_fill_waits_in_proportion():
    ledger = SiteLedger(4)
    for _ in range(4):
        ledger.send(100.0, 4, 1_000.0)
    assert ledger.start_s(100.0, 4) == pytest.approx(100.0 + 4 * 1_000.0)


def test_jobs_without_accelerators_wait_for_nobody():
    ledger = SiteLedger(1)
    ledger.send(0.0, 1, 1e6)
    ledger.advance(0.0)
    ledger.send(0.0, 0, 5.0)
    assert ledger.start_s(3.0, 0) == 3.0
