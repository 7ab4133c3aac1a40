"""Energy and ordering policies on hand-made views."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from dcsim.facility.series import StepSeries
from dcsim.policies import GridView, JobView
from dcsim.policies.energy import CarbonShift, NoEnergyPolicy, PowerCap, SleepIdle
from dcsim.policies.ordering import Fifo, ShortestFirst
from dcsim.testing.isolation import sample_jobs_view
from dcsim.testing.strategies import grid_views, job_views

HOUR_S = 3600.0


def _grid(*grams):
    series = StepSeries(
        time_s=np.arange(len(grams), dtype=np.float64) * HOUR_S,
        value=np.array(grams, dtype=np.float64) / 3.6e9,
        repeat_s=len(grams) * HOUR_S,
    )
    return GridView(0.0, series.mean, series.mean, series.breakpoints, series.breakpoints)


def _job(submit_s=0.0, duration_s=HOUR_S, slack_s=10 * HOUR_S):
    return JobView(0, submit_s, 1, duration_s, slack_s, 0)


@pytest.mark.parametrize(
    ("job", "starts_s"),
    [
        (_job(), 2 * HOUR_S),
        (_job(slack_s=HOUR_S), HOUR_S),
        (_job(slack_s=0.5 * HOUR_S), 0.5 * HOUR_S),
        # Two hours: hours 2 and 3 (50 + 100) before hours 1 and 2 (200 + 50).
        (_job(duration_s=2 * HOUR_S), 2 * HOUR_S),
        # Already in the clean hour: at once, rather than a day later.
        (_job(submit_s=2 * HOUR_S), 2 * HOUR_S),
        (_job(duration_s=0.0), 2 * HOUR_S),
    ],
)
def test_carbon_shift_by_hand(job, starts_s):
    assert CarbonShift().eligible_s(job, _grid(500, 200, 50, 100, 400, 400)) == starts_s


def test_equal_hours_start_at_once():
    assert CarbonShift().eligible_s(_job(), _grid(300, 300, 300)) == 0.0


@given(job_views(max_submit_s=50_000), grid_views())
def test_no_start_within_the_slack_is_cleaner(job, grid):
    chosen_s = CarbonShift().eligible_s(job, grid)
    duration_s = max(job.estimated_duration_s, 1.0)
    tried = np.linspace(job.submit_s, job.submit_s + job.slack_s, 101)
    best = grid.carbon_mean_kg_per_j(tried, duration_s).min()
    mine = grid.carbon_mean_kg_per_j(np.array([chosen_s]), duration_s)[0]
    assert mine <= best + 1e-8 / 3.6e6  # a hundred-millionth of the dirtiest hour


def test_the_neutral_policy_changes_nothing():
    policy = NoEnergyPolicy()
    assert policy.power_cap_fractions(sample_jobs_view(3)).tolist() == [1.0, 1.0, 1.0]
    assert policy.sleep_after_s() is None
    assert policy.eligible_s(_job(submit_s=7.0), _grid(1)) == 7.0


def test_caps_and_sleep():
    assert PowerCap(cap_fraction=0.6).power_cap_fractions(sample_jobs_view(2)).tolist() == [0.6, 0.6]
    assert SleepIdle(after_s=5.0).sleep_after_s() == 5.0


def test_orderings():
    jobs = sample_jobs_view(20)
    assert np.array_equal(Fifo().keys(jobs), jobs.submit_s)
    assert np.array_equal(ShortestFirst().keys(jobs), jobs.estimated_duration_s)
    assert Fifo().skip == 0
