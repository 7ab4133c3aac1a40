"""Water-filling against a linear program, and against the closed form of its concave problem."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from dcsim.policies.water_filling import Limits, concave_points, fill_water

INF = np.inf


def _limits(hall_w, rack_w=(INF,), rack=None, jobs=2):
    rack = [0] * jobs if rack is None else rack
    return Limits(hall_w, np.array(rack_w), np.arange(jobs), np.array(rack, dtype=np.int64), np.ones(jobs))


def _optimum(power_w, value, limits):
    """Return the greatest sum of values, levels mixed, by linear programming."""
    jobs, levels = power_w.shape
    one = np.kron(np.eye(jobs), np.ones(levels))
    rows, bounds = [power_w.ravel()], [limits.hall_w]
    for rack, most_w in enumerate(limits.group_w.tolist()):
        if most_w < INF:
            part = np.zeros(jobs)
            np.add.at(part, limits.job[limits.group == rack], limits.part[limits.group == rack])
            rows.append((power_w * part[:, None]).ravel())
            bounds.append(most_w)
    solved = linprog(-value.ravel(), A_ub=np.array(rows), b_ub=bounds, A_eq=one, b_eq=np.ones(jobs))
    return -float(solved.fun or 0.0)


def _worth(power_w, value, given_w):
    """Return the sum of the values on the concave curves at the powers given."""
    total = 0.0
    for watts, worth, w in zip(power_w.tolist(), value.tolist(), given_w.tolist(), strict=True):
        at = concave_points(watts, worth)
        total += float(np.interp(w, [watts[k] for k in at], [worth[k] for k in at]))
    return total


@st.composite
def problems(draw):
    jobs, levels, racks = draw(st.integers(1, 5)), draw(st.integers(2, 5)), draw(st.integers(1, 3))
    steps = st.integers(1, 20)
    power_w = np.cumsum([[draw(steps) for _ in range(levels)] for _ in range(jobs)], axis=1).astype(float)
    value = np.cumsum([[draw(st.integers(0, 20)) for _ in range(levels)] for _ in range(jobs)], axis=1) + 0.0
    rack = [draw(st.integers(0, racks - 1)) for _ in range(jobs)]
    least_w = power_w[:, 0]
    hall_w = float(least_w.sum()) + draw(st.integers(0, 60))
    in_rack = np.bincount(rack, weights=least_w, minlength=racks)
    rack_w = [draw(st.sampled_from([INF, 0.0, 5.0, 25.0])) + float(in_rack[r]) for r in range(racks)]
    return power_w, value, _limits(hall_w, rack_w, rack, jobs)


@given(problems())
def test_nobody_shares_the_budget_of_racks_and_hall_better(problem):
    power_w, value, limits = problem
    given_w = fill_water(power_w, value, limits)
    assert limits.are_kept(given_w)
    assert (given_w >= power_w[:, 0] - 1e-9).all()
    assert _worth(power_w, value, given_w) == pytest.approx(_optimum(power_w, value, limits), abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_the_curve_lies_above_all_points(steps):
    power_w = np.cumsum([power for power, _ in steps]).tolist()
    value = [float(worth) for _, worth in steps]
    at = concave_points(power_w, value)
    assert at[0] == 0
    assert value[at[-1]] == max(value)
    slopes = np.diff([value[k] for k in at]) / np.diff([power_w[k] for k in at])
    assert (slopes > 0.0).all()
    assert (np.diff(slopes) < 0.0).all()
    curve = np.interp(power_w, [power_w[k] for k in at], [value[k] for k in at])
    assert (curve >= np.array(value) - 1e-9).all()


def test_speed_for_no_more_power_is_taken_for_nothing():
    assert concave_points([1.0, 1.0, 2.0], [1.0, 2.0, 3.0]) == [1, 2]
    assert concave_points([2.0, 1.0], [1.0, 2.0]) == [1]


@given(
    st.lists(
        st.tuples(st.sampled_from([0.2, 0.4, 0.6]), st.floats(1.5, 6.0), st.integers(1, 8)),
        min_size=1,
        max_size=6,
    ),
    st.floats(0.05, 0.95),
)
def test_power_laws_meet_the_closed_form(jobs, part):
    """Marginal speeds a watt are equal: x_j = (lambda b (1 - a) P / w)^(b / (1 - b)), clipped to [floor, 1]."""
    alpha, beta = np.array([job[0] for job in jobs]), np.array([job[1] for job in jobs])
    weight = np.array([float(job[2]) for job in jobs])
    peak_w = 400.0 * weight
    floor = 0.01
    x = floor + (1.0 - floor) * np.linspace(0.0, 1.0, 400) ** 2

    def power_of(speed_base):
        return peak_w[:, None] * (alpha[:, None] + (1.0 - alpha[:, None]) * speed_base)

    power_w = power_of(np.broadcast_to(x, (len(jobs), len(x))))
    value = weight[:, None] * x ** (1.0 / beta[:, None])
    least_w, most_w = power_w[:, 0].sum(), power_w[:, -1].sum()
    hall_w = least_w + part * (most_w - least_w)

    def at_price(price):
        free = (price * beta * (1.0 - alpha) * peak_w / weight) ** (beta / (1.0 - beta))
        return np.clip(free, floor, 1.0)

    low, high = -30.0, 10.0
    for _ in range(200):
        middle = (low + high) / 2.0
        drawn_w = power_of(at_price(np.exp(middle))[:, None]).sum()
        low, high = (middle, high) if drawn_w > hall_w else (low, middle)
    best = float((weight * at_price(np.exp(high)) ** (1.0 / beta)).sum())
    given_w = fill_water(power_w, value, _limits(hall_w, jobs=len(jobs)))
    worth = _worth(power_w, value, given_w)
    assert worth <= best * (1.0 + 1e-9)
    assert worth == pytest.approx(best, rel=1e-4)


def test_the_lower_rank_goes_first():
    power_w = np.array([[1.0, 3.0], [1.0, 3.0]])
    value = np.array([[0.0, 1.0], [0.0, 9.0]])
    assert fill_water(power_w, value, _limits(5.0)).tolist() == [2.0, 3.0]
    assert fill_water(power_w, value, _limits(5.0), np.array([-1.0, 0.0])).tolist() == [3.0, 2.0]


def test_equal_jobs_have_equal_parts():
    power_w, value = np.array([[1.0, 3.0]] * 3), np.array([[0.0, 1.0]] * 3)
    assert fill_water(power_w, value, _limits(6.0, jobs=3)).tolist() == [2.0, 2.0, 2.0]
    # What a rack cannot take goes to the others.
    racks = _limits(6.0, (1.5, INF), [0, 1, 1], jobs=3)
    assert fill_water(power_w, value, racks) == pytest.approx([1.5, 2.5, 2.0])


def test_a_gang_over_two_racks_is_held_by_either():
    power_w, value = np.array([[0.0, 10.0]]), np.array([[0.0, 1.0]])
    parts = Limits(INF, np.array([INF, 2.0]), np.array([0, 0]), np.array([0, 1]), np.array([0.75, 0.25]))
    assert fill_water(power_w, value, parts).tolist() == [8.0]


def test_without_room_all_have_their_least():
    power_w, value = np.array([[2.0, 3.0], [2.0, 3.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert fill_water(power_w, value, _limits(1.0)).tolist() == [2.0, 2.0]
    assert fill_water(np.zeros((0, 3)), np.zeros((0, 3)), _limits(1.0, jobs=0)).tolist() == []
