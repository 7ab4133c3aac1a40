"""Chillers by their curves: rating, bounds, cycling and the second law."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.chiller import (
    CENTRIFUGAL,
    RISE,
    ChillerCurve,
    chiller_capacity_w,
    chiller_curve_cop,
    chiller_power_w,
)
from dcsim.facility.cooling import carnot_cop

both = pytest.mark.parametrize("curve", [CENTRIFUGAL, RISE])
machines = st.sampled_from([CENTRIFUGAL, RISE])
leaving = st.floats(2.0, 30.0)
entering = st.floats(-10.0, 50.0)
loads = st.floats(1e-6, 1.5)


def test_centrifugal_at_rating_has_the_rated_cop_and_capacity() -> None:
    """DOE-2's curves are 1 at 44 and 85 degF (6.67 and 29.44 degC), to their own rounding."""
    curve = CENTRIFUGAL.sized(2e6)
    assert float(chiller_capacity_w(6.67, 29.44, curve)) == pytest.approx(2e6, rel=0.005)
    assert float(chiller_curve_cop(2e6, 6.67, 29.44, curve)) == pytest.approx(5.5, rel=0.005)


def test_rise_at_rating_by_hand() -> None:
    """Capacity ratio 0.944836; power ratio 1.907846 - 1.204987 r + 0.2634623 r2 = 1.00452; full load 1.00003."""
    curve = RISE.sized(1e6)
    capacity = float(chiller_capacity_w(6.67, 29.44, curve))
    assert capacity == pytest.approx(944_836.0)
    expected = capacity / 5.0 * 1.004523 * 1.00003
    assert float(chiller_power_w(capacity, 6.67, 29.44, curve)) == pytest.approx(expected, rel=1e-5)


def test_rise_at_other_waters_by_hand() -> None:
    """d = (20 - 29.44) / 2.682759 - (12 - 6.67) = -8.848771; r = 1.304064; power ratio 0.784497."""
    curve = RISE.sized(1e6)
    half = 0.5 * 1_304_064.0
    full_load = 0.03303 + 0.6852 * 0.5 + 0.2818 * 0.25
    assert float(chiller_power_w(half, 12.0, 20.0, curve)) == pytest.approx(
        1_304_064.0 / 5.0 * 0.784497 * full_load, rel=1e-4
    )


@both
def test_bounds_of_the_fit_are_kept(curve: ChillerCurve) -> None:
    low, high = curve.modifiers.leaving_range_deg_c
    cold, hot = curve.modifiers.entering_range_deg_c
    for beyond, end in (
        ((low - 5.0, hot), (low, hot)),
        ((high, cold - 3.0), (high, cold)),
        ((low, hot + 20.0), (low, hot)),
    ):
        assert float(chiller_capacity_w(*beyond, curve)) == float(chiller_capacity_w(*end, curve))


@both
def test_below_the_least_part_load_it_cycles(curve: ChillerCurve) -> None:
    least = curve.least_part_load * float(chiller_capacity_w(7.0, 29.0, curve))
    power = chiller_power_w(np.array([0.0, 0.25, 0.5, 1.0]) * least, 7.0, 29.0, curve)
    np.testing.assert_allclose(power, power[-1] * np.array([0.0, 0.25, 0.5, 1.0]), rtol=1e-12)


@both
def test_heat_beyond_capacity_is_charged_at_full_load(curve: ChillerCurve) -> None:
    most = float(chiller_capacity_w(7.0, 29.0, curve))
    one, two = chiller_power_w([most, 2.0 * most], 7.0, 29.0, curve)
    assert two == pytest.approx(2.0 * one)


@given(machines, loads, leaving, entering)
def test_never_better_than_carnot(curve: ChillerCurve, load: float, chilled: float, condenser: float) -> None:
    heat = load * float(chiller_capacity_w(chilled, condenser, curve))
    power = float(chiller_power_w(heat, chilled, condenser, curve))
    assert power > 0.0
    assert heat / power <= float(carnot_cop(chilled, condenser)) * curve.carnot_limit * (1.0 + 1e-12)


def test_carnot_holds_where_curves_promise_more() -> None:
    wonder = dataclasses.replace(RISE, rated_cop=100.0)
    assert float(chiller_curve_cop(5e5, 7.0, 35.0, wonder)) == pytest.approx(
        0.75 * float(carnot_cop(7.0, 35.0))
    )


@given(machines, st.floats(0.15, 1.0), st.floats(5.0, 10.0), st.floats(24.0, 34.0))
def test_warmer_condenser_water_costs_more(
    curve: ChillerCurve, load: float, chilled: float, condenser: float
) -> None:
    """Within the fitted range; for the same heat, which both can remove."""
    heat = load * float(chiller_capacity_w(chilled, 35.0, curve))
    cool, warm = chiller_power_w(heat, chilled, [condenser, condenser + 1.0], curve)
    assert warm >= cool * (1.0 - 1e-9)


@given(machines, leaving, entering, st.floats(0.01, 100.0))
def test_a_larger_machine_does_the_same_for_more_heat(
    curve: ChillerCurve, chilled: float, condenser: float, times: float
) -> None:
    small = float(chiller_power_w(4e5, chilled, condenser, curve.sized(1e6)))
    large = float(chiller_power_w(times * 4e5, chilled, condenser, curve.sized(times * 1e6)))
    assert large == pytest.approx(times * small, rel=1e-9)


def test_arrays_broadcast() -> None:
    assert chiller_power_w(np.full(3, 1e5), 7.0, np.array([20.0, 25.0, 30.0]), RISE).shape == (3,)
