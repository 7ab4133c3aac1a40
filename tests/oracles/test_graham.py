"""Scheduling anomalies that must come out exactly: Graham's, and those of skipping lists and of EASY.

Each says that something better for the machine makes the schedule worse. They are why no test asserts
the opposite of any policy but strict first come, first served on fungible slots.
"""

from __future__ import annotations

import pytest

from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

# R. L. Graham, Bounds on Multiprocessing Timing Anomalies, SIAM J. Appl. Math. 17 (1969) 416-429, figures 1-5.
TIMES_S = (3.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0, 4.0, 9.0)
FOLLOWS = {9: (1,), 5: (4,), 6: (4,), 7: (4,), 8: (4,)}
SKIP = {"name": "fifo", "parameters": {"skip": 100}}


def graham(machines=3, times_s=TIMES_S, follows=None, order=range(1, 10)):
    """List scheduling of the nine tasks in the given order; returns the makespan."""
    place = {task: at for at, task in enumerate(order)}
    follows = FOLLOWS if follows is None else follows
    jobs = job_table(
        job_id=[f"{place[task]}" for task in range(1, 10)],
        submit_s=[0.0] * 9,
        duration_s=times_s,
        after={f"{place[task]}": tuple(f"{place[b]}" for b in befores) for task, befores in follows.items()},
    )
    return run(hall(machines, 1, policies={"ordering": SKIP}), jobs).jobs["end_s"].max()


def test_three_machines_need_12(figure):
    figure.equal("Graham 1969: 3 machines", graham(), 12.0, 0.0)


def test_a_fourth_machine_makes_it_15(figure):
    figure.equal("Graham 1969: 4 machines", graham(machines=4), 15.0, 0.0)


def test_shorter_tasks_make_it_13(figure):
    shorter_s = [time_s - 1.0 for time_s in TIMES_S]
    figure.equal("Graham 1969: all tasks 1 shorter", graham(times_s=shorter_s), 13.0, 0.0)


def test_fewer_precedences_make_it_16(figure):
    fewer = {9: (1,), 7: (4,), 8: (4,)}
    figure.equal("Graham 1969: two precedences less", graham(follows=fewer), 16.0, 0.0)


def test_another_list_makes_it_14(figure):
    figure.equal("Graham 1969: another order", graham(order=(1, 2, 4, 5, 6, 3, 9, 7, 8)), 14.0, 0.0)


def makespan_s(ordering, slots, jobs):
    """Of (arrival, width, duration) on fungible slots."""
    submit_s, widths, durations_s = zip(*jobs, strict=True)
    table = job_table(
        job_id=[f"{number}" for number in range(len(jobs))],
        submit_s=submit_s,
        accelerators=widths,
        duration_s=durations_s,
    )
    return run(hall(slots, 1, policies={"ordering": ordering}), table).jobs["end_s"].max()


@pytest.mark.parametrize("ordering", ["easy_backfill", SKIP])
def test_a_further_slot_makes_backfilling_slower(figure, ordering):
    jobs = [(0.0, 2, 1.0), (0.0, 2, 2.0), (0.0, 1, 4.0)]
    found = [makespan_s(ordering, slots, jobs) for slots in (3, 4)]
    figure.equal("EASY and skipping list, 3 slots", found[0], 4.0, 0.0)
    figure.equal("EASY and skipping list, 4 slots", found[1], 5.0, 0.0)


def test_a_shorter_job_makes_easy_slower(figure):
    found = [
        makespan_s("easy_backfill", 2, [(0.0, 1, first_s), (0.0, 2, 1.0), (0.0, 1, 5.0)])
        for first_s in (5.0, 1.0)
    ]
    figure.equal("EASY, first job 5 s", found[0], 6.0, 0.0)
    figure.equal("EASY, first job 1 s", found[1], 7.0, 0.0)


def test_a_job_less_makes_easy_slower(figure):
    rest = [(0.0, 2, 4.0), (0.0, 1, 7.0)]
    found = [makespan_s("easy_backfill", 3, [(0.0, 1, 1.0)] * count + rest) for count in (2, 1)]
    figure.equal("EASY, two short jobs", found[0], 7.0, 0.0)
    figure.equal("EASY, one short job", found[1], 8.0, 0.0)
