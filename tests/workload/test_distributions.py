"""The distributions against closed forms, numerical integration and published tables."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from dcsim.workload.distributions import (
    clipped_lognormal_mean,
    clipped_lognormal_quantile,
    cumulative_diurnal_s,
    discrete_choice,
    diurnal_arrivals_s,
    diurnal_phase_rad,
    mean_width,
    zipf_weights,
)

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("median", "sigma", "low", "high"),
    [(1_800.0, 1.5, 30.0, 604_800.0), (100.0, 4.0, 1.0, 1e4), (10.0, 0.3, 20.0, 30.0), (10.0, 0.5, 1.0, 5.0)],
)
def test_clipped_mean_is_the_integral(median: float, sigma: float, low: float, high: float) -> None:
    law = stats.lognorm(s=sigma, scale=median)
    # E[clip(X)] = low + integral of the survival function from low to high, split where it bends.
    bends = np.geomspace(low, high, 12)
    body = sum(integrate.quad(law.sf, a, b, epsabs=0, epsrel=1e-12)[0] for a, b in itertools.pairwise(bends))
    assert clipped_lognormal_mean(median, sigma, low, high) == pytest.approx(low + body, rel=1e-10)


def test_clipped_mean_without_effective_clips_is_the_textbook_mean() -> None:
    assert clipped_lognormal_mean(7.0, 1.2, 1e-12, 1e12) == pytest.approx(7.0 * math.exp(0.72), rel=1e-9)
    assert clipped_lognormal_mean(7.0, 0.0, 8.0, 9.0) == 8.0


@given(st.floats(-9, 9), st.floats(0, 4), st.floats(0.1, 1e3), st.floats(1, 1e6))
def test_clipped_values_stay_inside(normal: float, sigma: float, low: float, factor: float) -> None:
    high = low * factor
    value = clipped_lognormal_quantile(np.array([normal]), 50.0, sigma, low, high)[0]
    assert low <= value <= high
    assert value == pytest.approx(min(max(50.0 * math.exp(sigma * normal), low), high), rel=1e-9)


def test_arrivals_without_a_swing_are_the_running_sum() -> None:
    assert diurnal_arrivals_s(np.array([1.0, 2.0, 0.5]), 0.5, 0.0, 1.0).tolist() == [2.0, 6.0, 7.0]


@given(st.floats(0, 1), st.floats(0, 2 * math.pi), st.floats(1e-5, 1.0))
def test_arrivals_invert_the_cumulative_rate(amplitude: float, phase: float, rate_per_s: float) -> None:
    targets = np.array([0.1, 1.0, 3.0, 0.0, 40.0])
    times = diurnal_arrivals_s(targets, rate_per_s, amplitude, phase)
    assert (np.diff(times) >= 0).all()
    assert (times >= 0).all()
    back = rate_per_s * cumulative_diurnal_s(times, amplitude, phase)
    np.testing.assert_allclose(back, np.cumsum(targets), rtol=1e-9, atol=1e-9)


def test_the_cumulative_rate_is_the_integral_of_the_rate() -> None:
    def rate(time_s: float) -> float:
        return 1.0 + 0.7 * math.cos(2 * math.pi * time_s / DAY_S + 0.4)

    for end_s in (1_000.0, 50_000.0, 3 * DAY_S):
        area = integrate.quad(rate, 0.0, end_s, limit=200)[0]
        assert cumulative_diurnal_s(np.array([end_s]), 0.7, 0.4)[0] == pytest.approx(area, rel=1e-9)


def test_the_peak_is_at_its_hour_in_utc() -> None:
    start = datetime(2023, 5, 1, 9, 30, tzinfo=timezone(timedelta(hours=2)))  # 07:30 UTC
    phase = diurnal_phase_rad(start, 15.0)
    hours = np.arange(0.0, 24.0, 0.25)
    rate = np.cos(2 * math.pi * hours * 3_600 / DAY_S + phase)
    assert start.astimezone(UTC) + timedelta(hours=float(hours[rate.argmax()])) == datetime(
        2023, 5, 1, 15, tzinfo=UTC
    )


def test_choices_follow_their_weights_and_skip_none() -> None:
    picked = discrete_choice(np.linspace(0.0, 1.0, 1_000, endpoint=False), np.array([1.0, 2.0, 5.0, 2.0]))
    assert np.bincount(picked).tolist() == [100, 200, 500, 200]


def test_zipf() -> None:
    np.testing.assert_allclose(zipf_weights(4), np.array([12, 6, 4, 3]) / 25)


def test_the_mean_width_does_not_show_the_order_of_keys() -> None:
    widths = {1: 0.3, 4: 0.2, 8: 0.2, 16: 0.2, 32: 0.1}
    as_text = dict(sorted(widths.items(), key=lambda pair: str(pair[0])))
    assert list(as_text) != list(widths)
    assert mean_width(as_text) == mean_width(widths)
