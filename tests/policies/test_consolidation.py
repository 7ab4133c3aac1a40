"""The reserve of awake servers: rates and quantiles against what is known of Poisson processes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from dcsim.errors import PolicyError
from dcsim.policies import make_policy
from dcsim.policies.consolidation import SleepForecast, arrival_rate_per_s, demand_quantile
from dcsim.policies.power_view import IdleView
from dcsim.rng import stream


@given(st.floats(0.01, 150.0), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_jobs_of_one_accelerator_are_poisson(expected, quantile):
    assert demand_quantile(expected, np.array([1]), np.array([1.0]), quantile) == poisson.ppf(
        quantile, expected
    )


def test_wider_jobs_come_in_lumps():
    # All of width 4: four times the Poisson quantile.
    assert demand_quantile(3.0, np.array([4, 4]), np.ones(2), 0.95) == 4 * poisson.ppf(0.95, 3.0)
    # CPU-only jobs want none.
    assert demand_quantile(3.0, np.array([0, 0]), np.ones(2), 0.95) == 0
    assert demand_quantile(6.0, np.array([0, 1]), np.ones(2), 0.95) == poisson.ppf(0.95, 3.0)


def test_a_mixture_meets_its_simulation():
    draw = stream(7, "reserve")
    widths, part = np.array([1, 2, 8]), np.array([0.5, 0.3, 0.2])
    jobs = draw.poisson(5.0, 40_000)
    sums = np.array([draw.choice(widths, n, p=part).sum() for n in jobs.tolist()])
    for quantile in (0.5, 0.9, 0.99):
        found = demand_quantile(5.0, widths, part, quantile)
        assert np.mean(sums <= found) >= quantile - 0.01
        assert np.mean(sums <= found - 1) <= quantile + 0.01


def test_large_demand_is_normal():
    found = demand_quantile(1000.0, np.array([1]), np.array([1.0]), 0.95)
    assert found == pytest.approx(poisson.ppf(0.95, 1000.0), rel=0.005)


def test_the_rate_is_unbiased_and_fades():
    found = []
    for seed in range(200):
        draw = stream(seed, "arrivals")
        times_s = np.cumsum(draw.exponential(60.0, 1000))
        found.append(arrival_rate_per_s(times_s[times_s <= 20_000.0], 20_000.0, 3600.0))
    # 200 estimates with a variance of rate / (2 memory) each.
    spread = math.sqrt(1.0 / 60.0 / 7200.0 / 200.0)
    assert np.mean(found) == pytest.approx(1.0 / 60.0, abs=4.0 * spread)
    alone = np.array([0.0])
    early, late = (arrival_rate_per_s(alone, now_s, 3600.0) for now_s in (36_000.0, 39_600.0))
    assert late == pytest.approx(early / math.e, rel=1e-3)
    assert arrival_rate_per_s(np.array([]), 100.0, 3600.0) == 0.0


def _view(arrivals_s, now_s, width=8, latency_s=600.0, servers=20):
    times_s = np.array(arrivals_s, dtype=np.float64)
    return IdleView(
        now_s=now_s,
        idle_awake=0,
        asleep=servers,
        wake_latency_s=latency_s,
        servers=servers,
        arrivals_s=times_s,
        arrived_accelerators=np.full(len(times_s), width),
        accelerators_per_server=8.0,
    )


def test_a_reserve_for_what_comes_while_a_server_wakes():
    every_ten_minutes = np.arange(0.0, 36_000.0, 600.0)
    reserve, again_s = SleepForecast(quantile=0.95).awake_reserve(_view(every_ten_minutes, 36_000.0))
    # One job a wake latency, of one server each; the estimate is a little below, as the next is just due.
    assert reserve == poisson.ppf(0.95, 0.92)
    assert again_s == 36_000.0 + 450.0
    narrow = SleepForecast(quantile=0.95).awake_reserve(_view(every_ten_minutes, 36_000.0, width=1))
    assert narrow[0] == 1


def test_nothing_to_wait_for_needs_no_reserve():
    policy = SleepForecast(spare=2)
    assert policy.awake_reserve(_view([], 0.0)) == (2, math.inf)
    assert policy.awake_reserve(_view([0.0, 10.0], 20.0, latency_s=0.0)) == (2, math.inf)
    assert policy.awake_reserve(_view([0.0], 1e6)) == (2, math.inf)  # forgotten
    assert SleepForecast(spare=50).awake_reserve(_view([], 0.0))[0] == 20
    assert SleepForecast(after_s=7.0).sleep_after_s() == 7.0


@pytest.mark.parametrize(
    "parameters",
    [{"after_s": 0.0}, {"quantile": 1.0}, {"memory_s": 1.0}, {"spare": 1.5}, {"spare": -1.0}],
)
def test_what_makes_no_sense_is_refused(parameters):
    with pytest.raises(PolicyError, match=rf"{next(iter(parameters))}: .* -> expected"):
        make_policy("energy", "sleep_forecast", parameters)
