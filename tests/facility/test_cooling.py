"""Cooling: published numbers, closed forms, a differential-equation solver, and theorems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from dcsim.facility.cooling import (
    carnot_cop,
    chiller_cop,
    crac_cop,
    economiser_fraction,
    fan_power_fraction,
    rc_mean,
    rc_seconds_above,
    rc_step,
    tower_water_l_per_j,
)

powers = st.floats(0.0, 1e7)
KWH = 3.6e6


@pytest.mark.parametrize(("supply", "published"), [(15.0, 2.00), (20.0, 3.19), (25.0, 4.73)])
def test_crac_cop_of_moore_2005(supply: float, published: float) -> None:
    assert float(crac_cop(supply)) == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize(("cycles", "published"), [(1e9, 1.48), (5.0, 1.85)])
def test_tower_water_per_kwh_rejected(cycles: float, published: float) -> None:
    assert tower_water_l_per_j(cycles) * KWH == pytest.approx(published, abs=0.005)


def test_carnot_by_hand() -> None:
    """T_c = 280 K, T_h = 300 K: 280 / 20 = 14."""
    assert float(carnot_cop(6.85, 26.85)) == pytest.approx(14.0)
    assert np.isinf(carnot_cop(10.0, 10.0))
    assert np.isinf(carnot_cop(10.0, 5.0))


@given(st.floats(-10.0, 30.0), st.floats(0.01, 60.0), st.floats(0.01, 1.0), st.floats(1.1, 30.0))
def test_chiller_never_beats_carnot(chilled: float, lift: float, fraction: float, cop_max: float) -> None:
    cop = float(chiller_cop(chilled, chilled + lift, fraction, cop_max))
    assert 0.0 < cop <= float(carnot_cop(chilled, chilled + lift)) * (1 + 1e-12)
    assert cop <= cop_max


def test_fans_follow_the_cube_law() -> None:
    half, full = fan_power_fraction([0.5, 1.0])
    assert full / half == pytest.approx(8.0)
    assert float(fan_power_fraction(0.0)) == float(fan_power_fraction(0.4)) == pytest.approx(0.4**3)


def test_economiser_takes_all_at_the_set_point_and_nothing_at_the_return() -> None:
    fractions = economiser_fraction(np.array([-5.0, 12.0, 12.0 + 5.56 / 4, 17.56, 30.0]), 12.0)
    np.testing.assert_allclose(fractions, [1.0, 1.0, 0.75, 0.0, 0.0], atol=1e-12)


def test_rc_step_meets_an_ode_solver() -> None:
    """Against scipy's adaptive Runge-Kutta of order 8 on dx/dt = (target - x) / tau."""
    start, target, tau = 3e5, 1.2e6, 900.0
    times = np.linspace(0.0, 4_000.0, 41)
    solution = solve_ivp(
        lambda _, x: (target - x) / tau, (0.0, 4_000.0), [start], "DOP853", times, rtol=1e-12, atol=1e-6
    )
    np.testing.assert_allclose(rc_step(start, target, times, tau), solution.y[0], rtol=1e-9)
    fine = np.linspace(0.0, 4_000.0, 400_001)
    mean = np.trapezoid(rc_step(start, target, fine, tau), fine) / 4_000.0
    assert float(rc_mean(start, target, 4_000.0, tau)) == pytest.approx(mean, rel=1e-9)
    assert float(rc_mean(start, target, 0.0, tau)) == start


@given(powers, powers, st.floats(0.0, 1e5), st.floats(0.0, 1e5), st.floats(1.0, 1e5))
def test_rc_steps_compose(start: float, target: float, first: float, second: float, tau: float) -> None:
    once = float(rc_step(start, target, first + second, tau))
    twice = float(rc_step(rc_step(start, target, first, tau), target, second, tau))
    assert twice == pytest.approx(once, rel=1e-9, abs=1e-6)
    assert min(start, target) - 1e-6 <= once <= max(start, target) * (1 + 1e-12) + 1e-6


@given(powers, powers, st.floats(0.0, 1e5), st.floats(1.0, 1e5), powers)
def test_time_above_a_limit_meets_sampling(
    start: float, target: float, duration: float, tau: float, limit: float
) -> None:
    above = float(rc_seconds_above(start, target, duration, tau, limit))
    assert 0.0 <= above <= duration
    middles = (np.arange(2_000) + 0.5) * duration / 2_000
    share = float(np.mean(rc_step(start, target, middles, tau) > limit))
    scale = max(start, target, limit)
    if abs(start - target) > 1e-6 * scale:  # else the level itself is at rounding
        near = abs(target - limit) < 1e-6 * scale
        assert near or above == pytest.approx(share * duration, abs=duration / 500 + 1e-9)
