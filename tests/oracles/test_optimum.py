"""Tiny cases against every possible schedule: nobody beats the optimum, and who should reach it does."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from dcsim.policies import known_policies
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run

Job = tuple[float, int, float]
"""(arrival, width, run time)"""

ORDERINGS = sorted(
    name for name, policy in known_policies("ordering").items() if policy.__module__.startswith("dcsim.")
)
FREE_OF_COST = {"checkpoint_s": 0.0, "restore_s": 0.0, "start_s": 0.0, "requeue_s": 0.0}
TINY = 1e-9


# -- every schedule there is -------------------------------------------------------------------------


def in_order_ends_s(order, jobs, slots, after=None):
    """Each job in turn as early as it fits beside those before it: some order gives the optimum.

    The ends of all active schedules, among them the best of any measure that grows with the ends
    (A. Sprecher, R. Kolisch, A. Drexl, EJOR 80 (1995) 94-102).
    """
    placed: list[tuple[float, float, int]] = []
    end_s: dict[int, float] = {}
    for job in order:
        submit_s, width, duration_s = jobs[job]
        ready_s = max([submit_s, *(end_s[other] for other in (after or {}).get(job, ()))])
        for start_s in sorted({ready_s} | {end for _, end, _ in placed if end > ready_s}):
            instants = [start_s] + [begin for begin, _, _ in placed if start_s < begin < start_s + duration_s]
            used = (sum(w for begin, end, w in placed if begin <= t < end) for t in instants)
            if max(used) + width <= slots:
                break
        placed.append((start_s, start_s + duration_s, width))
        end_s[job] = start_s + duration_s
    return [end_s[job] for job in range(len(jobs))]


def best_without_stops(jobs, slots, measure, after=None):
    """The optimum of all schedules in which a job that started runs to its end."""
    follows = after or {}
    orders = (
        order
        for order in itertools.permutations(range(len(jobs)))
        if all(order.index(b) < order.index(job) for job, befores in follows.items() for b in befores)
    )
    return min(measure(in_order_ends_s(order, jobs, slots, after)) for order in orders)


def best_with_stops(jobs, slots, measure):
    """The optimum of all schedules that stop and move jobs at whole seconds, at no cost.

    By recursion over the whole seconds left of each job. `measure` is `sum` of the ends (each second adds
    the jobs that are not done by then) or `max` (each second adds one).
    """
    arrivals = [int(submit_s) for submit_s, _, _ in jobs]
    last = max(arrivals)

    @functools.cache
    def best(now, left):
        undone = sum(1 for seconds in left if seconds)
        if not undone:
            return 0
        here = [job for job, seconds in enumerate(left) if seconds and arrivals[job] <= now]
        subsets = [
            set(subset)
            for size in range(len(here) + 1)
            for subset in itertools.combinations(here, size)
            if sum(jobs[job][1] for job in subset) <= slots
        ]
        # To leave out who would fit beside never helps; past the last arrival time does not matter.
        rests = (
            best(min(now + 1, last), tuple(seconds - (job in subset) for job, seconds in enumerate(left)))
            for subset in subsets
            if not any(subset < other for other in subsets)
        )
        return (undone if measure is sum else 1) + min(rests)

    return float(best(0, tuple(int(duration_s) for _, _, duration_s in jobs)))


# -- runs --------------------------------------------------------------------------------------------


def draw_jobs(seed, most=6, slots=3, longest=6, latest=6, widest=None):
    draws = np.random.default_rng(seed)
    count = int(draws.integers(1, most + 1))
    submit_s = np.sort(draws.integers(0, latest + 1, count)).astype(float).tolist()
    widths = draws.integers(1, (widest or slots) + 1, count).tolist()
    durations_s = draws.integers(1, longest + 1, count).astype(float).tolist()
    return list(zip(submit_s, widths, durations_s, strict=True))


def outcome(ordering, jobs, slots, after=None):
    submit_s, widths, durations_s = zip(*jobs, strict=True)
    table = job_table(
        job_id=[str(number) for number in range(len(jobs))],
        submit_s=submit_s,
        accelerators=widths,
        duration_s=durations_s,
        after={str(job): tuple(map(str, befores)) for job, befores in (after or {}).items()},
    )
    scenario = hall(slots, 1, policies={"ordering": ordering}, preemption=FREE_OF_COST)
    result = run(scenario, table)
    assert result.summary["jobs_completed"] == len(jobs)
    return result


def stops(result):
    """Whether a job was granted servers more than once."""
    return bool((result.jobs["attempts"] > 1).any())


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_nobody_beats_the_optimum(ordering):
    """Theorem 80: of makespan and of mean completion time, jobs stopped or not."""
    for seed in range(12):
        jobs = draw_jobs(seed, most=4, longest=4, latest=4)
        result = outcome(ordering, jobs, 3)
        found = result.jobs["end_s"].tolist()
        assert max(found) >= best_with_stops(jobs, 3, max) - TINY
        assert sum(found) >= best_with_stops(jobs, 3, sum) - TINY
        if not stops(result):
            assert max(found) >= best_without_stops(jobs, 3, max) - TINY
            assert sum(found) >= best_without_stops(jobs, 3, sum) - TINY


@pytest.mark.oracle
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_nobody_beats_the_optimum_of_six_jobs(ordering):
    for seed in range(100, 130):
        jobs = draw_jobs(seed)
        result = outcome(ordering, jobs, 3)
        if not stops(result):
            found = result.jobs["end_s"].tolist()
            assert max(found) >= best_without_stops(jobs, 3, max) - TINY
            assert sum(found) >= best_without_stops(jobs, 3, sum) - TINY


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_makespan_has_its_lower_bounds(ordering):
    """Theorem 76: no sooner than any job alone, nor than all slots busy from the first arrival on."""
    for seed in range(15):
        jobs = draw_jobs(seed, most=10, longest=9, latest=20)
        last = outcome(ordering, jobs, 3).jobs["end_s"].max()
        assert last >= max(submit_s + duration_s for submit_s, _, duration_s in jobs) - TINY
        area = sum(width * duration_s for _, width, duration_s in jobs)
        assert last >= min(submit_s for submit_s, _, _ in jobs) + area / 3 - TINY


# -- who reaches it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_shortest_first_has_the_least_mean_completion_time(slots):
    """Smith (1956) on one machine, Conway, Maxwell, Miller (1967) on several: width 1, all there at 0."""
    for seed in range(15):
        jobs = draw_jobs(seed, latest=0, widest=1)
        found = outcome("shortest_first", jobs, slots).jobs["end_s"].tolist()
        assert sum(found) == best_without_stops(jobs, slots, sum)
        assert sum(found) == best_with_stops(jobs, slots, sum)


def test_shortest_remaining_has_the_least_mean_completion_time_on_one_machine():
    """Schrage (1968): with arrivals, too, of all schedules that may stop jobs."""
    for seed in range(25):
        jobs = draw_jobs(seed, most=4, slots=1, longest=5)
        found = outcome("shortest_remaining", jobs, 1).jobs["end_s"].tolist()
        assert sum(found) == pytest.approx(best_with_stops(jobs, 1, sum), abs=TINY)


def test_on_one_machine_all_that_never_idle_have_the_least_makespan():
    for seed, ordering in itertools.product(range(6), ["fifo", "shortest_first", "easy_backfill"]):
        jobs = draw_jobs(seed, slots=1)
        found = outcome(ordering, jobs, 1).jobs["end_s"].max()
        assert found == best_without_stops(jobs, 1, max)


# -- how far a list can be from it -------------------------------------------------------------------

LISTS = [{"name": name, "parameters": {"skip": 100}} for name in ("fifo", "shortest_first", "smallest_first")]


def draw_follows(seed, count):
    draws = np.random.default_rng(seed)
    chosen = {job: tuple(other for other in range(job) if draws.random() < 0.3) for job in range(1, count)}
    return {job: befores for job, befores in chosen.items() if befores}


@pytest.mark.parametrize("ordering", LISTS)
def test_a_list_of_single_jobs_is_within_grahams_bound(ordering):
    """Theorem 77: (2 - 1/m) times the optimum, with precedences (Graham 1966, 1969)."""
    for seed in range(12):
        jobs = draw_jobs(seed, latest=0, widest=1)
        after = draw_follows(seed, len(jobs))
        made = outcome(ordering, jobs, 3, after).jobs["end_s"].max()
        best = best_without_stops(jobs, 3, max, after)
        assert best <= made <= (2 - 1 / 3) * best


@pytest.mark.parametrize("ordering", [*LISTS, "easy_backfill"])
def test_a_list_of_gangs_is_within_twice_the_optimum(ordering):
    """Theorem 77: Garey, Graham, SIAM J. Comput. 4 (1975) 187-200, one resource."""
    for seed in range(12):
        jobs = draw_jobs(seed, latest=0)
        made = outcome(ordering, jobs, 3).jobs["end_s"].max()
        best = best_without_stops(jobs, 3, max)
        assert best <= made <= 2 * best
