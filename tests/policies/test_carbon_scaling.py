"""Plans of elastic jobs: optimal by linear programming, and never dirtier than what fixed widths can do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from dcsim.errors import PolicyError
from dcsim.policies import make_policy
from dcsim.policies.carbon_scaling import cheapest_plan

HOUR = 3600.0


def _bound(work_s, length_s, intensity, width, rate):
    """Return the least carbon of any mixture of widths, or None if the work does not fit; a linear program."""
    slots, widths = len(length_s), len(width)
    cost = np.outer(intensity, width).ravel()
    time_used = np.kron(np.eye(slots), np.ones(widths))
    done = -np.tile(rate, slots)[None, :]
    solved = linprog(
        cost, A_ub=np.vstack([time_used, done]), b_ub=np.append(length_s, -work_s), bounds=(0.0, None)
    )
    return float(solved.fun or 0.0) if solved.success else None


@st.composite
def plans(draw):
    slots, least = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    width = list(range(least, least + draw(st.integers(1, 4))))
    gains = [draw(st.integers(1, 10)) for _ in width]
    rate = (np.cumsum(gains) / gains[0]).tolist()
    length_s = np.array([float(draw(st.integers(60, 7200))) for _ in range(slots)])
    intensity = np.array([float(draw(st.integers(0, 800))) for _ in range(slots)])
    work_s = draw(st.floats(1.0, 1.1)) * draw(st.floats(0.01, 1.0)) * float(length_s.sum()) * max(rate)
    return work_s, length_s, intensity, width, rate


@given(plans())
def test_no_mixture_of_widths_is_cleaner(asked):
    width, rate = asked[3:]
    plan, bound_kg = cheapest_plan(*asked), _bound(*asked)
    if bound_kg is None:
        assert plan.short > 0.0
        assert plan.first_width == width[int(np.argmax(rate))]
    else:
        assert plan.short <= 1e-6
        assert plan.carbon == pytest.approx(bound_kg, rel=1e-6, abs=1e-3)


@given(plans())
def test_a_plan_followed_does_the_work_for_what_it_said(asked):
    """Step by step, planned anew after each: the carbon is that of the first plan."""
    work_s, length_s, intensity, width, rate = asked
    first = cheapest_plan(*asked)
    if first.short > 0.0:
        return
    carbon, left_s = 0.0, work_s
    lengths, intensities = length_s, intensity
    speed = dict(zip([0, *width], [0.0, *rate], strict=True))
    for _ in range(100):
        if left_s <= 1e-6 or not len(lengths):
            break
        plan = cheapest_plan(left_s, lengths, intensities, width, rate)
        lasts_s = plan.first_s
        carbon += plan.first_width * lasts_s * float(intensities[0])
        left_s -= speed[plan.first_width] * lasts_s
        if lasts_s >= lengths[0] * (1.0 - 1e-12):
            lengths, intensities = lengths[1:], intensities[1:]
        else:
            lengths = np.concatenate([[lengths[0] - lasts_s], lengths[1:]])
    assert left_s <= 1e-3
    assert carbon == pytest.approx(first.carbon, rel=1e-5, abs=10.0)  # a millisecond of rounding


def test_by_hand():
    # The second of three hours is clean. Two accelerators do 1.8, and 0.8 more costs 1 / 0.8 of it.
    hours, intensity = np.full(3, HOUR), np.array([2.0, 1.0, 3.0])
    plan = cheapest_plan(1.8 * HOUR, hours, intensity, [1, 2], [1.0, 1.8])
    assert plan.width.tolist() == [0, 2, 0]
    assert plan.carbon == pytest.approx(2.0 * HOUR)
    more = cheapest_plan(2.3 * HOUR, hours, intensity, [1, 2], [1.0, 1.8])
    assert more.first_width == 1
    assert more.first_s == pytest.approx(0.5 * HOUR)
    least_two = cheapest_plan(1.0 * HOUR, hours, intensity, [2], [1.0])
    assert least_two.width.tolist() == [0, 2, 0]
    crowded = cheapest_plan(1.8 * HOUR, hours, intensity, [1, 2], [1.0, 1.8], np.array([2, 1, 0]))
    assert crowded.width.tolist() == [1, 1, 0]
    assert crowded.first_s == pytest.approx(0.8 * HOUR)


def test_equal_hours_are_worked_in_order():
    plan = cheapest_plan(2.0 * HOUR, np.full(4, HOUR), np.full(4, 0.1 + 0.2), [1], [1.0])
    assert (plan.first_width, plan.first_s, plan.width.tolist()) == (1, HOUR, [1, 1, 0, 0])


def test_a_grid_without_carbon_costs_nothing():
    plan = cheapest_plan(2.0 * HOUR, np.full(4, HOUR), np.zeros(4), [1, 2], [1.0, 1.5])
    assert plan.carbon == 0.0
    assert plan.first_width > 0


@pytest.mark.parametrize("restart_s", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_refused(restart_s):
    with pytest.raises(PolicyError, match=r"restart_s: .* -> expected"):
        make_policy("energy", "carbon_scale", {"restart_s": restart_s})
