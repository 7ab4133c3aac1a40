"""The meter: hand-computed cases, an independent quadrature, and the balances on random facilities."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import GuardError
from dcsim.facility.cooling_plant import PlantLoad
from dcsim.facility.meter import Meter, MeterResult
from dcsim.facility.power import chain_input_w, chain_losses_w
from dcsim.results.schema import SERIES
from dcsim.spec.scenario import Scenario

Floats = np.ndarray
HOUR = 3600.0

# Nothing but IT: no fans, pumps, losses; chiller never runs below 8 degC wet bulb.
IDEAL = {
    "power": {"stages": []},
    "cooling": {"fan_fraction": 0.0, "pump_fraction": 0.0},
    "weather": {"kind": "constant", "dry_bulb_deg_c": 0.0},
}


def scenario(parts: Mapping[str, object] = {}) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "s",
            "cluster": {"racks": [{"name": "r", "servers": [{}]}]},
            "workload": {"kind": "trace", "path": "jobs.csv"},
            **parts,
        }
    )


def meter(parts: Mapping[str, object] = {}, peak_it_w: float = 1e6, idle_it_w: float = 2e5) -> Meter:
    return Meter(scenario(parts), peak_it_w, idle_it_w, Path())


def run(of: Meter, times: object, power: object, end_s: float, edges: object = None) -> MeterResult:
    edges_s = None if edges is None else np.asarray(edges, dtype=np.float64)
    return of.run(np.asarray(times, dtype=np.float64), np.asarray(power, dtype=np.float64), end_s, edges_s)


def test_an_ideal_facility_draws_what_it_computes() -> None:
    """100 kW for 1 h, 300 kW for 2 h: 700 kWh; at 400 g/kWh 280 kg, at 0.10 USD/kWh 70 USD."""
    result = run(meter(IDEAL), [0.0, HOUR], [1e5, 3e5], 3 * HOUR)
    assert result.energy_it_j == result.energy_facility_j == 700 * 3.6e6
    assert result.carbon_kg == pytest.approx(280.0, rel=1e-12)
    assert result.cost_usd == pytest.approx(70.0, rel=1e-12)
    assert result.energy_cooling_j == result.energy_loss_j == result.energy_auxiliary_j == 0.0
    assert result.peak_facility_w == 3e5
    assert result.warnings == ()
    # All heat is rejected by evaporation in an all-year tower: 1.85 L/kWh of heat removed.
    assert result.water_l == pytest.approx(1.852 * result.heat_removed_j / 3.6e6, rel=1e-3)


def test_a_facility_in_equilibrium_by_hand() -> None:
    """Constant IT at the idle power: every stage at its steady value, PUE as facility_power_w says."""
    facility = meter({"weather": {"kind": "constant", "dry_bulb_deg_c": 30.0}}, idle_it_w=5e5)
    result = run(facility, [0.0], [5e5], 1_000.0)
    assert result.energy_facility_j == pytest.approx(facility.facility_power_w(0.0, 5e5) * 1_000.0, rel=1e-12)
    assert result.heat_in_j == pytest.approx(result.heat_removed_j, rel=1e-12)
    assert abs(result.heat_stored_j) <= 1e-9 * result.heat_in_j
    assert result.peak_facility_w == pytest.approx(facility.facility_power_w(0.0, 5e5), rel=1e-12)


def test_crac_cooling_by_hand() -> None:
    """1 MW steady at 20 degC supply, COP 3.194, no losses: 1 / 3.194 MW of compressor."""
    parts = IDEAL | {"cooling": {"plant": "crac", "supply_temperature_deg_c": 20.0, "fan_fraction": 0.0}}
    result = run(meter(parts, idle_it_w=1e6), [0.0], [1e6], HOUR)
    assert result.energy_cooling_j == pytest.approx(1e6 * HOUR / 3.194, rel=1e-12)
    assert result.water_l == 0.0


def test_the_hall_warms_as_the_closed_form_says() -> None:
    """A step from 200 kW at 40 % flow to 1 MW at full flow: the air was at supply + R 200 kW / 0.4, so q starts
    at 500 kW and has a time constant of 900 s; bin means are exact."""
    result = run(meter(IDEAL), [0.0], [1e6], 1_800.0, [0.0, 900.0, 1_800.0])
    resistance = 12.0 / 1e6
    mean = 1e6 + (5e5 - 1e6) * (1.0 - np.exp(-1.0))
    later = 1e6 + (5e5 - 1e6) * np.exp(-1.0) * (1.0 - np.exp(-1.0))
    assert result.bins["hall_temperature_deg_c"] == pytest.approx(
        [24.0 + resistance * mean, 24.0 + resistance * later]
    )
    stored = 900.0 * (1e6 - 5e5) * (1.0 - np.exp(-2.0))
    assert result.heat_stored_j == pytest.approx(stored, rel=1e-12)
    assert result.heat_in_j == 1e6 * 1_800.0
    assert result.heat_removed_j == pytest.approx(result.heat_in_j - stored, rel=1e-12)


def test_auxiliary_load_is_carried_by_the_meter_only() -> None:
    lit = run(meter({"power": {"auxiliary_power_w": 5e3}}), [0.0], [5e5], HOUR)
    dark = run(meter(), [0.0], [5e5], HOUR)
    assert lit.energy_auxiliary_j == 5e3 * HOUR
    assert lit.energy_facility_j - dark.energy_facility_j == pytest.approx(5e3 * HOUR, rel=1e-9)


def test_heat_above_capacity_warms_the_hall() -> None:
    """q passes 800 kW on its way from 500 kW to 1 MW at 900 ln(5/2) = 824.7 s; then air warms by 200 kW / C."""
    parts = IDEAL | {"cooling": {"fan_fraction": 0.0, "pump_fraction": 0.0, "capacity_w": 8e5}}
    result = run(meter(parts), [0.0], [1e6], HOUR)
    over_s = HOUR - 900.0 * np.log(5.0 / 2.0)
    assert result.seconds_above_capacity == pytest.approx(over_s, rel=1e-12)
    heat_capacity = 900.0 / (12.0 / 1e6)
    at_limit = 24.0 + 12.0 / 1e6 * 8e5
    assert result.peak_hall_deg_c == pytest.approx(at_limit + 2e5 * over_s / heat_capacity, rel=1e-12)
    assert result.heat_removed_j <= 8e5 * HOUR
    assert result.balances["heat"] <= 1e-12
    assert "more heat than the capacity of 800000 W for 2775 s" in result.warnings[0]


def test_an_overloaded_stage_is_told() -> None:
    parts = {"power": {"stages": [{"name": "ups", "rated_power_w": 4e5, "loss_linear": 0.05}]}}
    result = run(meter(parts), [0.0], [5e5], HOUR)
    assert result.warnings == ("power: ups delivered up to 500000 W, rated 400000 W",)


SERIES_OF_METER = {
    "it_power_w", "cooling_power_w", "loss_power_w", "facility_power_w", "pue", "carbon_kg_per_s",
    "carbon_intensity_kg_per_j", "price_usd_per_j", "cost_usd_per_s", "water_l_per_s", "hall_temperature_deg_c",
    "supply_temperature_deg_c", "dry_bulb_deg_c", "wet_bulb_deg_c",
}  # fmt: skip


def test_bins_hold_the_columns_of_the_schema() -> None:
    result = run(meter(), [0.0, 10.0], [5e5, 6e5], 100.0, np.arange(0.0, 101.0, 10.0))
    assert set(result.sample()) == SERIES_OF_METER <= {column.name for column in SERIES}
    assert all(values.shape == (10,) for values in result.bins.values())


def test_bins_add_up_and_do_not_change_the_totals() -> None:
    rng = np.random.default_rng(3)
    times = np.sort(np.concatenate([[0.0], rng.uniform(0.0, 5 * HOUR, 200)]))
    power = rng.uniform(0.0, 1e6, 201)
    site = {"weather": {"kind": "site", "site": "chicago"}}
    whole = run(meter(site), times, power, 5 * HOUR)
    edges = np.array([0.0, 7.0, 7.0, 4_000.0, 4_001.5, 5 * HOUR])
    binned = run(meter(site), times, power, 5 * HOUR, edges)
    assert np.isnan(binned.bins["it_power_w"][1])
    for column, total in (
        ("facility_power_w", whole.energy_facility_j),
        ("carbon_kg_per_s", whole.carbon_kg),
        ("water_l_per_s", whole.water_l),
        ("cooling_power_w", whole.energy_cooling_j),
        ("loss_power_w", whole.energy_loss_j),
    ):
        assert float(np.nansum(binned.bins[column] * np.diff(edges))) == pytest.approx(total, rel=1e-6)
    # More breakpoints make shorter intervals, whose means the plant sees.
    assert binned.energy_facility_j == pytest.approx(whole.energy_facility_j, rel=1e-6)
    assert binned.energy_it_j == pytest.approx(whole.energy_it_j, rel=1e-13)


def test_simultaneous_events_count_as_the_last_of_them() -> None:
    plain = run(meter(), [0.0, 60.0], [5e5, 7e5], 120.0)
    noisy = run(meter(), [0.0, 0.0, 60.0, 60.0, 60.0, 120.0], [9e5, 5e5, 0.0, 1e6, 7e5, 3e5], 120.0)
    assert noisy.energy_facility_j == plain.energy_facility_j
    assert noisy.peak_facility_w == plain.peak_facility_w


def test_nothing_happens_in_no_time() -> None:
    result = run(meter(), [0.0], [5e5], 0.0)
    assert (result.energy_facility_j, result.heat_in_j, result.heat_stored_j) == (0.0, 0.0, 0.0)
    assert max(result.balances.values()) == 0.0


@pytest.mark.parametrize(
    ("times", "power", "end_s", "edges"),
    [
        ([1.0], [1.0], 2.0, None),
        ([0.0, 2.0, 1.0], [1.0, 1.0, 1.0], 3.0, None),
        ([0.0, 5.0], [1.0, 1.0], 4.0, None),
        ([0.0], [-1.0], 4.0, None),
        ([0.0], [np.nan], 4.0, None),
        ([0.0, np.nan], [1.0, 1.0], 4.0, None),
        ([0.0], [np.inf], 4.0, None),
        ([0.0], [1.0, 2.0], 4.0, None),
        ([], [], 4.0, None),
        ([0.0], [1.0], np.inf, None),
        ([0.0], [1.0], 4.0, [0.0, 3.0]),
        ([0.0], [1.0], 4.0, [0.0, 3.0, 2.0, 4.0]),
    ],
)
def test_logs_that_are_none_are_refused(
    times: list[float], power: list[float], end_s: float, edges: object
) -> None:
    with pytest.raises(GuardError):
        run(meter(), times, power, end_s, edges)


# Random facilities: two carrying stages make the chain a polynomial of degree four.
stage_losses = st.tuples(st.floats(0.0, 0.05), st.floats(0.0, 0.05), st.floats(0.0, 0.05))
weathers = st.one_of(
    st.builds(
        lambda t, h: {"kind": "constant", "dry_bulb_deg_c": t, "relative_humidity": h},
        st.floats(-20, 45),
        st.floats(0, 1),
    ),
    st.sampled_from([{"kind": "site", "site": name} for name in ("chicago", "singapore")]),
)


@st.composite
def facilities(draw: st.DrawFn) -> dict[str, object]:
    names = ("pdu", "ups", "transformer", "feeder")
    stages = [
        {"name": name, "loss_constant": c0, "loss_linear": c1, "loss_quadratic": c2,
         "heats_hall": name == "pdu", "carries_cooling": name in names[2:]}
        for name, (c0, c1, c2) in zip(names, draw(st.tuples(*[stage_losses] * 4)), strict=True)
    ]  # fmt: skip
    return {
        "power": {"stages": stages[: draw(st.integers(0, 4))], "auxiliary_power_w": draw(st.floats(0.0, 1e5))},
        "cooling": {
            "plant": draw(st.sampled_from(["crac", "chilled_water"])),
            "supply_temperature_deg_c": draw(st.floats(15.0, 35.0)),
            "hall_time_constant_s": draw(st.floats(1.0, 1e5)),
            "fan_fraction": draw(st.floats(0.0, 0.2)),
            "pump_fraction": draw(st.floats(0.0, 0.1)),
        },
        "weather": draw(weathers),
        "grid": {"carbon": {"kind": "daily", "intensity_kg_per_j": draw(st.lists(st.floats(0.0, 3e-7), min_size=24, max_size=24))}},
    }  # fmt: skip


@st.composite
def logs(draw: st.DrawFn) -> tuple[Floats, Floats, float]:
    gap = st.one_of(st.just(0.0), st.floats(1e-6, 1e5))  # subnormal times have no bits to scale either
    gaps = draw(st.lists(gap, min_size=1, max_size=12))
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    watts = st.one_of(st.just(0.0), st.floats(1e-3, 1e6))  # subnormal powers have no bits to scale
    power = draw(st.lists(watts, min_size=len(times), max_size=len(times)))
    return times, np.array(power), float(times[-1]) + draw(gap)


@given(facilities(), logs())
def test_energy_and_heat_balance_on_every_facility(
    parts: dict[str, object], log: tuple[Floats, Floats, float]
) -> None:
    times, power, end_s = log
    result = run(meter(parts), times, power, end_s)
    assert max(result.balances.values()) <= 1e-9
    assert result.energy_it_j == pytest.approx(
        float(np.sum(power * np.diff(np.append(times, end_s)))), rel=1e-9
    )
    assert result.energy_facility_j >= result.energy_it_j * (1 - 1e-12)  # PUE >= 1
    assert min(result.energy_cooling_j, result.energy_loss_j, result.carbon_kg, result.water_l) >= 0.0
    assert result.peak_facility_w * end_s >= result.energy_facility_j * (1 - 1e-9)
    parts_j = result.energy_it_j + result.energy_cooling_j + result.energy_loss_j + result.energy_auxiliary_j
    assert result.energy_facility_j == pytest.approx(parts_j, rel=1e-9)


def rc_step(start: float, target: float, seconds: Floats, tau_s: float) -> Floats:
    """x(seconds) of dx/dt = (target - x) / tau, x(0) = start."""
    return np.asarray(target + (start - target) * np.exp(-np.asarray(seconds) / tau_s))


def by_quadrature(facility: Meter, times: Floats, power: Floats, end_s: float) -> dict[str, float]:
    """The same physics evaluated instant by instant: Gauss-Legendre on each hour-aligned interval."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    of, sums = facility.building, dict.fromkeys(("facility", "cooling", "loss", "carbon", "water"), 0.0)
    edges = np.unique(np.concatenate([times, np.arange(0.0, end_s, HOUR), [end_s]]))
    air = of.steady_deg_c(facility.idle_it_w)
    for begin, end in itertools.pairwise(edges):
        it_w = float(power[np.searchsorted(times, begin, side="right") - 1])
        instants = begin + (nodes + 1.0) / 2.0 * (end - begin)
        released = np.full(40, float(of.released_w(it_w)))
        flow = of.plant.flow_for(released)
        movers = of.plant.air_mover_w(released, flow)
        heat, resistance = float((released + movers)[0]), of.hall.resistance_k_per_w / float(flow[0])
        tau_s = of.hall.heat_capacity_j_per_k * resistance
        removal = (air - of.supply_deg_c) / resistance
        removed = rc_step(removal, heat, instants - begin, tau_s)
        load = PlantLoad(removed, np.full(40, it_w / (heat or 1.0)), np.full(40, of.supply_deg_c), flow)
        output = of.plant.operate(load, facility.weather.outdoors(np.full(40, 0.5 * (begin + end))))
        cooling = movers + output.power_w
        meter_w = chain_input_w(of.stages, it_w, cooling) + of.auxiliary_w
        loss = sum(stage_loss for _, stage_loss in chain_losses_w(of.stages, it_w, cooling))
        scale = weights * (end - begin) / 2.0
        sums["facility"] += float(np.sum(scale * meter_w))
        sums["cooling"] += float(np.sum(scale * cooling))
        sums["loss"] += float(np.sum(scale * loss))
        sums["carbon"] += float(np.sum(scale * meter_w)) * float(facility.grid.carbon.at(begin))
        sums["water"] += float(np.sum(scale * output.water_l_per_s))
        air = of.supply_deg_c + resistance * float(rc_step(removal, heat, end - begin, tau_s))
    return sums


@given(parts=facilities(), seed=st.integers(0, 2**31), linear=st.booleans())
def test_closed_forms_meet_quadrature(parts: dict[str, object], seed: int, *, linear: bool) -> None:
    """Exact where plant and chain are linear in the heat; the plant sees the mean of each interval otherwise."""
    parts["cooling"]["hall_time_constant_s"] = 600.0  # type: ignore[index] # smooth enough for 40 nodes an hour
    if linear:
        for stage in parts["power"]["stages"]:  # type: ignore[index]
            stage["loss_quadratic"] = 0.0
    rng = np.random.default_rng(seed)
    times = np.concatenate([[0.0], np.sort(rng.uniform(0.0, 6 * HOUR, 5))])
    power = rng.uniform(0.0, 1e6, 6)
    facility = meter(parts)
    result, expected = (
        run(facility, times, power, 6.5 * HOUR),
        by_quadrature(facility, times, power, 6.5 * HOUR),
    )
    found = (
        result.energy_facility_j,
        result.energy_cooling_j,
        result.energy_loss_j,
        result.carbon_kg,
        result.water_l,
    )
    assert found == pytest.approx(tuple(expected.values()), rel=1e-9 if linear else 1e-4, abs=1e-9)


@given(facilities(), logs(), st.integers(-8, 8))
def test_carbon_scales_with_intensity_exactly(
    parts: dict[str, object], log: tuple[Floats, Floats, float], power_of_two: int
) -> None:
    times, power, end_s = log
    plain = run(meter(parts), times, power, end_s)
    daily = parts["grid"]["carbon"]["intensity_kg_per_j"]  # type: ignore[index]
    factor = 2.0**power_of_two
    parts["grid"] = {"carbon": {"kind": "daily", "intensity_kg_per_j": [value * factor for value in daily]}}
    scaled = run(meter(parts), times, power, end_s)
    assert scaled.carbon_kg == plain.carbon_kg * factor
    assert scaled.energy_facility_j == plain.energy_facility_j


@given(logs(), st.integers(-6, 6))
def test_a_larger_copy_of_the_facility_draws_in_proportion(
    log: tuple[Floats, Floats, float], power_of_two: int
) -> None:
    """Defaults are sized by the peak, so scaling all power scales every energy, to the bit for powers of two."""
    times, power, end_s = log
    factor = 2.0**power_of_two
    plain = run(meter(), times, power, end_s)
    scaled = run(meter(peak_it_w=1e6 * factor, idle_it_w=2e5 * factor), times, power * factor, end_s)
    assert scaled.energy_facility_j == plain.energy_facility_j * factor
    assert scaled.water_l == plain.water_l * factor


@given(st.floats(-20.0, 44.0), st.floats(0.0, 20.0))
def test_colder_weather_never_costs_more(dry_bulb: float, colder_by: float) -> None:
    energies = [
        run(
            meter({"weather": {"kind": "constant", "dry_bulb_deg_c": value}}), [0.0], [8e5], HOUR
        ).energy_facility_j
        for value in (dry_bulb - colder_by, dry_bulb)
    ]
    assert energies[0] <= energies[1] * (1 + 1e-12)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    rng = np.random.default_rng(5)
    times = np.sort(
        np.concatenate([[0.0, 0.0, 0.0], rng.uniform(0.0, 9 * HOUR, 40), [5_000.0] * 9, [9 * HOUR]])
    )
    power = rng.uniform(0.0, 1e6, len(times))
    edges = np.linspace(0.0, 9 * HOUR, 14)
    site = {"weather": {"kind": "site", "site": "dublin"}}
    whole = run(meter(site), times, power, 9 * HOUR, edges)
    monkeypatch.setattr("dcsim.facility.integrate._CHUNK_EVENTS", chunk)
    monkeypatch.setattr("dcsim.facility.integrate._CHUNK_SPAN_S", 1_234.5)
    parts = run(meter(site), times, power, 9 * HOUR, edges)
    for column, values in whole.bins.items():
        # The seams of chunks make some intervals shorter, and the plant sees the mean of each.
        tolerance = 1e-12 if column in {"it_power_w", "carbon_intensity_kg_per_j", "dry_bulb_deg_c"} else 1e-7
        np.testing.assert_allclose(parts.bins[column], values, rtol=tolerance, err_msg=column)
    assert parts.peak_facility_w == pytest.approx(whole.peak_facility_w, rel=1e-4)


def test_notes_of_the_series_reach_the_result(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("time,p\n2020-01-01T00:00Z,10\n2020-01-01T02:00Z,10\n")
    price = {
        "kind": "file",
        "path": "p.csv",
        "time_column": "time",
        "value_column": "p",
        "unit": "USD/MWh",
        "gaps": "hold",
        "beyond_end": "repeat",
    }
    facility = Meter(scenario({"grid": {"price": price}}), 1e6, 2e5, tmp_path)
    result = run(facility, [0.0], [5e5], HOUR)
    assert any("1 missing hours" in text for text in result.warnings)
    assert any("outside the file" in text for text in result.warnings)


def test_a_million_events_take_bounded_time_and_memory() -> None:
    """Target 2 us an event; the limit leaves room for a busy machine."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0.0, 30 * 86_400.0, 400_000))
    times[0] = 0.0
    power = rng.uniform(2e5, 1e6, 400_000)
    facility = meter({"weather": {"kind": "site", "site": "chicago"}})
    edges = np.linspace(0.0, 30 * 86_400.0, 721)
    began = time.process_time()
    run(facility, times, power, 30 * 86_400.0, edges)
    assert time.process_time() - began < 3.0
    tracemalloc.start()
    run(facility, times, power, 30 * 86_400.0, edges)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
