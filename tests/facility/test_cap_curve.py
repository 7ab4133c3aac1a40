"""Cap curves: inverses, closed forms, and what holds for any device, workload and cap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from dcsim.facility.cap_curve import (
    CapCurve,
    clock_at_dynamic_power,
    dynamic_power_at_clock,
    insensitive_part,
    response,
)
from dcsim.facility.catalogue_data import MEASURED_CURVES

each_curve = pytest.mark.parametrize("curve", MEASURED_CURVES.values(), ids=MEASURED_CURVES)
parts = st.floats(0.0, 1.0)


@st.composite
def curves(draw: st.DrawFn) -> CapCurve:
    """Draw any device."""
    low = draw(st.floats(0.0, 0.6))
    return CapCurve(
        static_power=draw(st.floats(0.0, 0.5)),
        knee_clock=draw(st.floats(0.2, 0.95)),
        voltage_rise=draw(st.floats(0.0, 1.0)),
        low_power=low,
        high_power=draw(st.floats(1.0, 2.5)),
        overhead_weight=draw(parts),
        lowest_clock=draw(st.floats(0.05, 0.5)),
        lowest_limit=draw(st.floats(0.1, 0.5)),
        source="drawn",
        delivered=draw(st.floats(0.9, 1.0)),
    )


@given(curves(), st.floats(0.0, 1.0))
def test_clock_and_dynamic_power_are_inverses(curve: CapCurve, clock: float) -> None:
    power = dynamic_power_at_clock(curve, clock)
    assert float(clock_at_dynamic_power(curve, power)) == pytest.approx(clock, abs=1e-9)


def test_dynamic_power_is_clock_times_voltage_squared() -> None:
    curve = MEASURED_CURVES["A40"]
    full = (1.0 + curve.voltage_rise) ** 2
    # Below the knee the voltage is flat; half way from there to the full clock it has risen by half.
    assert float(dynamic_power_at_clock(curve, 0.5)) == pytest.approx(0.5 / full)
    middle = 0.5 * (1.0 + curve.knee_clock)
    expected = middle * (1.0 + 0.5 * curve.voltage_rise) ** 2 / full
    assert float(dynamic_power_at_clock(curve, middle)) == pytest.approx(expected)
    assert float(dynamic_power_at_clock(curve, 1.0)) == pytest.approx(1.0, abs=1e-15)


@each_curve
def test_a_light_workload_is_one_phase_and_follows_the_closed_form(curve: CapCurve) -> None:
    # Below the lightest phases there is one: at clock x it draws static + (p - static) W(x), and takes m + (1 - m) / x.
    power, overhead, clock = curve.low_power, 0.3, 0.6
    fixed = curve.overhead_weight * 0.3 * 1.7
    speed, drawn = response(curve, power_fraction=power, overhead_fraction=overhead, clock_fraction=clock)
    assert float(speed) == pytest.approx(1.0 / (fixed + (1.0 - fixed) / clock))
    dynamic = max(0.0, power - curve.static_power)
    saved = dynamic * (1.0 - 0.6 / (1.0 + curve.voltage_rise) ** 2)
    assert float(drawn) == pytest.approx(power - saved)
    assert float(insensitive_part(curve, overhead)) == pytest.approx(fixed)


@each_curve
def test_a_workload_at_the_rated_power_is_one_phase_and_draws_the_cap(curve: CapCurve) -> None:
    # All its phases are the heaviest: the clock is where they draw 98 % of the limit, with and without a cap.
    def clock(cap: float) -> float:
        wanted = (curve.delivered * cap - curve.static_power) / (curve.high_power - curve.static_power)
        rise, knee = curve.voltage_rise, curve.knee_clock

        def excess(x: float) -> float:
            return float(
                x * (1.0 + rise * max(0.0, x - knee) / (1.0 - knee)) ** 2 / (1.0 + rise) ** 2 - wanted
            )

        return float(brentq(excess, 0.0, 1.0, xtol=1e-14))

    speed, power = response(curve, [0.9, 0.7, 0.5])
    assert power.tolist() == pytest.approx([0.9, 0.7, 0.5], rel=1e-12)
    assert speed.tolist() == pytest.approx([clock(cap) / clock(1.0) for cap in (0.9, 0.7, 0.5)], rel=1e-9)


@given(curves(), st.floats(0.01, 1.0), parts, st.lists(st.floats(0.01, 1.2), min_size=2, max_size=6))
def test_what_holds_for_any_workload(
    curve: CapCurve, power: float, overhead: float, caps: list[float]
) -> None:
    caps = sorted(caps)
    speed, drawn = response(curve, caps, power_fraction=power, overhead_fraction=overhead)
    assert ((speed > 0.0) & (speed <= 1.0 + 1e-12)).all()
    assert (np.diff(speed) >= -1e-12).all()  # a higher cap slows nobody
    assert (drawn > 0.0).all()
    # Mean power is static + dynamic work over time. Work stays or falls and time grows, so a lower cap brings it towards
    # the static power: from above for most workloads, from below for one whose light phases draw less than that.
    assert (drawn <= max(power, curve.static_power) * (1.0 + 1e-9)).all()
    held = np.array(caps) >= curve.least_cap
    assert (drawn[held] <= np.array(caps)[held] * (1.0 + 1e-9)).all()
    free = response(curve, [1.0, 5.0], power_fraction=power, overhead_fraction=overhead)
    assert free[0].tolist() == pytest.approx([1.0, 1.0], rel=1e-12)
    assert free[1].tolist() == pytest.approx([power, power], rel=1e-12)


@given(curves(), st.floats(0.01, 1.0), parts, parts)
def test_overhead_shields_from_the_clock(curve: CapCurve, clock: float, one: float, other: float) -> None:
    less, more = sorted((one, other))
    slow = response(curve, power_fraction=0.5, overhead_fraction=[less, more], clock_fraction=clock)[0]
    assert slow[0] <= slow[1] + 1e-12


@each_curve
def test_phases_below_the_limit_are_not_slowed(curve: CapCurve) -> None:
    power = 0.4
    heaviest = power + min(power - curve.low_power, curve.high_power - power)
    caps = np.linspace(heaviest / curve.delivered, 1.0, 20)
    speed, drawn = response(curve, caps, power_fraction=power)
    assert speed.tolist() == [1.0] * 20
    assert drawn.tolist() == pytest.approx([power] * 20, rel=1e-12)
    assert response(curve, caps[0] * 0.8, power_fraction=power)[0] < 1.0


@each_curve
def test_below_the_least_cap_the_lowest_clock_is_all_there_is(curve: CapCurve) -> None:
    floor = curve.static_power + (curve.high_power - curve.static_power) * float(
        dynamic_power_at_clock(curve, curve.lowest_clock)
    )
    assert curve.least_cap == max(curve.lowest_limit, floor / curve.delivered)
    tiny = response(curve, [1e-3, 1e-2])
    assert tiny[0][0] == tiny[0][1]
    assert tiny[1].tolist() == pytest.approx([floor / curve.delivered] * 2)


@each_curve
def test_capping_a_busy_device_saves_energy_down_to_a_point(curve: CapCurve) -> None:
    # Why there is a best cap: power falls faster than speed at first, static power takes over at last.
    caps = np.linspace(curve.least_cap, 1.0, 200)
    speed, power = response(curve, caps, power_fraction=0.9)
    energy = power / speed
    assert energy.min() < 0.85 * energy[-1]
    assert 0 < energy.argmin() < 199


def test_shapes_broadcast() -> None:
    speed, power = response(
        MEASURED_CURVES["V100"], np.full((3, 1), 0.6), power_fraction=np.full(4, 0.8), overhead_fraction=0.1
    )
    assert speed.shape == power.shape == (3, 4)
