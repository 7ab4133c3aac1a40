"""Wall-time limits: what they kill and what they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcsim.workload.jobs import job_table
from tests.simulation.deciders import preemption, spent, story
from tests.simulation.halls import hall, run

PRIORITY = {"ordering": {"name": "priority", "parameters": {"preemptive": 1, "skip": 9}}}


def test_a_job_is_killed_at_its_limit_and_frees_all_it_held():
    jobs = job_table(
        submit_s=[0.0, 1.0], duration_s=[100.0, 5.0], accelerators=4, time_limit_s=[60.0, math.nan]
    )
    result = run(hall(servers=1), jobs)
    assert story(result, "grant", "kill", "end") == [
        (0.0, "grant", 0),
        (60.0, "kill", 0),
        (60.0, "grant", 1),
        (65.0, "end", 1),
    ]
    assert result.jobs["status"].tolist() == ["timed out", "completed"]
    assert np.isnan(result.jobs["jct_s"][0])
    assert result.summary["jobs_completed"] == 1
    # Nothing was saved: all its work is lost, and was paid for.
    assert spent(result, 0) == {"redone": 240.0}
    assert result.jobs["energy_j"][0] == 60.0 * 2200.0


def test_what_was_saved_by_then_counts():
    jobs = job_table(submit_s=0.0, duration_s=100.0, accelerators=4, time_limit_s=60.0)
    saving = preemption(checkpoint_s=5.0, checkpoint_interval_s=20.0)
    result = run(hall(servers=1, preemption=saving), jobs)
    # Saved at 25 and 50, killed at 60: 40 steps count, 10 are lost.
    assert spent(result, 0) == {"productive": 160.0, "redone": 40.0, "checkpoint": 40.0}
    assert story(result, "kill") == [(60.0, "kill", 0)]


def test_done_at_the_limit_is_done():
    jobs = job_table(submit_s=0.0, duration_s=60.0, accelerators=4, time_limit_s=60.0)
    result = run(hall(servers=1), jobs)
    assert result.jobs["status"].tolist() == ["completed"]


def test_the_limit_counts_from_the_grant_and_waking_is_part_of_it():
    policies = {"energy": {"name": "sleep_idle", "parameters": {"after_s": 10.0}}}
    jobs = job_table(submit_s=100.0, duration_s=50.0, accelerators=4, time_limit_s=150.0)
    result = run(hall(servers=1, policies=policies), jobs)  # awake at 220
    assert story(result, "kill") == [(250.0, "kill", 0)]
    assert spent(result, 0) == {"waiting": 480.0, "redone": 120.0}


def test_every_attempt_has_the_whole_limit():
    jobs = job_table(
        submit_s=[0.0, 40.0],
        duration_s=[100.0, 20.0],
        accelerators=4,
        priority=[0.0, 1.0],
        time_limit_s=[60.0, math.nan],
    )
    result = run(hall(servers=1, policies=PRIORITY, preemption=preemption()), jobs)
    # 40 s, saved; from 60 on again, and done after 60 s more.
    assert result.jobs["status"].tolist() == ["completed", "completed"]
    assert result.jobs["end_s"].tolist() == [120.0, 60.0]


def test_the_limit_comes_while_a_stopped_job_writes_its_checkpoint():
    jobs = job_table(
        submit_s=[0.0, 40.0],
        duration_s=[100.0, 20.0],
        accelerators=4,
        priority=[0.0, 1.0],
        time_limit_s=[50.0, math.nan],
    )
    result = run(hall(servers=1, policies=PRIORITY, preemption=preemption(checkpoint_s=30.0)), jobs)
    assert story(result, "checkpoint", "preempt", "kill", "grant") == [
        (0.0, "grant", 0),
        (40.0, "checkpoint", 0),
        (50.0, "kill", 0),
        (50.0, "grant", 1),
    ]
    assert spent(result, 0) == {"redone": 160.0, "checkpoint": 40.0}


def test_a_limit_may_be_no_more_than_an_estimate():
    jobs = job_table(submit_s=0.0, duration_s=100.0, accelerators=4, time_limit_s=60.0)
    result = run(hall(servers=1, preemption=preemption(enforce_time_limits=False)), jobs)
    assert result.jobs["end_s"].tolist() == [100.0]


@pytest.mark.parametrize("limit_s", [0.0, -1.0, math.inf])
def test_a_limit_that_means_nothing_is_refused(limit_s):
    with pytest.raises(Exception, match="time_limit_s"):
        job_table(submit_s=0.0, duration_s=1.0, time_limit_s=limit_s)
