"""Who waits for whom: dependencies, arrays with limits, and what becomes of those that wait for nothing."""

from __future__ import annotations

import math

import pytest

from dcsim.errors import TraceError
from dcsim.simulation.admission import Admission
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import story
from tests.simulation.halls import hall, run


def test_a_job_starts_when_all_it_waits_for_is_done():
    jobs = job_table(
        job_id=["a", "b", "c", "d"],
        submit_s=[0.0] * 4,
        duration_s=[10.0, 30.0, 5.0, 5.0],
        after={"c": ("a", "b"), "d": ("c",)},
    )
    result = run(hall(servers=2), jobs)
    assert result.jobs["start_s"].tolist() == [0.0, 0.0, 30.0, 35.0]
    assert result.jobs["eligible_s"].tolist() == [0.0, 0.0, 30.0, 35.0]
    assert result.jobs["wait_s"].tolist() == [0.0, 0.0, 30.0, 35.0]


def test_a_job_may_come_before_and_after_what_it_waits_for():
    jobs = job_table(
        job_id=["late", "early", "past"],
        submit_s=[50.0, 0.0, 100.0],
        duration_s=10.0,
        after={"early": ("late",), "past": ("late",)},
    )
    result = run(hall(servers=1), jobs)  # sorted by submission: early, late, past
    assert result.jobs["start_s"].tolist() == [60.0, 50.0, 100.0]


def test_who_waits_for_a_killed_job_is_cancelled_and_so_are_its_followers():
    jobs = job_table(
        job_id=["a", "b", "c", "d", "e"],
        submit_s=[0.0, 0.0, 0.0, 100.0, 0.0],
        duration_s=50.0,
        time_limit_s=[20.0, math.nan, math.nan, math.nan, math.nan],
        after={"b": ("a",), "c": ("b",), "d": ("b",)},
    )
    result = run(hall(servers=1), jobs)
    # Rows by (submit, id): a b c e d. The last comes when its fate is known, and is cancelled then.
    assert result.jobs["status"].tolist() == [
        "timed out",
        "cancelled",
        "cancelled",
        "completed",
        "cancelled",
    ]
    assert story(result, "kill", "cancel") == [
        (20.0, "kill", 0),
        (20.0, "cancel", 1),
        (20.0, "cancel", 2),
        (100.0, "cancel", 4),
    ]
    events = result.events
    assert events["value"][events["kind"] == 12].tolist() == [0.0, 1.0, 1.0]  # because of whom
    assert math.isnan(result.jobs["start_s"][1])


def test_long_chains_are_cancelled_without_recursion():
    count = 3_000
    names = [f"{number:04d}" for number in range(count)]
    jobs = job_table(
        job_id=names,
        submit_s=[0.0] * count,
        duration_s=5.0,
        time_limit_s=1.0,
        after={names[n]: (names[n - 1],) for n in range(1, count)},
    )
    result = run(hall(servers=1, devices=1), jobs)
    assert result.jobs["status"].tolist() == ["timed out"] + ["cancelled"] * (count - 1)
    assert result.jobs["end_s"].tolist() == [1.0] * count


def test_an_array_holds_no_more_than_its_limit():
    jobs = job_table(
        submit_s=[0.0, 0.0, 0.0, 1.0, 1.0],
        duration_s=[10.0, 20.0, 5.0, 7.0, 3.0],
        array=["x", "x", "x", "x", ""],
        array_limit=[2, 2, 2, 2, 0],
    )
    result = run(hall(servers=2), jobs)
    # The third at 10, when the first ends; the fourth at 15; the last is of no array.
    assert result.jobs["start_s"].tolist() == [0.0, 0.0, 10.0, 15.0, 1.0]


def test_a_killed_job_leaves_its_array():
    jobs = job_table(
        submit_s=[0.0, 0.0], duration_s=[50.0, 5.0], array="x", array_limit=1, time_limit_s=[8.0, math.nan]
    )
    assert run(hall(servers=1), jobs).jobs["start_s"].tolist() == [0.0, 8.0]


def test_a_preempted_job_stays_in_its_array():
    jobs = job_table(
        submit_s=[0.0, 0.0, 10.0],
        duration_s=[50.0, 5.0, 20.0],
        accelerators=[4, 1, 4],
        array=["x", "x", ""],
        array_limit=[1, 1, 0],
        priority=[0.0, 0.0, 1.0],
    )
    policies = {"ordering": {"name": "priority", "parameters": {"preemptive": 1, "skip": 9}}}
    costs = {"checkpoint_s": 0.0, "restore_s": 0.0}
    result = run(hall(servers=1, policies=policies, preemption=costs), jobs)
    # 0-10, stopped until 30, done at 70; only then its neighbour in the array.
    assert result.jobs["end_s"].tolist() == [70.0, 75.0, 30.0]


def test_limits_of_arrays_and_dependencies_together():
    jobs = job_table(
        job_id=["a", "b", "c"],
        submit_s=[0.0] * 3,
        duration_s=10.0,
        array="x",
        array_limit=1,
        after={"b": ("c",)},
    )
    # b waits for c, which waits for room that a has; b takes no room meanwhile.
    assert run(hall(servers=1), jobs).jobs["start_s"].tolist() == [0.0, 20.0, 10.0]


def test_circles_and_strangers_are_refused():
    with pytest.raises(TraceError, match="without a circle"):
        job_table(job_id=["a", "b"], submit_s=[0.0, 0.0], duration_s=1.0, after={"a": ("b",), "b": ("a",)})
    with pytest.raises(TraceError, match="nobody"):
        job_table(job_id=["a"], submit_s=0.0, duration_s=1.0, after={"a": ("nobody",)})


def test_without_rules_everybody_is_admitted_at_once():
    admitted: list[int] = []
    door = Admission(job_table(submit_s=[0.0, 1.0], duration_s=1.0), admitted.append, lambda a, b: None)
    assert door.plain
    door.offer(1)
    door.offer(0)
    assert admitted == [1, 0]
    assert door.held_back() == []
