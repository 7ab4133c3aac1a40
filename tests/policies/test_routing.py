"""Routers: which site each takes, in time, home among equals, and what they refuse."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import PolicyError
from dcsim.policies import known_policies, make_policy
from dcsim.policies.registry import POLICY_KINDS, ROUTING
from dcsim.policies.routing import RoutedJob, ScoringRouter, SiteOption, SitesView

PLAIN = SiteOption(
    site=0,
    name="s",
    is_home=False,
    arrival_s=100.0,
    start_s=100.0,
    run_s=1_000.0,
    total_accelerators=10,
    free_accelerators=10.0,
    it_energy_j=1e6,
    pue=1.2,
    carbon_kg=1.0,
    energy_cost_usd=1.0,
    pue_now=1.2,
    carbon_now_kg_per_j=1e-7,
    price_now_usd_per_j=3e-8,
    transfer_bytes=0.0,
    transfer_s=0.0,
    transfer_energy_j=0.0,
    transfer_carbon_kg=0.0,
    transfer_cost_usd=0.0,
)
AWAY = [name for name in sorted(known_policies(ROUTING)) if name != "home"]


def view(*options, slack_s=0.0, deadline_s=math.nan):
    """Sites in this order; the first is home."""
    numbered = tuple(
        PLAIN._replace(site=i, name=f"s{i}", is_home=i == 0)._replace(**said)
        for i, said in enumerate(options)
    )
    job = RoutedJob(0, 100.0, 4, slack_s, deadline_s, 0)
    return SitesView(100.0, job, numbered, lambda site: pytest.fail("not asked"))


def router(name, parameters=None) -> ScoringRouter:
    """A router by name; `home` has no score, and is not asked for one."""
    return cast("ScoringRouter", make_policy(ROUTING, name, parameters))


def chosen(name, *options, parameters=None, **job):
    return router(name, parameters).choose(view(*options, **job))


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("cleanest", {"carbon_now_kg_per_j": 0.9e-7}),
        ("cleanest", {"pue_now": 1.1}),
        ("cheapest", {"energy_cost_usd": 0.9}),
        ("least_cost", {"energy_cost_usd": 0.9}),
        ("least_cost", {"carbon_kg": 0.9}),
        ("follow_the_sun", {"carbon_kg": 0.9}),
        ("load_balance", {"free_accelerators": 10.5}),
    ],
)
def test_each_goes_where_its_figure_is_better(name, better):
    assert chosen(name, {}, better) == 1
    assert chosen(name, better, {}) == 0


@pytest.mark.parametrize(
    ("name", "saved", "spent"),
    [
        ("cheapest", {"energy_cost_usd": 0.9}, {"transfer_cost_usd": 0.2}),
        ("least_cost", {"carbon_kg": 0.9}, {"transfer_carbon_kg": 0.2}),
        ("least_cost", {"carbon_kg": 0.9}, {"transfer_cost_usd": 0.02}),
        ("follow_the_sun", {"carbon_kg": 0.9}, {"transfer_carbon_kg": 0.2}),
    ],
)
def test_a_transfer_that_costs_more_than_it_saves_is_not_made(name, saved, spent):
    assert chosen(name, {}, saved) == 1
    assert chosen(name, {}, saved | spent) == 0


@pytest.mark.parametrize("name", AWAY)
def test_among_equals_a_job_stays_at_home(name):
    # Home is not the first option here.
    options = view({}, {}).options
    swapped = tuple(option._replace(is_home=not option.is_home) for option in options)
    assert router(name).choose(view({}, {})) == 0
    assert router(name).choose(view({}, {})._replace(options=swapped)) == 1


@pytest.mark.parametrize("name", [name for name in AWAY if name != "load_balance"])
def test_nobody_is_sent_where_it_would_start_too_late(name):
    much_better = {"carbon_kg": 0.1, "energy_cost_usd": 0.1, "carbon_now_kg_per_j": 1e-9, "start_s": 160.5}
    assert chosen(name, {}, much_better) == 0
    assert chosen(name, {}, much_better, slack_s=0.5) == 1
    assert chosen(name, {}, much_better, parameters={"max_delay_s": 60.5}) == 1
    assert chosen(name, {}, much_better, slack_s=1e4, deadline_s=1_160.0) == 0
    # A queue at home is left by whoever may not wait that long.
    assert chosen(name, {"start_s": 110.0}, much_better) == 1
    assert chosen(name, {"start_s": 300.0} | {"carbon_kg": 0.0, "carbon_now_kg_per_j": 0.0}, {}) == 1


@pytest.mark.parametrize("name", AWAY)
def test_where_no_site_is_in_time_the_job_goes_where_it_ends_first(name):
    assert chosen(name, {"start_s": 500.0}, {"start_s": 400.0}, {"start_s": 450.0}, deadline_s=1.0) == 1


def test_home_stays_whatever_it_costs_and_goes_only_where_there_is_no_home():
    assert chosen("home", {"start_s": 1e6, "carbon_kg": 9.0}, {}) == 0
    away = view({}, {"start_s": 300.0}, {"start_s": 200.0})
    assert router("home").choose(away._replace(options=away.options[1:])) == 2


def test_load_is_balanced_by_waiting_first_and_the_transfer_is_no_waiting():
    waiting = {"start_s": 130.0, "arrival_s": 100.0}
    moving = {"start_s": 130.0, "arrival_s": 130.0}
    assert chosen("load_balance", waiting, moving) == 1
    assert chosen("load_balance", waiting, waiting | {"free_accelerators": 11.0}) == 1


@pytest.mark.parametrize(
    ("name", "parameters", "part"),
    [
        ("cleanest", {"max_delay_s": -1.0}, "max_delay_s: -1.0"),
        ("follow_the_sun", {"max_delay_s": math.inf}, "expected a finite duration"),
        ("least_cost", {"carbon_price_usd_per_kg": -0.1}, "carbon_price_usd_per_kg: -0.1"),
        ("home", {"max_delay_s": 1.0}, "an unknown parameter"),
    ],
)
def test_parameters_out_of_range_are_refused(name, parameters, part):
    with pytest.raises(PolicyError, match=part.replace(".", r"\.")):
        make_policy(ROUTING, name, parameters)


def test_routing_is_no_policy_of_a_hall():
    assert ROUTING not in POLICY_KINDS
    assert sorted(known_policies(ROUTING)) == [
        "cheapest", "cleanest", "follow_the_sun", "home", "least_cost", "load_balance"
    ]  # fmt: skip


OPTION = st.fixed_dictionaries(
    {
        "start_s": st.floats(100.0, 1e4),
        "carbon_kg": st.floats(0.0, 10.0),
        "energy_cost_usd": st.floats(-1.0, 10.0),
        "carbon_now_kg_per_j": st.floats(0.0, 1e-6),
        "free_accelerators": st.floats(0.0, 10.0),
        "transfer_carbon_kg": st.floats(0.0, 1.0),
        "transfer_cost_usd": st.floats(0.0, 1.0),
    }
)


@given(st.sampled_from(AWAY), st.lists(OPTION, min_size=1, max_size=5), st.floats(0.0, 1e4))
def test_a_choice_is_an_option_in_time_and_the_least_of_those(name, options, slack_s):
    policy, seen = router(name), view(*options, slack_s=slack_s)
    site = policy.choose(seen)
    latest_s = min(option["start_s"] for option in options) + slack_s + 60.0
    timely = [i for i, option in enumerate(options) if option["start_s"] <= latest_s]
    assert site in timely
    scores = np.array([policy.score(option) for option in seen.options])
    assert scores[site] <= scores[timely].min() + 1e-9 * np.abs(scores[timely]).max()
