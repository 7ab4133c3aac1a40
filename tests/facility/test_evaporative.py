"""Evaporative coolers: effectiveness, water by mass balance, and what evaporation can and cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.evaporative import DirectCooler, IndirectCooler, cool_directly, cool_indirectly
from dcsim.facility.psychrometrics import (
    enthalpy_j_per_kg,
    saturated_humidity_ratio,
    saturation_pressure_pa,
    specific_heat_j_per_kg_k,
    wet_bulb_of_state_deg_c,
)

SEA_LEVEL = 101_325.0
ALWAYS = DirectCooler(effectiveness=0.8, pump_w=100.0, least_entering_deg_c=0.0, highest_wet_bulb_deg_c=40.0)
PLATE = IndirectCooler(wet_from_deg_c=20.0, highest_wet_bulb_deg_c=40.0)
effectivenesses = st.floats(0.05, 1.0)


def test_direct_by_hand() -> None:
    """35 degC at 40 %: wet bulb 23.934; 0.8 of 11.066 K leaves 26.147 degC."""
    vapour_pa = 0.4 * float(saturation_pressure_pa(35.0))
    moist = 0.621945 * vapour_pa / (SEA_LEVEL - vapour_pa)
    out = cool_directly(35.0, moist, SEA_LEVEL, 0.0, 10.0, ALWAYS)
    assert float(out.dry_bulb_deg_c) == pytest.approx(26.147, abs=0.005)
    assert float(out.power_w) == 100.0
    assert float(out.evaporated_kg_per_s) == pytest.approx(10.0 * float(out.humidity_ratio - moist))
    assert float(out.water_kg_per_s) == pytest.approx(1.5 * float(out.evaporated_kg_per_s))  # three cycles


def test_direct_stops_at_the_set_point_with_less_duty() -> None:
    full = cool_directly(30.0, 0.008, SEA_LEVEL, 0.0, 1.0, ALWAYS)
    some = cool_directly(30.0, 0.008, SEA_LEVEL, 26.0, 1.0, ALWAYS)
    assert float(some.dry_bulb_deg_c) == 26.0
    assert float(some.power_w) == pytest.approx(100.0 * 4.0 / (30.0 - float(full.dry_bulb_deg_c)))


@pytest.mark.parametrize(
    ("cooler", "set_point"),
    [
        (DirectCooler(least_entering_deg_c=31.0), 0.0),
        (DirectCooler(highest_wet_bulb_deg_c=5.0, least_entering_deg_c=0.0), 0.0),
        (ALWAYS, 30.0),
    ],
)
def test_direct_off_leaves_the_air_as_it_was(cooler: DirectCooler, set_point: float) -> None:
    out = cool_directly([30.0], [0.008], SEA_LEVEL, set_point, 1.0, cooler)
    assert (out.dry_bulb_deg_c[0], out.humidity_ratio[0]) == (30.0, 0.008)
    assert out.power_w[0] == out.water_kg_per_s[0] == out.evaporated_kg_per_s[0] == 0.0


@given(
    st.floats(5.0, 50.0),
    st.floats(0.02, 1.0),
    st.floats(7e4, 1.05e5),
    effectivenesses,
    st.floats(-10.0, 50.0),
)
def test_direct_never_below_the_wet_bulb_and_along_it(
    dry: float, humidity: float, pressure: float, effectiveness: float, set_point: float
) -> None:
    cooler = DirectCooler(effectiveness, least_entering_deg_c=0.0, highest_wet_bulb_deg_c=60.0)
    moist = float(humidity * saturated_humidity_ratio(dry, pressure))
    out = cool_directly([dry], [moist], pressure, set_point, 1.0, cooler)
    before = wet_bulb_of_state_deg_c([dry], [moist], pressure)
    after = wet_bulb_of_state_deg_c(out.dry_bulb_deg_c, out.humidity_ratio, pressure)
    assert out.dry_bulb_deg_c[0] >= before[0] - 1e-9
    assert out.dry_bulb_deg_c[0] <= dry
    assert after[0] <= out.dry_bulb_deg_c[0]
    if before[0] > 1.0:  # around freezing there are two wet bulbs
        assert after[0] == pytest.approx(before[0], abs=1e-6)
    assert out.evaporated_kg_per_s[0] >= 0.0
    assert out.water_kg_per_s[0] >= out.evaporated_kg_per_s[0]
    assert out.humidity_ratio[0] <= saturated_humidity_ratio(out.dry_bulb_deg_c[0], pressure) * (1.0 + 1e-9)


@given(st.floats(10.0, 50.0), st.floats(0.02, 0.95))
def test_direct_gives_the_air_no_heat_but_that_of_its_water(dry: float, humidity: float) -> None:
    """Enthalpy rises by that of liquid water at the wet bulb: the definition of the thermodynamic wet bulb."""
    moist = float(humidity * saturated_humidity_ratio(dry, SEA_LEVEL))
    out = cool_directly([dry], [moist], SEA_LEVEL, -50.0, 1.0, ALWAYS)
    wet = float(wet_bulb_of_state_deg_c(dry, moist, SEA_LEVEL))
    if wet <= 1.0:
        return
    gained = enthalpy_j_per_kg(out.dry_bulb_deg_c, out.humidity_ratio) - enthalpy_j_per_kg(dry, moist)
    liquid = 4186.0 * wet * out.evaporated_kg_per_s[0]
    assert gained[0] == pytest.approx(liquid, abs=2.0)


def test_indirect_dry_and_wet_by_hand() -> None:
    """Dry: 24 - 0.72 (24 - 14) = 16.8 degC. Wet: 30 - 0.7 (30 - 18) = 21.6 degC."""
    dry = cool_indirectly((24.0, 0.008), (14.0, 10.0), 0.0, 1.0, 0.85, PLATE)
    assert float(dry.dry_bulb_deg_c) == pytest.approx(16.8)
    assert float(dry.water_kg_per_s) == 0.0
    assert float(dry.power_w) == pytest.approx(1.4 * 0.85 * 200.0)
    wet = cool_indirectly((30.0, 0.008), (26.0, 18.0), 0.0, 1.0, 0.85, PLATE)
    assert float(wet.dry_bulb_deg_c) == pytest.approx(21.6)
    assert float(wet.power_w) == pytest.approx(1.4 * 0.85 * 350.0)
    heat = float(specific_heat_j_per_kg_k(0.008)) * (30.0 - 21.6)
    assert float(wet.evaporated_kg_per_s) == pytest.approx(heat / (2.501e6 - 2_381.0 * 18.0))


def test_indirect_slows_its_fan_with_what_is_needed() -> None:
    """Half of the 7.2 K that it could: an eighth of the fan's power."""
    half = cool_indirectly((24.0, 0.008), (14.0, 10.0), 20.4, 1.0, 0.85, PLATE)
    assert float(half.dry_bulb_deg_c) == pytest.approx(20.4)
    assert float(half.power_w) == pytest.approx(1.4 * 0.85 * 200.0 / 8.0)


def test_indirect_is_locked_out_where_outdoors_is_warmer() -> None:
    locked = cool_indirectly((24.0, 0.008), (25.0, 15.0), 0.0, 1.0, 0.85, PLATE)
    free = cool_indirectly(
        (24.0, 0.008), (25.0, 15.0), 0.0, 1.0, 0.85, IndirectCooler(only_below_entering=False)
    )
    assert float(locked.dry_bulb_deg_c) == 24.0
    assert float(locked.power_w) == 0.0
    assert float(free.dry_bulb_deg_c) == pytest.approx(24.0 - 0.7 * 9.0)


@given(st.floats(10.0, 45.0), st.floats(-20.0, 45.0), st.floats(0.0, 15.0), st.floats(0.0, 40.0))
def test_indirect_neither_overshoots_nor_adds_moisture(
    entering: float, outside: float, depression: float, set_point: float
) -> None:
    wet_bulb = outside - depression
    out = cool_indirectly(([entering], [0.008]), (outside, wet_bulb), set_point, 1.0, 0.85, PLATE)
    assert out.humidity_ratio[0] == 0.008
    assert out.dry_bulb_deg_c[0] <= entering
    assert out.dry_bulb_deg_c[0] >= min(entering, max(set_point, min(wet_bulb, outside))) - 1e-9
    assert out.power_w[0] >= 0.0
    assert 0.0 <= out.evaporated_kg_per_s[0] <= out.water_kg_per_s[0] + 1e-15
    if out.dry_bulb_deg_c[0] == entering:
        assert out.power_w[0] == 0.0


def test_arrays_keep_their_shape() -> None:
    out = cool_directly(np.array([20.0, 30.0, 40.0]), 0.006, SEA_LEVEL, 15.0, 1.0, ALWAYS)
    assert {values.shape for values in out} == {(3,)}
