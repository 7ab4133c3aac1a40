"""Moist air on arrays, against PsychroLib, and identities."""

from __future__ import annotations

import numpy as np
import psychrolib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.psychrometrics import (
    air_density_kg_per_m3,
    dew_point_deg_c,
    enthalpy_j_per_kg,
    humidity_ratio_at_wet_bulb,
    saturated_humidity_ratio,
    saturated_temperature_deg_c,
    saturation_pressure_pa,
    wet_bulb_of_state_deg_c,
)

temperatures = st.floats(-40.0, 50.0)
humidities = st.floats(0.01, 1.0)
pressures = st.floats(7e4, 1.08e5)


@pytest.fixture(autouse=True)
def _si() -> None:
    psychrolib.SetUnitSystem(psychrolib.SI)


def _states(count: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Temperatures, relative humidities and pressures over all weather, and their humidity ratios by PsychroLib."""
    draw = np.random.default_rng(1)
    dry, humidity, pressure = (
        draw.uniform(-40, 50, count),
        draw.uniform(0.01, 1, count),
        draw.uniform(7e4, 1.08e5, count),
    )
    ratio = [psychrolib.GetHumRatioFromRelHum(*row) for row in zip(dry, humidity, pressure, strict=True)]
    return dry, humidity, pressure, np.array(ratio)


def test_saturation_is_psychrolibs() -> None:
    dry, _, pressure, _ = _states()
    expected = [psychrolib.GetSatVapPres(t) for t in dry]
    np.testing.assert_allclose(saturation_pressure_pa(dry), expected, rtol=1e-12)
    ratios = [psychrolib.GetSatHumRatio(*row) for row in zip(dry, pressure, strict=True)]
    np.testing.assert_allclose(saturated_humidity_ratio(dry, pressure), ratios, rtol=1e-9, atol=1e-7)


def test_enthalpy_and_density_are_psychrolibs() -> None:
    dry, _, pressure, ratio = _states()
    enthalpies = [psychrolib.GetMoistAirEnthalpy(*row) for row in zip(dry, ratio, strict=True)]
    np.testing.assert_allclose(enthalpy_j_per_kg(dry, ratio), enthalpies, rtol=1e-9, atol=1e-6)
    volumes = [psychrolib.GetMoistAirVolume(*row) for row in zip(dry, ratio, pressure, strict=True)]
    np.testing.assert_allclose(
        air_density_kg_per_m3(dry, ratio, pressure), 1.0 / np.array(volumes), rtol=1e-4
    )


def test_dew_point_is_psychrolibs() -> None:
    _, _, pressure, ratio = _states()
    moist = ratio > 1e-6
    expected = [
        psychrolib.GetTDewPointFromHumRatio(90.0, w, p)
        for w, p in zip(ratio[moist], pressure[moist], strict=True)
    ]
    np.testing.assert_allclose(dew_point_deg_c(ratio, pressure)[moist], expected, atol=2e-3)


def test_wet_bulb_is_psychrolibs() -> None:
    """Left out: where wet bulbs over ice and over water both satisfy the equations, and either is an answer."""
    dry, _, pressure, ratio = _states()
    moist = ratio > 2e-7
    expected = np.array(
        [
            psychrolib.GetTWetBulbFromHumRatio(*row)
            for row in zip(dry, np.maximum(ratio, 2e-7), pressure, strict=True)
        ]
    )
    clear = moist & (np.abs(expected) > 0.7)
    assert clear.sum() > 450
    np.testing.assert_allclose(
        wet_bulb_of_state_deg_c(dry, ratio, pressure)[clear], expected[clear], atol=2e-3
    )


@given(temperatures, humidities, pressures)
def test_a_wet_bulb_gives_back_the_humidity_it_came_from(
    dry: float, humidity: float, pressure: float
) -> None:
    ratio = humidity * saturated_humidity_ratio(dry, pressure)
    wet = wet_bulb_of_state_deg_c(dry, ratio, pressure)
    assert wet <= dry
    assert float(humidity_ratio_at_wet_bulb(dry, wet, pressure)) == pytest.approx(
        float(ratio), rel=1e-6, abs=1e-9
    )


@given(temperatures, pressures)
def test_saturated_air_has_one_temperature_for_an_enthalpy(celsius: float, pressure: float) -> None:
    enthalpy = enthalpy_j_per_kg(celsius, saturated_humidity_ratio(celsius, pressure))
    assert float(saturated_temperature_deg_c(enthalpy, pressure)) == pytest.approx(celsius, abs=1e-6)


def test_no_hours_no_answers() -> None:
    assert wet_bulb_of_state_deg_c([], [], []).shape == (0,)
