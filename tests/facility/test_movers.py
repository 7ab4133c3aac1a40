"""Fans and pumps: closed forms and the published part-load curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.movers import AFFINITY, VARIABLE_VOLUME, Fan, Pump, fan_w, part_load_fraction, pump_w


def test_fan_power_is_flow_times_pressure_over_efficiency() -> None:
    fan = Fan(flow_m3_per_s=5.94499, pressure_pa=300.0, efficiency=0.7, curve=AFFINITY)
    assert float(fan_w(1.0, fan)) == pytest.approx(2547.85, abs=0.01)  # EnergyPlus' sizing report


def test_pump_power_is_flow_times_head_over_both_efficiencies() -> None:
    assert Pump(26.2428, 140e3, 0.9).full_w == pytest.approx(5233.6, abs=0.1)  # EnergyPlus' sizing report
    assert Pump(27.1060, 160e3, 0.87).full_w == pytest.approx(6391.0, abs=0.1)


@given(st.floats(0.01, 0.5))
def test_affinity_twice_the_flow_eight_times_the_power(flow: float) -> None:
    half, full = part_load_fraction([flow, 2.0 * flow], AFFINITY)
    assert full == pytest.approx(8.0 * half)


def test_variable_volume_fan_by_hand() -> None:
    """0.3507 + 0.3085/2 - 0.5414/4 + 0.8720/8 = 0.4786 at half flow; held below a quarter."""
    assert float(part_load_fraction(0.5, VARIABLE_VOLUME)) == pytest.approx(0.4786, abs=1e-4)
    least, quarter = part_load_fraction([0.1, 0.25], VARIABLE_VOLUME, 0.25)
    assert least == quarter


def test_a_pump_without_flow_draws_nothing() -> None:
    constant = Pump(1.0, 1e5, curve=(1.0, 0.0, 0.0, 0.0))
    np.testing.assert_allclose(pump_w([0.0, 0.1, 1.0], constant), [0.0, constant.full_w, constant.full_w])


@given(st.floats(0.0, 1.0), st.tuples(*[st.floats(-2.0, 2.0)] * 4))
def test_no_curve_gives_power_back(flow: float, curve: tuple[float, float, float, float]) -> None:
    assert float(part_load_fraction(flow, curve)) >= 0.0
