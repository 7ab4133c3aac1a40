"""The registry finds policies by name, and refuses what it cannot use."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from dcsim.errors import PolicyError
from dcsim.policies import known_policies, load_plugins, make_policy, register, registry
from dcsim.policies.placement import FirstFit

KINDS = {
    "ordering": [
        "allox",
        "conservative_backfill",
        "drf",
        "earliest_deadline",
        "easy_backfill",
        "elastic",
        "elastic_equal",
        "fair_share",
        "fifo",
        "fifo_as_published",
        "fifo_perf",
        "finish_time_fairness",
        "finish_time_fairness_perf",
        "gittins",
        "least_attained_service",
        "max_min_fairness",
        "max_min_fairness_perf",
        "max_sum_throughput",
        "min_makespan",
        "priority",
        "shortest_first",
        "shortest_remaining",
        "smallest_first",
        "tiresias",
    ],
    "placement": [
        "awake_first",
        "best_fit",
        "best_fit_vector",
        "consolidated",
        "coolest_inlet",
        "dot_prod",
        "fastest_first",
        "fgd",
        "first_fit",
        "gpu_clustering",
        "gpu_packing",
        "least_contended",
        "min_hr",
        "rack_local",
        "random",
        "spread",
        "topology_aware",
        "worst_fit",
        "xint",
    ],
    "energy": [
        "bounded_slowdown_cap",
        "carbon_cap",
        "carbon_scale",
        "carbon_shift",
        "carbon_suspend",
        "demand_response",
        "energy_optimal_cap",
        "least_energy_cap",
        "none",
        "polca",
        "power_budget",
        "power_budget_priority",
        "power_budget_uniform",
        "power_cap",
        "price_cap",
        "price_shift",
        "price_suspend",
        "sleep_forecast",
        "sleep_idle",
        "straggler_scaling",
    ],
    "cooling": ["fixed", "flow_by_load", "highest_supply", "least_power", "weather_reset"],
    "battery": [
        "battery_carbon",
        "battery_price",
        "battery_solar",
        "battery_stacked",
        "demand_response",
        "idle",
        "peak_shaving",
    ],
    "routing": ["cheapest", "cleanest", "follow_the_sun", "home", "least_cost", "load_balance"],
}


@pytest.fixture
def own_registry(monkeypatch):
    copies = {kind: dict(classes) for kind, classes in registry._REGISTRY.items()}
    monkeypatch.setattr(registry, "_REGISTRY", copies)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_built_in(kind):
    assert sorted(known_policies(kind)) == KINDS[kind]
    for name, policy in known_policies(kind).items():
        assert make_policy(kind, name).name == name
        assert policy.__doc__
        assert policy.optimises
        assert policy.source


def test_the_registry_cannot_be_written():
    with pytest.raises(TypeError):
        known_policies("energy")["mine"] = FirstFit  # type: ignore[index]


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(PolicyError, match=r"'first_fitt' -> expected one of .* did you mean 'first_fit'"):
        make_policy("placement", "first_fitt")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cap": 0.5}, "unknown parameter -> expected a parameter of power_cap: cap_fraction"),
        ({"cap_fraction": "half"}, "expected a number"),
        ({"cap_fraction": True}, "expected a number"),
        ({"cap_fraction": 0.0}, "fraction in"),
        ({"cap_fraction": 1.5}, "fraction in"),
        ({"cap_fraction": float("nan")}, "fraction in"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(PolicyError, match=message):
        make_policy("energy", "power_cap", parameters)


@pytest.mark.parametrize("after_s", [-1.0, 0.0, float("nan"), float("inf")])
def test_sleep_after_no_time_is_refused(after_s):
    with pytest.raises(PolicyError, match="finite duration"):
        make_policy("energy", "sleep_idle", {"after_s": after_s})


def test_a_policy_of_ones_own(own_registry):
    class Mine(FirstFit):
        name = "mine"

    assert register(Mine) is Mine
    assert register(Mine) is Mine
    assert isinstance(make_policy("placement", "mine"), Mine)


def test_a_name_is_given_once(own_registry):
    class Mine(FirstFit):
        """Keeps the name of its base."""

    with pytest.raises(PolicyError, match=r"already registered by dcsim\.policies\.placement"):
        register(Mine)


@pytest.mark.parametrize("thing", [int, type("Nameless", (), {})])
def test_what_is_no_policy_is_refused(own_registry, thing):
    with pytest.raises(PolicyError, match="expected a named subclass"):
        register(thing)


class Plugged(FirstFit):
    """Comes from another package."""

    name = "plugged"


def test_plug_ins_are_loaded_in_the_order_of_their_names(own_registry, monkeypatch):
    points = [EntryPoint("plugged", f"{__name__}:Plugged", "dcsim.policies")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "dcsim.policies" else [])
    assert load_plugins() == ("plugged",)
    assert "plugged" in known_policies("placement")


@pytest.mark.parametrize("skip", [-1, 2.5, float("nan"), float("inf")])
def test_a_skip_that_is_no_number_of_jobs_is_refused(skip: float) -> None:
    with pytest.raises(PolicyError, match="whole number >= 0"):
        make_policy("ordering", "fifo", {"skip": skip})
