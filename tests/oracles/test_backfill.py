"""EASY and conservative backfilling: every start against textbook schedulers of a few lines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcsim.simulation import simulate
from dcsim.workload.jobs import job_table
from tests.oracles.queues import queue_scenario

Running = list[tuple[float, float, int]]
"""(estimated end, end, width) of each."""


def easy_picks(now_s, waiting, widths, estimates_s, running: Running, free):
    """Who starts now under EASY: the figure of Mu'alem and Feitelson (2001), section 2.1."""
    picks = []
    while waiting and widths[waiting[0]] <= free:
        picks.append(waiting[0])
        free -= widths[waiting[0]]
        waiting = waiting[1:]
    if not waiting:
        return picks
    then = sorted(
        [(max(end_s, now_s), width) for end_s, _, width in running]
        + [(now_s + estimates_s[job], widths[job]) for job in picks]
    )
    room = free
    shadow_s = math.inf
    for shadow_s, width in then:  # noqa: B007  the last is used
        room += width
        if room >= widths[waiting[0]]:
            break
    extra = free + sum(width for end_s, width in then if end_s <= shadow_s) - widths[waiting[0]]
    for job in waiting[1:]:
        short = estimates_s[job] <= shadow_s - now_s
        if widths[job] <= free and (short or widths[job] <= extra):
            picks.append(job)
            free -= widths[job]
            extra -= 0 if short else widths[job]
    return picks


def conservative_picks(now_s, waiting, widths, estimates_s, running: Running, free):
    """Who starts now if everybody, in order, books the first gap: section 2.2 of the same, planned anew."""
    slots = free + sum(width for _, _, width in running)
    soon_s = math.nextafter(now_s, math.inf)
    booked = [(now_s, max(end_s, soon_s), width) for end_s, _, width in running]
    picks = []
    for job in waiting:
        for start_s in sorted({now_s} | {end_s for _, end_s, _ in booked}):
            instants = [start_s] + [
                begin_s for begin_s, _, _ in booked if 0 < begin_s - start_s < estimates_s[job]
            ]
            used = [sum(w for begin, end, w in booked if begin <= t < end) for t in instants]
            if max(used) + widths[job] <= slots:
                break
        booked.append((start_s, start_s + estimates_s[job], widths[job]))
        if start_s == now_s:
            picks.append(job)
    return picks


def starts_s(picks, submit_s, widths, durations_s, estimates_s, slots):
    """Event by event: who ended leaves, who came waits, and `picks` says who starts."""
    found = [math.nan] * len(submit_s)
    running: Running = []
    waiting, came, free = [], 0, slots
    while came < len(submit_s) or running:
        arrival_s = submit_s[came] if came < len(submit_s) else math.inf
        now_s = min([arrival_s, *(end_s for _, end_s, _ in running)])
        free += sum(width for _, end_s, width in running if end_s == now_s)
        running = [entry for entry in running if entry[1] > now_s]
        while came < len(submit_s) and submit_s[came] == now_s:
            waiting.append(came)
            came += 1
        for job in picks(now_s, waiting, widths, estimates_s, running, free):
            found[job] = now_s
            waiting.remove(job)
            free -= widths[job]
            running.append((now_s + estimates_s[job], now_s + durations_s[job], widths[job]))
    return found


REFERENCES = {"easy_backfill": easy_picks, "conservative_backfill": conservative_picks}


def backfill_scenario(name, slots, devices=1, placement="best_fit", **parameters):
    scenario = queue_scenario(slots // devices, devices)
    policies = {"ordering": {"name": name, "parameters": parameters}, "placement": placement}
    return scenario.model_validate({**scenario.model_dump(), "policies": policies})


def draw(seed, count, slots, horizon_s, estimates):
    """Whole seconds, so that many arrivals and ends coincide and sums are exact."""
    draws = np.random.default_rng(seed)
    submit_s = np.sort(draws.integers(0, horizon_s, count)).astype(float)
    widths = draws.integers(1, slots + 1, count)
    durations_s = draws.integers(1, 12, count).astype(float)
    if estimates == "exact":
        return submit_s, widths, durations_s, durations_s
    if estimates == "over":
        return submit_s, widths, durations_s, durations_s + draws.integers(0, 12, count)
    return submit_s, widths, durations_s, np.maximum(1.0, durations_s + draws.integers(-8, 9, count))


def check(name, slots, columns, **options):
    submit_s, widths, durations_s, estimates_s = columns
    names = [f"{number:03d}" for number in range(len(submit_s))]
    jobs = job_table(
        job_id=names,
        submit_s=submit_s,
        duration_s=durations_s,
        accelerators=widths,
        time_limit_s=estimates_s,
    )
    scenario = backfill_scenario(name, slots, **options)
    scenario = scenario.model_copy(
        update={"preemption": scenario.preemption.model_copy(update={"enforce_time_limits": False})}
    )
    result = simulate(scenario, 0, jobs=jobs, guards=True)
    lists = (submit_s.tolist(), widths.tolist(), durations_s.tolist(), estimates_s.tolist())
    expected_s = starts_s(REFERENCES[name], *lists, slots)
    assert result.jobs["start_s"].tolist() == expected_s


@pytest.mark.parametrize("estimates", ["exact", "over", "any"])
@pytest.mark.parametrize("name", REFERENCES)
def test_every_start_is_the_textbooks_on_small_cases(name, estimates):
    for seed in range(25):
        check(name, 4, draw(seed, 8, 4, 12, estimates))


@pytest.mark.parametrize("estimates", ["exact", "over", "any"])
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("devices", [1, 4])
def test_every_start_is_the_textbooks_in_long_queues(name, estimates, devices):
    check(name, 8, draw(7, 120, 8, 250, estimates), devices=devices)


@pytest.mark.parametrize("estimates", ["exact", "over", "any"])
def test_easy_by_the_servers_books_is_easy_by_counting(monkeypatch, estimates):
    monkeypatch.setattr("dcsim.simulation.backfilling.slots_are_fungible", lambda _: False)
    for seed in range(15):
        check("easy_backfill", 4, draw(seed, 8, 4, 12, estimates))
    check("easy_backfill", 8, draw(9, 120, 8, 250, estimates), devices=4)


@pytest.mark.oracle
@pytest.mark.parametrize("estimates", ["exact", "over", "any"])
@pytest.mark.parametrize("name", REFERENCES)
def test_every_start_is_the_textbooks_on_thousands_of_cases(name, estimates):
    for seed in range(1000, 2000):
        check(name, 4, draw(seed, 8, 4, 12, estimates))
