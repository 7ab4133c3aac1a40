"""First come, first served with skipping: every start against a list scheduler of a few lines."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from dcsim.simulation import simulate
from dcsim.workload.jobs import job_table
from tests.oracles.queues import queue_scenario


def list_schedule_starts_s(
    submit_s: list[float], widths: list[int], durations_s: list[float], slots: int, skip: int
) -> list[float]:
    """Return when gangs of fungible slots start: at each instant the first that fit, past at most `skip` others."""
    starts_s = [np.nan] * len(submit_s)
    waiting: list[int] = []
    ends: list[tuple[float, int]] = []
    free, came = slots, 0
    while came < len(submit_s) or ends:
        now_s = min(submit_s[came] if came < len(submit_s) else np.inf, ends[0][0] if ends else np.inf)
        while ends and ends[0][0] == now_s:
            free += widths[heapq.heappop(ends)[1]]
        while came < len(submit_s) and submit_s[came] == now_s:
            waiting.append(came)
            came += 1
        passed = 0
        for job in list(waiting):
            if widths[job] <= free:
                free -= widths[job]
                starts_s[job] = now_s
                heapq.heappush(ends, (now_s + durations_s[job], job))
                waiting.remove(job)
            else:
                passed += 1
                if passed > skip:
                    break
    return starts_s


@pytest.mark.parametrize("skip", [0, 1, 5, 100])
@pytest.mark.parametrize("seed", range(5))
def test_every_start_is_that_of_list_scheduling(seed: int, skip: int) -> None:
    draws = np.random.default_rng(seed)
    # Whole seconds, so that many arrivals and ends coincide and sums are exact.
    submit_s = np.sort(draws.integers(0, 900, 300)).astype(float)
    widths = draws.choice([1, 2, 3, 5, 8], 300)
    durations_s = draws.integers(1, 40, 300).astype(float)
    names = [f"{number:03d}" for number in range(300)]
    jobs = job_table(job_id=names, submit_s=submit_s, duration_s=durations_s, accelerators=widths)
    result = simulate(queue_scenario(8, skip=skip), 0, jobs=jobs, guards=True)
    expected_s = list_schedule_starts_s(
        submit_s.tolist(), widths.tolist(), durations_s.tolist(), slots=8, skip=skip
    )
    assert result.jobs["start_s"].tolist() == expected_s
