"""Cooling towers: York's correlation against its table and its inverse, fan control, and water by a mass balance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.psychrometrics import (
    enthalpy_j_per_kg,
    humidity_ratio_at_wet_bulb,
    saturated_humidity_ratio,
)
from dcsim.facility.tower import (
    YorkTower,
    operate_tower,
    tower_leaving_deg_c,
    tower_water_l_per_s,
    york_approach_k,
    york_liquid_gas_ratio,
)

SEA_LEVEL = 101_325.0
TOWER = YorkTower.for_heat(1e6)
heats = st.floats(1e3, 1.2e6)
dry_bulbs = st.floats(-25.0, 42.0)
depressions = st.floats(0.0, 20.0)


def _operate(
    heat: float, dry: float, wet: float, tower: YorkTower = TOWER
) -> tuple[float, float, float, float]:
    """Return leaving water, fan, evaporation and make-up of one hour."""
    moist = float(humidity_ratio_at_wet_bulb(dry, wet, SEA_LEVEL))
    out = operate_tower([heat], [dry], [wet], [moist], [SEA_LEVEL], tower)
    return tuple(float(values[0]) for values in out[:4])  # type: ignore[return-value]


def test_york_at_its_design_point() -> None:
    """25.6 degC wet bulb (78 degF), range 5.6 K (10 degF), as much water as air: 3.9 K (7 degF)."""
    assert float(york_approach_k(25.6, 5.6, 1.0)) == pytest.approx(3.9, abs=0.05)


def test_york_by_hand_at_zero_wet_bulb() -> None:
    """There only the terms without wet bulb are left; range 10 K, ratio 2."""
    constant = -0.359741205 + 1.73926877 - 0.5589849456
    by_ratio = 2.84765801111111 + 16.80428651 - 2.5485194448
    by_square = -0.0653766255555556 - 0.910565458 - 0.34285382352
    assert float(york_approach_k(0.0, 10.0, 2.0)) == pytest.approx(
        constant + 2.0 * by_ratio + 4.0 * by_square
    )


@given(st.floats(-20.0, 28.0), st.floats(1.2, 12.0), st.floats(0.3, 3.0))
def test_york_and_its_inverse(wet: float, range_k: float, ratio: float) -> None:
    approach = float(york_approach_k(wet, range_k, ratio))
    if not 1.12 < approach < 39.0:
        return
    back = york_liquid_gas_ratio(wet, range_k, approach)
    assert float(york_approach_k(wet, range_k, back)) == pytest.approx(approach, abs=1e-9)
    assert float(back) <= ratio * (1.0 + 1e-9)


def test_no_heat_no_approach() -> None:
    np.testing.assert_allclose(
        york_approach_k(20.0, [0.0, 0.55555], 1.0), [0.0, 0.5 * float(york_approach_k(20.0, 1.1111, 1.0))]
    )


def test_at_design_heat_the_fan_is_full_and_water_leaves_at_the_approach() -> None:
    leaving, fan, _, _ = _operate(1e6, 35.0, 25.6)
    assert leaving == pytest.approx(25.6 + 3.9, abs=1e-3)
    assert fan == pytest.approx(TOWER.fan_w, rel=1e-3)
    assert TOWER.water_flow_l_per_s * 4180.0 * 5.6 == pytest.approx(1e6)


def test_in_the_cold_the_fan_rests_and_water_leaves_at_its_least() -> None:
    leaving, fan, _, _ = _operate(5e4, -20.0, -21.0)
    assert (leaving, fan) == (10.0, 0.0)


def test_a_set_point_over_the_wet_bulb_saves_fan_power() -> None:
    """Cube law: as the approach allowed grows, the fan's power falls fast."""
    fans = [_operate(5e5, 30.0, 22.0, replace(TOWER, follows_wet_bulb_k=k))[1] for k in (0.0, 3.0, 4.0, 6.0)]
    assert fans[0] == pytest.approx(TOWER.fan_w, rel=1e-3)
    assert fans[0] > fans[1] > fans[2] > fans[3]
    assert fans[3] < 0.2 * fans[0]


@given(heats, dry_bulbs, depressions)
def test_water_never_leaves_below_the_wet_bulb(heat: float, dry: float, depression: float) -> None:
    leaving, fan, evaporated, water = _operate(heat, dry, dry - depression)
    assert leaving >= dry - depression
    assert 0.0 <= fan <= TOWER.fan_w * (1.0 + 1e-3)
    assert 0.0 <= evaporated <= water


@given(st.floats(-25.0, 35.0), depressions, st.lists(heats, min_size=2, max_size=2))
def test_more_heat_never_colder_water(dry: float, depression: float, pair: list[float]) -> None:
    less, more = sorted(pair)
    assert _operate(less, dry, dry - depression)[0] <= _operate(more, dry, dry - depression)[0] + 1e-9


@given(heats, dry_bulbs, depressions)
def test_the_quick_way_to_the_water_is_the_same(heat: float, dry: float, depression: float) -> None:
    quick = tower_leaving_deg_c([heat], [dry - depression], TOWER)
    assert float(quick[0]) == _operate(heat, dry, dry - depression)[0]


def test_evaporation_by_the_air_that_carries_it_off() -> None:
    """20 degC at 50 %, 1e6 W into 27.6 m3/s: by a bisection of the enthalpy balance, written out here."""
    air = TOWER.air_flow_m3_per_s * SEA_LEVEL / (287.042 * 293.15 * (1.0 + 0.00726 / 0.621945))
    wanted = float(enthalpy_j_per_kg(20.0, 0.00726)) + 1e6 / air
    low, high = 0.0, 60.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        full = float(saturated_humidity_ratio(middle, SEA_LEVEL))
        low, high = (middle, high) if float(enthalpy_j_per_kg(middle, full)) < wanted else (low, middle)
    expected = air * (float(saturated_humidity_ratio(low, SEA_LEVEL)) - 0.00726)
    evaporated, water = tower_water_l_per_s([1e6], [20.0], [0.00726], [SEA_LEVEL], [1.0], TOWER)
    assert float(evaporated[0]) == pytest.approx(expected, rel=1e-6)
    assert float(water[0]) == pytest.approx(expected * 4.0 / 3.0, rel=1e-6)


def test_saturated_warm_air_takes_nearly_all_heat_as_vapour_and_cold_air_half() -> None:
    """1.48 L/kWh is all heat latent (2,430 kJ/kg); the dry share grows as air gets colder."""
    rates = {}
    for dry in (35.0, 20.0, 0.0, -15.0):
        moist = float(saturated_humidity_ratio(dry, SEA_LEVEL))
        evaporated, _ = tower_water_l_per_s([1e6], [dry], [moist], [SEA_LEVEL], [1.0], TOWER)
        rates[dry] = float(evaporated[0]) * 3.6
    assert rates[35.0] > rates[20.0] > rates[0.0] > rates[-15.0]
    assert 1.15 < rates[35.0] < 1.48
    assert rates[-15.0] < 0.6


def test_drift_is_made_up_where_blow_down_does_not_cover_it() -> None:
    _, water = tower_water_l_per_s([1e3], [-20.0], [0.0006], [SEA_LEVEL], [0.2], TOWER)
    assert float(water[0]) > TOWER.drift * TOWER.water_flow_l_per_s
    _, none = tower_water_l_per_s([0.0], [-20.0], [0.0006], [SEA_LEVEL], [0.2], TOWER)
    assert float(none[0]) == 0.0
