"""Suspension by an energy policy: clean hours by hand, and what it cannot go with."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from dcsim.errors import PolicyError
from dcsim.policies import EnergyPolicy, make_policy
from dcsim.policies.suspending import CarbonSuspend
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import preemption, spent, story, under
from tests.simulation.halls import hall, run

CLEAN, DIRTY = 1e-8, 5e-8
GRID = {"carbon": {"kind": "daily", "intensity_kg_per_j": [CLEAN, DIRTY, CLEAN] + [DIRTY] * 21}}
HOUR = 3600.0


def _run(jobs: Any, ordering: Any = "fifo", min_pause_s: float = 600.0, **costs: Any) -> Any:
    energy = CarbonSuspend(min_pause_s=min_pause_s)
    return run(
        hall(servers=1, grid=GRID, preemption=preemption(**costs)), jobs, policies=under(ordering, energy)
    )


def test_a_job_works_in_the_clean_hours():
    jobs = job_table(submit_s=0.0, duration_s=2 * HOUR, accelerators=4, slack_s=3 * HOUR)
    result = _run(jobs)
    assert story(result, "grant", "preempt", "end") == [
        (0.0, "grant", 0),
        (HOUR, "preempt", 0),
        (2 * HOUR, "grant", 0),
        (3 * HOUR, "end", 0),
    ]
    assert spent(result, 0) == {"productive": 8 * HOUR}


def test_stopping_and_going_on_has_its_price():
    jobs = job_table(submit_s=0.0, duration_s=2 * HOUR, accelerators=4, slack_s=3 * HOUR)
    result = _run(jobs, checkpoint_s=60.0, restore_s=40.0)
    # Told to go at 3600, gone at 3660; granted at 7200, at work at 7240; the third hour is left at
    # 10,800 with 40 s of work, for which it is not stopped again.
    assert story(result, "preempt", "grant", "end")[1:] == [
        (HOUR + 60.0, "preempt", 0),
        (2 * HOUR, "grant", 0),
        (3 * HOUR + 40.0, "end", 0),
    ]
    assert spent(result, 0) == {"productive": 8 * HOUR, "checkpoint": 240.0, "restore": 160.0}


def test_jobs_without_slack_take_the_place_of_the_suspended():
    jobs = job_table(
        submit_s=[0.0, 10.0], duration_s=[2 * HOUR, 1000.0], accelerators=4, slack_s=[3 * HOUR, 0.0]
    )
    result = _run(jobs)
    assert result.jobs["start_s"].tolist() == [0.0, HOUR]
    assert result.jobs["end_s"].tolist() == [3 * HOUR, HOUR + 1000.0]


def test_a_short_pause_is_not_worth_it():
    jobs = job_table(submit_s=0.0, duration_s=2 * HOUR, accelerators=4, slack_s=3 * HOUR)
    assert story(_run(jobs, min_pause_s=HOUR + 1.0), "preempt") == []


def test_it_starts_in_time_however_dirty_the_grid_is():
    # Clean from midnight to one, and from two to three, long after it has to be done.
    jobs = job_table(submit_s=4 * HOUR, duration_s=2 * HOUR, accelerators=4, slack_s=1 * HOUR)
    assert _run(jobs).jobs["start_s"].tolist() == [4 * HOUR]
    # Before: the last hour of three in which it could begin is as dirty; the first clean one counts.
    waits = job_table(submit_s=HOUR, duration_s=2 * HOUR, accelerators=4, slack_s=0.5 * HOUR)
    # Two of the next 2.5 hours: dirty from one to two, clean to three, dirty on: it begins at once, or
    # half an hour later, as dirty as before; the earliest of equals is taken.
    assert _run(waits).jobs["start_s"].tolist() == [HOUR]


@pytest.mark.parametrize("ordering", ["shortest_remaining", "priority", "tiresias", "fair_share", "fifo"])
def test_any_ordering_may_be_suspended(ordering):
    jobs = job_table(
        submit_s=[0.0, 100.0, 200.0],
        duration_s=[2 * HOUR, HOUR, 0.5 * HOUR],
        accelerators=[2, 2, 4],
        slack_s=[3 * HOUR, 2 * HOUR, 4 * HOUR],
    )
    result = _run(jobs, ordering)
    assert result.summary["jobs_completed"] == 3


@pytest.mark.parametrize("ordering", ["max_min_fairness", "easy_backfill", "conservative_backfill"])
def test_what_cannot_be_suspended_says_so(ordering):
    with pytest.raises(PolicyError, match=f"carbon_suspend suspends jobs, which {ordering}"):
        _run(job_table(submit_s=0.0, duration_s=1.0), ordering)


class Curfew(EnergyPolicy):
    """Nobody works from a time to another."""

    name: ClassVar[str] = "curfew"
    optimises: ClassVar[str] = "-"
    source: ClassVar[str] = "-"
    suspends: ClassVar[bool] = True
    answer: Any = None

    def suspended(self, jobs, active, grid):
        if self.answer is not None:
            return self.answer, np.inf
        night = 100.0 <= grid.now_s < 300.0
        return np.full(len(active), night), 100.0 if grid.now_s < 100.0 else 300.0


def test_a_policy_of_ones_own_may_suspend_everybody():
    jobs = job_table(submit_s=[0.0, 50.0], duration_s=[150.0, 60.0], accelerators=[2, 2])
    result = run(hall(servers=1, preemption=preemption()), jobs, policies=under("fifo", Curfew()))
    assert result.jobs["end_s"].tolist() == [350.0, 310.0]


def test_an_answer_that_means_nothing_is_refused():
    curfew = Curfew()
    curfew.answer = np.zeros(7, dtype=bool)
    with pytest.raises(PolicyError, match="suspensions of shape"):
        run(hall(servers=1), job_table(submit_s=0.0, duration_s=1.0), policies=under("fifo", curfew))


def test_a_pause_that_means_nothing_is_refused():
    with pytest.raises(PolicyError, match="min_pause_s"):
        make_policy("energy", "carbon_suspend", {"min_pause_s": -1.0})
