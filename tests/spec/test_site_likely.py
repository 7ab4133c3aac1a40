"""Warnings about a site: limits that nobody keeps to, batteries without a signal, budgets that are none."""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.spec.likely import plausibility
from dcsim.spec.scenario import Scenario
from dcsim.spec.site_likely import site_doubts
from tests.simulation.halls import hall

BATTERY = {"battery": {"capacity_j": "10 kWh"}}
SUN = {"solar": {"rated_power_w": "10 kW", "latitude_deg": 40.0, "longitude_deg": 0.0, "clearness": 0.6}}
DAY_OF_PRICES = {"price": {"kind": "daily", "price_usd_per_j": ["0.1 USD/kWh"] * 12 + ["0.2 USD/kWh"] * 12}}


def event(**limits: float) -> dict[str, Any]:
    return {"demand_response": [{"start_s": 0.0, "duration_s": 60.0, **limits}]}


def site(energy: str = "none", battery: str = "idle", **parts: Any) -> Scenario:
    return hall(policies={"energy": energy, "battery": battery}, **parts)


@pytest.mark.parametrize(
    ("energy", "without"),
    [("none", 3), ("power_cap+sleep_idle", 3), ("power_cap+power_budget", 0), ("polca", 0)],
)
def test_a_budget_that_nobody_keeps_to(energy: str, without: int) -> None:
    tree = {"rack_budget_w": 4e3, "pdus": [{"name": "p", "racks": ["r"], "budget_w": 6e3}]}
    found = list(site_doubts(site(energy, power={"budget_w": 5e3, "tree": tree})))
    fields = ["power.budget_w", "power.tree.rack_budget_w", "power.tree.pdus.0.budget_w"]
    assert [said.split(":")[0] for said in found] == fields[:without]


@pytest.mark.parametrize(
    ("energy", "battery", "said"),
    [
        ("none", "idle", ["no energy policy keeps to it_limit_w", "no battery keeps to import_limit_w"]),
        ("none", "battery_stacked", ["no energy policy keeps to it_limit_w"]),
        ("demand_response", "peak_shaving", ["no battery keeps to import_limit_w"]),
        ("power_budget", "demand_response", []),
    ],
)
def test_an_event_that_nobody_follows(energy: str, battery: str, said: list[str]) -> None:
    found = list(
        site_doubts(site(energy, battery, onsite=BATTERY, grid=event(it_limit_w=3e3, import_limit_w=1e3)))
    )
    assert len(found) == len(said)
    assert all(part in doubt for part, doubt in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("battery", "parts", "said"),
    [
        ("battery_price", {}, "no effect under a constant price"),
        ("battery_price", {"grid": DAY_OF_PRICES}, ""),
        ("battery_carbon", {"grid": DAY_OF_PRICES}, "no effect under a constant carbon intensity"),
        ("battery_solar", {}, "no sun to store; give onsite.solar"),
        ("battery_solar", {"onsite": BATTERY | SUN}, ""),
        ("battery_price", {"onsite": BATTERY | SUN}, ""),
        ("battery_stacked", {}, ""),
    ],
)
def test_a_battery_with_nothing_to_go_by(battery: str, parts: dict[str, Any], said: str) -> None:
    found = list(site_doubts(site(battery=battery, **({"onsite": BATTERY} | parts))))
    assert [said in doubt for doubt in found] == ([True] if said else [])


PEAK_W = 2 * (900.0 + 4 * 450.0)


@pytest.mark.parametrize(
    ("power", "said"),
    [
        ({"budget_w": 99 * PEAK_W}, ""),
        ({"budget_w": 101 * PEAK_W}, "power.budget_w: 545.4 kW is far above the peak draw (5.4 kW)"),
        ({"stages": [{"name": "ups", "bypass_power_w": 0.9 * PEAK_W}]}, ""),
        ({"stages": [{"name": "ups", "bypass_power_w": 1.1 * PEAK_W}]}, "so nothing passes the stage"),
        (
            {"tree": {"rack_budget_w": 9e3, "rack_breaker_w": 8e3}},
            "rack_budget_w: 9 kW is above rack_breaker_w (8 kW)",
        ),
        ({"tree": {"rack_budget_w": 8e3, "rack_breaker_w": 8e3}}, ""),
        (
            {"tree": {"pdus": [{"name": "p", "racks": ["r"], "budget_w": 9e3, "rated_power_w": 8e3}]}},
            "pdus.0.budget_w: 9 kW is above its rated_power_w (8 kW)",
        ),
    ],
)
def test_budgets_and_by_passes_that_are_too_large(power: dict[str, Any], said: str) -> None:
    found = plausibility(site("power_budget", power=power), {})
    of_power = [doubt for doubt in found if doubt.startswith("power.")]
    assert [said in doubt for doubt in of_power] == ([True] if said else []), of_power


@pytest.mark.parametrize(
    ("parts", "field", "part"),
    [
        ({"power": {"cap_latency_s": "2 h"}}, "power.cap_latency_s", "ms given as s?"),
        ({"embodied": {"server_lifetime_s": "2 d"}}, "embodied.server_lifetime_s", "years meant?"),
        ({"embodied": {"accelerator_lifetime_s": "29 d"}}, "embodied.accelerator_lifetime_s", "years meant?"),
    ],
)
def test_times_out_of_the_usual(parts: dict[str, Any], field: str, part: str) -> None:
    found = [doubt for doubt in plausibility(hall(**parts)) if doubt.startswith(field)]
    assert len(found) == 1
    assert part in found[0]
