"""Panels: what they must do anywhere, and yearly yields against published ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import SeriesError
from dcsim.facility.sites import SITES
from dcsim.facility.solar import SOLAR_SITES, build_solar
from dcsim.spec.cooling import ConstantWeatherSpec, FileWeatherSpec, SiteWeatherSpec
from dcsim.spec.onsite import SolarSpec

YEAR_S = 365 * 86_400.0
START = datetime(2023, 1, 1, tzinfo=UTC)
EPW = "USA_IL_Chicago-OHare.Intl.AP.725300_TMY3.epw"


def _yearly_kwh(spec: SolarSpec, site: str) -> float:
    series, _ = build_solar(spec, SiteWeatherSpec(site=site), START, Path())
    return float(series.integral(0.0, YEAR_S)) / 3.6e6


@pytest.mark.parametrize("site", ["dublin", "phoenix", "singapore", "sydney"])
def test_a_kilowatt_yields_what_its_climate_allows(site: str) -> None:
    """Specific yields of fixed panels: 800 kWh/kWp in Ireland to 1,900 in Arizona, 0.7 to 1.1 of the irradiation."""
    yearly = _yearly_kwh(SolarSpec(rated_power_w=1_000.0), site)
    assert 0.7 * SOLAR_SITES[site].yearly_kwh_per_m2 < yearly < 1.1 * SOLAR_SITES[site].yearly_kwh_per_m2
    assert 700.0 < yearly < 1_950.0


def test_places_of_the_sun_are_those_of_the_weather() -> None:
    assert set(SOLAR_SITES) <= set(SITES)
    for (
        name,
        site,
    ) in SOLAR_SITES.items():  # local standard time follows the longitude within an hour and a half
        assert abs(site.longitude_deg / 15.0 - SITES[name].utc_offset_h) < 1.5


@settings(max_examples=6, deadline=None)
@given(
    latitude=st.floats(-66.0, 66.0),
    longitude=st.floats(-180.0, 180.0),
    tilt=st.floats(0.0, 90.0),
    clearness=st.floats(0.1, 1.0),
)
def test_power_is_within_the_inverter_and_zero_at_night(
    latitude: float, longitude: float, tilt: float, clearness: float
) -> None:
    spec = SolarSpec(
        rated_power_w=1_200.0,
        latitude_deg=latitude,
        longitude_deg=longitude,
        tilt_deg=tilt,
        clearness=clearness,
    )
    series, notes = build_solar(spec, ConstantWeatherSpec(), START, Path())
    power_w = series.value
    assert np.all((power_w >= 0.0) & (power_w <= 1_000.0 * (1.0 + 1e-9)))
    assert 0.2 < float(np.mean(power_w == 0.0)) < 0.8
    assert "passing clouds are left out" in notes[0]


def test_noon_is_where_the_longitude_says() -> None:
    spec = SolarSpec(rated_power_w=1.0, latitude_deg=0.0, longitude_deg=-90.0, clearness=0.7, tilt_deg=0.0)
    series, _ = build_solar(spec, ConstantWeatherSpec(), datetime(2023, 3, 20, tzinfo=UTC), Path())
    day = series.at(np.arange(24) * 3_600.0)
    assert int(np.argmax(day)) in {17, 18}  # 18:00 UTC is noon at 90 degrees west


def test_the_start_of_the_run_moves_the_sun() -> None:
    spec = SolarSpec(rated_power_w=1.0)
    january, _ = build_solar(spec, SiteWeatherSpec(site="chicago"), START, Path())
    july, _ = build_solar(spec, SiteWeatherSpec(site="chicago"), datetime(2023, 7, 1, tzinfo=UTC), Path())
    shift_s = 181 * 86_400.0
    times = np.arange(0.0, 10 * 86_400.0, 3_600.0)
    np.testing.assert_array_equal(july.at(times), january.at(times + shift_s))


def test_panels_face_the_equator_by_default() -> None:
    south = SolarSpec(rated_power_w=1.0, azimuth_deg=180.0)
    assert _yearly_kwh(SolarSpec(rated_power_w=1.0), "chicago") == _yearly_kwh(south, "chicago")
    assert _yearly_kwh(SolarSpec(rated_power_w=1.0), "sydney") > _yearly_kwh(south, "sydney")


def test_an_epw_file_gives_the_sun_of_its_place(shared_data: Path) -> None:
    """The file's own irradiance against a clear sky times the mean clearness of the same town: within 6 %."""
    spec = SolarSpec(rated_power_w=1_000.0)
    series, _ = build_solar(spec, FileWeatherSpec(path=EPW), START, shared_data / "weather")
    yearly = float(series.integral(0.0, YEAR_S)) / 3.6e6
    assert yearly == pytest.approx(_yearly_kwh(spec, "chicago"), rel=0.06)
    # PVWatts (NREL) gives about 1,250 kWh/kWp for Chicago, fixed at 20 degrees.
    assert yearly == pytest.approx(1_250.0, rel=0.05)
    noon_utc = series.at(np.arange(24) * 3_600.0 + 180 * 86_400.0)
    assert 16 <= int(np.argmax(noon_utc)) <= 20  # noon is 18:00 UTC


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, "latitude_deg and longitude_deg"),
        ({"latitude_deg": 50.0, "longitude_deg": 8.0}, "clearness of the sky"),
    ],
)
def test_without_a_place_or_its_sky_it_says_what_is_missing(fields: dict[str, float], what: str) -> None:
    spec = SolarSpec.model_validate({"rated_power_w": 1.0, **fields})
    with pytest.raises(SeriesError, match=what):
        build_solar(spec, ConstantWeatherSpec(), START, Path())


def test_a_file_that_is_no_epw_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.epw").write_text("LOCATION,nowhere\n" * 20, encoding="utf-8")
    with pytest.raises(SeriesError, match="8760 hours"):
        build_solar(SolarSpec(rated_power_w=1.0), FileWeatherSpec(path="x.epw"), START, tmp_path)
