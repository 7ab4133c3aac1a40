"""Cooling plants: balances, the second law and bounds on random plants, weather and loads; cases by hand."""

from __future__ import annotations

import math
import time
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.chilled_water import ChilledWaterPlant
from dcsim.facility.cooling import carnot_cop
from dcsim.facility.cooling_plant import CoolingPlant, Outdoors, PlantLoad, PlantOutput
from dcsim.facility.hybrid_cooling import HybridPlant
from dcsim.facility.liquid_cooling import LiquidPlant
from dcsim.facility.plant_build import DESIGN_OUTDOORS, build_cooling_plant, design_power_w
from dcsim.policies.cooling import WeatherReset
from dcsim.spec.cooling import CoolingSpec

KWH = 3.6e6
PEAK_W = 1e6
ROWS = 12
SHARES = st.just(0.0) | st.floats(1e-9, 1.0)


def outdoors(dry, wet) -> Outdoors:
    dry, wet = np.broadcast_arrays(np.asarray(dry, float), np.asarray(wet, float))
    shape = dry.shape
    return Outdoors(dry, wet, np.full(shape, 0.008), np.full(shape, 101_325.0))


def load(heat, supply=24.0, it_fraction=1.0) -> PlantLoad:
    heat = np.atleast_1d(np.asarray(heat, float))
    return PlantLoad(
        heat, np.full_like(heat, it_fraction), np.full_like(heat, supply), np.full_like(heat, 1.0)
    )


@st.composite
def specs(draw: st.DrawFn, plants=("crac", "chilled_water", "air_side", "liquid", "hybrid")) -> CoolingSpec:
    plant = draw(st.sampled_from(plants))
    share = draw(st.floats(0.05, 0.95))
    some = st.sampled_from(("crac", "chilled_water", "air_side", "liquid"))
    liquid = {
        "captured_fraction": draw(st.floats(0.05, 1.0)),
        "air": draw(st.sampled_from(("crac", "chilled_water", "air_side"))),
        "water_class": draw(st.sampled_from(("W17", "W27", "W32", "W40", "W45"))),
        "rise_k": draw(st.floats(2.0, 20.0)),
        "cdu_effectiveness": draw(st.floats(0.4, 0.95)),
        "facility_flow_ratio": draw(st.floats(0.5, 3.0)),
        "cooler": draw(st.sampled_from(("dry", "tower"))),
        "cooler_approach_k": draw(st.floats(1.0, 15.0)),
    }
    reuse = {
        "fraction": draw(st.floats(0.0, 1.0)),
        "temperature_deg_c": draw(st.none() | st.floats(0.0, 60.0)),
    }
    return CoolingSpec(
        plant=plant,
        hybrid=(
            {"plant": draw(some), "heat_fraction": share},
            {"plant": draw(some), "heat_fraction": 1.0 - share},
        ),
        liquid=liquid,
        supply_temperature_deg_c=draw(st.floats(12.0, 40.0)),
        approach_k=draw(st.floats(4.0, 20.0)),
        tower_approach_k=draw(st.floats(1.0, 12.0)),
        condenser_lift_k=draw(st.floats(0.0, 12.0)),
        carnot_fraction=draw(st.floats(0.2, 1.0)),
        cop_max=draw(st.floats(4.0, 30.0)),
        pump_fraction=draw(st.floats(0.0, 0.1)),
        fan_fraction=draw(st.floats(0.0, 0.2)),
        chiller={"kind": draw(st.sampled_from(("carnot", "curves")))},
        tower={"kind": draw(st.sampled_from(("approach", "approach", "york")))},
        water_side_economiser=draw(st.booleans()),
        heat_reuse=draw(st.none() | st.just(reuse)),
    )


@st.composite
def weathers(draw: st.DrawFn, rows: int = ROWS) -> Outdoors:
    wet = np.array(draw(st.lists(st.floats(-25.0, 32.0), min_size=rows, max_size=rows)))
    depression = np.array(draw(st.lists(st.floats(0.0, 20.0), min_size=rows, max_size=rows)))
    return outdoors(wet + depression, wet)


@st.composite
def loads(draw: st.DrawFn, rows: int = ROWS) -> PlantLoad:
    numbers = st.lists(st.floats(0.0, 1.0), min_size=rows, max_size=rows)
    heat = PEAK_W * np.array(draw(numbers))
    supply = 10.0 + 35.0 * np.array(draw(numbers))
    return PlantLoad(heat, np.array(draw(numbers)), supply, 0.4 + 0.6 * np.array(draw(numbers)))


def columns(output: PlantOutput) -> dict[str, np.ndarray]:
    return {field.name: getattr(output, field.name) for field in fields(output)}


@given(specs(), weathers(), loads())
def test_what_comes_in_goes_out_and_nothing_is_negative(
    spec: CoolingSpec, weather: Outdoors, wanted: PlantLoad
) -> None:
    plant = build_cooling_plant(spec, PEAK_W)
    output = plant.operate(wanted, weather)
    work = output.compressor_w + output.pump_w + output.tower_fan_w + output.other_w
    np.testing.assert_allclose(
        output.rejected_w + output.reused_w, wanted.heat_w + work, rtol=1e-9, atol=1e-9 * PEAK_W
    )
    np.testing.assert_array_equal(output.power_w, work)
    for name, values in columns(output).items():
        assert values.shape == wanted.heat_w.shape, name
        assert np.all(np.isfinite(values)), name
        # Heat that is all reused leaves a rejection of 0 to rounding.
        assert np.all(values >= -1e-12 * PEAK_W if name == "rejected_w" else values >= 0.0), name
    assert np.all(output.free_fraction <= 1.0)
    assert np.all(output.water_l_per_s >= output.evaporated_l_per_s)


@given(specs(), weathers(), loads(), st.floats(0.05, 1.0))
def test_pue_is_never_below_one(
    spec: CoolingSpec, weather: Outdoors, wanted: PlantLoad, share: float
) -> None:
    plant = build_cooling_plant(spec, PEAK_W)
    it_w = share * np.maximum(wanted.heat_w, 1.0)
    movers = plant.air_mover_w(it_w, plant.flow_for(it_w))
    total = it_w + movers + plant.operate(replace(wanted, heat_w=it_w + movers), weather).power_w
    assert np.all(total / it_w >= 1.0)
    assert np.all((plant.flow_for(it_w) > 0.0) & (plant.flow_for(it_w) <= 1.0))


@given(specs(), weathers(), loads())
def test_intervals_do_not_know_of_each_other(spec: CoolingSpec, weather: Outdoors, wanted: PlantLoad) -> None:
    """Vectorised is row by row, and equal calls give equal results."""
    plant = build_cooling_plant(spec, PEAK_W)
    together = columns(plant.operate(wanted, weather))
    again = columns(plant.operate(wanted, weather))
    row = {"heat_w", "it_fraction", "supply_deg_c", "flow_fraction"}
    one = PlantLoad(**{name: getattr(wanted, name)[3:4] for name in row})
    alone = columns(plant.operate(one, Outdoors(*(getattr(weather, f.name)[3:4] for f in fields(weather)))))
    for name, values in together.items():
        np.testing.assert_array_equal(values, again[name])
        np.testing.assert_allclose(values[3:4], alone[name], rtol=1e-9, atol=1e-12)


@given(specs(("chilled_water",)), weathers(), loads())
def test_no_chiller_beats_carnot_between_its_waters(
    spec: CoolingSpec, weather: Outdoors, wanted: PlantLoad
) -> None:
    """Even a perfect machine that had the wet bulb itself for a condenser would need this work."""
    output = build_cooling_plant(spec, PEAK_W).operate(wanted, weather)
    through = wanted.heat_w * (1.0 - output.free_fraction)
    least = through / carnot_cop(wanted.supply_deg_c - spec.approach_k, weather.wet_bulb_deg_c)
    assert np.all(output.compressor_w >= least * (1.0 - 1e-9))


@given(specs(("liquid",)), weathers(), st.lists(SHARES, min_size=ROWS, max_size=ROWS))
def test_the_second_law_in_the_liquid_loop(spec: CoolingSpec, weather: Outdoors, shares: list[float]) -> None:
    plant = build_cooling_plant(spec.model_copy(update={"heat_reuse": None}), PEAK_W)
    assert isinstance(plant, LiquidPlant)
    loop = plant.loop
    heat = np.array(shares) * loop.peak_heat_w
    state = loop.state(heat)
    # No heat flows from cold to hot, at either end of the CDU.
    assert np.all(state.liquid_return_deg_c >= state.facility_return_deg_c - 1e-9)
    assert np.all(state.liquid_supply_deg_c >= state.facility_supply_deg_c - 1e-9)
    assert np.all(state.facility_supply_deg_c <= loop.class_limit_deg_c)
    # Both sides carry the heat: the effectiveness of the exchange follows from the temperatures.
    rate = loop.peak_heat_w / loop.rise_k * state.flow
    for name in ("liquid", "facility"):
        span = getattr(state, f"{name}_return_deg_c") - getattr(state, f"{name}_supply_deg_c")
        carried = rate * span * (loop.flow_ratio if name == "facility" else 1.0)
        np.testing.assert_allclose(carried, heat, rtol=1e-9, atol=1e-6 * PEAK_W)
    largest = min(1.0, loop.flow_ratio) * rate * (state.liquid_return_deg_c - state.facility_supply_deg_c)
    assert np.all(heat <= largest * (1.0 + 1e-9) + 1e-6)
    # Water that the cooler alone makes is never colder than outdoors.
    output = loop.operate(heat, weather)
    sink = weather.wet_bulb_deg_c if loop.evaporates else weather.dry_bulb_deg_c
    span = state.facility_return_deg_c - state.facility_supply_deg_c
    reached = state.facility_return_deg_c - output.free_fraction * span
    cooled = (output.free_fraction > 0.0) & (heat > 0.0)
    assert np.all(reached[cooled] >= sink[cooled] - 1e-9)
    # And the trim chiller is no better than Carnot's between facility water and outdoors.
    least = heat * (1.0 - output.free_fraction) / carnot_cop(state.facility_supply_deg_c, sink)
    assert np.all(output.compressor_w >= least * (1.0 - 1e-9))


@given(st.floats(10.0, 45.0), st.floats(-40.0, 60.0))
def test_moores_cop_is_below_carnot_wherever_it_may_be_used(supply: float, dry: float) -> None:
    plant = build_cooling_plant(CoolingSpec(plant="crac"), PEAK_W)
    output = plant.operate(load(PEAK_W, supply), outdoors([dry], [dry - 1.0]))
    assert PEAK_W / output.compressor_w[0] < float(carnot_cop(supply, dry))


@given(
    specs(("chilled_water",)).filter(
        lambda spec: spec.tower.kind == "approach" and spec.chiller.kind == "carnot"
    ),
    st.lists(st.floats(-30.0, 34.0), min_size=2, max_size=20),
    st.floats(10.0, 45.0),
)
def test_warmer_weather_never_takes_less_power(spec: CoolingSpec, wets: list[float], supply: float) -> None:
    """A theorem for a tower of fixed approach and a fixed fraction of Carnot's."""
    wet = np.sort(np.array(wets))
    plant = build_cooling_plant(spec.model_copy(update={"heat_reuse": None}), PEAK_W)
    power = plant.operate(load(np.full_like(wet, 8e5), supply), outdoors(wet + 3.0, wet)).power_w
    assert np.all(np.diff(power) >= -1e-9 * PEAK_W)


@given(
    specs(("crac", "chilled_water")).filter(
        lambda spec: spec.tower.kind == "approach" and spec.chiller.kind == "carnot"
    ),
    st.lists(st.floats(10.0, 45.0), min_size=2, max_size=20),
    st.floats(-30.0, 34.0),
)
def test_warmer_supply_never_takes_more_power(spec: CoolingSpec, supplies: list[float], wet: float) -> None:
    supply = np.sort(np.array(supplies))
    plant = build_cooling_plant(spec.model_copy(update={"heat_reuse": None}), PEAK_W)
    wanted = replace(load(np.full_like(supply, 8e5)), supply_deg_c=supply)
    power = plant.operate(
        wanted, outdoors(np.full_like(supply, wet + 3.0), np.full_like(supply, wet))
    ).power_w
    assert np.all(np.diff(power) <= 1e-9 * PEAK_W)


@given(
    specs(("crac", "chilled_water", "hybrid")).filter(
        lambda spec: (
            spec.tower.kind == "approach"
            and spec.chiller.kind == "carnot"
            and all(part.plant in {"crac", "chilled_water"} for part in spec.hybrid)
        )
    ),
    weathers(2),
)
def test_twice_the_heat_takes_twice_the_power_in_linear_plants(spec: CoolingSpec, weather: Outdoors) -> None:
    plant = build_cooling_plant(spec.model_copy(update={"heat_reuse": None}), PEAK_W)
    one, two = (plant.operate(load([heat, heat], 20.0), weather) for heat in (4e5, 8e5))
    np.testing.assert_allclose(two.power_w, 2.0 * one.power_w, rtol=1e-9)
    np.testing.assert_allclose(two.water_l_per_s, 2.0 * one.water_l_per_s, rtol=1e-9)


@pytest.mark.parametrize("name", ["crac", "chilled_water", "air_side", "liquid"])
def test_a_hybrid_of_one_plant_is_that_plant(name: str) -> None:
    spec = CoolingSpec(plant=name)
    whole = build_cooling_plant(spec, PEAK_W)
    weather, wanted = outdoors([30.0, 5.0], [20.0, 3.0]), load([3e5, 9e5])
    hybrid = HybridPlant(whole.capacity_w, ((1.0, whole),))
    for field, values in columns(hybrid.operate(wanted, weather)).items():
        np.testing.assert_allclose(values, columns(whole.operate(wanted, weather))[field], rtol=1e-12)
    halves = CoolingSpec(plant="hybrid", hybrid=[{"plant": name, "heat_fraction": 0.5}] * 2)
    two = build_cooling_plant(halves, PEAK_W)
    assert two.capacity_w == pytest.approx(whole.capacity_w)
    np.testing.assert_allclose(
        two.operate(wanted, weather).power_w, whole.operate(wanted, weather).power_w, rtol=1e-12
    )
    flow = np.array([0.7, 1.0])
    np.testing.assert_allclose(two.air_mover_w(wanted.heat_w, flow), whole.air_mover_w(wanted.heat_w, flow))
    np.testing.assert_allclose(two.flow_for(wanted.heat_w), whole.flow_for(wanted.heat_w))


@given(weathers(), st.lists(SHARES, min_size=ROWS, max_size=ROWS))
def test_water_of_a_tower_is_the_same_asked_alone(weather: Outdoors, shares: list[float]) -> None:
    plant = build_cooling_plant(CoolingSpec(tower={"kind": "york"}), PEAK_W)
    assert isinstance(plant, ChilledWaterPlant)
    heat = np.array(shares) * PEAK_W
    alone, whole = plant.tower.leaving_deg_c(heat, weather), plant.tower.reject(heat, weather)
    np.testing.assert_allclose(alone, whole.leaving_deg_c, rtol=1e-12, atol=1e-9)
    assert np.all(alone >= weather.wet_bulb_deg_c)


def test_a_towers_fan_slows_down_by_default_where_its_set_point_is_reached() -> None:
    """At 40 % load in the tropics it comes within 3 K of the wet bulb; within 0 K no tower comes."""
    warm = outdoors([30.0], [25.5])
    fans = [
        float(build_cooling_plant(CoolingSpec(tower=tower), PEAK_W).operate(load(0.4 * PEAK_W), warm).tower_fan_w[0])
        for tower in ({"kind": "york", "follows_wet_bulb_k": 0.0}, {"kind": "york"})
    ]  # fmt: skip
    assert fans[0] == pytest.approx(0.0105 * PEAK_W, rel=0.3)
    assert 0.0 < fans[1] < 0.7 * fans[0]


def test_chilled_water_by_hand() -> None:
    """Wet bulb 20: condenser 24, condensing 29, chilled 12; Carnot 285.15/17 = 16.77, half 8.39."""
    plant = build_cooling_plant(CoolingSpec(), PEAK_W)
    output = plant.operate(load([1e5, 1e5, 1e5]), outdoors([25.0] * 3, [20.0, 8.0, 7.0]))
    np.testing.assert_allclose(output.compressor_w, [1e5 / (0.5 * 285.15 / 17.0), 0.0, 0.0])
    np.testing.assert_allclose(output.pump_w, 0.02 * 1e5)
    np.testing.assert_allclose(output.free_fraction, [0.0, 1.0, 1.0], atol=1e-12)
    # Half way through the range of 5.56 K the economiser takes half.
    half = plant.operate(load(1e5), outdoors([20.0], [8.0 + 2.78]))
    assert float(half.free_fraction[0]) == pytest.approx(0.5)


@pytest.mark.parametrize(("cycles", "published"), [(5.0, 1.85), (20.0, 1.48 * 20 / 19)])
def test_water_per_kwh_rejected(cycles: float, published: float) -> None:
    """1.48 L evaporated for each kWh, 1.85 L with the blow-down of five cycles of concentration."""
    for name in ("chilled_water", "liquid"):
        spec = CoolingSpec(plant=name, cycles_of_concentration=cycles, liquid={"cooler_fan_fraction": 0.0})
        output = build_cooling_plant(spec, PEAK_W).operate(load(9e5), outdoors([28.0], [22.0]))
        assert float(output.evaporated_l_per_s[0] / output.rejected_w[0]) * KWH == pytest.approx(
            1.48, abs=0.005
        )
        assert float(output.water_l_per_s[0] / output.rejected_w[0]) * KWH == pytest.approx(
            published, abs=0.006
        )


def test_crac_and_dry_cooler_use_no_water() -> None:
    weather = outdoors([35.0], [22.0])
    assert (
        build_cooling_plant(CoolingSpec(plant="crac"), PEAK_W).operate(load(1e5), weather).water_l_per_s
        == 0.0
    )
    dry = CoolingSpec(plant="liquid", liquid={"captured_fraction": 1.0, "cooler": "dry", "air": "crac"})
    output = build_cooling_plant(dry, PEAK_W).operate(load(5e5), weather)
    assert (output.water_l_per_s[0], output.evaporated_l_per_s[0]) == (0.0, 0.0)


def test_warm_water_needs_no_chiller_in_most_weather() -> None:
    """W32 on a tower with 4 K of approach: free up to a wet bulb of 28 degC; on W17 to 13 degC (ASHRAE TC 9.9)."""
    for name, limit in (("W17", 17.0), ("W27", 27.0), ("W32", 32.0), ("W40", 40.0), ("W45", 45.0)):
        spec = CoolingSpec(
            plant="liquid", fan_fraction=0.0, liquid={"captured_fraction": 1.0, "water_class": name}
        )
        plant = build_cooling_plant(spec, PEAK_W)
        wet = limit - 4.0
        just, over = plant.operate(
            load([PEAK_W, PEAK_W]), outdoors([wet + 3.0] * 2, [wet - 1e-6, wet + 0.5])
        ).compressor_w
        assert just == pytest.approx(0.0, abs=1e-6 * PEAK_W)
        assert over > 0.0
        # All of a warmer class's weather: no chiller, and fans that slow down.
        cold = plant.operate(load(PEAK_W), outdoors([5.0], [2.0]))
        assert cold.compressor_w[0] == 0.0
        assert cold.tower_fan_w[0] < 0.5 * 0.015 * PEAK_W


def test_a_machine_like_frontier_has_a_pue_of_three_to_six_per_cent() -> None:
    """Warm water of 32 degC from towers, all heat on the liquid: ORNL publishes 1.03 for Frontier's year."""
    spec = CoolingSpec(
        plant="liquid",
        fan_fraction=0.0,
        liquid={"captured_fraction": 0.95, "water_class": "W32", "least_flow": 1.0},
    )
    plant = build_cooling_plant(spec, PEAK_W)
    hours = np.arange(8_760)
    wet = 11.0 + 10.0 * np.cos(2 * np.pi * (hours / 8_760 - 0.55)) + 3.0 * np.cos(2 * np.pi * hours / 24)
    heat = np.full(8_760, 0.75 * PEAK_W)
    output = plant.operate(load(heat, 27.0), outdoors(wet + 4.0, wet))
    pue = 1.0 + float(output.power_w.sum() / heat.sum())
    assert 1.03 < pue < 1.06


def test_reused_heat_needs_no_tower() -> None:
    weather, wanted = outdoors([30.0], [22.0]), load(8e5)
    plain = CoolingSpec(
        plant="liquid", liquid={"captured_fraction": 1.0, "water_class": "W45"}, fan_fraction=0.0
    )
    user = plain.model_copy(update={"heat_reuse": CoolingSpec(heat_reuse={"fraction": 0.6}).heat_reuse})
    without = build_cooling_plant(plain, PEAK_W).operate(wanted, weather)
    with_user = build_cooling_plant(user, PEAK_W).operate(wanted, weather)
    assert float(with_user.reused_w[0]) == pytest.approx(0.6 * 8e5)
    assert float(with_user.rejected_w[0]) < float(without.rejected_w[0])
    assert float(with_user.water_l_per_s[0] / without.water_l_per_s[0]) == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(("wanted_deg_c", "fraction"), [(54.0, 0.5), (56.0, 0.0)])
def test_heat_that_is_too_cold_is_not_reused(wanted_deg_c: float, fraction: float) -> None:
    """W45 and 10 K over the CDU's facility side: facility water returns at 55 degC at peak."""
    spec = CoolingSpec(
        plant="liquid",
        fan_fraction=0.0,
        liquid={"captured_fraction": 1.0, "water_class": "W45"},
        heat_reuse={"fraction": 0.5, "temperature_deg_c": wanted_deg_c},
    )
    output = build_cooling_plant(spec, PEAK_W).operate(load(PEAK_W), outdoors([20.0], [15.0]))
    assert float(output.reused_w[0]) == pytest.approx(fraction * PEAK_W)


def test_only_heat_of_it_goes_into_the_liquid() -> None:
    spec = CoolingSpec(plant="liquid", liquid={"captured_fraction": 1.0, "air": "crac"})
    plant = build_cooling_plant(spec, PEAK_W, peak_it_w=9e5)
    weather = outdoors([10.0], [8.0])
    none = plant.operate(load(1e5, 20.0, it_fraction=0.0), weather)
    assert float(none.compressor_w[0]) == pytest.approx(1e5 / 3.194)
    half = plant.operate(load(1e5, 20.0, it_fraction=0.5), weather)
    assert float(half.compressor_w[0]) == pytest.approx(5e4 / 3.194)
    assert float(half.free_fraction[0]) == pytest.approx(0.5)


def test_what_the_scenario_leaves_open_is_sized() -> None:
    plant = build_cooling_plant(CoolingSpec(), 1.05e6, peak_it_w=1e6)
    assert plant.capacity_w == pytest.approx(1.25 * 1.09e6)
    full = np.ones(1)
    assert float(plant.air_mover_w(np.array([1.05e6]), full)[0]) == pytest.approx(4e4)
    assert float(plant.flow_for(np.array([1.05e6]))[0]) == 1.0
    assert float(plant.flow_for(np.array([0.0]))[0]) == 0.4
    # Design wet bulb 30: condensing 39, chilled 12.
    heat = 1.09e6
    expected = 4e4 + heat * (1.0 / (0.5 * 285.15 / 27.0) + 0.02)
    assert design_power_w(plant, 1.05e6, 24.0) == pytest.approx(expected)
    assert build_cooling_plant(CoolingSpec(capacity_w=5e5), 1e6).capacity_w == 5e5


def test_design_weather_is_one_that_can_be() -> None:
    from dcsim.facility.psychrometrics import humidity_ratio_at_wet_bulb

    weather = DESIGN_OUTDOORS
    ratio = humidity_ratio_at_wet_bulb(weather.dry_bulb_deg_c, weather.wet_bulb_deg_c, weather.pressure_pa)
    np.testing.assert_allclose(weather.humidity_ratio, ratio, rtol=0.01)


@pytest.mark.parametrize("name", ["crac", "chilled_water", "air_side", "liquid"])
def test_a_hall_without_heat(name: str) -> None:
    plant = build_cooling_plant(CoolingSpec(plant=name), 0.0)
    output = plant.operate(load(0.0), outdoors([20.0], [15.0]))
    assert float(output.power_w[0]) == 0.0
    assert all(np.all(np.isfinite(values)) for values in columns(output).values())


@pytest.mark.parametrize(
    ("heat", "it"), [(-1.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1.0, 2.0), (1.0, -1.0)]
)
def test_peaks_that_are_none_are_refused(heat: float, it: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= IT"):
        build_cooling_plant(CoolingSpec(), heat, peak_it_w=it)


@pytest.mark.parametrize("name", ["crac", "chilled_water", "liquid"])
def test_a_year_of_hours_takes_milliseconds(name: str) -> None:
    plant: CoolingPlant = build_cooling_plant(CoolingSpec(plant=name), PEAK_W)
    wet = np.linspace(-10.0, 25.0, 8_760)
    wanted, weather = load(np.full(8_760, 7e5)), outdoors(wet + 5.0, wet)
    begin = time.process_time()
    for _ in range(5):
        plant.operate(wanted, weather)
    assert (time.process_time() - begin) / 5 < 0.05


def test_cool_air_costs_nothing_while_it_is_free() -> None:
    """The supply that `weather_reset` takes by default, wet bulb + 16 K, against 27 degC all year."""
    plant = build_cooling_plant(CoolingSpec(), PEAK_W)
    wet = np.linspace(-20.0, 30.0, 501)
    supply = np.interp(wet, WeatherReset().wet_bulbs_deg_c, WeatherReset().supplies_deg_c)
    weather, warm = outdoors(wet + 5.0, wet), load(np.full(501, 7e5), 27.0)
    reset = replace(warm, supply_deg_c=supply)
    np.testing.assert_allclose(
        plant.operate(reset, weather).power_w, plant.operate(warm, weather).power_w, rtol=1e-9
    )
    assert float(supply.mean()) < 24.0
