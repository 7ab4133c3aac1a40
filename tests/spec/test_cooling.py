"""The cooling of a scenario: old scenarios stay valid, and what cannot be built is refused with its cure."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest

from dcsim.errors import ScenarioError
from dcsim.spec import plausibility, referenced_files, scenario_from_data
from dcsim.spec.cooling import ENVELOPES, CoolingSpec
from dcsim.spec.cooling_likely import cooling_doubts
from tests.spec.examples import SMALL


def problems(cooling: dict[str, Any]) -> str:
    with pytest.raises(ScenarioError) as caught:
        scenario_from_data({**copy.deepcopy(SMALL), "cooling": cooling})
    return str(caught.value)


@pytest.mark.parametrize(
    "cooling",
    [
        {},
        {"plant": "crac"},
        {"plant": "crac", "approach_k": 10.0, "cycles_of_concentration": 4.0},
        {"plant": "chilled_water", "supply_temperature_deg_c": "75 degF", "capacity_w": "2 MW"},
        {"supply_temperature_deg_c": 35.0},
        {"plant": "liquid"},
        {"plant": "liquid", "liquid": {"captured_fraction": "80 %", "water_class": "W40", "air": "crac"}},
        {
            "plant": "hybrid",
            "hybrid": [{"plant": "liquid", "heat_fraction": 0.7}, {"plant": "crac", "heat_fraction": 0.3}],
        },
        {"chiller": {"kind": "curves"}, "tower": {"kind": "york"}},
        {"plant": "fmu", "fmu": {"path": "plant.fmu"}},
    ],
)
def test_valid(cooling: dict[str, Any]) -> None:
    scenario = scenario_from_data({**copy.deepcopy(SMALL), "cooling": cooling})
    assert scenario.cooling.plant == cooling.get("plant", "chilled_water")


@pytest.mark.parametrize(
    ("cooling", "said"),
    [
        ({"plant": "cold"}, "cooling.plant: 'cold' -> expected one of crac, chilled_water, air_side, liquid"),
        ({"plant": "hybrid"}, "cooling.hybrid: missing -> expected the parts of the plant"),
        (
            {"plant": "hybrid", "hybrid": [{"plant": "crac", "heat_fraction": 0.5}]},
            "cooling.hybrid: parts of 0.5 in all -> expected heat fractions that add up to 1",
        ),
        ({"plant": "fmu"}, "cooling.fmu: missing -> expected a mapping with the `path` of the FMU"),
        (
            {"lowest_supply_deg_c": 26.0},
            "cooling.lowest_supply_deg_c: 26 degC -> expected at most the set point, 24 degC",
        ),
        (
            {"highest_supply_deg_c": 20.0},
            "cooling.highest_supply_deg_c: 20 degC -> expected at least the set point",
        ),
        ({"liquid": {"water_class": "W99"}}, "cooling.liquid.water_class: 'W99' -> expected one of W17"),
        ({"liquid": {"cdu_effectiveness": 1.2}}, "cooling.liquid.cdu_effectiveness: 1.2 -> expected"),
        (
            {"liquid": {"supply_deg_c": 6.0, "rise_k": 20.0, "cdu_effectiveness": 0.5}},
            "cooling.liquid: facility water of -14 degC -> expected at least 2 degC",
        ),
        ({"chiller": {"kind": "magic"}}, "cooling.chiller.kind: 'magic' -> expected one of carnot, curves"),
        ({"heat_reuse": {"fraction": 1.5}}, "cooling.heat_reuse.fraction: 150 % -> expected a fraction"),
        ({"supply_ramp_k_per_s": 0.0}, "cooling.supply_ramp_k_per_s: 0.0 -> expected a number > 0"),
    ],
)
def test_refused(cooling: dict[str, Any], said: str) -> None:
    assert said in problems(cooling)


def test_envelopes_hold_each_other() -> None:
    """Recommended in A1 in A2 in A3 in A4 (ASHRAE TC 9.9)."""
    order = [ENVELOPES[name] for name in ("recommended", "A1", "A2", "A3", "A4")]
    for inner, outer in itertools.pairwise(order):
        assert outer.low_deg_c <= inner.low_deg_c < inner.high_deg_c <= outer.high_deg_c
        assert inner.dew_point_deg_c <= outer.dew_point_deg_c


def test_bounds_of_the_supply() -> None:
    assert CoolingSpec().supply_bounds_deg_c == (18.0, 27.0)
    assert CoolingSpec(envelope="A4").supply_bounds_deg_c == (10.0, 45.0)
    assert CoolingSpec(supply_temperature_deg_c=12.0).supply_bounds_deg_c == (12.0, 27.0)
    assert CoolingSpec(lowest_supply_deg_c=20.0, highest_supply_deg_c=30.0).supply_bounds_deg_c == (
        20.0,
        30.0,
    )
    assert CoolingSpec(envelope="A2").highest_inlet_deg_c == 35.0


@pytest.mark.parametrize(
    ("cooling", "said"),
    [
        ({"liquid": {"rise_k": 8.0}}, "cooling.liquid: has no effect"),
        ({"plant": "crac", "fmu": {"path": "plant.fmu"}}, "cooling.fmu: has no effect, as plant is crac"),
        ({"plant": "crac", "tower_approach_k": 5.0}, "cooling.tower_approach_k: has no effect"),
        (
            {"plant": "liquid", "liquid": {"air": "crac"}, "chiller": {"kind": "curves"}},
            "cooling.chiller: has no effect",
        ),
        ({"supply_temperature_deg_c": 30.0}, "30 degC is outside ASHRAE's recommended range, 18 to 27 degC"),
        ({"supply_temperature_deg_c": 18.0, "approach_k": 18.0}, "chilled water of 0 degC may freeze"),
        ({"plant": "crac", "heat_reuse": {"fraction": 0.5, "temperature_deg_c": 40.0}}, "nothing is reused"),
    ],
)
def test_doubts(cooling: dict[str, Any], said: str) -> None:
    scenario = scenario_from_data({**copy.deepcopy(SMALL), "cooling": cooling})
    assert any(said in line for line in plausibility(scenario)), plausibility(scenario)


@pytest.mark.parametrize(
    "cooling",
    [
        {},
        {"plant": "liquid", "liquid": {"air": "chilled_water"}, "approach_k": 10.0},
        {"plant": "hybrid", "hybrid": [{"plant": "liquid", "heat_fraction": 1.0}], "liquid": {"rise_k": 8.0}},
    ],
)
def test_no_doubts(cooling: dict[str, Any]) -> None:
    scenario = scenario_from_data({**copy.deepcopy(SMALL), "cooling": cooling})
    assert not list(cooling_doubts(scenario))


@pytest.mark.parametrize(("plant", "policy", "doubted"), [
    ("crac", "weather_reset", True),
    ("crac", "least_power", True),
    ("crac", "flow_by_load", False),
    ("chilled_water", "weather_reset", False),
])  # fmt: skip
def test_policies_that_go_by_free_cooling(plant: str, policy: str, doubted: bool) -> None:  # noqa: FBT001
    said = {"cooling": {"plant": plant}, "policies": {"cooling": policy}}
    found = list(cooling_doubts(scenario_from_data({**copy.deepcopy(SMALL), **said})))
    assert ["goes by the wet bulb" in line for line in found] == [True] * doubted


def test_fans_and_hot_devices_need_a_room() -> None:
    said = copy.deepcopy(SMALL)
    server = said["cluster"]["racks"][0]["servers"][0]
    server |= {"fans": {"power_w": 50.0, "full_power_w": 300.0}, "thermal": {"resistance_k_per_w": 0.1}}
    fans, thermal = cooling_doubts(scenario_from_data(said))
    assert fans.startswith("cluster.racks.0.servers.0.fans: has no effect without a room")
    assert thermal.startswith("cluster.racks.0.servers.0.thermal: has no effect without a room")
    assert not list(cooling_doubts(scenario_from_data({**said, "room": {}})))


def test_an_fmu_is_a_file_of_the_scenario() -> None:
    about = {"plant": "fmu", "fmu": {"path": "unit/plant.fmu"}}
    scenario = scenario_from_data({**copy.deepcopy(SMALL), "cooling": about})
    assert (("cooling", "fmu", "path"), "unit/plant.fmu") in list(referenced_files(scenario))
