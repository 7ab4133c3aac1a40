"""Temperatures of devices between events: a solver of differential equations, closed forms, mirror images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from dcsim.facility.thermal import cooling_s, leakage_gain, relaxed_deg_c, steady_deg_c, warming_s

temperatures = st.floats(-20.0, 120.0)


@pytest.mark.parametrize("leak_w_per_k", [0.0, 0.5, 2.0])
def test_a_device_that_leaks_against_a_solver(leak_w_per_k):
    """C dT/dt = P + k (T - 60) - (T - Tin) / R."""
    resistance, capacity, power, inlet, start = 0.12, 300.0, 350.0, 27.0, 35.0

    def change(_, temperature):
        leakage = leak_w_per_k * (temperature - 60.0)
        return (power + leakage - (temperature - inlet) / resistance) / capacity

    solved = solve_ivp(change, (0.0, 120.0), [start], rtol=1e-11, atol=1e-9, dense_output=True)
    curve = solved.sol
    assert curve is not None
    gain = leakage_gain(resistance, leak_w_per_k)
    steady = steady_deg_c(inlet, power, resistance_k_per_w=resistance, gain=gain, reference_deg_c=60.0)
    times = np.linspace(0.0, 120.0, 50)
    found = relaxed_deg_c(start, steady, times, gain * resistance * capacity)
    np.testing.assert_allclose(found, curve(times)[0], rtol=0.0, atol=1e-6)
    level = 50.0
    crossing = warming_s(start, steady, gain * resistance * capacity, level)
    assert float(crossing) == pytest.approx(brentq(lambda t: curve(t)[0] - level, 0.0, 120.0), abs=1e-6)


def test_a_device_that_leaks_more_than_it_sheds_runs_away():
    assert np.isinf(leakage_gain(0.1, 10.0))
    assert np.isinf(leakage_gain(0.1, 20.0))


@given(temperatures, temperatures, st.floats(0.1, 1e4), temperatures)
def test_at_the_crossing_it_is_at_the_level(start, steady, tau, level):
    for wait in (float(warming_s(start, steady, tau, level)), float(cooling_s(start, steady, tau, level))):
        if 0.0 < wait < np.inf:
            there = float(relaxed_deg_c(start, steady, wait, tau))
            assert there == pytest.approx(level, abs=1e-9)


@given(temperatures, temperatures, st.floats(0.1, 1e4), temperatures)
def test_it_crosses_where_the_way_leads_over_the_level_only(start, steady, tau, level):
    warm, cool = float(warming_s(start, steady, tau, level)), float(cooling_s(start, steady, tau, level))
    assert (warm == 0.0) == (start >= level)
    assert (cool == 0.0) == (start <= level)
    assert (warm == np.inf) == (start < level and steady <= level)
    assert (cool == np.inf) == (start > level and steady >= level)


@given(temperatures, temperatures, st.floats(0.1, 1e3), st.floats(0.0, 1e3), st.floats(0.0, 1e3))
def test_two_waits_are_one(start, steady, tau, first, second):
    at_once = float(relaxed_deg_c(start, steady, first + second, tau))
    in_turn = float(relaxed_deg_c(relaxed_deg_c(start, steady, first, tau), steady, second, tau))
    assert at_once == pytest.approx(in_turn, abs=1e-9)
    low, high = sorted((start, steady))
    assert low - 1e-9 <= at_once <= high + 1e-9


def test_it_stays_where_it_is_when_no_time_passes():
    assert float(relaxed_deg_c(0.1, 99.7, 0.0, 30.0)) == 0.1
