"""Strict first come, first served on fungible slots is monotone: nothing better for one is worse for another.

Proof: let W be the sorted times at which slots become free. Job n starts at max(A_n, S_(n-1), W_(k_n)) and puts
k_n entries of W at its end; the maximum, the sum and the sorting are monotone, so earlier arrivals in the
same order, shorter times, a job less (width 0) or a slot more (an entry of W at 0 instead of infinity) can
only lower every start. The slots are racks of servers with several accelerators, for gangs may spread.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

SLOTS = 4


@st.composite
def traces(draw, max_jobs=8):
    """Return (arrivals, widths, run times) of jobs in order."""
    count = draw(st.integers(1, max_jobs))
    arrivals = sorted(draw(st.integers(0, 12)) for _ in range(count))
    return (
        [float(arrival) for arrival in arrivals],
        [draw(st.integers(1, SLOTS)) for _ in range(count)],
        [float(draw(st.integers(0, 9))) for _ in range(count)],
    )


def starts_s(trace, servers=2, devices=SLOTS // 2, names=None):
    submit_s, widths, durations_s = trace
    jobs = job_table(
        job_id=names or [f"{number:03d}" for number in range(len(submit_s))],
        submit_s=submit_s,
        accelerators=widths,
        duration_s=durations_s,
    )
    found = run(hall(servers, devices), jobs).jobs
    return dict(zip(found["job_id"], found["start_s"].tolist(), strict=True))


def nobody_later(better, worse):
    return all(start_s <= worse[name] for name, start_s in better.items())


def names_of(trace):
    return [f"{number:03d}" for number in range(len(trace[0]))]


@given(traces(), st.integers(1, 3))
def test_more_slots_delay_nobody(trace, more):
    assert nobody_later(starts_s(trace, servers=2 + more), starts_s(trace))


@given(traces(), st.data())
def test_shorter_jobs_delay_nobody(trace, data):
    submit_s, widths, durations_s = trace
    shorter = [float(data.draw(st.integers(0, int(duration_s)))) for duration_s in durations_s]
    assert nobody_later(starts_s((submit_s, widths, shorter)), starts_s(trace))


@given(traces(), st.data())
def test_a_job_less_delays_nobody(trace, data):
    index = data.draw(st.integers(0, len(trace[0]) - 1))
    rest = tuple(column[:index] + column[index + 1 :] for column in trace)
    names = [name for number, name in enumerate(names_of(trace)) if number != index]
    if names:
        assert nobody_later(starts_s(rest, names=names), starts_s(trace))


@given(traces(), st.data())
def test_a_narrower_gang_delays_nobody(trace, data):
    submit_s, widths, durations_s = trace
    narrower = [data.draw(st.integers(1, width)) for width in widths]
    assert nobody_later(starts_s((submit_s, narrower, durations_s)), starts_s(trace))


@given(traces(), st.data())
def test_an_earlier_arrival_in_the_same_place_delays_nobody(trace, data):
    submit_s, widths, durations_s = trace
    index = data.draw(st.integers(0, len(submit_s) - 1))
    before = submit_s[index - 1] if index else 0.0
    earlier = [*submit_s]
    earlier[index] = float(data.draw(st.integers(int(before), int(submit_s[index]))))
    assert nobody_later(starts_s((earlier, widths, durations_s)), starts_s(trace))


@given(traces())
def test_starts_are_in_the_order_of_arrival(trace):
    assert sorted(starts_s(trace).values()) == list(starts_s(trace).values())


def test_an_earlier_arrival_that_overtakes_delays_whom_it_overtakes():
    """Why the place in line has to stay: the theorem ends there."""
    late = starts_s(([0.0, 1.0, 2.0], [4, 4, 4], [5.0, 5.0, 5.0]), names=["a", "b", "c"])
    early = starts_s(([0.0, 0.5, 1.0], [4, 4, 4], [5.0, 5.0, 5.0]), names=["a", "c", "b"])
    assert (late["b"], early["b"]) == (5.0, 10.0)


@pytest.mark.deep
@given(traces(max_jobs=25), st.integers(1, 3))
def test_more_slots_delay_nobody_in_long_lines(trace, more):
    assert nobody_later(starts_s(trace, servers=2 + more), starts_s(trace))
    assert np.isfinite(list(starts_s(trace).values())).all()
