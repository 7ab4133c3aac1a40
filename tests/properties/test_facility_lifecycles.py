"""Random jobs in random facilities, every plant, tariff, battery, room and energy policy among them: what always holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.policies import known_policies
from dcsim.results.schema import ATTRIBUTED, SERIES, TIMES
from dcsim.simulation import simulate
from dcsim.simulation.gangs import gangs_of
from dcsim.spec.grid import ConstantCarbonSpec
from dcsim.spec.policy import PolicyChoice
from dcsim.spec.scenario import Scenario
from dcsim.testing import strategies as dst
from dcsim.testing.whole_run import scenario_of

COMBINED = (
    "power_cap+sleep_idle",
    "carbon_cap+sleep_forecast",
    "power_budget+carbon_shift",
    "demand_response+sleep_idle+least_energy_cap",
    "polca+price_suspend",
)
AWAKE = {"sleep_idle.after_s": 3.0, "sleep_forecast.after_s": 3.0}
SPENT = ("productive", "checkpoint", "restore", "redone", "stalled", "waiting")
TABLES = ("jobs", "events", "series", "links", "tiers")


def _energy(draw: Any) -> dict[str, Any]:
    """Draw an energy policy, or several, that put servers to sleep soon."""
    name = draw(st.sampled_from(sorted(known_policies("energy"))) | st.sampled_from(COMBINED))
    parts = name.split("+")
    given_to = {key: value for key, value in AWAKE.items() if key.partition(".")[0] in parts}
    if len(parts) == 1:
        given_to = {key.partition(".")[2]: value for key, value in given_to.items()}
    return {"name": name, "parameters": given_to}


@st.composite
def runs(draw: st.DrawFn, *, room: bool | None = None) -> tuple[Any, dict[str, Any]]:
    """Draw (scenario, arguments of simulate)."""
    cluster = draw(dst.clusters(max_servers=4, cpu_servers=True))
    jobs = draw(dst.job_tables(cluster, max_jobs=6, max_slack_s=30, profiles=("drawn",), rules=True))
    warm = draw(dst.warm_clusters(cluster))
    parts = draw(dst.sites(warm, room=room))
    needs_air = {
        name for name, policy in known_policies("placement").items() if getattr(policy, "knows_heat", False)
    }
    placements = sorted(set(known_policies("placement")) - (needs_air if room is False else set()))
    parts["policies"] |= {
        "ordering": draw(
            st.sampled_from(("fifo", "shortest_first", "priority", "tiresias", "elastic_equal"))
        ),
        "placement": draw(st.sampled_from(placements)),
        "energy": _energy(draw),
    }
    scenario = scenario_of(warm, horizon_s=draw(st.sampled_from((None, None, 7_000.0, 100_000.0))), **parts)
    return scenario, {"jobs": jobs, "profiles": draw(dst.loaded_profiles())}


@settings(max_examples=60)
@given(runs())
def test_every_facility_keeps_its_books(drawn):
    """The guards stay silent, with them and without there are the same bytes, and every sum closes to 1e-9."""
    scenario, arguments = drawn
    result, other = (simulate(scenario, guards=guards, **arguments) for guards in (True, False))
    _same_bytes(result, other)
    assert max(result.balances.values()) <= 1e-9
    assert {"heat", "plant_heat", "facility_energy", "site_power", "job_energy"} <= set(result.balances)
    _energy_parts_add_up(result)
    _heat_and_water_are_physical(scenario, result)
    _what_is_attributed_adds_up(result)
    _time_adds_up(result, arguments["jobs"])
    if scenario.horizon_s is None and len(arguments["jobs"]):
        assert _end_s(result) == result.jobs["end_s"].max()  # whoever wants to be asked later on


def _end_s(result: Any) -> float:
    series = result.series
    return float(series["time_s"][-1] + series["duration_s"][-1]) if len(series["time_s"]) else 0.0


def _same_bytes(one: Any, other: Any) -> None:
    for name in TABLES:
        first, second = getattr(one, name), getattr(other, name)
        for column in first:
            same = first[column].tobytes() == second[column].tobytes()
            assert same or first[column].tolist() == second[column].tolist(), (name, column)
    for part in ("summary", "account", "balances", "warnings", "provenance"):
        assert repr(getattr(one, part)) == repr(getattr(other, part)), part


def _close(value: float, other: float, scale: float = 0.0) -> None:
    assert abs(value - other) <= 1e-9 * max(abs(value), abs(other), abs(scale), 1e-12)


def _energy_parts_add_up(result: Any) -> None:
    """20, 25, 27, 28: parts are the whole, PUE is no less than 1, and what goes into the site comes out of it."""
    row = result.account
    cooling = ("air_mover", "compressor", "pump", "tower_fan", "other_cooling")
    energies = [row[f"energy_{part}_j"] for part in ("it", *cooling, "loss", "auxiliary")]
    assert min(energies) >= 0.0
    _close(math.fsum(energies), row["energy_facility_j"])
    _close(math.fsum(energies[1:6]), row["energy_cooling_j"], row["energy_facility_j"])
    if row["energy_it_j"] > 0.0:
        assert min(row["pue"], row["ppue_cooling"], row["ppue_power"]) >= 1.0
        assert row["ere"] <= row["pue"]
    into = row["energy_import_j"] + row["energy_solar_j"] + row["energy_discharged_j"]
    out = (
        row["energy_facility_j"]
        + row["energy_charged_j"]
        + row["energy_export_j"]
        + row["energy_curtailed_j"]
    )
    _close(into, out)
    # A battery gives no more than it was given and held.
    assert (
        row["energy_discharged_j"] + row["energy_stored_change_j"]
        <= row["energy_charged_j"] * (1 + 1e-9) + 1e-6
    )
    bill = ("energy", "demand", "fixed", "wear")
    parts = [row[f"cost_{part}_usd"] for part in bill]
    _close(math.fsum([*parts, -row["export_credit_usd"]]), row["cost_usd"], max(map(abs, parts)))
    assert row["peak_import_w"] <= row["peak_facility_w"] * (1 + 1e-9) or row["energy_charged_j"] > 0.0
    series = result.series
    width = series["duration_s"]
    for rate, total in (
        ("cost_usd_per_s", "cost_usd"),
        ("carbon_kg_per_s", "carbon_kg"),
        ("water_l_per_s", "water_l"),
    ):
        kept = width > 0.0
        told = (series[rate] * width)[kept].tolist()
        _close(math.fsum(told), row[total], math.fsum(map(abs, told)))


def _heat_and_water_are_physical(scenario: Any, result: Any) -> None:
    row, series = result.account, result.series
    assert 0.0 <= row["evaporated_l"] <= row["water_l"] * (1 + 1e-12)
    assert row["heat_removed_j"] >= 0.0
    assert 0.0 <= row["heat_reused_j"] <= (row["heat_reused_j"] + row["heat_rejected_j"]) * (1 + 1e-12)
    assert 0.0 <= row["free_cooling_fraction"] <= 1.0 + 1e-12
    some = series["duration_s"] > 0.0
    supply, hall = series["supply_temperature_deg_c"][some], series["hall_temperature_deg_c"][some]
    low, high = scenario.cooling.supply_bounds_deg_c
    assert (supply >= low - 1e-9).all()
    assert (supply <= high + 1e-9).all()
    fixed = scenario.policies.cooling.name == "fixed"
    # Air that has been through the hall is no colder than what it was supplied with, unless that has just warmed up.
    assert (hall >= (supply if fixed else low) - 1e-6).all()
    if scenario.room is not None:
        assert (series["hottest_inlet_deg_c"][some] >= supply - 1e-6).all()
        assert row["hottest_inlet_deg_c"] >= low - 1e-9
    assert (series["wet_bulb_deg_c"][some] <= series["dry_bulb_deg_c"][some] + 1e-6).all()


def _what_is_attributed_adds_up(result: Any) -> None:
    """22: jobs' parts and nobody's part are the meter."""
    row = result.account
    for column, total in zip(
        ATTRIBUTED, ("energy_facility_j", "carbon_kg", "cost_usd", "water_l"), strict=True
    ):
        of_jobs = result.jobs[column.name].tolist()
        assert np.isfinite(of_jobs).all()
        _close(
            math.fsum([*of_jobs, row[f"unattributed_{column.name}"]]),
            row[total],
            max(map(abs, of_jobs), default=0.0),
        )


def _time_adds_up(result: Any, table: Any) -> None:
    """32, with caps that come and go: held = productive + ..., and a job's own seconds are named once."""
    jobs, events = result.jobs, result.events
    done = np.isfinite(jobs["jct_s"])
    own_s = np.sum([jobs[column.name] for column in TIMES], axis=0)
    np.testing.assert_allclose(own_s[done], jobs["jct_s"][done], rtol=1e-9, atol=1e-9)
    gangs = gangs_of(events)
    end_s = _end_s(result)
    until_s = np.where(gangs.release_row >= 0, events["time_s"][gangs.release_row], end_s)
    job = events["job"][gangs.row]
    held = (until_s - events["time_s"][gangs.row]) * gangs.width * table.accelerator_share[job]
    granted = np.bincount(job, weights=held, minlength=len(own_s))
    spent = np.sum([jobs[f"{name}_accelerator_s"] for name in SPENT], axis=0)
    np.testing.assert_allclose(spent, granted, rtol=1e-9, atol=1e-6)


@settings(max_examples=15)
@given(runs(room=False))
def test_what_stands_around_the_servers_changes_no_job(drawn):
    """Plant, battery, panels, tariff and power chain act on nothing in a hall whose air does not mix.

    Policies that look at grid, budgets or ratings see them: these are left out here.
    """
    scenario, arguments = drawn
    asleep = PolicyChoice(name="sleep_idle", parameters={"after_s": 3.0})
    kept = _with(scenario, policies=scenario.policies.model_copy(update={"energy": asleep}))
    facility = ("cooling", "weather", "grid", "onsite", "power")
    default = {name: Scenario.model_fields[name].get_default(call_default_factory=True) for name in facility}
    without = {"energy": asleep, "cooling": PolicyChoice(name="fixed"), "battery": PolicyChoice(name="idle")}
    plain = _with(scenario, policies=scenario.policies.model_copy(update=without), **default)
    one, two = (simulate(each, guards=True, **arguments) for each in (kept, plain))
    due = {column.name for column in ATTRIBUTED}
    for name in one.jobs:
        if name not in due:
            assert one.jobs[name].tolist() == two.jobs[name].tolist() or _equal(
                one.jobs[name], two.jobs[name]
            ), name
    assert one.account["energy_it_j"] == two.account["energy_it_j"]


def _with(scenario: Scenario, **parts: Any) -> Scenario:
    return scenario.model_copy(update=parts)


def _equal(one: Any, other: Any) -> bool:
    return bool(one.tobytes() == other.tobytes())


@settings(max_examples=15)
@given(runs(), st.integers(-3, 3))
def test_carbon_is_as_the_intensity_of_the_grid(drawn, power):
    """29, 30: times 2^k it is 2^k times as much, to the bit, and 0 is 0; nobody who does not look at it is told."""
    scenario, arguments = drawn
    blind = {"energy": PolicyChoice(name="power_budget")}
    if scenario.policies.battery.name in {"battery_carbon", "battery_stacked"}:
        blind["battery"] = PolicyChoice(name="peak_shaving")
    policies = scenario.policies.model_copy(update=blind)

    def under(intensity: float) -> Any:
        carbon = ConstantCarbonSpec(intensity_kg_per_j=intensity)
        grid = scenario.grid.model_copy(update={"carbon": carbon})
        return simulate(_with(scenario, grid=grid, policies=policies), guards=True, **arguments)

    factor = 2.0**power
    one, scaled, clean = (under(part * 2.0**-24) for part in (1.0, factor, 0.0))
    assert scaled.account["carbon_kg"] == one.account["carbon_kg"] * factor
    assert (scaled.jobs["carbon_kg"] == one.jobs["carbon_kg"] * factor).all()
    assert clean.account["carbon_kg"] == 0.0
    assert (clean.jobs["carbon_kg"] == 0.0).all()
    for other in (scaled, clean):
        assert all(_equal(one.events[name], other.events[name]) for name in one.events)
        assert other.account["cost_usd"] == one.account["cost_usd"]


def test_series_name_what_the_books_are_checked_with():
    assert {"cost_usd_per_s", "carbon_kg_per_s", "water_l_per_s"} <= {column.name for column in SERIES}


@pytest.mark.deep
@settings(max_examples=500)
@given(runs())
def test_larger_facilities_keep_their_books(drawn):
    test_every_facility_keeps_its_books.hypothesis.inner_test(drawn)  # type: ignore[attr-defined]
