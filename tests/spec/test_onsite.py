"""Battery, sun, chain and power tree in a scenario: written as people do, read back the same, doubted where odd."""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.errors import ScenarioError
from dcsim.spec.likely import plausibility
from dcsim.spec.load import scenario_from_data, scenario_sha256, scenario_to_data

SAID: dict[str, Any] = {
    "name": "site",
    "cluster": {"racks": [{"name": "row", "count": 4, "servers": [{"count": 8}]}]},
    "power": {
        "stages": [
            {"name": "pdu", "level": "pdu", "loss_constant": 0.002, "heats_hall": True},
            {"name": "ups", "redundancy": "N+1", "modules": 4, "loss_constant": 0.012},
        ],
        "tree": {
            "rack_breaker_w": "20 kW",
            "pdus": [{"name": "p", "count": 2, "racks": ["row"], "rated_power_w": "50 kW"}],
        },
    },
    "onsite": {
        "battery": {"capacity_j": "1 MWh", "c_rate": 0.25, "highest_charge": "95 %"},
        "solar": {"rated_power_w": "500 kW", "latitude_deg": 50.0, "longitude_deg": 8.6, "clearness": 0.6},
        "export": "allow",
        "export_price_usd_per_j": "0.05 USD/kWh",
        "settlement_interval_s": "30 min",
    },
    "workload": {"kind": "trace", "path": "jobs.csv"},
}


def test_a_site_reads_back_as_it_was() -> None:
    scenario = scenario_from_data(SAID)
    again = scenario_from_data(scenario_to_data(scenario))
    assert again == scenario
    assert scenario_sha256(again) == scenario_sha256(scenario)
    assert scenario.onsite.battery is not None
    assert scenario.onsite.battery.capacity_j == 3.6e9
    assert scenario.onsite.settlement_interval_s == 1_800.0
    assert not [text for text in plausibility(scenario) if text.startswith(("onsite", "power.tree"))]


def test_a_named_chain_reads_back_too() -> None:
    scenario = scenario_from_data({**SAID, "power": {"chain": "380v_dc"}})
    assert scenario_from_data(scenario_to_data(scenario)) == scenario


@pytest.mark.parametrize(
    ("block", "field", "value", "path", "hint"),
    [
        ("battery", "capacity_j", 1_000, "onsite.battery.capacity_j", "kWh or MWh meant?"),
        ("solar", "rated_power_w", 500, "onsite.solar.rated_power_w", "kW or MW meant?"),
    ],
)
def test_plain_numbers_in_the_wrong_unit_are_doubted(
    block: str, field: str, value: float, path: str, hint: str
) -> None:
    onsite = {**SAID["onsite"], block: {**SAID["onsite"][block], field: value}}
    (text,) = [
        text
        for text in plausibility(scenario_from_data({**SAID, "onsite": onsite}))
        if text.startswith("onsite")
    ]
    assert text.startswith(path)
    assert hint in text


@pytest.mark.parametrize(
    ("block", "value", "path"),
    [
        ("battery", {"capacity_j": -5}, "onsite.battery.capacity_j"),
        ("battery", {"capacity_j": "1 MWh", "lowest_charge": "95 %"}, "onsite.battery"),
        ("solar", {"rated_power_w": "1 MW", "tilt_deg": 100}, "onsite.solar.tilt_deg"),
        ("solar", {"rated_power_w": "1 MWh"}, "onsite.solar.rated_power_w"),
        ("export", "sell", "onsite.export"),
        ("settlement_interval_s", "1 s", "onsite.settlement_interval_s"),
        ("settlement_interval_s", "2 h", "onsite.settlement_interval_s"),
    ],
)
def test_a_problem_is_told_with_its_place(block: str, value: object, path: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario_from_data({**SAID, "onsite": {**SAID["onsite"], block: value}})
    assert all(problem.path.startswith(path) for problem in caught.value.problems)
