"""Decisions made true: who is stopped, who keeps what it has, who waits for whom; by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dcsim.errors import DeadlockError, PolicyError
from dcsim.policies import Decision, make_policy
from dcsim.simulation.round_times import next_round_s, this_or_next_round_s
from dcsim.workload.jobs import job_table
from tests.simulation.deciders import Told, in_order, preemption, spent, story, under
from tests.simulation.halls import hall, run

STRICT = {"ordering": {"name": "priority", "parameters": {"preemptive": 1}}}
SKIPS = {"ordering": {"name": "priority", "parameters": {"preemptive": 1, "skip": 9}}}
FREE = preemption()


def _all(jobs, active):
    """Everybody in order of rows, at the width asked for."""
    return Decision(np.arange(len(active)), jobs.accelerators[active.row])


def test_the_last_in_order_is_pushed_out_and_only_whom_it_takes():
    jobs = job_table(
        submit_s=[0.0, 0.0, 0.0, 10.0],
        duration_s=100.0,
        accelerators=[4, 2, 2, 2],
        priority=[3.0, 2.0, 1.0, 4.0],
    )
    result = run(hall(servers=2, policies=SKIPS, preemption=FREE), jobs)
    assert story(result, "preempt", "grant")[3:5] == [(10.0, "preempt", 2), (10.0, "grant", 3)]
    assert result.jobs["attempts"].tolist() == [1, 1, 2, 1]


def test_nobody_is_stopped_where_stopping_does_not_help():
    # Eight devices could be freed, but the gang must fit one server of four.
    jobs = job_table(
        submit_s=[0.0, 0.0, 10.0],
        duration_s=[30.0, 50.0, 10.0],
        accelerators=[2, 2, 4],
        max_servers=[1, 1, 1],
        priority=[2.0, 2.0, 1.0],
    )
    result = run(
        hall(servers=2, policies=SKIPS, preemption=FREE), jobs, policies=under(_preempting(), None, "spread")
    )
    # Spread puts one on each server; the third is less important and waits for a whole one.
    assert result.jobs["start_s"].tolist() == [0.0, 0.0, 30.0]
    assert story(result, "preempt") == []


def _preempting():
    return make_policy("ordering", "priority", {"preemptive": 1, "skip": 9})


def test_strict_order_stops_nobody_for_a_job_that_does_not_fit():
    # One on each server; the urgent one wants a whole server, and the more urgent of the two stays.
    jobs = job_table(
        submit_s=[0.0, 1.0, 10.0],
        duration_s=[100.0, 40.0, 10.0],
        accelerators=[6, 2, 4],
        max_servers=[0, 0, 1],
        priority=[3.0, 1.0, 2.0],
    )
    result = run(hall(servers=2, policies=STRICT, preemption=FREE), jobs)
    # 4 + 2 on the two servers: 2 are left, 4 with the second stopped, but on two servers' worth of 2.
    assert story(result, "preempt") == [(10.0, "preempt", 1)] or result.jobs["attempts"].tolist() == [1, 1, 1]
    fragmented = job_table(
        submit_s=[0.0, 0.0, 1.0, 10.0],
        duration_s=[100.0, 100.0, 40.0, 10.0],
        accelerators=[2, 2, 4, 4],
        max_servers=[1, 1, 0, 1],
        priority=[3.0, 3.0, 1.0, 2.0],
    )
    result = run(
        hall(servers=2, policies=STRICT, preemption=FREE),
        fragmented,
        policies=under(make_policy("ordering", "priority", {"preemptive": 1}), None, "spread"),
    )
    # 2 + 2 on each server: the last wants 4 on one, which stopping the third would not give.
    assert story(result, "preempt") == []
    assert result.jobs["start_s"].tolist() == [0.0, 0.0, 1.0, 100.0]


def test_while_checkpoints_are_written_free_places_are_used():
    jobs = job_table(
        submit_s=[0.0, 10.0, 10.0],
        duration_s=[100.0, 20.0, 20.0],
        accelerators=[4, 4, 4],
        priority=[0.0, 2.0, 1.0],
    )
    result = run(hall(servers=2, policies=SKIPS, preemption=preemption(checkpoint_s=30.0)), jobs)
    # The first of the new ones goes to the free server at once, the other waits for the checkpoint.
    # At 30, when the first of them ends, that one takes the free server? Not while 40 is awaited.
    assert story(result, "grant", "preempt", "end") == [
        (0.0, "grant", 0),
        (10.0, "grant", 1),
        (30.0, "end", 1),
        (40.0, "preempt", 0),
        (40.0, "grant", 2),
        (40.0, "grant", 0),
        (60.0, "end", 2),
        (130.0, "end", 0),
    ]


def test_who_comes_while_a_checkpoint_is_written_is_not_forgotten():
    jobs = job_table(
        submit_s=[0.0, 0.0, 10.0, 20.0],
        duration_s=[100.0, 25.0, 30.0, 30.0],
        accelerators=4,
        priority=[0.0, 2.0, 3.0, 1.0],
    )
    result = run(hall(servers=2, policies=SKIPS, preemption=preemption(checkpoint_s=30.0)), jobs)
    # 10: the first is told to go, gone at 40. 25: the other server is free. 40: the two new ones start,
    # for both go before the one that was stopped.
    assert result.jobs["start_s"].tolist() == [0.0, 0.0, 40.0, 40.0]
    assert result.jobs["end_s"].tolist() == [160.0, 25.0, 70.0, 70.0]


def test_a_new_round_replaces_the_decision_that_waited():
    """The checkpoint ends at the very instant of the next round: the old decision must not follow it."""

    def tell(jobs, active):
        first = 1 if active.now_s < 20.0 else 0
        return Decision(in_order(first)(active), jobs.accelerators[active.row])

    jobs = job_table(submit_s=[0.0, 0.0], duration_s=[100.0, 30.0], accelerators=4)
    told = Told(lambda j, a: tell(j, a) if a.now_s else _all(j, a), round_s=10.0)
    result = run(
        hall(servers=1, preemption=preemption(checkpoint_s=10.0), horizon_s=60.0), jobs, policies=under(told)
    )
    # 10: the first is to go, by 20. 20: the first is wanted again, and started; the second never is.
    assert story(result, "grant", "preempt") == [
        (0.0, "grant", 0),
        (20.0, "preempt", 0),
        (20.0, "grant", 0),
    ]


def test_a_job_that_is_resized_keeps_every_step():
    def tell(jobs, active):
        width = np.where(active.now_s < 50.0, 2, 4) * np.ones(len(active), dtype=np.int64)
        return Decision(np.arange(len(active)), width.astype(np.int64))

    jobs = job_table(submit_s=0.0, duration_s=100.0, accelerators=2, min_accelerators=1, max_accelerators=4)
    costs = preemption(checkpoint_s=5.0, restore_s=7.0)
    result = run(hall(servers=1, preemption=costs), jobs, policies=under(Told(tell, round_s=10.0)))
    # 50 steps; saves 50-55, loads 55-62; twice as fast: 25 s.
    assert result.jobs["end_s"].tolist() == [87.0]
    assert spent(result, 0) == {"productive": 100.0 + 100.0, "checkpoint": 10.0, "restore": 28.0}
    assert result.events["value"][result.events["kind"] == 2].tolist() == [2.0, 4.0]


def test_a_resized_job_waits_out_its_delay():
    def tell(jobs, active):
        return Decision(np.arange(len(active)), np.full(len(active), 2 if active.now_s < 50.0 else 4))

    jobs = job_table(submit_s=0.0, duration_s=100.0, accelerators=2, min_accelerators=1, max_accelerators=4)
    result = run(
        hall(servers=1, preemption=preemption(requeue_s=7.0)), jobs, policies=under(Told(tell, round_s=10.0))
    )
    # Freed at 50, back at 57, seen by the round at 60.
    assert story(result, "grant", "end") == [(0.0, "grant", 0), (60.0, "grant", 0), (85.0, "end", 0)]


def test_who_cannot_grow_stays_as_it_is():
    def tell(jobs, active):
        width = np.where(active.row == 0, 2 if active.now_s < 50.0 else 4, jobs.accelerators[active.row])
        return Decision(in_order(1, 0)(active), width)

    jobs = job_table(
        submit_s=[0.0, 0.0],
        duration_s=100.0,
        accelerators=[2, 2],
        min_accelerators=[1, 0],
        max_accelerators=[4, 0],
    )
    result = run(hall(servers=1, preemption=FREE), jobs, policies=under(Told(tell, round_s=10.0)))
    assert result.jobs["attempts"].tolist() == [1, 1]
    assert result.jobs["end_s"].tolist() == [100.0, 100.0]


def test_a_job_is_moved_where_the_placement_policy_would_have_it():
    def tell(jobs, active):
        move = np.full(len(active), active.now_s == 20.0)
        return Decision(np.arange(len(active)), jobs.accelerators[active.row], move=move)

    jobs = job_table(submit_s=[0.0, 0.0], duration_s=[10.0, 100.0], accelerators=4)
    costs = preemption(checkpoint_s=5.0, restore_s=7.0)
    result = run(hall(servers=2, preemption=costs), jobs, policies=under(Told(tell, round_s=10.0)))
    # Server 0 is free from 10 on. At 20 first fit would have the second there: its place is free, but it
    # has to leave the other first. From 30 on nobody moves.
    assert story(result, "checkpoint", "preempt", "grant")[1:] == [
        (0.0, "grant", 1),
        (20.0, "checkpoint", 1),
        (25.0, "preempt", 1),
        (25.0, "grant", 1),
    ]
    assert result.jobs["first_server"].tolist() == [0, 0]
    assert result.jobs["end_s"].tolist() == [10.0, 112.0]


def test_who_is_already_in_the_best_place_is_not_moved():
    def tell(jobs, active):
        return Decision(
            np.arange(len(active)), jobs.accelerators[active.row], move=np.ones(len(active), bool)
        )

    jobs = job_table(submit_s=[0.0, 0.0], duration_s=100.0, accelerators=4)
    result = run(hall(servers=2, preemption=FREE), jobs, policies=under(Told(tell, round_s=10.0)))
    assert result.jobs["attempts"].tolist() == [1, 1]


def test_a_policy_may_suspend_and_resume():
    def tell(jobs, active):
        night = 30.0 <= active.now_s < 70.0
        order = np.zeros(0, dtype=np.int64) if night else np.arange(len(active))
        again_s = 30.0 if active.now_s < 30.0 else 70.0
        return Decision(order, jobs.accelerators[active.row], again_s=again_s)

    jobs = job_table(submit_s=0.0, duration_s=100.0, accelerators=4)
    costs = preemption(checkpoint_s=5.0, restore_s=7.0)
    result = run(hall(servers=1, preemption=costs), jobs, policies=under(Told(tell)))
    assert story(result, "grant", "preempt", "end") == [
        (0.0, "grant", 0),
        (35.0, "preempt", 0),
        (70.0, "grant", 0),
        (147.0, "end", 0),
    ]


def test_suspended_for_ever_is_a_deadlock_that_says_who():
    told = Told(lambda jobs, active: Decision(np.zeros(0, dtype=np.int64), jobs.accelerators[active.row]))
    with pytest.raises(DeadlockError, match="job-0 wants 4"):
        run(hall(servers=1), job_table(submit_s=0.0, duration_s=1.0, accelerators=4), policies=under(told))


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (lambda a, w: Decision(np.array([0, 0]), w), "a job twice"),
        (lambda a, w: Decision(np.array([5]), w), "jobs that are not there"),
        (lambda a, w: Decision(np.arange(len(a)), w + 1), "widths that a job cannot have"),
        (lambda a, w: Decision(np.arange(len(a)), w - 9), "below 0"),
        (lambda a, w: Decision(np.arange(len(a)), w * 1.0), "not 2 whole numbers"),
        (lambda a, w: Decision(np.arange(len(a)), w[:1]), "not 2 whole numbers"),
        (lambda a, w: Decision(np.arange(len(a)), w, np.full(len(a), 7)), "types that do not exist"),
        (lambda a, w: Decision(np.arange(len(a)), w, move=np.ones(7, bool)), "not 2 whole numbers"),
    ],
)
def test_a_decision_that_means_nothing_is_refused(decision, message):
    told = Told(lambda jobs, active: decision(active, jobs.accelerators[active.row]))
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=1.0, accelerators=2)
    with pytest.raises(PolicyError, match=message):
        run(hall(servers=1), jobs, policies=under(told))


def test_a_job_on_cores_alone_counts_as_running():
    seen: list[tuple[float, list[float], list[float]]] = []

    def tell(jobs, active):
        seen.append((active.now_s, active.held_s.tolist(), active.waiting_since_s.tolist()))
        return _all(jobs, active)

    jobs = job_table(submit_s=[0.0, 30.0], duration_s=100.0, accelerators=[0, 1], cpu_cores=[1.0, 1.0])
    run(hall(servers=1), jobs, policies=under(Told(tell)))
    assert seen[1] == (30.0, [30.0, 0.0], [30.0, 30.0])


def test_progress_is_told_without_changing_it():
    """Who looks at the work left, however often, changes no byte of the run."""
    jobs = job_table(submit_s=[0.0, 0.1, 0.3], duration_s=[0.7, 1.1, 0.9], accelerators=1)

    class Looking(Told):
        knows_progress = True

    tables = []
    for kind in (Told, Looking):
        policy = kind(
            lambda jobs, active: Decision(
                np.arange(len(active)), jobs.accelerators[active.row], again_s=active.now_s + 0.01
            )
        )
        result = run(hall(servers=1, horizon_s=3.0), jobs, policies=under(policy))
        tables.append({**result.jobs, **result.events, **result.series})
    for name, column in tables[0].items():
        assert column.tobytes() == tables[1][name].tobytes() or column.dtype == object


@pytest.mark.parametrize("round_s", [0.1, 0.3, 0.7, 1.1, 33.3, 59.9, 300.0])
def test_rounds_go_on_whatever_quotients_round_to(round_s):
    times = [0.0]
    for _ in range(2_000):
        times.append(next_round_s(times[-1], round_s))
    assert all(before < after for before, after in pairwise(times))
    assert times == [number * round_s for number in range(2_001)]
    assert [this_or_next_round_s(time_s, round_s) for time_s in times] == times


def test_short_rounds_end_too():
    policies = {"ordering": {"name": "least_attained_service", "parameters": {"round_s": 0.1}}}
    jobs = job_table(submit_s=[0.0, 0.25], duration_s=6.0, accelerators=4)
    result = run(hall(servers=1, policies=policies, preemption=FREE), jobs)
    assert 12.0 <= result.jobs["end_s"].max() <= 12.2  # the last may wait for a round


def test_a_round_that_stops_jobs_is_one_round():
    times = []

    def turns(jobs, active):
        times.append(active.now_s)
        order = np.argsort(active.attained_accelerator_s, kind="stable")  # in turns: each round stops one
        return Decision(order, jobs.accelerators[active.row])

    jobs = job_table(submit_s=[0.0, 0.0], duration_s=25.0, accelerators=4)
    result = run(hall(servers=1, preemption=FREE), jobs, policies=under(Told(turns, round_s=10.0)))
    assert result.jobs["attempts"].sum() > 2
    assert times == sorted(set(times))


def test_rounds_in_which_nobody_ever_starts_come_to_an_end():
    nobody = Told(
        lambda jobs, active: Decision(np.zeros(0, dtype=np.int64), jobs.accelerators[active.row]),
        round_s=10.0,
    )
    with pytest.raises(DeadlockError, match="job-0 wants 4"):
        run(hall(servers=1), job_table(submit_s=0.0, duration_s=1.0, accelerators=4), policies=under(nobody))


@pytest.mark.parametrize("ordering", ["conservative_backfill", "easy_backfill", "priority"])
def test_what_is_free_is_what_can_be_taken(ordering):
    """A fifth of a server's memory, five times, rounds to more than all of it, and fits all the same."""
    jobs = job_table(submit_s=[0.0, 0.0], duration_s=5.0, accelerators=[6, 1], accelerator_share=[1.0, 0.5])
    result = run(hall(servers=2, devices=5, policies={"ordering": ordering}), jobs)
    assert result.jobs["start_s"].tolist() == [0.0, 0.0]
