"""Theorems of strict first-come first-served on fungible slots, and recorded anomalies where they fail.

The slots are servers of one accelerator each, so that nothing fragments; jobs are plain run times, so
that nothing is shared. Then start times follow S_n = max(A_n, S_(n-1), W_(k_n)), W being the sorted
times at which slots become free; every operation in it is monotone.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

SLOTS = 3


@st.composite
def traces(draw, widest=SLOTS, max_jobs=6):
    count = draw(st.integers(1, max_jobs))
    ints = [draw(st.integers(0, 8)) for _ in range(count)]
    return (
        [float(value) for value in sorted(ints)],
        [draw(st.integers(1, widest)) for _ in range(count)],
        [float(draw(st.integers(0, 7))) for _ in range(count)],
    )


def ends_s(trace, slots=SLOTS, **policies):
    submit_s, widths, durations_s = trace
    jobs = job_table(submit_s=submit_s, accelerators=widths, duration_s=durations_s)
    return run(hall(slots, 1, policies=policies), jobs).jobs["end_s"]


def reference_ends_s(trace, slots=SLOTS):
    """The recursion of the module's docstring, in ten lines of its own."""
    free_s, start_s, found = [0.0] * slots, 0.0, []
    for submit, width, duration in zip(*trace, strict=True):
        free_s.sort()
        start_s = max(submit, start_s, free_s[width - 1])
        free_s[:width] = [start_s + duration] * width
        found.append(start_s + duration)
    return found


@given(traces())
def test_strict_fifo_is_the_recursion(trace):
    assert ends_s(trace).tolist() == reference_ends_s(trace)


@given(traces())
def test_a_further_slot_never_hurts_strict_fifo(trace):
    assert (ends_s(trace, SLOTS + 1) <= ends_s(trace)).all()


@given(traces(), st.data())
def test_a_shorter_job_never_hurts_strict_fifo(trace, data):
    submit_s, widths, durations_s = trace
    index = data.draw(st.integers(0, len(submit_s) - 1))
    shorter = [*durations_s]
    shorter[index] = data.draw(st.sampled_from([0.0, durations_s[index] / 2]))
    assert (ends_s((submit_s, widths, shorter)) <= ends_s(trace)).all()


@given(traces(), st.data())
def test_a_job_less_never_hurts_strict_fifo(trace, data):
    index = data.draw(st.integers(0, len(trace[0]) - 1))
    rest = tuple(column[:index] + column[index + 1 :] for column in trace)
    if rest[0]:
        assert (ends_s(rest) <= np.delete(ends_s(trace), index)).all()


@given(traces(widest=1), st.sampled_from(["first_fit", "best_fit", "spread", "rack_local"]))
def test_on_fungible_slots_every_placement_is_alike(trace, placement):
    assert ends_s(trace, placement=placement).tolist() == ends_s(trace).tolist()


@given(traces(widest=1))
def test_width_one_is_work_conserving(trace):
    """Between two events no job waits beside a free slot (all jobs fit every slot)."""
    submit_s, _, durations_s = trace
    ends = ends_s(trace)
    starts = ends - np.array(durations_s)
    for instant in np.unique([*submit_s, *ends.tolist()]):
        waiting = int(((np.array(submit_s) <= instant) & (starts > instant)).sum())
        busy = int(((starts <= instant) & (ends > instant)).sum())
        assert not waiting or busy == SLOTS


@given(traces(), st.integers(0, 3))
def test_makespan_has_its_lower_bounds(trace, skip):
    submit_s, widths, durations_s = (np.array(column) for column in trace)
    last = ends_s(trace, ordering={"name": "fifo", "parameters": {"skip": skip}}).max()
    assert last >= (submit_s + durations_s).max()
    assert last >= submit_s.min() + (widths * durations_s).sum() / SLOTS - 1e-9


def best_makespan_s(durations_s, slots):
    """The optimum for jobs of width one that are all there at t = 0, by trying everything."""
    if not durations_s:
        return 0.0

    def loads(rest, state):
        if not rest:
            return max(state)
        options = {
            tuple(sorted([*state[:i], state[i] + rest[0], *state[i + 1 :]])) for i in range(len(state))
        }
        return min(loads(rest[1:], option) for option in sorted(options))

    return loads(durations_s, (0.0,) * slots)


@given(
    st.lists(st.integers(0, 9).map(float), min_size=1, max_size=6),
    st.sampled_from(["fifo", "shortest_first"]),
)
def test_graham_bounds_hold_against_brute_force(durations_s, ordering):
    """List scheduling of width-one jobs: OPT <= makespan <= (2 - 1/m) OPT (Graham 1969)."""
    count = len(durations_s)
    best = best_makespan_s(durations_s, SLOTS)
    made = ends_s(([0.0] * count, [1] * count, durations_s), ordering=ordering).max()
    assert best <= made <= (2 - 1 / SLOTS) * best


SKIP = {"ordering": {"name": "fifo", "parameters": {"skip": 10}}}


def test_anomaly_a_fourth_slot_makes_a_skipping_list_slower():
    """Three gangs at t = 0: widths 2, 2, 1, run times 1, 2, 4. Three slots: 4 s; four slots: 5 s."""
    trace = ([0.0, 0.0, 0.0], [2, 2, 1], [1.0, 2.0, 4.0])
    # Three slots: the second gang waits, the third job passes it; gang 2 follows at 1 s.
    assert ends_s(trace, 3, **SKIP).tolist() == [1.0, 3.0, 4.0]
    # Four slots: both gangs start, and the long job starts only when the first is done.
    assert ends_s(trace, 4, **SKIP).tolist() == [1.0, 2.0, 5.0]


def test_a_strict_line_has_no_such_anomaly():
    trace = ([0.0, 0.0, 0.0], [2, 2, 1], [1.0, 2.0, 4.0])
    assert ends_s(trace, 3).tolist() == [1.0, 3.0, 5.0]
    assert ends_s(trace, 4).tolist() == [1.0, 2.0, 5.0]


def test_anomaly_a_further_slot_delays_a_job_under_shortest_first():
    """With arrivals: the second slot lets a long job start just before a short one arrives."""
    trace = ([0.0, 0.0, 1.0], [1, 2, 2], [2.0, 9.0, 1.0])
    two = ends_s(trace, 2, ordering="shortest_first")
    three = ends_s(trace, 3, ordering="shortest_first")
    # Two slots: the gang of 9 s must wait until 2 s, when the short one is first. Three slots: it starts at 0.
    assert two.tolist() == [2.0, 12.0, 3.0]
    assert three.tolist() == [2.0, 9.0, 10.0]


@pytest.mark.deep
@given(traces(widest=4, max_jobs=10), st.integers(4, 6))
def test_monotone_on_larger_cases(trace, slots):
    assert (ends_s(trace, slots + 1) <= ends_s(trace, slots)).all()
