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
from dcsim.facility.plant import DESIGN_WET_BULB_DEG_C, build_plant, power_per_heat, water_l_per_heat_j
from dcsim.spec.cooling import CoolingSpec
from dcsim.spec.power import PowerChainSpec

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


def test_chilled_water_plant_by_hand() -> None:
    """Wet bulb 20: condenser 24, condensing 29, chilled 12; Carnot 285.15/17 = 16.77, half 8.39."""
    spec = CoolingSpec()
    assert float(power_per_heat(spec, 20.0)) == pytest.approx(1 / (0.5 * 285.15 / 17.0) + 0.02)
    # Wet bulb 8: condenser water at the set point, so pumps only.
    assert float(power_per_heat(spec, 8.0)) == 0.02
    assert float(power_per_heat(spec, 7.0)) == 0.02
    # Water: heat removed plus chiller work plus pumps evaporates.
    rejected = 1.0 + 1 / (0.5 * 285.15 / 17.0) + 0.02
    assert float(water_l_per_heat_j(spec, 20.0)) * KWH == pytest.approx(rejected * 1.852, rel=1e-3)


def test_crac_plant_ignores_weather_and_uses_no_water() -> None:
    spec = CoolingSpec(plant="crac", supply_temperature_deg_c=20.0)
    np.testing.assert_allclose(power_per_heat(spec, [0.0, 30.0]), 1 / 3.194, rtol=1e-12)
    assert np.all(water_l_per_heat_j(spec, np.array([0.0, 30.0])) == 0.0)


@given(st.lists(st.floats(-40.0, 35.0), min_size=2, max_size=30), st.floats(10.0, 45.0), st.floats(1.0, 40.0))
def test_warmer_weather_never_lowers_cooling_power(
    wet_bulbs: list[float], supply: float, approach: float
) -> None:
    spec = CoolingSpec(supply_temperature_deg_c=supply, approach_k=approach)
    per_heat = power_per_heat(spec, np.sort(np.array(wet_bulbs)))
    assert np.all(np.diff(per_heat) >= -1e-12)
    assert np.all(per_heat >= spec.pump_fraction)


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


def test_plant_sizes_what_the_scenario_leaves_open() -> None:
    plant = build_plant(CoolingSpec(), PowerChainSpec(), 1e6)
    pdu_loss = 1.25e6 * (0.002 + 0.005 * 0.8 + 0.008 * 0.64)
    peak_heat = 1e6 + 0.04e6 + pdu_loss  # IT, air handlers, and the stage that stands in the hall
    assert float(plant.hall_heat_w(1e6)) == pytest.approx(peak_heat)
    assert plant.capacity_w == pytest.approx(1.25 * peak_heat)
    assert plant.resistance_k_per_w * peak_heat == pytest.approx(12.0)
    cooling = 0.04e6 + peak_heat * float(power_per_heat(plant.spec, DESIGN_WET_BULB_DEG_C))
    ups_output = 1e6 + pdu_loss
    ups_loss = 1.25 * ups_output * (0.012 + 0.02 * 0.8 + 0.012 * 0.64)
    assert plant.stages[2].rated_w == pytest.approx(1.25 * (ups_output + ups_loss + cooling))


def test_what_the_scenario_says_rules() -> None:
    spec = CoolingSpec(capacity_w=5e5, hall_resistance_k_per_w=1e-5, fan_fraction=0.0)
    plant = build_plant(spec, PowerChainSpec(stages=()), 1e6)
    assert (plant.capacity_w, plant.resistance_k_per_w) == (5e5, 1e-5)
    assert float(plant.hall_heat_w(7e5)) == 7e5


@pytest.mark.parametrize("peak", [-1.0, float("nan"), float("inf")])
def test_a_peak_power_that_is_none_is_refused(peak: float) -> None:
    with pytest.raises(ValueError, match="finite number"):
        build_plant(CoolingSpec(), PowerChainSpec(), peak)
