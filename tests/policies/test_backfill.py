"""The backfilling policies' words: order, estimates, parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcsim.errors import PolicyError
from dcsim.policies import make_policy
from dcsim.policies.backfill import BackfillOrdering, ConservativeBackfill, EasyBackfill
from dcsim.testing import PolicyContract
from dcsim.testing.isolation import sample_jobs_view

NAMES = ["easy_backfill", "conservative_backfill"]


class TestEasyByPriority(PolicyContract):
    policy = EasyBackfill(by_priority=1, estimate_factor=0.5)
    max_examples, runs = 20, 4


class TestShallowConservative(PolicyContract):
    policy = ConservativeBackfill(depth=2, estimate_factor=3.0)
    max_examples, runs = 20, 4


@pytest.mark.parametrize("name", NAMES)
def test_the_order_is_that_of_arrival_or_of_priority(name):
    jobs = sample_jobs_view(20)
    for parameters, keys in (({}, jobs.submit_s), ({"by_priority": 1}, -jobs.priority)):
        policy = make_policy("ordering", name, parameters)
        assert isinstance(policy, BackfillOrdering)
        assert np.array_equal(policy.keys(jobs), keys)


def test_a_limit_is_the_estimate_and_else_the_scaled_run_time():
    jobs = sample_jobs_view(20)
    jobs = replace(jobs, time_limit_s=np.where(np.arange(20) % 2, 70.0, np.nan))
    found = EasyBackfill(estimate_factor=3.0).estimates_s(jobs)
    assert np.array_equal(found[1::2], np.full(10, 70.0))
    assert np.array_equal(found[::2], 3.0 * jobs.estimated_duration_s[::2])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ({"estimate_factor": 0.0}, "estimate_factor: 0.0 -> expected a finite number > 0"),
        ({"estimate_factor": float("nan")}, "estimate_factor"),
        ({"estimate_factor": float("inf")}, "estimate_factor"),
        ({"by_priority": 2}, "by_priority: 2 -> expected 0 or 1"),
        ({"depth": -1}, "depth: -1 -> expected a whole number >= 0"),
        ({"depth": 1.5}, "depth"),
        ({"depth": float("inf")}, "depth"),
        ({"depth": float("nan")}, "depth"),
        ({"skip": 3}, "unknown parameter"),
    ],
)
def test_wrong_parameters_are_refused(name, parameters, place):
    with pytest.raises(PolicyError, match=place):
        make_policy("ordering", name, parameters)
