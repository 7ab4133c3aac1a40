"""Attempts followed by hand: stopped, saved, killed, restored; every instant, energy and second accounted."""

from __future__ import annotations

import math

import pytest

from dcsim.errors import DeadlockError
from dcsim.simulation import simulate
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import preemption, spent, story
from tests.simulation.halls import DEVICE_IDLE_W, IDLE_W, SLEEP_W, hall, run

BUSY_W = 4 * 400.0 + 600.0
"""Of four devices and all cores at work, above idle."""
CORES_W = 600.0
PRIORITY = {"ordering": {"name": "priority", "parameters": {"preemptive": 1, "skip": 9}}}
PAIR = job_table(submit_s=[0.0, 40.0], duration_s=[100.0, 20.0], accelerators=4, priority=[0.0, 1.0])


def test_a_checkpoint_is_written_and_loaded():
    costs = preemption(checkpoint_s=5.0, start_s=3.0, restore_s=7.0)
    result = run(hall(servers=1, policies=PRIORITY, preemption=costs), PAIR)
    assert story(result) == [
        (0.0, "submit", 0),
        (0.0, "grant", 0),
        (0.0, "restore", 0),  # starts up until 3
        (40.0, "submit", 1),
        (40.0, "checkpoint", 0),  # 37 of 100 steps done
        (45.0, "preempt", 0),
        (45.0, "grant", 1),
        (45.0, "restore", 1),
        (68.0, "end", 1),
        (68.0, "grant", 0),
        (68.0, "restore", 0),  # until 75, then 63 steps
        (138.0, "end", 0),
    ]
    assert spent(result, 0) == {"productive": 400.0, "checkpoint": 20.0, "restore": 40.0}
    assert spent(result, 1) == {"productive": 80.0, "restore": 12.0}
    # While a job loads or saves its cores are busy and its devices idle.
    assert result.jobs["energy_j"].tolist() == [
        100.0 * BUSY_W + 15.0 * CORES_W,
        20.0 * BUSY_W + 3.0 * CORES_W,
    ]
    assert result.summary["energy_it_j"] == 138.0 * (IDLE_W + 4 * DEVICE_IDLE_W) + sum(
        result.jobs["energy_j"].tolist()
    )
    assert result.jobs["attempts"].tolist() == [2, 1]
    assert result.jobs["start_s"].tolist() == [0.0, 45.0]


def test_a_killed_job_does_everything_again():
    costs = preemption(on_preempt="kill", checkpoint_s=5.0, start_s=3.0, restore_s=7.0)
    result = run(hall(servers=1, policies=PRIORITY, preemption=costs), PAIR)
    assert story(result, "preempt", "grant", "end") == [
        (0.0, "grant", 0),
        (40.0, "preempt", 0),
        (40.0, "grant", 1),
        (63.0, "end", 1),
        (63.0, "grant", 0),
        (170.0, "end", 0),
    ]
    assert spent(result, 0) == {"productive": 400.0, "redone": 4 * 37.0, "restore": 40.0}
    assert result.jobs["energy_j"][0] == 137.0 * BUSY_W + 10.0 * CORES_W


def test_a_killed_job_goes_on_from_its_last_checkpoint():
    costs = preemption(on_preempt="kill", checkpoint_s=2.0, restore_s=7.0, checkpoint_interval_s=10.0)
    result = run(hall(servers=1, policies=PRIORITY, preemption=costs), PAIR)
    # Works 0-10, 12-22, 24-34, 36-40; saved at 12, 24 and 36: 30 steps. The 4 since are lost.
    assert [row for row in story(result, "checkpoint", "preempt") if row[2] == 0 and row[0] <= 40.0] == [
        (10.0, "checkpoint", 0),
        (22.0, "checkpoint", 0),
        (34.0, "checkpoint", 0),
        (40.0, "preempt", 0),
    ]
    # The other works 40-50 and 52-62; this one loads 62-69 and has 70 steps and 6 checkpoints before it.
    assert result.jobs["end_s"].tolist() == [69.0 + 70.0 + 6 * 2.0, 62.0]
    assert spent(result, 0) == {"productive": 400.0, "redone": 16.0, "checkpoint": 9 * 8.0, "restore": 28.0}


def test_a_checkpoint_cut_short_saves_nothing():
    costs = preemption(on_preempt="kill", checkpoint_s=30.0, checkpoint_interval_s=35.0)
    result = run(hall(servers=1, policies=PRIORITY, preemption=costs), PAIR)
    # Writes from 35 on, is killed at 40: all 35 steps are lost. Then 60-95, 125-160, 190-220.
    assert result.jobs["end_s"].tolist() == [220.0, 60.0]
    assert spent(result, 0) == {"productive": 400.0, "redone": 140.0, "checkpoint": 4 * 65.0}


def test_nothing_new_is_not_saved_again():
    """Stopped before it worked, or right after a checkpoint, a job goes at once."""
    costs = preemption(checkpoint_s=5.0, start_s=50.0)
    result = run(hall(servers=1, policies=PRIORITY, preemption=costs), PAIR)
    assert story(result, "preempt", "checkpoint") == [(40.0, "preempt", 0)]
    assert spent(result, 0) == {"productive": 400.0, "restore": 160.0}
    saved = preemption(checkpoint_s=5.0, checkpoint_interval_s=35.0)
    result = run(hall(servers=1, policies=PRIORITY, preemption=saved), PAIR)
    assert story(result, "preempt") == [(40.0, "preempt", 0)]
    assert spent(result, 0)["checkpoint"] == 4 * 10.0  # 35-40, and 60+35 to 60+40


def test_a_preempted_job_waits_out_its_delay():
    jobs = job_table(submit_s=[0.0, 40.0], duration_s=[100.0, 1.0], accelerators=4, priority=[0.0, 1.0])
    result = run(hall(servers=1, policies=PRIORITY, preemption=preemption(requeue_s=30.0)), jobs)
    assert story(result, "grant", "end") == [
        (0.0, "grant", 0),
        (40.0, "grant", 1),
        (41.0, "end", 1),
        (70.0, "grant", 0),
        (130.0, "end", 0),
    ]


def test_who_finishes_at_an_instant_is_not_stopped_at_it():
    jobs = job_table(submit_s=[0.0, 100.0], duration_s=[100.0, 20.0], accelerators=4, priority=[0.0, 1.0])
    result = run(hall(servers=1, policies=PRIORITY), jobs)
    assert story(result, "preempt") == []
    assert result.jobs["end_s"].tolist() == [100.0, 120.0]


def test_who_has_nothing_left_to_do_is_done_not_stopped():
    begin_s, work_s, come_s = _rounding()
    jobs = job_table(
        submit_s=[begin_s, come_s], duration_s=[work_s, 1.0], accelerators=4, priority=[0.0, 1.0]
    )
    result = run(hall(servers=1, policies=PRIORITY), jobs)
    assert story(result, "preempt", "end") == [(come_s, "end", 0), (come_s + 1.0, "end", 1)]
    assert result.jobs["attempts"].tolist() == [1, 1]


def _rounding() -> tuple[float, float, float]:
    """Return (begin, work, then) with then < begin + work though nothing of the work is left then."""
    for tenths in range(1, 200):
        for more in range(1, 50):
            begin_s, work_s = tenths / 10.0, more / 10.0
            then_s = math.nextafter(begin_s + work_s, 0.0)
            if work_s - (then_s - begin_s) <= 0.0:
                return begin_s, work_s, then_s
    raise AssertionError("there is such a triple")


def test_stopped_while_its_server_wakes_nothing_was_done():
    policies = PRIORITY | {"energy": {"name": "sleep_idle", "parameters": {"after_s": 100.0}}}
    jobs = job_table(submit_s=[200.0, 250.0], duration_s=[50.0, 10.0], accelerators=4, priority=[0.0, 1.0])
    result = run(
        hall(servers=1, policies=policies, preemption=preemption(checkpoint_s=9.0, restore_s=7.0)), jobs
    )
    # Asleep at 100; told to wake at 200, awake at 320, which the second job waits for from 250 on.
    assert story(result, "grant", "preempt", "awake", "restore", "end", "wake", "sleep") == [
        (100.0, "sleep", -1),
        (200.0, "grant", 0),
        (200.0, "wake", -1),
        (250.0, "preempt", 0),
        (250.0, "grant", 1),
        (320.0, "awake", -1),
        (330.0, "end", 1),
        (330.0, "grant", 0),
        (330.0, "restore", 0),
        (387.0, "end", 0),
    ]
    assert spent(result, 0) == {"productive": 200.0, "waiting": 200.0, "restore": 28.0}
    assert spent(result, 1) == {"productive": 40.0, "waiting": 280.0}


def test_a_waking_server_whose_job_is_gone_wakes_before_it_sleeps():
    policies = {"energy": {"name": "sleep_idle", "parameters": {"after_s": 10.0}}}
    jobs = job_table(submit_s=[100.0, 900.0], duration_s=50.0, accelerators=4, time_limit_s=[15.0, math.nan])
    result = run(hall(servers=1, policies=policies), jobs)
    # Killed at 115, long before 220, when the server it waited for is awake.
    assert story(result, "sleep", "wake", "awake", "kill", "end") == [
        (10.0, "sleep", -1),
        (100.0, "wake", -1),
        (115.0, "kill", 0),
        (220.0, "awake", -1),
        (230.0, "sleep", -1),
        (900.0, "wake", -1),
        (1020.0, "awake", -1),
        (1070.0, "end", 1),
    ]
    assert spent(result, 0) == {"waiting": 60.0}
    asleep_s = 90.0 + 670.0
    idle_w = IDLE_W + 4 * DEVICE_IDLE_W
    expected_j = 1070.0 * idle_w - asleep_s * (idle_w - SLEEP_W) + 50.0 * BUSY_W
    assert result.summary["energy_it_j"] == pytest.approx(expected_j, rel=1e-12)


def test_slowed_by_a_shared_link_is_stalled(make_profiles):
    # As in test_by_hand: alone for 4 s, then both at 0.625 steps/s until 13.6, then alone.
    profiles = make_profiles(input_bytes_per_sample=25_000.0)
    jobs = job_table(
        submit_s=[0.0, 4.0], steps=[10.0, 10.0], accelerators=4, profile="round", duration_s=math.nan
    )
    result = run(hall(servers=2), jobs, profiles=profiles)
    for job in (0, 1):
        assert spent(result, job) == pytest.approx({"productive": 40.0, "stalled": 4 * 3.6})


def test_stopped_on_a_shared_link_no_step_is_lost(make_profiles):
    profiles = make_profiles(input_bytes_per_sample=25_000.0)
    jobs = job_table(
        submit_s=[0.0, 4.0, 8.0],
        steps=[10.0, 10.0, 2.0],
        accelerators=4,
        profile="round",
        duration_s=math.nan,
        priority=[1.0, 0.0, 2.0],
    )
    costs = preemption(checkpoint_s=1.0, restore_s=1.0)
    result = run(hall(servers=2, policies=PRIORITY, preemption=costs), jobs, profiles=profiles)
    # The second is stopped at 8 with 2.5 steps; saves until 9, while the first works alone: 7.5 steps.
    # Third from 9 on beside it, both at 0.625: the third is done at 12.2, the first has 9.5.
    # The second loads until 13.2, the first is alone: done at 12.7. The second does 7.5 alone.
    assert result.jobs["end_s"].tolist() == pytest.approx([12.7, 20.7, 12.2], rel=1e-9)
    assert spent(result, 1) == pytest.approx(
        {"productive": 40.0, "stalled": 4 * 1.5, "checkpoint": 4.0, "restore": 4.0}
    )
    assert result.jobs["input_bytes"].tolist() == pytest.approx([8e6, 8e6, 1.6e6])


def test_what_runs_at_the_horizon_is_accounted():
    costs = preemption(checkpoint_s=5.0, start_s=3.0, restore_s=7.0)
    for horizon_s, first in (
        (2.0, {"restore": 8.0}),
        (42.0, {"productive": 148.0, "restore": 12.0, "checkpoint": 8.0}),
        (70.0, {"productive": 148.0, "restore": 20.0, "checkpoint": 20.0}),
    ):
        result = run(hall(servers=1, policies=PRIORITY, preemption=costs, horizon_s=horizon_s), PAIR)
        assert spent(result, 0) == first


def test_jobs_that_push_each_other_out_for_ever_are_told_so():
    policies = {"ordering": {"name": "least_attained_service", "parameters": {"round_s": 5.0}}}
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=100.0, accelerators=4)
    with pytest.raises(DeadlockError, match="stopped before they got anywhere"):
        simulate(
            hall(servers=1, policies=policies, preemption=preemption(start_s=9.0, restore_s=9.0)), jobs=jobs
        )
