"""The air of a hall: against an ODE solver with the plant's bounds, and heat that closes whatever comes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from dcsim.facility.hall import Hall

CAPACITY_J_PER_K, RESISTANCE = 7.5e7, 1.2e-5


def relax(hall, start, heat, supply, flow, seconds):
    columns = (np.array(column, dtype=np.float64) for column in (heat, supply, flow, seconds))
    return hall.relax(start, *columns)


def solved(hall, air, heat, supply, flow, seconds):
    """The same by small steps of a solver: (removed J, air at the end, degree-seconds)."""
    resistance = hall.resistance_k_per_w / flow

    def removed_w(deg_c):
        return min(max((deg_c - supply) / resistance, 0.0), hall.capacity_w)

    def rates(_, state):
        q = removed_w(state[0])
        return [(heat - q) / hall.heat_capacity_j_per_k, q, state[0]]

    end = solve_ivp(rates, (0.0, seconds), [air, 0.0, 0.0], rtol=1e-10, atol=1e-7, max_step=seconds / 200.0)
    return end.y[1, -1], end.y[0, -1], end.y[2, -1]


@pytest.mark.parametrize(
    ("start", "heat", "supply", "flow"),
    [
        (24.0, 5e5, 24.0, 1.0),  # warms up
        (40.0, 2e5, 24.0, 1.0),  # cools down
        (20.0, 5e5, 27.0, 1.0),  # colder than the supply: nothing is removed until it is not
        (20.0, 0.0, 27.0, 1.0),  # and stays so without heat
        (30.0, 1.2e6, 24.0, 1.0),  # reaches the plant's capacity on the way
        (60.0, 4e5, 24.0, 1.0),  # far above it, and comes back
        (60.0, 1.2e6, 24.0, 0.5),  # never comes back
        (31.2, 6e5, 24.0, 1.0),  # stands exactly at the capacity
    ],
)
def test_bounds_of_the_plant_meet_an_ode_solver(start, heat, supply, flow):
    hall = Hall(CAPACITY_J_PER_K, RESISTANCE, 6e5)
    seconds = 3_000.0
    found = relax(hall, start, [heat], [supply], [flow], [seconds])
    removed_j, end_deg_c, degree_s = solved(hall, start, heat, supply, flow, seconds)
    assert found.removed_w[0] * seconds == pytest.approx(removed_j, rel=1e-6, abs=1.0)
    assert found.end_deg_c[0] == pytest.approx(end_deg_c, rel=1e-6)
    assert found.mean_deg_c[0] == pytest.approx(degree_s / seconds, rel=1e-6)


def test_time_above_capacity_by_hand():
    """From 300 kW towards 1 MW with a capacity of 600 kW: reached after tau ln(700 / 400)."""
    hall = Hall(CAPACITY_J_PER_K, RESISTANCE, 6e5)
    found = relax(hall, 24.0 + RESISTANCE * 3e5, [1e6], [24.0], [1.0], [2_000.0])
    assert found.over_s[0] == pytest.approx(2_000.0 - 900.0 * math.log(7.0 / 4.0), rel=1e-12)


def test_more_flow_makes_a_steady_hall_cooler():
    hall = Hall(CAPACITY_J_PER_K, RESISTANCE, math.inf)
    assert hall.steady_deg_c(5e5, 24.0, 1.0) == pytest.approx(30.0)
    assert hall.steady_deg_c(5e5, 24.0, 0.5) == pytest.approx(36.0)


intervals = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(1.0, 2e6)),
        st.floats(15.0, 35.0),
        st.floats(0.2, 1.0),
        st.one_of(st.just(0.0), st.floats(1e-3, 1e5)),
    ),
    min_size=1,
    max_size=8,
)


@given(st.floats(10.0, 60.0), intervals, st.one_of(st.just(math.inf), st.floats(1e3, 2e6)))
def test_heat_closes_and_the_plant_keeps_its_bounds(start, rows, most):
    """C (T1 - T0) = heat - removed at every interval, 0 <= removed <= capacity."""
    hall = Hall(CAPACITY_J_PER_K, RESISTANCE, most)
    heat, supply, flow, seconds = (np.array(column) for column in zip(*rows, strict=True))
    found = hall.relax(start, heat, supply, flow, seconds)
    before = np.concatenate([[start], found.end_deg_c[:-1]])
    stored = CAPACITY_J_PER_K * (found.end_deg_c - before)
    scale = CAPACITY_J_PER_K * np.maximum(np.abs(found.end_deg_c), np.abs(before)) + heat * seconds
    assert (np.abs((heat - found.removed_w) * seconds - stored) <= 1e-9 * scale).all()
    assert (found.removed_w >= -1e-9 * np.maximum(heat, 1.0)).all()
    assert (found.removed_w <= most * (1.0 + 1e-12)).all()
    assert (found.over_s >= 0.0).all()
    assert (found.over_s <= seconds * (1.0 + 1e-12)).all()


@given(st.floats(10.0, 60.0), intervals, st.floats(0.1, 0.9), st.floats(1e4, 2e6))
def test_cutting_an_interval_changes_nothing(start, rows, part, most):
    hall = Hall(CAPACITY_J_PER_K, RESISTANCE, most)
    heat, supply, flow, seconds = (np.array(column) for column in zip(*rows, strict=True))
    whole = hall.relax(start, heat, supply, flow, seconds)
    pieces = np.ravel(np.column_stack([part * seconds, (1.0 - part) * seconds]))
    cut = hall.relax(start, np.repeat(heat, 2), np.repeat(supply, 2), np.repeat(flow, 2), pieces)
    assert cut.end_deg_c[1::2] == pytest.approx(whole.end_deg_c, rel=1e-9, abs=1e-9)
    removed = (cut.removed_w * pieces).reshape(-1, 2).sum(axis=1)
    assert removed == pytest.approx(whole.removed_w * seconds, rel=1e-7, abs=0.1)
