"""The air-side plant: which of its coolers works when, its balances, and a year in other climates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.air_side import AirSidePlant, air_kg_per_s, outdoor_fraction
from dcsim.facility.cooling import carnot_cop
from dcsim.facility.cooling_plant import Outdoors, PlantLoad, PlantOutput
from dcsim.facility.movers import pump_w
from dcsim.facility.plant_build import build_cooling_plant
from dcsim.facility.psychrometrics import (
    enthalpy_j_per_kg,
    humidity_ratio_at_wet_bulb,
    saturated_humidity_ratio,
    saturation_pressure_pa,
    specific_heat_j_per_kg_k,
    wet_bulb_of_state_deg_c,
)
from dcsim.facility.sites import site_climate
from dcsim.spec.air_side import AirSideSpec, DirectCoolerSpec, IndirectCoolerSpec
from dcsim.spec.chilled_water import CurveChillerSpec, YorkTowerSpec
from dcsim.spec.cooling import CoolingSpec

Floats = npt.NDArray[np.float64]

HEAT_W = 1e6
SEA_LEVEL = 101_325.0
SUPPLY_DEG_C = 22.0


def _plant(**air_side: object) -> AirSidePlant:
    """A plant for 1 MW as a scenario would have it, with both coolers, chiller curves and York's tower."""
    blocks = {"indirect": IndirectCoolerSpec(), "highest_dry_bulb_deg_c": 27.0, **air_side}
    spec = CoolingSpec(
        plant="air_side",
        supply_temperature_deg_c=SUPPLY_DEG_C,
        chiller=CurveChillerSpec(),
        tower=YorkTowerSpec(),
        air_side=AirSideSpec.model_validate(blocks),
    )
    plant = build_cooling_plant(spec, HEAT_W)
    assert isinstance(plant, AirSidePlant)
    return plant


def _outdoors(dry: npt.ArrayLike, wet: npt.ArrayLike, pressure_pa: float = SEA_LEVEL) -> Outdoors:
    dry_bulb, wet_bulb = (np.atleast_1d(np.asarray(a, np.float64)) for a in (dry, wet))
    pressure = np.full(dry_bulb.shape, pressure_pa)
    return Outdoors(dry_bulb, wet_bulb, humidity_ratio_at_wet_bulb(dry_bulb, wet_bulb, pressure), pressure)


def _load(plant: AirSidePlant, hours: int, heat_w: float = HEAT_W, supply: float = SUPPLY_DEG_C) -> PlantLoad:
    hall = np.full(hours, heat_w)
    flow = plant.flow_for(hall)
    fan = plant.air_mover_w(hall, flow)
    return PlantLoad(hall + fan, hall / (hall + fan), np.full(hours, supply), flow)


def _run(plant: AirSidePlant, outdoors: Outdoors, heat_w: float = HEAT_W) -> PlantOutput:
    return plant.operate(_load(plant, len(outdoors.dry_bulb_deg_c), heat_w), outdoors)


def test_cold_air_alone_cools_the_hall() -> None:
    out = _run(_plant(), _outdoors([*np.linspace(-19.0, 21.0, 97)], [*np.linspace(-19.5, 12.0, 97)]))
    assert (out.free_fraction == 1.0).all()
    assert (out.power_w == 0.0).all()
    assert (out.water_l_per_s == 0.0).all()


def test_frost_below_the_limit_takes_return_air_and_the_dry_plate() -> None:
    out = _run(_plant(), _outdoors([-25.0], [-25.2]))
    assert out.free_fraction[0] == 1.0
    assert out.other_w[0] > 0.0  # its secondary fan
    assert out.water_l_per_s[0] == 0.0
    assert _run(_plant(indirect=None, direct=None), _outdoors([-25.0], [-25.2])).free_fraction[0] < 1e-12


def test_warm_dry_air_is_wetted_and_needs_no_chiller() -> None:
    """26 degC at a wet bulb of 15: media of 85 % reach 16.7 degC, below the supply."""
    out = _run(_plant(indirect=None), _outdoors([26.0], [15.0]))
    assert out.compressor_w[0] == 0.0
    assert out.free_fraction[0] == 1.0
    assert out.water_l_per_s[0] == pytest.approx(1.5 * out.evaporated_l_per_s[0])


def test_water_of_the_media_by_a_mass_balance() -> None:
    """Outdoor air comes to the supply temperature along its wet bulb: water = air times the gain in humidity."""
    plant = _plant(indirect=None)
    weather = _outdoors([26.0], [15.0])
    load = _load(plant, 1)
    out = plant.operate(load, weather)
    air = float(air_kg_per_s(plant.fan.flow_m3_per_s * load.flow_fraction[0], SEA_LEVEL))
    warmed = float(
        26.0
        + plant.air_mover_w(load.heat_w, load.flow_fraction)[0]
        / (air * specific_heat_j_per_kg_k(weather.humidity_ratio[0]))
    )
    wet = wet_bulb_of_state_deg_c(warmed, weather.humidity_ratio, SEA_LEVEL)
    gained = humidity_ratio_at_wet_bulb(SUPPLY_DEG_C, wet, SEA_LEVEL) - weather.humidity_ratio
    assert out.evaporated_l_per_s[0] == pytest.approx(float(air * gained[0]), rel=1e-6)


def test_humid_air_is_left_outside() -> None:
    """25 degC is within the limit of dry bulb, its dew point of 20 is not: all goes to the chilled water."""
    wet = float(wet_bulb_of_state_deg_c(25.0, saturated_humidity_ratio(20.0, SEA_LEVEL), SEA_LEVEL))
    out = _run(_plant(direct=None, indirect=None), _outdoors([25.0], [wet]))
    assert out.free_fraction[0] == pytest.approx(0.0, abs=1e-9)
    assert out.compressor_w[0] > 0.0


def test_air_warmer_than_the_return_stays_outside_whatever_the_limits() -> None:
    open_ended = _plant(direct=None, indirect=None, highest_dry_bulb_deg_c=45.0)
    weather = _outdoors([42.0], [16.0])
    assert (
        _run(open_ended, weather).compressor_w[0]
        == _run(_plant(direct=None, indirect=None), weather).compressor_w[0]
    )


def test_return_air_leaves_exactly_its_heat_in_the_chilled_water() -> None:
    """Without coolers, outdoor air locked out: rejected by the tower = heat + work, and the coil is dry."""
    plant = _plant(direct=None, indirect=None)
    load = _load(plant, 1)
    weather = _outdoors([40.0], [15.0])
    air = plant._air(plant.paths[0], load, weather)
    held = air.kg_per_s * (
        enthalpy_j_per_kg(air.entering_deg_c, air.humidity_ratio)
        - enthalpy_j_per_kg(air.supply_deg_c, air.humidity_ratio)
    )
    assert held[0] == pytest.approx(load.heat_w[0], rel=1e-12)
    assert plant.operate(load, weather).free_fraction[0] == pytest.approx(0.0, abs=1e-12)


def test_the_plate_saves_chiller_work() -> None:
    """A cool humid day: outdoor air may not enter, but cools return air through the plate."""
    wet = float(wet_bulb_of_state_deg_c(19.0, saturated_humidity_ratio(17.0, SEA_LEVEL), SEA_LEVEL))
    weather = _outdoors([19.0], [wet])
    bare, plate = _run(_plant(direct=None, indirect=None), weather), _run(_plant(direct=None), weather)
    assert plate.free_fraction[0] > 0.5
    assert plate.power_w[0] < bare.power_w[0]


def test_outdoor_fraction_by_hand() -> None:
    np.testing.assert_allclose(
        outdoor_fraction([-10.0, 10.0, 22.0, 30.0], 34.0, 22.0), [12.0 / 44.0, 0.5, 1.0, 1.0]
    )


def test_chilled_water_follows_the_supply_or_stays() -> None:
    weather = _outdoors([35.0], [25.0])
    plant = _plant()
    warm, cool = (plant.operate(_load(plant, 1, supply=s), weather).compressor_w[0] for s in (22.0, 18.0))
    assert warm < cool
    fixed = replace(plant, chilled_water_deg_c=7.0)
    assert fixed.operate(_load(fixed, 1), weather).compressor_w[0] > warm


def test_an_idle_tower_is_kept_from_freezing() -> None:
    out = _run(_plant(basin_heater_w_per_k=450.0), _outdoors([-5.5], [-6.0]))
    assert out.other_w[0] == pytest.approx(4_500.0)


hours = st.lists(st.tuples(st.floats(-40.0, 45.0), st.floats(0.03, 1.0)), min_size=1, max_size=8)


@given(
    hours,
    st.floats(7e4, 1.06e5),
    st.floats(0.0, 1.25e6),
    st.floats(14.0, 30.0),
    st.sampled_from(
        [None, DirectCoolerSpec(), DirectCoolerSpec(effectiveness=0.5, highest_wet_bulb_deg_c=18.0)]
    ),
    st.sampled_from([None, IndirectCoolerSpec(), IndirectCoolerSpec(wet_from_deg_c=10.0)]),
)
def test_energy_closes_and_nothing_is_negative(
    weather: list[tuple[float, float]],
    pressure: float,
    heat_w: float,
    supply: float,
    direct: DirectCoolerSpec | None,
    indirect: IndirectCoolerSpec | None,
) -> None:
    plant = _plant(direct=direct, indirect=indirect)
    dry = np.array([row[0] for row in weather])
    vapour = np.array([row[1] for row in weather]) * saturation_pressure_pa(dry)
    moist = 0.621945 * vapour / (pressure - vapour)
    outdoors = Outdoors(
        dry, wet_bulb_of_state_deg_c(dry, moist, pressure), moist, np.full(dry.shape, pressure)
    )
    load = _load(plant, len(dry), heat_w, supply)
    out = plant.operate(load, outdoors)
    work = out.compressor_w + out.pump_w + out.tower_fan_w + out.other_w
    np.testing.assert_allclose(out.rejected_w + out.reused_w, load.heat_w + work, rtol=1e-9)
    for values in (
        out.compressor_w, out.pump_w, out.tower_fan_w, out.other_w, out.rejected_w, out.reused_w, out.evaporated_l_per_s,
    ):  # fmt: skip
        assert (values >= 0.0).all()
    assert (out.water_l_per_s >= out.evaporated_l_per_s).all()
    assert ((out.free_fraction >= 0.0) & (out.free_fraction <= 1.0)).all()
    # The compressor lifts at least what did not leave by itself from the coil's water to the outdoor wet bulb.
    lifted = (1.0 - out.free_fraction) * load.heat_w
    best = carnot_cop(supply - plant.coil_approach_k, np.maximum(outdoors.wet_bulb_deg_c, 10.0))
    assert (out.compressor_w >= lifted / best * (1.0 - 1e-9)).all()


@given(st.floats(28.0, 45.0), st.floats(5.0, 24.0), st.floats(0.0, 4.0))
def test_higher_wet_bulbs_never_need_less_power(dry: float, wet: float, more: float) -> None:
    """Outdoor air locked out by its dry bulb and no coolers: chiller and tower alone, whose physics is monotone."""
    plant = _plant(direct=None, indirect=None)
    if wet + more > dry:
        return
    low, high = _run(plant, _outdoors([dry, dry], [wet, wet + more])).power_w
    assert high >= low * (1.0 - 1e-9)


def _year(site: str) -> Outdoors:
    climate = site_climate(site)
    vapour = climate.relative_humidity * saturation_pressure_pa(climate.dry_bulb_deg_c)
    moist = 0.621945 * vapour / (climate.pressure_pa - vapour)
    wet = wet_bulb_of_state_deg_c(climate.dry_bulb_deg_c, moist, climate.pressure_pa)
    return Outdoors(climate.dry_bulb_deg_c, wet, moist, climate.pressure_pa)


def _pue(plant: AirSidePlant, outdoors: Outdoors) -> tuple[float, float]:
    """Return annual PUE and WUE, L/kWh, at constant full load."""
    out = _run(plant, outdoors)
    fan = _load(plant, 1).heat_w[0] - HEAT_W
    kwh = HEAT_W / 1e3
    return 1.0 + float((out.power_w.mean() + fan) / HEAT_W), float(out.water_l_per_s.mean() * 3_600.0 / kwh)


def test_climates_rank_as_they_should() -> None:
    """The colder the wet bulb the less power, and each PUE is one that halls of this kind report."""
    plant = _plant()
    figures = {site: _pue(plant, _year(site)) for site in ("lulea", "dublin", "phoenix", "singapore")}
    pues = [pue for pue, _ in figures.values()]
    assert all(1.03 < pue < 1.6 for pue in pues)
    assert pues[0] <= pues[1] < pues[2] < pues[3]
    # Deserts evaporate while it saves work; the far north next to nothing. Orders of magnitude: how much depends on
    # how close the tower is run to the wet bulb.
    assert figures["lulea"][1] < 0.1
    assert figures["dublin"][1] < 0.3
    assert figures["phoenix"][1] > 0.8
    assert figures["singapore"][1] > 1.0


@pytest.mark.parametrize(
    ("block", "where"),
    [
        ({"lowest_dry_bulb_deg_c": 30.0}, "lowest_dry_bulb_deg_c"),
        ({"direct": {"effectiveness": 0.0}}, "effectiveness"),
        ({"direct": {"effectiveness": 1.5}}, "effectiveness"),
        ({"direct": {"cycles_of_concentration": 1.0}}, "cycles_of_concentration"),
        ({"indirect": {"secondary_flow_ratio": -1.0}}, "secondary_flow_ratio"),
        ({"highest_dew_point_deg_c": 59.0}, "highest_dew_point_deg_c"),
    ],
)
def test_what_no_plant_can_be_is_refused(block: dict[str, object], where: str) -> None:
    with pytest.raises(ValueError, match=where):
        AirSideSpec.model_validate(block)


def test_water_side_is_its_own_fixed_point() -> None:
    """The compressor's work is in the water that its condenser gets; pump heat is in the chiller's load."""
    side = _plant().water
    weather = _outdoors([35.0], [24.0])
    heat, leaving = np.array([9e5]), np.array([10.0])
    out = side.operate(heat, leaving, weather)
    chilled_pump = float(
        pump_w(heat[0] / (4180.0 * side.range_k * side.chilled_pump.flow_l_per_s), side.chilled_pump)
    )
    assert out.pump_w[0] == pytest.approx(chilled_pump + side.condenser_pump.full_w)
    rejected = heat + chilled_pump + out.compressor_w + side.condenser_pump.full_w
    tower = side.tower.reject(rejected, weather)
    again = side.chiller.power_w(heat + chilled_pump, leaving, tower.leaving_deg_c)
    assert out.compressor_w[0] == pytest.approx(float(again[0]), rel=1e-4)
    assert out.tower_fan_w[0] == pytest.approx(float(tower.fan_w[0]))
    assert out.water_l_per_s[0] == pytest.approx(float(tower.water_l_per_s[0]), rel=1e-9)


def test_a_water_side_without_load_rests_but_for_its_idle_pump() -> None:
    plant = _plant(idle_pump_fraction=0.1)
    out = plant.water.operate(np.zeros(1), np.array([10.0]), _outdoors([15.0], [10.0]))
    assert out.pump_w[0] == pytest.approx(0.1 * plant.water.condenser_pump.full_w)
    assert out.compressor_w[0] == out.tower_fan_w[0] == out.water_l_per_s[0] == 0.0
