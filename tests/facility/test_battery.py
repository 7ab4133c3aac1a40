"""Batteries: exact steps against an ODE solver, what they cannot do, and wear against published curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.integrate import solve_ivp

from dcsim.facility.battery import Battery, battery_wear, build_battery, capacity_lost, rainflow
from dcsim.spec.onsite import BatterySpec, OnsiteSpec, SolarSpec, onsite_issues

YEAR_S = 365 * 86_400.0

batteries = st.builds(
    lambda capacity, charge, discharge, lost, low, span: build_battery(
        BatterySpec(
            capacity_j=capacity,
            charge_efficiency=charge,
            discharge_efficiency=discharge,
            self_discharge_per_day=lost,
            lowest_charge=low,
            highest_charge=low + span,
            initial_charge=low + 0.5 * span,
        )
    ),
    st.floats(1e3, 1e12),
    st.floats(0.5, 1.0),
    st.floats(0.5, 1.0),
    st.one_of(st.just(0.0), st.floats(1e-6, 0.9)),
    st.floats(0.0, 0.4),
    st.floats(0.1, 0.6),
)


@given(battery=batteries, wanted=st.floats(-1.0, 1.0), duration_s=st.floats(1.0, 1e6))
def test_a_step_conserves_energy_and_stays_within_bounds(
    battery: Battery, wanted: float, duration_s: float
) -> None:
    begin_j = battery.initial_j
    charge_w = max(wanted, 0.0) * battery.most_charge_w(begin_j, duration_s)
    discharge_w = max(-wanted, 0.0) * battery.most_discharge_w(begin_j, duration_s)
    end_j = battery.after_j(begin_j, charge_w, discharge_w, duration_s)
    scale = 1e-9 * battery.capacity_j
    assert -scale <= end_j <= battery.highest_j + scale
    if discharge_w > 0.0:
        assert end_j >= battery.lowest_j - scale
    given_j = discharge_w / battery.discharge_efficiency * duration_s
    taken_j = charge_w * battery.charge_efficiency * duration_s
    lost_j = begin_j + taken_j - given_j - end_j
    assert lost_j >= -scale  # it never creates energy
    if battery.self_discharge_per_s == 0.0:
        assert abs(lost_j) <= scale


@given(battery=batteries, cycles=st.integers(1, 5), part=st.floats(0.05, 1.0))
def test_a_round_trip_gives_eta_c_times_eta_d(battery: Battery, cycles: int, part: float) -> None:
    """Without self-discharge: out / in = eta_c eta_d; with it less."""
    hour, stored, taken_j, given_j = 3_600.0, battery.initial_j, 0.0, 0.0
    for _ in range(cycles):
        before = stored
        charge_w = part * battery.most_charge_w(stored, hour)
        stored = battery.after_j(stored, charge_w, 0.0, hour)
        taken_j += charge_w * hour
        # Give back just what came in, over the same time.
        discharge_w = max(stored - before, 0.0) * battery.discharge_efficiency / hour
        discharge_w = min(discharge_w, battery.most_discharge_w(stored, hour))
        stored = battery.after_j(stored, 0.0, discharge_w, hour)
        given_j += discharge_w * hour
    stored_j = (stored - battery.initial_j) / battery.charge_efficiency
    if (
        battery.self_discharge_per_s == 0.0
        and part * battery.charge_limit_w < 0.5 * battery.discharge_limit_w
    ):
        assert given_j == pytest.approx(battery.round_trip * (taken_j - stored_j), rel=1e-6)
    assert given_j <= battery.round_trip * taken_j * (1.0 + 1e-9) + 1e-9 * battery.capacity_j


@pytest.mark.parametrize(("charge_w", "discharge_w"), [(300.0, 0.0), (0.0, 200.0), (0.0, 0.0)])
def test_a_step_is_that_of_an_ode_solver(charge_w: float, discharge_w: float) -> None:
    battery = build_battery(BatterySpec(capacity_j=4e6, self_discharge_per_day=0.3, charge_efficiency=0.9))
    net_w = charge_w * 0.9 - discharge_w / 0.922
    rate = -math.log(0.7) / 86_400.0
    solved = solve_ivp(lambda _, e: net_w - rate * e, (0.0, 3_600.0), [2e6], rtol=1e-11, atol=1e-3)
    assert battery.after_j(2e6, charge_w, discharge_w, 3_600.0) == pytest.approx(solved.y[0, -1], rel=1e-9)


def test_self_discharge_is_the_part_of_a_day() -> None:
    battery = build_battery(BatterySpec(capacity_j=1e6, self_discharge_per_day=0.02))
    assert battery.after_j(5e5, 0.0, 0.0, 86_400.0) == pytest.approx(0.98 * 5e5, rel=1e-12)


def test_ratings_and_limits() -> None:
    battery = build_battery(BatterySpec(capacity_j=3.6e6, c_rate=0.25, discharge_power_w=400.0))
    assert (battery.charge_limit_w, battery.discharge_limit_w) == (250.0, 400.0)
    assert battery.most_charge_w(battery.highest_j, 900.0) == pytest.approx(0.0, abs=0.1)
    assert battery.most_discharge_w(battery.lowest_j, 900.0) == 0.0
    # What is left to the bounds, at the terminals: 3.6e5 J / 0.922 / 3600 s and 3.6e5 J x 0.922 / 3600 s.
    still = build_battery(BatterySpec(capacity_j=3.6e6, c_rate=0.25, self_discharge_per_day=0))
    assert still.most_charge_w(0.8 * 3.6e6, 3_600.0) == pytest.approx(100.0 / 0.922)
    assert still.most_discharge_w(0.2 * 3.6e6, 3_600.0) == pytest.approx(100.0 * 0.922)


def test_the_largest_powers_end_just_at_the_bounds() -> None:
    """Also where self-discharge is strong: it makes room while charging, and is left room for while discharging."""
    battery = build_battery(
        BatterySpec(capacity_j=1e6, c_rate=20.0, self_discharge_per_day=0.9, initial_charge=0.5)
    )
    for duration_s in (600.0, 7_200.0):
        charge_w = battery.most_charge_w(5e5, duration_s)
        discharge_w = battery.most_discharge_w(5e5, duration_s)
        assert battery.after_j(5e5, charge_w, 0.0, duration_s) == pytest.approx(battery.highest_j, rel=1e-12)
        assert battery.after_j(5e5, 0.0, discharge_w, duration_s) == pytest.approx(
            battery.lowest_j, rel=1e-12
        )
    assert battery.most_discharge_w(battery.lowest_j, 600.0) == 0.0
    assert (
        battery.after_j(battery.lowest_j, 0.0, 0.0, 86_400.0) < battery.lowest_j
    )  # it leaks below the window


def test_rainflow_counts_the_example_of_the_standard() -> None:
    """ASTM E1049-85, figure 6: -2 1 -3 5 -1 3 -4 4 -2 gives ranges 3, 4, 6, 8, 8, 9 as halves and 4 as one cycle."""
    history = [-2.0, 1.0, -3.0, 5.0, -1.0, 3.0, -4.0, 4.0, -2.0]
    counted: dict[float, float] = {}
    for depth, _, count in rainflow(history):
        counted[depth] = counted.get(depth, 0.0) + count
    assert counted == {3.0: 0.5, 4.0: 1.5, 6.0: 0.5, 8.0: 1.0, 9.0: 0.5}


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60))
def test_rainflow_loses_no_movement(history: list[float]) -> None:
    """Half of all movement up and down is the sum of depth times count, whatever the order."""
    moved = float(np.abs(np.diff(history)).sum())
    assert sum(2.0 * depth * count for depth, _, count in rainflow(history)) == pytest.approx(moved, abs=1e-9)


def test_rainflow_ignores_points_on_the_way() -> None:
    assert rainflow([0.1, 0.3, 0.5, 0.5, 0.2]) == rainflow([0.1, 0.5, 0.2])
    assert rainflow([]) == rainflow([0.4]) == rainflow([0.4, 0.4]) == []


def _wear(depth: float, cycles: int, years: float, **fields: object):
    spec = BatterySpec.model_validate({"capacity_j": 1.0, "replacement_cost_usd": 100.0, **fields})
    charge = 0.5 + 0.5 * depth * np.resize([1.0, -1.0], 2 * cycles + 1)
    return battery_wear(spec, charge, np.linspace(0.0, years * YEAR_S, len(charge)))


def test_cycles_to_the_end_of_life_are_those_of_the_published_fit() -> None:
    """Xu et al. 2018, table I: 1 / (1.4e5 d^-0.501 - 1.23e5) a cycle: 5.88e-5 at full depth, 1.33e-5 at half."""
    for depth, stress in ((1.0, 1.0 / 17_000.0), (0.5, 1.0 / (1.4e5 * 0.5**-0.501 - 1.23e5))):
        assert _wear(depth, 100, 0.0001).cycle_stress == pytest.approx(100 * stress, rel=1e-9)
    # 20 % are lost where 0.9425 exp(-f) = 0.8: 2,787 full cycles, or 12.6 years of rest at 25 degC.
    life = math.log(0.9425 / 0.8)
    assert _wear(1.0, 2_787, 1e-6).life_used == pytest.approx(1.0, abs=2e-3)
    assert _wear(0.0, 1, life / 4.14e-10 / YEAR_S).life_used == pytest.approx(1.0, rel=1e-6)


def test_heat_and_a_full_store_age_the_cells() -> None:
    cool, hot = (_wear(0.0, 1, 1.0, temperature_deg_c=t) for t in (25.0, 45.0))
    assert hot.calendar_stress > 3.0 * cool.calendar_stress
    full = battery_wear(BatterySpec(capacity_j=1.0), [0.9, 0.9], [0.0, YEAR_S])
    assert full.calendar_stress == pytest.approx(cool.calendar_stress * math.exp(1.04 * 0.4), rel=1e-9)


def test_wear_adds_up_to_lives_and_money() -> None:
    one, two = _wear(0.8, 365, 1.0), _wear(0.8, 730, 2.0)
    assert two.life_used == pytest.approx(2.0 * one.life_used, rel=1e-3)
    assert one.cost_usd == pytest.approx(100.0 * one.life_used)
    assert one.full_cycles == pytest.approx(0.8 * 365)
    assert 0.0 < one.capacity_lost < capacity_lost(1.0) < 1.0
    assert capacity_lost(0.0) == 0.0


@pytest.mark.parametrize(
    ("said", "where", "expected"),
    [
        ({"lowest_charge": 0.9}, "highest_charge", "more than lowest_charge"),
        ({"initial_charge": 0.95}, "initial_charge", "0.1 to 0.9"),
        ({"charge_power_w": "10 GW"}, "charge_power_w", "at most 20 C"),
        ({"capacity_j": -1}, "capacity_j", "greater than 0"),
        ({"capacity_j": "2 MW"}, "capacity_j", "energy"),
        ({"charge_efficiency": 0.1}, "charge_efficiency", "greater than or equal to 0.3"),
    ],
)
def test_batteries_that_cannot_be_are_refused(said: dict[str, object], where: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BatterySpec.model_validate({"capacity_j": "2 MWh", **said})
    assert where in str(caught.value)
    assert expected in str(caught.value)


def test_what_does_not_fit_the_rest_of_the_scenario_is_refused() -> None:
    panels = OnsiteSpec(solar=SolarSpec(rated_power_w=1e6))
    issues = onsite_issues(panels, "battery_price", located=False, clearness_known=False)
    assert [".".join(map(str, issue.at)) for issue in issues] == [
        "solar.latitude_deg",
        "solar.clearness",
        "battery",
    ]
    assert all(issue.hint for issue in issues)
    assert not onsite_issues(panels, "idle", located=True, clearness_known=True)
    with pytest.raises(ValidationError, match="both, or neither"):
        SolarSpec(rated_power_w=1.0, latitude_deg=50.0)
    with pytest.raises(ValidationError, match="whole number of intervals"):
        OnsiteSpec(settlement_interval_s=1_000.0)
