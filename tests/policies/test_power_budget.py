"""Budgets kept by caps: they hold whenever floors allow, and nobody gets more out of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.policies import make_policy
from dcsim.policies.power_budget import PowerBudget, PriorityBudget, UniformBudget, job_limits
from dcsim.testing.isolation import sample_jobs_view
from dcsim.testing.strategies import jobs_views, make_grid_view, make_power_view, power_views

GRID = make_grid_view([1e-7])
POLICIES = [PowerBudget, UniformBudget, PriorityBudget]


@st.composite
def questions(draw):
    jobs = draw(jobs_views(min_jobs=1, max_jobs=6))
    return jobs, draw(power_views(jobs))


@pytest.mark.parametrize("policy", POLICIES)
@given(asked=questions())
def test_powers_at_the_caps_keep_to_all_budgets(policy, asked):
    jobs, power = asked
    caps, again_s = policy().caps_now(jobs, power, GRID)
    floor_w, drawn_w = power.power_at(power.floor_fraction), power.power_at(caps)
    limits = job_limits(power, math.inf)
    assert (caps >= power.floor_fraction - 1e-12).all()
    assert (caps <= 1.0).all()
    assert again_s == power.budget_changes_s
    if limits.are_kept(floor_w, tolerance_w=0.0):
        assert limits.are_kept(drawn_w, tolerance_w=0.0)
    over = limits.group_sums(floor_w) > limits.group_w
    # Where floors do not allow it nobody there draws more than at its floor.
    for group in np.flatnonzero(over).tolist():
        there = limits.job[limits.group == group]
        assert (drawn_w[there] <= floor_w[there] + 1e-9).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_without_need_nobody_is_capped(policy):
    power = make_power_view([400.0, 800.0], others_w=100.0, budget_w=1300.001)
    assert policy().caps_now(sample_jobs_view(2), power, GRID)[0].tolist() == [1.0, 1.0]
    nobody = make_power_view([], others_w=100.0, budget_w=50.0)
    assert policy().caps_now(sample_jobs_view(2), nobody, GRID)[0].tolist() == []


def test_one_cap_for_all_by_hand():
    # 1,200 W of jobs beside 100 W of others: 700 W leave half of their peak.
    power = make_power_view([400.0, 800.0], others_w=100.0, budget_w=700.0)
    caps, _ = UniformBudget().caps_now(sample_jobs_view(2), power, GRID)
    assert caps.tolist() == [0.499, 0.499]  # less than half by the millionth of a watt kept free
    ample = make_power_view([400.0, 800.0], others_w=100.0, budget_w=701.0)
    assert UniformBudget().caps_now(sample_jobs_view(2), ample, GRID)[0].tolist() == [0.5, 0.5]


def test_a_rack_may_have_less_than_the_hall():
    power = make_power_view([1000.0, 1000.0], rack=[0, 1], rack_budget_w=[600.5, math.inf], budget_w=1402.0)
    caps, _ = UniformBudget().caps_now(sample_jobs_view(2), power, GRID)
    assert caps.tolist() == [0.6, 0.801]
    # Alike, so the best is: the first rack as much as it may, the other the rest.
    best, _ = PowerBudget().caps_now(sample_jobs_view(2), power, GRID)
    assert power.power_at(best) == pytest.approx([600.5, 801.5], abs=1.01)


def test_budgets_are_nested():
    # Racks 0 and 1 on one PDU, rack 2 on the hall: 1,000 W each.
    parts: Any = {"rack": [0, 1, 2], "pdu_of_rack": [0, 0, -1], "rack_budget_w": [500.5, math.inf, math.inf]}
    power = make_power_view([1000.0] * 3, **parts, pdu_budget_w=[1200.7], budget_w=1901.5)
    caps, _ = UniformBudget().caps_now(sample_jobs_view(3), power, GRID)
    assert caps.tolist() == [0.5, 0.7, 0.701]
    best, _ = PowerBudget().caps_now(sample_jobs_view(3), power, GRID)
    assert power.power_at(best) == pytest.approx([500.5, 700.2, 700.8], abs=1.01)


def test_a_gang_over_racks_is_capped_where_it_draws():
    power = make_power_view([1000.0], rack=[0], rack_budget_w=[math.inf, 200.5])
    drawn_w = np.array([750.0, 250.0])
    where = (np.array([0, 0]), np.array([0, 1]), np.array([0.75, 0.25]))
    spread = replace(power, rack_power_w=drawn_w, parts=where)
    for policy in (UniformBudget(), PowerBudget()):
        assert policy.caps_now(sample_jobs_view(1), spread, GRID)[0].tolist() == [
            0.801
        ]  # 200.5 W and a millionth less


def test_a_watt_goes_where_it_adds_most():
    # One job hardly gains by power (b = 6), the other in proportion (b = 1).
    power = make_power_view([1000.0, 1000.0], beta=[6.0, 1.0], budget_w=1500.0)
    filled, _ = PowerBudget().caps_now(sample_jobs_view(2), power, GRID)
    same, _ = UniformBudget().caps_now(sample_jobs_view(2), power, GRID)
    assert filled[0] < same[0] < filled[1]
    assert power.speed_at(filled).sum() > power.speed_at(same).sum()


@given(
    st.lists(st.tuples(st.floats(1.2, 6.0), st.floats(0.0, 0.5), st.integers(1, 16)), min_size=1, max_size=3),
    st.floats(0.1, 0.9),
)
def test_no_caps_on_a_grid_are_better(jobs, part):
    """Brute force over caps in steps of 1/20 between floor and 1."""
    width = [job[2] for job in jobs]
    shape: Any = {"beta": [job[0] for job in jobs], "exchange": [job[1] for job in jobs], "width": width}
    peak_w = [400.0 * number for number in width]
    free = make_power_view(peak_w, **shape)
    low_w, high_w = free.power_at(free.floor_fraction).sum(), free.power_at(np.ones(len(jobs))).sum()
    power = make_power_view(peak_w, **shape, budget_w=float(low_w + part * (high_w - low_w)))
    caps, _ = PowerBudget().caps_now(sample_jobs_view(3), power, GRID)
    mine = float((power.speed_at(caps) * power.width).sum())
    steps = [np.full(len(jobs), step) for step in np.linspace(0.401, 1.0, 20)]
    drawn_w, worth = np.zeros(1), np.zeros(1)
    for job in range(len(jobs)):  # all combinations, one job more at a time
        drawn_w = np.add.outer(drawn_w, [power.power_at(step)[job] for step in steps]).ravel()
        worth = np.add.outer(worth, [width[job] * power.speed_at(step)[job] for step in steps]).ravel()
    best = float(worth[drawn_w <= power.budget_w].max())
    assert mine >= best * 0.999  # caps are in thousandths, curves looked at in 33 places


def test_important_jobs_are_served_first():
    jobs = sample_jobs_view(30)
    high, low = int(np.argmax(jobs.priority)), int(np.argmin(jobs.priority))
    power = make_power_view([1000.0, 1000.0], row=[low, high], budget_w=1500.0)
    caps, _ = PriorityBudget().caps_now(jobs, power, GRID)
    assert caps[1] == 1.0
    assert power.power_at(caps).sum() == pytest.approx(1500.0, abs=1.0)
    other = make_power_view([1000.0, 1000.0], row=[high, low], budget_w=1500.0)
    assert PriorityBudget().caps_now(jobs, other, GRID)[0].tolist() == caps.tolist()[::-1]


def test_room_is_kept_for_what_comes():
    power = make_power_view([1000.0], budget_w=1000.0)
    caps, _ = UniformBudget(headroom_fraction=0.2).caps_now(sample_jobs_view(1), power, GRID)
    assert caps.tolist() == [0.799]
    assert UniformBudget(budget_w=700.5).caps_now(sample_jobs_view(1), power, GRID)[0].tolist() == [0.7]
    assert PowerBudget(start_cap_fraction=0.5).power_cap_fractions(sample_jobs_view(2)).tolist() == [0.5] * 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"budget_w": 0.0}, "a power in W > 0"),
        ({"budget_w": math.nan}, "a power in W > 0"),
        ({"headroom_fraction": 1.0}, r"a fraction in \[0, 1\)"),
        ({"start_cap_fraction": 0.0}, r"a fraction in \(0, 1\]"),
    ],
)
def test_what_is_no_budget_is_refused(parameters, message):
    with pytest.raises(PolicyError, match=message):
        make_policy("energy", "power_budget", parameters)
