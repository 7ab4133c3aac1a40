"""Caps that change: least energy, by the grid, by thresholds of a budget, and for jobs that are held back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.policies import make_policy
from dcsim.policies.cap_search import greatest_caps, least_caps
from dcsim.policies.energy_caps import CarbonCap, LeastEnergyCap, PriceCap, standing
from dcsim.policies.oversubscription import Polca
from dcsim.policies.stragglers import StragglerScaling
from dcsim.testing.isolation import sample_jobs_view
from dcsim.testing.strategies import make_grid_view, make_power_view

HOUR = 3600.0
FLAT = make_grid_view([1e-7])
JOBS = sample_jobs_view(30)
shapes = st.lists(
    st.tuples(st.sampled_from([0.2, 0.4, 0.6]), st.floats(1.0, 6.0), st.floats(0.0, 0.6)),
    min_size=1,
    max_size=4,
)


def _view(jobs, **parts):
    alpha, beta, exchange = ([job[k] for job in jobs] for k in range(3))
    return make_power_view([400.0] * len(jobs), alpha=alpha, beta=beta, exchange=exchange, **parts)


@given(shapes, st.floats(0.0, 1.0))
def test_the_least_cap_keeps_a_speed_and_one_step_less_does_not(jobs, speed):
    view = _view(jobs)
    caps = least_caps(view.speed_at, view.floor_fraction, np.full(len(jobs), speed))
    assert (view.speed_at(caps) >= speed * (1.0 - 1e-8)).all()
    lower = caps > view.floor_fraction + 0.0015
    assert (view.speed_at(caps - 0.001)[lower] < speed).all()


def test_the_greatest_cap_keeps_a_power():
    view = make_power_view([400.0, 400.0, 400.0])
    caps = greatest_caps(view.power_at, view.floor_fraction, np.array([300.0, 1000.0, 1.0]))
    assert caps.tolist() == [0.75, 1.0, 0.401]


@given(shapes, st.floats(1.0, 2.0), st.sampled_from([0.0, 100.0, 1000.0]))
def test_no_cap_within_the_bound_takes_less_energy(jobs, bound, overhead_w):
    view = _view(jobs)
    caps, again_s = LeastEnergyCap(max_slowdown=bound, overhead_w=overhead_w).caps_now(JOBS, view, FLAT)
    assert again_s == math.inf

    def energy(caps):
        return (view.power_at(caps) + overhead_w) / view.speed_at(caps)

    assert (1.0 / view.speed_at(caps) <= bound * (1.0 + 1e-8)).all()
    for cap in np.linspace(0.2, 1.0, 161):
        tried = np.maximum(cap, view.floor_fraction)
        inside = 1.0 / view.speed_at(tried) <= bound
        assert (energy(caps)[inside] <= energy(tried)[inside] * 1.01).all()


def test_where_waiting_costs_more_than_working_nobody_is_capped():
    view = make_power_view([400.0], beta=5.79, alpha=0.418)
    assert LeastEnergyCap(overhead_w=1e6).caps_now(JOBS, view, FLAT)[0].tolist() == [1.0]
    assert LeastEnergyCap(max_slowdown=1.0).caps_now(JOBS, view, FLAT)[0].tolist() == [1.0]
    # dE/ds = 0 at s^b = a / ((1 - a) (b - 1)), Zeus' V100: s = 0.723, a power of 0.507.
    free = LeastEnergyCap(max_slowdown=10.0).caps_now(JOBS, view, FLAT)[0]
    speed = (0.418 / (0.582 * 4.79)) ** (1.0 / 5.79)
    assert float(free[0]) == pytest.approx(0.418 + 0.582 * speed**5.79, abs=0.02)


@pytest.mark.parametrize(("policy", "series"), [(CarbonCap, "carbon"), (PriceCap, "price")])
def test_the_grid_says_how_deep(policy, series):
    hours = [3.0, 1.0, 5.0]
    view = make_power_view([400.0], alpha=0.1)

    def asked(hour):
        parts = {"carbon": [1e-7], "price": [1e-8]} | {series: [1e-8 * value for value in hours]}
        return policy(max_slowdown=1.2).caps_now(
            JOBS, view, make_grid_view(**parts, now_s=hour * HOUR + 60.0)
        )

    caps = [asked(hour) for hour in range(3)]
    slowdown = [1.0 / float(view.speed_at(cap)[0]) for cap, _ in caps]
    # Half way from the best to the worst of the day: half of the bound; caps come in thousandths.
    assert slowdown == pytest.approx([1.1, 1.0, 1.2], abs=0.003)
    assert all(now <= bound for now, bound in zip(slowdown, [1.1, 1.0, 1.2], strict=True))
    assert [again_s for _, again_s in caps] == [HOUR, 2 * HOUR, 3 * HOUR]


def test_a_flat_grid_caps_nobody():
    view = make_power_view([400.0])
    assert CarbonCap().caps_now(JOBS, view, FLAT)[0].tolist() == [1.0]
    assert standing(np.array([0.1 + 0.2, 0.3])) == 0.0


# -- held back by something else ---------------------------------------------------------------------


@given(shapes, st.floats(0.05, 1.0), st.floats(0.62, 1.0))
def test_a_straggler_keeps_its_progress(jobs, progress, cap):
    view = _view(jobs, progress_fraction=progress, cap_fraction=math.floor(cap * 1000.0) / 1000.0)
    caps, again_s = StragglerScaling(margin=0.02).caps_now(JOBS, view, FLAT)
    goes = progress * view.speed_at(view.cap_fraction)
    assert (view.speed_at(caps) >= goes * (1.0 - 1e-8)).all()
    if progress > 1.0 - 1e-6:
        assert caps.tolist() == [1.0] * len(jobs)
        assert again_s == math.inf
    else:
        assert again_s == view.now_s + 3600.0
        lower = caps > view.floor_fraction + 0.0015
        assert (view.speed_at(caps - 0.001)[lower] < goes[lower] * 1.02).all()


def test_a_straggler_stays_capped_while_it_is_held_back():
    view = make_power_view([400.0], beta=1.0, progress_fraction=0.5)
    caps, _ = StragglerScaling().caps_now(JOBS, view, FLAT)
    then = float((0.5 / view.speed_at(caps))[0])
    assert then < 1.0
    still = make_power_view([400.0], beta=1.0, progress_fraction=then, cap_fraction=float(caps[0]))
    assert StragglerScaling().caps_now(JOBS, still, FLAT)[0] == pytest.approx(caps, abs=0.0011)
    freed = make_power_view([400.0], beta=1.0, cap_fraction=float(caps[0]))
    assert StragglerScaling().caps_now(JOBS, freed, FLAT)[0].tolist() == [1.0]


# -- thresholds of a budget --------------------------------------------------------------------------

LOW, HIGH = (int(np.flatnonzero(JOBS.priority == value)[0]) for value in (0.0, 2.0))


def _polca(load, cap_fraction=1.0, **parts):
    """Return the caps of a low and a high job of 1,000 W each, at a power over budget."""
    view = make_power_view(
        [1000.0, 1000.0], row=[LOW, HIGH], beta=1.0, alpha=0.0, cap_fraction=cap_fraction, **parts
    )
    rest_w = 1000.0
    budget_w = (rest_w + float(view.power_w.sum())) / load
    view = make_power_view(
        [1000.0, 1000.0],
        row=[LOW, HIGH],
        beta=1.0,
        alpha=0.0,
        cap_fraction=cap_fraction,
        others_w=rest_w,
        budget_w=budget_w,
        **parts,
    )
    policy = Polca(low_speed=0.9, lower_speed=0.8, high_speed=0.95)
    return policy.caps_now(JOBS, view, FLAT)[0].tolist()


def test_low_priority_goes_first():
    assert _polca(0.79) == [1.0, 1.0]
    assert _polca(0.81) == [0.9, 1.0]
    assert _polca(0.90) == [0.8, 1.0]
    # That is in force and was not enough: the others, too.
    assert _polca(0.90, [0.8, 1.0]) == [0.8, 0.95]
    # Not in force yet on all of them: wait.
    assert _polca(0.90, [0.9, 1.0]) == [0.8, 1.0]
    assert _polca(1.01) == [0.001, 0.001]


def test_steps_are_undone_below_their_threshold_by_the_hysteresis():
    assert _polca(0.76, [0.9, 1.0]) == [0.9, 1.0]
    assert _polca(0.74, [0.9, 1.0]) == [1.0, 1.0]
    assert _polca(0.85, [0.8, 1.0]) == [0.8, 1.0]
    assert _polca(0.83, [0.8, 1.0]) == [0.9, 1.0]
    assert _polca(0.85, [0.8, 0.95]) == [0.8, 0.95]
    assert _polca(0.83, [0.8, 0.95]) == [0.9, 1.0]


def test_a_brake_is_let_go_only_as_far_as_the_budget_bears():
    # At a crawl everything is far below the budget; without caps 3,000 W of 2,900 would be drawn.
    assert _polca(1002.0 / 2900.0, [0.001, 0.001]) == [0.8, 0.95]
    assert _polca(1002.0 / 4000.0, [0.001, 0.001]) == [1.0, 1.0]


@given(st.floats(0.2, 1.3), st.floats(0.05, 0.95))
def test_powers_that_stay_are_met_by_caps_that_stay(load, share):
    """With the same jobs and without latency caps settle within a few decisions, and do not swing."""
    peak_w, caps, seen = [1000.0 * share, 1000.0 * (1.0 - share)], [1.0, 1.0], []
    for _ in range(12):
        view = make_power_view(
            peak_w, row=[LOW, HIGH], alpha=0.3, cap_fraction=caps, others_w=500.0, budget_w=1500.0 / load
        )
        caps = Polca().caps_now(JOBS, view, FLAT)[0].tolist()
        seen.append(caps)
    assert seen[-1] == seen[-2] == seen[-3]


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("polca", {"first_threshold": 0.9}, "second_threshold"),
        ("polca", {"second_threshold": 1.1}, "second_threshold"),
        ("polca", {"hysteresis": 0.9}, "hysteresis"),
        ("polca", {"lower_speed": 0.95}, "lower_speed"),
        ("polca", {"high_speed": 0.0}, "high_speed"),
        ("polca", {"budget_w": -1.0}, "budget_w"),
        ("polca", {"high_priority_from": math.nan}, "high_priority_from"),
        ("straggler_scaling", {"margin": 0.0}, "margin"),
        ("straggler_scaling", {"recheck_s": 0.5}, "recheck_s"),
        ("carbon_cap", {"max_slowdown": 0.9}, "max_slowdown"),
        ("price_cap", {"window_s": 60.0}, "window_s"),
        ("least_energy_cap", {"overhead_w": -1.0}, "overhead_w"),
    ],
)
def test_what_makes_no_sense_is_refused(name, parameters, message):
    with pytest.raises(PolicyError, match=rf"{message}: .* -> expected"):
        make_policy("energy", name, parameters)
