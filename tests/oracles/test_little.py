"""Little's law, L = lambda W, exactly: every run from empty to empty, by its event log and by its series."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dcsim.results.run_result import RunResult
from tests.oracles.figures import Figures
from tests.oracles.queues import poisson_arrivals, run_queue, sizes


def _run(jobs: int, servers: int, seed: int) -> RunResult:
    submit_s = poisson_arrivals(jobs, 0.9 * servers / 100.0, seed)
    return run_queue(submit_s, 100.0 * sizes("hyper", jobs, seed), servers)


def _jobs_inside_integral_s(result: RunResult) -> Fraction:
    """Return the integral of the number of jobs in the system, from the event log alone, without rounding."""
    kinds = np.array(result.event_kinds)[result.events["kind"]]
    steps = {"submit": 1, "end": -1}
    inside, last_s, area = 0, Fraction(0), Fraction(0)
    for time_s, kind in zip(result.events["time_s"].tolist(), kinds.tolist(), strict=True):
        if kind in steps:
            now_s = Fraction(time_s)
            area += inside * (now_s - last_s)
            last_s, inside = now_s, inside + steps[kind]
    assert inside == 0
    return area


@pytest.mark.parametrize(("servers", "seed"), [(1, 1), (3, 2), (40, 3)])
def test_littles_law_holds_exactly_from_empty_to_empty(servers: int, seed: int, figure: Figures) -> None:
    result = _run(3_000, servers, seed)
    sojourns_s = sum((Fraction(v) for v in result.jobs["end_s"].tolist()), Fraction(0))
    sojourns_s -= sum((Fraction(v) for v in result.jobs["submit_s"].tolist()), Fraction(0))
    # L = area / T and lambda W = (n / T) (sojourns / n): the window cancels, and no digit is lost.
    assert _jobs_inside_integral_s(result) == sojourns_s
    by_table_s = float(np.sum(result.jobs["jct_s"]))
    figure.equal(f"Little, {servers} servers: L T against n W", float(sojourns_s), by_table_s, 1e-12)


def test_littles_law_holds_in_the_series() -> None:
    result = _run(3_000, 4, 7)
    series = result.series
    inside_s = float(np.sum((series["running_jobs"] + series["waiting_jobs"]) * series["duration_s"]))
    assert inside_s == pytest.approx(float(np.sum(result.jobs["jct_s"])), rel=1e-9)
    waiting_s = float(np.sum(series["waiting_jobs"] * series["duration_s"]))
    assert waiting_s == pytest.approx(float(np.sum(result.jobs["wait_s"])), rel=1e-9)
